/* json_number.h: a JSON number (RFC 8259 s.6) and whether a double can hold it. Part of json_scan.c alone.
 *
 * No number is converted. Too large for a double is decided exactly, from the digits, without strtod and so
 * without a locale.
 */
#ifndef RJ_JSON_NUMBER_H
#define RJ_JSON_NUMBER_H

#include "text/json_text.h"

#include <string.h>

/* 2^1024 - 2^970, the least number that rounds to infinity (IEEE 754 s.4.3.1), has this many digits. */
#define JSON_NUMBER_INFINITE_DIGITS 309
/* An exponent stops growing here: far past what 4 GiB of digits could bring back. */
#define JSON_NUMBER_EXPONENT_STOP INT64_C(1000000000000000)

typedef struct {
    uint8_t is_decimal; /* a fraction or an exponent */
    uint8_t is_big;     /* an integer outside -2^63 .. 2^64-1 */
} json_number_kind;

/* Whether `sooner` then `later` digits, the first of them not zero and worth 10^308, reach infinity. */
static inline int json_number_reaches_infinity(const uint8_t *sooner, size_t sooner_len, const uint8_t *later,
                                               size_t later_len)
{
    static const char least[JSON_NUMBER_INFINITE_DIGITS + 1] =
        "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664901797758720709"
        "63302864166928879109465555478519404026306574886715058206819089020007083836762738548458177115317644757"
        "30270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174"
        "497792";
    for (size_t i = 0; i < JSON_NUMBER_INFINITE_DIGITS; i++) {
        uint8_t digit = i < sooner_len ? sooner[i] : i - sooner_len < later_len ? later[i - sooner_len] : (uint8_t)'0';
        if (digit != (uint8_t)least[i]) {
            return digit > (uint8_t)least[i];
        }
    }
    return 1; /* the midpoint itself: IEEE 754 s.4.3.1 rounds it away */
}

/* Whether integer digits, fraction digits (may be none) and a power of ten round to infinity. */
static inline int json_number_is_infinite(const uint8_t *integer, size_t integer_len, const uint8_t *fraction,
                                          size_t fraction_len, int64_t exponent)
{
    size_t i = 0;
    int64_t place; /* the power of ten of the first digit that is not zero */
    while (i < integer_len && integer[i] == '0') {
        i++;
    }
    integer += i;
    integer_len -= i;
    i = 0;
    while (integer_len == 0 && i < fraction_len && fraction[i] == '0') {
        i++;
    }
    fraction += i;
    fraction_len -= i;
    if (integer_len == 0 && fraction_len == 0) {
        return 0;
    }
    place = integer_len > 0 ? (int64_t)integer_len - 1 : -(int64_t)i - 1;
    place += exponent;
    if (place != JSON_NUMBER_INFINITE_DIGITS - 1) {
        return place >= JSON_NUMBER_INFINITE_DIGITS;
    }
    return json_number_reaches_infinity(integer, integer_len, fraction, fraction_len);
}

/* Whether the digits of an integer, no leading zero, lie outside -2^63 .. 2^64-1. */
static inline int json_number_is_big(const uint8_t *digits, size_t len, int negative)
{
    const char *most = negative ? "9223372036854775808" : "18446744073709551615";
    size_t most_len = negative ? 19 : 20;
    return len != most_len ? len > most_len : memcmp(digits, most, most_len) > 0;
}

/* Walk a number from its first byte, '-' or a digit. Returns the byte behind it, or NULL with *fault at the
 * byte that cannot be (its start if it is too large for a double). */
static inline const uint8_t *json_number_end(const uint8_t **fault, json_number_kind *kind, const uint8_t *p,
                                             const uint8_t *end)
{
    const uint8_t *start = p, *integer, *fraction;
    size_t integer_len, fraction_len = 0;
    int64_t exponent = 0;
    int negative = *p == '-', down = 0;
    p += negative;
    integer = p;
    p = json_text_digits_end(p, end);
    integer_len = (size_t)(p - integer);
    *fault = integer;
    if (integer_len == 0 || (*integer == '0' && integer_len > 1)) {
        return NULL; /* RFC 8259 s.6: at least one digit, no leading zero */
    }
    fraction = p;
    if (p == end || (*p != '.' && (*p | 0x20) != 'e')) {
        kind->is_big = (uint8_t)json_number_is_big(integer, integer_len, negative);
        *fault = start;
        return integer_len >= JSON_NUMBER_INFINITE_DIGITS
                    && json_number_is_infinite(integer, integer_len, fraction, 0, 0)
                 ? NULL /* RFC 8259 s.6, RFC 7493 s.2.2: no double holds it */
                 : p;
    }
    kind->is_decimal = 1;
    if (*p == '.') {
        fraction = ++p;
        p = json_text_digits_end(p, end);
        fraction_len = (size_t)(p - fraction);
        if (fraction_len == 0) {
            *fault = p;
            return NULL; /* RFC 8259 s.6: a digit follows the point */
        }
    }
    if (p < end && (*p | 0x20) == 'e') {
        const uint8_t *power;
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            down = *p++ == '-';
        }
        power = p;
        for (; p < end && *p >= '0' && *p <= '9'; p++) {
            exponent = exponent < JSON_NUMBER_EXPONENT_STOP ? exponent * 10 + (*p - '0') : exponent;
        }
        if (p == power) {
            *fault = p;
            return NULL; /* RFC 8259 s.6: a digit in the exponent */
        }
    }
    *fault = start;
    if (!down && (int64_t)integer_len + exponent >= JSON_NUMBER_INFINITE_DIGITS
        && json_number_is_infinite(integer, integer_len, fraction, fraction_len, exponent)) {
        return NULL; /* RFC 8259 s.6, RFC 7493 s.2.2: no double holds it */
    }
    if (down && json_number_is_infinite(integer, integer_len, fraction, fraction_len, -exponent)) {
        return NULL; /* RFC 8259 s.6, RFC 7493 s.2.2: no double holds it */
    }
    return p;
}

#endif
