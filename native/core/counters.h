/* counters.h: counts of verdicts and durations, in memory that one process writes and others may read.
 *
 * A word is a count; nothing is ever taken back. Under the GIL a word is written by one thread at a time, so a
 * plain addition does; without a GIL it is an atomic one. The memory is laid out in Python
 * (verify/counter_memory.py) when keys or rules change: nothing here allocates, waits or fails.
 */
#ifndef RJ_COUNTERS_H
#define RJ_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

/* rj-cdef-begin */
enum {
    RJ_COUNTERS_CODES = 96,       /* words of a block of verdicts: one a code, the first for "ok" */
    RJ_COUNTERS_FIRST_POWER = 10, /* the smallest bound of a duration, as a power of two of 2^-30 s */
    RJ_COUNTERS_BOUNDS = 21,      /* bounds of durations, each twice the one before: up to 1 s */
    RJ_COUNTERS_SUM = 22,         /* the word behind the buckets: the sum, in units of 2^-30 s */
    RJ_COUNTERS_DURATION_WORDS = 23
};

/* Where a token's verdict and duration are counted: words of the shared memory. */
typedef struct {
    uint64_t *verdicts;
    uint64_t *durations;
} rj_counter_row;
/* rj-cdef-end */

/* Add up the blocks of RJ_COUNTERS_CODES words of each group, and find the sums that are not zero. Blocks of a group
 * stand together.
 * Returns how many there are; where that is more than the capacity, the first ones are written.
 * Out: found[2 * i ..]: RJ_COUNTERS_CODES times the group plus the word, and the sum. */
/* rj-cdef-begin */
size_t rj_counters_scan(uint64_t *found, size_t capacity, const uint64_t *const *blocks, const uint32_t *groups,
                        size_t blocks_len);
/* rj-cdef-end */

/* Add up the blocks of each group, word by word.
 * In/out: sums[words_len * group + word], zero before. */
/* rj-cdef-begin */
void rj_counters_sums(uint64_t *sums, const uint64_t *const *blocks, const uint32_t *groups, size_t blocks_len,
                      size_t words_len);
/* rj-cdef-end */

/* Count a verdict. In/out: verdicts[code]. */
void rj_counters_verdict(uint64_t *verdicts, uint32_t code);

/* Count so many of one verdict. In/out: verdicts[code]. */
void rj_counters_verdicts(uint64_t *verdicts, uint32_t code, uint64_t count);

/* Count a duration. In/out: a bucket of durations, and the sum. */
void rj_counters_duration(uint64_t *durations, uint64_t units);

/* Count so many of one duration. In/out: a bucket of durations, and the sum. */
void rj_counters_durations(uint64_t *durations, uint64_t units, uint64_t count);

#endif
