/* runtime.h: what one process shares: its own libcrypto context and the pool of working memory.
 *
 * The library context is ours alone, so no configuration file, engine or FIPS switch of the host process
 * reaches the verification. A runtime is made once, at import, and never freed: threads may still verify
 * while the interpreter goes down.
 */
#ifndef RJ_RUNTIME_H
#define RJ_RUNTIME_H

#include <openssl/types.h>
#include <stdatomic.h>

#include "status.h"
#include "core/ticks.h"
#include "core/workspace.h"

enum {
    RJ_POOL_SLOTS = 64,
    RJ_CALLS_ALONE = 4096 /* calls of one thread, none of another between them, after which it verifies alone */
};

/* rj-cdef-begin */
typedef struct rj_runtime rj_runtime;
/* rj-cdef-end */

struct rj_runtime {
    OSSL_LIB_CTX *libctx;
    _Atomic(rj_workspace *) pool[RJ_POOL_SLOTS];
    atomic_uint acceleration_off; /* 1 once a accelerated answer differed from libcrypto's */
    atomic_ullong sampled;        /* accepted tokens verified a second time by libcrypto */
    atomic_ullong mismatches;     /* of these, the ones that libcrypto refused */
    atomic_ullong fallbacks;      /* signatures that an accelerated path left to libcrypto */
    atomic_uint sample_interval;  /* one acceptance of a accelerated path in so many is checked; 0: none */
    atomic_uintptr_t last_caller; /* the thread of the last call */
    atomic_uint calls_alone;      /* calls that it made since another's, up to RJ_CALLS_ALONE */
    uint64_t seed;                /* of the choice of samples */
    rj_ticks ticks;               /* the clock of durations */
};

/* Make the runtime of a process.
 * Returns RJ_OK, RJ_NO_MEMORY, RJ_LIBCRYPTO_FAILED (no default provider).
 * Out: *out, never freed. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_runtime_new(rj_runtime **out, uint32_t sample_interval, uint64_t seed);
/* rj-cdef-end */

/* What became of the accelerated paths in this process. */
/* rj-cdef-begin */
typedef struct {
    uint64_t sampled;    /* acceptances that libcrypto looked at again */
    uint64_t mismatches; /* of these, the ones it refused */
    uint64_t fallbacks;  /* signatures that an accelerated path left to libcrypto, or that came while all were off */
    uint32_t off;        /* 1: the accelerated paths are off since the first mismatch */
} rj_runtime_report;
void rj_runtime_read(rj_runtime_report *report, rj_runtime *runtime);
void rj_runtime_set_sampling(rj_runtime *runtime, uint32_t sample_interval);
/* rj-cdef-end */

/* Count a call of a thread, named by any number of its own.
 * Returns 1 where no other thread has called for RJ_CALLS_ALONE calls, else 0. */
/* rj-cdef-begin */
int rj_runtime_is_alone(rj_runtime *runtime, uintptr_t caller);
/* rj-cdef-end */

/* Take a workspace for this call; no other thread has it until it is put back.
 * Returns the area, or NULL where memory is out. Never waits. */
rj_workspace *rj_runtime_borrow_workspace(rj_runtime *runtime);

/* Put a workspace back. */
void rj_runtime_return_workspace(rj_runtime *runtime, rj_workspace *work);

#endif
