/* fixedbase_lanes_p521.c: the vector arithmetic of P-521: its reduction, with the lanes templates over it. */
#include "ec/fixedbase_lanes_cpu.h"

#if RJ_HAVE_LANES

#include "ec/fixedbase_internal.h"

#define LANES_LIMBS 11
#define LANES_WORDS 9
#define LANES_TOP 1
#define LANES_CURVE() rj_fb_curve(RJ_CURVE_P521)

/* p, and R, R^2, R^3 mod p. */
static const uint64_t lanes_p[LANES_LIMBS] = {0xfffffffffffff, 0xfffffffffffff, 0xfffffffffffff, 0xfffffffffffff,
                                              0xfffffffffffff, 0xfffffffffffff, 0xfffffffffffff, 0xfffffffffffff,
                                              0xfffffffffffff, 0xfffffffffffff, 0x0000000000001};
static const uint64_t lanes_one[LANES_LIMBS] = {0x8000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
                                                0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
                                                0x0000000000000, 0x0000000000000, 0x0000000000000};
static const uint64_t lanes_rr[LANES_LIMBS] = {0x0000000000000, 0x4000000000000, 0x0000000000000, 0x0000000000000,
                                               0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
                                               0x0000000000000, 0x0000000000000, 0x0000000000000};
static const uint64_t lanes_rrr[LANES_LIMBS] = {0x0000000000000, 0x0000000000000, 0x2000000000000, 0x0000000000000,
                                                0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
                                                0x0000000000000, 0x0000000000000, 0x0000000000000};

/* Make the lowest limb zero and carry: with m that limb, m p = m 2^521 - m, and 2^521 is bit 1 of limb 10. */
LANES_INLINE void lanes_row(__m512i *t)
{
    __m512i m = _mm512_and_si512(t[0], _mm512_set1_epi64((INT64_C(1) << 52) - 1));
    t[1] = _mm512_add_epi64(t[1], _mm512_srai_epi64(t[0], 52));
    t[10] = _mm512_add_epi64(t[10], _mm512_slli_epi64(m, 1));
}

/* t += q c, c = 2^521 - p = 1. */
LANES_INLINE void lanes_add_qc(__m512i *t, __m512i q) { t[0] = _mm512_add_epi64(t[0], q); }

#include "ec/field_lanes.h"
#include "ec/fixedbase_lanes.h"
#include "ec/fixedbase_lanes_one.h"

const fb_field_ops rj_fb_lanes_p521 = {"lanes", 5, lanes_plain, lanes_sum_bytes, lanes_sum, lanes_check_one};

#else
typedef int lanes_p521_empty;
#endif
