/* hmac.c: HMAC from two kept digest states (RFC 2104 s.4: the blocks K XOR ipad and K XOR opad, once a key).
 *
 * Stack memory that holds anything derived from the key is wiped before it is given back.
 */
#include "hash/hmac.h"

#include <openssl/crypto.h>
#include <string.h>

enum { HMAC_INNER_PAD = 0x36, HMAC_OUTER_PAD = 0x5c }; /* RFC 2104 s.2 */

static rj_status hmac_absorb_pad(rj_digest_state *state, rj_digest_id id, const uint8_t *block, uint8_t pad)
{
    uint8_t padded[RJ_DIGEST_MAX_BLOCK_BYTES];
    size_t block_bytes = rj_digest_block_bytes(id);
    rj_status status = rj_digest_start(state, id);

    if (status != RJ_OK) {
        return status;
    }
    for (size_t i = 0; i < block_bytes; i++) {
        padded[i] = (uint8_t)(block[i] ^ pad);
    }
    rj_digest_update(state, padded, block_bytes);
    OPENSSL_cleanse(padded, sizeof(padded));
    return RJ_OK;
}

rj_status rj_hmac_prepare(rj_hmac_key *prepared, rj_digest_id id, const uint8_t *key, size_t key_len)
{
    uint8_t block[RJ_DIGEST_MAX_BLOCK_BYTES] = {0};
    rj_hmac_key made;
    size_t digest_bytes = rj_digest_bytes(id);
    rj_status status;

    if (digest_bytes == 0) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: no such digest */
    }
    if (key_len < digest_bytes) {
        return RJ_KEY_WEAK; /* RFC 7518 s.3.2: a key of the hash output's size or larger MUST be used */
    }
    memset(&made, 0, sizeof(made));
    if (key_len > rj_digest_block_bytes(id)) {
        status = rj_digest_start(&made.inner, id); /* RFC 2104 s.2: long keys are hashed */
        if (status != RJ_OK) {
            goto done;
        }
        rj_digest_update(&made.inner, key, key_len);
        rj_digest_finish(&made.inner, block); /* the state still holds the key's last octets: wiped below */
    } else {
        memcpy(block, key, key_len);
    }
    status = hmac_absorb_pad(&made.inner, id, block, HMAC_INNER_PAD);
    if (status == RJ_OK) {
        status = hmac_absorb_pad(&made.outer, id, block, HMAC_OUTER_PAD);
    }
    if (status == RJ_OK) {
        *prepared = made;
    }
done:
    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(&made, sizeof(made));
    return status;
}

void rj_hmac_clear(rj_hmac_key *prepared) { OPENSSL_cleanse(prepared, sizeof(*prepared)); }

/* The tag into tag64, and its size; 0 if the state is not of this key. In/out: state, wiped. */
static size_t hmac_tag_end(const rj_hmac_key *prepared, uint8_t tag64[RJ_DIGEST_MAX_BYTES], rj_digest_state *state)
{
    size_t digest_bytes = rj_digest_bytes((rj_digest_id)state->id);

    if (digest_bytes == 0 || prepared->outer.id != state->id) {
        return 0;
    }
    rj_digest_finish(state, tag64);
    *state = prepared->outer;
    rj_digest_update(state, tag64, digest_bytes);
    rj_digest_finish(state, tag64);
    OPENSSL_cleanse(state, sizeof(*state));
    return digest_bytes;
}

/* The tag of one input into tag64, and its size; 0 if the key is not prepared. */
static size_t hmac_tag(const rj_hmac_key *prepared, uint8_t tag64[RJ_DIGEST_MAX_BYTES], const uint8_t *input,
                       size_t input_len)
{
    rj_digest_state state;

    if (rj_hmac_start(prepared, &state) != RJ_OK) {
        return 0;
    }
    rj_digest_update(&state, input, input_len);
    return hmac_tag_end(prepared, tag64, &state);
}

/* Compare in constant time and wipe the right tag, which is as good as a signature. */
static rj_status hmac_compare(uint8_t tag64[RJ_DIGEST_MAX_BYTES], const uint8_t *tag, size_t tag_bytes)
{
    int differs = CRYPTO_memcmp(tag64, tag, tag_bytes);

    OPENSSL_cleanse(tag64, RJ_DIGEST_MAX_BYTES);
    /* RFC 7518 s.3.2: a comparison whose time tells nothing of the tag */
    return differs == 0 ? RJ_OK : RJ_SIGNATURE_INVALID;
}

rj_status rj_hmac_start(const rj_hmac_key *prepared, rj_digest_state *state)
{
    if (rj_digest_bytes((rj_digest_id)prepared->inner.id) == 0) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: the key was never prepared, or was cleared */
    }
    *state = prepared->inner;
    return RJ_OK;
}

rj_status rj_hmac_finish(const rj_hmac_key *prepared, rj_digest_state *state, const uint8_t *tag, size_t tag_len)
{
    uint8_t tag64[RJ_DIGEST_MAX_BYTES];
    size_t tag_bytes = hmac_tag_end(prepared, tag64, state);

    if (tag_bytes == 0) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: another key's state, or none */
    }
    if (tag_len != tag_bytes) {
        OPENSSL_cleanse(tag64, sizeof(tag64));
        return RJ_SIGNATURE_INVALID; /* RFC 7518 s.3.2: the whole HMAC value, never a part of it */
    }
    return hmac_compare(tag64, tag, tag_bytes);
}

rj_status rj_hmac_sign(const rj_hmac_key *prepared, uint8_t *tag, size_t tag_capacity, const uint8_t *input,
                       size_t input_len)
{
    uint8_t tag64[RJ_DIGEST_MAX_BYTES];
    size_t tag_bytes = hmac_tag(prepared, tag64, input, input_len);

    if (tag_bytes == 0) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: the key was never prepared, or was cleared */
    }
    if (tag_capacity < tag_bytes) {
        OPENSSL_cleanse(tag64, sizeof(tag64));
        return RJ_BAD_ARGUMENT; /* a caller's mistake: RFC 7518 s.3.2 knows no truncated tag */
    }
    memcpy(tag, tag64, tag_bytes);
    OPENSSL_cleanse(tag64, sizeof(tag64));
    return RJ_OK;
}

rj_status rj_hmac_verify(const rj_hmac_key *prepared, const uint8_t *input, size_t input_len, const uint8_t *tag,
                         size_t tag_len)
{
    uint8_t tag64[RJ_DIGEST_MAX_BYTES];
    size_t tag_bytes = rj_digest_bytes((rj_digest_id)prepared->inner.id);

    if (tag_bytes == 0) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: the key was never prepared, or was cleared */
    }
    if (tag_len != tag_bytes) {
        return RJ_SIGNATURE_INVALID; /* RFC 7518 s.3.2: the whole HMAC value, never a part of it */
    }
    if (hmac_tag(prepared, tag64, input, input_len) != tag_bytes) {
        return RJ_BAD_ARGUMENT;
    }
    return hmac_compare(tag64, tag, tag_bytes);
}
