/* field_lanes.h: eight numbers modulo p at a time, in limbs of 52 bits, with AVX-512 IFMA.
 *
 * A template: the file of one curve defines LANES_LIMBS (L), LANES_WORDS, LANES_TOP (the bits of p in its top
 * limb), lanes_row and lanes_add_qc, and includes this once. Numbers are Montgomery residues for R = 2^(52 L).
 * With R >= 16 p: every function takes limbs below 2^52 and values below 2.1 p, and returns such ones (P-521, with
 * its short top limb: below 2.6 p), lanes_mul below 1.3 p. Never constant-time in intent: all numbers are public.
 */
#ifndef RJ_FIELD_LANES_H
#define RJ_FIELD_LANES_H

#define LANES_MASK ((INT64_C(1) << 52) - 1)

typedef struct {
    __m512i v[LANES_LIMBS];
} lanes_fe;

LANES_INLINE __m512i lanes_set(uint64_t word) { return _mm512_set1_epi64((long long)word); }

/* Carry signed limbs up; the whole is not negative. */
LANES_INLINE void lanes_carry(lanes_fe *r, __m512i *t)
{
    const __m512i mask = lanes_set(LANES_MASK);
#pragma GCC unroll 16
    for (int i = 0; i + 1 < LANES_LIMBS; i++) {
        t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srai_epi64(t[i], 52));
        r->v[i] = _mm512_and_si512(t[i], mask);
    }
    r->v[LANES_LIMBS - 1] = t[LANES_LIMBS - 1];
}

/* Bring a number between -8p and 8p, in signed limbs, to about [p, 2p): estimate q = floor(t / 2^bits) - 1 from the
 * top, and take q p = q 2^bits - q c away. */
LANES_INLINE void lanes_settle(lanes_fe *r, __m512i *t)
{
    const int top = LANES_LIMBS - 1;
    __m512i high = _mm512_add_epi64(t[top], _mm512_srai_epi64(t[top - 1], 52));
    __m512i q = _mm512_sub_epi64(_mm512_srai_epi64(high, LANES_TOP), lanes_set(1));
    t[top] = _mm512_sub_epi64(t[top], _mm512_slli_epi64(q, LANES_TOP));
    lanes_add_qc(t, q);
    lanes_carry(r, t);
}

LANES_INLINE void lanes_sub(lanes_fe *r, const lanes_fe *a, const lanes_fe *b)
{
    __m512i t[LANES_LIMBS];
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++)
        t[i] = _mm512_sub_epi64(a->v[i], b->v[i]);
    lanes_settle(r, t);
}

/* r = a - b - c. */
LANES_INLINE void lanes_sub2(lanes_fe *r, const lanes_fe *a, const lanes_fe *b, const lanes_fe *c)
{
    __m512i t[LANES_LIMBS];
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++)
        t[i] = _mm512_sub_epi64(_mm512_sub_epi64(a->v[i], b->v[i]), c->v[i]);
    lanes_settle(r, t);
}

#if LANES_LIMBS > 5
#define LANES_MUL LANES_TARGET static __attribute__((noinline)) /* one copy is long enough */
#else
#define LANES_MUL LANES_INLINE
#endif

/* r = a b / R. Columns gather at most 4 L products below 2^52 and a carry: below 2^58. */
LANES_MUL void lanes_mul(lanes_fe *r, const lanes_fe *a, const lanes_fe *b)
{
    __m512i t[2 * LANES_LIMBS];
#pragma GCC unroll 32
    for (int i = 0; i < 2 * LANES_LIMBS; i++)
        t[i] = _mm512_setzero_si512();
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++) {
#pragma GCC unroll 16
        for (int j = 0; j < LANES_LIMBS; j++)
            t[i + j] = _mm512_madd52lo_epu64(t[i + j], a->v[j], b->v[i]);
#pragma GCC unroll 16
        for (int j = 0; j < LANES_LIMBS; j++)
            t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a->v[j], b->v[i]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++)
        lanes_row(t + i);
    lanes_carry(r, t + LANES_LIMBS);
}

