/* field_checks.h: every operation of one plain C field against BIGNUM, on random and edge numbers.
 *
 * Included by drive_field_<curve>.c after the file itself, whose static functions it calls. FE_LIMB_BITS is defined
 * only by the loosely reduced field of P-521, whose residues are plain and whose limbs pass 58 bits a little.
 */
#ifndef FIELD_CHECKS_H
#define FIELD_CHECKS_H

#include <openssl/bn.h>

#include "driver.h"

#ifdef FE_LIMB_BITS
#define FIELD_LIMB_BITS FE_LIMB_BITS
#define FIELD_LIMB_END ((UINT64_C(1) << 58) + 64)
#else
#define FIELD_LIMB_BITS 64
#endif

typedef struct {
    BN_CTX *ctx;
    BIGNUM *p, *r_inverse, *x, *y;
} field_oracle;

static void field_value(BIGNUM *out, const uint64_t *limbs, int bits)
{
    BIGNUM *limb = BN_new();
    BN_zero(out);
    for (int i = FE_WORDS - 1; i >= 0; i--) {
        REQUIRE(BN_set_word(limb, limbs[i]) == 1 && BN_lshift(out, out, bits) == 1 && BN_add(out, out, limb) == 1);
    }
    BN_free(limb);
}

/* Limbs of zeros, ones, near p's own, or random; below p where the field wants that. */
static void field_pick(fe *out, uint64_t *seed, const field_oracle *o)
{
    for (;;) {
        uint64_t kind = driver_random(seed);
        for (int i = 0; i < FE_WORDS; i++) {
            uint64_t all = FIELD_LIMB_BITS == 64 ? UINT64_MAX : (UINT64_C(1) << 58) - 1, limb = driver_random(seed);
            unsigned pick = (unsigned)(kind >> (4 * i)) & 15;
            out->v[i] = pick < 4 ? limb & all : pick < 7 ? 0 : pick < 9 ? 1 : pick < 13 ? all : all - 1;
#ifdef FE_LIMB_BITS
            if (pick == 13)
                out->v[i] = FIELD_LIMB_END - 1;
#else
            if (kind >> 60 < 7)
                out->v[i] = fe_p[i] + (i == 0 ? (uint64_t)0 - limb % 4 : 0); /* p, p - 1 ... p - 3 */
#endif
        }
#ifndef FE_LIMB_BITS
        BIGNUM *v = o->x;
        field_value(v, out->v, 64);
        if (BN_cmp(v, o->p) >= 0)
            continue;
#else
        (void)o;
#endif
        return;
    }
}

/* Whether r, a result, is x modulo p and as reduced as its field promises. */
static void field_expect(const fe *r, BIGNUM *x, const field_oracle *o)
{
    field_value(o->y, r->v, FIELD_LIMB_BITS);
#ifdef FE_LIMB_BITS
    for (int i = 0; i < FE_WORDS; i++)
        REQUIRE(r->v[i] < FIELD_LIMB_END);
#else
    REQUIRE(BN_cmp(o->y, o->p) < 0);
#endif
    REQUIRE(BN_nnmod(x, x, o->p, o->ctx) == 1 && BN_nnmod(o->y, o->y, o->p, o->ctx) == 1);
    REQUIRE(BN_cmp(x, o->y) == 0);
}

static void field_check(const fe *a, const fe *b, const field_oracle *o, const fb_curve *curve)
{
    BIGNUM *x = BN_new(), *y = BN_new(), *z = BN_new();
    uint64_t words[FE_WORDS];
    fe r;

    field_value(x, a->v, FIELD_LIMB_BITS);
    field_value(y, b->v, FIELD_LIMB_BITS);
    fe_mul(&r, a, b);
    REQUIRE(BN_mod_mul(z, x, y, o->p, o->ctx) == 1 && BN_mod_mul(z, z, o->r_inverse, o->p, o->ctx) == 1);
    field_expect(&r, z, o);
    fe_sqr(&r, a);
    REQUIRE(BN_mod_mul(z, x, x, o->p, o->ctx) == 1 && BN_mod_mul(z, z, o->r_inverse, o->p, o->ctx) == 1);
    field_expect(&r, z, o);
    fe_add(&r, a, b);
    REQUIRE(BN_add(z, x, y) == 1);
    field_expect(&r, z, o);
    fe_sub(&r, a, b);
    REQUIRE(BN_sub(z, x, y) == 1);
    field_expect(&r, z, o);
    REQUIRE(BN_nnmod(z, z, o->p, o->ctx) == 1);
    REQUIRE(fe_equal(a, b) == BN_is_zero(z) && fe_is_zero(&r) == BN_is_zero(z));
    REQUIRE(BN_mod_mul(z, x, o->r_inverse, o->p, o->ctx) == 1);
    fe_to_words(words, a);
    field_value(y, words, 64);
    REQUIRE(BN_cmp(y, z) == 0); /* plain, least */
    fe_from_words(&r, words);
    field_expect(&r, x, o);
    if (rj_inverse_vartime(words, words, FE_WORDS, &curve->mod_p)) {
        field_value(y, words, 64);
        REQUIRE(BN_mod_mul(y, y, z, o->p, o->ctx) == 1 && BN_is_one(y));
    } else
        REQUIRE(BN_is_zero(z));
    BN_free(z);
    BN_free(y);
    BN_free(x);
}

/* drive_field_<curve> <count> <seed> */
int main(int argc, char **argv)
{
    field_oracle o = {BN_CTX_new(), BN_new(), BN_new(), BN_new(), BN_new()};
    const fb_curve *curve = FILL_CURVE();
    fe a, b;
    REQUIRE(argc == 3);
    uint64_t seed = strtoull(argv[2], NULL, 10);

    field_value(o.p, curve->p, 64);
    REQUIRE(BN_one(o.r_inverse) == 1);
    field_value(o.x, fe_one.v, FIELD_LIMB_BITS); /* R mod p */
    REQUIRE(BN_mod_inverse(o.r_inverse, o.x, o.p, o.ctx) != NULL);
    for (size_t i = strtoull(argv[1], NULL, 10); i > 0; i--) {
        field_pick(&a, &seed, &o);
        field_pick(&b, &seed, &o);
        if (i % 16 == 0)
            b = a;
        field_check(&a, &b, &o, curve);
    }
    BN_free(o.y);
    BN_free(o.x);
    BN_free(o.r_inverse);
    BN_free(o.p);
    BN_CTX_free(o.ctx);
    return 0;
}

#endif
