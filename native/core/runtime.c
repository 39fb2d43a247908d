/* runtime.c: the process's libcrypto context and the lock-free pool of runtime.h. */
#include "core/runtime.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdlib.h>

rj_status rj_runtime_new(rj_runtime **out, uint32_t sample_interval, uint64_t seed)
{
    rj_runtime *runtime = NULL;
    rj_status status = RJ_LIBCRYPTO_FAILED;

    /* No atexit handler: threads may verify until the process is gone. No configuration file either. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
        return RJ_LIBCRYPTO_FAILED;
    }
    runtime = calloc(1, sizeof *runtime);
    if (runtime == NULL) {
        return RJ_NO_MEMORY;
    }
    runtime->sample_interval = sample_interval;
    runtime->seed = seed;
    rj_ticks_init(&runtime->ticks);
    runtime->libctx = OSSL_LIB_CTX_new();
    if (runtime->libctx == NULL) {
        goto done;
    }
    if (OSSL_PROVIDER_load(runtime->libctx, "default") == NULL) {
        goto done;
    }
    *out = runtime;
    runtime = NULL;
    status = RJ_OK;
done:
    if (runtime != NULL) {
        OSSL_LIB_CTX_free(runtime->libctx);
        free(runtime);
    }
    ERR_clear_error();
    return status;
}

void rj_runtime_read(rj_runtime_report *report, rj_runtime *runtime)
{
    report->sampled = atomic_load_explicit(&runtime->sampled, memory_order_relaxed);
    report->mismatches = atomic_load_explicit(&runtime->mismatches, memory_order_relaxed);
    report->fallbacks = atomic_load_explicit(&runtime->fallbacks, memory_order_relaxed);
    report->off = atomic_load_explicit(&runtime->acceleration_off, memory_order_relaxed);
}

void rj_runtime_set_sampling(rj_runtime *runtime, uint32_t sample_interval)
{
    atomic_store_explicit(&runtime->sample_interval, sample_interval, memory_order_relaxed);
}

int rj_runtime_is_alone(rj_runtime *runtime, uintptr_t caller)
{
    unsigned int calls = 0;

    if (atomic_load_explicit(&runtime->last_caller, memory_order_relaxed) != caller) {
        atomic_store_explicit(&runtime->last_caller, caller, memory_order_relaxed);
        atomic_store_explicit(&runtime->calls_alone, 0, memory_order_relaxed);
        return 0;
    }
    calls = atomic_load_explicit(&runtime->calls_alone, memory_order_relaxed);
    if (calls < RJ_CALLS_ALONE) {
        atomic_store_explicit(&runtime->calls_alone, calls + 1, memory_order_relaxed);
    }
    return calls == RJ_CALLS_ALONE;
}

rj_workspace *rj_runtime_borrow_workspace(rj_runtime *runtime)
{
    for (size_t i = 0; i < RJ_POOL_SLOTS; i++) {
        if (atomic_load_explicit(&runtime->pool[i], memory_order_relaxed) != NULL) {
            rj_workspace *work = atomic_exchange_explicit(&runtime->pool[i], NULL, memory_order_acquire);
            if (work != NULL) {
                return work;
            }
        }
    }
    return rj_workspace_new(runtime->seed);
}

void rj_runtime_return_workspace(rj_runtime *runtime, rj_workspace *work)
{
    for (size_t i = 0; i < RJ_POOL_SLOTS; i++) {
        rj_workspace *empty = NULL;
        if (atomic_load_explicit(&runtime->pool[i], memory_order_relaxed) == NULL
            && atomic_compare_exchange_strong_explicit(&runtime->pool[i], &empty, work, memory_order_release,
                                                       memory_order_relaxed)) {
            return;
        }
    }
    rj_workspace_free(work);
}
