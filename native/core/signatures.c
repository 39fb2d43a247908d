/* signatures.c: see signatures.h; windows that fit the workspace, verified by batch.c. */
#include "core/signatures.h"

#include "text/base64url.h"

/* Decode one signature into the window; returns 0 where it does not fit the arena. */
static int signatures_decode(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *octets,
                             const uint32_t lens[2], uint32_t slot_index)
{
    size_t capacity = rj_base64url_decoded_bytes(lens[1]);
    uint8_t *bytes = NULL;
    size_t len = 0;

    *token = (rj_token){.check = {.input = {octets, lens[0]}}, .slot_index = slot_index, .status = RJ_BAD_ARGUMENT};
    if (slot_index >= snapshot->keys->len) {
        return 1; /* a caller's mistake: no such slot */
    }
    bytes = rj_workspace_alloc(work, capacity);
    if (bytes == NULL) {
        token->status = RJ_TOO_LARGE;
        return 0;
    }
    token->status = rj_base64url_decode(bytes, &len, capacity, octets + lens[0], lens[1]);
    if (token->status == RJ_OK) {
        token->check.signature = (rj_span){bytes, len};
        token->slot = &snapshot->keys->slots[slot_index];
        token->group = rj_accelerated_group_of(token->slot, len);
        token->status = RJ_UNDECIDED;
    }
    return 1;
}

void rj_signatures_verify(const rj_snapshot *snapshot, uint64_t *verdicts, const uint8_t *octets, const uint32_t *lens,
                          const uint32_t *slots, size_t count)
{
    rj_workspace *work = rj_runtime_borrow_workspace(snapshot->runtime);
    rj_token window[RJ_BATCH_MAX];
    size_t done = 0;

    for (size_t i = 0; i < count && work == NULL; i++) {
        verdicts[i] = RJ_NO_MEMORY;
    }
    while (done < count && work != NULL) {
        uint32_t groups = 0;
        size_t len = 0;
        work->arena_used = 0;
        while (len < RJ_BATCH_MAX && done + len < count) {
            const uint32_t *sizes = lens + 2 * (done + len);
            if (!signatures_decode(&window[len], snapshot, work, octets, sizes, slots[done + len]) && len != 0) {
                break; /* it fits the next window; one that fits in none stays refused */
            }
            groups |= 1u << window[len].group;
            octets += (size_t)sizes[0] + sizes[1];
            len++;
        }
        rj_batch_verify_signatures(window, len, groups, snapshot, work);
        for (size_t i = 0; i < len; i++) {
            verdicts[done + i] = rj_token_result(&window[i]);
        }
        done += len;
    }
    if (work != NULL) {
        rj_runtime_return_workspace(snapshot->runtime, work);
    }
}
