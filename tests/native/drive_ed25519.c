/* drive_ed25519.c: the ed25519 rooms against OpenSSL's BIGNUM and EVP.
 *
 * field <count> <seed>          both kinds of field arithmetic and the scalars, at random and edge numbers
 * keys                          what rj_ed25519_check_key and the builders refuse
 * differential <count> <seed>   signatures, good and spoilt, single and in batches, lanes and portable
 * lines                         "key message signature" in hex a line -> four status numbers a line: single and
 *                               batch, with this machine's arithmetic and the portable one; "key -" and a key's
 *                               status where it is refused
 * bench                         microseconds a signature, ours and EVP_DigestVerify with a fresh context
 */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "digest.h"
#include "driver.h"
#include "ed25519_internal.h"

enum { BATCH = 37, KEYS = 12, LINE_BYTES = 1 << 17 };

#if defined(__x86_64__)
#include "field_25519_lanes.h"
#endif

/* ---- field ---- */

static BIGNUM *number_p(void) {
    BIGNUM *p = BN_new();

    REQUIRE(BN_set_bit(p, 255) && BN_sub_word(p, 19));
    return p;
}

/* The value of five limbs of any size. */
static void number_of(BIGNUM *out, const uint64_t v[5]) {
    BIGNUM *t = BN_new();

    BN_zero(out);
    for (int i = 4; i >= 0; i--) {
        REQUIRE(BN_lshift(out, out, 51) && BN_set_word(t, v[i]) && BN_add(out, out, t));
    }
    BN_free(t);
}

/* A limb at most `top`: random, or at an edge. */
static uint64_t pick_limb(uint64_t *seed, uint64_t top) {
    uint64_t r = driver_random(seed);

    switch (driver_random(seed) % 6) {
    case 0:
        return top - r % 3;
    case 1:
        return r % 3;
    case 2:
        return (F25519_MASK - r % 20) % (top + 1);
    case 3:
        return (UINT64_C(1) << (r % 54)) % (top + 1);
    default:
        return r % (top + 1);
    }
}

/* Numbers near 0, p, 2^255 and 2p as limbs below 2^51, or any limbs up to top. */
static void pick_number(uint64_t v[5], uint64_t *seed, uint64_t top) {
    uint64_t choice = driver_random(seed) % 8;

    for (int i = 0; i < 5; i++) {
        v[i] = choice < 2 ? F25519_MASK : pick_limb(seed, top);
    }
    if (choice == 0) {
        v[0] = F25519_MASK - 25 + driver_random(seed) % 26;
    }
    if (choice == 2) { /* a single limb */
        memset(v, 0, 40);
        v[driver_random(seed) % 5] = driver_random(seed) % 40;
    }
}

static void same_number(const uint64_t ours[5], const BIGNUM *right, const BIGNUM *p, BN_CTX *bn) {
    BIGNUM *t = BN_new();
    BIGNUM *u = BN_new();

    number_of(t, ours);
    REQUIRE(BN_nnmod(t, t, p, bn) && BN_nnmod(u, right, p, bn) && BN_cmp(t, u) == 0);
    BN_free(t);
    BN_free(u);
}

static void check_portable(const uint64_t a_limbs[5], const uint64_t b_limbs[5], const BIGNUM *p, BN_CTX *bn) {
    f25519 a, b, r;
    uint64_t words[4];
    uint8_t bytes[32];
    uint8_t right_bytes[32];
    BIGNUM *x = BN_new();
    BIGNUM *y = BN_new();
    BIGNUM *right = BN_new();

    memcpy(a.v, a_limbs, 40);
    memcpy(b.v, b_limbs, 40);
    number_of(x, a.v);
    number_of(y, b.v);
    f25519_multiply(&r, &a, &b);
    REQUIRE(BN_mul(right, x, y, bn));
    same_number(r.v, right, p, bn);
    for (int i = 0; i < 5; i++) {
        REQUIRE(r.v[i] < (UINT64_C(1) << 51) + (UINT64_C(1) << 14));
    }
    f25519_square(&r, &a);
    REQUIRE(BN_sqr(right, x, bn));
    same_number(r.v, right, p, bn);
    f25519_add(&r, &a, &b);
    REQUIRE(BN_add(right, x, y));
    same_number(r.v, right, p, bn);
    f25519_to_words(words, &a);
    f25519_store(bytes, words);
    REQUIRE(BN_nnmod(right, x, p, bn) && BN_bn2lebinpad(right, right_bytes, 32) == 32);
    REQUIRE(memcmp(bytes, right_bytes, 32) == 0);
    REQUIRE(f25519_is_zero(&a) == BN_is_zero(right));
    f25519_load(words, bytes);
    f25519_from_words(&r, words);
    same_number(r.v, x, p, bn);
    if (BN_is_zero(right)) {
        REQUIRE(rj_ed25519_invert(&r, &a) == 0);
    } else {
        REQUIRE(rj_ed25519_invert(&r, &a) == 1 && BN_mod_inverse(right, right, p, bn) != NULL);
        same_number(r.v, right, p, bn);
    }
    for (int i = 0; i < 5; i++) { /* a subtrahend is tight or a sum of two tight numbers */
        b.v[i] %= (UINT64_C(1) << 53) - 76;
        a.v[i] %= (UINT64_C(1) << 53);
    }
    number_of(x, a.v);
    number_of(y, b.v);
    f25519_subtract(&r, &a, &b);
    REQUIRE(BN_sub(right, x, y));
    same_number(r.v, right, p, bn);
    for (int i = 0; i < 5; i++) {
        REQUIRE(r.v[i] < UINT64_C(1) << 54);
    }
    BN_free(x);
    BN_free(y);
    BN_free(right);
}

