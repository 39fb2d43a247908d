/* rsa_signers.h: RSA key pairs of any size and exponent, as libcrypto's and as ours in both forms. */
#ifndef RSA_SIGNERS_H
#define RSA_SIGNERS_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "driver.h"
#include "rsa/rsa.h"

enum { KEY_MAX = 16 };

typedef struct {
    EVP_PKEY *pkey;
    rj_rsa_key *fast;
    rj_rsa_key *portable;
    size_t bytes;
} signing_key;

/* The parts that make OpenSSL's signing fast. The names in crt live until the parameters are built. */
static void push_crt(OSSL_PARAM_BLD *build, BIGNUM *crt[3], const BIGNUM *d, const BIGNUM *p, const BIGNUM *q,
                     BN_CTX *bn) {
    BIGNUM *less = BN_dup(p);

    for (int i = 0; i < 3; i++) {
        crt[i] = BN_new();
    }
    REQUIRE(BN_sub_word(less, 1) && BN_mod(crt[0], d, less, bn) && BN_copy(less, q) != NULL);
    REQUIRE(BN_sub_word(less, 1) && BN_mod(crt[1], d, less, bn) && BN_mod_inverse(crt[2], q, p, bn) != NULL);
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_FACTOR1, p) == 1);
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_FACTOR2, q) == 1);
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_EXPONENT1, crt[0]) == 1);
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_EXPONENT2, crt[1]) == 1);
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, crt[2]) == 1);
    BN_free(less);
}

/* OpenSSL's generator rounds odd sizes down, so a key of any size is put together from two primes. */
static EVP_PKEY *generate_key(int bits, uint64_t exponent) {
    BN_CTX *bn = BN_CTX_new();
    BIGNUM *p = BN_new();
    BIGNUM *q = BN_new();
    BIGNUM *n = BN_new();
    BIGNUM *d = BN_new();
    BIGNUM *e = BN_new();
    BIGNUM *crt[3];
    BIGNUM *phi = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;

    REQUIRE(BN_set_word(e, exponent));
    do {
        REQUIRE(BN_generate_prime_ex(p, (bits + 1) / 2, 0, NULL, NULL, NULL));
        REQUIRE(BN_generate_prime_ex(q, bits / 2, 0, NULL, NULL, NULL) && BN_mul(n, p, q, bn));
        BN_free(phi);
        phi = BN_dup(n);
        REQUIRE(BN_sub(phi, phi, p) && BN_sub(phi, phi, q) && BN_add_word(phi, 1));
        ERR_set_mark();
        BN_zero(d);
        (void)BN_mod_inverse(d, e, phi, bn);
        ERR_pop_to_mark();
    } while (BN_num_bits(n) != bits || BN_is_zero(d));
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1);
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1);
    REQUIRE(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_D, d) == 1);
    push_crt(build, crt, d, p, q, bn);
    params = OSSL_PARAM_BLD_to_param(build);
    REQUIRE(EVP_PKEY_fromdata_init(ctx) == 1);
    REQUIRE(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) == 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(p);
    BN_free(q);
    BN_free(n);
    BN_free(d);
    BN_free(e);
    BN_free(phi);
    for (int i = 0; i < 3; i++) {
        BN_free(crt[i]);
    }
    BN_CTX_free(bn);
    return pkey;
}

static void make_key(signing_key *key, unsigned bits, uint64_t exponent) {
    BIGNUM *n = NULL;
    uint8_t n_bytes[RJ_RSA_MAX_BYTES];
    uint8_t e_bytes[8];
    size_t n_len;

    key->pkey = generate_key((int)bits, exponent);
    REQUIRE(EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
    n_len = (size_t)BN_bn2bin(n, n_bytes);
    for (int i = 0; i < 8; i++) {
        e_bytes[i] = (uint8_t)(exponent >> (56 - 8 * i));
    }
    REQUIRE(rj_rsa_prepare(&key->fast, n_bytes, n_len, e_bytes, 8, 0) == RJ_OK);
    REQUIRE(rj_rsa_prepare(&key->portable, n_bytes, n_len, e_bytes, 8, RJ_RSA_PORTABLE) == RJ_OK);
    key->bytes = n_len;
    REQUIRE(rj_rsa_modulus_bytes(key->fast) == n_len && EVP_PKEY_get_bits(key->pkey) == (int)bits);
    REQUIRE(bits != 2048 || (rj_rsa_bytes(key->fast) < 1536 && rj_rsa_bytes(key->portable) < 1536));
    BN_free(n);
}

static void free_key(signing_key *key) {
    EVP_PKEY_free(key->pkey);
    rj_rsa_free(key->fast);
    rj_rsa_free(key->portable);
}

static signing_key keys[KEY_MAX];

static void make_keys(void) {
    static const unsigned bits[KEY_MAX] = {2048, 2048, 2048, 2048, 2048, 3072, 3072, 3072,
                                           4096, 4096, 2049, 2057, 2050, 4104, 5120, 2079};
    static const uint64_t exponents[KEY_MAX] = {65537, 65537, 65537, 3, 17, 65537, 65537, 3, 65537, 65537, 65537,
                                                65537, UINT64_C(0xfffffffffffffff1), 65537, 65537, 257};

    for (int i = 0; i < KEY_MAX; i++) {
        make_key(&keys[i], bits[i], exponents[i]);
    }
}

static void free_keys(void) {
    for (int i = 0; i < KEY_MAX; i++) {
        free_key(&keys[i]);
    }
}

#endif
