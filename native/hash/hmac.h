/* hmac.h: HS256, HS384 and HS512 with a key prepared once (RFC 2104, RFC 7518 s.3.2).
 *
 * The only file with a constant-time duty: the tag is compared whole, in time that does not depend on where
 * it differs. Never truncates a tag, never accepts a key shorter than the digest. A prepared key holds no
 * pointers; its owner calls rj_hmac_clear before the memory goes away.
 */
#ifndef RJ_HMAC_H
#define RJ_HMAC_H

#include "hash/digest.h"
#include "status.h"

/* The states after the padded key's block. All zero means: not prepared, refuses everything. */
typedef struct {
    rj_digest_state inner;
    rj_digest_state outer;
} rj_hmac_key;

/* Prepare a key.
 * Returns RJ_OK; RJ_BAD_ARGUMENT for an unknown id; RJ_KEY_WEAK for a key below the digest's size.
 * Out: *prepared, secret: clear it with rj_hmac_clear. In: key_len bytes at key.
 * Source: RFC 2104 s.4, RFC 7518 s.3.2. */
RJ_MUST_CHECK rj_status rj_hmac_prepare(rj_hmac_key *prepared, rj_digest_id id, const uint8_t *key, size_t key_len);

/* Wipe a prepared key; it refuses everything after. */
void rj_hmac_clear(rj_hmac_key *prepared);

/* Compute the tag of input.
 * Returns RJ_OK; RJ_BAD_ARGUMENT if the key is not prepared or tag_capacity is below the digest's size.
 * Out: rj_digest_bytes(id) bytes at tag.
 * Source: RFC 2104 s.2. */
RJ_MUST_CHECK rj_status rj_hmac_sign(const rj_hmac_key *prepared, uint8_t *tag, size_t tag_capacity,
                                     const uint8_t *input, size_t input_len);

/* Check the tag of input, whole and in constant time.
 * Returns RJ_OK; RJ_SIGNATURE_INVALID for any other tag or tag length; RJ_BAD_ARGUMENT if the key is not
 * prepared.
 * Source: RFC 7515 s.5.2, RFC 7518 s.3.2. */
RJ_MUST_CHECK rj_status rj_hmac_verify(const rj_hmac_key *prepared, const uint8_t *input, size_t input_len,
                                       const uint8_t *tag, size_t tag_len);

/* Begin a tag over octets that come piece by piece: feed *state by rj_digest_update.
 * Returns RJ_OK; RJ_BAD_ARGUMENT if the key is not prepared.
 * Out: *state, secret: rj_hmac_finish wipes it, or its owner does. */
RJ_MUST_CHECK rj_status rj_hmac_start(const rj_hmac_key *prepared, rj_digest_state *state);

/* End what rj_hmac_start began and check the tag, whole and in constant time.
 * Returns as rj_hmac_verify. In/out: *state, wiped. */
RJ_MUST_CHECK rj_status rj_hmac_finish(const rj_hmac_key *prepared, rj_digest_state *state, const uint8_t *tag,
                                       size_t tag_len);

#endif