#if defined(__x86_64__)
typedef uint64_t lanes_limbs[5][8];

F25519X8_TARGET static f25519x8 lanes_in(const lanes_limbs a) {
    f25519x8 r;

    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_loadu_si512(a[i]);
    }
    return r;
}

F25519X8_TARGET static void lanes_out(lanes_limbs r, const f25519x8 *a) {
    for (int i = 0; i < 5; i++) {
        _mm512_storeu_si512(r[i], a->v[i]);
    }
}

F25519X8_TARGET __attribute__((noinline)) static void lanes_run(lanes_limbs r, const lanes_limbs a,
                                                                const lanes_limbs b, int operation) {
    f25519x8 x = lanes_in(a);
    f25519x8 y = lanes_in(b);
    f25519x8 z = operation == 0   ? f25519x8_multiply(x, y)
                 : operation == 1 ? f25519x8_carry(f25519x8_add(x, y))
                 : operation == 2 ? f25519x8_carry(f25519x8_subtract(x, y))
                                  : f25519x8_carry(x);
    lanes_out(r, &z);
}

static void check_lanes(uint64_t *seed, const BIGNUM *p, BN_CTX *bn) {
    const uint64_t tight = (UINT64_C(1) << 52) - 1;
    const uint64_t loose = (UINT64_C(1) << 60) - 1;
    BIGNUM *x = BN_new();
    BIGNUM *y = BN_new();

    for (int operation = 0; operation < 4; operation++) {
        const uint64_t top = operation == 0 ? tight : operation == 3 ? (UINT64_C(1) << 62) - 1 : loose;
        lanes_limbs a, b, r;

        for (int lane = 0; lane < 8; lane++) {
            uint64_t v[5];
            uint64_t w[5];
            pick_number(v, seed, top);
            pick_number(w, seed, top);
            for (int i = 0; i < 5; i++) {
                a[i][lane] = v[i];
                b[i][lane] = w[i];
            }
        }
        lanes_run(r, (const uint64_t(*)[8])a, (const uint64_t(*)[8])b, operation);
        for (int lane = 0; lane < 8; lane++) {
            uint64_t v[5], w[5], got[5];
            for (int i = 0; i < 5; i++) {
                v[i] = a[i][lane];
                w[i] = b[i][lane];
                got[i] = r[i][lane];
                REQUIRE(got[i] < (operation == 0 ? UINT64_C(1) << 60 : (UINT64_C(1) << 51) + (UINT64_C(1) << 16)));
            }
            number_of(x, v);
            number_of(y, w);
            REQUIRE(operation == 0 ? BN_mul(x, x, y, bn)
                                   : operation == 1 ? BN_add(x, x, y) : operation == 2 ? BN_sub(x, x, y) : 1);
            same_number(got, x, p, bn);
        }
    }
    BN_free(x);
    BN_free(y);
}
#endif

