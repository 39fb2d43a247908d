/* field_25519.h: numbers modulo p = 2^255 - 19 in five limbs of 51 bits, plain C (RFC 8032 s.5.1).
 *
 * A template of inline functions for the ed25519 files. Limbs may run over: sums and differences are not
 * carried. "Tight" is the result of a product: limbs below 2^52. A sum or difference of tight numbers, and a sum
 * or difference of those once more, may enter a product: limbs below 2^54.
 */
#ifndef RJ_FIELD_25519_H
#define RJ_FIELD_25519_H

#include <stdint.h>
#include <string.h>

#define F25519_INLINE static inline __attribute__((always_inline, unused))
#define F25519_MASK ((UINT64_C(1) << 51) - 1)

__extension__ typedef unsigned __int128 f25519_wide;

typedef struct {
    uint64_t v[5];
} f25519;

static const f25519 f25519_zero __attribute__((unused)) = {{0, 0, 0, 0, 0}};
static const f25519 f25519_one __attribute__((unused)) = {{1, 0, 0, 0, 0}};

F25519_INLINE void f25519_add(f25519 *r, const f25519 *a, const f25519 *b)
{
    for (int i = 0; i < 5; i++) {
        r->v[i] = a->v[i] + b->v[i];
    }
}

/* r = a - b + 4p; b has limbs below 2^53 - 76 */
F25519_INLINE void f25519_subtract(f25519 *r, const f25519 *a, const f25519 *b)
{
    r->v[0] = a->v[0] + ((UINT64_C(1) << 53) - 76) - b->v[0];
    for (int i = 1; i < 5; i++) {
        r->v[i] = a->v[i] + ((UINT64_C(1) << 53) - 4) - b->v[i];
    }
}

/* Carry five column sums, each below 2^115, into tight limbs. */
F25519_INLINE void f25519_carry_columns(f25519 *r, f25519_wide c0, f25519_wide c1, f25519_wide c2, f25519_wide c3,
                                        f25519_wide c4)
{
    uint64_t low;

    c1 += (uint64_t)(c0 >> 51);
    c2 += (uint64_t)(c1 >> 51);
    c3 += (uint64_t)(c2 >> 51);
    c4 += (uint64_t)(c3 >> 51);
    c0 = ((uint64_t)c0 & F25519_MASK) + (f25519_wide)19 * (uint64_t)(c4 >> 51); /* 2^255 = 19 */
    low = (uint64_t)c0 & F25519_MASK;
    r->v[0] = low;
    r->v[1] = ((uint64_t)c1 & F25519_MASK) + (uint64_t)(c0 >> 51);
    r->v[2] = (uint64_t)c2 & F25519_MASK;
    r->v[3] = (uint64_t)c3 & F25519_MASK;
    r->v[4] = (uint64_t)c4 & F25519_MASK;
}

F25519_INLINE void f25519_multiply(f25519 *r, const f25519 *a, const f25519 *b)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    const uint64_t b0 = b->v[0], b1 = b->v[1], b2 = b->v[2], b3 = b->v[3], b4 = b->v[4];
    const uint64_t b1_19 = 19 * b1, b2_19 = 19 * b2, b3_19 = 19 * b3, b4_19 = 19 * b4;

    f25519_carry_columns(r,
                         (f25519_wide)a0 * b0 + (f25519_wide)a1 * b4_19 + (f25519_wide)a2 * b3_19
                             + (f25519_wide)a3 * b2_19 + (f25519_wide)a4 * b1_19,
                         (f25519_wide)a0 * b1 + (f25519_wide)a1 * b0 + (f25519_wide)a2 * b4_19 + (f25519_wide)a3 * b3_19
                             + (f25519_wide)a4 * b2_19,
                         (f25519_wide)a0 * b2 + (f25519_wide)a1 * b1 + (f25519_wide)a2 * b0 + (f25519_wide)a3 * b4_19
                             + (f25519_wide)a4 * b3_19,
                         (f25519_wide)a0 * b3 + (f25519_wide)a1 * b2 + (f25519_wide)a2 * b1 + (f25519_wide)a3 * b0
                             + (f25519_wide)a4 * b4_19,
                         (f25519_wide)a0 * b4 + (f25519_wide)a1 * b3 + (f25519_wide)a2 * b2 + (f25519_wide)a3 * b1
                             + (f25519_wide)a4 * b0);
}

F25519_INLINE void f25519_square(f25519 *r, const f25519 *a) { f25519_multiply(r, a, a); }

/* The one representative below p. Limbs of a below 2^54. */
F25519_INLINE void f25519_canonical(f25519 *r, const f25519 *a)
{
    uint64_t v[5];
    uint64_t carry = 0;

    memcpy(v, a->v, sizeof(v));
    for (int round = 0; round < 2; round++) { /* limbs below 2^51 after, the value below 2^255 + 19 * 8 */
        for (int i = 0; i < 5; i++) {
            v[i] += carry;
            carry = v[i] >> 51;
            v[i] &= F25519_MASK;
        }
        carry *= 19;
    }
    v[0] += carry;
    carry = (v[0] + 19) >> 51; /* value + 19 reaches 2^255 exactly if value >= p */
    for (int i = 1; i < 5; i++) {
        carry = (v[i] + carry) >> 51;
    }
    carry *= 19;
    for (int i = 0; i < 5; i++) {
        v[i] += carry;
        carry = v[i] >> 51;
        r->v[i] = v[i] & F25519_MASK;
    }
}

F25519_INLINE void f25519_to_words(uint64_t words[4], const f25519 *a)
{
    f25519 c;

    f25519_canonical(&c, a);
    words[0] = c.v[0] | c.v[1] << 51;
    words[1] = c.v[1] >> 13 | c.v[2] << 38;
    words[2] = c.v[2] >> 26 | c.v[3] << 25;
    words[3] = c.v[3] >> 39 | c.v[4] << 12;
}

/* Bit 255 of the words is ignored. */
F25519_INLINE void f25519_from_words(f25519 *r, const uint64_t words[4])
{
    r->v[0] = words[0] & F25519_MASK;
    r->v[1] = (words[0] >> 51 | words[1] << 13) & F25519_MASK;
    r->v[2] = (words[1] >> 38 | words[2] << 26) & F25519_MASK;
    r->v[3] = (words[2] >> 25 | words[3] << 39) & F25519_MASK;
    r->v[4] = words[3] >> 12 & F25519_MASK;
}

F25519_INLINE int f25519_is_zero(const f25519 *a)
{
    f25519 c;

    f25519_canonical(&c, a);
    return (c.v[0] | c.v[1] | c.v[2] | c.v[3] | c.v[4]) == 0;
}

/* Words of 32 little-endian bytes, and back; RJ_HAVE_ED25519 asks for a little-endian machine. */
F25519_INLINE void f25519_load(uint64_t words[4], const uint8_t bytes32[32]) { memcpy(words, bytes32, 32); }

F25519_INLINE void f25519_store(uint8_t bytes32[32], const uint64_t words[4]) { memcpy(bytes32, words, 32); }

#endif
