/* metric_lines.h: lines of a metrics exposition, thousands at a time: what stands before a value, and the value.
 *
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#ifndef RJ_METRIC_LINES_H
#define RJ_METRIC_LINES_H

#include <stddef.h>
#include <stdint.h>

/* rj-cdef-begin */
enum {
    RJ_METRIC_VALUE_BYTES = 21 /* of a value in digits and its line feed, at most */
};
/* rj-cdef-end */

/* Write a line for each value: its start, the value in decimal digits, or the next text in place of a value of
 * UINT64_MAX, and a line feed.
 * Returns how many bytes were written, or 0 where they do not fit.
 * In: starts  of all lines in turn, each up to its number in starts_end; texts likewise. */
/* rj-cdef-begin */
size_t rj_metric_lines(char *out, size_t capacity, const char *starts, const uint32_t *starts_end,
                       const uint64_t *values, size_t values_len, const char *texts, const uint32_t *texts_end,
                       size_t texts_len);
/* rj-cdef-end */

#endif
