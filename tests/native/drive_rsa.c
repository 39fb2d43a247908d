/* drive_rsa.c: the rsa rooms against OpenSSL's BIGNUM and EVP.
 *
 * arithmetic <count> <seed>     powers of random and edge numbers under random and edge moduli
 * differential <count> <seed>   signatures, good and spoilt, single and in batches, against EVP_PKEY_verify
 * corpus <count> <seed>         such signatures for `lines`, the right status in front of each line
 * limits                        what rj_rsa_prepare refuses
 * lines                         "padding id n e digest signature" in hex a line -> four status numbers a line:
 *                               single and batch, with this machine's arithmetic and with libcrypto's
 * bench                         microseconds a signature, ours and EVP_DigestVerify with a fresh context
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "driver.h"
#include "rsa.h"
#include "rsa52.h"

enum { KEY_MAX = 16, BATCH = 21 };

static const EVP_MD *driver_md(rj_digest_id id) {
    return id == RJ_SHA256 ? EVP_sha256() : id == RJ_SHA384 ? EVP_sha384() : EVP_sha512();
}

/* ---- arithmetic ---- */

typedef struct {
    rj_rsa52_modulus head;
    uint64_t room[2 * RJ_RSA52_MAX_DIGITS];
} modulus_room;

static void digits_of(uint64_t *out, size_t digits, const BIGNUM *value) {
    uint8_t bytes[520];

    REQUIRE(BN_bn2binpad(value, bytes, sizeof(bytes)) == sizeof(bytes));
    rj_rsa52_from_bytes(out, digits, bytes, sizeof(bytes));
}

static void make_modulus(modulus_room *out, const BIGNUM *n, BN_CTX *bn) {
    size_t digits = rj_rsa52_digits((size_t)BN_num_bits(n));
    BIGNUM *t = BN_new();
    BIGNUM *radix = BN_new();

    REQUIRE(digits != 0 && BN_set_bit(radix, 52));
    out->head.digits = (uint32_t)digits;
    digits_of(out->head.words, digits, n);
    REQUIRE(BN_mod_inverse(t, n, radix, bn) != NULL && BN_sub(t, radix, t));
    out->head.negated_inverse = BN_get_word(t);
    BN_zero(t);
    REQUIRE(BN_set_bit(t, (int)(104 * digits)) && BN_mod(t, t, n, bn));
    digits_of(out->head.words + digits, digits, t);
    BN_free(t);
    BN_free(radix);
}

/* A modulus of that many bits: random, all ones, one bit at each end, or long runs of ones and zeros. */
static void pick_modulus(BIGNUM *n, int bits, uint64_t *seed) {
    switch (driver_random(seed) % 4) {
    case 0:
        BN_zero(n);
        REQUIRE(BN_set_bit(n, bits) && BN_sub_word(n, 1 + 2 * (driver_random(seed) % 3)));
        break;
    case 1:
        BN_zero(n);
        REQUIRE(BN_set_bit(n, bits - 1) && BN_add_word(n, 1 + 2 * (driver_random(seed) % 3)));
        break;
    case 2:
        BN_zero(n);
        for (int at = bits - 1; at >= 0;) {
            int run = (int)(driver_random(seed) % 130);
            int ones = at == bits - 1 || driver_random(seed) % 2 == 0;
            for (; run >= 0 && at >= 0; run--, at--) {
                REQUIRE(!ones || BN_set_bit(n, at));
            }
        }
        REQUIRE(BN_set_bit(n, 0));
        break;
    default:
        REQUIRE(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD));
        break;
    }
}

static void pick_base(BIGNUM *s, const BIGNUM *n, uint64_t *seed) {
    switch (driver_random(seed) % 8) {
    case 0:
        REQUIRE(BN_set_word(s, driver_random(seed) % 3));
        break;
    case 1:
        REQUIRE(BN_copy(s, n) && BN_sub_word(s, 1 + driver_random(seed) % 3));
        break;
    case 2:
        BN_zero(s);
        REQUIRE(BN_set_bit(s, (int)(driver_random(seed) % (uint64_t)(BN_num_bits(n) - 1))));
        REQUIRE(BN_sub_word(s, driver_random(seed) % 2));
        break;
    default:
        REQUIRE(BN_rand_range(s, n));
        break;
    }
}

