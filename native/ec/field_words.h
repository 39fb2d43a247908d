/* field_words.h: little-endian numbers of a fixed count of 64-bit words, and Montgomery multiplication on them.
 *
 * Every `words` argument is a constant at the call, so each use compiles to straight code for its curve.
 * Nothing here is constant-time in intent: all numbers are public.
 */
#ifndef RJ_FIELD_WORDS_H
#define RJ_FIELD_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define WORDS_MAX 9 /* 521 bits */

#if defined(__SANITIZE_ADDRESS__)
#define WORDS_INLINE static __attribute__((noinline, unused)) /* instrumented copies would take minutes to compile */
#else
#define WORDS_INLINE static inline __attribute__((always_inline, unused))
#endif

__extension__ typedef unsigned __int128 words_u128;
__extension__ typedef __int128 words_i128;

#if defined(__x86_64__) && !defined(RJ_PORTABLE_ONLY)
#include <immintrin.h>
#endif

/* *sum = a + b + carry; returns the carry out. */
WORDS_INLINE unsigned char words_addc(uint64_t *sum, uint64_t a, uint64_t b, unsigned char carry)
{
#if defined(__x86_64__) && !defined(RJ_PORTABLE_ONLY)
    unsigned long long t;
    carry = _addcarry_u64(carry, a, b, &t);
    *sum = t;
    return carry;
#else
    words_u128 t = (words_u128)a + b + carry;
    *sum = (uint64_t)t;
    return (unsigned char)(t >> 64);
#endif
}

/* *difference = a - b - borrow; returns the borrow out. */
WORDS_INLINE unsigned char words_subb(uint64_t *difference, uint64_t a, uint64_t b, unsigned char borrow)
{
#if defined(__x86_64__) && !defined(RJ_PORTABLE_ONLY)
    unsigned long long t;
    borrow = _subborrow_u64(borrow, a, b, &t);
    *difference = t;
    return borrow;
#else
    words_u128 t = (words_u128)a - b - borrow;
    *difference = (uint64_t)t;
    return (unsigned char)((t >> 64) & 1);
#endif
}

WORDS_INLINE unsigned char words_add(uint64_t *r, const uint64_t *a, const uint64_t *b, unsigned words)
{
    unsigned char carry = 0;
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++)
        carry = words_addc(&r[i], a[i], b[i], carry);
    return carry;
}

WORDS_INLINE unsigned char words_sub(uint64_t *r, const uint64_t *a, const uint64_t *b, unsigned words)
{
    unsigned char borrow = 0;
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++)
        borrow = words_subb(&r[i], a[i], b[i], borrow);
    return borrow;
}

WORDS_INLINE int words_is_zero(const uint64_t *a, unsigned words)
{
    uint64_t any = 0;
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++)
        any |= a[i];
    return any == 0;
}

WORDS_INLINE int words_equal(const uint64_t *a, const uint64_t *b, unsigned words)
{
    uint64_t any = 0;
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++)
        any |= a[i] ^ b[i];
    return any == 0;
}

WORDS_INLINE int words_less(const uint64_t *a, const uint64_t *b, unsigned words)
{
    uint64_t scratch[WORDS_MAX];
    return words_sub(scratch, a, b, words);
}

WORDS_INLINE void words_copy(uint64_t *r, const uint64_t *a, unsigned words)
{
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++)
        r[i] = a[i];
}

/* r = a or, when a (with its carry word above) is at least m, a - m. */
WORDS_INLINE void words_reduce_once(uint64_t *r, const uint64_t *a, uint64_t carry, const uint64_t *m, unsigned words)
{
    uint64_t less[WORDS_MAX];
    uint64_t borrow = words_sub(less, a, m, words);
    uint64_t keep = (uint64_t)0 - (uint64_t)(borrow > carry);
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++)
        r[i] = (a[i] & keep) | (less[i] & ~keep);
}

/* r = a - b mod m, for a, b < m. */
WORDS_INLINE void words_mod_sub(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *m, unsigned words)
{
    uint64_t difference[WORDS_MAX], masked[WORDS_MAX];
    uint64_t mask = (uint64_t)0 - (uint64_t)words_sub(difference, a, b, words);
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++)
        masked[i] = m[i] & mask;
    (void)words_add(r, difference, masked, words);
}

/* r = a + b mod m, for a, b < m. */
WORDS_INLINE void words_mod_add(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *m, unsigned words)
{
    uint64_t sum[WORDS_MAX];
    unsigned char carry = words_add(sum, a, b, words);
    words_reduce_once(r, sum, carry, m, words);
}

/* t[0..words] += a * b; t has words + 1 words and the caller knows the sum fits. */
WORDS_INLINE void words_mul_row(uint64_t *t, const uint64_t *a, uint64_t b, unsigned words)
{
    uint64_t carry = 0;
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++) {
        words_u128 product = (words_u128)a[i] * b + t[i] + carry;
        t[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    t[words] += carry;
}

/* r = a * b / 2^(64 words) mod m, for a, b < m, odd m, m_neg_inv = -1/m mod 2^64.
 * Source: Montgomery 1985, the operand-scanning form. */
WORDS_INLINE void words_mont_mul(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *m,
                                 uint64_t m_neg_inv, unsigned words)
{
    uint64_t t[2 * WORDS_MAX + 1];
    uint64_t top = 0;
#pragma GCC unroll 19
    for (unsigned i = 0; i <= 2 * words; i++)
        t[i] = 0;
#pragma GCC unroll 9
    for (unsigned i = 0; i < words; i++) {
        words_u128 low = (words_u128)a[0] * b[i] + t[i];
        uint64_t carry_ab = (uint64_t)(low >> 64);
        uint64_t q = (uint64_t)low * m_neg_inv;
        words_u128 zero = (words_u128)q * m[0] + (uint64_t)low;
        uint64_t carry_qm = (uint64_t)(zero >> 64);
#pragma GCC unroll 9
        for (unsigned j = 1; j < words; j++) {
            words_u128 ab = (words_u128)a[j] * b[i] + t[i + j] + carry_ab;
            words_u128 qm = (words_u128)q * m[j] + (uint64_t)ab + carry_qm;
            carry_ab = (uint64_t)(ab >> 64);
            carry_qm = (uint64_t)(qm >> 64);
            t[i + j] = (uint64_t)qm;
        }
        words_u128 end = (words_u128)carry_ab + carry_qm + top;
        t[i + words] = (uint64_t)end;
        top = (uint64_t)(end >> 64);
    }
    words_reduce_once(r, t + words, top, m, words);
}

#endif
