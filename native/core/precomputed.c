/* precomputed.c: see precomputed.h. */
#include "core/precomputed.h"

#include <stdlib.h>

enum { PRECOMPUTED_MAX_ITEMS = 64 };

struct rj_precomputed {
    uint32_t alg;
    const rj_precomputed *generator; /* NULL: this is one */
    rj_fixedbase *fixedbase;         /* ECDSA */
    rj_ed25519_table *ed25519;       /* Ed25519 */
};

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
    rj_curve curve = RJ_CURVE_P256;

    if (!RJ_HAVE_FIXEDBASE || !precomputed_curve(&curve, precomputed->alg)) {
        return RJ_NOT_NATIVE;
    }
    return precomputed->generator == NULL
             ? rj_fixedbase_build_generator(&precomputed->fixedbase, curve, table_flags)
             : rj_fixedbase_build(&precomputed->fixedbase, curve, first, first_len, table_flags);
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
                                  const uint8_t *first, size_t first_len, uint32_t flags)
{
    rj_status status = RJ_NO_MEMORY;
    rj_precomputed *precomputed = calloc(1, sizeof *precomputed);

    if (precomputed == NULL) {
        return RJ_NO_MEMORY;
    }
    precomputed->alg = alg;
    precomputed->generator = generator;
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
    return precomputed_make(out, alg, NULL, NULL, 0, flags);
}

rj_status rj_precomputed_build(rj_precomputed **out, const rj_precomputed *generator, const uint8_t *first,
                               size_t first_len, uint32_t flags)
{
    if (generator == NULL || generator->generator != NULL) {
        return RJ_BAD_ARGUMENT;
    }
    return precomputed_make(out, generator->alg, generator, first, first_len, flags);
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

size_t rj_precomputed_bytes(uint32_t alg)
{
    rj_curve curve = RJ_CURVE_P256;

    if (alg == RJ_ED25519) {
        return RJ_HAVE_ED25519 ? rj_ed25519_table_bytes() : 0;
    }
    return RJ_HAVE_FIXEDBASE && precomputed_curve(&curve, alg) ? rj_fixedbase_bytes(curve) : 0;
}

uint32_t rj_precomputed_alg(const rj_precomputed *precomputed) { return precomputed->alg; }

static rj_status precomputed_verify_ecdsa(rj_workspace *work, rj_precomputed_item *items, size_t items_len)
{
    const rj_alg_info *info = rj_alg_lookup(items[0].precomputed->alg);
    uint8_t digests[PRECOMPUTED_MAX_ITEMS][RJ_DIGEST_MAX_BYTES];
    uint8_t verdicts[PRECOMPUTED_MAX_ITEMS] = {0};
    rj_fixedbase_item ecdsa[PRECOMPUTED_MAX_ITEMS];
    rj_curve curve = RJ_CURVE_P256;
    rj_status status = RJ_OK;
    size_t work_bytes = 0;
    void *scratch = NULL;

    if (!precomputed_curve(&curve, items[0].precomputed->alg)) {
        return RJ_BAD_ARGUMENT;
    }
    for (size_t i = 0; i < items_len && status == RJ_OK; i++) {
        rj_span input = items[i].input;
        status = rj_digest(digests[i], sizeof digests[i], info->digest, input.ptr, input.len);
        ecdsa[i] = (rj_fixedbase_item){.generator = items[i].precomputed->generator->fixedbase,
                                       .key = items[i].precomputed->fixedbase,
                                       .digest = digests[i],
                                       .digest_len = rj_digest_bytes(info->digest),
                                       .rs = items[i].signature.ptr};
    }
    if (status != RJ_OK) {
        return status;
    }
    if (items_len == 1) {
        status = rj_fixedbase_verify_one(&verdicts[0], &ecdsa[0]);
    } else {
        work_bytes = rj_fixedbase_work_bytes(curve, items_len);
        scratch = rj_workspace_scratch(work, work_bytes);
        if (scratch == NULL) {
            return RJ_NO_MEMORY;
        }
        status = rj_fixedbase_verify_batch(verdicts, ecdsa, items_len, scratch, work_bytes);
    }
    for (size_t i = 0; i < items_len && status == RJ_OK; i++) {
        items[i].status = (rj_status)verdicts[i];
    }
    return status;
}

static rj_status precomputed_verify_ed25519(rj_workspace *work, rj_precomputed_item *items, size_t items_len)
{
    uint8_t verdicts[PRECOMPUTED_MAX_ITEMS] = {0};
    rj_ed25519_item signatures[PRECOMPUTED_MAX_ITEMS];
    rj_status status = RJ_OK;

    for (size_t i = 0; i < items_len; i++) {
        signatures[i] = (rj_ed25519_item){.generator = items[i].precomputed->generator->ed25519,
                                          .key = items[i].precomputed->ed25519,
                                          .message = items[i].input.ptr,
                                          .message_len = items[i].input.len,
                                          .signature64 = items[i].signature.ptr};
    }
    if (items_len == 1) {
        status = rj_ed25519_verify_one(&verdicts[0], &signatures[0]);
    } else {
        size_t work_bytes = rj_ed25519_work_bytes(items_len);
        void *scratch = rj_workspace_scratch(work, work_bytes);
        if (scratch == NULL) {
            return RJ_NO_MEMORY;
        }
        status = rj_ed25519_verify_batch(verdicts, signatures, items_len, scratch, work_bytes);
    }
    for (size_t i = 0; i < items_len && status == RJ_OK; i++) {
        items[i].status = (rj_status)verdicts[i];
    }
    return status;
}

void rj_precomputed_verify(rj_workspace *work, rj_precomputed_item *items, size_t items_len)
{
    rj_status status = RJ_UNDECIDED;

    for (size_t i = 0; i < items_len; i++) {
        items[i].status = RJ_UNDECIDED;
    }
    if (items_len == 0 || items_len > PRECOMPUTED_MAX_ITEMS) {
        return;
    }
    status = items[0].precomputed->alg == RJ_ED25519 ? precomputed_verify_ed25519(work, items, items_len)
                                                     : precomputed_verify_ecdsa(work, items, items_len);
    if (status != RJ_OK) {
        for (size_t i = 0; i < items_len; i++) {
            items[i].status = RJ_UNDECIDED;
        }
    }
}
