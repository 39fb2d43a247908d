/* accelerated.c: see accelerated.h. What the arithmetic takes is written into each token's check, where it reads it. */
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

/* ---- what each path takes, written into a token's check; each returns RJ_OK, or why nothing can be decided ---- */

static rj_status accelerated_digest(rj_token *token)
{
    rj_digest_id id = rj_alg_lookup(token->slot->alg)->digest;
    rj_span input = token->check.input;

    token->check.digest = (rj_span){token->digest, rj_digest_bytes(id)};
    token->check.digest_id = (uint32_t)id;
    return rj_digest(token->digest, sizeof token->digest, id, input.ptr, input.len);
}

static rj_status accelerated_complete_rsa(rj_token *token)
{
    int is_pss = rj_alg_lookup(token->slot->alg)->family == RJ_FAMILY_RSA_PSS;

    token->check.key.rsa = token->slot->key->rsa;
    token->check.padding = (uint32_t)(is_pss ? RJ_RSA_PSS : RJ_RSA_PKCS1);
    return accelerated_digest(token);
}

static rj_status accelerated_complete_ecdsa(rj_token *token)
{
    token->check.key.fixedbase = token->slot->precomputed->fixedbase;
    token->check.generator.fixedbase = token->slot->precomputed->generator->fixedbase;
    return accelerated_digest(token);
}

static rj_status accelerated_complete_ed25519(rj_token *token)
{
    token->check.key.ed25519 = token->slot->precomputed->ed25519;
    token->check.generator.ed25519 = token->slot->precomputed->generator->ed25519;
    return RJ_OK;
}

static rj_status accelerated_complete(rj_token *token, rj_accelerated_group group)
{
    return group == RJ_ACCELERATED_RSA     ? accelerated_complete_rsa(token)
         : group == RJ_ACCELERATED_ED25519 ? accelerated_complete_ed25519(token)
                                           : accelerated_complete_ecdsa(token);
}

/* ---- the paths; each returns RJ_OK, or why nothing was decided. Out: verdicts ---- */

static rj_status accelerated_verify_rsa(uint8_t *verdicts, rj_workspace *work, const rj_signature_check *const *checks,
                                        size_t checks_len)
{
    rj_rsa_work *rsa_work = rj_workspace_rsa(work);

    if (rsa_work == NULL) {
        return RJ_NO_MEMORY;
    }
    rj_rsa_verify_batch(rsa_work, verdicts, checks, checks_len);
    return RJ_OK;
}

static rj_status accelerated_verify_ecdsa(uint8_t *verdicts, rj_workspace *work, rj_curve curve,
                                          const rj_signature_check *const *checks, size_t checks_len)
{
    size_t work_bytes = 0;
    void *scratch = NULL;

    if (checks_len == 1) {
        return rj_fixedbase_verify_one(&verdicts[0], checks[0]);
    }
    work_bytes = rj_fixedbase_work_bytes(curve, checks_len);
    scratch = rj_workspace_scratch(work, work_bytes);
    return scratch == NULL ? RJ_NO_MEMORY
                           : rj_fixedbase_verify_batch(verdicts, checks, checks_len, scratch, work_bytes);
}

static rj_status accelerated_verify_ed25519(uint8_t *verdicts, rj_workspace *work,
                                            const rj_signature_check *const *checks, size_t checks_len)
{
    size_t work_bytes = 0;
    void *scratch = NULL;

    if (checks_len == 1) {
        return rj_ed25519_verify_one(&verdicts[0], checks[0]);
    }
    work_bytes = rj_ed25519_work_bytes(checks_len);
    scratch = rj_workspace_scratch(work, work_bytes);
    return scratch == NULL ? RJ_NO_MEMORY : rj_ed25519_verify_batch(verdicts, checks, checks_len, scratch, work_bytes);
}

static rj_status accelerated_verify_checks(uint8_t *verdicts, rj_workspace *work, rj_accelerated_group group,
                                           rj_token *const *tokens, size_t tokens_len)
{
    const rj_signature_check *checks[RJ_BATCH_MAX];

    for (size_t i = 0; i < tokens_len; i++) {
        rj_status status = accelerated_complete(tokens[i], group);
        if (status != RJ_OK) {
            return status;
        }
        checks[i] = &tokens[i]->check;
    }
    if (group == RJ_ACCELERATED_RSA) {
        return accelerated_verify_rsa(verdicts, work, checks, tokens_len);
    }
    if (group == RJ_ACCELERATED_ED25519) {
        return accelerated_verify_ed25519(verdicts, work, checks, tokens_len);
    }
    return accelerated_verify_ecdsa(verdicts, work, tokens[0]->slot->precomputed->curve, checks, tokens_len);
}

void rj_accelerated_verify(rj_workspace *work, rj_accelerated_group group, rj_token *const *tokens, size_t tokens_len)
{
    uint8_t verdicts[RJ_BATCH_MAX] = {0};
    rj_status status = RJ_BAD_ARGUMENT;

    if (tokens_len != 0 && tokens_len <= RJ_BATCH_MAX && group != RJ_ACCELERATED_NONE) {
        status = accelerated_verify_checks(verdicts, work, group, tokens, tokens_len);
    }
    for (size_t i = 0; i < tokens_len; i++) {
        int decided = status == RJ_OK && (verdicts[i] == RJ_OK || verdicts[i] == RJ_SIGNATURE_INVALID);
        tokens[i]->status = decided ? (rj_status)verdicts[i] : RJ_UNDECIDED;
    }
}
