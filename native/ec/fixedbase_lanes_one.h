/* fixedbase_lanes_one.h: one signature on eight lanes, in projective coordinates, without any inversion.
 *
 * A template, included after fixedbase_lanes.h. Each lane sums every eighth point; three folds sum the lanes.
 */
#ifndef RJ_FIXEDBASE_LANES_ONE_H
#define RJ_FIXEDBASE_LANES_ONE_H

/* Points with x = X / ZZ, y = Y / ZZZ, ZZ^3 = ZZZ^2. */
typedef struct {
    lanes_fe x, y, zz, zzz;
} lanes_extended;

/* The third point from the slope's parts: dx, dy scaled as x1 and y1 are. ZZ and ZZZ get their factors dx^2, dx^3,
 * so equal x makes them zero for good: the caller looks once, at the end.
 * Source: Sutherland's XYZZ, "add-2008-s" of the Explicit-Formulas Database. */
LANES_INLINE void lanes_extended_chord(lanes_extended *r, const lanes_fe *dx, const lanes_fe *dy, const lanes_fe *x1,
                                       const lanes_fe *y1, const lanes_fe *zz, const lanes_fe *zzz)
{
    lanes_fe dx2, dx3, q, t;
    lanes_mul(&dx2, dx, dx);
    lanes_mul(&dx3, dx, &dx2);
    lanes_mul(&q, x1, &dx2);
    lanes_mul(&r->zz, zz, &dx2);
    lanes_mul(&r->zzz, zzz, &dx3);
    lanes_mul(&t, dy, dy);
    lanes_sub(&t, &t, &dx3);
    lanes_mul(&dx3, y1, &dx3);
    lanes_sub2(&r->x, &t, &q, &q);
    lanes_sub(&q, &q, &r->x);
    lanes_mul(&q, &q, dy);
    lanes_sub(&r->y, &q, &dx3);
}

/* acc += p in the lanes of the mask. */
LANES_TARGET static void lanes_extended_add(lanes_extended *acc, const lanes_point *p, __mmask8 mask)
{
    lanes_extended sum;
    lanes_fe dx, dy;
    lanes_mul(&dx, &p->x, &acc->zz);
    lanes_sub(&dx, &dx, &acc->x);
    lanes_mul(&dy, &p->y, &acc->zzz);
    lanes_sub(&dy, &dy, &acc->y);
    lanes_extended_chord(&sum, &dx, &dy, &acc->x, &acc->y, &acc->zz, &acc->zzz);
    lanes_select(&acc->x, mask, &sum.x, &acc->x);
    lanes_select(&acc->y, mask, &sum.y, &acc->y);
    lanes_select(&acc->zz, mask, &sum.zz, &acc->zz);
    lanes_select(&acc->zzz, mask, &sum.zzz, &acc->zzz);
}

/* Every lane += the lane at this distance. */
LANES_TARGET static void lanes_extended_fold(lanes_extended *acc, int distance)
{
    lanes_extended other;
    lanes_fe dx, dy, x1, y1, zz, zzz;
    lanes_swap(&other.x, &acc->x, distance);
    lanes_swap(&other.y, &acc->y, distance);
    lanes_swap(&other.zz, &acc->zz, distance);
    lanes_swap(&other.zzz, &acc->zzz, distance);
    lanes_mul(&x1, &acc->x, &other.zz);
    lanes_mul(&y1, &acc->y, &other.zzz);
    lanes_mul(&dx, &other.x, &acc->zz);
    lanes_mul(&dy, &other.y, &acc->zzz);
    lanes_sub(&dx, &dx, &x1);
    lanes_sub(&dy, &dy, &y1);
    lanes_mul(&zz, &acc->zz, &other.zz);
    lanes_mul(&zzz, &acc->zzz, &other.zzz);
    lanes_extended_chord(acc, &dx, &dy, &x1, &y1, &zz, &zzz);
}

/* Whether X = r ZZ for one of the candidates, each in a lane of its own. */
LANES_TARGET static uint8_t lanes_extended_compare(const lanes_extended *sum, const uint64_t r[2][WORDS_MAX],
                                                   unsigned r_count)
{
    __m512i vectors[LANES_WORDS];
    lanes_fe expected, rr;
    unsigned zero;

    if ((lanes_zero_mask(&sum->zz) & 1) != 0)
        return RJ_UNDECIDED; /* some addition met equal or opposite points */
    for (int i = 0; i < LANES_WORDS; i++)
        vectors[i] = _mm512_set_epi64(0, 0, 0, 0, 0, 0, (long long)r[r_count - 1][i], (long long)r[0][i]);
    lanes_from_words(expected.v, vectors);
    lanes_broadcast(&rr, lanes_rr);
    lanes_mul(&expected, &expected, &rr);
    lanes_mul(&expected, &expected, &sum->zz);
    lanes_sub(&expected, &expected, &sum->x);
    zero = lanes_zero_mask(&expected);
    return (zero & 3) != 0 ? RJ_OK : RJ_SIGNATURE_INVALID; /* FIPS 186-5 s.6.4.2 step 6: x modulo n is r */
}

LANES_TARGET static uint8_t lanes_check_one(const fb_ref *refs, unsigned points, const uint64_t r[2][WORDS_MAX],
                                            unsigned r_count)
{
    lanes_extended acc;
    lanes_point p;

    if (points < FB_LANES)
        return RJ_UNDECIDED; /* every lane has a point to begin with, on every curve */
    lanes_load(&p, refs, 1, 0xff);
    acc.x = p.x;
    acc.y = p.y;
    lanes_broadcast(&acc.zz, lanes_one);
    lanes_broadcast(&acc.zzz, lanes_one);
    for (unsigned at = FB_LANES; at < points; at += FB_LANES) {
        unsigned left = points - at;
        __mmask8 mask = (__mmask8)(left >= FB_LANES ? 0xff : (1u << left) - 1);
        lanes_load(&p, refs + at, 1, mask);
        lanes_extended_add(&acc, &p, mask);
    }
    for (int distance = 4; distance > 0; distance /= 2)
        lanes_extended_fold(&acc, distance);
    return lanes_extended_compare(&acc, r, r_count);
}

#endif
