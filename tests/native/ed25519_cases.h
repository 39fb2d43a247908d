/* ed25519_cases.h: keys honest and made up, signatures under them, good and spoilt, and libcrypto's verdict. */
#ifndef ED25519_CASES_H
#define ED25519_CASES_H

#include <openssl/err.h>
#include <openssl/evp.h>

#include "hash/digest.h"
#include "ed25519_numbers.h"

enum { KEYS = 12 };

typedef struct {
    EVP_PKEY *private_key; /* NULL where the point was made up */
    EVP_PKEY *public_key;
    uint8_t key32[32];
    uint8_t scalar32[32]; /* of a made-up key: A = [scalar]B, plus torsion where mixed */
    int mixed;
    rj_ed25519_table *tables[2];
} known_key;

static rj_ed25519_table *generators[2];

static void build_tables(known_key *key)
{
    key->public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->key32, 32);
    REQUIRE(key->public_key != NULL);
    REQUIRE(rj_ed25519_table_build(&key->tables[0], key->key32, 0) == RJ_OK);
    REQUIRE(rj_ed25519_table_build(&key->tables[1], key->key32, RJ_ED25519_PORTABLE) == RJ_OK);
}

static void make_key(known_key *key, uint64_t *seed)
{
    uint8_t private32[32];
    size_t len = 32;

    driver_fill(seed, private32, 32);
    key->private_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private32, 32);
    REQUIRE(key->private_key != NULL);
    REQUIRE(EVP_PKEY_get_raw_public_key(key->private_key, key->key32, &len) == 1);
    build_tables(key);
}

/* A key [a]B + T with T of order 8 (mixed) or 1: a point of the curve that no honest signer has. */
static void make_chosen_key(known_key *key, const uint8_t scalar32[32], const ed25519_point *torsion)
{
    ed25519_point point;
    f25519 inverse;

    memcpy(key->scalar32, scalar32, 32);
    rj_ed25519_point_multiply(&point, &rj_ed25519_base, scalar32);
    if (torsion != NULL) {
        rj_ed25519_point_add(&point, &point, torsion);
    }
    REQUIRE(rj_ed25519_invert(&inverse, &point.z));
    rj_ed25519_encode(key->key32, &point.x, &point.y, &inverse);
    key->private_key = NULL;
    key->mixed = torsion != NULL;
    build_tables(key);
}

/* A point of order 8, by [L] of a random point: decode refuses the small ones, so they are made here. */
static void make_torsion(ed25519_point *out, uint64_t *seed)
{
    uint8_t order32[32];
    uint8_t key32[32];
    BIGNUM *order = number_order();

    REQUIRE(BN_bn2lebinpad(order, order32, 32) == 32);
    BN_free(order);
    for (;;) {
        ed25519_point point, check;
        driver_fill(seed, key32, 32);
        if (rj_ed25519_point_decode(&point, key32) == RJ_OK) {
            rj_ed25519_point_multiply(out, &point, order32);
            rj_ed25519_point_add(&check, out, out);
            rj_ed25519_point_add(&check, &check, &check);
            if (!f25519_is_zero(&check.x)) { /* [4]T is not the identity, nor is it of order 2: order 8 */
                return;
            }
            f25519_subtract(&check.y, &check.y, &check.z);
            if (!f25519_is_zero(&check.y)) {
                return;
            }
        }
    }
}

static void add_order(uint8_t scalar32[32])
{
    BIGNUM *order = number_order();
    BIGNUM *s = BN_lebin2bn(scalar32, 32, NULL);

    REQUIRE(BN_add(s, s, order) && BN_bn2lebinpad(s, scalar32, 32) == 32);
    BN_free(order);
    BN_free(s);
}

static void spoil(uint8_t signature64[64], uint8_t *message, size_t len, uint64_t *seed)
{
    uint64_t r = driver_random(seed);
    BIGNUM *order;

    switch (driver_random(seed) % 12) {
    case 0:
        add_order(signature64 + 32); /* the same point: a malleable verifier accepts it */
        break;
    case 1:
        memset(signature64 + 32, 0, 32);
        signature64[32] = (uint8_t)(r % 2);
        break;
    case 2:
        order = number_order();
        REQUIRE(BN_sub_word(order, r % 2) && BN_bn2lebinpad(order, signature64 + 32, 32) == 32);
        BN_free(order);
        break;
    case 3:
        memset(signature64 + 32 * (r % 2), 0xff, 32);
        break;
    case 4:
        signature64[31] ^= 0x80; /* the other sign of x */
        break;
    case 5:
        memset(signature64, r % 2 == 0 ? 0 : 0xff, 32);
        signature64[0] = (uint8_t)(r >> 8);
        break;
    case 6:
        if (len > 0) {
            message[r % len] ^= (uint8_t)(1u << (r >> 32 & 7));
        }
        break;
    default:
        signature64[r % 64] ^= (uint8_t)(1u << (r >> 32 & 7));
        break;
    }
}

static rj_status ask_libcrypto(EVP_PKEY *pkey, const uint8_t *message, size_t len, const uint8_t *signature64)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good;

    REQUIRE(ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1);
    good = EVP_DigestVerify(ctx, signature64, 64, message, len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good ? RJ_OK : RJ_SIGNATURE_INVALID;
}

