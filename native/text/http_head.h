/* http_head.h: the head of a plain HTTP/1.1 request (RFC 9112 s.2 to s.5), cut into target and fields.
 *
 * Security rule: what is found here is what every careful parser finds. A head that could be read in two ways, that
 * announces a body, or that changes what becomes of the connection is not plain, and left to a whole parser.
 */
#ifndef RJ_HTTP_HEAD_H
#define RJ_HTTP_HEAD_H

#include "span.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

enum { RJ_HTTP_FIELDS_MAX = 64 /* a plain head has no more fields */ };

typedef struct {
    rj_span name;
    rj_span value; /* without white space at its ends */
} rj_http_field;

typedef struct {
    rj_span target;  /* begins with a slash */
    size_t head_len; /* bytes of the head with its empty line */
    size_t fields_len;
    int is_head; /* whether the method is HEAD, else it is GET */
    rj_http_field fields[RJ_HTTP_FIELDS_MAX];
} rj_http_head;

/* Cut the head of a plain request.
 *
 * Plain is: GET or HEAD, a target in origin-form of the characters of RFC 3986, HTTP/1.1, line ends of CR LF, names
 * of tchar, values of VCHAR, SP and HTAB without white space at their end, no folded line; no Transfer-Encoding,
 * Upgrade, Expect, Trailer, TE or Proxy-Connection; Content-Length only once and only 0; Connection only once and
 * only keep-alive.
 *
 * Returns: RJ_OK; RJ_UNDECIDED (not plain, or not whole: what it is, a whole parser has to say).
 * Out:     out        spans into text; of no meaning unless RJ_OK.
 * In:      text       text_len bytes.
 *          max_bytes  most bytes of target, names and values, with 4 for each field.
 * Source:  RFC 9112 s.3, s.3.2.1, s.5, s.5.2, s.6; RFC 9110 s.5.5, s.5.6.2.
 */
RJ_MUST_CHECK rj_status rj_http_head_scan(rj_http_head *out, const uint8_t *text, size_t text_len, size_t max_bytes);

#endif
