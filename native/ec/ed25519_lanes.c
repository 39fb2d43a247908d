/* ed25519_lanes.c: sums of table points, eight at a time.
 *
 * Either eight signatures, one a lane, or one signature whose points are dealt out to the lanes and whose eight
 * partial sums are added up at the end. A lane's next point is gathered from the table while others are added.
 */
#include "ec/ed25519_internal.h"

#if RJ_HAVE_ED25519 && defined(__x86_64__)

#include "ec/field_25519_lanes.h"

/* A running sum (X : Y : Z), T = XY/Z, kept in the form the next addition reads; z is loose, the rest tight. */
typedef struct {
    f25519x8 sum;        /* Y + X */
    f25519x8 difference; /* Y - X */
    f25519x8 z;
    f25519x8 t;
} lanes_point;

/* A table point for each lane, in the sign wanted. */
typedef struct {
    f25519x8 half_sum;
    f25519x8 half_difference;
    f25519x8 dxy;
} lanes_entry;

int rj_ed25519_lanes_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512ifma");
}

F25519X8_INLINE f25519x8 lanes_gather(__m512i addresses)
{
    f25519x8 r;

    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_i64gather_epi64(_mm512_add_epi64(addresses, f25519x8_all(8 * i)), NULL, 1);
    }
    return r;
}

/* In: choice[lane * stride] is the lane's point. */
F25519X8_INLINE lanes_entry lanes_load(const ed25519_choice *choice, size_t stride)
{
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i at = _mm512_mullo_epi64(lane, f25519x8_all((int64_t)(stride * sizeof(*choice))));
    const __m512i entry = _mm512_i64gather_epi64(at, (const void *)&choice->entry, 1);
    const __m512i negative = _mm512_i64gather_epi64(at, (const void *)&choice->negative, 1);
    const __mmask8 negated = _mm512_test_epi64_mask(negative, negative);
    const __m512i sum_at = f25519x8_all(offsetof(ed25519_entry, half_sum));
    const __m512i difference_at = f25519x8_all(offsetof(ed25519_entry, half_difference));
    lanes_entry r;

    /* the negative of (x, y) is (-x, y): its sum is our difference, and d x y changes sign */
    r.half_sum = lanes_gather(_mm512_add_epi64(entry, _mm512_mask_mov_epi64(sum_at, negated, difference_at)));
    r.half_difference = lanes_gather(_mm512_add_epi64(entry, _mm512_mask_mov_epi64(difference_at, negated, sum_at)));
    r.dxy = lanes_gather(_mm512_add_epi64(entry, f25519x8_all(offsetof(ed25519_entry, dxy))));
    for (int i = 0; i < 5; i++) { /* 2p - d x y: limbs below 2^52, since the entry's are below 2^51 */
        const __m512i twice_p = f25519x8_all(2 * (F25519X8_MASK - (i == 0 ? 18 : 0)));
        r.dxy.v[i] = _mm512_mask_sub_epi64(r.dxy.v[i], negated, twice_p, r.dxy.v[i]);
    }
    return r;
}

/* From a = (Y1 - X1)(y2 - x2), b = (Y1 + X1)(y2 + x2), c = d T1 t2, d = Z1 Z2, each times one same factor. */
F25519X8_INLINE void lanes_finish(lanes_point *r, f25519x8 a, f25519x8 b, f25519x8 c, f25519x8 d)
{
    const f25519x8 e = f25519x8_carry(f25519x8_subtract(b, a));
    const f25519x8 f = f25519x8_carry(f25519x8_subtract(d, c));
    const f25519x8 g = f25519x8_carry(f25519x8_add(d, c));
    const f25519x8 h = f25519x8_carry(f25519x8_add(b, a));
    const f25519x8 x = f25519x8_multiply(e, f);
    const f25519x8 y = f25519x8_multiply(g, h);

    r->sum = f25519x8_carry(f25519x8_add(y, x));
    r->difference = f25519x8_carry(f25519x8_subtract(y, x));
    r->z = f25519x8_multiply(f, g);
    r->t = f25519x8_carry(f25519x8_multiply(e, h));
}

F25519X8_INLINE void lanes_add_entry(lanes_point *r, const lanes_entry *entry)
{
    lanes_finish(r, f25519x8_multiply(r->difference, entry->half_difference),
                 f25519x8_multiply(r->sum, entry->half_sum), f25519x8_multiply(r->t, entry->dxy), r->z);
}

