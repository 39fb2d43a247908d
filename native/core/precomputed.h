/* precomputed.h: the precomputed table of a key that is seen again and again, whatever its algorithm.
 *
 * One interface over the arithmetic of fixedbase.h and ed25519.h. A table never decides against
 * libcrypto: what it cannot decide stays undecided. A key's table borrows its generator's; who builds them keeps both
 * alive.
 */
#ifndef RJ_PRECOMPUTED_H
#define RJ_PRECOMPUTED_H

#include "core/alg.h"
#include "ec/ed25519.h"
#include "ec/fixedbase.h"
#include "status.h"

/* rj-cdef-begin */
typedef struct rj_precomputed rj_precomputed;
enum { RJ_PRECOMPUTED_PORTABLE = 1 }; /* flag of a build: plain C arithmetic even where the CPU has vector lanes */
enum { RJ_PRECOMPUTED_SIZES = 3 };    /* sizes of a key's table: 0 the largest and fastest, 2 the smallest */
/* rj-cdef-end */

struct rj_precomputed {
    uint32_t alg;
    rj_curve curve;                  /* ECDSA */
    rj_fixedbase_size size;          /* ECDSA */
    const rj_precomputed *generator; /* NULL: this is one */
    rj_fixedbase *fixedbase;         /* ECDSA */
    rj_ed25519_table *ed25519;       /* Ed25519 */
};

/* Build the table of an algorithm's generator.
 * Returns RJ_OK, RJ_NOT_NATIVE (no such table here), RJ_NO_MEMORY, RJ_LIBCRYPTO_FAILED, RJ_BAD_ARGUMENT.
 * Out: *out, freed by rj_precomputed_free after every table that borrows it. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_precomputed_build_generator(rj_precomputed **out, uint32_t alg, uint32_t flags);
/* rj-cdef-end */

/* Build the table of a public key (first: as in rj_key_build) and check it against libcrypto.
 * In: size below RJ_PRECOMPUTED_SIZES; Ed25519 has one size, whatever is asked for.
 * Returns as rj_precomputed_build_generator, and RJ_KEY_MALFORMED. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_precomputed_build(rj_precomputed **out, const rj_precomputed *generator, uint32_t size,
                                             const uint8_t *first, size_t first_len, uint32_t flags);
/* rj-cdef-end */

/* Free a table; NULL is allowed. */
/* rj-cdef-begin */
void rj_precomputed_free(rj_precomputed *precomputed);
/* rj-cdef-end */

/* Returns the memory that one key's table of the algorithm and size takes, in bytes; 0 where there are no such. */
/* rj-cdef-begin */
size_t rj_precomputed_bytes(uint32_t alg, uint32_t size);
/* rj-cdef-end */

/* Returns 1 where a key's table could be larger, and faster. */
int rj_precomputed_may_grow(const rj_precomputed *precomputed);

/* Returns the algorithm of a table. */
uint32_t rj_precomputed_alg(const rj_precomputed *precomputed);

#endif
