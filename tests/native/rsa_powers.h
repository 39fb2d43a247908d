/* rsa_powers.h: powers of random and edge numbers under random and edge moduli, against BIGNUM. */
#ifndef RSA_POWERS_H
#define RSA_POWERS_H

#include <openssl/bn.h>

#include "driver.h"
#include "rsa/rsa52.h"

typedef struct {
    rj_rsa52_modulus head;
    uint64_t numbers[2 * RJ_RSA52_MAX_DIGITS];
} stored_modulus;

static void digits_of(uint64_t *out, size_t digits, const BIGNUM *value)
{
    uint8_t bytes[520];

    REQUIRE(BN_bn2binpad(value, bytes, sizeof(bytes)) == sizeof(bytes));
    rj_rsa52_from_bytes(out, digits, bytes, sizeof(bytes));
}

static void make_modulus(stored_modulus *out, const BIGNUM *n, BN_CTX *bn)
{
    size_t digits = rj_rsa52_digits((size_t)BN_num_bits(n));
    BIGNUM *t = BN_new();
    BIGNUM *radix = BN_new();

    REQUIRE(digits != 0 && BN_set_bit(radix, 52));
    out->head.digits = (uint32_t)digits;
    digits_of(out->head.words, digits, n);
    REQUIRE(BN_mod_inverse(t, n, radix, bn) != NULL && BN_sub(t, radix, t));
    out->head.negated_inverse = BN_get_word(t);
    BN_zero(t);
    REQUIRE(BN_set_bit(t, (int)(104 * digits)) && BN_mod(t, t, n, bn));
    digits_of(out->head.words + digits, digits, t);
    BN_free(t);
    BN_free(radix);
}

/* A modulus of that many bits: random, all ones, one bit at each end, or long runs of ones and zeros. */
static void pick_modulus(BIGNUM *n, int bits, uint64_t *seed)
{
    switch (driver_random(seed) % 4) {
    case 0:
        BN_zero(n);
        REQUIRE(BN_set_bit(n, bits) && BN_sub_word(n, 1 + 2 * (driver_random(seed) % 3)));
        break;
    case 1:
        BN_zero(n);
        REQUIRE(BN_set_bit(n, bits - 1) && BN_add_word(n, 1 + 2 * (driver_random(seed) % 3)));
        break;
    case 2:
        BN_zero(n);
        for (int at = bits - 1; at >= 0;) {
            int run = (int)(driver_random(seed) % 130);
            int ones = at == bits - 1 || driver_random(seed) % 2 == 0;
            for (; run >= 0 && at >= 0; run--, at--) {
                REQUIRE(!ones || BN_set_bit(n, at));
            }
        }
        REQUIRE(BN_set_bit(n, 0));
        break;
    default:
        REQUIRE(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD));
        break;
    }
}

static void pick_base(BIGNUM *s, const BIGNUM *n, uint64_t *seed)
{
    switch (driver_random(seed) % 8) {
    case 0:
        REQUIRE(BN_set_word(s, driver_random(seed) % 3));
        break;
    case 1:
        REQUIRE(BN_copy(s, n) && BN_sub_word(s, 1 + driver_random(seed) % 3));
        break;
    case 2:
        BN_zero(s);
        REQUIRE(BN_set_bit(s, (int)(driver_random(seed) % (uint64_t)(BN_num_bits(n) - 1))));
        REQUIRE(BN_sub_word(s, driver_random(seed) % 2));
        break;
    default:
        REQUIRE(BN_rand_range(s, n));
        break;
    }
}

static void arithmetic(unsigned long count, uint64_t seed)
{
    static rj_rsa52_work work;
    static stored_modulus storage[RJ_RSA52_LANES];
    const rj_rsa52_modulus *moduli[RJ_RSA52_LANES];
    BIGNUM *n[RJ_RSA52_LANES];
    BIGNUM *s[RJ_RSA52_LANES];
    BN_CTX *bn;
    BIGNUM *e, *expected;

    if (!rj_rsa52_usable()) {
        printf("not usable on this machine\n");
        return;
    }
    bn = BN_CTX_new();
    e = BN_new();
    expected = BN_new();
    REQUIRE(rj_rsa52_digits(2047) == 0 && rj_rsa52_digits(2048) == 40 && rj_rsa52_digits(2078) == 40);
    REQUIRE(rj_rsa52_digits(2079) == 60 && rj_rsa52_digits(3118) == 60 && rj_rsa52_digits(3119) == 80);
    REQUIRE(rj_rsa52_digits(4158) == 80 && rj_rsa52_digits(4159) == 0);
    for (int i = 0; i < RJ_RSA52_LANES; i++) {
        n[i] = BN_new();
        s[i] = BN_new();
        moduli[i] = &storage[i].head;
    }
    for (unsigned long round = 0; round < count; round++) {
        static const int low[3] = {2048, 2079, 3119};
        static const int high[3] = {2078, 3118, 4158};
        static const int usual[3] = {2048, 3072, 4096};
        uint64_t exponents[4] = {3, 17, 65537, driver_random(&seed) | 1};
        uint64_t exponent = exponents[driver_random(&seed) % 4];
        size_t size_class = (size_t)(driver_random(&seed) % 3);
        size_t digits = 40 + 20 * size_class;

        for (int lane = 0; lane < RJ_RSA52_LANES; lane++) {
            int bits[3] = {usual[size_class], low[size_class], high[size_class]};
            uint64_t base[RJ_RSA52_MAX_DIGITS];
            uint64_t power[RJ_RSA52_MAX_DIGITS];
            uint64_t right[RJ_RSA52_MAX_DIGITS];

            pick_modulus(n[lane], bits[driver_random(&seed) % 3], &seed);
            pick_base(s[lane], n[lane], &seed);
            make_modulus(&storage[lane], n[lane], bn);
            digits_of(base, digits, s[lane]);
            REQUIRE(BN_set_word(e, exponent));
            REQUIRE(BN_mod_exp(expected, s[lane], e, n[lane], bn));
            digits_of(right, digits, expected);
            rj_rsa52_power(power, moduli[lane], base, exponent);
            REQUIRE(memcmp(power, right, digits * 8) == 0);
            for (size_t i = 0; i < digits; i++) {
                work.base[i][lane] = base[i];
            }
        }
        rj_rsa52_power8(&work, moduli, exponent);
        for (int lane = 0; lane < RJ_RSA52_LANES; lane++) {
            uint64_t right[RJ_RSA52_MAX_DIGITS];

            REQUIRE(BN_mod_exp(expected, s[lane], e, n[lane], bn));
            digits_of(right, digits, expected);
            for (size_t i = 0; i < digits; i++) {
                REQUIRE(work.power[i][lane] == right[i]);
            }
        }
    }
    for (int i = 0; i < RJ_RSA52_LANES; i++) {
        BN_free(n[i]);
        BN_free(s[i]);
    }
    BN_free(e);
    BN_free(expected);
    BN_CTX_free(bn);
}

#endif
