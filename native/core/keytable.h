/* keytable.h: the immutable table of slots; a slot is one key serving one algorithm for one issuer.
 *
 * Built once, read by all threads without a lock, freed once when the last reader has let go (Python's
 * reference count sees to that). Keys and precomputed tables are borrowed: who builds the table keeps them alive.
 */
#ifndef RJ_KEYTABLE_H
#define RJ_KEYTABLE_H

#include "core/precomputed.h"
#include "core/key.h"

/* rj-cdef-begin */
typedef struct {
    const rj_key *key;                 /* NULL: the algorithm is not native, the caller verifies elsewhere */
    const rj_precomputed *precomputed; /* the key's precomputed table, or NULL */
    uint32_t alg;
    uint32_t issuer; /* which claims policy applies */
} rj_slot;

typedef struct rj_keytable rj_keytable;
/* rj-cdef-end */

/* Acceptances a slot, counted for keys that could have a precomputed table; they wrap. */
typedef struct {
    atomic_size_t owners; /* tables of the same slots count together */
    atomic_uint counts[];
} rj_keytable_use;

struct rj_keytable {
    size_t len;
    rj_keytable_use *use;
    rj_slot slots[];
};

/* Build a table from an array of slots, which is copied.
 * Returns RJ_OK; RJ_BAD_ARGUMENT where a key cannot serve its slot's algorithm or there are too many slots;
 * RJ_NO_MEMORY. Out: *out, freed by rj_keytable_free. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_keytable_new(rj_keytable **out, const rj_slot *slots, size_t slots_len);
/* rj-cdef-end */

/* Count use together with another table of the same slots from now on; before anybody reads this one.
 * Returns RJ_OK, or RJ_BAD_ARGUMENT where there are more or fewer slots. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_keytable_share_use(rj_keytable *table, const rj_keytable *before);
/* rj-cdef-end */

/* Count an acceptance by a slot. In: threshold is not 0.
 * Returns 1 where the count is now the threshold, twice the threshold, four times and so on. */
int rj_keytable_count_use(const rj_keytable *table, uint32_t slot, uint32_t threshold);

/* Read how often slots accepted, modulo 2^32; 0 for no such slot.
 * Out: counts[0 .. slots_len). */
/* rj-cdef-begin */
void rj_keytable_read_use(const rj_keytable *table, uint32_t *counts, const uint32_t *slots, size_t slots_len);
/* rj-cdef-end */

/* Halve every count, so that later use weighs more than earlier. */
/* rj-cdef-begin */
void rj_keytable_age(rj_keytable *table);
/* rj-cdef-end */

/* Free a table; NULL is allowed. The keys stay. */
/* rj-cdef-begin */
void rj_keytable_free(rj_keytable *table);
/* rj-cdef-end */

#endif
