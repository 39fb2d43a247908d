/* metric_histograms.h: histograms of a metrics exposition in protobuf, hundreds at a time, classic and native.
 *
 * The bounds are powers of two, so that the native histogram has schema 0 and the counts of the classic one; what is
 * not above the smallest bound is in its zero bucket.
 * Source: protobuf.dev, "Encoding"; https://github.com/prometheus/client_model (Metric, Histogram, Bucket, BucketSpan).
 */
#ifndef RJ_METRIC_HISTOGRAMS_H
#define RJ_METRIC_HISTOGRAMS_H

#include <stddef.h>
#include <stdint.h>

/* rj-cdef-begin */
enum {
    RJ_METRIC_BOUNDS_MAX = 32,       /* bounds of a histogram, without infinity */
    RJ_METRIC_HISTOGRAM_BYTES = 2048 /* of a histogram beside its labels, at most */
};
/* rj-cdef-end */

/* Write each histogram as a field 4 (metric) of a MetricFamily.
 * Returns how many bytes were written, or 0 where they do not fit or there are too many bounds.
 * In: labels  fields 1 (label) of all histograms in turn, each up to its number in labels_end;
 *     counts  bounds_len + 1 for each, not cumulative: the last of what lies above all bounds. */
/* rj-cdef-begin */
size_t rj_metric_histograms(uint8_t *out, size_t capacity, const uint8_t *labels, const uint32_t *labels_end,
                            const uint64_t *counts, const double *sums, size_t len, size_t bounds_len,
                            int32_t first_power);
/* rj-cdef-end */

#endif
