/* The floor's one module: see floor.h. */
#include "floor.h"

#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

struct floor_key {
    EVP_PKEY *pkey; /* NULL for HMAC */
    const EVP_MD *md;
    unsigned char secret[64];
    size_t secret_len;
    int pss;
    int ecdsa;
};

static int floor_load(floor_key *key, const char *alg, const unsigned char *octets, size_t len)
{
    if (strcmp(alg, "HS256") == 0) {
        if (len > sizeof key->secret)
            return 0;
        memcpy(key->secret, octets, len);
        key->secret_len = len;
        key->md = EVP_sha256();
        return 1;
    }
    if (strcmp(alg, "EdDSA") != 0 && strncmp(alg, "ML-DSA", 6) != 0)
        key->md = strstr(alg, "384") ? EVP_sha384() : strstr(alg, "512") ? EVP_sha512() : EVP_sha256();
    key->pss = strncmp(alg, "PS", 2) == 0;
    key->ecdsa = strncmp(alg, "ES", 2) == 0;
    BIO *bio = BIO_new_mem_buf(octets, (int)len);
    if (bio == NULL)
        return 0;
    key->pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key->pkey != NULL;
}

floor_key *floor_open(const char *alg, const unsigned char *key, size_t key_len)
{
    floor_key *opened = OPENSSL_zalloc(sizeof *opened);
    if (opened == NULL)
        return NULL;
    if (!floor_load(opened, alg, key, key_len)) {
        ERR_clear_error();
        floor_close(opened);
        return NULL;
    }
    return opened;
}

void floor_close(floor_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    OPENSSL_free(key);
}

size_t floor_signature(const floor_key *key, unsigned char *der, size_t der_cap, const unsigned char *raw,
                       size_t raw_len)
{
    if (!key->ecdsa) {
        if (raw_len > der_cap)
            return 0;
        memcpy(der, raw, raw_len);
        return raw_len;
    }
    const int half = (int)(raw_len / 2);
    size_t len = 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, half, NULL), *s = BN_bin2bn(raw + half, half, NULL);
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s)) {
        const int size = i2d_ECDSA_SIG(sig, NULL);
        if (size > 0 && (size_t)size <= der_cap)
            len = (size_t)i2d_ECDSA_SIG(sig, &der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return len;
}

static int floor_hmac(const floor_key *key, const unsigned char *message, size_t message_len,
                      const unsigned char *signature, size_t signature_len)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    if (HMAC(key->md, key->secret, (int)key->secret_len, message, message_len, mac, &mac_len) == NULL)
        return 0;
    return mac_len == signature_len && CRYPTO_memcmp(mac, signature, mac_len) == 0;
}

int floor_verify(const floor_key *key, const unsigned char *message, size_t message_len, const unsigned char *signature,
                 size_t signature_len)
{
    if (key->pkey == NULL)
        return floor_hmac(key, message, message_len, signature, signature_len);
    EVP_PKEY_CTX *settings = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context != NULL && EVP_DigestVerifyInit(context, &settings, key->md, NULL, key->pkey) == 1;
    if (good && key->pss)
        good = EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) == 1;
    good = good && EVP_DigestVerify(context, signature, signature_len, message, message_len) == 1;
    EVP_MD_CTX_free(context);
    if (!good)
        ERR_clear_error();
    return good;
}

double floor_loop(const floor_key *key, const unsigned char *message, size_t message_len,
                  const unsigned char *signature, size_t signature_len, size_t calls)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t i = 0; i < calls; i++)
        if (!floor_verify(key, message, message_len, signature, signature_len))
            return -1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / (double)calls;
}
