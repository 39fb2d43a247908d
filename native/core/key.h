/* key.h: one prepared public key or HMAC secret, ready to verify with (RFC 7517, RFC 7518 s.6).
 *
 * Built once, never changed, freed once. An asymmetric key holds libcrypto's provider-native form; an RSA key
 * also its Montgomery context, an HMAC secret only its inner and outer states.
 */
#ifndef RJ_KEY_H
#define RJ_KEY_H

#include <openssl/types.h>

#include "core/alg.h"
#include "hash/hmac.h"
#include "rsa/rsa.h"
#include "core/runtime.h"

/* rj-cdef-begin */
typedef struct rj_key rj_key;
/* rj-cdef-end */

struct rj_key {
    uint64_t id;  /* never used twice in a process: contexts kept for a key are found by it */
    uint32_t alg; /* the algorithm it was built for; RSA serves all of its family */
    uint32_t signature_bytes;
    EVP_PKEY *pkey;   /* NULL for HMAC */
    rj_rsa_key *rsa;  /* RSA only, else NULL */
    rj_hmac_key hmac; /* HMAC only */
};

/* Build a key for an algorithm from its public numbers, big-endian and unsigned:
 *   HMAC: first = the secret, second empty; RSA: first = n, second = e;
 *   ECDSA: first = x || y, each of the curve's full length; EdDSA and ML-DSA: first = the raw public key.
 * Returns RJ_OK; RJ_KEY_MALFORMED (wrong length, off the curve, not a modulus), RJ_KEY_WEAK (below the stated
 * strength), RJ_NOT_NATIVE (libcrypto lacks the algorithm), RJ_BAD_ARGUMENT (no such algorithm),
 * RJ_NO_MEMORY, RJ_LIBCRYPTO_FAILED.
 * Out: *out, freed by rj_key_free. Source: RFC 7518 s.6, RFC 8037 s.2, RFC 9964. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_key_build(rj_runtime *runtime, rj_key **out, uint32_t alg, uint64_t id, const uint8_t *first,
                                     size_t first_len, const uint8_t *second, size_t second_len);
/* rj-cdef-end */

/* Free a key that no table holds any more; wipes an HMAC secret; NULL is allowed. */
/* rj-cdef-begin */
void rj_key_free(rj_key *key);
/* rj-cdef-end */

/* Returns 1 if a key can serve the algorithm, else 0 (RSA keys serve RS and PS alike, others one). */
int rj_key_serves(const rj_key *key, uint32_t alg);

#endif
