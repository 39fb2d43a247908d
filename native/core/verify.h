/* verify.h: one signature: (slot, JWS Signing Input, JWS Signature) -> status (RFC 7515 s.5.2 step 8).
 *
 * libcrypto's path decides whatever the accelerated paths do not, and its answer is the reference for theirs.
 */
#ifndef RJ_VERIFY_H
#define RJ_VERIFY_H

#include "core/accelerated.h"

/* Verify one signature by libcrypto alone (HMAC: by our prepared states over its SHA-2).
 * Returns RJ_OK; RJ_SIGNATURE_INVALID; RJ_NOT_NATIVE (the slot has no native key); RJ_NO_MEMORY;
 * RJ_LIBCRYPTO_FAILED; RJ_BAD_ARGUMENT. In: the octets as they were received. */
RJ_MUST_CHECK rj_status rj_verify_libcrypto(rj_runtime *runtime, rj_workspace *work, const rj_slot *slot, rj_span input,
                                            rj_span signature);

/* Verify one signature over a digest that is made already, by libcrypto alone.
 * Returns as rj_verify_libcrypto; RJ_BAD_ARGUMENT where the algorithm does not hash first (HMAC, EdDSA, ML-DSA) or
 * the digest is not of its size. In: digest_len bytes at digest. */
RJ_MUST_CHECK rj_status rj_verify_digest(rj_runtime *runtime, rj_workspace *work, const rj_slot *slot,
                                         const uint8_t *digest, size_t digest_len, rj_span signature);

/* Verify a token's signature by the fastest path its slot has. Returns as rj_verify_libcrypto.
 * In: token->slot, and input and signature of its check. Out: token->status, whose value is not the answer. */
RJ_MUST_CHECK rj_status rj_verify(rj_runtime *runtime, rj_workspace *work, rj_token *token);

/* Returns 1 while no accelerated answer in this process ever differed from libcrypto's. */
int rj_verify_trusts_accelerated(rj_runtime *runtime);

/* Look at an acceptance of an accelerated path again: one in a sample is put to libcrypto.
 * Returns RJ_OK; RJ_SIGNATURE_INVALID where libcrypto refuses it: the accelerated paths are off from then on. */
RJ_MUST_CHECK rj_status rj_verify_sample(rj_runtime *runtime, rj_workspace *work, const rj_token *token);

#endif
