/* drive_rsa.c: the rsa files against OpenSSL's BIGNUM and EVP.
 *
 * arithmetic <count> <seed>     powers of random and edge numbers under random and edge moduli
 * differential <count> <seed>   signatures, good and spoilt, single and in batches, against EVP_PKEY_verify
 * corpus <count> <seed>         such signatures for `lines`, the right status in front of each line
 * limits                        what rj_rsa_prepare refuses
 * lines                         "padding id n e digest signature" in hex a line -> four status numbers a line:
 *                               single and batch, with this machine's arithmetic and with libcrypto's
 * primes                        print rsa_prime_steps.h
 * bench                         microseconds a signature, ours and EVP_DigestVerify with a fresh context
 */
#include "rsa_cases.h"
#include "rsa_limits.h"
#include "rsa_powers.h"

enum {
    BATCH = 21,
    MANY = 10000 /* signatures that are worth random keys */
};

/* ---- signatures ---- */

static rj_status verify_alone(rj_rsa_work *work, const rj_rsa_key *key, const rj_signature_check *check)
{
    rj_digest_id id = (rj_digest_id)check->digest_id;

    return check->padding == RJ_RSA_PSS
             ? rj_rsa_verify_pss(work, key, id, check->digest.ptr, check->signature.ptr, check->signature.len)
             : rj_rsa_verify_pkcs1(work, key, id, check->digest.ptr, check->signature.ptr, check->signature.len);
}

static void verify_together(rj_rsa_work *work, uint8_t *verdicts, const rj_signature_check *checks, size_t count)
{
    const rj_signature_check **pointers = check_pointers(checks, count);

    rj_rsa_verify_batch(work, verdicts, pointers, count);
    free(pointers);
}

static void differential(unsigned long count, uint64_t seed)
{
    static signed_case cases[BATCH];
    rj_signature_check checks[BATCH];
    rj_signature_check portable[BATCH];
    uint8_t verdicts[2][BATCH];
    rj_status right[BATCH];
    rj_rsa_work *work = NULL;
    unsigned long accepted = 0;
    unsigned long refused = 0;

    REQUIRE(rj_rsa_work_new(&work) == RJ_OK);
    make_keys(count >= MANY);
    for (unsigned long done = 0; done < count;) {
        size_t batch = 1 + (size_t)(driver_random(&seed) % BATCH);

        for (size_t i = 0; i < batch; i++, done++) {
            const signing_key *key = make_case(&checks[i], &right[i], &cases[i], &seed);

            portable[i] = checks[i];
            portable[i].key.rsa = driver_random(&seed) % 4 == 0 ? key->portable : key->fast;
            for (int form = 0; form < 2; form++) {
                const rj_rsa_key *prepared = form == 0 ? key->fast : key->portable;
                rj_status got = verify_alone(work, prepared, &checks[i]);
                REQUIRE(got == right[i]);
            }
            REQUIRE(ERR_peek_error() == 0);
            accepted += right[i] == RJ_OK;
            refused += right[i] != RJ_OK;
        }
        verify_together(work, verdicts[0], checks, batch);
        verify_together(work, verdicts[1], portable, batch);
        for (size_t i = 0; i < batch; i++) {
            REQUIRE(verdicts[0][i] == (uint8_t)right[i] && verdicts[1][i] == (uint8_t)right[i]);
        }
    }
    printf("%lu accepted, %lu refused\n", accepted, refused);
    REQUIRE(count < 100 || (accepted > count / 5 && refused > count / 5));
    free_keys();
    rj_rsa_work_free(work);
}

static void print_hex(const uint8_t *bytes, size_t len)
{
    putchar(' ');
    for (size_t i = 0; i < len; i++) {
        printf("%02x", bytes[i]);
    }
}

/* Cases for `lines`, each with the right status in front: keys are slow to make, this file is not. */
static void corpus(unsigned long count, uint64_t seed)
{
    make_keys(0);
    for (unsigned long done = 0; done < count; done++) {
        static signed_case made;
        rj_signature_check check;
        rj_status right;
        const signing_key *key = make_case(&check, &right, &made, &seed);
        const char *names[2] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E};

        printf("%d %d %d", (int)right, (int)check.padding, (int)check.digest_id);
        for (int i = 0; i < 2; i++) {
            BIGNUM *number = NULL;
            uint8_t bytes[RJ_RSA_MAX_BYTES];
            REQUIRE(EVP_PKEY_get_bn_param(key->pkey, names[i], &number) == 1);
            print_hex(bytes, (size_t)BN_bn2bin(number, bytes));
            BN_free(number);
        }
        print_hex(check.digest.ptr, check.digest.len);
        print_hex(check.signature.ptr, check.signature.len);
        putchar('\n');
    }
    free_keys();
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

