/* digest.h: the SHA-2 functions of JWA over caller-owned memory (FIPS 180-4; RFC 7518 s.3).
 *
 * Never allocates, never fetches a provider, never takes a lock: a state is a plain struct on the caller's
 * stack and may be copied by assignment. Knows nothing of keys; who hashes secrets clears the state after.
 */
#ifndef RJ_DIGEST_H
#define RJ_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* Zero is no digest, so memory that nobody filled is refused. */
typedef enum { RJ_SHA256 = 1, RJ_SHA384 = 2, RJ_SHA512 = 3 } rj_digest_id;

enum { RJ_DIGEST_MAX_BYTES = 64, RJ_DIGEST_MAX_BLOCK_BYTES = 128 };

/* A digest under way. The words are libcrypto's own state; digest.c asserts that it fits. */
typedef struct {
    uint64_t words[27];
    uint32_t id;
} rj_digest_state;

/* Returns the digest's size in bytes: 32, 48 or 64; 0 for an unknown id. */
size_t rj_digest_bytes(rj_digest_id id);

/* Returns the compression function's block in bytes: 64 or 128; 0 for an unknown id. */
size_t rj_digest_block_bytes(rj_digest_id id);

/* Begin a digest.
 * Returns RJ_OK; RJ_BAD_ARGUMENT for an unknown id.
 * Out: *state. */
RJ_MUST_CHECK rj_status rj_digest_start(rj_digest_state *state, rj_digest_id id);

/* Hash the next bytes. In: a started state; len bytes at in (in may be NULL if len is 0). */
void rj_digest_update(rj_digest_state *state, const uint8_t *in, size_t len);

/* End the digest; the state needs a new start after.
 * Out: rj_digest_bytes(id) bytes at out, at most RJ_DIGEST_MAX_BYTES. */
void rj_digest_finish(rj_digest_state *state, uint8_t *out);

/* Hash one message.
 * Returns RJ_OK; RJ_BAD_ARGUMENT for an unknown id or if out_capacity is below the digest's size.
 * Out: rj_digest_bytes(id) bytes at out.
 * Source: FIPS 180-4. */
RJ_MUST_CHECK rj_status rj_digest(uint8_t *out, size_t out_capacity, rj_digest_id id, const uint8_t *in, size_t len);

#endif