static void check_scalar(uint64_t *seed, const BIGNUM *order, BN_CTX *bn) {
    uint8_t in64[64];
    uint8_t out32[32];
    uint8_t right32[32];
    BIGNUM *x = BN_new();

    driver_fill(seed, in64, sizeof(in64));
    switch (driver_random(seed) % 8) {
    case 0:
        memset(in64, 0xff, sizeof(in64));
        break;
    case 1: /* near a multiple of L */
        REQUIRE(BN_lebin2bn(in64, 32, x) && BN_mul(x, x, order, bn));
        REQUIRE(driver_random(seed) % 2 == 0 ? BN_sub_word(x, driver_random(seed) % 3)
                                             : BN_add_word(x, driver_random(seed) % 3));
        REQUIRE(BN_bn2lebinpad(x, in64, 64) == 64);
        break;
    case 2:
        memset(in64 + 32, 0, 32);
        break;
    default:
        break;
    }
    REQUIRE(BN_lebin2bn(in64, 64, x) && BN_mod(x, x, order, bn) && BN_bn2lebinpad(x, right32, 32) == 32);
    rj_ed25519_scalar_reduce(out32, in64);
    REQUIRE(memcmp(out32, right32, 32) == 0);
    REQUIRE(rj_ed25519_scalar_is_reduced(out32) == 1);
    REQUIRE(BN_copy(x, order) && (driver_random(seed) % 2 == 0 ? BN_sub_word(x, driver_random(seed) % 3)
                                                               : BN_add_word(x, driver_random(seed) % 3)));
    REQUIRE(BN_bn2lebinpad(x, out32, 32) == 32);
    REQUIRE(rj_ed25519_scalar_is_reduced(out32) == (BN_cmp(x, order) < 0));
    driver_fill(seed, out32, 32);
    REQUIRE(BN_lebin2bn(out32, 32, x));
    REQUIRE(rj_ed25519_scalar_is_reduced(out32) == (BN_cmp(x, order) < 0));
    BN_free(x);
}

static BIGNUM *number_order(void) {
    BIGNUM *order = NULL;

    REQUIRE(BN_hex2bn(&order, "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed") > 0);
    return order;
}

static void field(unsigned long count, uint64_t seed) {
    BIGNUM *p = number_p();
    BIGNUM *order = number_order();
    BN_CTX *bn = BN_CTX_new();

    for (unsigned long i = 0; i < count; i++) {
        uint64_t a[5], b[5];

        pick_number(a, &seed, (UINT64_C(1) << 54) - 1);
        pick_number(b, &seed, (UINT64_C(1) << 54) - 1);
        check_portable(a, b, p, bn);
#if defined(__x86_64__)
        if (rj_ed25519_lanes_usable()) {
            check_lanes(&seed, p, bn);
        }
#endif
        check_scalar(&seed, order, bn);
    }
    BN_free(p);
    BN_free(order);
    BN_CTX_free(bn);
}

/* ---- keys ---- */

static void from_hex(uint8_t out32[32], const char *hex) {
    uint8_t *bytes;

    REQUIRE(driver_hex(&bytes, hex) == 32);
    memcpy(out32, bytes, 32);
    free(bytes);
}

