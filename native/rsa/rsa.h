/* rsa.h: RSA signature verification with a public key prepared once (RFC 8017 s.8, RFC 7518 s.3.3 and s.3.5).
 *
 * A prepared key keeps what Montgomery multiplication needs and nothing else. Never signs, never holds a
 * private key, never allocates for a signature after the first with its work object. A key is immutable and may be
 * used by many threads; a work object belongs to one thread at a time.
 */
#ifndef RJ_RSA_H
#define RJ_RSA_H

#include <stddef.h>
#include <stdint.h>

#include "hash/digest.h"
#include "signature_check.h"
#include "status.h"

enum {
    RJ_RSA_MIN_BITS = 2048,  /* RFC 7518 s.3.3: 2048 bits or larger MUST be used */
    RJ_RSA_MAX_BITS = 16384, /* OpenSSL's own limit; past it one signature costs too much */
    RJ_RSA_MAX_BYTES = RJ_RSA_MAX_BITS / 8,
    RJ_RSA_MAX_EXPONENT_BYTES = 8 /* a larger exponent buys nothing and costs a verifier its time */
};

/* Flags of rj_rsa_prepare. */
enum { RJ_RSA_PORTABLE = 1 }; /* use libcrypto's arithmetic even where this machine has better */

typedef enum { RJ_RSA_PKCS1 = 1, RJ_RSA_PSS = 2 } rj_rsa_padding; /* zero is none */

typedef struct rj_rsa_key rj_rsa_key;
typedef struct rj_rsa_work rj_rsa_work;

/* Prepare a public key.
 * Returns RJ_OK; RJ_KEY_WEAK below RJ_RSA_MIN_BITS or for e = 1; RJ_TOO_LARGE past RJ_RSA_MAX_BITS or
 * RJ_RSA_MAX_EXPONENT_BYTES; RJ_KEY_MALFORMED for an even modulus or exponent; RJ_NO_MEMORY;
 * RJ_LIBCRYPTO_FAILED.
 * Out: *out, to be freed with rj_rsa_free. In: big-endian modulus and exponent, leading zero bytes allowed.
 * Source: RFC 8017 s.3.1, RFC 7518 s.3.3. */
RJ_MUST_CHECK rj_status rj_rsa_prepare(rj_rsa_key **out, const uint8_t *modulus, size_t modulus_len,
                                       const uint8_t *exponent, size_t exponent_len, unsigned flags);

/* Free a prepared key; NULL is allowed. */
void rj_rsa_free(rj_rsa_key *key);

/* Returns the heap bytes a prepared key holds, allocator overhead not counted. */
size_t rj_rsa_bytes(const rj_rsa_key *key);

/* Returns the modulus' size in bytes: the only signature length this key accepts. */
size_t rj_rsa_modulus_bytes(const rj_rsa_key *key);

/* Make the scratch memory for one thread.
 * Returns RJ_OK; RJ_NO_MEMORY.
 * Out: *out, to be freed with rj_rsa_work_free. */
RJ_MUST_CHECK rj_status rj_rsa_work_new(rj_rsa_work **out);

/* Free a work object; NULL is allowed. */
void rj_rsa_work_free(rj_rsa_work *work);

/* Verify one RSASSA-PKCS1-v1_5 signature (RS256, RS384, RS512).
 * Returns RJ_OK; RJ_SIGNATURE_INVALID; RJ_BAD_ARGUMENT for an unknown digest; RJ_LIBCRYPTO_FAILED.
 * In: rj_digest_bytes(id) bytes at digest; signature_len bytes at signature.
 * Source: RFC 8017 s.8.2.2, RFC 7518 s.3.3. */
RJ_MUST_CHECK rj_status rj_rsa_verify_pkcs1(rj_rsa_work *work, const rj_rsa_key *key, rj_digest_id id,
                                            const uint8_t *digest, const uint8_t *signature, size_t signature_len);

/* Verify one RSASSA-PSS signature (PS256, PS384, PS512): MGF1 with the same digest, salt of its size.
 * Returns as rj_rsa_verify_pkcs1.
 * Source: RFC 8017 s.8.1.2, RFC 7518 s.3.5. */
RJ_MUST_CHECK rj_status rj_rsa_verify_pss(rj_rsa_work *work, const rj_rsa_key *key, rj_digest_id id,
                                          const uint8_t *digest, const uint8_t *signature, size_t signature_len);

/* Verify many signatures, under any mix of keys, digests and paddings; those whose keys are of one size share
 * the work in lanes. Everything is borrowed for the call.
 * In: of each check the digest, of rj_digest_bytes(digest_id) bytes; the signature; key.rsa; digest_id; padding.
 * Out: verdicts[i] is the rj_status of checks[i], as from the single functions. */
void rj_rsa_verify_batch(rj_rsa_work *work, uint8_t *verdicts, const rj_signature_check *const *checks, size_t count);

#endif
