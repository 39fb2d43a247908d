/* primitives.c: see primitives.h. */
#include "core/primitives.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

#ifndef RJ_VERSION
#error "native/build.py gives RJ_VERSION"
#endif

rj_status rj_json_check(rj_runtime *runtime, uint32_t *fault_offset, uint32_t *notes, const uint8_t *text,
                        size_t text_len, uint32_t max_bytes, uint32_t max_depth, uint32_t max_members, int any_root)
{
    rj_json_limits limits = {.max_bytes = max_bytes,
                             .max_depth = max_depth,
                             .max_members = max_members,
                             .flags = any_root ? RJ_JSON_ANY_ROOT : 0};
    rj_json_report report = {0};
    rj_workspace *work = rj_runtime_borrow_workspace(runtime);
    rj_status status = RJ_NO_MEMORY;

    if (work == NULL) {
        return RJ_NO_MEMORY;
    }
    status = rj_json_scan(&report, NULL, 0, work->json, sizeof work->json, text, text_len, &limits);
    rj_runtime_return_workspace(runtime, work);
    if (status == RJ_NO_MEMORY) {
        size_t bytes = rj_json_work_bytes(text_len, &limits);
        void *large = malloc(bytes);
        if (large == NULL) {
            return RJ_NO_MEMORY;
        }
        status = rj_json_scan(&report, NULL, 0, large, bytes, text, text_len, &limits);
        free(large);
    }
    *fault_offset = report.fault_offset;
    *notes = (report.has_big_integer ? RJ_JSON_HAS_BIG_INTEGER : 0u) | (report.has_decimal ? RJ_JSON_HAS_DECIMAL : 0u);
    return status;
}

rj_status rj_verify_raw(rj_runtime *runtime, const rj_key *key, const rj_precomputed *precomputed, uint32_t alg,
                        const uint8_t *input, size_t input_len, const uint8_t *signature, size_t signature_len,
                        int acceleration)
{
    rj_slot slot = {.key = key, .precomputed = precomputed, .alg = alg, .issuer = 0};
    rj_token token = {.slot = &slot, .check = {.input = {input, input_len}, .signature = {signature, signature_len}}};
    rj_workspace *work = NULL;
    rj_status status = RJ_UNDECIDED;

    if (!rj_key_serves(key, alg) || (precomputed != NULL && rj_precomputed_alg(precomputed) != alg)) {
        return RJ_BAD_ARGUMENT; /* RFC 8725 s.3.1: one key, one kind of algorithm */
    }
    work = rj_runtime_borrow_workspace(runtime);
    if (work == NULL) {
        return RJ_NO_MEMORY;
    }
    status = acceleration ? rj_verify(runtime, work, &token)
                          : rj_verify_libcrypto(runtime, work, &slot, token.check.input, token.check.signature);
    rj_runtime_return_workspace(runtime, work);
    return status;
}

int rj_alg_is_native(rj_runtime *runtime, uint32_t alg)
{
    const rj_alg_info *info = rj_alg_lookup(alg);
    EVP_KEYMGMT *found = NULL;

    if (info == NULL) {
        return 0;
    }
    if (info->family != RJ_FAMILY_MESSAGE) {
        return 1;
    }
    found = EVP_KEYMGMT_fetch(runtime->libctx, info->libcrypto_name, NULL);
    EVP_KEYMGMT_free(found);
    ERR_clear_error();
    return found != NULL;
}

const char *rj_libcrypto_version(void) { return OpenSSL_version(OPENSSL_VERSION); }

int rj_libcrypto_is_ours(void) { return RJ_OWN_LIBCRYPTO; }

const char *rj_built_version(void) { return RJ_VERSION; }

int rj_error_queue_len(void)
{
    int len = 0;

    while (ERR_get_error() != 0) {
        len++;
    }
    return len;
}
