/* work.h: the memory one verification at a time works in: contexts kept warm, buffers, scratch.
 *
 * Made once, used by one thread at a time, so that a token costs no allocation after warm-up. Holds decoded
 * tokens between calls, never secrets.
 */
#ifndef RJ_WORK_H
#define RJ_WORK_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "text/json_scan.h"
#include "rsa/rsa.h"
#include "status.h"

enum {
    RJ_WORK_CONTEXTS = 8,             /* verification contexts kept ready, for the keys used last */
    RJ_WORK_MEMBERS = 64,             /* root members of a claims set looked at in C */
    RJ_WORK_JSON_BYTES = 16 * 1024,   /* scratch of the JSON scan */
    RJ_WORK_ARENA_BYTES = 256 * 1024, /* decoded parts of the tokens under way */
    RJ_WORK_CUT_ALIGNMENT = 8         /* of each cut: octets and structures lie in the arena in turn */
};

typedef struct {
    uint64_t key_id;
    uint32_t alg;
    EVP_PKEY_CTX *ctx;
} rj_work_context;

typedef struct rj_work {
    EVP_MD_CTX *message_ctx;
    rj_rsa_work *rsa; /* made on first use */
    rj_work_context contexts[RJ_WORK_CONTEXTS];
    uint64_t random; /* state of the choice of samples, never 0 */
    size_t arena_used;
    void *scratch; /* of the hot paths; grows to the largest batch seen */
    size_t scratch_bytes;
    rj_json_member members[RJ_WORK_MEMBERS];
    uint8_t json[RJ_WORK_JSON_BYTES];
    _Alignas(RJ_WORK_CUT_ALIGNMENT) uint8_t arena[RJ_WORK_ARENA_BYTES];
} rj_work;

/* Returns a fresh work area, or NULL where memory is out. */
rj_work *rj_work_new(uint64_t seed);

/* Free a work area and the contexts in it; NULL is allowed. */
void rj_work_free(rj_work *work);

/* Returns the next number of a sequence that a stranger cannot foresee without the seed (xorshift64*). */
uint64_t rj_work_random(rj_work *work);

/* Returns the scratch for RSA, made on first use, or NULL where memory is out. */
rj_rsa_work *rj_work_rsa(rj_work *work);

/* Cut `bytes` from the arena until it is reset by arena_used = 0.
 * Returns a pointer, aligned to RJ_WORK_CUT_ALIGNMENT, or NULL where the arena is used up. */
uint8_t *rj_work_cut(rj_work *work, size_t bytes);

/* Get scratch of at least `bytes`, aligned to 64; what it held is lost.
 * Returns the scratch, or NULL where memory is out. */
void *rj_work_scratch(rj_work *work, size_t bytes);

#endif
