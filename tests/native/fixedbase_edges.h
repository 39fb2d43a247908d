/* fixedbase_edges.h: the signatures where a fixed-base verification is most likely to go wrong. */
#ifndef FIXEDBASE_EDGES_H
#define FIXEDBASE_EDGES_H

#include "fixedbase_oracle.h"

#define EDGES_MAX 6000

typedef struct {
    oracle_case cases[EDGES_MAX];
    size_t count;
    uint64_t seed;
} edges_list;

static inline oracle_case *edges_next(edges_list *list, const oracle_key *key)
{
    REQUIRE(list->count < EDGES_MAX);
    list->cases[list->count].key = key;
    return &list->cases[list->count++];
}

/* r and s from {0, 1, n-1, n, n+1, all ones}, and a good signature with each s replaced. */
static inline void edges_ranges(edges_list *list, const oracle_key *key)
{
    const oracle_curve *c = key->curve;
    BIGNUM *values[6];
    for (int i = 0; i < 6; i++)
        values[i] = BN_new();
    REQUIRE(BN_one(values[1]) == 1 && BN_sub(values[2], c->n, values[1]) == 1 && BN_copy(values[3], c->n) != NULL);
    REQUIRE(BN_add(values[4], c->n, values[1]) == 1);
    REQUIRE(BN_set_bit(values[5], (int)(8 * c->width)) == 1 && BN_sub_word(values[5], 1) == 1);
    for (int i = 0; i < 36; i++) {
        oracle_case *t = edges_next(list, key);
        t->digest_len = c->width;
        driver_fill(&list->seed, t->digest, t->digest_len);
        case_set_rs(t, values[i / 6], values[i % 6]);
        t->good = oracle_verdict(t);
        REQUIRE(!t->good);
    }
    for (int i = 0; i < 6; i++)
        BN_free(values[i]);
}

/* Good signatures over digests of every kind and length; for each also the same r and s plus n where it fits. */
static inline void edges_digests(edges_list *list, const oracle_key *key)
{
    const oracle_curve *c = key->curve;
    static const size_t lengths[] = {0, 1, 20, 31, 32, 33, 47, 48, 49, 64, 65, 66, 67, 100, 128};
    for (size_t i = 0; i < 3 * sizeof lengths / sizeof lengths[0]; i++) {
        oracle_case *t = edges_next(list, key), *high;
        ECDSA_SIG *sig;
        const BIGNUM *r, *s;
        BIGNUM *other = BN_new();
        t->digest_len = lengths[i / 3];
        memset(t->digest, i % 3 == 0 ? 0x00 : 0xff, sizeof t->digest);
        if (i % 3 == 2)
            driver_fill(&list->seed, t->digest, t->digest_len);
        EC_KEY *signer = EC_KEY_dup(key->ec);
        REQUIRE(EC_KEY_set_private_key(signer, key->d) == 1);
        sig = ECDSA_do_sign(t->digest, (int)t->digest_len, signer);
        REQUIRE(sig != NULL);
        ECDSA_SIG_get0(sig, &r, &s);
        case_set_rs(t, r, s);
        t->good = oracle_verdict(t);
        REQUIRE(t->good);
        high = edges_next(list, key);
        *high = *t;
        REQUIRE(BN_sub(other, c->n, s) == 1);
        case_set_rs(high, r, other);
        high->good = oracle_verdict(high);
        REQUIRE(BN_add(other, c->n, s) == 1);
        if ((size_t)BN_num_bytes(other) <= c->width) {
            high = edges_next(list, key);
            *high = *t;
            case_set_rs(high, r, other); /* s + n is out of range */
            high->good = oracle_verdict(high);
            REQUIRE(!high->good);
        }
        BN_free(other);
        EC_KEY_free(signer);
        ECDSA_SIG_free(sig);
    }
}

/* A scalar that stresses the recoding: small, near n, a power of two, long runs of equal bits, or random. */
static inline void edges_scalar(BIGNUM *out, edges_list *list, const oracle_curve *c)
{
    uint64_t pick = driver_random(&list->seed);
    int bits = BN_num_bits(c->n), shift = (int)(driver_random(&list->seed) % (uint64_t)(bits - 1));
    BIGNUM *low = BN_new();
    if (pick % 8 < 2)
        REQUIRE(BN_set_word(out, 1 + (pick >> 8) % 300) == 1);
    else if (pick % 8 < 6) {
        BN_zero(out);
        REQUIRE(BN_set_bit(out, shift) == 1);
        REQUIRE(pick % 8 < 4 || BN_set_word(low, 1 + (pick >> 8) % 300) == 1);
        REQUIRE(BN_sub(out, out, low) == 1);
        BN_set_negative(out, 0);
    } else
        oracle_random(out, &list->seed, c->n);
    REQUIRE(BN_nnmod(out, out, c->n, c->ctx) == 1);
    if ((pick >> 40) % 3 == 0 && !BN_is_zero(out))
        REQUIRE(BN_sub(out, c->n, out) == 1);
    if (BN_is_zero(out))
        REQUIRE(BN_one(out) == 1);
    BN_free(low);
}

