/* checks.h: signature checks for the drivers, filled in as core/accelerated.c does. */
#ifndef CHECKS_H
#define CHECKS_H

#include "driver.h"
#include "hash/digest.h"
#include "signature_check.h"

/* Returns the pointers to these checks, exactly as many, so that sanitizers see one too many; freed by the caller. */
static inline const rj_signature_check **check_pointers(const rj_signature_check *checks, size_t n)
{
    const rj_signature_check **pointers = malloc(n * sizeof *pointers + (n == 0));

    REQUIRE(pointers != NULL);
    for (size_t i = 0; i < n; i++) {
        pointers[i] = &checks[i];
    }
    return pointers;
}

static inline rj_signature_check check_ecdsa(const struct rj_fixedbase *generator, const struct rj_fixedbase *key,
                                             rj_span digest, const uint8_t *rs, size_t rs_len)
{
    return (rj_signature_check){
        .generator = {.fixedbase = generator}, .key = {.fixedbase = key}, .digest = digest, .signature = {rs, rs_len}};
}

static inline rj_signature_check check_ed25519(const struct rj_ed25519_table *generator,
                                               const struct rj_ed25519_table *key, rj_span message,
                                               const uint8_t *signature64)
{
    return (rj_signature_check){
        .generator = {.ed25519 = generator}, .key = {.ed25519 = key}, .input = message, .signature = {signature64, 64}};
}

static inline rj_signature_check check_rsa(const struct rj_rsa_key *key, rj_digest_id id, const uint8_t *digest,
                                           rj_span signature, uint32_t padding)
{
    return (rj_signature_check){.key = {.rsa = key},
                                .digest = {digest, rj_digest_bytes(id)},
                                .signature = signature,
                                .digest_id = (uint32_t)id,
                                .padding = padding};
}

#endif
