/* python_text.h: base64url and the JSON scan on Python's own bytes.
 *
 * Refusing a token costs a few of these calls and little else, and an attacker chooses how many tokens are
 * refused: cffi's conversions around them would cost more than their work.
 */
#ifndef RJ_PYTHON_TEXT_H
#define RJ_PYTHON_TEXT_H

#include "python/python_api.h"

/* b64url_decode(bytes): the octets, or None where the text is not strict base64url. */
extern const PyMethodDef rj_text_b64url_decode;

/* json_check(runtime, bytes, max_bytes, max_depth, max_members, any_root): (status, fault's offset, notes). */
extern const PyMethodDef rj_text_json_check;

/* request_id(bytes): an X-Request-Id as text, or None where it is not one sane word. */
extern const PyMethodDef rj_text_request_id;

/* trace_id(bytes): the trace-id of a traceparent, or None where that is not well-formed. */
extern const PyMethodDef rj_text_trace_id;

#endif
