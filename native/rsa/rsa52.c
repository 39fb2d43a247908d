/* rsa52.c: one RSA power spread over AVX-512 lanes, eight digits a register.
 *
 * A step of Montgomery's method takes one digit b of the second factor: it adds a * b, then the multiple m of n
 * that clears the lowest digit, and drops that digit. Accumulator lanes are not carried between steps: a lane
 * takes four products' halves a step, 80 steps at most, so it stays below 2^61.
 */
#include "rsa/rsa52.h"

#include <string.h>

#define RSA52_MASK ((UINT64_C(1) << 52) - 1)

size_t rj_rsa52_digits(size_t modulus_bits)
{
    /* two spare bits: R > 4n keeps sums of factors below 2n without a subtraction */
    if (modulus_bits < 2048 || modulus_bits + 2 > 80 * 52) {
        return 0;
    }
    return modulus_bits + 2 <= 40 * 52 ? 40 : modulus_bits + 2 <= 60 * 52 ? 60 : 80;
}

/* The 64 bits of a big-endian number that begin at its byte `at`, counted from the low end; zeros past its top. */
static uint64_t rsa52_word_at(const uint8_t *in, size_t len, size_t at)
{
    uint64_t word = 0;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (at + 8 <= len) { /* the loop below, faster */
        memcpy(&word, in + (len - at - 8), sizeof(word));
        return __builtin_bswap64(word);
    }
#endif
    for (size_t i = at; i < len && i < at + 8; i++) {
        word |= (uint64_t)in[len - 1 - i] << (8 * (i - at));
    }
    return word;
}

void rj_rsa52_from_bytes(uint64_t *out, size_t digits, const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < digits; i += 2) { /* two digits are 13 bytes */
        out[i] = rsa52_word_at(in, len, 13 * (i / 2)) & RSA52_MASK;
        out[i + 1] = rsa52_word_at(in, len, 13 * (i / 2) + 6) >> 4 & RSA52_MASK;
    }
}

void rj_rsa52_to_bytes(uint8_t *out, size_t len, const uint64_t *in, size_t digits)
{
    size_t at = 0;

    for (size_t i = 0; i < digits; i += 2) {
        const uint64_t low = in[i] | in[i + 1] << 52;
        const uint64_t high = in[i + 1] >> 12;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (at + 16 <= len) { /* the loops below, faster; the next two digits overwrite the spare bytes */
            const uint64_t words[2] = {__builtin_bswap64(high), __builtin_bswap64(low)};
            memcpy(out + (len - at - 16), words, sizeof(words));
            at += 13;
            continue;
        }
#endif
        for (size_t k = 0; k < 8 && at + k < len; k++) {
            out[len - 1 - at - k] = (uint8_t)(low >> (8 * k));
        }
        for (size_t k = 0; k < 5 && at + 8 + k < len; k++) {
            out[len - 9 - at - k] = (uint8_t)(high >> (8 * k));
        }
        at += 13;
    }
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <immintrin.h>

#define RSA52_TARGET __attribute__((target("avx512f,avx512dq,avx512ifma")))
#define RSA52_INLINE RSA52_TARGET __attribute__((always_inline)) static inline

enum { RSA52_MAX_VECTORS = RJ_RSA52_MAX_DIGITS / 8 };

/* What stays the same through one power; the shifted copy holds digit i + 1 in lane i. */
typedef struct {
    __m512i modulus[RSA52_MAX_VECTORS];
    __m512i modulus_shifted[RSA52_MAX_VECTORS];
    __m512i negated_inverse;
    size_t digits;
} rsa52_context;

int rj_rsa52_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512ifma");
}

/* Lane i of the result is lane i + 1 of the pair low, high. */
RSA52_INLINE __m512i rsa52_shift(__m512i high, __m512i low) { return _mm512_alignr_epi64(high, low, 1); }