/* Which lanes are zero modulo p: 0, p or 2p. */
LANES_INLINE __mmask8 lanes_zero_mask(const lanes_fe *a)
{
    __mmask8 zero = 0;
    for (uint64_t k = 0; k < 3; k++) {
        __mmask8 equal = 0xff;
        uint64_t carry = 0;
        for (int i = 0; i < LANES_LIMBS; i++) {
            uint64_t limb = k * lanes_p[i] + carry;
            carry = i + 1 < LANES_LIMBS ? limb >> 52 : 0;
            limb = i + 1 < LANES_LIMBS ? limb & LANES_MASK : limb;
            equal &= _mm512_cmpeq_epi64_mask(a->v[i], lanes_set(limb));
        }
        zero |= equal;
    }
    return zero;
}

/* The same plain limbs in every lane. */
LANES_INLINE void lanes_broadcast(lanes_fe *r, const uint64_t *limbs)
{
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++)
        r->v[i] = lanes_set(limbs[i]);
}

/* r = a in the lanes of the mask, else b. */
LANES_INLINE void lanes_select(lanes_fe *r, __mmask8 mask, const lanes_fe *a, const lanes_fe *b)
{
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++)
        r->v[i] = _mm512_mask_mov_epi64(b->v[i], mask, a->v[i]);
}

/* Swap lanes at distance 4, 2 or 1. */
LANES_INLINE void lanes_swap(lanes_fe *r, const lanes_fe *a, int distance)
{
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++)
        r->v[i] = distance == 4 ? _mm512_shuffle_i64x2(a->v[i], a->v[i], 0x4e)
                : distance == 2 ? _mm512_shuffle_i64x2(a->v[i], a->v[i], 0xb1)
                                : _mm512_shuffle_epi32(a->v[i], (_MM_PERM_ENUM)0x4e);
}

/* Cut vectors of 64-bit words into limbs. */
LANES_INLINE void lanes_from_words(__m512i *limbs, const __m512i *words)
{
    const __m512i mask = lanes_set(LANES_MASK);
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++) {
        int word = 52 * i / 64, shift = 52 * i % 64;
        __m512i v = _mm512_srli_epi64(words[word], (unsigned)shift);
        if (shift > 12 && word + 1 < LANES_WORDS)
            v = _mm512_or_si512(v, _mm512_slli_epi64(words[word + 1], (unsigned)(64 - shift)));
        limbs[i] = _mm512_and_si512(v, mask);
    }
}

/* The plain words of one lane's number below 4p, least residue. */
LANES_INLINE void lanes_lane_words(uint64_t *words, const lanes_fe *a, unsigned lane, const uint64_t *p)
{
    uint64_t all[LANES_LIMBS][FB_LANES], wide[LANES_WORDS + 1] = {0};
    for (int i = 0; i < LANES_LIMBS; i++)
        _mm512_storeu_si512(all[i], a->v[i]);
    for (unsigned i = 0; i < LANES_LIMBS; i++) {
        unsigned word = 52 * i / 64, shift = 52 * i % 64;
        wide[word] |= all[i][lane] << shift; /* limbs are below 2^52, the top one above them is small */
        if (shift > 12)
            wide[word + 1] |= all[i][lane] >> (64 - shift);
    }
    while (wide[LANES_WORDS] != 0 || !words_less(wide, p, LANES_WORDS))
        wide[LANES_WORDS] -= words_sub(wide, wide, p, LANES_WORDS);
    words_copy(words, wide, LANES_WORDS);
}

/* Transpose eight rows of eight words. */
LANES_INLINE void lanes_transpose(__m512i *columns, const __m512i *rows)
{
    __m512i a[8], b[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm512_unpacklo_epi64(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi64(rows[2 * i], rows[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const int at = i / 2 * 4 + i % 2;
        b[at] = _mm512_shuffle_i64x2(a[at], a[at + 2], 0x88);
        b[at + 2] = _mm512_shuffle_i64x2(a[at], a[at + 2], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        columns[i] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0x88);
        columns[i + 4] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0xdd);
    }
}

#endif
