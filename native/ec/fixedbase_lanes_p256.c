/* fixedbase_lanes_p256.c: the vector arithmetic of P-256: its reduction, with the lanes templates over it. */
#include "ec/fixedbase_lanes_cpu.h"

#if RJ_HAVE_LANES

#include "ec/fixedbase_internal.h"

#define LANES_LIMBS 5
#define LANES_WORDS 4
#define LANES_TOP 48
#define LANES_CURVE() rj_fb_curve(RJ_CURVE_P256)

/* p, and R, R^2, R^3 mod p. */
static const uint64_t lanes_p[LANES_LIMBS] = {0xfffffffffffff, 0x00fffffffffff, 0x0000000000000, 0x0001000000000,
                                              0x0ffffffff0000};
static const uint64_t lanes_one[LANES_LIMBS] = {0x0000000000010, 0xf000000000000, 0xfffffffffffff, 0xffeffffffffff,
                                                0x00000000fffff};
static const uint64_t lanes_rr[LANES_LIMBS] = {0x0000000000300, 0xffffffff00000, 0xffffefffffffb, 0xfdfffffffffff,
                                               0x0000004ffffff};
static const uint64_t lanes_rrr[LANES_LIMBS] = {0xfd0000000a000, 0xffffff7ffffff, 0xfffcffffffedf, 0x100000005ffff,
                                                0x0000180000000};

/* Make the lowest limb zero and carry: -1/p = 1 mod 2^52, so the multiple of p is that limb, m; and m p + t[0] is
 * m 2^52 above t[0] - m. The other limbs of p are 2^44 - 1, 0, 2^36 and 2^48 - 2^16. */
LANES_INLINE void lanes_row(__m512i *t)
{
    __m512i m = _mm512_and_si512(t[0], _mm512_set1_epi64((INT64_C(1) << 52) - 1));
    t[1] = _mm512_add_epi64(t[1], _mm512_add_epi64(_mm512_srai_epi64(t[0], 52), m));
    t[1] = _mm512_madd52lo_epu64(t[1], m, _mm512_set1_epi64((long long)lanes_p[1]));
    t[2] = _mm512_madd52hi_epu64(t[2], m, _mm512_set1_epi64((long long)lanes_p[1]));
    t[3] = _mm512_madd52lo_epu64(t[3], m, _mm512_set1_epi64((long long)lanes_p[3]));
    t[4] = _mm512_madd52hi_epu64(t[4], m, _mm512_set1_epi64((long long)lanes_p[3]));
    t[4] = _mm512_madd52lo_epu64(t[4], m, _mm512_set1_epi64((long long)lanes_p[4]));
    t[5] = _mm512_madd52hi_epu64(t[5], m, _mm512_set1_epi64((long long)lanes_p[4]));
}

/* t += q c, c = 2^256 - p = 2^224 - 2^192 - 2^96 + 1. */
LANES_INLINE void lanes_add_qc(__m512i *t, __m512i q)
{
    t[0] = _mm512_add_epi64(t[0], q);
    t[1] = _mm512_sub_epi64(t[1], _mm512_slli_epi64(q, 44));
    t[3] = _mm512_sub_epi64(t[3], _mm512_slli_epi64(q, 36));
    t[4] = _mm512_add_epi64(t[4], _mm512_slli_epi64(q, 16));
}

#include "ec/field_lanes.h"
#include "ec/fixedbase_lanes.h"
#include "ec/fixedbase_lanes_one.h"

const fb_field_ops rj_fb_lanes_p256 = {"lanes", 5, lanes_plain, lanes_sum_bytes, lanes_sum, lanes_check_one};

#else
typedef int lanes_p256_empty;
#endif
