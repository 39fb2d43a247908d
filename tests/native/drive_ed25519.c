/* drive_ed25519.c: the ed25519 files against OpenSSL's BIGNUM and EVP.
 *
 * field <count> <seed>          both kinds of field arithmetic and the scalars, at random and edge numbers
 * keys                          what rj_ed25519_check_key and the builders refuse
 * differential <count> <seed>   signatures, good and spoilt, single and in batches, lanes and portable
 * lines                         "key message signature" in hex a line -> four status numbers a line: single and
 *                               batch, with this machine's arithmetic and the portable one; "key -" and a key's
 *                               status where it is refused
 * bench                         microseconds a signature, ours and EVP_DigestVerify with a fresh context
 */
#include "checks.h"
#include "ed25519_cases.h"
#include "ed25519_fields.h"
#include "ed25519_refusals.h"

enum { BATCH = 37, LINE_BYTES = 1 << 17 };

/* ---- signatures ---- */

static void differential(unsigned long count, uint64_t seed)
{
    static uint8_t messages[BATCH][600];
    static uint8_t signatures[BATCH][64];
    static known_key known[KEYS];
    static uint8_t work_space[1 << 20];
    unsigned long accepted = 0;
    unsigned long refused = 0;
    unsigned long mixed = 0;

    make_keys(known, &seed);
    for (unsigned long done = 0; done < count;) {
        size_t batch = 1 + (size_t)(driver_random(&seed) % BATCH);
        rj_signature_check checks[2][BATCH];
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
                checks[form][i] =
                    check_ed25519(generators[form], key->tables[form], (rj_span){messages[i], len}, signatures[i]);
                REQUIRE(rj_ed25519_verify_one(&verdict, &checks[form][i]) == RJ_OK && verdict == right[i]);
            }
            accepted += right[i] == RJ_OK;
            refused += right[i] != RJ_OK;
            mixed += right[i] == RJ_OK && key->mixed;
        }
        for (int form = 0; form < 2; form++) {
            uint8_t verdicts[BATCH];
            const rj_signature_check **pointers = check_pointers(checks[form], batch);
            memset(verdicts, 99, sizeof(verdicts));
            REQUIRE(
                rj_ed25519_verify_batch(verdicts, pointers, batch, work_space + done % 5, rj_ed25519_work_bytes(batch))
                == RJ_OK);
            free(pointers);
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

static void lines(void)
{
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
            rj_signature_check checks[9];
            const rj_signature_check **pointers = check_pointers(checks, 9);
            rj_status status = rj_ed25519_table_build(&table, part[0], form == 1 ? RJ_ED25519_PORTABLE : 0);

            REQUIRE(status == rj_ed25519_check_key(part[0]));
            if (status != RJ_OK) {
                single = verdicts[0] = (uint8_t)status;
            } else if (len[2] != RJ_ED25519_SIGNATURE_BYTES) { /* the caller's check: RFC 8032 s.5.1.7 step 1 */
                single = verdicts[0] = RJ_SIGNATURE_INVALID;
            } else {
                for (int i = 0; i < 9; i++) {
                    checks[i] = check_ed25519(generators[form], table, (rj_span){part[1], len[1]}, part[2]);
                }
                REQUIRE(rj_ed25519_verify_one(&single, &checks[0]) == RJ_OK);
                REQUIRE(rj_ed25519_verify_batch(verdicts, pointers, 9, work, sizeof(work)) == RJ_OK);
                for (int i = 1; i < 9; i++) {
                    REQUIRE(verdicts[i] == verdicts[0]);
                }
            }
            printf("%d %d%c", single, verdicts[0], form == 1 ? '\n' : ' ');
            free(pointers);
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

static double bench_best(int how, const known_key *known, size_t key_count, rj_signature_check checks[2][64],
                         uint8_t *work, size_t work_bytes)
{
    double best = 1e18;
    const rj_signature_check **pointers = check_pointers(checks[how < 3 ? 0 : how - 3], 64);

    for (int round = 0; round < 60; round++) {
        uint64_t start = driver_now_ns();
        unsigned long accepted = 0;
        double us;

        for (size_t i = 0; i < 64 && how < 3; i++) {
            uint8_t verdict = 0;
            if (how == 0) {
                accepted += ask_libcrypto(known[i % key_count].public_key, checks[0][i].input.ptr,
                                          checks[0][i].input.len, checks[0][i].signature.ptr)
                         == RJ_OK;
            } else {
                REQUIRE(rj_ed25519_verify_one(&verdict, &checks[how - 1][i]) == RJ_OK);
                accepted += verdict == RJ_OK;
            }
        }
        if (how >= 3) {
            uint8_t verdicts[64] = {0};
            REQUIRE(rj_ed25519_verify_batch(verdicts, pointers, 64, work, work_bytes) == RJ_OK);
            for (size_t i = 0; i < 64; i++) {
                accepted += verdicts[i] == RJ_OK;
            }
        }
        us = (double)(driver_now_ns() - start) / 64e3;
        best = us < best ? us : best;
        REQUIRE(accepted == 64);
    }
    free(pointers);
    return best;
}

static void bench(void)
{
    static known_key known[KEYS];
    static uint8_t work[1 << 20];
    static uint8_t messages[64][300];
    static uint8_t signatures[64][64];
    rj_signature_check checks[2][64];
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
                checks[form][i] = check_ed25519(generators[form], key->tables[form],
                                                (rj_span){messages[i], sizeof(messages[i])}, signatures[i]);
            }
        }
        for (int how = 0; how < 5; how++) {
            us[how] = bench_best(how, known, key_count, checks, work, sizeof(work));
        }
        printf("EdDSA %zu key(s), 300 bytes, best us a signature: fresh EVP %.1f; single %s %.2f (%.1fx), portable "
               "%.2f (%.1fx); batch of 64 %s %.2f (%.1fx), portable %.2f (%.1fx)\n",
               key_count, us[0], rj_ed25519_engine(checks[0][0].key.ed25519), us[1], us[0] / us[1], us[2],
               us[0] / us[2], rj_ed25519_engine(checks[0][0].key.ed25519), us[3], us[0] / us[3], us[4], us[0] / us[4]);
    }
    start = driver_now_ns();
    REQUIRE(rj_ed25519_table_build(&table, known[0].key32, 0) == RJ_OK);
    printf("table: %zu bytes, built and checked in %.0f us\n", rj_ed25519_table_bytes(),
           (double)(driver_now_ns() - start) / 1e3);
    rj_ed25519_table_free(table);
    free_keys(known);
}

static const driver_command COMMANDS[] = {
    {"field", NULL, field}, {"keys", keys, NULL},   {"differential", NULL, differential},
    {"lines", lines, NULL}, {"bench", bench, NULL},
};

int main(int argc, char **argv) { return driver_run(COMMANDS, sizeof(COMMANDS) / sizeof(COMMANDS[0]), argc, argv); }
