/* verify.c: the path through libcrypto, and the choice between it and the accelerated ones. */
#include "core/verify.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "ec/ecdsa_der.h"

/* libcrypto's answer as a status: 1 is the only success; a lack of memory is not a verdict. */
static rj_status verify_answer(int answer)
{
    rj_status status = RJ_SIGNATURE_INVALID;

    if (answer == 1) {
        return RJ_OK;
    }
    if (answer < 0 && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE) {
        status = RJ_NO_MEMORY;
    }
    ERR_clear_error();
    return status;
}

static const char *verify_digest_name(rj_digest_id id)
{
    switch (id) {
    case RJ_SHA256:
        return "SHA256";
    case RJ_SHA384:
        return "SHA384";
    case RJ_SHA512:
        return "SHA512";
    }
    return NULL;
}

static int verify_set_up(EVP_PKEY_CTX *ctx, rj_runtime *runtime, const rj_alg_info *info)
{
    EVP_MD *digest = NULL;
    int good = 0;

    if (EVP_PKEY_verify_init(ctx) != 1) {
        return 0;
    }
    if (info->family == RJ_FAMILY_ECDSA) {
        return 1; /* the digest comes ready made; its length was fixed by the table */
    }
    digest = EVP_MD_fetch(runtime->libctx, verify_digest_name(info->digest), NULL);
    if (digest == NULL) {
        return 0;
    }
    if (info->family == RJ_FAMILY_RSA_PKCS1) {
        good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1
            && EVP_PKEY_CTX_set_signature_md(ctx, digest) == 1;
    } else {
        /* RFC 7518 s.3.5: MGF1 with the same hash, salt as long as the hash */
        good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1
            && EVP_PKEY_CTX_set_signature_md(ctx, digest) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, digest) == 1
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    EVP_MD_free(digest);
    return good;
}

/* A context ready to verify for this slot, kept from an earlier token where possible. */
static EVP_PKEY_CTX *verify_context(rj_runtime *runtime, rj_workspace *work, const rj_slot *slot,
                                    const rj_alg_info *info)
{
    rj_workspace_context *kept = &work->contexts[slot->key->id % RJ_WORKSPACE_CONTEXTS];
    EVP_PKEY_CTX *ctx = NULL;

    if (kept->ctx != NULL && kept->key_id == slot->key->id && kept->alg == slot->alg) {
        return kept->ctx;
    }
    ctx = EVP_PKEY_CTX_new_from_pkey(runtime->libctx, slot->key->pkey, NULL);
    if (ctx == NULL) {
        return NULL;
    }
    if (!verify_set_up(ctx, runtime, info)) {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }
    EVP_PKEY_CTX_free(kept->ctx);
    kept->ctx = ctx;
    kept->key_id = slot->key->id;
    kept->alg = slot->alg;
    return ctx;
}

static rj_status verify_prehashed(rj_runtime *runtime, rj_workspace *work, const rj_slot *slot, const rj_alg_info *info,
                                  rj_span digest, rj_span signature)
{
    uint8_t der[RJ_ECDSA_MAX_DER_BYTES];
    EVP_PKEY_CTX *ctx = NULL;

    if (info->family == RJ_FAMILY_ECDSA) {
        size_t der_len = 0;
        rj_status status = rj_ecdsa_der_from_raw(der, &der_len, sizeof der, signature.ptr, signature.len);
        if (status != RJ_OK) {
            return status;
        }
        signature.ptr = der;
        signature.len = der_len;
    }
    ctx = verify_context(runtime, work, slot, info);
    if (ctx == NULL) {
        ERR_clear_error();
        return RJ_LIBCRYPTO_FAILED;
    }
    return verify_answer(EVP_PKEY_verify(ctx, signature.ptr, signature.len, digest.ptr, digest.len));
}

static rj_status verify_message(rj_runtime *runtime, rj_workspace *work, const rj_slot *slot, rj_span input,
                                rj_span signature)
{
    rj_status status = RJ_LIBCRYPTO_FAILED;

    if (EVP_DigestVerifyInit_ex(work->message_ctx, NULL, NULL, runtime->libctx, NULL, slot->key->pkey, NULL) == 1) {
        status = verify_answer(EVP_DigestVerify(work->message_ctx, signature.ptr, signature.len, input.ptr, input.len));
    }
    (void)EVP_MD_CTX_reset(work->message_ctx);
    ERR_clear_error();
    return status;
}

