/* key.c: prepared keys, built through EVP_PKEY_fromdata so that libcrypto keeps them provider-native. */
#include "core/key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX_EC_BYTES = 132 };

static rj_status key_from_params(rj_runtime *runtime, EVP_PKEY **out, const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(runtime->libctx, type, NULL);
    rj_status status = RJ_NO_MEMORY;

    if (ctx == NULL) {
        return RJ_NOT_NATIVE;
    }
    if (EVP_PKEY_fromdata_init(ctx) != 1) {
        goto done;
    }
    status = EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) == 1 ? RJ_OK : RJ_KEY_MALFORMED;
done:
    EVP_PKEY_CTX_free(ctx);
    return status;
}

static rj_status key_build_rsa_pkey(rj_runtime *runtime, EVP_PKEY **out, const uint8_t *n, size_t n_len,
                                    const uint8_t *e, size_t e_len)
{
    BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL);
    BIGNUM *exponent = BN_bin2bn(e, (int)e_len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    rj_status status = RJ_NO_MEMORY;

    if (modulus == NULL || exponent == NULL || builder == NULL) {
        goto done;
    }
    if (OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) != 1
        || OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) != 1) {
        goto done;
    }
    params = OSSL_PARAM_BLD_to_param(builder);
    if (params != NULL) {
        status = key_from_params(runtime, out, "RSA", params);
    }
done:
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_free(exponent);
    BN_free(modulus);
    return status;
}

/* rsa.c checks sizes and shape first, so libcrypto never sees a modulus that could stall it. */
static rj_status key_build_rsa(rj_runtime *runtime, rj_key *key, const uint8_t *n, size_t n_len, const uint8_t *e,
                               size_t e_len)
{
    rj_status status = rj_rsa_prepare(&key->rsa, n, n_len, e, e_len, 0);

    if (status == RJ_TOO_LARGE) {
        return RJ_KEY_MALFORMED;
    }
    if (status != RJ_OK) {
        return status;
    }
    status = key_build_rsa_pkey(runtime, &key->pkey, n, n_len, e, e_len);
    return status == RJ_KEY_MALFORMED ? RJ_LIBCRYPTO_FAILED : status; /* its shape is checked: not its fault */
}

static rj_status key_build_ec(rj_runtime *runtime, EVP_PKEY **out, const char *group, const uint8_t *xy, size_t xy_len)
{
    uint8_t point[1 + KEY_MAX_EC_BYTES];
    char group_name[16];
    OSSL_PARAM params[3];

    point[0] = 0x04; /* SEC 1 s.2.3.3: uncompressed */
    memcpy(point + 1, xy, xy_len);
    memcpy(group_name, group, strlen(group) + 1);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group_name, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + xy_len);
    params[2] = OSSL_PARAM_construct_end();
    return key_from_params(runtime, out, "EC", params);
}

static rj_status key_build_raw(rj_runtime *runtime, EVP_PKEY **out, const char *type, const uint8_t *raw,
                               size_t raw_len)
{
    EVP_KEYMGMT *known = EVP_KEYMGMT_fetch(runtime->libctx, type, NULL);

    if (known == NULL) {
        return RJ_NOT_NATIVE;
    }
    EVP_KEYMGMT_free(known);
    *out = EVP_PKEY_new_raw_public_key_ex(runtime->libctx, type, NULL, raw, raw_len);
    return *out == NULL ? RJ_LIBCRYPTO_FAILED : RJ_OK; /* of a key it only checks the length: done */
}

static rj_status key_fill(rj_runtime *runtime, rj_key *key, const rj_alg_info *info, const uint8_t *first,
                          size_t first_len, const uint8_t *second, size_t second_len)
{
    if (info->public_bytes != 0 && first_len != info->public_bytes) {
        return RJ_KEY_MALFORMED; /* RFC 7518 s.6.2.1.2, RFC 8037 s.2: the full length, no more, no less */
    }
    switch (info->family) {
    case RJ_FAMILY_HMAC:
        return rj_hmac_prepare(&key->hmac, info->digest, first, first_len);
    case RJ_FAMILY_RSA_PKCS1:
    case RJ_FAMILY_RSA_PSS:
        return key_build_rsa(runtime, key, first, first_len, second, second_len);
    case RJ_FAMILY_ECDSA:
        return key_build_ec(runtime, &key->pkey, info->libcrypto_name, first, first_len);
    case RJ_FAMILY_MESSAGE:
        return key_build_raw(runtime, &key->pkey, info->libcrypto_name, first, first_len);
    case RJ_FAMILY_UNSET:
        break;
    }
    return RJ_BAD_ARGUMENT;
}

/* Whether libcrypto ran out of memory; empties its queue. A good key must not be taken for a bad one then. */
static int key_memory_was_out(void)
{
    int found = 0;
    unsigned long error = 0;

    while ((error = ERR_get_error()) != 0) {
        found |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    }
    return found;
}

rj_status rj_key_build(rj_runtime *runtime, rj_key **out, uint32_t alg, uint64_t id, const uint8_t *first,
                       size_t first_len, const uint8_t *second, size_t second_len)
{
    const rj_alg_info *info = rj_alg_lookup(alg);
    rj_key *key = NULL;
    rj_status status = RJ_NO_MEMORY;

    if (info == NULL) {
        return RJ_BAD_ARGUMENT;
    }
    key = calloc(1, sizeof *key);
    if (key == NULL) {
        return RJ_NO_MEMORY;
    }
    key->id = id;
    key->alg = alg;
    status = key_fill(runtime, key, info, first, first_len, second, second_len);
    if (status == RJ_OK) {
        key->signature_bytes =
            info->signature_bytes != 0 ? info->signature_bytes : (uint32_t)EVP_PKEY_get_size(key->pkey);
        *out = key;
    } else {
        rj_key_free(key);
        status = key_memory_was_out() ? RJ_NO_MEMORY : status;
    }
    ERR_clear_error();
    return status;
}

void rj_key_free(rj_key *key)
{
    if (key == NULL) {
        return;
    }
    EVP_PKEY_free(key->pkey);
    rj_rsa_free(key->rsa);
    rj_hmac_clear(&key->hmac);
    free(key);
}

int rj_key_serves(const rj_key *key, uint32_t alg)
{
    const rj_alg_info *mine = rj_alg_lookup(key->alg);
    const rj_alg_info *wanted = rj_alg_lookup(alg);

    if (mine == NULL || wanted == NULL) {
        return 0;
    }
    if (mine->family == RJ_FAMILY_RSA_PKCS1 || mine->family == RJ_FAMILY_RSA_PSS) {
        return wanted->family == RJ_FAMILY_RSA_PKCS1 || wanted->family == RJ_FAMILY_RSA_PSS;
    }
    return key->alg == alg;
}
