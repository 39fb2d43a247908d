/* batch.h: many compact tokens against one snapshot in one crossing.
 *
 * Works in windows that fit the workspace and a stated amount of work, so that the caller's timeouts and
 * Ctrl-C stay responsive. Tokens are independent: a bad one never touches its neighbours' verdicts.
 */
#ifndef RJ_BATCH_H
#define RJ_BATCH_H

#include "core/token.h"
#include "batch_max.h"

/* Verify the signatures of up to RJ_BATCH_MAX tokens whose keys are found, groups of one kind together.
 * In/out: every status that is RJ_UNDECIDED, and table_due. In: groups has the bit of each group that occurs. */
void rj_batch_verify_signatures(rj_token *window, size_t window_len, uint32_t groups, const rj_snapshot *snapshot,
                                rj_workspace *work);

/* A run of tokens that are verified together. */
typedef struct {
    rj_token tokens[RJ_BATCH_MAX];
    size_t len;
    uint32_t cost_us; /* about what they cost */
    uint32_t groups;  /* a bit for each rj_accelerated_group that occurs */
} rj_batch_window;

/* Verify the signatures of as many tokens, from the first on, as fit one window; claims are yet to be checked.
 * Out: window->tokens[0 .. window->len), as rj_batch_run; at least one where tokens_len is not zero. */
void rj_batch_verify(rj_batch_window *window, const rj_snapshot *snapshot, rj_workspace *work, const rj_span *tokens,
                     size_t tokens_len);

/* Verify as many tokens, from the first on, as fit one window: at most RJ_BATCH_MAX, the workspace, and a few
 * milliseconds of work.
 * Returns how many were decided: at least one where tokens_len is not zero.
 * Out: window->tokens[0 .. returned); their spans are good until the workspace is used again. */
size_t rj_batch_run(rj_batch_window *window, const rj_snapshot *snapshot, rj_workspace *work, const rj_span *tokens,
                    size_t tokens_len, rj_time now);

/* Returns about how many microseconds a batch would take for these tokens. A token whose header is not
 * known counts as one that must be looked at in full. Reads no more of a token than its header. */
/* rj-cdef-begin */
uint64_t rj_batch_cost_us(const rj_snapshot *snapshot, const uint8_t *tokens, const uint32_t *lens, size_t tokens_len);
/* rj-cdef-end */

#endif
