/* fixedbase_lanes_k256.c: the vector arithmetic of secp256k1: its reduction, with the lanes templates over it. */
#include "ec/fixedbase_lanes_cpu.h"

#if RJ_HAVE_LANES

#include "ec/fixedbase_internal.h"

#define LANES_LIMBS 5
#define LANES_WORDS 4
#define LANES_TOP 48
#define LANES_CURVE() rj_fb_curve(RJ_CURVE_K256)
#define LANES_C 0x1000003d1             /* 2^256 - p */
#define LANES_C_INVERSE 0x8091dd2253531 /* 1 / c mod 2^52 */

/* p, and R, R^2, R^3 mod p. */
static const uint64_t lanes_p[LANES_LIMBS] = {0xffffefffffc2f, 0xfffffffffffff, 0xfffffffffffff, 0xfffffffffffff,
                                              0x0ffffffffffff};
static const uint64_t lanes_one[LANES_LIMBS] = {0x0001000003d10, 0x0000000000000, 0x0000000000000, 0x0000000000000,
                                                0x0000000000000};
static const uint64_t lanes_rr[LANES_LIMBS] = {0x7a2000e90a100, 0x0000000100000, 0x0000000000000, 0x0000000000000,
                                               0x0000000000000};
static const uint64_t lanes_rrr[LANES_LIMBS] = {0xe33795f671000, 0x0000b73002bb1, 0x0000000000010, 0x0000000000000,
                                                0x0000000000000};

/* Make the lowest limb zero and carry: p = 2^256 - c, so m = t[0] / c mod 2^52; m p = m 2^256 - m c, the low limb of
 * m c is that of t[0], and 2^256 is bit 48 of limb 4. */
LANES_INLINE void lanes_row(__m512i *t)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i m = _mm512_madd52lo_epu64(zero, t[0], _mm512_set1_epi64(LANES_C_INVERSE));
    __m512i high = _mm512_madd52hi_epu64(zero, m, _mm512_set1_epi64(LANES_C));
    t[1] = _mm512_add_epi64(t[1], _mm512_sub_epi64(_mm512_srai_epi64(t[0], 52), high));
    t[4] = _mm512_madd52lo_epu64(t[4], m, _mm512_set1_epi64(INT64_C(1) << 48));
    t[5] = _mm512_madd52hi_epu64(t[5], m, _mm512_set1_epi64(INT64_C(1) << 48));
}

/* t += q c. */
LANES_INLINE void lanes_add_qc(__m512i *t, __m512i q)
{
    t[0] = _mm512_add_epi64(t[0], _mm512_slli_epi64(q, 32));
    t[0] = _mm512_add_epi64(t[0], _mm512_mul_epi32(q, _mm512_set1_epi64(977)));
}

#include "ec/field_lanes.h"
#include "ec/fixedbase_lanes.h"
#include "ec/fixedbase_lanes_one.h"

const fb_field_ops rj_fb_lanes_k256 = {"lanes", 5, lanes_plain, lanes_sum_bytes, lanes_sum, lanes_check_one};

#else
typedef int lanes_k256_empty;
#endif
