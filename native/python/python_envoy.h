/* python_envoy.h: Envoy's CheckRequest as Python's own objects, of what is wanted only, and its CheckResponse. */
#ifndef RJ_PYTHON_ENVOY_H
#define RJ_PYTHON_ENVOY_H

#include "python/python_api.h"

/* check_request(bytes, offset, wanted, owned, with_body); see _rapidjws.pyi. */
extern const PyMethodDef rj_check_request_method;

/* check_permit(fixed, headers, removed, to_client, metadata); see _rapidjws.pyi. */
extern const PyMethodDef rj_check_permit_method;

/* check_denied(code, status, headers, body); see _rapidjws.pyi. */
extern const PyMethodDef rj_check_denied_method;

#endif
