/* headertable.h: which slot serves these exact header bytes? (lock-free reads, insert only, bounded)
 *
 * An entry says: a token with these protected-header bytes was verified by this slot. It is made only after
 * a good signature, so unverified tokens cannot fill the table; it is never changed or removed, and goes when the
 * table goes. Keys are opaque bytes: a header, or a header followed by an issuer where the header alone does
 * not decide.
 */
#ifndef RJ_HEADERTABLE_H
#define RJ_HEADERTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* rj-cdef-begin */
#define RJ_SLOT_NONE 0xffffffff      /* not in the table */
#define RJ_SLOT_BY_ISSUER 0xfffffffe /* several issuers use this header: look it up with the issuer */
typedef struct rj_headertable rj_headertable;
/* rj-cdef-end */

/* Make an empty table.
 * Returns RJ_OK, RJ_NO_MEMORY, RJ_BAD_ARGUMENT (no entries, or over 2^26).
 * Out: *out, freed by rj_headertable_free. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_headertable_new(rj_headertable **out, size_t max_entries, uint64_t seed);
/* rj-cdef-end */

/* Free a table that nobody reads any more; NULL is allowed. */
/* rj-cdef-begin */
void rj_headertable_free(rj_headertable *table);
/* rj-cdef-end */

/* Look up the slot of a header, or of a header and an issuer (issuer_len 0: without).
 * Returns a slot number, RJ_SLOT_BY_ISSUER or RJ_SLOT_NONE. Never waits, never allocates. */
uint32_t rj_headertable_find(const rj_headertable *table, const uint8_t *header, size_t header_len,
                             const uint8_t *issuer, size_t issuer_len);

/* Returns the hash of a header alone, for any table with the same seed. */
uint64_t rj_headertable_hash(const rj_headertable *table, const uint8_t *header, size_t header_len);

/* Look up as rj_headertable_find, where the hash of the header alone is known. */
uint32_t rj_headertable_find_hashed(const rj_headertable *table, uint64_t header_hash, const uint8_t *header,
                                    size_t header_len, const uint8_t *issuer, size_t issuer_len);

/* Remember a header after a good signature; does nothing where the table is full, memory is out or the
 * header is known. Safe against concurrent finds and inserts. */
void rj_headertable_insert(rj_headertable *table, const uint8_t *header, size_t header_len, const uint8_t *issuer,
                           size_t issuer_len, uint32_t slot);

/* Take over the headers of another table whose slots stay, under the numbers that these have now. In a table that
 * nobody else writes yet; the other one may be in use.
 * Returns how many there are.
 * In: with_issuer, alone: slot of before -> slot of now, or RJ_SLOT_NONE where headers of it are forgotten; alone for
 * headers that are known without an issuer. */
/* rj-cdef-begin */
size_t rj_headertable_carry(rj_headertable *table, const rj_headertable *before, const uint32_t *with_issuer,
                            const uint32_t *alone, size_t slots_len);
/* rj-cdef-end */

#endif
