/* rsa_key.c: from modulus and exponent to a prepared key (RFC 8017 s.3.1).
 *
 * A key carries the form of its modulus that this machine serves best: radix 2^52 digits where rsa52.h can, or
 * libcrypto's BN_MONT_CTX. The first is compared with libcrypto once before it is used.
 */
#include "rsa/rsa_key.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

/* What a modulus and an exponent must be before any time is spent on them. */
static rj_status rsa_check_public(uint64_t *exponent_out, const BIGNUM *modulus, const uint8_t *exponent,
                                  size_t exponent_len)
{
    uint64_t value = 0;

    if (BN_num_bits(modulus) < RJ_RSA_MIN_BITS) {
        return RJ_KEY_WEAK; /* RFC 7518 s.3.3: a key of 2048 bits or larger MUST be used */
    }
    if (BN_num_bits(modulus) > RJ_RSA_MAX_BITS) {
        return RJ_TOO_LARGE; /* a huge key costs its verifier, not its sender */
    }
    if (!BN_is_odd(modulus)) {
        return RJ_KEY_MALFORMED; /* RFC 8017 s.3.1: a product of distinct odd primes */
    }
    while (exponent_len > 0 && exponent[0] == 0) {
        exponent++;
        exponent_len--;
    }
    if (exponent_len > RJ_RSA_MAX_EXPONENT_BYTES) {
        return RJ_TOO_LARGE; /* each bit of e is a multiplication for every signature */
    }
    for (size_t i = 0; i < exponent_len; i++) {
        value = value << 8 | exponent[i];
    }
    if (value == 1) {
        return RJ_KEY_WEAK; /* RFC 8017 s.3.1: e is at least 3; with 1 every encoding signs itself */
    }
    if (value % 2 == 0) {
        return RJ_KEY_MALFORMED; /* RFC 8017 s.3.1: gcd(e, lambda(n)) = 1, and lambda(n) is even */
    }
    *exponent_out = value;
    return RJ_OK;
}

/* Newton's iteration: each round doubles the bits of n * x = 1 that hold. */
static uint64_t rsa_negated_inverse52(uint64_t n0)
{
    uint64_t x = n0;

    for (int i = 0; i < 5; i++) {
        x *= 2 - n0 * x;
    }
    return (0 - x) & ((UINT64_C(1) << 52) - 1);
}

/* Digits of value into out by way of em-sized bytes. */
static rj_status rsa_digits_of(uint64_t *out, size_t digits, const BIGNUM *value)
{
    uint8_t bytes[RJ_RSA52_MAX_DIGITS * 52 / 8];

    if (BN_bn2binpad(value, bytes, (int)sizeof(bytes)) < 0) {
        return RJ_LIBCRYPTO_FAILED;
    }
    rj_rsa52_from_bytes(out, digits, bytes, sizeof(bytes));
    return RJ_OK;
}

/* Give the key its radix 2^52 form; digits is not zero. */
static rj_status rsa_prepare_digits(rj_rsa_key *key, const BIGNUM *modulus, size_t digits, BN_CTX *bn)
{
    rj_rsa52_modulus *made = OPENSSL_zalloc(sizeof(*made) + 2 * digits * sizeof(uint64_t));
    BIGNUM *square = BN_new();
    rj_status status = RJ_NO_MEMORY;

    if (made == NULL || square == NULL) {
        goto done;
    }
    status = RJ_LIBCRYPTO_FAILED;
    if (BN_set_bit(square, (int)(2 * 52 * digits)) != 1 || BN_mod(square, square, modulus, bn) != 1
        || rsa_digits_of(made->words, digits, modulus) != RJ_OK
        || rsa_digits_of(made->words + digits, digits, square) != RJ_OK) {
        goto done;
    }
    made->digits = (uint32_t)digits;
    made->negated_inverse = rsa_negated_inverse52(made->words[0]);
    key->digits = made;
    made = NULL;
    status = RJ_OK;
done:
    BN_free(square);
    OPENSSL_free(made);
    return status;
}

