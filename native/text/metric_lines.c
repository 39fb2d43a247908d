/* metric_lines.c: see metric_lines.h. */
#include "text/metric_lines.h"

#include <string.h>

/* Write a number in decimal digits; returns where the next byte goes. */
static char *metric_lines_digits(char *out, uint64_t value)
{
    char digits[RJ_METRIC_VALUE_BYTES];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    memcpy(out, digits + at, sizeof digits - at);
    return out + (sizeof digits - at);
}

size_t rj_metric_lines(char *out, size_t capacity, const char *starts, const uint32_t *starts_end,
                       const uint64_t *values, size_t values_len, const char *texts, const uint32_t *texts_end,
                       size_t texts_len)
{
    size_t start = 0;
    size_t text = 0;
    size_t text_at = 0;
    char *next = out;

    for (size_t i = 0; i < values_len; i++) {
        int is_text = values[i] == UINT64_MAX && text < texts_len;
        size_t len = starts_end[i] - start;
        size_t value_len = is_text ? texts_end[text] - text_at + 1 : RJ_METRIC_VALUE_BYTES;
        if (capacity - (size_t)(next - out) < len + value_len) {
            return 0;
        }
        memcpy(next, starts + start, len);
        next += len;
        start = starts_end[i];
        if (is_text) {
            memcpy(next, texts + text_at, value_len - 1);
            next += value_len - 1;
            text_at = texts_end[text++];
        } else {
            next = metric_lines_digits(next, values[i]);
        }
        *next++ = '\n';
    }
    return (size_t)(next - out);
}
