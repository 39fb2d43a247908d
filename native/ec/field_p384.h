/* field_p384.h: numbers modulo p = 2^384 - 2^128 - 2^96 + 2^32 - 1, as Montgomery residues (R = 2^384) below p. */
#ifndef RJ_FIELD_P384_H
#define RJ_FIELD_P384_H

#include "ec/field_words.h"

#define FE_WORDS 6
#define FE_P_NEG_INV 0x0000000100000001

typedef struct {
    uint64_t v[FE_WORDS];
} fe;

static const uint64_t fe_p[FE_WORDS] = {0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe,
                                        0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff};
static const fe fe_rr = {{0xfffffffe00000001, 0x0000000200000000, 0xfffffffe00000000, 0x0000000200000000, 1, 0}};
static const fe fe_one = {{0xffffffff00000001, 0x00000000ffffffff, 1, 0, 0, 0}};
static const fe fe_lanes_scale = {{0x0000000100000000, 0xffffffffffffffff, 0x0000000100000000, 0, 0, 0}}; /* 2^416 */

/* One copy: the call costs nothing beside the work, and inlined everywhere it would crowd the caches. */
static __attribute__((noinline)) void field_p384_mul(fe *r, const fe *a, const fe *b)
{
    words_mont_mul(r->v, a->v, b->v, fe_p, FE_P_NEG_INV, FE_WORDS);
}

WORDS_INLINE void fe_mul(fe *r, const fe *a, const fe *b) { field_p384_mul(r, a, b); }

WORDS_INLINE void fe_sqr(fe *r, const fe *a) { fe_mul(r, a, a); }

#include "ec/field_residue.h"

#endif