/* Compare one power with libcrypto's, so that a fault of the lanes is met here and not in a verdict. */
static rj_status rsa_self_test(const rj_rsa_key *key, const BIGNUM *modulus, BN_CTX *bn)
{
    const size_t digits = key->digits->digits;
    uint64_t ours[RJ_RSA52_MAX_DIGITS];
    uint64_t theirs[RJ_RSA52_MAX_DIGITS];
    BIGNUM *base = BN_new();
    BIGNUM *exponent = BN_new();
    rj_status status = RJ_LIBCRYPTO_FAILED;

    if (base == NULL || exponent == NULL || BN_rshift1(base, modulus) != 1 || rsa_digits_of(ours, digits, base) != RJ_OK
        || BN_set_word(exponent, RJ_RSA_LANE_EXPONENT) != 1
        || BN_mod_exp_mont(base, base, exponent, modulus, bn, NULL) != 1
        || rsa_digits_of(theirs, digits, base) != RJ_OK) {
        goto done;
    }
    rj_rsa52_power(ours, key->digits, ours, RJ_RSA_LANE_EXPONENT);
    status = memcmp(ours, theirs, digits * sizeof(*ours)) == 0 ? RJ_OK : RJ_UNDECIDED;
done:
    BN_free(base);
    BN_free(exponent);
    return status;
}

static rj_status rsa_prepare_mont(rj_rsa_key *key, const BIGNUM *modulus, BN_CTX *bn)
{
    key->modulus = BN_dup(modulus);
    key->mont = BN_MONT_CTX_new();
    if (key->modulus == NULL || key->mont == NULL) {
        return RJ_NO_MEMORY;
    }
    return BN_MONT_CTX_set(key->mont, modulus, bn) == 1 ? RJ_OK : RJ_LIBCRYPTO_FAILED;
}

rj_status rj_rsa_prepare(rj_rsa_key **out, const uint8_t *modulus, size_t modulus_len, const uint8_t *exponent,
                         size_t exponent_len, unsigned flags)
{
    rj_rsa_key *key = NULL;
    BN_CTX *bn = NULL;
    BIGNUM *n = NULL;
    size_t digits;
    rj_status status = RJ_NO_MEMORY;

    while (modulus_len > 0 && modulus[0] == 0) {
        modulus++;
        modulus_len--;
    }
    if (modulus_len > RJ_RSA_MAX_BYTES) {
        return RJ_TOO_LARGE; /* a huge key costs its verifier, not its sender */
    }
    (void)ERR_set_mark();
    n = BN_bin2bn(modulus, (int)modulus_len, NULL);
    bn = BN_CTX_new();
    key = OPENSSL_zalloc(sizeof(*key));
    if (n == NULL || bn == NULL || key == NULL) {
        goto done;
    }
    status = rsa_check_public(&key->exponent, n, exponent, exponent_len);
    if (status != RJ_OK) {
        goto done;
    }
    key->modulus_bits = (uint32_t)BN_num_bits(n);
    key->modulus_bytes = (uint32_t)BN_num_bytes(n);
    digits = (flags & RJ_RSA_PORTABLE) != 0 || !rj_rsa52_usable() ? 0 : rj_rsa52_digits(key->modulus_bits);
    status = digits != 0 ? rsa_prepare_digits(key, n, digits, bn) : RJ_UNDECIDED;
    if (status == RJ_OK) {
        status = rsa_self_test(key, n, bn);
    }
    if (status == RJ_UNDECIDED) { /* not served by the lanes, or the lanes were wrong */
        OPENSSL_free(key->digits);
        key->digits = NULL;
        status = rsa_prepare_mont(key, n, bn);
    }
    if (status == RJ_OK) {
        *out = key;
        key = NULL;
    }
done:
    rj_rsa_free(key);
    BN_CTX_free(bn);
    BN_free(n);
    (void)ERR_pop_to_mark();
    return status;
}

void rj_rsa_free(rj_rsa_key *key)
{
    if (key != NULL) {
        OPENSSL_free(key->digits);
        BN_MONT_CTX_free(key->mont);
        BN_free(key->modulus);
        OPENSSL_free(key);
    }
}

size_t rj_rsa_bytes(const rj_rsa_key *key)
{
    if (key->digits != NULL) {
        return sizeof(*key) + sizeof(*key->digits) + 2 * key->digits->digits * sizeof(uint64_t);
    }
    /* BIGNUM and BN_MONT_CTX are opaque: their three numbers of the modulus' size, and 256 bytes for the rest */
    return sizeof(*key) + 3 * (size_t)key->modulus_bytes + 256;
}

size_t rj_rsa_modulus_bytes(const rj_rsa_key *key) { return key->modulus_bytes; }
