/* counters.c: see counters.h. */
#include "core/counters.h"

#include <stdatomic.h>
#include <string.h>

#ifndef RJ_FREE_THREADED
#define RJ_FREE_THREADED 1 /* what is right everywhere; native/build.py knows whether there is a GIL */
#endif

static void counters_add(uint64_t *word, uint64_t more)
{
#if RJ_FREE_THREADED
    (void)atomic_fetch_add_explicit((_Atomic uint64_t *)word, more, memory_order_relaxed);
#else
    /* one writer at a time; a reader in another process sees the old word or the new one */
    uint64_t seen = atomic_load_explicit((_Atomic uint64_t *)word, memory_order_relaxed);
    atomic_store_explicit((_Atomic uint64_t *)word, seen + more, memory_order_relaxed);
#endif
}

void rj_counters_verdicts(uint64_t *verdicts, uint32_t code, uint64_t count)
{
    if (code < RJ_COUNTERS_CODES) {
        counters_add(&verdicts[code], count);
    }
}

void rj_counters_verdict(uint64_t *verdicts, uint32_t code) { rj_counters_verdicts(verdicts, code, 1); }

/* The bucket of a duration: its bound is the first that is not smaller. */
static uint32_t counters_bucket(uint64_t units)
{
    uint64_t above = units == 0 ? 0 : (units - 1) >> RJ_COUNTERS_FIRST_POWER;
    uint32_t bucket = 0;

#if defined(__GNUC__)
    bucket = above == 0 ? 0 : 64u - (uint32_t)__builtin_clzll(above);
#else
    for (; above != 0; above >>= 1) {
        bucket++;
    }
#endif
    return bucket < RJ_COUNTERS_BOUNDS ? bucket : RJ_COUNTERS_BOUNDS;
}

void rj_counters_durations(uint64_t *durations, uint64_t units, uint64_t count)
{
    counters_add(&durations[counters_bucket(units)], count);
    counters_add(&durations[RJ_COUNTERS_SUM], units * count);
}

void rj_counters_duration(uint64_t *durations, uint64_t units) { rj_counters_durations(durations, units, 1); }

/* Write the sums of a group that are not zero. Returns how many there are by now. */
static size_t counters_put(uint64_t *found, size_t len, size_t capacity, const uint64_t *sums, uint64_t group)
{
    for (size_t j = 0; j < RJ_COUNTERS_CODES; j++) {
        if (sums[j] == 0) {
            continue;
        }
        if (len < capacity) {
            found[2 * len] = group * RJ_COUNTERS_CODES + j;
            found[2 * len + 1] = sums[j];
        }
        len++;
    }
    return len;
}

size_t rj_counters_scan(uint64_t *found, size_t capacity, const uint64_t *const *blocks, const uint32_t *groups,
                        size_t blocks_len)
{
    uint64_t sums[RJ_COUNTERS_CODES] = {0};
    size_t len = 0;

    for (size_t i = 0; i < blocks_len; i++) {
        for (size_t j = 0; j < RJ_COUNTERS_CODES; j++) {
            sums[j] += atomic_load_explicit((const _Atomic uint64_t *)&blocks[i][j], memory_order_relaxed);
        }
        if (i + 1 == blocks_len || groups[i + 1] != groups[i]) {
            len = counters_put(found, len, capacity, sums, groups[i]);
            memset(sums, 0, sizeof sums);
        }
    }
    return len;
}

void rj_counters_sums(uint64_t *sums, const uint64_t *const *blocks, const uint32_t *groups, size_t blocks_len,
                      size_t words_len)
{
    for (size_t i = 0; i < blocks_len; i++) {
        uint64_t *sum = sums + words_len * groups[i];
        for (size_t j = 0; j < words_len; j++) {
            sum[j] += atomic_load_explicit((const _Atomic uint64_t *)&blocks[i][j], memory_order_relaxed);
        }
    }
}