static ed25519_point torsion_point; /* of order 8 */

static void make_keys(known_key known[KEYS], uint64_t *seed)
{
    static const uint8_t one32[32] = {1};
    BIGNUM *order = number_order();
    uint8_t minus_one32[32];
    uint8_t wide64[64];
    uint8_t scalar32[32];

    REQUIRE(BN_sub_word(order, 1) && BN_bn2lebinpad(order, minus_one32, 32) == 32);
    BN_free(order);
    REQUIRE(rj_ed25519_table_build_generator(&generators[0], 0) == RJ_OK);
    REQUIRE(rj_ed25519_table_build_generator(&generators[1], RJ_ED25519_PORTABLE) == RJ_OK);
    make_torsion(&torsion_point, seed);
    for (int i = 0; i < KEYS - 4; i++) {
        make_key(&known[i], seed);
    }
    driver_fill(seed, wide64, 64);
    rj_ed25519_scalar_reduce(scalar32, wide64);
    make_chosen_key(&known[KEYS - 4], scalar32, &torsion_point);
    make_chosen_key(&known[KEYS - 3], one32, &torsion_point);
    make_chosen_key(&known[KEYS - 2], one32, NULL);
    make_chosen_key(&known[KEYS - 1], minus_one32, NULL);
}

static void free_keys(known_key known[KEYS])
{
    for (int i = 0; i < KEYS; i++) {
        EVP_PKEY_free(known[i].private_key);
        EVP_PKEY_free(known[i].public_key);
        rj_ed25519_table_free(known[i].tables[0]);
        rj_ed25519_table_free(known[i].tables[1]);
    }
    rj_ed25519_table_free(generators[0]);
    rj_ed25519_table_free(generators[1]);
}

/* k = SHA-512(R || A || M) mod L */
static void hash_scalar(uint8_t k32[32], const uint8_t r32[32], const known_key *key, const uint8_t *message,
                        size_t len)
{
    rj_digest_state state;
    uint8_t wide64[64];

    REQUIRE(rj_digest_start(&state, RJ_SHA512) == RJ_OK);
    rj_digest_update(&state, r32, 32);
    rj_digest_update(&state, key->key32, 32);
    rj_digest_update(&state, message, len);
    rj_digest_finish(&state, wide64);
    rj_ed25519_scalar_reduce(k32, wide64);
}

/* Sign with the scalar of a made-up key: R = [r]B, S = r + k a. For a mixed key R gets the torsion -[k]T that the
 * equation without the cofactor asks for, or, one time in eight, any. */
static void sign_by_choice(uint8_t signature64[64], const known_key *key, const uint8_t *message, size_t len,
                           uint64_t *seed)
{
    const int any = driver_random(seed) % 8 == 0;
    uint8_t wide64[64];
    uint8_t r32[32];
    uint8_t k32[32];
    BIGNUM *order = number_order();
    BIGNUM *r;
    BIGNUM *k;
    BIGNUM *a;
    BN_CTX *bn = BN_CTX_new();

    for (;;) {
        const uint8_t turns32[32] = {(uint8_t)(driver_random(seed) % 8)};
        ed25519_point point, extra;
        f25519 inverse;

        driver_fill(seed, wide64, 64);
        rj_ed25519_scalar_reduce(r32, wide64);
        switch (driver_random(seed) % 4) {
        case 0: /* R is the identity, B or [2]B, or a point of small order */
            memset(r32, 0, 32);
            r32[0] = (uint8_t)(driver_random(seed) % 3);
            break;
        case 1: /* a scalar of digits at the edges of a window */
            for (int i = 0; i < 31; i++) {
                static const uint8_t edges[6] = {0, 1, 0x7f, 0x80, 0x81, 0xff};
                r32[i] = edges[driver_random(seed) % 6];
            }
            r32[31] = 0x0f;
            break;
        default:
            break;
        }
        rj_ed25519_point_multiply(&point, &rj_ed25519_base, r32);
        if (key->mixed) {
            rj_ed25519_point_multiply(&extra, &torsion_point, turns32);
            rj_ed25519_point_add(&point, &point, &extra);
        }
        REQUIRE(rj_ed25519_invert(&inverse, &point.z));
        rj_ed25519_encode(signature64, &point.x, &point.y, &inverse);
        hash_scalar(k32, signature64, key, message, len);
        if (!key->mixed || any || (k32[0] + turns32[0]) % 8 == 0) {
            break;
        }
    }
    r = BN_lebin2bn(r32, 32, NULL);
    k = BN_lebin2bn(k32, 32, NULL);
    a = BN_lebin2bn(key->scalar32, 32, NULL);
    REQUIRE(BN_mod_mul(k, k, a, order, bn) && BN_mod_add(r, r, k, order, bn));
    REQUIRE(BN_bn2lebinpad(r, signature64 + 32, 32) == 32);
    BN_free(order);
    BN_free(r);
    BN_free(k);
    BN_free(a);
    BN_CTX_free(bn);
}

#endif
