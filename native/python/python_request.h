/* python_request.h: what a decision takes from Python's objects and leaves in them, without a step of Python for each:
 * the token of a request's headers, and text that may stand in a header.
 */
#ifndef RJ_PYTHON_REQUEST_H
#define RJ_PYTHON_REQUEST_H

#include "python/python_api.h"

/* bearer_request(headers, token_field, partner_field, route_fields, target); see _rapidjws.pyi. */
extern const PyMethodDef rj_bearer_request;

/* batch_senders(batch, token_field, partner_field); see _rapidjws.pyi. */
extern const PyMethodDef rj_batch_senders;

/* header_text(value, max_chars); see _rapidjws.pyi. */
extern const PyMethodDef rj_header_text;

#endif
