/* field_p521.h: numbers modulo p = 2^521 - 1 in nine limbs of 58 bits (522 bits), loosely reduced.
 *
 * Every function here returns limbs below 2^58 + 2^6 and takes such limbs; fe_mul bears limbs up to 2^59.
 */
#ifndef RJ_FIELD_P521_H
#define RJ_FIELD_P521_H

#include "ec/field_words.h"

#define FE_WORDS 9
#define FE_LIMB_BITS 58
#define FE_MASK ((UINT64_C(1) << FE_LIMB_BITS) - 1)
#define FE_TOP_BITS 57 /* 521 - 8 * 58 */
#define FE_TOP_MASK ((UINT64_C(1) << FE_TOP_BITS) - 1)

typedef struct {
    uint64_t v[FE_WORDS];
} fe;

static const fe fe_one = {{1, 0, 0, 0, 0, 0, 0, 0, 0}};

/* Carry once around: what is above bit 521 comes back at bit 0. */
WORDS_INLINE void fe_carry(fe *r, const uint64_t v[FE_WORDS])
{
    uint64_t carry = v[8] >> FE_TOP_BITS;
#pragma GCC unroll 9
    for (unsigned i = 0; i < 8; i++) {
        carry += v[i];
        r->v[i] = carry & FE_MASK;
        carry >>= FE_LIMB_BITS;
    }
    r->v[8] = (v[8] & FE_TOP_MASK) + carry;
}

WORDS_INLINE void fe_add(fe *r, const fe *a, const fe *b)
{
    uint64_t sum[FE_WORDS];
#pragma GCC unroll 9
    for (unsigned i = 0; i < FE_WORDS; i++)
        sum[i] = a->v[i] + b->v[i];
    fe_carry(r, sum);
}

/* a + 4p - b: 4p limb by limb is above every b. */
WORDS_INLINE void fe_sub(fe *r, const fe *a, const fe *b)
{
    uint64_t difference[FE_WORDS];
#pragma GCC unroll 9
    for (unsigned i = 0; i < 8; i++)
        difference[i] = a->v[i] + 4 * FE_MASK - b->v[i];
    difference[8] = a->v[8] + 4 * FE_TOP_MASK - b->v[8];
    fe_carry(r, difference);
}

/* Nine columns of products, 2^522 = 2 folded in by doubling b; then two rounds of carries. One copy, as on 384 bits. */
static __attribute__((noinline)) void field_p521_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t twice[FE_WORDS], v[FE_WORDS];
    words_u128 column, carry = 0;

#pragma GCC unroll 9
    for (unsigned i = 0; i < FE_WORDS; i++)
        twice[i] = 2 * b->v[i];
#pragma GCC unroll 9
    for (unsigned k = 0; k < FE_WORDS; k++) {
        column = carry;
#pragma GCC unroll 9
        for (unsigned i = 0; i < FE_WORDS; i++)
            column += (words_u128)a->v[i] * (i <= k ? b->v[k - i] : twice[k + FE_WORDS - i]);
        v[k] = (uint64_t)column & FE_MASK;
        carry = column >> FE_LIMB_BITS;
    }
    carry = carry * 2 + v[0]; /* at bit 522 */
    v[0] = (uint64_t)carry & FE_MASK;
    carry = (carry >> FE_LIMB_BITS) + v[1];
    v[1] = (uint64_t)carry & FE_MASK;
    v[2] += (uint64_t)(carry >> FE_LIMB_BITS);
    words_copy(r->v, v, FE_WORDS);
}

WORDS_INLINE void fe_mul(fe *r, const fe *a, const fe *b) { field_p521_mul(r, a, b); }

WORDS_INLINE void fe_sqr(fe *r, const fe *a) { fe_mul(r, a, a); }

/* The limbs of the least residue. */
WORDS_INLINE void fe_canonical(fe *r, const fe *a)
{
    fe t;
    uint64_t all = FE_MASK;
    fe_carry(&t, a->v);
    fe_carry(&t, t.v);
    fe_carry(&t, t.v);
#pragma GCC unroll 9
    for (unsigned i = 1; i < 8; i++)
        all &= t.v[i];
    if (all == FE_MASK && t.v[0] == FE_MASK && t.v[8] == FE_TOP_MASK)
        t = (fe){{0}}; /* p itself */
    *r = t;
}

WORDS_INLINE int fe_is_zero(const fe *a)
{
    fe t;
    fe_canonical(&t, a);
    return words_is_zero(t.v, FE_WORDS);
}

WORDS_INLINE int fe_equal(const fe *a, const fe *b)
{
    fe difference;
    fe_sub(&difference, a, b);
    return fe_is_zero(&difference);
}

WORDS_INLINE void fe_from_words(fe *r, const uint64_t *words)
{
#pragma GCC unroll 9
    for (unsigned i = 0; i < FE_WORDS; i++) {
        unsigned bit = FE_LIMB_BITS * i, word = bit / 64, shift = bit % 64;
        uint64_t v = words[word] >> shift;
        if (shift > 64 - FE_LIMB_BITS)
            v |= word + 1 < FE_WORDS ? words[word + 1] << (64 - shift) : 0;
        r->v[i] = v & FE_MASK;
    }
}

WORDS_INLINE void fe_to_words(uint64_t *words, const fe *a)
{
    fe t;
    fe_canonical(&t, a);
#pragma GCC unroll 9
    for (unsigned i = 0; i < FE_WORDS; i++) {
        unsigned bit = 64 * i, limb = bit / FE_LIMB_BITS, shift = bit % FE_LIMB_BITS;
        uint64_t v = t.v[limb] >> shift;
        if (limb + 1 < FE_WORDS)
            v |= t.v[limb + 1] << (FE_LIMB_BITS - shift);
        if (limb + 2 < FE_WORDS && 2 * FE_LIMB_BITS - shift < 64)
            v |= t.v[limb + 2] << (2 * FE_LIMB_BITS - shift);
        words[i] = v;
    }
}

/* The stored form of a for the vector arithmetic: the Montgomery residue for R = 2^572, in plain words. */
WORDS_INLINE void fe_to_lanes(uint64_t *words, const fe *a)
{
    static const fe scale = {{UINT64_C(1) << 51, 0, 0, 0, 0, 0, 0, 0, 0}}; /* 2^572 = 2^51 */
    fe scaled;
    fe_mul(&scaled, a, &scale);
    fe_to_words(words, &scaled);
}

#endif
