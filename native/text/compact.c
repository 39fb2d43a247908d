/* compact.c: two memchr calls find the dots, a third makes sure there is no other. */
#include "text/compact.h"

#include <string.h>

rj_status rj_compact_split(rj_span *header, rj_span *payload, rj_span *signature, const uint8_t *token,
                           size_t token_len, size_t max_len)
{
    const uint8_t *first, *second, *end;
    if (token_len > max_len) {
        return RJ_TOO_LARGE; /* design, limits: judged before a byte is read */
    }
    if (token_len == 0) {
        return RJ_MALFORMED_TOKEN; /* RFC 7515 s.7.1: three parts */
    }
    end = token + token_len;
    first = memchr(token, '.', token_len);
    if (first == NULL || first == token) {
        return RJ_MALFORMED_TOKEN; /* RFC 7515 s.7.1: three parts; s.4: a header is never empty */
    }
    second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (second == NULL || second + 1 == end) {
        return RJ_MALFORMED_TOKEN; /* RFC 7515 s.7.1: three parts; RFC 8725 s.3.2: never unsigned */
    }
    if (memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL) {
        return RJ_MALFORMED_TOKEN; /* RFC 7515 s.7.1: exactly three parts (five are a JWE, RFC 7516 s.9) */
    }
    *header = (rj_span){token, (size_t)(first - token)};
    *payload = (rj_span){first + 1, (size_t)(second - first - 1)};
    *signature = (rj_span){second + 1, (size_t)(end - second - 1)};
    return RJ_OK;
}
