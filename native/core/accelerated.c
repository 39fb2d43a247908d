/* accelerated.c: see accelerated.h. */
#include "core/accelerated.h"

static rj_accelerated_group accelerated_precomputed_group(uint32_t alg)
{
    switch (alg) {
    case RJ_ES256:
        return RJ_ACCELERATED_P256;
    case RJ_ES384:
        return RJ_ACCELERATED_P384;
    case RJ_ES512:
        return RJ_ACCELERATED_P521;
    case RJ_ES256K:
        return RJ_ACCELERATED_K256;
    case RJ_ED25519:
        return RJ_ACCELERATED_ED25519;
    default:
        return RJ_ACCELERATED_NONE;
    }
}

rj_accelerated_group rj_accelerated_group_of(const rj_slot *slot, size_t signature_len)
{
    if (slot->key == NULL || signature_len != slot->key->signature_bytes) {
        return RJ_ACCELERATED_NONE;
    }
    if (slot->key->rsa != NULL) {
        return RJ_ACCELERATED_RSA;
    }
    return slot->precomputed != NULL ? accelerated_precomputed_group(slot->alg) : RJ_ACCELERATED_NONE;
}

static void accelerated_verify_rsa(rj_workspace *work, rj_accelerated_item *items, size_t items_len)
{
    uint8_t digests[RJ_ACCELERATED_MAX_ITEMS][RJ_DIGEST_MAX_BYTES];
    uint8_t verdicts[RJ_ACCELERATED_MAX_ITEMS] = {0};
    rj_rsa_item rsa[RJ_ACCELERATED_MAX_ITEMS];
    rj_rsa_work *rsa_work = rj_workspace_rsa(work);

    if (rsa_work == NULL) {
        return;
    }
    for (size_t i = 0; i < items_len; i++) {
        const rj_alg_info *info = rj_alg_lookup(items[i].slot->alg);
        rj_span input = items[i].input;
        if (rj_digest(digests[i], sizeof digests[i], info->digest, input.ptr, input.len) != RJ_OK) {
            return;
        }
        rsa[i] = (rj_rsa_item){.key = items[i].slot->key->rsa,
                               .digest = digests[i],
                               .signature = items[i].signature.ptr,
                               .signature_len = items[i].signature.len,
                               .digest_id = info->digest,
                               .padding = info->family == RJ_FAMILY_RSA_PSS ? RJ_RSA_PSS : RJ_RSA_PKCS1};
    }
    rj_rsa_verify_batch(rsa_work, verdicts, rsa, items_len);
    for (size_t i = 0; i < items_len; i++) {
        if (verdicts[i] == RJ_OK || verdicts[i] == RJ_SIGNATURE_INVALID) {
            items[i].status = (rj_status)verdicts[i];
        }
    }
}

static void accelerated_verify_precomputed(rj_workspace *work, rj_accelerated_item *items, size_t items_len)
{
    rj_precomputed_item precomputed[RJ_ACCELERATED_MAX_ITEMS];

    for (size_t i = 0; i < items_len; i++) {
        precomputed[i] = (rj_precomputed_item){.precomputed = items[i].slot->precomputed,
                                               .input = items[i].input,
                                               .signature = items[i].signature,
                                               .status = RJ_UNDECIDED};
    }
    rj_precomputed_verify(work, precomputed, items_len);
    for (size_t i = 0; i < items_len; i++) {
        items[i].status = precomputed[i].status;
    }
}

void rj_accelerated_verify(rj_workspace *work, rj_accelerated_group group, rj_accelerated_item *items, size_t items_len)
{
    for (size_t i = 0; i < items_len; i++) {
        items[i].status = RJ_UNDECIDED;
    }
    if (items_len == 0 || items_len > RJ_ACCELERATED_MAX_ITEMS || group == RJ_ACCELERATED_NONE) {
        return;
    }
    if (group == RJ_ACCELERATED_RSA) {
        accelerated_verify_rsa(work, items, items_len);
    } else {
        accelerated_verify_precomputed(work, items, items_len);
    }
}
