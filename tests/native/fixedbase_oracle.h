/* fixedbase_oracle.h: signatures made to measure for the fixedbase driver, and libcrypto's verdict on them. */
#ifndef FIXEDBASE_ORACLE_H
#define FIXEDBASE_ORACLE_H

#define OPENSSL_SUPPRESS_DEPRECATED /* EC_KEY: the plainest oracle libcrypto has */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

#include "driver.h"
#include "ec/fixedbase.h"

#define CASE_DIGEST_BYTES 128
#define CASE_COORD_BYTES 66
#define ORACLE_FLAGS 15u /* flags of a build; above them the size of the keys' tables */

/* One curve under test: its order, its tables' flags and size, and its generator's table. */
typedef struct {
    rj_curve id;
    unsigned flags;
    rj_fixedbase_size size;
    size_t width;
    EC_GROUP *group;
    BN_CTX *ctx;
    BIGNUM *n, *p;
    rj_fixedbase *generator;
} oracle_curve;

typedef struct {
    const oracle_curve *curve;
    BIGNUM *d; /* NULL for a key nobody knows */
    EC_KEY *ec;
    rj_fixedbase *table;
} oracle_key;

/* One signature with its key and libcrypto's verdict (1 good, 0 bad). */
typedef struct {
    const oracle_key *key;
    uint8_t digest[CASE_DIGEST_BYTES], rs[2 * CASE_COORD_BYTES];
    size_t digest_len;
    int good;
} oracle_case;

static inline void oracle_curve_open(oracle_curve *c, rj_curve id, unsigned flags)
{
    static const int nids[RJ_CURVE_COUNT] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1, NID_secp256k1};
    c->id = id;
    c->flags = flags & ORACLE_FLAGS;
    c->size = (rj_fixedbase_size)(flags / (ORACLE_FLAGS + 1));
    c->width = rj_fixedbase_coord_bytes(id);
    c->group = EC_GROUP_new_by_curve_name(nids[id]);
    c->ctx = BN_CTX_new();
    c->n = BN_dup(EC_GROUP_get0_order(c->group));
    c->p = BN_dup(EC_GROUP_get0_field(c->group));
    REQUIRE(rj_fixedbase_build_generator(&c->generator, id, c->flags) == RJ_OK);
}

static inline void oracle_curve_close(oracle_curve *c)
{
    rj_fixedbase_free(c->generator);
    BN_free(c->p);
    BN_free(c->n);
    BN_CTX_free(c->ctx);
    EC_GROUP_free(c->group);
}

static inline void oracle_random(BIGNUM *out, uint64_t *seed, const BIGNUM *n)
{
    uint8_t bytes[80];
    do {
        driver_fill(seed, bytes, sizeof bytes);
        REQUIRE(BN_bin2bn(bytes, BN_num_bytes(n) + 8, out) != NULL);
        BN_CTX *ctx = BN_CTX_new();
        REQUIRE(BN_mod(out, out, n, ctx) == 1);
        BN_CTX_free(ctx);
    } while (BN_is_zero(out));
}

static inline void oracle_key_from_point(oracle_key *key, const oracle_curve *c, const EC_POINT *point)
{
    uint8_t octets[1 + 2 * CASE_COORD_BYTES];
    size_t len = EC_POINT_point2oct(c->group, point, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets, c->ctx);
    key->curve = c;
    key->d = NULL;
    key->ec = EC_KEY_new();
    REQUIRE(len == 1 + 2 * c->width && EC_KEY_set_group(key->ec, c->group) == 1);
    REQUIRE(EC_KEY_set_public_key(key->ec, point) == 1);
    REQUIRE(rj_fixedbase_build(&key->table, c->id, c->size, octets + 1, len - 1, c->flags) == RJ_OK);
}

