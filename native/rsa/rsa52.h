/* rsa52.h: s^e mod n in radix 2^52 with the AVX-512 IFMA multiplier (52 x 52 -> 104 bits).
 *
 * Serves moduli of 2048 to 4158 bits on machines that have the instructions; rsa.c asks first and uses
 * libcrypto's arithmetic elsewhere. Two shapes: one signature spread over the lanes of a register, or eight
 * signatures, one a lane. Public values only, so no constant-time duty; never allocates.
 *
 * Numbers are little-endian digits below 2^52, one in each uint64_t. Montgomery's R is 2^(52 * digits).
 */
#ifndef RJ_RSA52_H
#define RJ_RSA52_H

#include <stddef.h>
#include <stdint.h>

enum { RJ_RSA52_MAX_DIGITS = 80, RJ_RSA52_LANES = 8 };

/* A modulus ready for use: n and R^2 mod n follow, digits words each. */
typedef struct {
    uint64_t negated_inverse; /* -1/n mod 2^52 */
    uint32_t digits;          /* 40, 60 or 80 */
    uint64_t words[];
} rj_rsa52_modulus;

/* Scratch of the eight-lane form; rj_rsa52_power8 may find anything in it. */
typedef struct {
    _Alignas(64) uint64_t modulus[RJ_RSA52_MAX_DIGITS][RJ_RSA52_LANES];
    uint64_t square[RJ_RSA52_MAX_DIGITS][RJ_RSA52_LANES]; /* R^2 mod n */
    uint64_t base[RJ_RSA52_MAX_DIGITS][RJ_RSA52_LANES];
    uint64_t power[RJ_RSA52_MAX_DIGITS][RJ_RSA52_LANES];
    uint64_t quotient[RJ_RSA52_MAX_DIGITS][RJ_RSA52_LANES];
} rj_rsa52_work;

/* Returns 1 if this build and this machine have the instructions, else 0. */
int rj_rsa52_usable(void);

/* Returns the digits a modulus of that many bits needs: 40, 60 or 80; 0 if it is not served here. */
size_t rj_rsa52_digits(size_t modulus_bits);

/* Spread big-endian bytes over digits. In: len bytes at in, a value below 2^(52 * digits). */
void rj_rsa52_from_bytes(uint64_t *out, size_t digits, const uint8_t *in, size_t len);

/* Gather digits into big-endian bytes. Out: len bytes at out, 13 for two digits at most; the value must fit. */
void rj_rsa52_to_bytes(uint8_t *out, size_t len, const uint64_t *in, size_t digits);

/* Compute base^exponent mod n. Call only where rj_rsa52_usable() is 1.
 * Out: digits words at out, below n. In: digits words at base, below n; an odd exponent.
 * Source: P. L. Montgomery, Modular multiplication without trial division, 1985. */
void rj_rsa52_power(uint64_t *out, const rj_rsa52_modulus *modulus, const uint64_t *base, uint64_t exponent);

/* Compute work->base^exponent for eight moduli of one digit count. Call only where rj_rsa52_usable() is 1.
 * Out: work->power, each lane below its n. In: work->base, each lane below its n; an odd exponent above 1. */
void rj_rsa52_power8(rj_rsa52_work *work, const rj_rsa52_modulus *const modulus[RJ_RSA52_LANES], uint64_t exponent);

#endif
