/* rsa52_lanes.c: eight RSA powers at once, one a lane of an AVX-512 register.
 *
 * A product is summed by columns of four digits: tiles of 4 x 4 digit products go into eight column sums that
 * stay in registers. A square counts each tile off the diagonal once, doubled. Montgomery's quotient digits
 * come out four at a time and their tiles join the same sums.
 */
#include "rsa/rsa52.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <immintrin.h>
#include <string.h>

#define LANES_TARGET __attribute__((target("avx512f,avx512dq,avx512ifma")))
#define LANES_INLINE LANES_TARGET __attribute__((always_inline)) static inline
#define LANES_MASK ((UINT64_C(1) << 52) - 1)

enum { LANES_TILE = 4 };

typedef uint64_t lanes_digit[RJ_RSA52_LANES];

/* Sums of the low and of the high halves of products, apart so that no sum waits for another; low[k] belongs
 * to column k and high[k] to column k + 1. */
typedef struct {
    __m512i low[2 * LANES_TILE - 1];
    __m512i high[2 * LANES_TILE - 1];
} lanes_halves;

LANES_INLINE __m512i lanes_load(const lanes_digit *digit) { return _mm512_load_si512(digit); }

/* halves += a[0..3] * b[0..3] */
LANES_INLINE void lanes_tile(lanes_halves *halves, const lanes_digit *a, const lanes_digit *b)
{
    __m512i factor[LANES_TILE];

    for (int i = 0; i < LANES_TILE; i++) {
        factor[i] = lanes_load(a + i);
    }
    for (int j = 0; j < LANES_TILE; j++) {
        const __m512i other = lanes_load(b + j);
        for (int i = 0; i < LANES_TILE; i++) {
            halves->low[i + j] = _mm512_madd52lo_epu64(halves->low[i + j], factor[i], other);
            halves->high[i + j] = _mm512_madd52hi_epu64(halves->high[i + j], factor[i], other);
        }
    }
}

LANES_INLINE void lanes_double(lanes_halves *halves)
{
    for (int i = 0; i < 2 * LANES_TILE - 1; i++) {
        halves->low[i] = _mm512_add_epi64(halves->low[i], halves->low[i]);
        halves->high[i] = _mm512_add_epi64(halves->high[i], halves->high[i]);
    }
}

LANES_INLINE void lanes_clear(lanes_halves *halves)
{
    for (int i = 0; i < 2 * LANES_TILE - 1; i++) {
        halves->low[i] = _mm512_setzero_si512();
        halves->high[i] = _mm512_setzero_si512();
    }
}

/* column[0..7] += halves; a column sums at most 80 low and 80 high halves of a * b and as many of the quotient
 * times n: below 2^61 */
LANES_INLINE void lanes_fold(__m512i *column, const lanes_halves *halves)
{
    for (int i = 0; i < 2 * LANES_TILE - 1; i++) {
        column[i] = _mm512_add_epi64(column[i], halves->low[i]);
        column[i + 1] = _mm512_add_epi64(column[i + 1], halves->high[i]);
    }
}

/* The tiles of a * b (of a * a if square) whose lowest column is that of the block. */
LANES_INLINE void lanes_block_product(lanes_halves *halves, const lanes_digit *a, const lanes_digit *b, size_t block,
                                      size_t first, int square)
{
    if (!square) {
        for (size_t i = first; i + first <= block; i++) {
            lanes_tile(halves, a + LANES_TILE * i, b + LANES_TILE * (block - i));
        }
        return;
    }
    for (size_t i = first; 2 * i < block; i++) {
        lanes_tile(halves, a + LANES_TILE * i, a + LANES_TILE * (block - i));
    }
    lanes_double(halves);
    if (block % 2 == 0) {
        lanes_tile(halves, a + LANES_TILE * (block / 2), a + LANES_TILE * (block / 2));
    }
}

/* Choose four quotient digits that clear the four lowest columns, and add their own tile with n's lowest. */
LANES_INLINE void lanes_quotient(__m512i *column, lanes_digit *quotient, const lanes_digit *modulus,
                                 __m512i negated_inverse)
{
    const __m512i mask = _mm512_set1_epi64((long long)LANES_MASK);
    const __m512i zero = _mm512_setzero_si512();
    __m512i n[LANES_TILE];

    for (int i = 0; i < LANES_TILE; i++) {
        n[i] = lanes_load(modulus + i);
    }
    for (int i = 0; i < LANES_TILE; i++) {
        const __m512i m = _mm512_madd52lo_epu64(zero, column[i], negated_inverse);
        /* column + low half of m * n0 is a multiple of 2^52, so its carry is column / 2^52 rounded up */
        const __m512i carry = _mm512_srli_epi64(_mm512_add_epi64(column[i], mask), 52);

        _mm512_store_si512(quotient + i, m);
        column[i + 1] = _mm512_add_epi64(column[i + 1], carry);
        for (int j = 1; j < LANES_TILE; j++) {
            column[i + j] = _mm512_madd52lo_epu64(column[i + j], m, n[j]);
        }
        for (int j = 0; j < LANES_TILE; j++) {
            column[i + j + 1] = _mm512_madd52hi_epu64(column[i + j + 1], m, n[j]);
        }
    }
}

