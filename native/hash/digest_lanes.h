/* digest_lanes.h: SHA-384 and SHA-512 of eight messages at a time, in AVX-512 lanes (FIPS 180-4 s.6.4 and s.6.5).
 *
 * For batches: one message alone is faster through digest.h, and SHA-256 has instructions of its own there. Never
 * allocates; public messages only, the stack is not wiped.
 */
#ifndef RJ_DIGEST_LANES_H
#define RJ_DIGEST_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "hash/digest.h"
#include "status.h"

enum { RJ_DIGEST_LANES = 8 };

/* A message in two borrowed pieces, either of which may be empty. */
typedef struct {
    const uint8_t *head;
    size_t head_len;
    const uint8_t *tail;
    size_t tail_len;
} rj_digest_message;

/* Returns 1 if this build and this machine have the instructions, else 0. */
int rj_digest_lanes_usable(void);

/* Hash eight messages, of any lengths; the time is that of the longest.
 * Returns RJ_OK; RJ_BAD_ARGUMENT for RJ_SHA256 or an unknown id, or where rj_digest_lanes_usable() is 0.
 * Out: rj_digest_bytes(id) bytes at the start of each digests[lane].
 * Source: FIPS 180-4 s.6.4 and s.6.5. */
RJ_MUST_CHECK rj_status rj_digest_lanes(uint8_t digests[RJ_DIGEST_LANES][RJ_DIGEST_MAX_BYTES], rj_digest_id id,
                                        const rj_digest_message messages[RJ_DIGEST_LANES]);

#endif
