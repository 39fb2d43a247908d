/* ticks.c: see ticks.h. */
#include "core/ticks.h"

#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { TICKS_CALIBRATION_NS = 200000, TICKS_TRIES = 64, TICKS_NS_A_S = 1000000000 };

static const uint64_t TICKS_SCALE_OF_NS = 18014398; /* 2^(30 + 24) / 10^9 */

uint64_t rj_ticks_system_ns(void)
{
    struct timespec now = {0, 0};

#if defined(_WIN32)
    (void)timespec_get(&now, TIME_UTC);
#else
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (uint64_t)now.tv_sec * TICKS_NS_A_S + (uint64_t)now.tv_nsec;
}

uint64_t rj_ticks_coarse_ns(void)
{
#if defined(CLOCK_MONOTONIC_COARSE)
    struct timespec now = {0, 0};

    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0) {
        return (uint64_t)now.tv_sec * TICKS_NS_A_S + (uint64_t)now.tv_nsec;
    }
#endif
    return rj_ticks_system_ns();
}

#if defined(__x86_64__)
/* Whether the counter runs at one rate, whatever the core's frequency and sleep (Intel SDM vol. 3, 18.17.1). */
static int ticks_are_invariant(void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;

    return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d >> 8 & 1u) != 0;
}

/* Read both clocks as closely together as this thread is let. Returns nanoseconds. Out: *reading. */
static uint64_t ticks_both(uint64_t *reading)
{
    uint64_t closest = UINT64_MAX;
    uint64_t ns = 0;

    for (int i = 0; i < TICKS_TRIES; i++) {
        uint64_t before = __rdtsc();
        uint64_t now_ns = rj_ticks_system_ns();
        uint64_t after = __rdtsc();
        if (after - before < closest) {
            closest = after - before;
            *reading = before + closest / 2;
            ns = now_ns;
        }
    }
    return ns;
}
#endif

void rj_ticks_init(rj_ticks *ticks)
{
    *ticks = (rj_ticks){.scale = TICKS_SCALE_OF_NS, .is_hardware = 0};
#if defined(__x86_64__)
    if (ticks_are_invariant()) {
        uint64_t begun = 0;
        uint64_t ended = 0;
        uint64_t begun_ns = ticks_both(&begun);
        uint64_t ended_ns = begun_ns;
        while (ended_ns - begun_ns < TICKS_CALIBRATION_NS) {
            ended_ns = ticks_both(&ended);
        }
        if (ended > begun && (ended_ns - begun_ns) >> RJ_TICKS_UNIT_BITS == 0) {
            uint64_t scale = (ended_ns - begun_ns) * TICKS_SCALE_OF_NS / (ended - begun);
            if (scale != 0 && scale < UINT64_C(1) << RJ_TICKS_SCALE_BITS) {
                *ticks = (rj_ticks){.scale = scale, .is_hardware = 1};
            }
        }
    }
#elif defined(__aarch64__)
    uint64_t rate = 0;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(rate));
    if (rate >= 1000000) {
        uint64_t scale = (UINT64_C(1) << (RJ_TICKS_UNIT_BITS + RJ_TICKS_SCALE_BITS)) / rate;
        *ticks = (rj_ticks){.scale = scale, .is_hardware = 1};
    }
#endif
}