/* Carry four columns into digits of out. */
LANES_INLINE void lanes_settle(__m512i *column, lanes_digit *out)
{
    const __m512i mask = _mm512_set1_epi64((long long)LANES_MASK);

    for (int i = 0; i < LANES_TILE; i++) {
        _mm512_store_si512(out + i, _mm512_and_si512(column[i], mask));
        column[i + 1] = _mm512_add_epi64(column[i + 1], _mm512_srli_epi64(column[i], 52));
    }
}

/* out = a * b / R mod n, below 2n, for a and b below 2n. out may be a or b: a block of out is written after the
 * last read of that block. */
LANES_INLINE void lanes_multiply(rj_rsa52_work *work, lanes_digit *out, const lanes_digit *a, const lanes_digit *b,
                                 size_t digits, __m512i negated_inverse, int square)
{
    const size_t blocks = digits / LANES_TILE;
    __m512i column[2 * LANES_TILE];

    for (int i = 0; i < 2 * LANES_TILE; i++) {
        column[i] = _mm512_setzero_si512();
    }
    for (size_t block = 0; block < 2 * blocks; block++) {
        const size_t first = block < blocks ? 0 : block - blocks + 1;
        lanes_halves halves;

        lanes_clear(&halves);
        lanes_block_product(&halves, a, b, block, first, square);
        for (size_t i = first; i < block && i < blocks; i++) {
            lanes_tile(&halves, work->quotient + LANES_TILE * i, work->modulus + LANES_TILE * (block - i));
        }
        lanes_fold(column, &halves);
        if (block < blocks) {
            lanes_quotient(column, work->quotient + LANES_TILE * block, work->modulus, negated_inverse);
        } else {
            lanes_settle(column, out + LANES_TILE * (block - blocks));
        }
        for (int i = 0; i < LANES_TILE; i++) { /* the four lowest columns are done */
            column[i] = column[i + LANES_TILE];
            column[i + LANES_TILE] = _mm512_setzero_si512();
        }
    }
}

LANES_TARGET __attribute__((noinline)) static void lanes_square(rj_rsa52_work *work, size_t digits,
                                                                __m512i negated_inverse)
{
    lanes_multiply(work, work->power, work->power, work->power, digits, negated_inverse, 1);
}

LANES_TARGET __attribute__((noinline)) static void
lanes_times(rj_rsa52_work *work, const lanes_digit *a, const lanes_digit *b, size_t digits, __m512i negated_inverse)
{
    lanes_multiply(work, work->power, a, b, digits, negated_inverse, 0);
}

/* Take n away once in each lane where power >= n; power is below 2n. */
LANES_TARGET static void lanes_reduce_once(rj_rsa52_work *work, size_t digits)
{
    const __m512i mask = _mm512_set1_epi64((long long)LANES_MASK);
    __m512i borrow = _mm512_setzero_si512();
    __mmask8 below;

    for (size_t i = 0; i < digits; i++) { /* the difference goes where the quotient was */
        __m512i difference = _mm512_sub_epi64(lanes_load(work->power + i), lanes_load(work->modulus + i));
        difference = _mm512_sub_epi64(difference, borrow);
        _mm512_store_si512(work->quotient + i, _mm512_and_si512(difference, mask));
        borrow = _mm512_srli_epi64(difference, 63);
    }
    below = _mm512_test_epi64_mask(borrow, borrow);
    for (size_t i = 0; i < digits; i++) {
        __m512i kept = _mm512_mask_mov_epi64(lanes_load(work->quotient + i), below, lanes_load(work->power + i));
        _mm512_store_si512(work->power + i, kept);
    }
}

LANES_TARGET void rj_rsa52_power8(rj_rsa52_work *work, const rj_rsa52_modulus *const modulus[RJ_RSA52_LANES],
                                  uint64_t exponent)
{
    const size_t digits = modulus[0]->digits;
    _Alignas(64) lanes_digit inverse;
    __m512i negated_inverse;
    int bit = 63 - __builtin_clzll(exponent);

    for (size_t lane = 0; lane < RJ_RSA52_LANES; lane++) {
        inverse[lane] = modulus[lane]->negated_inverse;
        for (size_t i = 0; i < digits; i++) {
            work->modulus[i][lane] = modulus[lane]->words[i];
            work->square[i][lane] = modulus[lane]->words[digits + i];
        }
    }
    negated_inverse = _mm512_load_si512(inverse);
    lanes_times(work, work->base, work->square, digits, negated_inverse);
    memcpy(work->square, work->power, digits * sizeof(lanes_digit)); /* the base in Montgomery form */
    while (bit-- > 0) {
        lanes_square(work, digits, negated_inverse);
        if ((exponent >> bit & 1) != 0) {
            /* the last factor is the plain base: that also leaves the Montgomery form */
            lanes_times(work, work->power, bit == 0 ? work->base : work->square, digits, negated_inverse);
        }
    }
    lanes_reduce_once(work, digits);
}

#else

void rj_rsa52_power8(rj_rsa52_work *work, const rj_rsa52_modulus *const modulus[RJ_RSA52_LANES], uint64_t exponent)
{
    (void)modulus; /* never called: rj_rsa52_usable() is false */
    (void)exponent;
    work->power[0][0] = 0;
}

#endif
