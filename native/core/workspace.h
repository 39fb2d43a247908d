/* workspace.h: the memory one verification at a time works in: contexts kept ready, buffers, scratch.
 *
 * Made once, used by one thread at a time, so that a token costs no allocation after warm-up. Holds decoded
 * tokens between calls, never secrets.
 */
#ifndef RJ_WORKSPACE_H
#define RJ_WORKSPACE_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "text/json_scan.h"
#include "rsa/rsa.h"
#include "status.h"

enum {
    RJ_WORKSPACE_CONTEXTS = 8,             /* verification contexts kept ready, for the keys used last */
    RJ_WORKSPACE_MEMBERS = 64,             /* root members of a claims set looked at in C */
    RJ_WORKSPACE_JSON_BYTES = 16 * 1024,   /* scratch of the JSON scan */
    RJ_WORKSPACE_ARENA_BYTES = 256 * 1024, /* decoded parts of the tokens under way */
    RJ_WORKSPACE_ALLOC_ALIGNMENT = 8       /* of each cut: octets and structures lie in the arena in turn */
};

typedef struct {
    uint64_t key_id;
    uint32_t alg;
    EVP_PKEY_CTX *ctx;
} rj_workspace_context;

typedef struct rj_workspace {
    EVP_MD_CTX *message_ctx;
    rj_rsa_work *rsa; /* made on first use */
    rj_workspace_context contexts[RJ_WORKSPACE_CONTEXTS];
    uint64_t random; /* state of the choice of samples, never 0 */
    size_t arena_used;
    void *scratch; /* of the accelerated paths; grows to the largest batch seen */
    size_t scratch_bytes;
    rj_json_member members[RJ_WORKSPACE_MEMBERS];
    uint8_t json[RJ_WORKSPACE_JSON_BYTES];
    _Alignas(RJ_WORKSPACE_ALLOC_ALIGNMENT) uint8_t arena[RJ_WORKSPACE_ARENA_BYTES];
} rj_workspace;

/* Returns a fresh workspace, or NULL where memory is out. */
rj_workspace *rj_workspace_new(uint64_t seed);

/* Free a workspace and the contexts in it; NULL is allowed. */
void rj_workspace_free(rj_workspace *work);

/* Returns the next number of a sequence that cannot be foreseen without the seed (xorshift64*). */
uint64_t rj_workspace_random(rj_workspace *work);

/* Returns the scratch for RSA, made on first use, or NULL where memory is out. */
rj_rsa_work *rj_workspace_rsa(rj_workspace *work);

/* Cut `bytes` from the arena until it is reset by arena_used = 0.
 * Returns a pointer, aligned to RJ_WORKSPACE_ALLOC_ALIGNMENT, or NULL where the arena is used up. */
uint8_t *rj_workspace_alloc(rj_workspace *work, size_t bytes);

/* Get scratch of at least `bytes`, aligned to 64; what it held is lost.
 * Returns the scratch, or NULL where memory is out. */
void *rj_workspace_scratch(rj_workspace *work, size_t bytes);

#endif