static void arithmetic(unsigned long count, uint64_t seed) {
    static rj_rsa52_work work;
    static modulus_room rooms[RJ_RSA52_LANES];
    const rj_rsa52_modulus *moduli[RJ_RSA52_LANES];
    BN_CTX *bn = BN_CTX_new();
    BIGNUM *n[RJ_RSA52_LANES];
    BIGNUM *s[RJ_RSA52_LANES];
    BIGNUM *e = BN_new();
    BIGNUM *expected = BN_new();

    if (!rj_rsa52_usable()) {
        printf("not usable on this machine\n");
        return;
    }
    REQUIRE(rj_rsa52_digits(2047) == 0 && rj_rsa52_digits(2048) == 40 && rj_rsa52_digits(2078) == 40);
    REQUIRE(rj_rsa52_digits(2079) == 60 && rj_rsa52_digits(3118) == 60 && rj_rsa52_digits(3119) == 80);
    REQUIRE(rj_rsa52_digits(4158) == 80 && rj_rsa52_digits(4159) == 0);
    for (int i = 0; i < RJ_RSA52_LANES; i++) {
        n[i] = BN_new();
        s[i] = BN_new();
        moduli[i] = &rooms[i].head;
    }
    for (unsigned long round = 0; round < count; round++) {
        static const int low[3] = {2048, 2079, 3119};
        static const int high[3] = {2078, 3118, 4158};
        static const int usual[3] = {2048, 3072, 4096};
        uint64_t exponents[4] = {3, 17, 65537, driver_random(&seed) | 1};
        uint64_t exponent = exponents[driver_random(&seed) % 4];
        size_t size_class = (size_t)(driver_random(&seed) % 3);
        size_t digits = 40 + 20 * size_class;

        for (int lane = 0; lane < RJ_RSA52_LANES; lane++) {
            int bits[3] = {usual[size_class], low[size_class], high[size_class]};
            uint64_t base[RJ_RSA52_MAX_DIGITS];
            uint64_t power[RJ_RSA52_MAX_DIGITS];
            uint64_t right[RJ_RSA52_MAX_DIGITS];

            pick_modulus(n[lane], bits[driver_random(&seed) % 3], &seed);
            pick_base(s[lane], n[lane], &seed);
            make_modulus(&rooms[lane], n[lane], bn);
            digits_of(base, digits, s[lane]);
            REQUIRE(BN_set_word(e, exponent));
            REQUIRE(BN_mod_exp(expected, s[lane], e, n[lane], bn));
            digits_of(right, digits, expected);
            rj_rsa52_power(power, moduli[lane], base, exponent);
            REQUIRE(memcmp(power, right, digits * 8) == 0);
            for (size_t i = 0; i < digits; i++) {
                work.base[i][lane] = base[i];
            }
        }
        rj_rsa52_power8(&work, moduli, exponent);
        for (int lane = 0; lane < RJ_RSA52_LANES; lane++) {
            uint64_t right[RJ_RSA52_MAX_DIGITS];

            REQUIRE(BN_mod_exp(expected, s[lane], e, n[lane], bn));
            digits_of(right, digits, expected);
            for (size_t i = 0; i < digits; i++) {
                REQUIRE(work.power[i][lane] == right[i]);
            }
        }
    }
    for (int i = 0; i < RJ_RSA52_LANES; i++) {
        BN_free(n[i]);
        BN_free(s[i]);
    }
    BN_free(e);
    BN_free(expected);
    BN_CTX_free(bn);
}

/* ---- signatures ---- */

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

static EVP_PKEY_CTX *signature_context(EVP_PKEY *pkey, rj_digest_id id, rj_rsa_padding padding, int salt,
                                       int verify) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);

    REQUIRE((verify ? EVP_PKEY_verify_init(ctx) : EVP_PKEY_sign_init(ctx)) == 1);
    REQUIRE(EVP_PKEY_CTX_set_rsa_padding(ctx, padding == RJ_RSA_PSS ? RSA_PKCS1_PSS_PADDING
                                                                     : RSA_PKCS1_PADDING) == 1);
    REQUIRE(EVP_PKEY_CTX_set_signature_md(ctx, driver_md(id)) == 1);
    REQUIRE(padding != RJ_RSA_PSS || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) == 1);
    return ctx;
}

