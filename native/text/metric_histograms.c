/* metric_histograms.c: see metric_histograms.h. */
#include "text/metric_histograms.h"

#include <string.h>

enum {
    HISTOGRAM_VARINT = 0, /* wire types */
    HISTOGRAM_FIXED64 = 1,
    HISTOGRAM_LENGTH = 2,
    HISTOGRAM_VARINT_BYTES = 10,
    HISTOGRAM_EXPONENT = 1023, /* of the double 1.0 */
    HISTOGRAM_MANTISSA = 52,
    HISTOGRAM_INFINITE = 0x7ff
};

static uint8_t *metric_histograms_varint(uint8_t *out, uint64_t value)
{
    while (value > 0x7f) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *metric_histograms_tag(uint8_t *out, unsigned number, unsigned type)
{
    *out++ = (uint8_t)(number << 3 | type); /* numbers below 16 */
    return out;
}

static uint8_t *metric_histograms_unsigned(uint8_t *out, unsigned number, uint64_t value)
{
    return metric_histograms_varint(metric_histograms_tag(out, number, HISTOGRAM_VARINT), value);
}

/* A signed number in zigzag. */
static uint8_t *metric_histograms_signed(uint8_t *out, unsigned number, int64_t value)
{
    return metric_histograms_unsigned(out, number, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

/* Eight octets, the least first, whatever the order of this machine. */
static uint8_t *metric_histograms_fixed64(uint8_t *out, unsigned number, uint64_t bits)
{
    out = metric_histograms_tag(out, number, HISTOGRAM_FIXED64);
    for (unsigned shift = 0; shift < 64; shift += 8) {
        *out++ = (uint8_t)(bits >> shift);
    }
    return out;
}

/* The bits of a power of two as a double. */
static uint64_t metric_histograms_power(int32_t power)
{
    return (uint64_t)(uint32_t)(power + HISTOGRAM_EXPONENT) << HISTOGRAM_MANTISSA;
}

/* The fields 3: cumulative counts, and the bounds. */
static uint8_t *metric_histograms_classic(uint8_t *out, const uint64_t *counts, size_t bounds_len, int32_t first_power)
{
    uint64_t below = 0;

    for (size_t i = 0; i <= bounds_len; i++) {
        uint64_t bound = i < bounds_len ? metric_histograms_power(first_power + (int32_t)i)
                                        : (uint64_t)HISTOGRAM_INFINITE << HISTOGRAM_MANTISSA;
        uint8_t *length = metric_histograms_tag(out, 3, HISTOGRAM_LENGTH);
        below += counts[i];
        out = metric_histograms_fixed64(metric_histograms_unsigned(length + 1, 1, below), 2, bound);
        *length = (uint8_t)(out - length - 1); /* at most 20 */
    }
    return out;
}

/* Schema, zero bucket, and one span from the first bucket that is not empty to the last. */
static uint8_t *metric_histograms_native(uint8_t *out, const uint64_t *counts, size_t bounds_len, int32_t first_power)
{
    size_t first = 1;
    size_t end = bounds_len + 1;
    uint64_t before = 0;
    uint8_t *length = NULL;

    while (first < end && counts[first] == 0) {
        first++;
    }
    while (end > first && counts[end - 1] == 0) {
        end--;
    }
    out = metric_histograms_signed(out, 5, 0);
    out = metric_histograms_fixed64(out, 6, metric_histograms_power(first_power));
    out = metric_histograms_unsigned(out, 7, counts[0]);
    length = metric_histograms_tag(out, 12, HISTOGRAM_LENGTH);
    out = metric_histograms_signed(length + 1, 1,
                                   first < end ? first_power + (int32_t)first : 0); /* of an empty one: 0, 0 */
    out = metric_histograms_unsigned(out, 2, end - first);
    *length = (uint8_t)(out - length - 1);
    for (size_t i = first; i < end; i++) {
        out = metric_histograms_signed(out, 13, (int64_t)(counts[i] - before));
        before = counts[i];
    }
    return out;
}

static size_t metric_histograms_write(uint8_t *out, const uint64_t *counts, double sum, size_t bounds_len,
                                      int32_t first_power)
{
    uint64_t total = 0;
    uint64_t bits = 0;
    uint8_t *next = out;

    for (size_t i = 0; i <= bounds_len; i++) {
        total += counts[i];
    }
    memcpy(&bits, &sum, sizeof bits);
    next = metric_histograms_unsigned(next, 1, total);
    next = metric_histograms_fixed64(next, 2, bits);
    next = metric_histograms_classic(next, counts, bounds_len, first_power);
    return (size_t)(metric_histograms_native(next, counts, bounds_len, first_power) - out);
}

static size_t metric_histograms_varint_bytes(uint64_t value)
{
    uint8_t octets[HISTOGRAM_VARINT_BYTES];

    return (size_t)(metric_histograms_varint(octets, value) - octets);
}

size_t rj_metric_histograms(uint8_t *out, size_t capacity, const uint8_t *labels, const uint32_t *labels_end,
                            const uint64_t *counts, const double *sums, size_t len, size_t bounds_len,
                            int32_t first_power)
{
    uint8_t histogram[RJ_METRIC_HISTOGRAM_BYTES];
    size_t start = 0;
    uint8_t *next = out;

    if (bounds_len == 0 || bounds_len > RJ_METRIC_BOUNDS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        size_t labels_len = labels_end[i] - start;
        size_t size =
            metric_histograms_write(histogram, counts + i * (bounds_len + 1), sums[i], bounds_len, first_power);
        size_t whole = labels_len + 1 + metric_histograms_varint_bytes(size) + size;
        if (capacity - (size_t)(next - out) < 1 + metric_histograms_varint_bytes(whole) + whole) {
            return 0;
        }
        next = metric_histograms_varint(metric_histograms_tag(next, 4, HISTOGRAM_LENGTH), whole);
        memcpy(next, labels + start, labels_len);
        next = metric_histograms_varint(metric_histograms_tag(next + labels_len, 7, HISTOGRAM_LENGTH), size);
        memcpy(next, histogram, size);
        next += size;
        start = labels_end[i];
    }
    return (size_t)(next - out);
}
