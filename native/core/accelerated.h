/* accelerated.h: the accelerated paths behind one interface: prepared RSA keys and precomputed tables.
 *
 * An accelerated path answers for itself only: what it cannot decide stays RJ_UNDECIDED and goes to libcrypto. A group
 * is a run of signatures that one path takes together.
 */
#ifndef RJ_ACCELERATED_H
#define RJ_ACCELERATED_H

#include "core/token_item.h"

/* Which signatures may go together: zero goes nowhere, else equal numbers do. */
typedef enum {
    RJ_ACCELERATED_NONE = 0,
    RJ_ACCELERATED_RSA = 1,
    RJ_ACCELERATED_ED25519 = 2,
    RJ_ACCELERATED_ECDSA = 3, /* and from here on one for each curve and size of table */
    RJ_ACCELERATED_COUNT = RJ_ACCELERATED_ECDSA + (int)RJ_CURVE_COUNT * (int)RJ_FIXEDBASE_SIZES
} rj_accelerated_group;

/* Returns the group of a signature by this slot, RJ_ACCELERATED_NONE where only libcrypto can tell. */
rj_accelerated_group rj_accelerated_group_of(const rj_slot *slot, size_t signature_len);

/* Verify up to RJ_BATCH_MAX signatures of one group.
 * In/out: tokens; every status is written: RJ_OK, RJ_SIGNATURE_INVALID, or RJ_UNDECIDED: ask libcrypto. */
void rj_accelerated_verify(rj_workspace *work, rj_accelerated_group group, rj_token *const *tokens, size_t tokens_len);

#endif
