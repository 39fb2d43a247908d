/* fast.h: the paths that beat libcrypto's ordinary one, behind one face (prepared RSA keys, hot tables).
 *
 * A fast path answers for itself only: what it cannot decide stays RJ_UNDECIDED and goes to libcrypto. A group
 * is a run of signatures that one path takes together.
 */
#ifndef RJ_FAST_H
#define RJ_FAST_H

#include "core/keytable.h"
#include "span.h"

enum { RJ_FAST_MAX_ITEMS = 64 };

/* Which signatures may go together: zero goes nowhere, else equal numbers do. */
typedef enum {
    RJ_FAST_NONE = 0,
    RJ_FAST_RSA = 1,
    RJ_FAST_P256 = 2,
    RJ_FAST_P384 = 3,
    RJ_FAST_P521 = 4,
    RJ_FAST_K256 = 5,
    RJ_FAST_ED25519 = 6,
    RJ_FAST_COUNT = 7
} rj_fast_group;

typedef struct {
    const rj_slot *slot;
    rj_span input;     /* the JWS Signing Input */
    rj_span signature; /* decoded, of any length */
    rj_status status;  /* out: RJ_OK, RJ_SIGNATURE_INVALID, or RJ_UNDECIDED: ask libcrypto */
} rj_fast_item;

/* Returns the group of a signature by this slot, RJ_FAST_NONE where only libcrypto can tell. */
rj_fast_group rj_fast_group_of(const rj_slot *slot, size_t signature_len);

/* Verify up to RJ_FAST_MAX_ITEMS signatures of one group.
 * In/out: items; every status is written. */
void rj_fast_verify(rj_work *work, rj_fast_group group, rj_fast_item *items, size_t items_len);

#endif
