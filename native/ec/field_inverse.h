/* field_inverse.h: the inverse of a public number modulo a fixed odd prime, in variable time.
 *
 * Source: Bernstein and Yang, "Fast constant-time gcd computation and modular inversion" (2019), s.11: division
 * steps in blocks of 62, here with the early ends that public values allow.
 */
#ifndef RJ_FIELD_INVERSE_H
#define RJ_FIELD_INVERSE_H

#include <stdint.h>

#define INVERSE_MAX_LIMBS 9

/* A modulus cut into signed limbs of 62 bits. */
typedef struct {
    unsigned limbs; /* 5, 7 or 9: holds the modulus, its sign and a carry */
    uint64_t inv62; /* 1 / m mod 2^62 */
    int64_t m[INVERSE_MAX_LIMBS];
} inverse_modulus;

/* r = 1 / a mod m for 0 < a < m, both of `words` 64-bit words; r may be a.
 * Returns 1, or 0 when a is zero (r is not written). */
int rj_inverse_vartime(uint64_t *r, const uint64_t *a, unsigned words, const inverse_modulus *modulus);

#endif
