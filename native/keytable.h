/* keytable.h: the immutable table of slots; a slot is one key serving one algorithm for one issuer.
 *
 * Built once, read by all threads without a lock, freed once when the last reader has let go (Python's
 * reference count sees to that). Keys and hot tables are borrowed: who builds the table keeps them alive.
 */
#ifndef RJ_KEYTABLE_H
#define RJ_KEYTABLE_H

#include "hot.h"
#include "key.h"

/* rj-cdef-begin */
typedef struct {
    const rj_key *key; /* NULL: the algorithm is not native, the caller verifies elsewhere */
    const rj_hot *hot; /* the key's precomputed table, or NULL */
    uint32_t alg;
    uint32_t issuer;   /* which claims policy applies */
} rj_slot;

typedef struct rj_keytable rj_keytable;
/* rj-cdef-end */

struct rj_keytable {
    size_t len;
    atomic_uint *heat; /* acceptances a slot, counted for keys that could have a hot table; wraps */
    rj_slot slots[];
};

/* Build a table from an array of slots, which is copied.
 * Returns RJ_OK; RJ_BAD_ARGUMENT where a key cannot serve its slot's algorithm or there are too many slots;
 * RJ_NO_MEMORY. Out: *out, freed by rj_keytable_free. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_keytable_new(rj_keytable **out, const rj_slot *slots, size_t slots_len);
/* rj-cdef-end */

/* Count an acceptance by a slot. Returns 1 where this was the threshold's one, so once a table and slot. */
int rj_keytable_warm(const rj_keytable *table, uint32_t slot, uint32_t threshold);

/* Returns how often a slot accepted since the table was built, modulo 2^32; 0 for no such slot. */
/* rj-cdef-begin */
uint32_t rj_keytable_heat(const rj_keytable *table, uint32_t slot);
/* rj-cdef-end */

/* Free a table; NULL is allowed. The keys stay. */
/* rj-cdef-begin */
void rj_keytable_free(rj_keytable *table);
/* rj-cdef-end */

#endif
