/* ed25519_fields.h: both kinds of field arithmetic and the scalars against BIGNUM, at random and edge numbers. */
#ifndef ED25519_FIELDS_H
#define ED25519_FIELDS_H

#include "ed25519_numbers.h"

#if defined(__x86_64__)
#include "ec/field_25519_lanes.h"
#endif

static void check_portable(const uint64_t a_limbs[5], const uint64_t b_limbs[5], const BIGNUM *p, BN_CTX *bn)
{
    f25519 a, b, r;
    uint64_t words[4];
    uint8_t bytes[32];
    uint8_t right_bytes[32];
    BIGNUM *x = BN_new();
    BIGNUM *y = BN_new();
    BIGNUM *right = BN_new();

    memcpy(a.v, a_limbs, 40);
    memcpy(b.v, b_limbs, 40);
    number_of(x, a.v);
    number_of(y, b.v);
    f25519_multiply(&r, &a, &b);
    REQUIRE(BN_mul(right, x, y, bn));
    same_number(r.v, right, p, bn);
    for (int i = 0; i < 5; i++) {
        REQUIRE(r.v[i] < (UINT64_C(1) << 51) + (UINT64_C(1) << 14));
    }
    f25519_square(&r, &a);
    REQUIRE(BN_sqr(right, x, bn));
    same_number(r.v, right, p, bn);
    f25519_add(&r, &a, &b);
    REQUIRE(BN_add(right, x, y));
    same_number(r.v, right, p, bn);
    f25519_to_words(words, &a);
    f25519_store(bytes, words);
    REQUIRE(BN_nnmod(right, x, p, bn) && BN_bn2lebinpad(right, right_bytes, 32) == 32);
    REQUIRE(memcmp(bytes, right_bytes, 32) == 0);
    REQUIRE(f25519_is_zero(&a) == BN_is_zero(right));
    f25519_load(words, bytes);
    f25519_from_words(&r, words);
    same_number(r.v, x, p, bn);
    if (BN_is_zero(right)) {
        REQUIRE(rj_ed25519_invert(&r, &a) == 0);
    } else {
        REQUIRE(rj_ed25519_invert(&r, &a) == 1 && BN_mod_inverse(right, right, p, bn) != NULL);
        same_number(r.v, right, p, bn);
    }
    for (int i = 0; i < 5; i++) { /* a subtrahend is tight or a sum of two tight numbers */
        b.v[i] %= (UINT64_C(1) << 53) - 76;
        a.v[i] %= (UINT64_C(1) << 53);
    }
    number_of(x, a.v);
    number_of(y, b.v);
    f25519_subtract(&r, &a, &b);
    REQUIRE(BN_sub(right, x, y));
    same_number(r.v, right, p, bn);
    for (int i = 0; i < 5; i++) {
        REQUIRE(r.v[i] < UINT64_C(1) << 54);
    }
    BN_free(x);
    BN_free(y);
    BN_free(right);
}

#if defined(__x86_64__)
typedef uint64_t lanes_limbs[5][8];

F25519X8_TARGET static f25519x8 lanes_in(const lanes_limbs a)
{
    f25519x8 r;

    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_loadu_si512(a[i]);
    }
    return r;
}

F25519X8_TARGET static void lanes_out(lanes_limbs r, const f25519x8 *a)
{
    for (int i = 0; i < 5; i++) {
        _mm512_storeu_si512(r[i], a->v[i]);
    }
}

F25519X8_TARGET __attribute__((noinline)) static void lanes_run(lanes_limbs r, const lanes_limbs a, const lanes_limbs b,
                                                                int operation)
{
    f25519x8 x = lanes_in(a);
    f25519x8 y = lanes_in(b);
    f25519x8 z = operation == 0 ? f25519x8_multiply(x, y)
               : operation == 1 ? f25519x8_carry(f25519x8_add(x, y))
               : operation == 2 ? f25519x8_carry(f25519x8_subtract(x, y))
                                : f25519x8_carry(x);
    lanes_out(r, &z);
}