/* Good and spoiled signatures with chosen scalars, among them u1 = u2 d, -u2 d and u1 = 0. */
static inline void edges_scalars(edges_list *list, const oracle_key *key, size_t count)
{
    const oracle_curve *c = key->curve;
    BIGNUM *u1 = BN_new(), *u2 = BN_new();
    for (size_t i = 0; i < count; i++) {
        oracle_case *t = edges_next(list, key), *bad;
        edges_scalar(u1, list, c);
        edges_scalar(u2, list, c);
        if (i % 8 < 2) /* u1 G = +- u2 Q: a doubling, or infinity */
            REQUIRE(BN_mod_mul(u1, u2, key->d, c->n, c->ctx) == 1);
        if (i % 8 == 1)
            REQUIRE(BN_sub(u1, c->n, u1) == 1);
        if (i % 16 == 2)
            BN_zero(u1);
        case_good_from_scalars(t, u1, u2);
        REQUIRE(i % 8 != 1 || !t->good);
        bad = edges_next(list, key);
        *bad = *t;
        bad->digest[driver_random(&list->seed) % (c->width - 1)] ^= 1;
        bad->good = oracle_verdict(bad);
    }
    BN_free(u2);
    BN_free(u1);
}

/* A key under which (u1, u2) sums to a point with this x: Q = (R - u1 G) / u2. Returns 0 if no point has it. */
static inline int edges_recover(oracle_key *key, const oracle_curve *c, const BIGNUM *x, const BIGNUM *u1,
                                const BIGNUM *u2)
{
    EC_POINT *point = EC_POINT_new(c->group), *part = EC_POINT_new(c->group);
    BIGNUM *inverse = BN_mod_inverse(NULL, u2, c->n, c->ctx);
    int found = EC_POINT_set_compressed_coordinates(c->group, point, x, 0, c->ctx) == 1;
    if (found) {
        REQUIRE(EC_POINT_mul(c->group, part, u1, NULL, NULL, c->ctx) == 1);
        REQUIRE(EC_POINT_invert(c->group, part, c->ctx) == 1);
        REQUIRE(EC_POINT_add(c->group, point, point, part, c->ctx) == 1);
        REQUIRE(EC_POINT_mul(c->group, point, NULL, point, inverse, c->ctx) == 1);
        oracle_key_from_point(key, c, point);
    }
    BN_free(inverse);
    EC_POINT_free(part);
    EC_POINT_free(point);
    return found;
}

/* x of the sum just above n, just below p - n or small, with r at every number an error might call equal. */
static inline void edges_wraps(edges_list *list, const oracle_curve *c, oracle_key *keys, size_t keys_count)
{
    BIGNUM *x = BN_new(), *u1 = BN_new(), *u2 = BN_new(), *r = BN_new(), *gap = BN_new(), *word = BN_new();
    REQUIRE(BN_sub(gap, c->p, c->n) == 1 && BN_set_bit(word, (int)(64 * ((c->width + 7) / 8))) == 1);
    for (size_t i = 0; i < keys_count; i++) {
        oracle_random(u1, &list->seed, c->n);
        oracle_random(u2, &list->seed, c->n);
        do {
            oracle_random(x, &list->seed, gap);
            REQUIRE(i % 2 == 0 || BN_add(x, x, c->n) == 1); /* odd: x in [n, p) */
        } while (!edges_recover(&keys[i], c, x, u1, u2));
        for (int kind = 0; kind < 4; kind++) {
            REQUIRE(BN_nnmod(r, x, c->n, c->ctx) == 1);
            if (kind == 1)
                REQUIRE(BN_add(r, x, gap) == 1); /* r + n = x + p */
            if (kind == 2)
                REQUIRE(BN_add(r, x, word) == 1 && BN_sub(r, r, c->n) == 1); /* r + n = x + 2^64k */
            if (kind == 3)
                REQUIRE(BN_add(r, x, gap) == 1 && BN_add(r, r, gap) == 1);
            if (BN_is_zero(r) || BN_cmp(r, c->n) >= 0)
                continue;
            oracle_case *t = edges_next(list, &keys[i]);
            case_from_scalars(t, u1, u2, r);
            REQUIRE(t->good == (kind == 0));
        }
    }
    BN_free(word);
    BN_free(gap);
    BN_free(r);
    BN_free(u2);
    BN_free(u1);
    BN_free(x);
}

static inline void edges_shuffle(edges_list *list)
{
    for (size_t i = list->count; i-- > 1;) {
        size_t j = driver_random(&list->seed) % (i + 1);
        oracle_case t = list->cases[i];
        list->cases[i] = list->cases[j];
        list->cases[j] = t;
    }
}

#endif
