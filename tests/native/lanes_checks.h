/* lanes_checks.h: every operation of one vector field against BIGNUM, eight random and edge numbers at a time.
 *
 * Included by drive_lanes_<curve>.c after the file itself, whose static functions it calls.
 */
#ifndef LANES_CHECKS_H
#define LANES_CHECKS_H

#include <openssl/bn.h>

#include "driver.h"

typedef struct {
    uint64_t limbs[LANES_LIMBS][FB_LANES];
} lanes_numbers;

typedef struct {
    BN_CTX *ctx;
    BIGNUM *p, *r_inverse, *limit, *mul_limit;
} lanes_oracle;

static void lanes_value(BIGNUM *out, const lanes_numbers *n, int lane)
{
    BIGNUM *limb = BN_new();
    BN_zero(out);
    for (int i = LANES_LIMBS - 1; i >= 0; i--) {
        REQUIRE(BN_set_word(limb, n->limbs[i][lane]) == 1 && BN_lshift(out, out, 52) == 1);
        REQUIRE(BN_add(out, out, limb) == 1);
    }
    BN_free(limb);
}

/* Limbs of zeros, ones or random, or multiples of p and their neighbours; below the limit of an operand. */
static void lanes_pick(lanes_numbers *out, uint64_t *seed, const lanes_oracle *o)
{
    BIGNUM *v = BN_new();
    for (int lane = 0; lane < FB_LANES; lane++) {
        do {
            uint64_t kind = driver_random(seed), k = driver_random(seed) % 3, carry = 0, near = kind >> 60;
            for (int i = 0; i < LANES_LIMBS; i++) {
                uint64_t limb = driver_random(seed) & LANES_MASK, pick = kind >> (4 * i) & 15;
                limb = pick < 4 ? limb : pick < 8 ? 0 : pick < 9 ? 1 : (uint64_t)LANES_MASK - (pick & 1);
                if (i == LANES_LIMBS - 1)
                    limb %= 3 * lanes_p[i] + 1;
                if (near < 7) { /* k p, and one to three above */
                    limb = k * lanes_p[i] + carry + (i == 0 ? near % 4 : 0);
                    carry = limb >> 52;
                    limb = i + 1 < LANES_LIMBS ? limb & LANES_MASK : limb;
                }
                out->limbs[i][lane] = limb;
            }
            lanes_value(v, out, lane);
        } while (BN_cmp(v, o->limit) > 0);
    }
    BN_free(v);
}

LANES_TARGET static void lanes_fetch(lanes_fe *r, const lanes_numbers *n)
{
    for (int i = 0; i < LANES_LIMBS; i++)
        r->v[i] = _mm512_loadu_si512(n->limbs[i]);
}

LANES_TARGET static void lanes_keep(lanes_numbers *n, const lanes_fe *a)
{
    for (int i = 0; i < LANES_LIMBS; i++)
        _mm512_storeu_si512(n->limbs[i], a->v[i]);
}

/* Whether this lane is x modulo p, its limbs are limbs, and it is below the limit. */
LANES_TARGET static void lanes_expect(const lanes_fe *a, int lane, BIGNUM *x, const BIGNUM *limit,
                                      const lanes_oracle *o)
{
    lanes_numbers n;
    BIGNUM *v = BN_new();
    uint64_t words[LANES_WORDS], least[LANES_WORDS] = {0};
    lanes_keep(&n, a);
    for (int i = 0; i < LANES_LIMBS; i++)
        REQUIRE(n.limbs[i][lane] <= (uint64_t)LANES_MASK);
    lanes_value(v, &n, lane);
    REQUIRE(BN_cmp(v, limit) <= 0);
    REQUIRE(BN_nnmod(v, v, o->p, o->ctx) == 1 && BN_nnmod(x, x, o->p, o->ctx) == 1 && BN_cmp(v, x) == 0);
    lanes_lane_words(words, a, (unsigned)lane, LANES_CURVE()->p);
    for (int i = 0; !BN_is_zero(v); i++) {
        least[i] = BN_get_word(v);
        if (BN_num_bits(v) > 64) {
            BIGNUM *low = BN_dup(v);
            REQUIRE(BN_mask_bits(low, 64) == 1);
            least[i] = BN_get_word(low);
            BN_free(low);
        }
        REQUIRE(BN_rshift(v, v, 64) == 1);
    }
    REQUIRE(words_equal(words, least, LANES_WORDS));
    BN_free(v);
}