/* Carry lanes below 2^61 into digits below 2^52; the value must fit its vectors. */
RSA52_INLINE void rsa52_carry(__m512i *acc, size_t vectors)
{
    const __m512i mask = _mm512_set1_epi64((long long)RSA52_MASK);
    __m512i previous = _mm512_setzero_si512();
    unsigned __int128 over = 0;
    unsigned __int128 full = 0;

    for (size_t j = 0; j < vectors; j++) { /* after this each lane is below 2^52 + 2^9 */
        __m512i carry = _mm512_srli_epi64(acc[j], 52);
        __m512i digit = _mm512_and_si512(acc[j], mask);
        acc[j] = _mm512_add_epi64(digit, _mm512_alignr_epi64(carry, previous, 7));
        previous = carry;
        over |= (unsigned __int128)_mm512_cmpgt_epu64_mask(acc[j], mask) << (8 * j);
        full |= (unsigned __int128)_mm512_cmpeq_epu64_mask(acc[j], mask) << (8 * j);
    }
    over = (over + over + full) ^ full; /* lanes that still take a carry of one: it runs through full ones */
    for (size_t j = 0; j < vectors; j++) {
        __mmask8 takes = (__mmask8)(over >> (8 * j));
        acc[j] = _mm512_mask_add_epi64(acc[j], takes, acc[j], _mm512_set1_epi64(1));
        acc[j] = _mm512_and_si512(acc[j], mask);
    }
}

/* out = a * b / R mod n, below 2n, for a and b below 2n. out may be a or b. */
RSA52_INLINE void rsa52_multiply(uint64_t *out, const rsa52_context *context, const uint64_t *a_digits,
                                 const uint64_t *b_digits, size_t vectors)
{
    const __m512i mask = _mm512_set1_epi64((long long)RSA52_MASK);
    const __m512i zero = _mm512_setzero_si512();
    __m512i acc[RSA52_MAX_VECTORS];
    __m512i a[RSA52_MAX_VECTORS];
    __m512i a_shifted[RSA52_MAX_VECTORS];

    for (size_t j = 0; j < vectors; j++) {
        acc[j] = zero;
        a[j] = _mm512_load_si512(a_digits + 8 * j);
    }
    for (size_t j = 0; j < vectors; j++) {
        a_shifted[j] = rsa52_shift(j + 1 < vectors ? a[j + 1] : zero, a[j]);
    }
    for (size_t i = 0; i < context->digits; i++) {
        const __m512i b = _mm512_set1_epi64((long long)b_digits[i]);
        const __m512i low = _mm512_add_epi64(acc[0], _mm512_madd52lo_epu64(zero, a[0], b));
        const __m512i m_lane0 = _mm512_madd52lo_epu64(zero, low, context->negated_inverse);
        const __m512i m = _mm512_broadcastq_epi64(_mm512_castsi512_si128(m_lane0));
        /* low + low half of m * n0 is a multiple of 2^52, so its carry is low / 2^52 rounded up */
        const __m512i carry = _mm512_maskz_srli_epi64(1, _mm512_add_epi64(low, mask), 52);

        for (size_t j = 0; j < vectors; j++) {
            __m512i fresh = zero;
            fresh = _mm512_madd52lo_epu64(fresh, a_shifted[j], b);
            fresh = _mm512_madd52hi_epu64(fresh, a[j], b);
            acc[j] = _mm512_add_epi64(rsa52_shift(j + 1 < vectors ? acc[j + 1] : zero, acc[j]), fresh);
        }
        acc[0] = _mm512_add_epi64(acc[0], carry);
        for (size_t j = 0; j < vectors; j++) {
            acc[j] = _mm512_madd52lo_epu64(acc[j], context->modulus_shifted[j], m);
            acc[j] = _mm512_madd52hi_epu64(acc[j], context->modulus[j], m);
        }
    }
    rsa52_carry(acc, vectors);
    for (size_t j = 0; j < vectors; j++) {
        _mm512_store_si512(out + 8 * j, acc[j]);
    }
}