static void check_lanes(uint64_t *seed, const BIGNUM *p, BN_CTX *bn)
{
    const uint64_t tight = (UINT64_C(1) << 52) - 1;
    const uint64_t loose = (UINT64_C(1) << 60) - 1;
    BIGNUM *x = BN_new();
    BIGNUM *y = BN_new();

    for (int operation = 0; operation < 4; operation++) {
        const uint64_t top = operation == 0 ? tight : operation == 3 ? (UINT64_C(1) << 62) - 1 : loose;
        lanes_limbs a, b, r;

        for (int lane = 0; lane < 8; lane++) {
            uint64_t v[5];
            uint64_t w[5];
            pick_number(v, seed, top);
            pick_number(w, seed, top);
            for (int i = 0; i < 5; i++) {
                a[i][lane] = v[i];
                b[i][lane] = w[i];
            }
        }
        lanes_run(r, (const uint64_t (*)[8])a, (const uint64_t (*)[8])b, operation);
        for (int lane = 0; lane < 8; lane++) {
            uint64_t v[5], w[5], got[5];
            for (int i = 0; i < 5; i++) {
                v[i] = a[i][lane];
                w[i] = b[i][lane];
                got[i] = r[i][lane];
                REQUIRE(got[i] < (operation == 0 ? UINT64_C(1) << 60 : (UINT64_C(1) << 51) + (UINT64_C(1) << 16)));
            }
            number_of(x, v);
            number_of(y, w);
            REQUIRE(operation == 0   ? BN_mul(x, x, y, bn)
                    : operation == 1 ? BN_add(x, x, y)
                    : operation == 2 ? BN_sub(x, x, y)
                                     : 1);
            same_number(got, x, p, bn);
        }
    }
    BN_free(x);
    BN_free(y);
}
#endif

static void check_scalar(uint64_t *seed, const BIGNUM *order, BN_CTX *bn)
{
    uint8_t in64[64];
    uint8_t out32[32];
    uint8_t right32[32];
    BIGNUM *x = BN_new();

    driver_fill(seed, in64, sizeof(in64));
    switch (driver_random(seed) % 8) {
    case 0:
        memset(in64, 0xff, sizeof(in64));
        break;
    case 1: /* near a multiple of L */
        REQUIRE(BN_lebin2bn(in64, 32, x) && BN_mul(x, x, order, bn));
        REQUIRE(driver_random(seed) % 2 == 0 ? BN_sub_word(x, driver_random(seed) % 3)
                                             : BN_add_word(x, driver_random(seed) % 3));
        REQUIRE(BN_bn2lebinpad(x, in64, 64) == 64);
        break;
    case 2:
        memset(in64 + 32, 0, 32);
        break;
    default:
        break;
    }
    REQUIRE(BN_lebin2bn(in64, 64, x) && BN_mod(x, x, order, bn) && BN_bn2lebinpad(x, right32, 32) == 32);
    rj_ed25519_scalar_reduce(out32, in64);
    REQUIRE(memcmp(out32, right32, 32) == 0);
    REQUIRE(rj_ed25519_scalar_is_reduced(out32) == 1);
    REQUIRE(BN_copy(x, order)
            && (driver_random(seed) % 2 == 0 ? BN_sub_word(x, driver_random(seed) % 3)
                                             : BN_add_word(x, driver_random(seed) % 3)));
    REQUIRE(BN_bn2lebinpad(x, out32, 32) == 32);
    REQUIRE(rj_ed25519_scalar_is_reduced(out32) == (BN_cmp(x, order) < 0));
    driver_fill(seed, out32, 32);
    REQUIRE(BN_lebin2bn(out32, 32, x));
    REQUIRE(rj_ed25519_scalar_is_reduced(out32) == (BN_cmp(x, order) < 0));
    BN_free(x);
}

static void field(unsigned long count, uint64_t seed)
{
    BIGNUM *p = number_p();
    BIGNUM *order = number_order();
    BN_CTX *bn = BN_CTX_new();

    for (unsigned long i = 0; i < count; i++) {
        uint64_t a[5], b[5];

        pick_number(a, &seed, (UINT64_C(1) << 54) - 1);
        pick_number(b, &seed, (UINT64_C(1) << 54) - 1);
        check_portable(a, b, p, bn);
#if defined(__x86_64__)
        if (rj_ed25519_lanes_usable()) {
            check_lanes(&seed, p, bn);
        }
#endif
        check_scalar(&seed, order, bn);
    }
    BN_free(p);
    BN_free(order);
    BN_CTX_free(bn);
}

#endif
