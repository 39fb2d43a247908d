/* ed25519_refusals.h: the keys, tables and arguments that the key check, the builders and the verifiers refuse. */
#ifndef ED25519_REFUSALS_H
#define ED25519_REFUSALS_H

#include "checks.h"
#include "driver.h"
#include "ec/ed25519_internal.h"

static void from_hex(uint8_t out32[32], const char *hex)
{
    uint8_t *bytes;

    REQUIRE(driver_hex(&bytes, hex) == 32);
    memcpy(out32, bytes, 32);
    free(bytes);
}

static void keys(void)
{
    /* the points of order 1, 2, 4 and 8, canonical */
    static const char *const small[] = {"0100000000000000000000000000000000000000000000000000000000000000",
                                        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                        "0000000000000000000000000000000000000000000000000000000000000000",
                                        "0000000000000000000000000000000000000000000000000000000000000080",
                                        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                                        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
                                        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                                        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"};
    /* x = 0 with the sign bit; y = p - 1 with it; y from p to 2^255 - 1; y = 2, 7: not on the curve */
    static const char *const malformed[] = {"0100000000000000000000000000000000000000000000000000000000000080",
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
    rj_signature_check check;
    const rj_signature_check *one = &check;

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
    check = check_ed25519(generator, table, (rj_span){key32, 32}, signature64);
    REQUIRE(rj_ed25519_verify_one(&verdict, &check) == RJ_OK && verdict == RJ_SIGNATURE_INVALID);
    REQUIRE(rj_ed25519_verify_batch(&verdict, &one, 1, work, rj_ed25519_work_bytes(1) - 1) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_ed25519_verify_batch(&verdict, &one, 0, work, sizeof(work)) == RJ_OK);
    verdict = 99;
    for (check.signature.len = 63; check.signature.len <= 65; check.signature.len += 2) {
        REQUIRE(rj_ed25519_verify_one(&verdict, &check) == RJ_BAD_ARGUMENT && verdict == 99);
        REQUIRE(rj_ed25519_verify_batch(&verdict, &one, 1, work, sizeof(work)) == RJ_BAD_ARGUMENT && verdict == 99);
    }
    check.signature.len = 64;
    check.key.ed25519 = generator;
    REQUIRE(rj_ed25519_verify_one(&verdict, &check) == RJ_BAD_ARGUMENT && verdict == 99);
    check.key.ed25519 = table;
    check.generator.ed25519 = table;
    REQUIRE(rj_ed25519_verify_batch(&verdict, &one, 1, work, sizeof(work)) == RJ_BAD_ARGUMENT && verdict == 99);
    check.generator.ed25519 = generator;
    check.key.ed25519 = portable;
    if (rj_ed25519_lanes_usable()) {
        REQUIRE(strcmp(rj_ed25519_engine(table), "lanes") == 0);
        REQUIRE(rj_ed25519_verify_one(&verdict, &check) == RJ_BAD_ARGUMENT && verdict == 99);
    }
    rj_ed25519_table_free(table);
    rj_ed25519_table_free(generator);
    rj_ed25519_table_free(portable);
    rj_ed25519_table_free(NULL);
}

#endif
