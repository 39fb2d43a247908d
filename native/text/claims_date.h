/* claims_date.h: a NumericDate read digit by digit, and compared with a moment (RFC 7519 s.2).
 *
 * Part of claims.c alone.
 */
#ifndef RJ_CLAIMS_DATE_H
#define RJ_CLAIMS_DATE_H

#include "text/claims.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CLAIMS_DATE_DIGITS 12    /* of RJ_CLAIMS_DATE_MAX_S */
#define CLAIMS_FRACTION_DIGITS 9 /* of a second in nanoseconds */
/* An exponent stops growing here: far past what 4 GiB of digits could bring back. */
#define CLAIMS_EXPONENT_STOP INT64_C(1000000000000)

/* A NumericDate. Between ns and ns_up lie the digits past the ninth of the fraction: where there are any, ns_up
 * is one more than ns, so that a moment in whole nanoseconds is compared with the number as written. */
typedef struct {
    int64_t s;
    uint32_t ns;
    uint32_t ns_up; /* 0 to 1 000 000 000 */
} claims_date;

/* The exponent of a number the scan accepted, from its e or E on; 0 where there is none. */
static inline int64_t claims_exponent(const uint8_t *p, const uint8_t *end)
{
    int64_t exponent = 0;
    int down = 0;
    if (p == end) {
        return 0;
    }
    p++;
    if (*p == '+' || *p == '-') {
        down = *p++ == '-';
    }
    for (; p < end; p++) {
        exponent = exponent < CLAIMS_EXPONENT_STOP ? exponent * 10 + (*p - '0') : exponent;
    }
    return down ? -exponent : exponent;
}

/* A NumericDate with a fraction or an exponent, each digit by its place: exact, without a double. */
static inline rj_status claims_decimal(claims_date *date, const uint8_t *text, size_t len)
{
    static const int64_t powers[CLAIMS_DATE_DIGITS] = {1,
                                                       10,
                                                       100,
                                                       1000,
                                                       10000,
                                                       100000,
                                                       1000000,
                                                       10000000,
                                                       100000000,
                                                       1000000000,
                                                       INT64_C(10000000000),
                                                       INT64_C(100000000000)};
    const uint8_t *end = text + len, *mantissa_end, *point;
    int negative = *text == '-', more = 0;
    int64_t s = 0, ns = 0, place; /* place of a digit: -1 the last of the seconds, 0 the first of the fraction */
    text += negative;
    for (mantissa_end = text; mantissa_end < end && (*mantissa_end | 0x20) != 'e';) {
        mantissa_end++;
    }
    point = memchr(text, '.', (size_t)(mantissa_end - text));
    place = -(int64_t)((point != NULL ? point : mantissa_end) - text) - claims_exponent(mantissa_end, end);
    for (; text < mantissa_end; text++) {
        if (text == point) {
            continue;
        }
        if (*text != '0') {
            if (negative || place < -CLAIMS_DATE_DIGITS) {
                return RJ_MALFORMED_CLAIM; /* RFC 7519 s.2: from 1970 on, and seconds, not milliseconds */
            }
            if (place < 0) {
                s += (*text - '0') * powers[-place - 1];
            } else if (place < CLAIMS_FRACTION_DIGITS) {
                ns += (*text - '0') * powers[CLAIMS_FRACTION_DIGITS - 1 - place];
            } else {
                more = 1;
            }
        }
        place++;
    }
    if (s > RJ_CLAIMS_DATE_MAX_S || (s == RJ_CLAIMS_DATE_MAX_S && (ns > 0 || more))) {
        return RJ_MALFORMED_CLAIM; /* RFC 7519 s.2: seconds, not milliseconds */
    }
    *date = (claims_date){s, (uint32_t)ns, (uint32_t)(ns + more)};
    return RJ_OK;
}

/* RJ_OK with *date if the claim is absent (date unchanged) or a NumericDate. */
static inline rj_status claims_read_date(claims_date *date, const uint8_t *json, const rj_json_member *claim)
{
    const uint8_t *digits;
    int64_t value = 0;
    if (claim == NULL) {
        return RJ_OK;
    }
    digits = json + claim->value_offset;
    if (claim->value_type == RJ_JSON_DECIMAL) {
        return claims_decimal(date, digits, claim->value_len);
    }
    if (claim->value_type != RJ_JSON_INTEGER) {
        return RJ_MALFORMED_CLAIM; /* RFC 7519 s.2: a NumericDate is a JSON number */
    }
    if (digits[0] == '-') {
        /* RFC 7519 s.2 counts from 1970 on; -0 is 1970 */
        return digits[1] == '0' ? RJ_OK : RJ_MALFORMED_CLAIM;
    }
    if (claim->value_len > CLAIMS_DATE_DIGITS) {
        return RJ_MALFORMED_CLAIM; /* RFC 7519 s.2: seconds, not milliseconds */
    }
    for (uint32_t i = 0; i < claim->value_len; i++) {
        value = value * 10 + (digits[i] - '0');
    }
    if (value > RJ_CLAIMS_DATE_MAX_S) {
        return RJ_MALFORMED_CLAIM; /* RFC 7519 s.2: seconds, not milliseconds */
    }
    date->s = value;
    return RJ_OK;
}

/* Whether a moment, moved by whole seconds, has come: now + move_s >= date. */
static inline int claims_reached(rj_time now, int64_t move_s, const claims_date *date)
{
    int64_t s = now.s + move_s;
    return s > date->s || (s == date->s && now.ns >= date->ns_up);
}

/* Whether a moment, moved by whole seconds, is past: now + move_s > date. */
static inline int claims_passed(rj_time now, int64_t move_s, const claims_date *date)
{
    int64_t s = now.s + move_s;
    return s > date->s || (s == date->s && now.ns > date->ns);
}

#endif