/* r = the table points themselves: x = half_sum - half_difference, y = half_sum + half_difference */
F25519X8_INLINE void lanes_begin(lanes_point *r, const lanes_entry *entry)
{
    const f25519x8 x = f25519x8_carry(f25519x8_subtract(entry->half_sum, entry->half_difference));
    const f25519x8 y = f25519x8_carry(f25519x8_add(entry->half_sum, entry->half_difference));

    r->sum = f25519x8_carry(f25519x8_add(y, x));
    r->difference = f25519x8_carry(f25519x8_subtract(y, x));
    r->t = f25519x8_carry(f25519x8_multiply(x, y));
    for (int i = 0; i < 5; i++) {
        r->z.v[i] = f25519x8_all(i == 0 ? 1 : 0);
    }
}

/* r += the point `distance` lanes up; the lanes above `distance` are of no use after. */
F25519X8_INLINE void lanes_add_lanes(lanes_point *r, int distance)
{
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i from = _mm512_add_epi64(lane, f25519x8_all(distance));
    const int64_t twice_d[5] = {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff};
    f25519x8 sum, difference, z, t, constant, d;

    r->z = f25519x8_carry(r->z);
    for (int i = 0; i < 5; i++) {
        sum.v[i] = _mm512_permutexvar_epi64(from, r->sum.v[i]);
        difference.v[i] = _mm512_permutexvar_epi64(from, r->difference.v[i]);
        z.v[i] = _mm512_permutexvar_epi64(from, r->z.v[i]);
        t.v[i] = _mm512_permutexvar_epi64(from, r->t.v[i]);
        constant.v[i] = f25519x8_all(twice_d[i]);
    }
    t = f25519x8_carry(f25519x8_multiply(t, r->t));
    z = f25519x8_carry(f25519x8_multiply(z, r->z));
    d = f25519x8_add(z, z);
    lanes_finish(r, f25519x8_multiply(r->difference, difference), f25519x8_multiply(r->sum, sum),
                 f25519x8_multiply(t, constant), d);
}

/* Write 2X, 2Y and 2Z of the first `count` lanes. */
F25519X8_INLINE void lanes_store(ed25519_point *out, const lanes_point *point, size_t count)
{
    const f25519x8 x = f25519x8_carry(f25519x8_subtract(point->sum, point->difference));
    const f25519x8 y = f25519x8_carry(f25519x8_add(point->sum, point->difference));
    const f25519x8 z = f25519x8_carry(f25519x8_add(point->z, point->z));
    _Alignas(64) uint64_t limbs[3][5][ED25519_LANES];

    for (int i = 0; i < 5; i++) {
        _mm512_store_si512(limbs[0][i], x.v[i]);
        _mm512_store_si512(limbs[1][i], y.v[i]);
        _mm512_store_si512(limbs[2][i], z.v[i]);
    }
    for (size_t lane = 0; lane < count; lane++) {
        for (int i = 0; i < 5; i++) {
            out[lane].x.v[i] = limbs[0][i][lane];
            out[lane].y.v[i] = limbs[1][i][lane];
            out[lane].z.v[i] = limbs[2][i][lane];
        }
    }
}

F25519X8_TARGET void rj_ed25519_sum8(ed25519_point r[ED25519_LANES],
                                     const ed25519_choice choices[ED25519_LANES][ED25519_POINTS])
{
    lanes_entry entry = lanes_load(&choices[0][0], ED25519_POINTS);
    lanes_point sum;

    lanes_begin(&sum, &entry);
    for (int i = 1; i < ED25519_POINTS; i++) {
        entry = lanes_load(&choices[0][i], ED25519_POINTS);
        lanes_add_entry(&sum, &entry);
    }
    lanes_store(r, &sum, ED25519_LANES);
}

F25519X8_TARGET void rj_ed25519_sum_lanes(ed25519_point *r, const ed25519_choice choices[ED25519_POINTS])
{
    enum { EACH = ED25519_POINTS / ED25519_LANES };
    lanes_entry entry = lanes_load(choices, EACH);
    lanes_point sum;

    lanes_begin(&sum, &entry);
    for (int i = 1; i < EACH; i++) {
        entry = lanes_load(choices + i, EACH);
        lanes_add_entry(&sum, &entry);
    }
    for (int distance = ED25519_LANES / 2; distance > 0; distance /= 2) {
        lanes_add_lanes(&sum, distance);
    }
    lanes_store(r, &sum, 1);
}

#elif RJ_HAVE_ED25519

int rj_ed25519_lanes_usable(void) { return 0; }

void rj_ed25519_sum8(ed25519_point r[ED25519_LANES], const ed25519_choice choices[ED25519_LANES][ED25519_POINTS])
{
    for (int lane = 0; lane < ED25519_LANES; lane++) { /* never called: rj_ed25519_lanes_usable() is false */
        rj_ed25519_sum(&r[lane], choices[lane]);
    }
}

void rj_ed25519_sum_lanes(ed25519_point *r, const ed25519_choice choices[ED25519_POINTS])
{
    rj_ed25519_sum(r, choices);
}

#else
typedef int ed25519_lanes_empty;
#endif
