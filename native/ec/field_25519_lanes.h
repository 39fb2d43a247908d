/* field_25519_lanes.h: eight numbers modulo 2^255 - 19 at a time, with the AVX-512 IFMA multiplier.
 *
 * A template of inline functions for ed25519_lanes.c. Five limbs of 51 bits, a number a lane. The multiplier reads
 * the low 52 bits of a limb and no more, so a factor must be "tight": limbs below 2^52. A product is "loose": limbs
 * below 2^60. Sums and differences of loose numbers are carried once and are tight again.
 */
#ifndef RJ_FIELD_25519_LANES_H
#define RJ_FIELD_25519_LANES_H

#include <immintrin.h>
#include <stdint.h>

#define F25519X8_TARGET __attribute__((target("avx512f,avx512dq,avx512ifma")))
#define F25519X8_INLINE F25519X8_TARGET __attribute__((always_inline, unused)) static inline
#define F25519X8_MASK ((INT64_C(1) << 51) - 1)

typedef struct {
    __m512i v[5];
} f25519x8;

F25519X8_INLINE __m512i f25519x8_all(int64_t value) { return _mm512_set1_epi64(value); }

/* Loose or a sum of loose numbers, limbs below 2^62, to tight: limbs below 2^51 + 2^16. */
F25519X8_INLINE f25519x8 f25519x8_carry(f25519x8 a)
{
    const __m512i mask = f25519x8_all(F25519X8_MASK);
    f25519x8 r;

    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_and_si512(a.v[i], mask);
    }
    for (int i = 1; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(r.v[i], _mm512_srli_epi64(a.v[i - 1], 51));
    }
    /* 2^255 = 19 */
    r.v[0] = _mm512_madd52lo_epu64(r.v[0], _mm512_srli_epi64(a.v[4], 51), f25519x8_all(19));
    return r;
}

F25519X8_INLINE f25519x8 f25519x8_add(f25519x8 a, f25519x8 b)
{
    f25519x8 r;

    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(a.v[i], b.v[i]);
    }
    return r;
}

/* a - b + 2^10 p; b loose: its limbs stay below those of 2^10 p, which are above 2^60 */
F25519X8_INLINE f25519x8 f25519x8_subtract(f25519x8 a, f25519x8 b)
{
    const __m512i low = f25519x8_all((F25519X8_MASK - 18) << 10);
    const __m512i other = f25519x8_all(F25519X8_MASK << 10);
    f25519x8 r;

    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_sub_epi64(_mm512_add_epi64(a.v[i], i == 0 ? low : other), b.v[i]);
    }
    return r;
}

/* Tight times tight to loose: a column takes five low halves and twice five high halves, below 2^55.4, and 19
 * times such a one. */
F25519X8_INLINE f25519x8 f25519x8_multiply(f25519x8 a, f25519x8 b)
{
    __m512i column[10];
    f25519x8 r;

    for (int k = 0; k < 10; k++) {
        column[k] = _mm512_setzero_si512();
    }
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++) {
            column[i + j + 1] = _mm512_madd52hi_epu64(column[i + j + 1], a.v[i], b.v[j]);
        }
    }
    for (int k = 1; k < 10; k++) { /* a high half weighs 2^52, two of the next limb */
        column[k] = _mm512_add_epi64(column[k], column[k]);
    }
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++) {
            column[i + j] = _mm512_madd52lo_epu64(column[i + j], a.v[i], b.v[j]);
        }
    }
    for (int k = 0; k < 5; k++) { /* 2^255 = 19 */
        const __m512i over = column[k + 5];
        const __m512i by3 = _mm512_add_epi64(over, _mm512_slli_epi64(over, 1));
        r.v[k] = _mm512_add_epi64(_mm512_add_epi64(column[k], _mm512_slli_epi64(over, 4)), by3);
    }
    return r;
}

#endif