/* em^d mod n for any em below n: what a forger with the key could make. */
static void raw_sign(const signing_key *key, uint8_t *signature, const uint8_t *em) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
    size_t len = key->bytes;

    REQUIRE(EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1);
    REQUIRE(EVP_PKEY_decrypt(ctx, signature, &len, em, key->bytes) == 1 && len == key->bytes);
    EVP_PKEY_CTX_free(ctx);
}

static void raw_open(const signing_key *key, uint8_t *em, const uint8_t *signature) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
    size_t len = key->bytes;

    REQUIRE(EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1);
    REQUIRE(EVP_PKEY_encrypt(ctx, em, &len, signature, key->bytes) == 1 && len == key->bytes);
    EVP_PKEY_CTX_free(ctx);
}

/* Spoil a good signature in one of the ways that matter; returns its new length. */
static size_t spoil(const signing_key *key, uint8_t *signature, uint8_t *digest, uint64_t *seed) {
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

/* One signature, good or spoilt, with libcrypto's verdict. Returns its key. */
static const signing_key *make_case(rj_rsa_item *item, rj_status *right, signed_case *made, uint64_t *seed) {
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
    *right = EVP_PKEY_verify(ctx, made->signature, len, made->digest, digest_bytes) == 1 ? RJ_OK
                                                                                         : RJ_SIGNATURE_INVALID;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    *item = (rj_rsa_item){key->fast, made->digest, made->signature, len, id, padding};
    return key;
}

static void differential(unsigned long count, uint64_t seed) {
    static signed_case cases[BATCH];
    rj_rsa_item items[BATCH];
    rj_rsa_item portable[BATCH];
    uint8_t verdicts[2][BATCH];
    rj_status right[BATCH];
    rj_rsa_work *work = NULL;
    unsigned long accepted = 0;
    unsigned long refused = 0;

    REQUIRE(rj_rsa_work_new(&work) == RJ_OK);
    make_keys();
    for (unsigned long done = 0; done < count;) {
        size_t batch = 1 + (size_t)(driver_random(&seed) % BATCH);

        for (size_t i = 0; i < batch; i++, done++) {
            const signing_key *key = make_case(&items[i], &right[i], &cases[i], &seed);

            portable[i] = items[i];
            portable[i].key = driver_random(&seed) % 4 == 0 ? key->portable : key->fast;
            for (int form = 0; form < 2; form++) {
                const rj_rsa_key *prepared = form == 0 ? key->fast : key->portable;
                rj_status got = items[i].padding == RJ_RSA_PSS
                                    ? rj_rsa_verify_pss(work, prepared, items[i].digest_id, items[i].digest,
                                                        items[i].signature, items[i].signature_len)
                                    : rj_rsa_verify_pkcs1(work, prepared, items[i].digest_id, items[i].digest,
                                                          items[i].signature, items[i].signature_len);
                REQUIRE(got == right[i]);
            }
            REQUIRE(ERR_peek_error() == 0);
            accepted += right[i] == RJ_OK;
            refused += right[i] != RJ_OK;
        }
        rj_rsa_verify_batch(work, verdicts[0], items, batch);
        rj_rsa_verify_batch(work, verdicts[1], portable, batch);
        for (size_t i = 0; i < batch; i++) {
            REQUIRE(verdicts[0][i] == (uint8_t)right[i] && verdicts[1][i] == (uint8_t)right[i]);
        }
    }
    printf("%lu accepted, %lu refused\n", accepted, refused);
    REQUIRE(count < 100 || (accepted > count / 5 && refused > count / 5));
    free_keys();
    rj_rsa_work_free(work);
}

static void print_hex(const uint8_t *bytes, size_t len) {
    putchar(' ');
    for (size_t i = 0; i < len; i++) {
        printf("%02x", bytes[i]);
    }
}

/* Cases for `lines`, each with the right status in front: keys are slow to make, this file is not. */
static void corpus(unsigned long count, uint64_t seed) {
    make_keys();
    for (unsigned long done = 0; done < count; done++) {
        static signed_case made;
        rj_rsa_item item;
        rj_status right;
        const signing_key *key = make_case(&item, &right, &made, &seed);
        const char *names[2] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E};

        printf("%d %d %d", (int)right, (int)item.padding, (int)item.digest_id);
        for (int i = 0; i < 2; i++) {
            BIGNUM *number = NULL;
            uint8_t bytes[RJ_RSA_MAX_BYTES];
            REQUIRE(EVP_PKEY_get_bn_param(key->pkey, names[i], &number) == 1);
            print_hex(bytes, (size_t)BN_bn2bin(number, bytes));
            BN_free(number);
        }
        print_hex(item.digest, rj_digest_bytes(item.digest_id));
        print_hex(item.signature, item.signature_len);
        putchar('\n');
    }
    free_keys();
}