static int read_line_case(line_case *out)
{
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
        REQUIRE(rj_rsa_prepare(&out->keys[flags], out->part[0], out->len[0], out->part[1], out->len[1], flags)
                == RJ_OK);
    }
    return 1;
}

static void lines(void)
{
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
            rj_signature_check checks[TOGETHER];
            for (size_t i = 0; i < count; i++) {
                const line_case *c = &cases[i];
                const rj_rsa_key *key = c->keys[form];
                checks[i] = check_rsa(key, c->id, c->part[2], (rj_span){c->part[3], c->len[3]}, c->padding);
                single[form][i] = (uint8_t)verify_alone(work, key, &checks[i]);
            }
            verify_together(work, batch[form], checks, count);
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

static void bench_size(unsigned bits, rj_rsa_padding padding, int rounds)
{
    enum { LANES = 64 };
    static signed_case cases[LANES];
    uint8_t message[300] = {1};
    uint8_t digest[32];
    signing_key key;
    rj_signature_check checks[LANES];
    const rj_signature_check **pointers;
    uint8_t verdicts[LANES];
    rj_rsa_work *work = NULL;
    EVP_PKEY_CTX *ctx;
    double us[4];
    unsigned long accepted[4] = {0};

    make_key(&key, bits, 65537, -1);
    REQUIRE(rj_rsa_work_new(&work) == RJ_OK);
    REQUIRE(rj_digest(digest, sizeof(digest), RJ_SHA256, message, sizeof(message)) == RJ_OK);
    ctx = signature_context(key.pkey, RJ_SHA256, padding, -1, 0);
    for (size_t i = 0; i < LANES; i++) {
        size_t len = key.bytes;
        REQUIRE(EVP_PKEY_sign(ctx, cases[i].signature, &len, digest, sizeof(digest)) == 1);
        checks[i] = check_rsa(key.fast, RJ_SHA256, digest, (rj_span){cases[i].signature, key.bytes}, padding);
    }
    pointers = check_pointers(checks, LANES);
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
                    accepted[how] += EVP_DigestVerify(md, cases[i].signature, key.bytes, message, sizeof(message)) == 1;
                    EVP_MD_CTX_free(md);
                } else {
                    const rj_rsa_key *prepared = how == 1 ? key.portable : key.fast;
                    REQUIRE(rj_digest(digest, sizeof(digest), RJ_SHA256, message, sizeof(message)) == RJ_OK);
                    accepted[how] +=
                        (padding == RJ_RSA_PSS
                             ? rj_rsa_verify_pss(work, prepared, RJ_SHA256, digest, cases[i].signature, key.bytes)
                             : rj_rsa_verify_pkcs1(work, prepared, RJ_SHA256, digest, cases[i].signature, key.bytes))
                        == RJ_OK;
                }
            }
            if (how == 3) {
                for (size_t i = 0; i < LANES; i++) {
                    REQUIRE(rj_digest(digest, 32, RJ_SHA256, message, sizeof(message)) == RJ_OK);
                }
                rj_rsa_verify_batch(work, verdicts, pointers, LANES);
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
    free(pointers);
    free_key(&key);
    rj_rsa_work_free(work);
}

static void bench(void)
{
    bench_size(2048, RJ_RSA_PKCS1, 40);
    bench_size(2048, RJ_RSA_PSS, 40);
    bench_size(3072, RJ_RSA_PKCS1, 20);
    bench_size(4096, RJ_RSA_PKCS1, 20);
}

static const driver_command COMMANDS[] = {
    {"arithmetic", NULL, arithmetic}, {"differential", NULL, differential},
    {"corpus", NULL, corpus},         {"limits", limits, NULL},
    {"lines", lines, NULL},           {"primes", print_prime_steps, NULL},
    {"bench", bench, NULL},
};

int main(int argc, char **argv) { return driver_run(COMMANDS, sizeof(COMMANDS) / sizeof(COMMANDS[0]), argc, argv); }
