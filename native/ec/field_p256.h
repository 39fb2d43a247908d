/* field_p256.h: numbers modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1, as Montgomery residues (R = 2^256) below p. */
#ifndef RJ_FIELD_P256_H
#define RJ_FIELD_P256_H

#include "ec/field_words.h"

#define FE_WORDS 4

typedef struct {
    uint64_t v[FE_WORDS];
} fe;

static const uint64_t fe_p[FE_WORDS] = {0xffffffffffffffff, 0x00000000ffffffff, 0, 0xffffffff00000001};
static const fe fe_rr = {{0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};
static const fe fe_one = {{1, 0xffffffff00000000, 0xffffffffffffffff, 0x00000000fffffffe}};
static const fe fe_lanes_scale = {{0x10, 0xfffffff000000000, 0xffffffffffffffff, 0x0000000fffffffef}}; /* 2^260 */

/* One word of a times b, then one word of Montgomery reduction: -1/p = 1 mod 2^64, so the quotient is t0 itself,
 * and t + t0 p = (t - t0) + t0 (2^96 + 2^192 (2^64 - 2^32 + 1)). */
WORDS_INLINE void fe_row(uint64_t t[5], const fe *a, uint64_t b, uint64_t *top)
{
    uint64_t q, carry = 0, s1, s2, s3, s4;
    unsigned char c;
    words_u128 high;

#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        words_u128 product = (words_u128)a->v[i] * b + t[i] + carry;
        t[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    c = words_addc(&s4, t[4], carry, 0);
    *top = c;
    q = t[0];
    high = (words_u128)q * fe_p[3];
    c = words_addc(&s1, t[1], q << 32, 0);
    c = words_addc(&s2, t[2], q >> 32, c);
    c = words_addc(&s3, t[3], (uint64_t)high, c);
    c = words_addc(&s4, s4, (uint64_t)(high >> 64), c);
    t[0] = s1;
    t[1] = s2;
    t[2] = s3;
    t[3] = s4;
    t[4] = *top + c;
}

WORDS_INLINE void fe_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t t[5] = {0, 0, 0, 0, 0}, top;
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        fe_row(t, a, b->v[i], &top);
    words_reduce_once(r->v, t, t[4], fe_p, 4);
}

WORDS_INLINE void fe_sqr(fe *r, const fe *a) { fe_mul(r, a, a); }

#include "ec/field_residue.h"

#endif
