/* fixedbase_lanes.h: sums of table points for eight signatures at a time, and one signature on eight lanes.
 *
 * A template, included after field_lanes.h by the file of one curve, which defines LANES_CURVE(). The batch is the
 * binary tree of fixedbase_sum.h with a signature a lane; the single sum gives each lane an eighth of the points.
 */
#ifndef RJ_FIXEDBASE_LANES_H
#define RJ_FIXEDBASE_LANES_H

#define LANES_ROW_VECTORS ((2 * LANES_WORDS + 7) / 8)
#define LANES_CHAINS 4 /* running products side by side, so that one does not wait for the other */

typedef struct {
    lanes_fe x, y;
} lanes_point;

static const uint64_t lanes_nothing[8 * LANES_ROW_VECTORS] = {0};

/* Load eight table points, negated where the ref says so; lanes that are not `included` get zeros. */
LANES_INLINE void lanes_load(lanes_point *r, const fb_ref *refs, size_t stride, __mmask8 included)
{
    __m512i columns[8 * LANES_ROW_VECTORS], rows[8], limbs[LANES_LIMBS], zero = _mm512_setzero_si512();
    const uint64_t *from[FB_LANES];
    unsigned negative = 0;

    for (unsigned lane = 0; lane < FB_LANES; lane++) {
        from[lane] = lanes_nothing;
        if ((included >> lane & 1) != 0) {
            fb_ref ref = refs[lane * stride];
            from[lane] = FB_REF_POINT(ref);
            negative |= FB_REF_NEGATIVE(ref) << lane;
        }
    }
#pragma GCC unroll 3
    for (unsigned part = 0; part < LANES_ROW_VECTORS; part++) {
        const unsigned left = 2 * LANES_WORDS - 8 * part;
        const __mmask8 words = (__mmask8)(left >= 8 ? 0xff : (1u << left) - 1);
#pragma GCC unroll 8
        for (unsigned lane = 0; lane < FB_LANES; lane++)
            rows[lane] = _mm512_maskz_loadu_epi64(words, from[lane] + 8 * part);
        lanes_transpose(columns + 8 * part, rows);
    }
    lanes_from_words(r->x.v, columns);
    lanes_from_words(limbs, columns + LANES_WORDS);
#pragma GCC unroll 16
    for (int i = 0; i < LANES_LIMBS; i++)
        limbs[i] = _mm512_mask_sub_epi64(limbs[i], (__mmask8)negative, zero, limbs[i]);
    lanes_settle(&r->y, limbs);
}

/* r = 1 / a in every lane; returns 0, r unwritten, when some lane is zero. */
LANES_TARGET static int lanes_invert(lanes_fe *r, const lanes_fe *a)
{
    const fb_curve *curve = LANES_CURVE();
    lanes_fe fold[4], other;
    uint64_t words[WORDS_MAX];
    __m512i vectors[LANES_WORDS];

    fold[0] = *a;
    for (int i = 0; i < 3; i++) { /* products over 2, 4, 8 lanes */
        lanes_swap(&other, &fold[i], 4 >> i);
        lanes_mul(&fold[i + 1], &fold[i], &other);
    }
    lanes_lane_words(words, &fold[3], 0, curve->p);
    if (!rj_inverse_vartime(words, words, LANES_WORDS, &curve->mod_p))
        return 0;
    for (int i = 0; i < LANES_WORDS; i++)
        vectors[i] = lanes_set(words[i]);
    lanes_from_words(fold[3].v, vectors);
    lanes_broadcast(&other, lanes_rrr);
    lanes_mul(r, &fold[3], &other); /* 1 / (t R), times R^3, by lanes_mul: R / t */
    for (int i = 2; i >= 0; i--) {
        lanes_swap(&other, &fold[i], 4 >> i);
        lanes_mul(r, r, &other);
    }
    return 1;
}

/* The x difference of pair j of a group: 1 in excluded lanes. */
LANES_INLINE void lanes_difference(lanes_fe *r, const lanes_point *points, unsigned count, unsigned j,
                                   __mmask8 excluded)
{
    lanes_fe one;
    lanes_broadcast(&one, lanes_one);
    lanes_sub(r, &points[count - 1 - j].x, &points[j].x);
    lanes_select(r, excluded, &one, r);
}

/* Running products over all pairs of all groups, before each pair; then the inverse of each chain's end. */
LANES_TARGET static int lanes_level_products(lanes_fe *chains, lanes_fe *prefix, const lanes_point *points,
                                             const __mmask8 *excluded, size_t groups, unsigned stride, unsigned count)
{
    lanes_fe difference, low, high, all;
    size_t k = 0;

    for (int i = 0; i < LANES_CHAINS; i++)
        lanes_broadcast(&chains[i], lanes_one);
    for (size_t g = 0; g < groups; g++)
        for (unsigned j = 0; j < count / 2; j++, k++) {
            lanes_fe *chain = &chains[k % LANES_CHAINS];
            lanes_difference(&difference, points + g * stride, count, j, excluded[g]);
            prefix[k] = *chain;
            lanes_mul(chain, chain, &difference);
        }
    lanes_mul(&low, &chains[0], &chains[1]);
    lanes_mul(&high, &chains[2], &chains[3]);
    lanes_mul(&all, &low, &high);
    if (!lanes_invert(&all, &all))
        return 0;
    lanes_mul(&high, &all, &high); /* 1 / low */
    lanes_mul(&low, &all, &low);   /* 1 / high */
    lanes_mul(&all, &high, &chains[1]);
    lanes_mul(&chains[1], &high, &chains[0]);
    chains[0] = all;
    lanes_mul(&all, &low, &chains[3]);
    lanes_mul(&chains[3], &low, &chains[2]);
    chains[2] = all;
    return 1;
}

