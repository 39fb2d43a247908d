/* rsa_cases.h: signatures of the signers' keys, good and spoilt, and libcrypto's verdict on them. */
#ifndef RSA_CASES_H
#define RSA_CASES_H

#include <openssl/rsa.h>

#include "checks.h"
#include "rsa_signers.h"

static const EVP_MD *driver_md(rj_digest_id id)
{
    return id == RJ_SHA256 ? EVP_sha256() : id == RJ_SHA384 ? EVP_sha384() : EVP_sha512();
}

static EVP_PKEY_CTX *signature_context(EVP_PKEY *pkey, rj_digest_id id, rj_rsa_padding padding, int salt, int verify)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);

    REQUIRE((verify ? EVP_PKEY_verify_init(ctx) : EVP_PKEY_sign_init(ctx)) == 1);
    REQUIRE(EVP_PKEY_CTX_set_rsa_padding(ctx, padding == RJ_RSA_PSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1);
    REQUIRE(EVP_PKEY_CTX_set_signature_md(ctx, driver_md(id)) == 1);
    REQUIRE(padding != RJ_RSA_PSS || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) == 1);
    return ctx;
}

/* em^d mod n for any em below n: what a forger with the key could make. */
static void raw_sign(const signing_key *key, uint8_t *signature, const uint8_t *em)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
    size_t len = key->bytes;

    REQUIRE(EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1);
    REQUIRE(EVP_PKEY_decrypt(ctx, signature, &len, em, key->bytes) == 1 && len == key->bytes);
    EVP_PKEY_CTX_free(ctx);
}

static void raw_open(const signing_key *key, uint8_t *em, const uint8_t *signature)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
    size_t len = key->bytes;

    REQUIRE(EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1);
    REQUIRE(EVP_PKEY_encrypt(ctx, em, &len, signature, key->bytes) == 1 && len == key->bytes);
    EVP_PKEY_CTX_free(ctx);
}

/* Spoil a good signature in one of the ways that matter; returns its new length. */
static size_t spoil(const signing_key *key, uint8_t *signature, uint8_t *digest, uint64_t *seed)
{
    uint8_t em[RJ_RSA_MAX_BYTES];
    size_t at = (size_t)(driver_random(seed) % key->bytes);
    uint8_t bit = (uint8_t)(1u << (driver_random(seed) % 8));

    switch (driver_random(seed) % 10) {
    case 0:
        signature[at] ^= bit;
        return key->bytes;
    case 1:
        digest[at % 32] ^= bit;
        return key->bytes;
    case 2:
        memmove(signature + 1, signature, key->bytes);
        signature[0] = 0;
        return key->bytes + 1;
    case 3:
        return key->bytes - 1;
    case 4:
        memset(signature, driver_random(seed) % 2 == 0 ? 0xff : 0, key->bytes);
        return key->bytes;
    case 5: /* a number at or above n that would open the same */
    {
        BIGNUM *n = NULL;
        BIGNUM *s = BN_bin2bn(signature, (int)key->bytes, NULL);
        size_t len = key->bytes;

        REQUIRE(EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 && BN_add(s, s, n));
        if (BN_num_bytes(s) <= (int)key->bytes) {
            REQUIRE(BN_bn2binpad(s, signature, (int)key->bytes) > 0);
        } else {
            REQUIRE(BN_bn2binpad(n, signature, (int)key->bytes) > 0);
        }
        BN_free(n);
        BN_free(s);
        return len;
    }
    default: /* one bit of the encoded message, anywhere, signed with the key; heads and tails more often */
        raw_open(key, em, signature);
        at = driver_random(seed) % 3 == 0 ? key->bytes - 1 - at % 4 : driver_random(seed) % 2 == 0 ? at % 4 : at;
        em[at] ^= bit;
        {
            BIGNUM *n = NULL;
            BIGNUM *m = BN_bin2bn(em, (int)key->bytes, NULL);
            REQUIRE(EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
            if (BN_cmp(m, n) < 0) {
                raw_sign(key, signature, em);
            } else {
                signature[at] ^= bit;
            }
            BN_free(n);
            BN_free(m);
        }
        return key->bytes;
    }
}

typedef struct {
    uint8_t signature[RJ_RSA_MAX_BYTES + 1];
    uint8_t digest[64];
} signed_case;

/* One signature, good or spoilt, with libcrypto's verdict. Returns its key. */
static const signing_key *make_case(rj_signature_check *check, rj_status *right, signed_case *made, uint64_t *seed)
{
    const signing_key *key =
        &keys[driver_random(seed) % 4 == 0 ? driver_random(seed) % KEY_MAX : driver_random(seed) % 5];
    rj_digest_id id = (rj_digest_id)(1 + driver_random(seed) % 3);
    rj_rsa_padding padding = (rj_rsa_padding)(1 + driver_random(seed) % 2);
    size_t digest_bytes = rj_digest_bytes(id);
    int salts[8] = {-1, -1, -1, -1, -1, 0, (int)digest_bytes - 1, (int)digest_bytes + 1};
    size_t len = key->bytes;
    EVP_PKEY_CTX *ctx = signature_context(key->pkey, id, padding, salts[driver_random(seed) % 8], 0);

    driver_fill(seed, made->digest, digest_bytes);
    REQUIRE(EVP_PKEY_sign(ctx, made->signature, &len, made->digest, digest_bytes) == 1);
    EVP_PKEY_CTX_free(ctx);
    if (driver_random(seed) % 2 == 0) {
        len = spoil(key, made->signature, made->digest, seed);
    }
    if (driver_random(seed) % 16 == 0) {
        padding = padding == RJ_RSA_PSS ? RJ_RSA_PKCS1 : RJ_RSA_PSS;
    }
    ctx = signature_context(key->pkey, id, padding, RSA_PSS_SALTLEN_DIGEST, 1);
    *right = EVP_PKEY_verify(ctx, made->signature, len, made->digest, digest_bytes) == 1 ? RJ_OK : RJ_SIGNATURE_INVALID;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    *check = check_rsa(key->fast, id, made->digest, (rj_span){made->signature, len}, padding);
    return key;
}

#endif
