/* time_fixedbase.c: ECDSA with tables against a fresh-context EVP_DigestVerify, on the same tokens in one process.
 *
 * time_fixedbase <curve> <flags> <rounds>  one key: single, batches of 8 and 64; then keys drawn by Zipf's law
 * Times are processor time, the best of alternating rounds, hashing included. Every verdict is checked, good and bad.
 */
#include "checks.h"
#include "fixedbase_oracle.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

#define TOKENS 512
#define TOKEN_BYTES 400
#define HOT_KEYS 100
#define BATCH_MAX 64

typedef struct {
    EVP_PKEY *pkey;
    rj_fixedbase *table;
} time_key;

typedef struct {
    const time_key *key;
    uint8_t bytes[TOKEN_BYTES], der[160], rs[2 * CASE_COORD_BYTES];
    size_t der_len;
    int good;
} time_token;

typedef struct {
    rj_curve id;
    const EVP_MD *md;
    rj_fixedbase *generator;
    time_token tokens[TOKENS];
    uint8_t *work;
    size_t work_bytes;
} time_bench;

static void time_key_open(time_key *key, const time_bench *bench, unsigned flags)
{
    static const char *const names[] = {"P-256", "P-384", "P-521", "secp256k1"};
    uint8_t point[1 + 2 * CASE_COORD_BYTES];
    size_t len;
    key->pkey = EVP_EC_gen(names[bench->id]);
    REQUIRE(EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) == 1);
    REQUIRE(rj_fixedbase_build(&key->table, bench->id, RJ_FIXEDBASE_LARGE, point + 1, len - 1, flags) == RJ_OK);
}

static double time_now_us(void) { return (double)clock() * 1e6 / CLOCKS_PER_SEC; }

/* Sign a random token; one in eight is changed after signing. */
static void time_token_make(time_token *t, const time_key *key, const EVP_MD *md, size_t width, uint64_t *seed)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const uint8_t *der = t->der;
    ECDSA_SIG *sig;
    t->key = key;
    t->der_len = sizeof t->der;
    t->good = driver_random(seed) % 8 != 0;
    driver_fill(seed, t->bytes, TOKEN_BYTES);
    REQUIRE(EVP_DigestSignInit(ctx, NULL, md, NULL, key->pkey) == 1);
    REQUIRE(EVP_DigestSign(ctx, t->der, &t->der_len, t->bytes, TOKEN_BYTES) == 1);
    sig = d2i_ECDSA_SIG(NULL, &der, (long)t->der_len);
    REQUIRE(sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), t->rs, (int)width) > 0);
    REQUIRE(BN_bn2binpad(ECDSA_SIG_get0_s(sig), t->rs + width, (int)width) > 0);
    if (!t->good)
        t->bytes[7] ^= 1;
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
}

/* Microseconds a token with a fresh EVP context each. */
static double time_evp(const time_bench *bench, size_t count)
{
    double start = time_now_us();
    for (size_t i = 0; i < count; i++) {
        const time_token *t = &bench->tokens[i];
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        REQUIRE(EVP_DigestVerifyInit(ctx, NULL, bench->md, NULL, t->key->pkey) == 1);
        REQUIRE((EVP_DigestVerify(ctx, t->der, t->der_len, t->bytes, TOKEN_BYTES) == 1) == t->good);
        EVP_MD_CTX_free(ctx);
    }
    return (time_now_us() - start) / (double)count;
}

/* Microseconds a token with tables, `batch` at a time; 0 asks for the single entry point. */
static double time_tables(const time_bench *bench, size_t batch)
{
    static uint8_t digests[BATCH_MAX][64];
    uint8_t verdicts[BATCH_MAX];
    rj_signature_check checks[BATCH_MAX];
    const rj_signature_check **pointers = check_pointers(checks, BATCH_MAX);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t step = batch == 0 ? 1 : batch, digest_len = (size_t)EVP_MD_get_size(bench->md);
    double start = time_now_us();
    for (size_t at = 0; at < TOKENS; at += step) {
        for (size_t i = 0; i < step; i++) {
            const time_token *t = &bench->tokens[at + i];
            REQUIRE(EVP_DigestInit_ex(ctx, bench->md, NULL) == 1 && EVP_DigestUpdate(ctx, t->bytes, TOKEN_BYTES) == 1);
            REQUIRE(EVP_DigestFinal_ex(ctx, digests[i], NULL) == 1);
            checks[i] = check_ecdsa(bench->generator, t->key->table, (rj_span){digests[i], digest_len}, t->rs,
                                    2 * rj_fixedbase_coord_bytes(bench->id));
        }
        if (batch == 0)
            REQUIRE(rj_fixedbase_verify_one(verdicts, checks) == RJ_OK);
        else
            REQUIRE(rj_fixedbase_verify_batch(verdicts, pointers, step, bench->work, bench->work_bytes) == RJ_OK);
        for (size_t i = 0; i < step; i++)
            REQUIRE(verdicts[i] == (bench->tokens[at + i].good ? RJ_OK : RJ_SIGNATURE_INVALID));
    }
    EVP_MD_CTX_free(ctx);
    free(pointers);
    return (time_now_us() - start) / TOKENS;
}

