/* hot.h: the precomputed table of a key that is seen again and again, whatever its algorithm.
 *
 * One face over the rooms that know the arithmetic (fixedbase.h, ed25519.h). A table never decides against
 * libcrypto: what it cannot decide it hands back. A key's table borrows its generator's; who builds them keeps both
 * alive.
 */
#ifndef RJ_HOT_H
#define RJ_HOT_H

#include "core/alg.h"
#include "ec/ed25519.h"
#include "ec/fixedbase.h"
#include "span.h"
#include "core/work.h"

/* rj-cdef-begin */
typedef struct rj_hot rj_hot;
enum { RJ_HOT_PORTABLE = 1 }; /* flag of a build: plain C arithmetic even where the CPU has vector lanes */
/* rj-cdef-end */

/* One signature for a hot table. */
typedef struct {
    const rj_hot *hot;
    rj_span input;     /* the JWS Signing Input */
    rj_span signature; /* of the algorithm's exact length */
    rj_status status;  /* out: RJ_OK, RJ_SIGNATURE_INVALID, or RJ_UNDECIDED: ask libcrypto */
} rj_hot_item;

/* Build the table of an algorithm's generator.
 * Returns RJ_OK, RJ_NOT_NATIVE (no such table here), RJ_NO_MEMORY, RJ_LIBCRYPTO_FAILED, RJ_BAD_ARGUMENT.
 * Out: *out, freed by rj_hot_free after every table that borrows it. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_hot_build_generator(rj_hot **out, uint32_t alg, uint32_t flags);
/* rj-cdef-end */

/* Build the table of a public key (first: as in rj_key_build) and check it against libcrypto.
 * Returns as rj_hot_build_generator, and RJ_KEY_MALFORMED. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_hot_build(rj_hot **out, const rj_hot *generator, const uint8_t *first, size_t first_len,
                                     uint32_t flags);
/* rj-cdef-end */

/* Free a table; NULL is allowed. */
/* rj-cdef-begin */
void rj_hot_free(rj_hot *hot);
/* rj-cdef-end */

/* Returns the memory that one key's table of the algorithm takes, in bytes; 0 where there are no tables. */
/* rj-cdef-begin */
size_t rj_hot_bytes(uint32_t alg);
/* rj-cdef-end */

/* Verify up to 64 signatures by tables of one algorithm.
 * In/out: items; every status is written. Returns nothing: what could not be done is RJ_UNDECIDED. */
void rj_hot_verify(rj_work *work, rj_hot_item *items, size_t items_len);

/* Returns the algorithm of a table. */
uint32_t rj_hot_alg(const rj_hot *hot);

#endif
