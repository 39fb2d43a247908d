/* ecdsa_der.c: ECDSA-Sig-Value (RFC 3279 s.2.2.3) written and read by hand; it is two INTEGERs. */
#include "ec/ecdsa_der.h"

#include <string.h>

#define ECDSA_DER_SEQUENCE 0x30
#define ECDSA_DER_INTEGER 0x02
#define ECDSA_DER_ONE_LENGTH_BYTE 0x81

static int ecdsa_der_raw_len_fits(size_t raw_len)
{
    return raw_len != 0 && raw_len % 2 == 0 && raw_len <= RJ_ECDSA_MAX_RAW_BYTES;
}

/* Leading zero bytes of a big-endian number; len if it is zero. */
static size_t ecdsa_der_leading_zeros(const uint8_t *number, size_t len)
{
    size_t zeros = 0;
    while (zeros < len && number[zeros] == 0) {
        zeros++;
    }
    return zeros;
}

/* Write a positive INTEGER from its digits, first byte not zero; returns the bytes written. */
static size_t ecdsa_der_put(uint8_t *der, const uint8_t *digits, size_t len)
{
    size_t sign = digits[0] >> 7; /* X.690 s.8.3.3: two's complement, so a set top bit needs a zero byte */
    der[0] = ECDSA_DER_INTEGER;
    der[1] = (uint8_t)(len + sign);
    der[2] = 0;
    memcpy(der + 2 + sign, digits, len);
    return 2 + sign + len;
}

rj_status rj_ecdsa_der_from_raw(uint8_t *der, size_t *der_len, size_t der_cap, const uint8_t *raw, size_t raw_len)
{
    size_t field = raw_len / 2, r_zeros, s_zeros, body, head;
    const uint8_t *r = raw, *s;
    if (!ecdsa_der_raw_len_fits(raw_len)) {
        return RJ_BAD_ARGUMENT;
    }
    s = raw + field;
    r_zeros = ecdsa_der_leading_zeros(r, field);
    s_zeros = ecdsa_der_leading_zeros(s, field);
    if (r_zeros == field || s_zeros == field) {
        return RJ_SIGNATURE_INVALID; /* FIPS 186-5 s.6.4.2: r and s lie in [1, n-1] */
    }
    body = 4 + (field - r_zeros) + (size_t)(r[r_zeros] >> 7) + (field - s_zeros) + (size_t)(s[s_zeros] >> 7);
    head = body < 128 ? 2 : 3; /* X.690 s.10.1: the shortest length form */
    if (der_cap < head + body) {
        return RJ_BAD_ARGUMENT;
    }
    der[0] = ECDSA_DER_SEQUENCE;
    der[1] = ECDSA_DER_ONE_LENGTH_BYTE;
    der[head - 1] = (uint8_t)body;
    der += head;
    der += ecdsa_der_put(der, r + r_zeros, field - r_zeros);
    (void)ecdsa_der_put(der, s + s_zeros, field - s_zeros);
    *der_len = head + body;
    return RJ_OK;
}

/* Read one minimal positive INTEGER of at most `field` bytes; returns the bytes taken, 0 if it is not one. */
static size_t ecdsa_der_get(const uint8_t **digits, size_t *len, size_t field, const uint8_t *der, size_t der_len)
{
    size_t value_len;
    if (der_len < 3 || der[0] != ECDSA_DER_INTEGER) {
        return 0; /* RFC 3279 s.2.2.3: an INTEGER; X.690 s.8.3.1: at least one byte */
    }
    value_len = der[1];
    if (value_len == 0 || value_len > field + 1 || value_len > der_len - 2) {
        return 0; /* wider than the field, the long form where the short fits (X.690 s.10.1), or cut off */
    }
    *digits = der + 2;
    *len = value_len;
    if (der[2] & 0x80) {
        return 0; /* negative */
    }
    if (der[2] == 0) {
        if (value_len == 1 || !(der[3] & 0x80)) {
            return 0; /* zero, or not the shortest form: X.690 s.8.3.2 */
        }
        *digits += 1;
        *len -= 1;
    }
    return *len > field ? 0 : 2 + value_len;
}

rj_status rj_ecdsa_raw_from_der(uint8_t *raw, size_t raw_len, const uint8_t *der, size_t der_len)
{
    size_t field = raw_len / 2, head, taken, r_len, s_len;
    const uint8_t *r, *s;
    if (!ecdsa_der_raw_len_fits(raw_len)) {
        return RJ_BAD_ARGUMENT;
    }
    if (der_len < 3 || der[0] != ECDSA_DER_SEQUENCE) {
        return RJ_SIGNATURE_INVALID; /* RFC 3279 s.2.2.3: a SEQUENCE */
    }
    head = der[1] == ECDSA_DER_ONE_LENGTH_BYTE ? 3 : 2;
    if (der_len - head != der[head - 1] || (der[head - 1] & 0x80) != (head == 3 ? 0x80 : 0)) {
        return RJ_SIGNATURE_INVALID; /* X.690 s.10.1: the shortest length form, and nothing behind the end */
    }
    der += head;
    der_len -= head;
    taken = ecdsa_der_get(&r, &r_len, field, der, der_len);
    if (taken == 0) {
        return RJ_SIGNATURE_INVALID; /* r is not a minimal positive INTEGER of the field */
    }
    der += taken;
    der_len -= taken;
    taken = ecdsa_der_get(&s, &s_len, field, der, der_len);
    if (taken == 0 || taken != der_len) {
        return RJ_SIGNATURE_INVALID; /* s is not, or something follows it */
    }
    memset(raw, 0, raw_len);
    memcpy(raw + field - r_len, r, r_len);
    memcpy(raw + raw_len - s_len, s, s_len);
    return RJ_OK;
}
