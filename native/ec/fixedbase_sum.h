/* fixedbase_sum.h: sums of table points, one signature's points at a time in plain C.
 *
 * A template, included after a field header and fixedbase_fill.h. The batch sums as a binary tree in affine
 * coordinates with one shared inversion a level; the single sum stays projective and never inverts.
 */
#ifndef RJ_FIXEDBASE_SUM_H
#define RJ_FIXEDBASE_SUM_H

/* Take a table point, or its negative. */
WORDS_INLINE void sum_load(fill_point *r, fb_ref ref)
{
    const fill_point *p = (const fill_point *)(const void *)FB_REF_POINT(ref);
    static const fe zero = {{0}};
    r->x = p->x;
    if (FB_REF_NEGATIVE(ref))
        fe_sub(&r->y, &zero, &p->y);
    else
        r->y = p->y;
}

/* The running products of every pair's x difference; returns 0 when the whole product is zero. */
static int sum_level_products(fe *inverse, fe *prefix, const fill_point *points, const uint8_t *excluded, size_t n,
                              unsigned stride, unsigned count, const inverse_modulus *mod_p)
{
    fe product = fe_one, difference;
    unsigned half = count / 2;

    for (size_t i = 0; i < n; i++) {
        const fill_point *p = points + i * stride;
        if (excluded[i])
            continue;
        for (unsigned j = 0; j < half; j++) {
            fe_sub(&difference, &p[count - 1 - j].x, &p[j].x);
            prefix[i * half + j] = product;
            fe_mul(&product, &product, &difference);
        }
    }
    return fill_invert(inverse, &product, mod_p);
}

/* Mark every signature that has a pair of equal x on this level. */
static void sum_level_exclude_degenerate(uint8_t *excluded, const fill_point *points, size_t n, unsigned stride,
                                         unsigned count)
{
    for (size_t i = 0; i < n; i++) {
        const fill_point *p = points + i * stride;
        for (unsigned j = 0; j < count / 2 && !excluded[i]; j++) {
            fe difference;
            fe_sub(&difference, &p[count - 1 - j].x, &p[j].x);
            if (fe_is_zero(&difference))
                excluded[i] = 1; /* equal or opposite points: the chord does not exist */
        }
    }
}

/* Add the pairs (j, count - 1 - j) of every included signature, the sum in place j; backwards through the products. */
static void sum_level_add(fill_point *points, fe *inverse, const fe *prefix, const uint8_t *excluded, size_t n,
                          unsigned stride, unsigned count)
{
    unsigned half = count / 2;

    for (size_t i = n; i-- > 0;) {
        fill_point *p = points + i * stride;
        if (excluded[i])
            continue;
        for (unsigned j = half; j-- > 0;) {
            fill_point *q = &p[count - 1 - j];
            fe difference, slope;
            fe_sub(&difference, &q->x, &p[j].x);
            fe_mul(&slope, inverse, &prefix[i * half + j]);
            fe_mul(inverse, inverse, &difference);
            fe_sub(&difference, &q->y, &p[j].y);
            fe_mul(&slope, &slope, &difference);
            fill_chord(&p[j], &p[j], &q->x, &slope);
        }
    }
}

static size_t sum_bytes(size_t n, unsigned points)
{
    return n * points * sizeof(fill_point) + n * (points / 2) * sizeof(fe);
}

static void sum_batch(uint64_t *x, uint8_t *excluded, void *work, const fb_ref *refs, size_t n, unsigned points)
{
    fill_point *all = work;
    fe *prefix = (fe *)(void *)(all + n * points), inverse;
    const inverse_modulus *mod_p = &FILL_CURVE()->mod_p;

    for (size_t i = 0; i < n; i++)
        for (unsigned j = 0; j < points && !excluded[i]; j++)
            sum_load(&all[i * points + j], refs[i * points + j]);
    for (unsigned count = points; count > 1; count = (count + 1) / 2) {
        if (!sum_level_products(&inverse, prefix, all, excluded, n, points, count, mod_p)) {
            sum_level_exclude_degenerate(excluded, all, n, points, count);
            if (!sum_level_products(&inverse, prefix, all, excluded, n, points, count, mod_p)) {
                for (size_t i = 0; i < n; i++)
                    excluded[i] = 1; /* cannot happen: what is left has no zero factor */
                return;
            }
        }
        sum_level_add(all, &inverse, prefix, excluded, n, points, count);
    }
    for (size_t i = 0; i < n; i++)
        if (!excluded[i])
            fe_to_words(x + i * FE_WORDS, &all[i * points].x);
}

/* A point with x = X / ZZ, y = Y / ZZZ, ZZ^3 = ZZZ^2. */
typedef struct {
    fe x, y, zz, zzz;
} sum_extended;

/* acc += p. When both have the same x, ZZ becomes zero and stays so: the caller looks once, at the end.
 * Source: Sutherland's XYZZ, "madd-2008-s" of the Explicit-Formulas Database. */
static void sum_add_mixed(sum_extended *acc, const fill_point *p)
{
    fe u, s, dx, dy, dx2, dx3, q, t;
    fe_mul(&u, &p->x, &acc->zz);
    fe_mul(&s, &p->y, &acc->zzz);
    fe_sub(&dx, &u, &acc->x);
    fe_sub(&dy, &s, &acc->y);
    fe_sqr(&dx2, &dx);
    fe_mul(&dx3, &dx, &dx2);
    fe_mul(&q, &acc->x, &dx2);
    fe_sqr(&t, &dy);
    fe_sub(&t, &t, &dx3);
    fe_sub(&t, &t, &q);
    fe_sub(&acc->x, &t, &q);
    fe_sub(&q, &q, &acc->x);
    fe_mul(&q, &q, &dy);
    fe_mul(&t, &acc->y, &dx3);
    fe_sub(&acc->y, &q, &t);
    fe_mul(&acc->zz, &acc->zz, &dx2);
    fe_mul(&acc->zzz, &acc->zzz, &dx3);
}

/* x = X / ZZ is one of the candidates when X = r ZZ. */
static uint8_t sum_check_one(const fb_ref *refs, unsigned points, const uint64_t r[2][WORDS_MAX], unsigned r_count)
{
    fill_point p;
    sum_extended acc;

    sum_load(&p, refs[0]);
    acc.x = p.x;
    acc.y = p.y;
    acc.zz = fe_one;
    acc.zzz = fe_one;
    for (unsigned j = 1; j < points; j++) {
        sum_load(&p, refs[j]);
        sum_add_mixed(&acc, &p);
    }
    if (fe_is_zero(&acc.zz))
        return RJ_UNDECIDED; /* some addition met equal or opposite points */
    for (unsigned i = 0; i < r_count; i++) {
        fe expected;
        fe_from_words(&expected, r[i]);
        fe_mul(&expected, &expected, &acc.zz);
        if (fe_equal(&expected, &acc.x))
            return RJ_OK;
    }
    return RJ_SIGNATURE_INVALID; /* FIPS 186-5 s.6.4.2 step 6: x modulo n differs from r */
}

#endif
