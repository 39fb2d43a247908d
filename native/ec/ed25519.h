/* ed25519.h: Ed25519 verification for keys that are seen again and again (RFC 8032 s.5.1, RFC 8037 s.3.1).
 *
 * A table holds the multiples of one fixed point in every 8-bit window of the scalar, so [S]B - [k]A becomes a
 * sum of 64 table points with no doublings. The check is libcrypto's own: S below the group order, then
 * encode([S]B - [k]A) equal to R byte for byte, no cofactor, each signature for itself. A batch shares only the
 * inversion of the encodings. Public data alone: nothing is constant-time, nothing may be used to sign.
 *
 * Never builds a table for a key that implementations may read differently; libcrypto answers for those. Never
 * allocates while verifying, holds no locks and no globals. Where the compiler has no 128-bit integers or the
 * machine is big-endian the files are empty and RJ_HAVE_ED25519 is 0.
 */
#ifndef RJ_ED25519_H
#define RJ_ED25519_H

#include <stddef.h>
#include <stdint.h>

#include "signature_check.h"
#include "status.h"

#if defined(__SIZEOF_INT128__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define RJ_HAVE_ED25519 1
#else
#define RJ_HAVE_ED25519 0
#endif

enum { RJ_ED25519_KEY_BYTES = 32, RJ_ED25519_SIGNATURE_BYTES = 64 };

/* Flags of a build. Every table of one verification must have been built with the same flags. */
#define RJ_ED25519_PORTABLE 1u /* use the plain C arithmetic even where the CPU has vector lanes */

typedef struct rj_ed25519_table rj_ed25519_table;

/* Check that a public key is one that may be trusted to mean one signer.
 * Returns RJ_OK; RJ_KEY_MALFORMED (y not below p, not on the curve, or x = 0 with the sign bit set); RJ_KEY_WEAK
 * (of small order: some signatures verify for every message).
 * Source: RFC 8032 s.5.1.3, RFC 8037 s.3.1 and its security considerations. */
RJ_MUST_CHECK rj_status rj_ed25519_check_key(const uint8_t key32[RJ_ED25519_KEY_BYTES]);

/* Build the table of one public key and check it by plain doubling and adding.
 * Returns RJ_OK; as rj_ed25519_check_key for a key it refuses; RJ_BAD_ARGUMENT (flags); RJ_NO_MEMORY;
 * RJ_LIBCRYPTO_FAILED (the self-test differs: use libcrypto alone).
 * Out: *out, freed by the caller with rj_ed25519_table_free. */
RJ_MUST_CHECK rj_status rj_ed25519_table_build(rj_ed25519_table **out, const uint8_t key32[RJ_ED25519_KEY_BYTES],
                                               unsigned flags);

/* Build the table of the base point B, which serves every key, and check it against libcrypto. As
 * rj_ed25519_table_build. */
RJ_MUST_CHECK rj_status rj_ed25519_table_build_generator(rj_ed25519_table **out, unsigned flags);

/* Free a table; NULL is allowed. */
void rj_ed25519_table_free(rj_ed25519_table *table);

/* The memory one table takes, in bytes, exactly; the generator's is as large. */
size_t rj_ed25519_table_bytes(void);

/* The name of the arithmetic a table uses: "portable", or "lanes" (8 numbers at a time). Static text. */
const char *rj_ed25519_engine(const rj_ed25519_table *table);

/* The work buffer rj_ed25519_verify_batch needs for n signatures, in bytes. */
size_t rj_ed25519_work_bytes(size_t n);

/* Verify n signatures. Everything is borrowed for the call.
 * Returns RJ_OK (verdicts are written); RJ_BAD_ARGUMENT (work too small, a signature of another length, tables of
 * different flags or in the wrong role; nothing is written).
 * In: of each check the input, which is the message; the signature, R || S; generator.ed25519 from
 * rj_ed25519_table_build_generator and key.ed25519 from rj_ed25519_table_build.
 * Out: verdicts[i] is RJ_OK, RJ_SIGNATURE_INVALID, or RJ_UNDECIDED: ask libcrypto about this one.
 * In/out: work, any alignment, contents ignored and left undefined.
 * Source: RFC 8032 s.5.1.7 (the unmultiplied equation), RFC 8037 s.3.1. */
RJ_MUST_CHECK rj_status rj_ed25519_verify_batch(uint8_t *verdicts, const rj_signature_check *const *checks, size_t n,
                                                void *work, size_t work_bytes);

/* Verify one signature, without a work buffer. As rj_ed25519_verify_batch with n = 1. */
RJ_MUST_CHECK rj_status rj_ed25519_verify_one(uint8_t *verdict, const rj_signature_check *check);

#endif