/* A key with the private number d. */
static inline void oracle_key_from_number(oracle_key *key, const oracle_curve *c, const BIGNUM *d)
{
    EC_POINT *point = EC_POINT_new(c->group);
    REQUIRE(EC_POINT_mul(c->group, point, d, NULL, NULL, c->ctx) == 1);
    oracle_key_from_point(key, c, point);
    key->d = BN_dup(d);
    EC_POINT_free(point);
}

static inline void oracle_key_close(oracle_key *key)
{
    rj_fixedbase_free(key->table);
    EC_KEY_free(key->ec);
    BN_free(key->d);
}

/* libcrypto's verdict. */
static inline int oracle_verdict(const oracle_case *t)
{
    int width = (int)t->key->curve->width, verdict;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    REQUIRE(ECDSA_SIG_set0(sig, BN_bin2bn(t->rs, width, NULL), BN_bin2bn(t->rs + width, width, NULL)) == 1);
    verdict = ECDSA_do_verify(t->digest, (int)t->digest_len, sig, t->key->ec) == 1;
    ECDSA_SIG_free(sig);
    return verdict;
}

static inline void case_set_rs(oracle_case *t, const BIGNUM *r, const BIGNUM *s)
{
    int width = (int)t->key->curve->width;
    REQUIRE(BN_bn2binpad(r, t->rs, width) == width && BN_bn2binpad(s, t->rs + width, width) == width);
}

/* A digest that libcrypto and we read as e; on 521 bits the leftmost 521 of 66 bytes. */
static inline void case_set_digest(oracle_case *t, const BIGNUM *e)
{
    const oracle_curve *c = t->key->curve;
    BIGNUM *shifted = BN_new();
    REQUIRE(BN_lshift(shifted, e, (int)(8 * c->width) - BN_num_bits(c->n)) == 1);
    t->digest_len = c->width;
    REQUIRE(BN_bn2binpad(shifted, t->digest, (int)c->width) == (int)c->width);
    BN_free(shifted);
}

/* The signature with these u1, u2 and this r: s = r / u2, e = u1 s. */
static inline void case_from_scalars(oracle_case *t, const BIGNUM *u1, const BIGNUM *u2, const BIGNUM *r)
{
    const oracle_curve *c = t->key->curve;
    BIGNUM *s = BN_new(), *e = BN_new();
    REQUIRE(BN_mod_inverse(s, u2, c->n, c->ctx) != NULL && BN_mod_mul(s, s, r, c->n, c->ctx) == 1);
    REQUIRE(BN_mod_mul(e, u1, s, c->n, c->ctx) == 1);
    case_set_rs(t, r, s);
    case_set_digest(t, e);
    BN_free(e);
    BN_free(s);
    t->good = oracle_verdict(t);
}

/* x of u1 G + u2 Q; returns 0 when the sum is infinity. */
static inline int oracle_sum_x(BIGNUM *x, const oracle_key *key, const BIGNUM *u1, const BIGNUM *u2)
{
    const oracle_curve *c = key->curve;
    EC_POINT *sum = EC_POINT_new(c->group);
    int finite;
    REQUIRE(EC_POINT_mul(c->group, sum, u1, EC_KEY_get0_public_key(key->ec), u2, c->ctx) == 1);
    finite = !EC_POINT_is_at_infinity(c->group, sum);
    if (finite)
        REQUIRE(EC_POINT_get_affine_coordinates(c->group, sum, x, NULL, c->ctx) == 1);
    EC_POINT_free(sum);
    return finite;
}

/* The good signature with these scalars; a bad one, with r = 1, where the sum is infinity. */
static inline void case_good_from_scalars(oracle_case *t, const BIGNUM *u1, const BIGNUM *u2)
{
    BIGNUM *x = BN_new();
    int finite = oracle_sum_x(x, t->key, u1, u2);
    REQUIRE(finite || BN_one(x) == 1);
    REQUIRE(BN_mod(x, x, t->key->curve->n, t->key->curve->ctx) == 1);
    case_from_scalars(t, u1, u2, x);
    REQUIRE(t->good == finite);
    BN_free(x);
}

#endif
