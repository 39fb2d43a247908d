/* fixedbase_lanes_cpu.h: whether this build has vector lanes (AVX-512 IFMA), and how their functions are declared.
 * The rest of the library needs no CPU flags; whether this CPU runs them is checked when a table is built. */
#ifndef RJ_FIXEDBASE_LANES_CPU_H
#define RJ_FIXEDBASE_LANES_CPU_H

#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE && defined(__x86_64__) && !defined(RJ_PORTABLE_ONLY)
#define RJ_HAVE_LANES 1

#include <immintrin.h>
#include <string.h>

#define LANES_FEATURES "avx512f,avx512dq,avx512vl,avx512ifma,bmi2"
#define LANES_TARGET __attribute__((target(LANES_FEATURES)))
#if defined(__SANITIZE_ADDRESS__)
#define LANES_INLINE LANES_TARGET static __attribute__((noinline, unused))
#else
#define LANES_INLINE LANES_TARGET static inline __attribute__((always_inline, unused))
#endif

#else
#define RJ_HAVE_LANES 0
#endif

#endif