rj_status rj_verify_libcrypto(rj_runtime *runtime, rj_workspace *work, const rj_slot *slot, rj_span input,
                              rj_span signature)
{
    const rj_alg_info *info = rj_alg_lookup(slot->alg);
    uint8_t digest[RJ_DIGEST_MAX_BYTES];
    rj_status status = RJ_BAD_ARGUMENT;

    if (info == NULL) {
        return RJ_BAD_ARGUMENT;
    }
    if (slot->key == NULL) {
        return RJ_NOT_NATIVE;
    }
    if (signature.len != slot->key->signature_bytes) {
        return RJ_SIGNATURE_INVALID; /* RFC 7518 s.3.2 to s.3.5: a signature has exactly one length */
    }
    if (info->family == RJ_FAMILY_HMAC) {
        return rj_hmac_verify(&slot->key->hmac, input.ptr, input.len, signature.ptr, signature.len);
    }
    if (info->family == RJ_FAMILY_MESSAGE) {
        return verify_message(runtime, work, slot, input, signature);
    }
    status = rj_digest(digest, sizeof digest, info->digest, input.ptr, input.len);
    if (status != RJ_OK) {
        return status;
    }
    return verify_prehashed(runtime, work, slot, info, (rj_span){digest, rj_digest_bytes(info->digest)}, signature);
}

rj_status rj_verify_digest(rj_runtime *runtime, rj_workspace *work, const rj_slot *slot, const uint8_t *digest,
                           size_t digest_len, rj_span signature)
{
    const rj_alg_info *info = rj_alg_lookup(slot->alg);

    if (info == NULL) {
        return RJ_BAD_ARGUMENT;
    }
    if (slot->key == NULL) {
        return RJ_NOT_NATIVE;
    }
    if (info->family == RJ_FAMILY_HMAC || info->family == RJ_FAMILY_MESSAGE
        || digest_len != rj_digest_bytes(info->digest)) {
        return RJ_BAD_ARGUMENT; /* RFC 7518 s.3.3 to s.3.5: these hash first, with one digest each */
    }
    if (signature.len != slot->key->signature_bytes) {
        return RJ_SIGNATURE_INVALID; /* RFC 7518 s.3.3 to s.3.5: a signature has exactly one length */
    }
    return verify_prehashed(runtime, work, slot, info, (rj_span){digest, digest_len}, signature);
}

int rj_verify_trusts_accelerated(rj_runtime *runtime)
{
    return atomic_load_explicit(&runtime->acceleration_off, memory_order_relaxed) == 0;
}

static rj_status verify_by_libcrypto(rj_runtime *runtime, rj_workspace *work, const rj_token *token)
{
    return rj_verify_libcrypto(runtime, work, token->slot, token->check.input, token->check.signature);
}

rj_status rj_verify_sample(rj_runtime *runtime, rj_workspace *work, const rj_token *token)
{
    uint32_t interval = atomic_load_explicit(&runtime->sample_interval, memory_order_relaxed);

    if (interval == 0 || rj_workspace_random(work) % interval != 0) {
        return RJ_OK;
    }
    (void)atomic_fetch_add_explicit(&runtime->sampled, 1, memory_order_relaxed);
    if (verify_by_libcrypto(runtime, work, token) == RJ_OK) {
        return RJ_OK;
    }
    (void)atomic_fetch_add_explicit(&runtime->mismatches, 1, memory_order_relaxed);
    atomic_store_explicit(&runtime->acceleration_off, 1, memory_order_relaxed);
    return RJ_SIGNATURE_INVALID;
}

rj_status rj_verify(rj_runtime *runtime, rj_workspace *work, rj_token *token)
{
    rj_accelerated_group group = rj_accelerated_group_of(token->slot, token->check.signature.len);
    int is_trusted = 0;

    if (group == RJ_ACCELERATED_NONE) {
        return verify_by_libcrypto(runtime, work, token);
    }
    is_trusted = rj_verify_trusts_accelerated(runtime);
    if (is_trusted) {
        rj_accelerated_verify(work, group, &token, 1);
    }
    if (!is_trusted || token->status == RJ_UNDECIDED) {
        (void)atomic_fetch_add_explicit(&runtime->fallbacks, 1, memory_order_relaxed);
        return verify_by_libcrypto(runtime, work, token);
    }
    return token->status == RJ_OK ? rj_verify_sample(runtime, work, token) : token->status;
}