LANES_TARGET static void lanes_check(const lanes_numbers *n, const lanes_oracle *o)
{
    lanes_fe a, b, c, product, difference, difference2, inverse;
    BIGNUM *x = BN_new(), *y = BN_new(), *z = BN_new(), *w = BN_new();
    int invertible;

    lanes_fetch(&a, &n[0]);
    lanes_fetch(&b, &n[1]);
    lanes_fetch(&c, &n[2]);
    lanes_mul(&product, &a, &b);
    lanes_sub(&difference, &a, &b);
    lanes_sub2(&difference2, &a, &b, &c);
    invertible = lanes_invert(&inverse, &a);
    REQUIRE(invertible == (lanes_zero_mask(&a) == 0));
    for (int lane = 0; lane < FB_LANES; lane++) {
        lanes_value(x, &n[0], lane);
        lanes_value(y, &n[1], lane);
        lanes_value(z, &n[2], lane);
        REQUIRE(BN_mod_mul(w, x, y, o->p, o->ctx) == 1 && BN_mod_mul(w, w, o->r_inverse, o->p, o->ctx) == 1);
        lanes_expect(&product, lane, w, o->mul_limit, o);
        REQUIRE(BN_sub(w, x, y) == 1);
        lanes_expect(&difference, lane, w, o->limit, o);
        REQUIRE((lanes_zero_mask(&difference) >> lane & 1) == BN_is_zero(w)); /* w was brought below p */
        REQUIRE(BN_sub(w, x, y) == 1 && BN_sub(w, w, z) == 1);
        lanes_expect(&difference2, lane, w, o->limit, o);
        if (invertible) { /* (x/R)^-1 R */
            REQUIRE(BN_mod_mul(w, x, o->r_inverse, o->p, o->ctx) == 1);
            REQUIRE(BN_mod_mul(w, w, o->r_inverse, o->p, o->ctx) == 1);
            REQUIRE(BN_mod_inverse(w, w, o->p, o->ctx) != NULL);
            lanes_expect(&inverse, lane, w, o->mul_limit, o);
        }
    }
    BN_free(w);
    BN_free(z);
    BN_free(y);
    BN_free(x);
}

/* drive_lanes_<curve> <count> <seed>; prints "no lanes" where this CPU has none. */
int main(int argc, char **argv)
{
    lanes_oracle o = {BN_CTX_new(), BN_new(), BN_new(), BN_new(), BN_new()};
    lanes_numbers numbers[3] = {0};
    BIGNUM *word = BN_new();
    REQUIRE(argc == 3);
    uint64_t seed = strtoull(argv[2], NULL, 10);

    if (rj_fb_lanes(RJ_CURVE_P256) == NULL) {
        printf("no lanes\n");
        return 0;
    }
    for (int i = 0; i < LANES_LIMBS; i++)
        numbers[0].limbs[i][0] = lanes_p[i];
    lanes_value(o.p, &numbers[0], 0);
    REQUIRE(BN_set_bit(word, 52 * LANES_LIMBS) == 1 && BN_mod_inverse(o.r_inverse, word, o.p, o.ctx) != NULL);
    REQUIRE(BN_copy(o.limit, o.p) != NULL && BN_mul_word(o.limit, LANES_TOP == 1 ? 26 : 21) == 1);
    REQUIRE(BN_div_word(o.limit, 10) != (BN_ULONG)-1);
    REQUIRE(BN_copy(o.mul_limit, o.p) != NULL && BN_mul_word(o.mul_limit, 13) == 1);
    REQUIRE(BN_div_word(o.mul_limit, 10) != (BN_ULONG)-1);
    for (size_t i = strtoull(argv[1], NULL, 10); i > 0; i--) {
        for (int k = 0; k < 3; k++)
            lanes_pick(&numbers[k], &seed, &o);
        if (i % 16 == 0)
            numbers[1] = numbers[0];
        lanes_check(numbers, &o);
    }
    BN_free(word);
    BN_free(o.mul_limit);
    BN_free(o.limit);
    BN_free(o.r_inverse);
    BN_free(o.p);
    BN_CTX_free(o.ctx);
    return 0;
}

#endif
