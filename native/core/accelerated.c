/* accelerated.c: see accelerated.h. What the arithmetic takes is laid out here, straight from the tokens. */
#include "core/accelerated.h"

#include "batch_max.h"

_Static_assert(RJ_ACCELERATED_COUNT <= 32, "a window notes its groups in the bits of an uint32_t");

static rj_accelerated_group accelerated_precomputed_group(const rj_precomputed *precomputed)
{
    if (precomputed->ed25519 != NULL) {
        return RJ_ACCELERATED_ED25519;
    }
    return (rj_accelerated_group)(RJ_ACCELERATED_ECDSA + (int)precomputed->curve * (int)RJ_FIXEDBASE_SIZES
                                  + (int)precomputed->size);
}

rj_accelerated_group rj_accelerated_group_of(const rj_slot *slot, size_t signature_len)
{
    if (slot->key == NULL || signature_len != slot->key->signature_bytes) {
        return RJ_ACCELERATED_NONE;
    }
    if (slot->key->rsa != NULL) {
        return RJ_ACCELERATED_RSA;
    }
    return slot->precomputed != NULL ? accelerated_precomputed_group(slot->precomputed) : RJ_ACCELERATED_NONE;
}

/* Hash each token's signing input. Returns 0 where a digest cannot be had. */
static int accelerated_digest(uint8_t (*digests)[RJ_DIGEST_MAX_BYTES], rj_token *const *tokens, size_t tokens_len)
{
    for (size_t i = 0; i < tokens_len; i++) {
        const rj_alg_info *info = rj_alg_lookup(tokens[i]->slot->alg);
        rj_span input = tokens[i]->input;
        if (rj_digest(digests[i], RJ_DIGEST_MAX_BYTES, info->digest, input.ptr, input.len) != RJ_OK) {
            return 0;
        }
    }
    return 1;
}

/* Each returns RJ_OK, or why nothing was decided. Out: verdicts. */

static rj_status accelerated_verify_rsa(uint8_t *verdicts, rj_workspace *work, rj_token *const *tokens,
                                        size_t tokens_len)
{
    uint8_t digests[RJ_BATCH_MAX][RJ_DIGEST_MAX_BYTES];
    rj_rsa_item rsa[RJ_BATCH_MAX];
    rj_rsa_work *rsa_work = rj_workspace_rsa(work);

    if (rsa_work == NULL || !accelerated_digest(digests, tokens, tokens_len)) {
        return RJ_NO_MEMORY;
    }
    for (size_t i = 0; i < tokens_len; i++) {
        const rj_alg_info *info = rj_alg_lookup(tokens[i]->slot->alg);
        rsa[i] = (rj_rsa_item){.key = tokens[i]->slot->key->rsa,
                               .digest = digests[i],
                               .signature = tokens[i]->signature.ptr,
                               .signature_len = tokens[i]->signature.len,
                               .digest_id = info->digest,
                               .padding = info->family == RJ_FAMILY_RSA_PSS ? RJ_RSA_PSS : RJ_RSA_PKCS1};
    }
    rj_rsa_verify_batch(rsa_work, verdicts, rsa, tokens_len);
    return RJ_OK;
}

static rj_status accelerated_verify_ecdsa(uint8_t *verdicts, rj_workspace *work, rj_token *const *tokens,
                                          size_t tokens_len)
{
    uint8_t digests[RJ_BATCH_MAX][RJ_DIGEST_MAX_BYTES];
    rj_fixedbase_item ecdsa[RJ_BATCH_MAX];
    size_t work_bytes = 0;
    void *scratch = NULL;

    if (!accelerated_digest(digests, tokens, tokens_len)) {
        return RJ_LIBCRYPTO_FAILED;
    }
    for (size_t i = 0; i < tokens_len; i++) {
        const rj_precomputed *precomputed = tokens[i]->slot->precomputed;
        ecdsa[i] = (rj_fixedbase_item){.generator = precomputed->generator->fixedbase,
                                       .key = precomputed->fixedbase,
                                       .digest = digests[i],
                                       .digest_len = rj_digest_bytes(rj_alg_lookup(precomputed->alg)->digest),
                                       .rs = tokens[i]->signature.ptr};
    }
    if (tokens_len == 1) {
        return rj_fixedbase_verify_one(&verdicts[0], &ecdsa[0]);
    }
    work_bytes = rj_fixedbase_work_bytes(tokens[0]->slot->precomputed->curve, tokens_len);
    scratch = rj_workspace_scratch(work, work_bytes);
    return scratch == NULL ? RJ_NO_MEMORY : rj_fixedbase_verify_batch(verdicts, ecdsa, tokens_len, scratch, work_bytes);
}

static rj_status accelerated_verify_ed25519(uint8_t *verdicts, rj_workspace *work, rj_token *const *tokens,
                                            size_t tokens_len)
{
    rj_ed25519_item ed25519[RJ_BATCH_MAX];
    size_t work_bytes = 0;
    void *scratch = NULL;

    for (size_t i = 0; i < tokens_len; i++) {
        const rj_precomputed *precomputed = tokens[i]->slot->precomputed;
        ed25519[i] = (rj_ed25519_item){.generator = precomputed->generator->ed25519,
                                       .key = precomputed->ed25519,
                                       .message = tokens[i]->input.ptr,
                                       .message_len = tokens[i]->input.len,
                                       .signature64 = tokens[i]->signature.ptr};
    }
    if (tokens_len == 1) {
        return rj_ed25519_verify_one(&verdicts[0], &ed25519[0]);
    }
    work_bytes = rj_ed25519_work_bytes(tokens_len);
    scratch = rj_workspace_scratch(work, work_bytes);
    return scratch == NULL ? RJ_NO_MEMORY : rj_ed25519_verify_batch(verdicts, ed25519, tokens_len, scratch, work_bytes);
}

void rj_accelerated_verify(rj_workspace *work, rj_accelerated_group group, rj_token *const *tokens, size_t tokens_len)
{
    uint8_t verdicts[RJ_BATCH_MAX] = {0};
    rj_status status = RJ_BAD_ARGUMENT;

    if (tokens_len != 0 && tokens_len <= RJ_BATCH_MAX && group != RJ_ACCELERATED_NONE) {
        status = group == RJ_ACCELERATED_RSA     ? accelerated_verify_rsa(verdicts, work, tokens, tokens_len)
               : group == RJ_ACCELERATED_ED25519 ? accelerated_verify_ed25519(verdicts, work, tokens, tokens_len)
                                                 : accelerated_verify_ecdsa(verdicts, work, tokens, tokens_len);
    }
    for (size_t i = 0; i < tokens_len; i++) {
        int decided = status == RJ_OK && (verdicts[i] == RJ_OK || verdicts[i] == RJ_SIGNATURE_INVALID);
        tokens[i]->status = decided ? (rj_status)verdicts[i] : RJ_UNDECIDED;
    }
}
