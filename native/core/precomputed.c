/* precomputed.c: see precomputed.h. */
#include "core/precomputed.h"

#include <stdlib.h>

_Static_assert((int)RJ_PRECOMPUTED_SIZES == (int)RJ_FIXEDBASE_SIZES, "one list of sizes");

static int precomputed_curve(rj_curve *out, uint32_t alg)
{
    switch (alg) {
    case RJ_ES256:
        *out = RJ_CURVE_P256;
        return 1;
    case RJ_ES384:
        *out = RJ_CURVE_P384;
        return 1;
    case RJ_ES512:
        *out = RJ_CURVE_P521;
        return 1;
    case RJ_ES256K:
        *out = RJ_CURVE_K256;
        return 1;
    default:
        return 0;
    }
}

static rj_status precomputed_build_ecdsa(rj_precomputed *precomputed, const uint8_t *first, size_t first_len,
                                         uint32_t flags)
{
    unsigned table_flags = (flags & RJ_PRECOMPUTED_PORTABLE) != 0 ? RJ_FIXEDBASE_PORTABLE : 0u;

    if (!RJ_HAVE_FIXEDBASE || !precomputed_curve(&precomputed->curve, precomputed->alg)) {
        return RJ_NOT_NATIVE;
    }
    return precomputed->generator == NULL
             ? rj_fixedbase_build_generator(&precomputed->fixedbase, precomputed->curve, table_flags)
             : rj_fixedbase_build(&precomputed->fixedbase, precomputed->curve, precomputed->size, first, first_len,
                                  table_flags);
}

static rj_status precomputed_build_ed25519(rj_precomputed *precomputed, const uint8_t *first, size_t first_len,
                                           uint32_t flags)
{
    unsigned table_flags = (flags & RJ_PRECOMPUTED_PORTABLE) != 0 ? RJ_ED25519_PORTABLE : 0u;

    if (!RJ_HAVE_ED25519) {
        return RJ_NOT_NATIVE;
    }
    if (precomputed->generator == NULL) {
        return rj_ed25519_table_build_generator(&precomputed->ed25519, table_flags);
    }
    if (first_len != RJ_ED25519_KEY_BYTES) {
        return RJ_KEY_MALFORMED; /* RFC 8037 s.2: 32 octets */
    }
    return rj_ed25519_table_build(&precomputed->ed25519, first, table_flags);
}

static rj_status precomputed_make(rj_precomputed **out, uint32_t alg, const rj_precomputed *generator,
                                  rj_fixedbase_size size, const uint8_t *first, size_t first_len, uint32_t flags)
{
    rj_status status = RJ_NO_MEMORY;
    rj_precomputed *precomputed = calloc(1, sizeof *precomputed);

    if (precomputed == NULL) {
        return RJ_NO_MEMORY;
    }
    precomputed->alg = alg;
    precomputed->generator = generator;
    precomputed->size = size;
    status = alg == RJ_ED25519 ? precomputed_build_ed25519(precomputed, first, first_len, flags)
                               : precomputed_build_ecdsa(precomputed, first, first_len, flags);
    if (status != RJ_OK) {
        free(precomputed);
        return status;
    }
    *out = precomputed;
    return RJ_OK;
}

rj_status rj_precomputed_build_generator(rj_precomputed **out, uint32_t alg, uint32_t flags)
{
    return precomputed_make(out, alg, NULL, RJ_FIXEDBASE_LARGE, NULL, 0, flags);
}

rj_status rj_precomputed_build(rj_precomputed **out, const rj_precomputed *generator, uint32_t size,
                               const uint8_t *first, size_t first_len, uint32_t flags)
{
    if (generator == NULL || generator->generator != NULL || size >= RJ_PRECOMPUTED_SIZES) {
        return RJ_BAD_ARGUMENT;
    }
    return precomputed_make(out, generator->alg, generator, (rj_fixedbase_size)size, first, first_len, flags);
}

void rj_precomputed_free(rj_precomputed *precomputed)
{
    if (precomputed == NULL) {
        return;
    }
    rj_fixedbase_free(precomputed->fixedbase);
    rj_ed25519_table_free(precomputed->ed25519);
    free(precomputed);
}

size_t rj_precomputed_bytes(uint32_t alg, uint32_t size)
{
    rj_curve curve = RJ_CURVE_P256;

    if (size >= RJ_PRECOMPUTED_SIZES) {
        return 0;
    }
    if (alg == RJ_ED25519) {
        return RJ_HAVE_ED25519 ? rj_ed25519_table_bytes() : 0;
    }
    return RJ_HAVE_FIXEDBASE && precomputed_curve(&curve, alg) ? rj_fixedbase_bytes(curve, (rj_fixedbase_size)size) : 0;
}

int rj_precomputed_may_grow(const rj_precomputed *precomputed)
{
    return precomputed->fixedbase != NULL && precomputed->size != RJ_FIXEDBASE_LARGE;
}

uint32_t rj_precomputed_alg(const rj_precomputed *precomputed) { return precomputed->alg; }
