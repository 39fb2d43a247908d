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
                     BN_CTX *bn)
{
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

/* The steps of two from a random odd number, repeatable by its seed, up to a prime that fits the exponent: what
 * drive_rsa primes prints. Looking for primes takes ten times as long as what is tested with them. */
static const unsigned prime_steps[KEY_MAX][2] = {
#include "rsa_prime_steps.h"
};

static void prime_at(BIGNUM *prime, int bits, uint64_t seed, unsigned steps)
{
    uint8_t bytes[RJ_RSA_MAX_BYTES];

    driver_fill(&seed, bytes, sizeof(bytes));
    REQUIRE(BN_bin2bn(bytes, (bits + 7) / 8, prime) != NULL);
    BN_mask_bits(prime, bits);
    REQUIRE(BN_set_bit(prime, bits - 1) && BN_set_bit(prime, bits - 2) && BN_set_bit(prime, 0));
    REQUIRE(BN_add_word(prime, 2 * (BN_ULONG)steps));
}

static void two_primes(BIGNUM *p, BIGNUM *q, int bits, int known)
{
    if (known >= 0) {
        prime_at(p, (bits + 1) / 2, 2 * (uint64_t)known, prime_steps[known][0]);
        prime_at(q, bits / 2, 2 * (uint64_t)known + 1, prime_steps[known][1]);
    } else {
        REQUIRE(BN_generate_prime_ex(p, (bits + 1) / 2, 0, NULL, NULL, NULL));
        REQUIRE(BN_generate_prime_ex(q, bits / 2, 0, NULL, NULL, NULL));
    }
}

/* OpenSSL's generator rounds odd sizes down, so a key of any size is put together from two primes: those of a
 * known key, or random ones where known is below 0. */
static EVP_PKEY *generate_key(int bits, uint64_t exponent, int known)
{
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
        two_primes(p, q, bits, known);
        REQUIRE(BN_mul(n, p, q, bn));
        BN_free(phi);
        phi = BN_dup(n);
        REQUIRE(BN_sub(phi, phi, p) && BN_sub(phi, phi, q) && BN_add_word(phi, 1));
        ERR_set_mark();
        BN_zero(d);
        (void)BN_mod_inverse(d, e, phi, bn);
        ERR_pop_to_mark();
        REQUIRE(known < 0 || (BN_num_bits(n) == bits && !BN_is_zero(d)));
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

static void make_key(signing_key *key, unsigned bits, uint64_t exponent, int known)
{
    BIGNUM *n = NULL;
    uint8_t n_bytes[RJ_RSA_MAX_BYTES];
    uint8_t e_bytes[8];
    size_t n_len;

    key->pkey = generate_key((int)bits, exponent, known);
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

static void free_key(signing_key *key)
{
    EVP_PKEY_free(key->pkey);
    rj_rsa_free(key->fast);
    rj_rsa_free(key->portable);
}

static signing_key keys[KEY_MAX];

static const unsigned key_bits[KEY_MAX] = {2048, 2048, 2048, 2048, 2048, 3072, 3072, 3072,
                                           4096, 4096, 2049, 2057, 2050, 4104, 5120, 2079};
static const uint64_t key_exponents[KEY_MAX] = {
    65537, 65537, 65537, 3, 17, 65537, 65537, 3, 65537, 65537, 65537, 65537, UINT64_C(0xfffffffffffffff1),
    65537, 65537, 257};

static void make_keys(int random)
{
    for (int i = 0; i < KEY_MAX; i++) {
        make_key(&keys[i], key_bits[i], key_exponents[i], random ? -1 : i);
    }
}

/* Print rsa_prime_steps.h. */
static void print_prime_steps(void)
{
    BN_CTX *bn = BN_CTX_new();
    BIGNUM *prime = BN_new();
    BIGNUM *e = BN_new();
    BIGNUM *rest = BN_new();

    for (int i = 0; i < 2 * KEY_MAX; i++) {
        int bits = ((int)key_bits[i / 2] + 1 - i % 2) / 2;
        unsigned steps = 0;
        REQUIRE(BN_set_word(e, key_exponents[i / 2]));
        for (;; steps++) {
            prime_at(prime, bits, (uint64_t)i, steps);
            if (BN_check_prime(prime, bn, NULL) == 1) {
                REQUIRE(BN_sub_word(prime, 1) && BN_gcd(rest, prime, e, bn));
                if (BN_is_one(rest)) {
                    break;
                }
            }
        }
        printf(i % 2 == 0 ? "    {%u, " : "%u},\n", steps);
    }
    BN_free(prime);
    BN_free(e);
    BN_free(rest);
    BN_CTX_free(bn);
}

static void free_keys(void)
{
    for (int i = 0; i < KEY_MAX; i++) {
        free_key(&keys[i]);
    }
}

#endif
