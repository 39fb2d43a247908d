/* snapshot.h: everything a verification reads, as it stood at one moment.
 *
 * A call takes one snapshot and keeps it to its end; a change of keys or policy makes a new one. All parts are
 * borrowed: the Python object that made the snapshot keeps them alive.
 */
#ifndef RJ_SNAPSHOT_H
#define RJ_SNAPSHOT_H

#include "text/claims.h"
#include "core/headertable.h"
#include "core/keytable.h"

/* rj-cdef-begin */
typedef struct {
    rj_runtime *runtime;
    const rj_keytable *keys;
    rj_headertable *headers;
    const rj_claims_policy *policies; /* one an issuer; NULL: payloads are opaque, claims are not looked at */
    uint32_t policies_len;
    uint32_t max_token_bytes;
    uint32_t max_json_depth;
    uint32_t max_json_members;
    uint32_t precompute_threshold; /* acceptances after which a key has table_due a precomputed table; 0: never */
    uint32_t acceleration;         /* 0: libcrypto decides every signature */
} rj_snapshot;
/* rj-cdef-end */

#endif
