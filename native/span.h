/* span.h: a borrowed run of bytes. Nothing here owns memory, and a span never outlives its buffer. */
#ifndef RJ_SPAN_H
#define RJ_SPAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* rj-cdef-begin */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} rj_span;
/* rj-cdef-end */

/* Returns 1 where both hold the same octets. Names of one length are many (iss, aud, exp): three octets tell most of
 * them apart without a call. */
static inline int rj_span_same(rj_span wanted, const uint8_t *bytes, size_t len)
{
    if (wanted.len != len) {
        return 0;
    }
    if (len == 0) {
        return 1;
    }
    if (wanted.ptr[0] != bytes[0] || wanted.ptr[len - 1] != bytes[len - 1] || wanted.ptr[len / 2] != bytes[len / 2]) {
        return 0;
    }
    return len <= 3 || memcmp(wanted.ptr, bytes, len) == 0;
}

#endif
