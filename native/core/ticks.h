/* ticks.h: the cheapest clock there is, for durations; never for the time of a check.
 *
 * On x86-64 with a time stamp counter that runs at one rate on all cores, and on aarch64, a reading is one
 * instruction; elsewhere it is the system's monotonic clock in nanoseconds.
 */
#ifndef RJ_TICKS_H
#define RJ_TICKS_H

#include <stdint.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum {
    RJ_TICKS_SCALE_BITS = 24,
    RJ_TICKS_UNIT_BITS = 30, /* durations are in units of 2^-30 s, 0.93 ns: their logarithm is a second's */
    RJ_TICKS_MAX_BITS = 40   /* longer durations count as this one: minutes */
};

typedef struct {
    uint64_t scale;  /* units a tick, times 2^RJ_TICKS_SCALE_BITS */
    int is_hardware; /* 0: ticks are nanoseconds of the system's clock */
} rj_ticks;

/* Find the clock and its rate. Takes at most about a millisecond.
 * Out: *ticks. */
void rj_ticks_init(rj_ticks *ticks);

/* Returns the system's monotonic clock in nanoseconds. */
uint64_t rj_ticks_system_ns(void);

/* Returns what the system's monotonic clock was at most a few milliseconds ago, where the system has that for less. */
uint64_t rj_ticks_coarse_ns(void);

/* Returns the clock's reading. */
static inline uint64_t rj_ticks_now(const rj_ticks *ticks)
{
#if defined(__x86_64__)
    if (ticks->is_hardware) {
        return __rdtsc();
    }
#elif defined(__aarch64__)
    if (ticks->is_hardware) {
        uint64_t reading = 0;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(reading));
        return reading;
    }
#endif
    (void)ticks;
    return rj_ticks_system_ns();
}

/* Returns the units between two readings; 0 where the later one is smaller: cores may differ a little. */
static inline uint64_t rj_ticks_units(const rj_ticks *ticks, uint64_t begun, uint64_t ended)
{
    uint64_t passed = ended > begun ? ended - begun : 0;

    if (passed >> RJ_TICKS_MAX_BITS != 0) {
        passed = UINT64_C(1) << RJ_TICKS_MAX_BITS;
    }
    return passed * ticks->scale >> RJ_TICKS_SCALE_BITS;
}

/* Returns nanoseconds in units. */
static inline uint64_t rj_ticks_units_of_ns(uint64_t ns)
{
    static const uint64_t SCALE = 18014398; /* 2^(30 + 24) / 10^9 */
    static const uint64_t MOST = UINT64_C(1) << RJ_TICKS_MAX_BITS;

    return (ns < MOST ? ns : MOST) * SCALE >> RJ_TICKS_SCALE_BITS;
}

#endif
