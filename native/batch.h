/* batch.h: many compact tokens against one snapshot in one crossing.
 *
 * Works in windows that fit the work area and a stated amount of work, so that the caller's timeouts and
 * Ctrl-C stay responsive. Tokens are independent: a bad one never touches its neighbours' verdicts.
 */
#ifndef RJ_BATCH_H
#define RJ_BATCH_H

#include "token.h"

enum { RJ_BATCH_WINDOW = 64 };

/* Decide the signatures of up to RJ_BATCH_WINDOW located tokens, groups of one kind together.
 * In/out: every status that is RJ_UNDECIDED, and earned. In: groups has the bit of each group that occurs. */
void rj_batch_decide(rj_token *window, size_t window_len, uint32_t groups, const rj_snapshot *snapshot,
                     rj_work *work);

/* Verify tokens that lie one behind the other without a separator.
 * Returns how many were decided, from the first on: at least one where tokens_len is not zero, all unless
 * about budget_us microseconds of work were used up before.
 * Out: verdicts[0 .. returned), see token.h. In: lens[i] bytes each, tokens_len of them. */
/* rj-cdef-begin */
size_t rj_batch_verify(const rj_snapshot *snapshot, uint64_t *verdicts, const uint8_t *tokens,
                       const uint32_t *lens, size_t tokens_len, int64_t now_s, uint32_t budget_us);
/* rj-cdef-end */

/* Returns about how many microseconds rj_batch_verify would take for these tokens. A token whose header is not
 * known counts as one that must be looked at in full. Reads no more of a token than its header. */
/* rj-cdef-begin */
uint64_t rj_batch_cost_us(const rj_snapshot *snapshot, const uint8_t *tokens, const uint32_t *lens,
                          size_t tokens_len);
/* rj-cdef-end */

#endif
