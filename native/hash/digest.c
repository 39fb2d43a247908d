/* digest.c: SHA-256, SHA-384 and SHA-512 by libcrypto's low-level functions (FIPS 180-4).
 *
 * Those are deprecated since OpenSSL 3.0 in favour of EVP, which allocates and counts references for each
 * context; they run the same assembly. The deprecation is silenced in this file and nowhere else.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "hash/digest.h"

#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((rj_digest_state *)0)->words), "SHA-256 state fits");
_Static_assert(sizeof(SHA512_CTX) <= sizeof(((rj_digest_state *)0)->words), "SHA-512 state fits");
_Static_assert(_Alignof(SHA512_CTX) <= _Alignof(uint64_t), "SHA-512 state is aligned");

static SHA256_CTX *digest_narrow(rj_digest_state *state) { return (SHA256_CTX *)(void *)state->words; }

static SHA512_CTX *digest_wide(rj_digest_state *state) { return (SHA512_CTX *)(void *)state->words; }

size_t rj_digest_bytes(rj_digest_id id)
{
    switch (id) {
    case RJ_SHA256:
        return SHA256_DIGEST_LENGTH;
    case RJ_SHA384:
        return SHA384_DIGEST_LENGTH;
    case RJ_SHA512:
        return SHA512_DIGEST_LENGTH;
    }
    return 0;
}

size_t rj_digest_block_bytes(rj_digest_id id)
{
    switch (id) {
    case RJ_SHA256:
        return SHA256_CBLOCK;
    case RJ_SHA384:
    case RJ_SHA512:
        return SHA512_CBLOCK;
    }
    return 0;
}

rj_status rj_digest_start(rj_digest_state *state, rj_digest_id id)
{
    switch (id) {
    case RJ_SHA256:
        (void)SHA256_Init(digest_narrow(state));
        break;
    case RJ_SHA384:
        (void)SHA384_Init(digest_wide(state));
        break;
    case RJ_SHA512:
        (void)SHA512_Init(digest_wide(state));
        break;
    default:
        return RJ_BAD_ARGUMENT; /* RFC 7518 s.3.1: the registered SHA-2 functions and no other */
    }
    state->id = (uint32_t)id;
    return RJ_OK;
}

void rj_digest_update(rj_digest_state *state, const uint8_t *in, size_t len)
{
    if (state->id == RJ_SHA256) {
        (void)SHA256_Update(digest_narrow(state), in, len);
    } else {
        (void)SHA512_Update(digest_wide(state), in, len);
    }
}

void rj_digest_finish(rj_digest_state *state, uint8_t *out)
{
    if (state->id == RJ_SHA256) {
        (void)SHA256_Final(out, digest_narrow(state));
    } else {
        (void)SHA512_Final(out, digest_wide(state)); /* writes 48 bytes after SHA384_Init */
    }
}

rj_status rj_digest(uint8_t *out, size_t out_capacity, rj_digest_id id, const uint8_t *in, size_t len)
{
    rj_digest_state state;
    size_t digest_bytes = rj_digest_bytes(id);

    if (digest_bytes == 0 || out_capacity < digest_bytes) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake, not a property of the message */
    }
    if (rj_digest_start(&state, id) != RJ_OK) {
        return RJ_BAD_ARGUMENT;
    }
    rj_digest_update(&state, in, len);
    rj_digest_finish(&state, out);
    return RJ_OK;
}