static void time_least(double *best, double now)
{
    if (now < *best)
        *best = now;
}

/* Best of alternating rounds, with the ratio to EVP. */
static double time_report(const time_bench *bench, const char *what, size_t rounds)
{
    static const size_t batches[] = {0, 1, 2, 4, 8, 16, 64};
    double evp = 1e9, best[7] = {1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9};
    for (size_t round = 0; round < rounds; round++) {
        time_least(&evp, time_evp(bench, 24));
        for (int i = 0; i < 7; i++)
            time_least(&best[i], time_tables(bench, batches[i]));
    }
    printf("%s: EVP %.1f us", what, evp);
    for (int i = 0; i < 7; i++)
        printf("; %s%zu %.2f us, %.1fx", i == 0 ? "one " : "batch ", i == 0 ? 1 : batches[i], best[i], evp / best[i]);
    printf("\n");
    return best[6];
}

int main(int argc, char **argv)
{
    static time_bench bench;
    static time_key keys[HOT_KEYS];
    uint64_t seed = 1;
    double start, weights[HOT_KEYS], total = 0, one_key;
    REQUIRE(argc == 4);
    unsigned flags = (unsigned)strtoul(argv[2], NULL, 10);
    size_t rounds = strtoul(argv[3], NULL, 10);

    bench.id = (rj_curve)strtoul(argv[1], NULL, 10);
    bench.md = bench.id == RJ_CURVE_P384 ? EVP_sha384() : bench.id == RJ_CURVE_P521 ? EVP_sha512() : EVP_sha256();
    bench.work_bytes = rj_fixedbase_work_bytes(bench.id, BATCH_MAX);
    bench.work = malloc(bench.work_bytes);
    start = time_now_us();
    REQUIRE(rj_fixedbase_build_generator(&bench.generator, bench.id, flags) == RJ_OK);
    printf("generator: %.1f ms, %zu bytes; ", (time_now_us() - start) / 1e3, rj_fixedbase_generator_bytes(bench.id));
    start = time_now_us();
    for (int i = 0; i < HOT_KEYS; i++)
        time_key_open(&keys[i], &bench, flags);
    printf("key: %.1f ms, %zu bytes; work %zu bytes; engine %s\n", (time_now_us() - start) / 1e3 / HOT_KEYS,
           rj_fixedbase_bytes(bench.id, RJ_FIXEDBASE_LARGE), bench.work_bytes, rj_fixedbase_field_ops(bench.generator));
    for (int i = 0; i < TOKENS; i++)
        time_token_make(&bench.tokens[i], &keys[0], bench.md, rj_fixedbase_coord_bytes(bench.id), &seed);
    one_key = time_report(&bench, "one key", rounds);
    for (int i = 0; i < HOT_KEYS; i++)
        total += weights[i] = 1.0 / (i + 1);
    for (int i = 0; i < TOKENS; i++) {
        double at = (double)(driver_random(&seed) >> 11) / 9007199254740992.0 * total;
        int key = 0;
        while (key + 1 < HOT_KEYS && at > weights[key])
            at -= weights[key++];
        time_token_make(&bench.tokens[i], &keys[key], bench.md, rj_fixedbase_coord_bytes(bench.id), &seed);
    }
    printf("Zipf of one key: %.2f\n", one_key / time_report(&bench, "100 keys, Zipf", rounds));
    for (int i = 0; i < HOT_KEYS; i++) {
        rj_fixedbase_free(keys[i].table);
        EVP_PKEY_free(keys[i].pkey);
    }
    rj_fixedbase_free(bench.generator);
    free(bench.work);
    return 0;
}
