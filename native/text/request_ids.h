/* request_ids.h: the id of a request and of its trace, as a request's headers have them.
 *
 * Both are a stranger's octets: what is not well-formed is none, and is never repaired.
 */
#ifndef RJ_REQUEST_IDS_H
#define RJ_REQUEST_IDS_H

#include <stddef.h>
#include <stdint.h>

enum {
    RJ_REQUEST_ID_MAX_BYTES = 128,
    RJ_TRACE_ID_AT = 3, /* where a traceparent has its trace-id */
    RJ_TRACE_ID_BYTES = 32
};

/* Say whether an X-Request-Id is one word that a log line and a record can hold.
 *
 * Returns: 1; 0 for anything but a letter or digit and up to 127 of letters, digits and ._:/+=@-
 * In:      text     text_len octets; may be NULL when text_len is 0.
 */
int rj_request_id_check(const uint8_t *text, size_t text_len);

/* Say whether a traceparent is well-formed; its trace-id is RJ_TRACE_ID_BYTES octets at RJ_TRACE_ID_AT then.
 *
 * Returns: 1; 0 else.
 * In:      text     text_len octets; may be NULL when text_len is 0.
 * Source:  W3C Trace Context, Level 1, s.3.2 and s.4.3: of later versions the first four parts count.
 */
int rj_traceparent_check(const uint8_t *text, size_t text_len);

#endif