static void keys(void) {
    /* the points of order 1, 2, 4 and 8, canonical */
    static const char *const small[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"};
    /* x = 0 with the sign bit; y = p - 1 with it; y from p to 2^255 - 1; y = 2, 7: not on the curve */
    static const char *const malformed[] = {
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0200000000000000000000000000000000000000000000000000000000000000",
        "0700000000000000000000000000000000000000000000000000000000000000"};
    uint8_t key32[32];
    uint8_t verdict = RJ_UNDECIDED;
    rj_ed25519_table *table = NULL;
    rj_ed25519_table *generator = NULL;
    rj_ed25519_table *portable = NULL;
    static const uint8_t signature64[64];
    static uint8_t work[1 << 20];
    rj_ed25519_item item;

    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
        from_hex(key32, small[i]);
        REQUIRE(rj_ed25519_check_key(key32) == RJ_KEY_WEAK);
        REQUIRE(rj_ed25519_table_build(&table, key32, 0) == RJ_KEY_WEAK && table == NULL);
    }
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        from_hex(key32, malformed[i]);
        REQUIRE(rj_ed25519_check_key(key32) == RJ_KEY_MALFORMED);
        REQUIRE(rj_ed25519_table_build(&table, key32, 0) == RJ_KEY_MALFORMED && table == NULL);
    }
    from_hex(key32, "5866666666666666666666666666666666666666666666666666666666666666");
    REQUIRE(rj_ed25519_check_key(key32) == RJ_OK);
    REQUIRE(rj_ed25519_table_build(&table, key32, 2) == RJ_BAD_ARGUMENT && table == NULL);
    REQUIRE(rj_ed25519_table_build(&table, key32, 0) == RJ_OK);
    REQUIRE(rj_ed25519_table_build_generator(&generator, 0) == RJ_OK);
    REQUIRE(rj_ed25519_table_build(&portable, key32, RJ_ED25519_PORTABLE) == RJ_OK);
    REQUIRE(strcmp(rj_ed25519_engine(portable), "portable") == 0);
    REQUIRE(rj_ed25519_table_bytes() >= sizeof(*table) && rj_ed25519_table_bytes() < 640 * 1024);
    item = (rj_ed25519_item){generator, table, key32, 32, signature64};
    REQUIRE(rj_ed25519_verify_one(&verdict, &item) == RJ_OK && verdict == RJ_SIGNATURE_INVALID);
    REQUIRE(rj_ed25519_verify_batch(&verdict, &item, 1, work, rj_ed25519_work_bytes(1) - 1) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_ed25519_verify_batch(&verdict, &item, 0, work, sizeof(work)) == RJ_OK);
    verdict = 99;
    item.key = generator;
    REQUIRE(rj_ed25519_verify_one(&verdict, &item) == RJ_BAD_ARGUMENT && verdict == 99);
    item.key = table;
    item.generator = table;
    REQUIRE(rj_ed25519_verify_batch(&verdict, &item, 1, work, sizeof(work)) == RJ_BAD_ARGUMENT && verdict == 99);
    item.generator = generator;
    item.key = portable;
    if (rj_ed25519_lanes_usable()) {
        REQUIRE(strcmp(rj_ed25519_engine(table), "lanes") == 0);
        REQUIRE(rj_ed25519_verify_one(&verdict, &item) == RJ_BAD_ARGUMENT && verdict == 99);
    }
    rj_ed25519_table_free(table);
    rj_ed25519_table_free(generator);
    rj_ed25519_table_free(portable);
    rj_ed25519_table_free(NULL);
}

/* ---- signatures ---- */

typedef struct {
    EVP_PKEY *private_key; /* NULL where the point was made up */
    EVP_PKEY *public_key;
    uint8_t key32[32];
    uint8_t scalar32[32]; /* of a made-up key: A = [scalar]B, plus torsion where mixed */
    int mixed;
    rj_ed25519_table *tables[2];
} known_key;

static rj_ed25519_table *generators[2];

static void build_tables(known_key *key) {
    key->public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->key32, 32);
    REQUIRE(key->public_key != NULL);
    REQUIRE(rj_ed25519_table_build(&key->tables[0], key->key32, 0) == RJ_OK);
    REQUIRE(rj_ed25519_table_build(&key->tables[1], key->key32, RJ_ED25519_PORTABLE) == RJ_OK);
}

static void make_key(known_key *key, uint64_t *seed) {
    uint8_t private32[32];
    size_t len = 32;

    driver_fill(seed, private32, 32);
    key->private_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private32, 32);
    REQUIRE(key->private_key != NULL);
    REQUIRE(EVP_PKEY_get_raw_public_key(key->private_key, key->key32, &len) == 1);
    build_tables(key);
}

