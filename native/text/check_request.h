/* check_request.h: Envoy's CheckRequest, read where it lies: the one HTTP request in it, and its headers.
 *
 * Security rule: whatever is accepted here, Google's own decoder accepts with the same values, in every message of
 * the schema, read or not. Where that decoder merges, truncates or takes the last of several, this one refuses.
 * Does not recurse, allocates nothing, copies nothing. Source: protobuf.dev, "Encoding"; Envoy API v3,
 * external_auth.proto, attribute_context.proto.
 */
#ifndef RJ_CHECK_REQUEST_H
#define RJ_CHECK_REQUEST_H

#include "span.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

enum { RJ_CHECK_DEPTH_MAX = 64 /* messages open at once; protobuf itself allows 100 */ };

typedef struct {
    rj_span method;
    rj_span path;
    rj_span host;
    rj_span body;    /* of body or raw_body, whichever there is */
    rj_span headers; /* the message whose fields are the headers */
    uint32_t number; /* of these fields */
} rj_check_request;

/* What is left of the headers. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t number;
} rj_check_cursor;

/* Read a CheckRequest.
 *
 * Refused: a length or a varint that does not end within its message; a varint that is not its shortest form or
 * longer than 64 bits; a field number of 0 or above 2^29 - 1; groups; a known field of another wire type; a known
 * field that is not repeated twice; text that is not UTF-8; messages nested too deep; body and raw_body, value and
 * raw_value, or headers and header_map together; more than key and value in the entry of a map; no HTTP request.
 * Other fields that the schema does not know are skipped.
 *
 * Returns: RJ_OK; RJ_UNDECIDED (refused); RJ_TOO_DEEP.
 * Out:     out   spans into text, {NULL, 0} for what is not there; of no meaning unless RJ_OK.
 * In:      text  text_len bytes; may be NULL when text_len is 0.
 */
RJ_MUST_CHECK rj_status rj_check_request_read(rj_check_request *out, const uint8_t *text, size_t text_len);

/* The beginning of the headers of a CheckRequest that was read. */
rj_check_cursor rj_check_headers(const rj_check_request *request);

/* Take one header. Returns 0 at the end. Out: name, value: as they stand. */
int rj_check_header_next(rj_span *name, rj_span *value, rj_check_cursor *cursor);

#endif