RSA52_INLINE void rsa52_run(uint64_t *power, rsa52_context *context, const uint64_t *square, const uint64_t *base,
                            uint64_t exponent, size_t vectors)
{
    _Alignas(64) uint64_t base_montgomery[RJ_RSA52_MAX_DIGITS];
    int bit = 63 - __builtin_clzll(exponent);

    rsa52_multiply(base_montgomery, context, base, square, vectors);
    memcpy(power, base_montgomery, vectors * 64);
    while (bit-- > 0) {
        rsa52_multiply(power, context, power, power, vectors);
        if ((exponent >> bit & 1) != 0) {
            /* the last factor is the plain base: that also leaves the Montgomery form */
            rsa52_multiply(power, context, power, bit == 0 ? base : base_montgomery, vectors);
        }
    }
}

RSA52_TARGET __attribute__((noinline)) static void
rsa52_run5(uint64_t *power, rsa52_context *context, const uint64_t *square, const uint64_t *base, uint64_t exponent)
{
    rsa52_run(power, context, square, base, exponent, 5);
}

RSA52_TARGET __attribute__((noinline)) static void
rsa52_run8(uint64_t *power, rsa52_context *context, const uint64_t *square, const uint64_t *base, uint64_t exponent)
{
    rsa52_run(power, context, square, base, exponent, 8);
}

RSA52_TARGET __attribute__((noinline)) static void
rsa52_run10(uint64_t *power, rsa52_context *context, const uint64_t *square, const uint64_t *base, uint64_t exponent)
{
    rsa52_run(power, context, square, base, exponent, 10);
}

/* Take n away once if value >= n; value is below 2n. */
static void rsa52_reduce_once(uint64_t *out, const uint64_t *value, const uint64_t *modulus, size_t digits)
{
    uint64_t reduced[RJ_RSA52_MAX_DIGITS];
    uint64_t borrow = 0;

    for (size_t i = 0; i < digits; i++) {
        uint64_t difference = value[i] - modulus[i] - borrow;
        reduced[i] = difference & RSA52_MASK;
        borrow = difference >> 63;
    }
    memcpy(out, borrow != 0 ? value : reduced, digits * sizeof(*out));
}

RSA52_TARGET void rj_rsa52_power(uint64_t *out, const rj_rsa52_modulus *modulus, const uint64_t *base,
                                 uint64_t exponent)
{
    _Alignas(64) uint64_t padded[4][RJ_RSA52_MAX_DIGITS + 8] = {{0}};
    rsa52_context context;
    size_t digits = modulus->digits;

    memcpy(padded[0], modulus->words, digits * 8);
    memcpy(padded[1], modulus->words + digits, digits * 8);
    memcpy(padded[2], base, digits * 8);
    for (size_t j = 0; j < RSA52_MAX_VECTORS; j++) {
        context.modulus[j] = _mm512_load_si512(padded[0] + 8 * j);
        context.modulus_shifted[j] = _mm512_loadu_si512(padded[0] + 8 * j + 1);
    }
    context.negated_inverse = _mm512_set1_epi64((long long)modulus->negated_inverse);
    context.digits = digits;
    if (digits == 40) {
        rsa52_run5(padded[3], &context, padded[1], padded[2], exponent);
    } else if (digits == 60) {
        rsa52_run8(padded[3], &context, padded[1], padded[2], exponent);
    } else {
        rsa52_run10(padded[3], &context, padded[1], padded[2], exponent);
    }
    rsa52_reduce_once(out, padded[3], modulus->words, digits);
}

#else

int rj_rsa52_usable(void) { return 0; }

void rj_rsa52_power(uint64_t *out, const rj_rsa52_modulus *modulus, const uint64_t *base, uint64_t exponent)
{
    (void)modulus; /* never called: rj_rsa52_usable() is false */
    (void)base;
    (void)exponent;
    out[0] = 0;
}

#endif
