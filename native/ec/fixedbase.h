/* fixedbase.h: ECDSA verification for keys that are seen again and again (FIPS 186-5 s.6.4.2).
 *
 * A table holds the odd multiples of one fixed point in every window of the scalar, so u1*G + u2*Q becomes a
 * sum of table points with no doublings. Sums of a whole batch share their field inversions.
 * Everything here is public data: nothing is constant-time, nothing may be used to sign.
 *
 * Never accepts what libcrypto refuses: a step not handled here (equal x, infinity, u1 = 0) gives
 * RJ_UNDECIDED, and the caller asks libcrypto. Never allocates while verifying, holds no locks and no globals.
 *
 * Where the compiler has no 128-bit integers RJ_HAVE_FIXEDBASE is 0 and every call returns RJ_NOT_NATIVE or 0.
 */
#ifndef RJ_FIXEDBASE_H
#define RJ_FIXEDBASE_H

#include <stddef.h>
#include <stdint.h>

#include "signature_check.h"
#include "status.h"

#if defined(RJ_NO_FIXEDBASE)
#define RJ_HAVE_FIXEDBASE 0
#elif defined(__SIZEOF_INT128__) && (defined(__GNUC__) || defined(__clang__))
#define RJ_HAVE_FIXEDBASE 1
#else
#define RJ_HAVE_FIXEDBASE 0
#endif

typedef enum {
    RJ_CURVE_P256 = 0, /* SEC 2 secp256r1, ES256 */
    RJ_CURVE_P384 = 1, /* SEC 2 secp384r1, ES384 */
    RJ_CURVE_P521 = 2, /* SEC 2 secp521r1, ES512 */
    RJ_CURVE_K256 = 3, /* SEC 2 secp256k1, ES256K */
    RJ_CURVE_COUNT = 4
} rj_curve;

/* Flags of a build. Every table of one verification must have been built with the same flags. */
#define RJ_FIXEDBASE_PORTABLE 1u /* use the plain C arithmetic even where the CPU has vector lanes */

/* How large a key's table is. A smaller one takes more additions a signature; verdicts are the same. */
typedef enum {
    RJ_FIXEDBASE_LARGE = 0,
    RJ_FIXEDBASE_MEDIUM = 1,
    RJ_FIXEDBASE_SMALL = 2,
    RJ_FIXEDBASE_SIZES = 3
} rj_fixedbase_size;

typedef struct rj_fixedbase rj_fixedbase;

/* Build the table of one public key and check it against libcrypto.
 * Returns RJ_OK; RJ_KEY_MALFORMED (coordinates out of range or off the curve); RJ_BAD_ARGUMENT (curve, size, length,
 * flags); RJ_NO_MEMORY; RJ_LIBCRYPTO_FAILED (libcrypto failed, or its multiples differ from ours).
 * Out: *out, freed by the caller with rj_fixedbase_free. In: xy, X || Y big-endian of the curve's width each. */
RJ_MUST_CHECK rj_status rj_fixedbase_build(rj_fixedbase **out, rj_curve curve, rj_fixedbase_size size,
                                           const uint8_t *xy, size_t xy_len, unsigned flags);

/* Build the (wider) table of the curve's generator; one serves every key of the curve. As rj_fixedbase_build. */
RJ_MUST_CHECK rj_status rj_fixedbase_build_generator(rj_fixedbase **out, rj_curve curve, unsigned flags);

/* Free a table; NULL is allowed. */
void rj_fixedbase_free(rj_fixedbase *table);

/* The curve's coordinate width in bytes (half of R || S); 0 for an unknown curve. */
size_t rj_fixedbase_coord_bytes(rj_curve curve);

/* The memory one key table takes, in bytes, exactly; 0 for an unknown curve or size. */
size_t rj_fixedbase_bytes(rj_curve curve, rj_fixedbase_size size);

/* The memory the generator's table takes, in bytes, exactly; 0 for an unknown curve. */
size_t rj_fixedbase_generator_bytes(rj_curve curve);

/* The name of the arithmetic a table uses: "portable", or "lanes" (8 numbers at a time). Static text. */
const char *rj_fixedbase_field_ops(const rj_fixedbase *table);

/* The work buffer rj_fixedbase_verify_batch needs for n signatures by tables of any size, in bytes; 0 for an unknown
 * curve or n = 0. */
size_t rj_fixedbase_work_bytes(rj_curve curve, size_t n);

/* Verify n signatures of one curve. Everything is borrowed for the call.
 * Returns RJ_OK (verdicts are written); RJ_BAD_ARGUMENT (work too small, a signature of another length, tables of
 * different curves, flags or roles, or of different sizes where there are more than a few signatures; nothing is
 * written).
 * In: of each check the digest, of any length (its leftmost bits count); the signature, R || S, big-endian, 2 *
 * rj_fixedbase_coord_bytes(curve) bytes; generator.fixedbase from rj_fixedbase_build_generator and key.fixedbase from
 * rj_fixedbase_build.
 * Out: verdicts[i] is RJ_OK, RJ_SIGNATURE_INVALID, or RJ_UNDECIDED: ask libcrypto about this one.
 * In/out: work, any alignment, contents ignored and left undefined.
 * Source: FIPS 186-5 s.6.4.2, RFC 7518 s.3.4. */
RJ_MUST_CHECK rj_status rj_fixedbase_verify_batch(uint8_t *verdicts, const rj_signature_check *const *checks, size_t n,
                                                  void *work, size_t work_bytes);

/* Verify one signature, without a work buffer. As rj_fixedbase_verify_batch with n = 1. */
RJ_MUST_CHECK rj_status rj_fixedbase_verify_one(uint8_t *verdict, const rj_signature_check *check);

#endif