/* A key [a]B + T with T of order 8 (mixed) or 1: a point of the curve that no honest signer has. */
static void make_chosen_key(known_key *key, const uint8_t scalar32[32], const ed25519_point *torsion) {
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
static void make_torsion(ed25519_point *out, uint64_t *seed) {
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

static void add_order(uint8_t scalar32[32]) {
    BIGNUM *order = number_order();
    BIGNUM *s = BN_lebin2bn(scalar32, 32, NULL);

    REQUIRE(BN_add(s, s, order) && BN_bn2lebinpad(s, scalar32, 32) == 32);
    BN_free(order);
    BN_free(s);
}

static void spoil(uint8_t signature64[64], uint8_t *message, size_t len, uint64_t *seed) {
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

static rj_status ask_libcrypto(EVP_PKEY *pkey, const uint8_t *message, size_t len, const uint8_t *signature64) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good;

    REQUIRE(ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1);
    good = EVP_DigestVerify(ctx, signature64, 64, message, len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good ? RJ_OK : RJ_SIGNATURE_INVALID;
}

static ed25519_point torsion_point; /* of order 8 */

static void make_keys(known_key known[KEYS], uint64_t *seed) {
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

static void free_keys(known_key known[KEYS]) {
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
                        size_t len) {
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
                           uint64_t *seed) {
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

static void differential(unsigned long count, uint64_t seed) {
    static uint8_t messages[BATCH][600];
    static uint8_t signatures[BATCH][64];
    static known_key known[KEYS];
    static uint8_t work_room[1 << 20];
    unsigned long accepted = 0;
    unsigned long refused = 0;
    unsigned long mixed = 0;

    make_keys(known, &seed);
    for (unsigned long done = 0; done < count;) {
        size_t batch = 1 + (size_t)(driver_random(&seed) % BATCH);
        rj_ed25519_item items[2][BATCH];
        rj_status right[BATCH];

        for (size_t i = 0; i < batch; i++, done++) {
            const known_key *key = &known[driver_random(&seed) % KEYS];
            size_t len = (size_t)(driver_random(&seed) % sizeof(messages[0]));

            driver_fill(&seed, messages[i], len);
            if (key->private_key != NULL) {
                EVP_MD_CTX *ctx = EVP_MD_CTX_new();
                size_t signature_len = 64;
                REQUIRE(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->private_key) == 1);
                REQUIRE(EVP_DigestSign(ctx, signatures[i], &signature_len, messages[i], len) == 1);
                EVP_MD_CTX_free(ctx);
            } else {
                sign_by_choice(signatures[i], key, messages[i], len, &seed);
            }
            if (driver_random(&seed) % 3 == 0) {
                spoil(signatures[i], messages[i], len, &seed);
            }
            right[i] = ask_libcrypto(key->public_key, messages[i], len, signatures[i]);
            for (int form = 0; form < 2; form++) {
                uint8_t verdict = 99;
                items[form][i] = (rj_ed25519_item){generators[form], key->tables[form], messages[i], len,
                                                   signatures[i]};
                REQUIRE(rj_ed25519_verify_one(&verdict, &items[form][i]) == RJ_OK && verdict == right[i]);
            }
            accepted += right[i] == RJ_OK;
            refused += right[i] != RJ_OK;
            mixed += right[i] == RJ_OK && key->mixed;
        }
        for (int form = 0; form < 2; form++) {
            uint8_t verdicts[BATCH];
            memset(verdicts, 99, sizeof(verdicts));
            REQUIRE(rj_ed25519_verify_batch(verdicts, items[form], batch, work_room + done % 5,
                                            rj_ed25519_work_bytes(batch)) == RJ_OK);
            for (size_t i = 0; i < batch; i++) {
                REQUIRE(verdicts[i] == right[i]);
            }
        }
    }
    printf("%lu accepted (%lu under keys with torsion), %lu refused\n", accepted, mixed, refused);
    REQUIRE(count < 100 || (accepted > count / 4 && refused > count / 8 && mixed > count / 20));
    free_keys(known);
}

/* ---- lines ---- */

static void lines(void) {
    static char line[LINE_BYTES];
    static uint8_t work[1 << 20];
    char *words[3];

    REQUIRE(rj_ed25519_table_build_generator(&generators[0], 0) == RJ_OK);
    REQUIRE(rj_ed25519_table_build_generator(&generators[1], RJ_ED25519_PORTABLE) == RJ_OK);
    while (driver_words(line, sizeof(line), words, 3) == 3) {
        uint8_t *part[3];
        size_t len[3];

        for (int i = 0; i < 3; i++) {
            len[i] = driver_hex(&part[i], words[i]);
        }
        REQUIRE(len[0] == 32);
        for (unsigned form = 0; form < 2; form++) {
            rj_ed25519_table *table = NULL;
            uint8_t verdicts[9] = {0};
            uint8_t single = 0;
            rj_ed25519_item items[9];
            rj_status status = rj_ed25519_table_build(&table, part[0], form == 1 ? RJ_ED25519_PORTABLE : 0);

            REQUIRE(status == rj_ed25519_check_key(part[0]));
            if (status != RJ_OK) {
                single = verdicts[0] = (uint8_t)status;
            } else if (len[2] != RJ_ED25519_SIGNATURE_BYTES) { /* the caller's check: RFC 8032 s.5.1.7 step 1 */
                single = verdicts[0] = RJ_SIGNATURE_INVALID;
            } else {
                for (int i = 0; i < 9; i++) {
                    items[i] = (rj_ed25519_item){generators[form], table, part[1], len[1], part[2]};
                }
                REQUIRE(rj_ed25519_verify_one(&single, &items[0]) == RJ_OK);
                REQUIRE(rj_ed25519_verify_batch(verdicts, items, 9, work, sizeof(work)) == RJ_OK);
                for (int i = 1; i < 9; i++) {
                    REQUIRE(verdicts[i] == verdicts[0]);
                }
            }
            printf("%d %d%c", single, verdicts[0], form == 1 ? '\n' : ' ');
            rj_ed25519_table_free(table);
        }
        for (int i = 0; i < 3; i++) {
            free(part[i]);
        }
    }
    rj_ed25519_table_free(generators[0]);
    rj_ed25519_table_free(generators[1]);
}

/* ---- bench ---- */

static double bench_best(int how, const known_key *known, size_t key_count, rj_ed25519_item items[2][64],
                         uint8_t *work, size_t work_bytes) {
    double best = 1e18;

    for (int round = 0; round < 60; round++) {
        uint64_t start = driver_now_ns();
        unsigned long accepted = 0;
        double us;

        for (size_t i = 0; i < 64 && how < 3; i++) {
            uint8_t verdict = 0;
            if (how == 0) {
                accepted += ask_libcrypto(known[i % key_count].public_key, items[0][i].message,
                                          items[0][i].message_len, items[0][i].signature64) == RJ_OK;
            } else {
                REQUIRE(rj_ed25519_verify_one(&verdict, &items[how - 1][i]) == RJ_OK);
                accepted += verdict == RJ_OK;
            }
        }
        if (how >= 3) {
            uint8_t verdicts[64] = {0};
            REQUIRE(rj_ed25519_verify_batch(verdicts, items[how - 3], 64, work, work_bytes) == RJ_OK);
            for (size_t i = 0; i < 64; i++) {
                accepted += verdicts[i] == RJ_OK;
            }
        }
        us = (double)(driver_now_ns() - start) / 64e3;
        best = us < best ? us : best;
        REQUIRE(accepted == 64);
    }
    return best;
}

static void bench(void) {
    static known_key known[KEYS];
    static uint8_t work[1 << 20];
    static uint8_t messages[64][300];
    static uint8_t signatures[64][64];
    rj_ed25519_item items[2][64];
    double us[5];
    uint64_t seed = 5;
    uint64_t start;
    rj_ed25519_table *table = NULL;

    make_keys(known, &seed);
    for (size_t key_count = 1; key_count <= 8; key_count += 7) {
        for (size_t i = 0; i < 64; i++) {
            const known_key *key = &known[i % key_count];
            EVP_MD_CTX *ctx = EVP_MD_CTX_new();
            size_t len = 64;

            driver_fill(&seed, messages[i], sizeof(messages[i]));
            REQUIRE(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->private_key) == 1);
            REQUIRE(EVP_DigestSign(ctx, signatures[i], &len, messages[i], sizeof(messages[i])) == 1);
            EVP_MD_CTX_free(ctx);
            for (int form = 0; form < 2; form++) {
                items[form][i] = (rj_ed25519_item){generators[form], key->tables[form], messages[i],
                                                   sizeof(messages[i]), signatures[i]};
            }
        }
        for (int how = 0; how < 5; how++) {
            us[how] = bench_best(how, known, key_count, items, work, sizeof(work));
        }
        printf("EdDSA %zu key(s), 300 bytes, best us a signature: fresh EVP %.1f; single %s %.2f (%.1fx), portable "
               "%.2f (%.1fx); batch of 64 %s %.2f (%.1fx), portable %.2f (%.1fx)\n",
               key_count, us[0], rj_ed25519_engine(items[0][0].key), us[1], us[0] / us[1], us[2], us[0] / us[2],
               rj_ed25519_engine(items[0][0].key), us[3], us[0] / us[3], us[4], us[0] / us[4]);
    }
    start = driver_now_ns();
    REQUIRE(rj_ed25519_table_build(&table, known[0].key32, 0) == RJ_OK);
    printf("table: %zu bytes, built and checked in %.0f us\n", rj_ed25519_table_bytes(),
           (double)(driver_now_ns() - start) / 1e3);
    rj_ed25519_table_free(table);
    free_keys(known);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "field") == 0) {
        field(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (argc == 2 && strcmp(argv[1], "keys") == 0) {
        keys();
    } else if (argc == 4 && strcmp(argv[1], "differential") == 0) {
        differential(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (argc == 2 && strcmp(argv[1], "lines") == 0) {
        lines();
    } else if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        bench();
    } else {
        return 2;
    }
    return 0;
}
