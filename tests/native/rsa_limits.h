/* rsa_limits.h: what rj_rsa_prepare refuses, and arguments that the verifiers refuse. */
#ifndef RSA_LIMITS_H
#define RSA_LIMITS_H

#include "checks.h"
#include "driver.h"
#include "rsa/rsa.h"

static rj_status prepare_status(size_t bytes, uint8_t top, uint8_t bottom, const uint8_t *e, size_t e_len)
{
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

static void limits(void)
{
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
    rj_signature_check check;
    const rj_signature_check *only = &check;
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
    check = check_rsa(key, RJ_SHA256, digest, (rj_span){signature, sizeof(signature)}, 0);
    rj_rsa_verify_batch(work, &verdict, &only, 1);
    REQUIRE(verdict == RJ_BAD_ARGUMENT);
    rj_rsa_verify_batch(work, &verdict, &only, 0);
    rj_rsa_work_free(work);
    rj_rsa_work_free(NULL);
    rj_rsa_free(key);
    rj_rsa_free(NULL);
}

#endif
