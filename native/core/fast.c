/* fast.c: see fast.h. */
#include "core/fast.h"

static rj_fast_group fast_hot_group(uint32_t alg)
{
    switch (alg) {
    case RJ_ES256:
        return RJ_FAST_P256;
    case RJ_ES384:
        return RJ_FAST_P384;
    case RJ_ES512:
        return RJ_FAST_P521;
    case RJ_ES256K:
        return RJ_FAST_K256;
    case RJ_ED25519:
        return RJ_FAST_ED25519;
    default:
        return RJ_FAST_NONE;
    }
}

rj_fast_group rj_fast_group_of(const rj_slot *slot, size_t signature_len)
{
    if (slot->key == NULL || signature_len != slot->key->signature_bytes) {
        return RJ_FAST_NONE;
    }
    if (slot->key->rsa != NULL) {
        return RJ_FAST_RSA;
    }
    return slot->hot != NULL ? fast_hot_group(slot->alg) : RJ_FAST_NONE;
}

static void fast_verify_rsa(rj_work *work, rj_fast_item *items, size_t items_len)
{
    uint8_t digests[RJ_FAST_MAX_ITEMS][RJ_DIGEST_MAX_BYTES];
    uint8_t verdicts[RJ_FAST_MAX_ITEMS] = {0};
    rj_rsa_item rsa[RJ_FAST_MAX_ITEMS];
    rj_rsa_work *rsa_work = rj_work_rsa(work);

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

static void fast_verify_hot(rj_work *work, rj_fast_item *items, size_t items_len)
{
    rj_hot_item hot[RJ_FAST_MAX_ITEMS];

    for (size_t i = 0; i < items_len; i++) {
        hot[i] = (rj_hot_item){.hot = items[i].slot->hot,
                               .input = items[i].input,
                               .signature = items[i].signature,
                               .status = RJ_UNDECIDED};
    }
    rj_hot_verify(work, hot, items_len);
    for (size_t i = 0; i < items_len; i++) {
        items[i].status = hot[i].status;
    }
}

void rj_fast_verify(rj_work *work, rj_fast_group group, rj_fast_item *items, size_t items_len)
{
    for (size_t i = 0; i < items_len; i++) {
        items[i].status = RJ_UNDECIDED;
    }
    if (items_len == 0 || items_len > RJ_FAST_MAX_ITEMS || group == RJ_FAST_NONE) {
        return;
    }
    if (group == RJ_FAST_RSA) {
        fast_verify_rsa(work, items, items_len);
    } else {
        fast_verify_hot(work, items, items_len);
    }
}