/* Mark every signature that has a pair of equal x on this level. */
LANES_TARGET static void lanes_level_exclude_degenerate(__mmask8 *excluded, const lanes_point *points, size_t groups,
                                                        unsigned stride, unsigned count)
{
    for (size_t g = 0; g < groups; g++)
        for (unsigned j = 0; j < count / 2; j++) {
            lanes_fe difference;
            lanes_difference(&difference, points + g * stride, count, j, excluded[g]);
            excluded[g] |= lanes_zero_mask(&difference); /* equal or opposite points: the chord does not exist */
        }
}

/* p = p + q by its chord, given 1 / (q.x - p.x). */
LANES_INLINE void lanes_chord(lanes_point *p, const lanes_point *q, const lanes_fe *inverse)
{
    lanes_fe slope, x, y;
    lanes_sub(&slope, &q->y, &p->y);
    lanes_mul(&slope, &slope, inverse);
    lanes_mul(&x, &slope, &slope);
    lanes_sub2(&x, &x, &p->x, &q->x);
    lanes_sub(&y, &p->x, &x);
    lanes_mul(&y, &y, &slope);
    lanes_sub(&p->y, &y, &p->y);
    p->x = x;
}

LANES_TARGET static void lanes_level_add(lanes_point *points, lanes_fe *chains, const lanes_fe *prefix,
                                         const __mmask8 *excluded, size_t groups, unsigned stride, unsigned count)
{
    size_t k = groups * (count / 2);

    for (size_t g = groups; g-- > 0;) {
        lanes_point *group = points + g * stride;
        for (unsigned j = count / 2; j-- > 0;) {
            lanes_fe difference, inverse, *chain = &chains[--k % LANES_CHAINS];
            lanes_difference(&difference, group, count, j, excluded[g]);
            lanes_mul(&inverse, chain, &prefix[k]);
            lanes_mul(chain, chain, &difference);
            lanes_chord(&group[j], &group[count - 1 - j], &inverse);
        }
    }
}

static size_t lanes_groups(size_t n) { return (n + FB_LANES - 1) / FB_LANES; }

static size_t lanes_sum_bytes(size_t n, unsigned points)
{
    return lanes_groups(n) * (points * sizeof(lanes_point) + points / 2 * sizeof(lanes_fe));
}

/* Load every group's points; lanes past the last signature are excluded. */
LANES_TARGET static void lanes_gather(lanes_point *all, __mmask8 *excluded, const uint8_t *excluded_bytes,
                                      const fb_ref *refs, size_t n, unsigned points)
{
    for (size_t g = 0; g < lanes_groups(n); g++) {
        unsigned left_out = 0;
        for (size_t lane = 0; lane < FB_LANES; lane++)
            if (g * FB_LANES + lane >= n || excluded_bytes[g * FB_LANES + lane])
                left_out |= 1u << lane;
        excluded[g] = (__mmask8)left_out;
        for (unsigned j = 0; j < points; j++)
            lanes_load(&all[g * points + j], refs + g * FB_LANES * points + j, points, (__mmask8)~excluded[g]);
    }
}

/* Plain x of every included signature. */
LANES_TARGET static void lanes_results(uint64_t *x, uint8_t *excluded_bytes, const lanes_point *all,
                                       const __mmask8 *excluded, size_t n, unsigned points)
{
    static const uint64_t unit[LANES_LIMBS] = {1};
    lanes_fe plain, one;
    lanes_broadcast(&one, unit);
    for (size_t g = 0; g < lanes_groups(n); g++) {
        lanes_mul(&plain, &all[g * points].x, &one);
        for (unsigned lane = 0; lane < FB_LANES && g * FB_LANES + lane < n; lane++) {
            size_t i = g * FB_LANES + lane;
            if ((excluded[g] >> lane & 1) != 0)
                excluded_bytes[i] = 1;
            else
                lanes_lane_words(x + i * LANES_WORDS, &plain, lane, LANES_CURVE()->p);
        }
    }
}

LANES_TARGET static void lanes_sum(uint64_t *x, uint8_t *excluded_bytes, void *work, const fb_ref *refs, size_t n,
                                   unsigned points)
{
    lanes_point *all = work;
    size_t groups = lanes_groups(n);
    lanes_fe *prefix = (lanes_fe *)(void *)(all + groups * points), chains[LANES_CHAINS];
    __mmask8 excluded[RJ_BATCH_MAX / FB_LANES];

    lanes_gather(all, excluded, excluded_bytes, refs, n, points);
    for (unsigned count = points; count > 1; count = (count + 1) / 2) {
        if (!lanes_level_products(chains, prefix, all, excluded, groups, points, count)) {
            lanes_level_exclude_degenerate(excluded, all, groups, points, count);
            if (!lanes_level_products(chains, prefix, all, excluded, groups, points, count)) {
                memset(excluded_bytes, 1, n); /* cannot happen: what is left has no zero factor */
                return;
            }
        }
        lanes_level_add(all, chains, prefix, excluded, groups, points, count);
    }
    lanes_results(x, excluded_bytes, all, excluded, n, points);
}

/* Write one stored point as plain words. */
LANES_TARGET static void lanes_plain(uint64_t *x, uint64_t *y, const uint64_t *point)
{
    static const uint64_t unit[LANES_LIMBS] = {1};
    fb_ref ref = (fb_ref)point;
    lanes_point p;
    lanes_fe one;
    lanes_load(&p, &ref, 0, 1);
    lanes_broadcast(&one, unit);
    lanes_mul(&p.x, &p.x, &one);
    lanes_mul(&p.y, &p.y, &one);
    lanes_lane_words(x, &p.x, 0, LANES_CURVE()->p);
    lanes_lane_words(y, &p.y, 0, LANES_CURVE()->p);
}

#endif