/* ---- limits ---- */

static rj_status prepare_status(size_t bytes, uint8_t top, uint8_t bottom, const uint8_t *e, size_t e_len) {
    static uint8_t n[RJ_RSA_MAX_BYTES + 2];
    rj_rsa_key *key = NULL;
    rj_status status;

    memset(n, 0x5a, sizeof(n));
    n[0] = 0; /* a leading zero byte changes nothing */
    n[1] = top;
    n[bytes] = bottom;
    status = rj_rsa_prepare(&key, n, bytes + 1, e, e_len, 0);
    REQUIRE((status == RJ_OK) == (key != NULL));
    rj_rsa_free(key);
    return status;
}

static void limits(void) {
    static const uint8_t f4[] = {0, 1, 0, 1};
    static const uint8_t three[] = {3};
    static const uint8_t one[] = {0, 1};
    static const uint8_t even[] = {1, 0, 0};
    static const uint8_t wide[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t wider[] = {1, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t digest[64];
    static const uint8_t signature[256];
    rj_rsa_key *key = NULL;
    rj_rsa_work *work = NULL;
    rj_rsa_item item;
    uint8_t verdict = RJ_OK;
    uint8_t n[256];

    REQUIRE(prepare_status(256, 0x80, 1, f4, 4) == RJ_OK);
    REQUIRE(prepare_status(256, 0x80, 1, three, 1) == RJ_OK);
    REQUIRE(prepare_status(256, 0x80, 1, wide, 9) == RJ_OK);
    REQUIRE(prepare_status(RJ_RSA_MAX_BYTES, 0xff, 1, f4, 4) == RJ_OK);
    REQUIRE(prepare_status(256, 0x7f, 1, f4, 4) == RJ_KEY_WEAK);
    REQUIRE(prepare_status(128, 0x80, 1, f4, 4) == RJ_KEY_WEAK);
    REQUIRE(prepare_status(RJ_RSA_MAX_BYTES + 1, 1, 1, f4, 4) == RJ_TOO_LARGE);
    REQUIRE(prepare_status(256, 0x80, 2, f4, 4) == RJ_KEY_MALFORMED);
    REQUIRE(prepare_status(256, 0x80, 1, even, 3) == RJ_KEY_MALFORMED);
    REQUIRE(prepare_status(256, 0x80, 1, f4, 0) == RJ_KEY_MALFORMED);
    REQUIRE(prepare_status(256, 0x80, 1, f4, 1) == RJ_KEY_MALFORMED);
    REQUIRE(prepare_status(256, 0x80, 1, one, 2) == RJ_KEY_WEAK);
    REQUIRE(prepare_status(256, 0x80, 1, wider, 9) == RJ_TOO_LARGE);
    REQUIRE(rj_rsa_prepare(&key, n, 0, f4, 4, 0) == RJ_KEY_WEAK);
    memset(n, 0xff, sizeof(n));
    REQUIRE(rj_rsa_prepare(&key, n, sizeof(n), f4, 4, 0) == RJ_OK);
    REQUIRE(rj_rsa_work_new(&work) == RJ_OK);
    REQUIRE(rj_rsa_verify_pkcs1(work, key, (rj_digest_id)0, digest, signature, 256) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_rsa_verify_pss(work, key, (rj_digest_id)4, digest, signature, 256) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_rsa_verify_pkcs1(work, key, RJ_SHA256, digest, signature, 0) == RJ_SIGNATURE_INVALID);
    item = (rj_rsa_item){key, digest, signature, sizeof(signature), RJ_SHA256, (rj_rsa_padding)0};
    rj_rsa_verify_batch(work, &verdict, &item, 1);
    REQUIRE(verdict == RJ_BAD_ARGUMENT);
    rj_rsa_verify_batch(work, &verdict, &item, 0);
    rj_rsa_work_free(work);
    rj_rsa_work_free(NULL);
    rj_rsa_free(key);
    rj_rsa_free(NULL);
}

/* ---- lines ---- */

/* One line's words, and its key in both forms. */
typedef struct {
    uint8_t *part[4]; /* n, e, digest, signature */
    size_t len[4];
    rj_rsa_key *keys[2];
    rj_rsa_padding padding;
    rj_digest_id id;
} line_case;

static int read_line_case(line_case *out) {
    static char line[1 << 17];
    char *words[6];

    if (driver_words(line, sizeof(line), words, 6) != 6) {
        return 0;
    }
    out->padding = (rj_rsa_padding)atoi(words[0]);
    out->id = (rj_digest_id)atoi(words[1]);
    for (int i = 0; i < 4; i++) {
        out->len[i] = driver_hex(&out->part[i], words[i + 2]);
    }
    REQUIRE(out->len[2] == rj_digest_bytes(out->id));
    for (unsigned flags = 0; flags <= RJ_RSA_PORTABLE; flags++) {
        REQUIRE(rj_rsa_prepare(&out->keys[flags], out->part[0], out->len[0], out->part[1], out->len[1], flags) ==
                RJ_OK);
    }
    return 1;
}

static void lines(void) {
    enum { TOGETHER = 30 };
    static line_case cases[TOGETHER];
    rj_rsa_work *work = NULL;
    size_t count = TOGETHER;

    REQUIRE(rj_rsa_work_new(&work) == RJ_OK);
    while (count == TOGETHER) {
        uint8_t single[2][TOGETHER];
        uint8_t batch[2][TOGETHER];

        for (count = 0; count < TOGETHER && read_line_case(&cases[count]); count++) {
        }
        for (int form = 0; form < 2; form++) {
            rj_rsa_item items[TOGETHER];
            for (size_t i = 0; i < count; i++) {
                const line_case *c = &cases[i];
                const rj_rsa_key *key = c->keys[form];
                items[i] = (rj_rsa_item){key, c->part[2], c->part[3], c->len[3], c->id, c->padding};
                single[form][i] = (uint8_t)(c->padding == RJ_RSA_PSS
                                                ? rj_rsa_verify_pss(work, key, c->id, c->part[2], c->part[3],
                                                                    c->len[3])
                                                : rj_rsa_verify_pkcs1(work, key, c->id, c->part[2], c->part[3],
                                                                      c->len[3]));
            }
            rj_rsa_verify_batch(work, batch[form], items, count);
        }
        for (size_t i = 0; i < count; i++) {
            printf("%d %d %d %d\n", single[0][i], batch[0][i], single[1][i], batch[1][i]);
            for (int k = 0; k < 4; k++) {
                free(cases[i].part[k]);
            }
            rj_rsa_free(cases[i].keys[0]);
            rj_rsa_free(cases[i].keys[1]);
        }
    }
    rj_rsa_work_free(work);
}

/* ---- bench ---- */

static void bench_size(unsigned bits, rj_rsa_padding padding, int rounds) {
    enum { LANES = 64 };
    static signed_case cases[LANES];
    uint8_t message[300] = {1};
    uint8_t digest[32];
    signing_key key;
    rj_rsa_item items[LANES];
    uint8_t verdicts[LANES];
    rj_rsa_work *work = NULL;
    EVP_PKEY_CTX *ctx;
    double us[4];
    unsigned long accepted[4] = {0};

    make_key(&key, bits, 65537);
    REQUIRE(rj_rsa_work_new(&work) == RJ_OK);
    REQUIRE(rj_digest(digest, sizeof(digest), RJ_SHA256, message, sizeof(message)) == RJ_OK);
    ctx = signature_context(key.pkey, RJ_SHA256, padding, -1, 0);
    for (size_t i = 0; i < LANES; i++) {
        size_t len = key.bytes;
        REQUIRE(EVP_PKEY_sign(ctx, cases[i].signature, &len, digest, sizeof(digest)) == 1);
        items[i] = (rj_rsa_item){key.fast, digest, cases[i].signature, key.bytes, RJ_SHA256, padding};
    }
    EVP_PKEY_CTX_free(ctx);
    for (int how = 0; how < 4; how++) {
        us[how] = 1e18;
        for (int round = 0; round < rounds; round++) {
            uint64_t start = driver_now_ns();
            double round_us;
            for (size_t i = 0; i < LANES && how != 3; i++) {
                if (how == 0) {
                    EVP_MD_CTX *md = EVP_MD_CTX_new();
                    EVP_PKEY_CTX *inner = NULL;
                    REQUIRE(EVP_DigestVerifyInit(md, &inner, EVP_sha256(), NULL, key.pkey) == 1);
                    if (padding == RJ_RSA_PSS) {
                        REQUIRE(EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING) == 1);
                        REQUIRE(EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST) == 1);
                    }
                    accepted[how] += EVP_DigestVerify(md, cases[i].signature, key.bytes, message,
                                                      sizeof(message)) == 1;
                    EVP_MD_CTX_free(md);
                } else {
                    const rj_rsa_key *prepared = how == 1 ? key.portable : key.fast;
                    REQUIRE(rj_digest(digest, sizeof(digest), RJ_SHA256, message, sizeof(message)) == RJ_OK);
                    accepted[how] += (padding == RJ_RSA_PSS
                                          ? rj_rsa_verify_pss(work, prepared, RJ_SHA256, digest,
                                                              cases[i].signature, key.bytes)
                                          : rj_rsa_verify_pkcs1(work, prepared, RJ_SHA256, digest,
                                                                cases[i].signature, key.bytes)) == RJ_OK;
                }
            }
            if (how == 3) {
                for (size_t i = 0; i < LANES; i++) {
                    REQUIRE(rj_digest(digest, 32, RJ_SHA256, message, sizeof(message)) == RJ_OK);
                }
                rj_rsa_verify_batch(work, verdicts, items, LANES);
                for (size_t i = 0; i < LANES; i++) {
                    accepted[how] += verdicts[i] == RJ_OK;
                }
            }
            round_us = (double)(driver_now_ns() - start) / 1000.0 / LANES;
            us[how] = round_us < us[how] ? round_us : us[how];
        }
        REQUIRE(accepted[how] == (unsigned long)(rounds * LANES));
    }
    {
        uint8_t n[RJ_RSA_MAX_BYTES];
        BIGNUM *modulus = NULL;
        uint64_t start = driver_now_ns();
        REQUIRE(EVP_PKEY_get_bn_param(key.pkey, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1);
        REQUIRE(BN_bn2bin(modulus, n) == (int)key.bytes);
        start = driver_now_ns();
        for (int i = 0; i < 100; i++) {
            rj_rsa_key *again = NULL;
            REQUIRE(rj_rsa_prepare(&again, n, key.bytes, (const uint8_t *)"\x01\x00\x01", 3, 0) == RJ_OK);
            rj_rsa_free(again);
        }
        printf("prepare %.1f us; ", (double)(driver_now_ns() - start) / 1e5);
        BN_free(modulus);
    }
    printf("%s256 %u bits, best us a signature: fresh EVP %.1f, libcrypto arithmetic %.1f (%.1fx), single %.2f "
           "(%.1fx), batch of 64 %.2f (%.1fx); key %zu bytes\n",
           padding == RJ_RSA_PSS ? "PS" : "RS", bits, us[0], us[1], us[0] / us[1], us[2], us[0] / us[2], us[3],
           us[0] / us[3], rj_rsa_bytes(key.fast));
    free_key(&key);
    rj_rsa_work_free(work);
}

static void bench(void) {
    bench_size(2048, RJ_RSA_PKCS1, 40);
    bench_size(2048, RJ_RSA_PSS, 40);
    bench_size(3072, RJ_RSA_PKCS1, 20);
    bench_size(4096, RJ_RSA_PKCS1, 20);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "arithmetic") == 0) {
        arithmetic(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (argc == 4 && strcmp(argv[1], "differential") == 0) {
        differential(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (argc == 4 && strcmp(argv[1], "corpus") == 0) {
        corpus(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (argc == 2 && strcmp(argv[1], "limits") == 0) {
        limits();
    } else if (argc == 2 && strcmp(argv[1], "lines") == 0) {
        lines();
    } else if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        bench();
    } else {
        return 2;
    }
    return 0;
}
