/* field_k256.h: numbers modulo p = 2^256 - c, c = 2^32 + 977, as plain residues below p. */
#ifndef RJ_FIELD_K256_H
#define RJ_FIELD_K256_H

#include "ec/field_words.h"

#define FE_WORDS 4
#define FE_C 0x00000001000003d1u

typedef struct {
    uint64_t v[FE_WORDS];
} fe;

static const uint64_t fe_p[FE_WORDS] = {0xfffffffefffffc2f, 0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff};
static const fe fe_rr = {{1, 0, 0, 0}}; /* residues are plain */
static const fe fe_one = {{1, 0, 0, 0}};
static const fe fe_lanes_scale = {{0x0000001000003d10, 0, 0, 0}}; /* 2^260 */

/* Fold the upper half twice with 2^256 = c. */
WORDS_INLINE void fe_fold(fe *r, const uint64_t t[8])
{
    uint64_t low[4], carry = 0;
    unsigned char over;
    words_u128 fold;

#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        words_u128 sum = (words_u128)t[4 + i] * FE_C + t[i] + carry;
        low[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    fold = (words_u128)carry * FE_C; /* carry < 2^34 */
    over = words_addc(&low[0], low[0], (uint64_t)fold, 0);
    over = words_addc(&low[1], low[1], (uint64_t)(fold >> 64), over);
    over = words_addc(&low[2], low[2], 0, over);
    over = words_addc(&low[3], low[3], 0, over);
    words_reduce_once(r->v, low, over, fe_p, 4);
}

WORDS_INLINE void fe_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t t[9] = {0};
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        words_mul_row(t + i, a->v, b->v[i], 4);
    fe_fold(r, t);
}

WORDS_INLINE void fe_sqr(fe *r, const fe *a) { fe_mul(r, a, a); }

#include "ec/field_residue.h"

#endif
