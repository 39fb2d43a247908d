/* drive_ecdsa_der.c: the ecdsa_der file against libcrypto's own reading and writing of ECDSA-Sig-Value.
 *
 * lines                         "raw_len hex" a line -> "status hex": DER in, R || S out
 * encode                        one hex R || S a line -> "status hex": DER out
 * differential <count> <seed>   random numbers of every size both ways; exit 0 if libcrypto agrees
 * bench                         nanoseconds a conversion, P-256
 */
#include <openssl/bn.h>
#include <openssl/ecdsa.h>

#include "driver_lines.h"
#include "ec/ecdsa_der.h"

static void lines(void)
{
    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        uint8_t raw[RJ_ECDSA_MAX_RAW_BYTES + 2] = {0}, *der;
        size_t raw_len = strtoul(strtok(line, " "), NULL, 10);
        size_t der_len = driver_exact_hex(&der, strtok(NULL, " "));
        rj_status status = rj_ecdsa_raw_from_der(raw, raw_len, der, der_len);

        printf("%d ", (int)status);
        driver_print_hex(raw, status == RJ_OK ? raw_len : 0);
        for (size_t i = 0; status != RJ_OK && i < sizeof(raw); i++) {
            REQUIRE(raw[i] == 0); /* untouched unless RJ_OK */
        }
        printf("\n");
        free(der);
        free(line);
    }
}

static void encode(void)
{
    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        uint8_t der[RJ_ECDSA_MAX_DER_BYTES], *raw;
        size_t raw_len = driver_exact_hex(&raw, line), der_len = 777, unset = 777;
        rj_status status = rj_ecdsa_der_from_raw(der, &der_len, sizeof(der), raw, raw_len);

        if (status == RJ_OK) {
            uint8_t *tight = malloc(der_len);
            REQUIRE(tight != NULL);
            REQUIRE(rj_ecdsa_der_from_raw(tight, &unset, der_len - 1, raw, raw_len) == RJ_BAD_ARGUMENT);
            REQUIRE(unset == 777);
            REQUIRE(rj_ecdsa_der_from_raw(tight, &unset, der_len, raw, raw_len) == RJ_OK && unset == der_len);
            REQUIRE(memcmp(tight, der, der_len) == 0);
            free(tight);
        }
        REQUIRE(status == RJ_OK || der_len == 777);
        printf("%d ", (int)status);
        driver_print_hex(der, status == RJ_OK ? der_len : 0);
        printf("\n");
        free(raw);
        free(line);
    }
}

/* A number of at most field bytes, often with leading zeros or a set top bit; never zero. */
static void random_number(uint64_t *seed, uint8_t *out, size_t field)
{
    size_t zeros = driver_random(seed) % 4 ? 0 : (size_t)(driver_random(seed) % field);

    driver_fill(seed, out, field);
    memset(out, 0, zeros);
    out[field - 1] |= 1;
}

static void check_one(uint64_t *seed, size_t field)
{
    uint8_t raw[RJ_ECDSA_MAX_RAW_BYTES], back[RJ_ECDSA_MAX_RAW_BYTES], der[RJ_ECDSA_MAX_DER_BYTES];
    uint8_t *theirs = NULL;
    const uint8_t *mutant;
    size_t der_len, at;
    int theirs_len;
    ECDSA_SIG *sig = ECDSA_SIG_new();

    random_number(seed, raw, field);
    random_number(seed, raw + field, field);
    REQUIRE(ECDSA_SIG_set0(sig, BN_bin2bn(raw, (int)field, NULL), BN_bin2bn(raw + field, (int)field, NULL)) == 1);
    theirs_len = i2d_ECDSA_SIG(sig, &theirs);
    REQUIRE(rj_ecdsa_der_from_raw(der, &der_len, sizeof(der), raw, 2 * field) == RJ_OK);
    REQUIRE((size_t)theirs_len == der_len && memcmp(theirs, der, der_len) == 0);
    REQUIRE(rj_ecdsa_raw_from_der(back, 2 * field, der, der_len) == RJ_OK);
    REQUIRE(memcmp(raw, back, 2 * field) == 0);
    OPENSSL_free(theirs);
    ECDSA_SIG_free(sig);
    at = (size_t)(driver_random(seed) % der_len);
    der[at] = (uint8_t)driver_random(seed);
    mutant = der;
    if (rj_ecdsa_raw_from_der(back, 2 * field, der, der_len) == RJ_OK) { /* then it is the one form there is */
        uint8_t again[RJ_ECDSA_MAX_DER_BYTES];
        size_t again_len;
        REQUIRE(rj_ecdsa_der_from_raw(again, &again_len, sizeof(again), back, 2 * field) == RJ_OK);
        REQUIRE(again_len == der_len && memcmp(again, der, der_len) == 0);
        sig = d2i_ECDSA_SIG(NULL, &mutant, (long)der_len);
        REQUIRE(sig != NULL && mutant == der + der_len);
        ECDSA_SIG_free(sig);
    }
}

static void bench(void)
{
    enum { ROUNDS = 5000000 };
    uint8_t raw[64], der[RJ_ECDSA_MAX_DER_BYTES];
    uint64_t seed = 1, start, accepted = 0;
    size_t der_len;

    driver_fill(&seed, raw, sizeof(raw));
    start = driver_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        accepted += rj_ecdsa_der_from_raw(der, &der_len, sizeof(der), raw, sizeof(raw)) == RJ_OK;
    }
    printf("R || S of P-256 to DER: %.1f ns\n", (double)(driver_now_ns() - start) / ROUNDS);
    REQUIRE(accepted == ROUNDS);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "lines") == 0) {
        lines();
    } else if (argc == 2 && strcmp(argv[1], "encode") == 0) {
        encode();
    } else if (argc == 4 && strcmp(argv[1], "differential") == 0) {
        uint64_t seed = strtoull(argv[3], NULL, 10);
        for (unsigned long i = 0; i < strtoul(argv[2], NULL, 10); i++) {
            check_one(&seed, i % RJ_ECDSA_MAX_FIELD_BYTES + 1); /* every field size in turn */
        }
    } else if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        bench();
    } else {
        return 2;
    }
    return 0;
}
