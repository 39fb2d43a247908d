/* fixedbase_lanes_p384.c: the vector arithmetic of P-384: its reduction, with the lanes templates over it. */
#include "ec/fixedbase_lanes_cpu.h"

#if RJ_HAVE_LANES

#include "ec/fixedbase_internal.h"

#define LANES_LIMBS 8
#define LANES_WORDS 6
#define LANES_TOP 20
#define LANES_CURVE() rj_fb_curve(RJ_CURVE_P384)

/* p, and R, R^2, R^3 mod p. */
static const uint64_t lanes_p[LANES_LIMBS] = {0x00000ffffffff, 0xff00000000000, 0xffffffeffffff, 0xfffffffffffff,
                                              0xfffffffffffff, 0xfffffffffffff, 0xfffffffffffff, 0x00000000fffff};
static const uint64_t lanes_one[LANES_LIMBS] = {0x0000100000000, 0xffffffffff000, 0x0000000ffffff, 0x0000000000010,
                                                0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000};
static const uint64_t lanes_rr[LANES_LIMBS] = {0x0000000000000, 0xfe00000001000, 0x0000000ffffff, 0x0000000000020,
                                               0x0fffffffe0000, 0x0000020000000, 0x0000000000100, 0x0000000000000};
static const uint64_t lanes_rrr[LANES_LIMBS] = {0x00005fffffffd, 0xfc00000000000, 0xffffffbffffff, 0x000600000008f,
                                                0xcfffffffe0000, 0x000005fffffff, 0xffd0000000300, 0x00000000fffff};

/* Make the lowest limb zero and carry: m = t[0] (2^32 + 1) mod 2^52 = -t[0] / p, and t += m p. */
LANES_INLINE void lanes_row(__m512i *t)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i m = _mm512_madd52lo_epu64(zero, t[0], _mm512_set1_epi64(0x100000001));
    t[0] = _mm512_madd52lo_epu64(t[0], m, _mm512_set1_epi64((long long)lanes_p[0]));
#pragma GCC unroll 8
    for (int j = 1; j < LANES_LIMBS; j++)
        t[j] = _mm512_madd52lo_epu64(t[j], m, _mm512_set1_epi64((long long)lanes_p[j]));
#pragma GCC unroll 8
    for (int j = 0; j < LANES_LIMBS; j++)
        t[j + 1] = _mm512_madd52hi_epu64(t[j + 1], m, _mm512_set1_epi64((long long)lanes_p[j]));
    t[1] = _mm512_add_epi64(t[1], _mm512_srai_epi64(t[0], 52));
}

/* t += q c, c = 2^384 - p = 2^128 + 2^96 - 2^32 + 1. */
LANES_INLINE void lanes_add_qc(__m512i *t, __m512i q)
{
    t[0] = _mm512_add_epi64(t[0], _mm512_sub_epi64(q, _mm512_slli_epi64(q, 32)));
    t[1] = _mm512_add_epi64(t[1], _mm512_slli_epi64(q, 44));
    t[2] = _mm512_add_epi64(t[2], _mm512_slli_epi64(q, 24));
}

#include "ec/field_lanes.h"
#include "ec/fixedbase_lanes.h"
#include "ec/fixedbase_lanes_one.h"

const fb_field_ops rj_fb_lanes_p384 = {"lanes", 5, lanes_plain, lanes_sum_bytes, lanes_sum, lanes_check_one};

#else
typedef int lanes_p384_empty;
#endif
