/* batch.c: windows of tokens; see batch.h. */
#include "core/batch.h"

#include "text/base64url.h"
#include "text/compact.h"

enum {
    BATCH_WINDOW_COST_US = 2500,
    BATCH_UNKNOWN_COST_US = 250, /* a header to parse and a signature by libcrypto */
    BATCH_PRECOMPUTED_SPEEDUP = 8,
    BATCH_RSA_SPEEDUP = 4
};

static uint32_t batch_slot_cost_us(const rj_slot *slot)
{
    const rj_alg_info *info = rj_alg_lookup(slot->alg);
    uint64_t rsa_scale = 0;

    if (slot->precomputed != NULL) {
        return 1 + info->cost_us / BATCH_PRECOMPUTED_SPEEDUP;
    }
    if (slot->key == NULL || info->signature_bytes != 0) {
        return info->cost_us;
    }
    rsa_scale = slot->key->signature_bytes / 256u; /* of 2048 bits; the cost grows with the square */
    return (uint32_t)(info->cost_us * rsa_scale * rsa_scale / BATCH_RSA_SPEEDUP);
}

/* Split as many of the tokens that are left as fit the window, and find their keys. */
static void batch_split_and_find_keys(rj_batch_window *window, const rj_snapshot *snapshot, rj_workspace *work,
                                      const rj_span *tokens, size_t tokens_len)
{
    window->len = 0;
    window->cost_us = 0;
    window->groups = 0;
    work->arena_used = 0;
    while (window->len < tokens_len && window->len < RJ_BATCH_MAX && window->cost_us < BATCH_WINDOW_COST_US) {
        rj_token *token = &window->tokens[window->len];
        rj_span bytes = tokens[window->len];
        if (window->len != 0 && bytes.len <= snapshot->max_token_bytes
            && rj_base64url_decoded_bytes(bytes.len) > RJ_WORKSPACE_ARENA_BYTES - work->arena_used) {
            return; /* it fits the next window */
        }
        rj_token_split(token, snapshot, work, bytes.ptr, bytes.len);
        rj_token_find_key(token, snapshot, work, 0);
        if (token->slot != NULL) {
            token->group = rj_accelerated_group_of(token->slot, token->check.signature.len);
            window->groups |= 1u << token->group;
        }
        window->cost_us += token->slot == NULL ? 1 : batch_slot_cost_us(token->slot);
        window->len++;
    }
}

/* Put all tokens of one group through its accelerated path together. */
static void batch_verify_group(rj_token *window, size_t window_len, const rj_snapshot *snapshot, rj_workspace *work,
                               rj_accelerated_group group)
{
    rj_token *tokens[RJ_BATCH_MAX];
    size_t len = 0;

    for (size_t i = 0; i < window_len; i++) {
        if (window[i].status == RJ_UNDECIDED && window[i].group == (uint32_t)group) {
            tokens[len++] = &window[i];
        }
    }
    if (len < 2) {
        return; /* a single one takes the single path */
    }
    rj_accelerated_verify(work, group, tokens, len);
    for (size_t i = 0; i < len; i++) {
        rj_token *token = tokens[i];
        if (token->status == RJ_OK) { /* undecided ones go to libcrypto after */
            token->status = rj_verify_sample(snapshot->runtime, work, token);
        }
        rj_token_count_use(token, snapshot);
    }
}

void rj_batch_verify_signatures(rj_token *window, size_t window_len, uint32_t groups, const rj_snapshot *snapshot,
                                rj_workspace *work)
{
    if (snapshot->acceleration != 0 && rj_verify_trusts_accelerated(snapshot->runtime)) {
        for (uint32_t group = RJ_ACCELERATED_NONE + 1; group < RJ_ACCELERATED_COUNT; group++) {
            if ((groups >> group & 1u) != 0) {
                batch_verify_group(window, window_len, snapshot, work, (rj_accelerated_group)group);
            }
        }
    }
    for (size_t i = 0; i < window_len; i++) {
        rj_token_verify_signature(&window[i], snapshot, work);
    }
}

void rj_batch_verify(rj_batch_window *window, const rj_snapshot *snapshot, rj_workspace *work, const rj_span *tokens,
                     size_t tokens_len)
{
    batch_split_and_find_keys(window, snapshot, work, tokens, tokens_len);
    rj_batch_verify_signatures(window->tokens, window->len, window->groups, snapshot, work);
}

size_t rj_batch_run(rj_batch_window *window, const rj_snapshot *snapshot, rj_workspace *work, const rj_span *tokens,
                    size_t tokens_len, rj_time now)
{
    rj_batch_verify(window, snapshot, work, tokens, tokens_len);
    for (size_t i = 0; i < window->len; i++) {
        rj_token_check_claims(&window->tokens[i], snapshot, work, now);
    }
    return window->len;
}

uint64_t rj_batch_cost_us(const rj_snapshot *snapshot, const uint8_t *tokens, const uint32_t *lens, size_t tokens_len)
{
    uint64_t cost_us = 0;

    for (size_t i = 0; i < tokens_len; i++) {
        rj_span header = {NULL, 0};
        rj_span payload = {NULL, 0};
        rj_span signature = {NULL, 0};
        if (rj_compact_split(&header, &payload, &signature, tokens, lens[i], snapshot->max_token_bytes) == RJ_OK) {
            uint32_t slot = rj_headertable_find(snapshot->headers, header.ptr, header.len, NULL, 0);
            cost_us +=
                slot < snapshot->keys->len ? batch_slot_cost_us(&snapshot->keys->slots[slot]) : BATCH_UNKNOWN_COST_US;
        }
        tokens += lens[i];
    }
    return cost_us;
}
