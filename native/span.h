/* span.h: a borrowed run of bytes. Nothing here owns memory, and a span never outlives its buffer. */
#ifndef RJ_SPAN_H
#define RJ_SPAN_H

#include <stddef.h>
#include <stdint.h>

/* rj-cdef-begin */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} rj_span;
/* rj-cdef-end */

#endif
