/* fixedbase_fill.h: fill a table with the odd multiples of a point, in affine coordinates.
 *
 * A template, included after a field header (field_*.h) by the file of one curve, which defines FILL_CURVE_A
 * (-3 or 0). Additions and doublings of one step share one inversion (Montgomery's trick).
 */
#ifndef RJ_FIXEDBASE_FILL_H
#define RJ_FIXEDBASE_FILL_H

typedef struct {
    fe x, y;
} fill_point;

/* r = 1 / a; returns 0 when a is zero. */
static int fill_invert(fe *r, const fe *a, const inverse_modulus *mod_p)
{
    uint64_t plain[WORDS_MAX];
    fe_to_words(plain, a);
    if (!rj_inverse_vartime(plain, plain, FE_WORDS, mod_p))
        return 0;
    fe_from_words(r, plain);
    return 1;
}

/* The numerator and denominator of the tangent's slope: 3x^2 + a, 2y. */
WORDS_INLINE void fill_tangent(fe *numerator, fe *denominator, const fill_point *p)
{
    fe square;
    fe_sqr(&square, &p->x);
#if FILL_CURVE_A == -3
    fe_sub(&square, &square, &fe_one);
#endif
    fe_add(numerator, &square, &square);
    fe_add(numerator, numerator, &square);
    fe_add(denominator, &p->y, &p->y);
}

/* r = the third point on the line of this slope through p and a point whose x is other_x, reflected. */
WORDS_INLINE void fill_chord(fill_point *r, const fill_point *p, const fe *other_x, const fe *slope)
{
    fe x, y;
    fe_sqr(&x, slope);
    fe_sub(&x, &x, &p->x);
    fe_sub(&x, &x, other_x);
    fe_sub(&y, &p->x, &x);
    fe_mul(&y, &y, slope);
    fe_sub(&r->y, &y, &p->y);
    r->x = x;
}

/* Double a point with an inversion of its own. */
static int fill_double(fill_point *r, const fill_point *p, const inverse_modulus *mod_p)
{
    fe numerator, denominator;
    fe other_x = p->x;
    fill_tangent(&numerator, &denominator, p);
    if (!fill_invert(&denominator, &denominator, mod_p))
        return 0;
    fe_mul(&numerator, &numerator, &denominator);
    fill_chord(r, p, &other_x, &numerator);
    return 1;
}

/* One step of all rows: points [known .. 2 known) are points [0 .. known) plus step, then step doubles.
 * In: steps[i] = 2 known * 2^(width i) P. Prefix has a place for every addition and doubling. */
static int fill_grow(fill_point *rows, fill_point *steps, fe *prefix, const fb_shape *shape, size_t known,
                     const inverse_modulus *mod_p)
{
    size_t row_points = (size_t)1 << (shape->width - 1), k = 0;
    fe product = fe_one, numerator, denominator, slope;

    for (size_t i = 0; i < shape->windows; i++) {
        for (size_t j = 0; j < known; j++) {
            fe_sub(&denominator, &steps[i].x, &rows[i * row_points + j].x);
            prefix[k++] = product;
            fe_mul(&product, &product, &denominator);
        }
        fill_tangent(&numerator, &denominator, &steps[i]);
        prefix[k++] = product;
        fe_mul(&product, &product, &denominator);
    }
    if (!fill_invert(&product, &product, mod_p))
        return 0;
    for (size_t i = shape->windows; i-- > 0;) {
        fill_point step = steps[i];
        fill_tangent(&numerator, &denominator, &step);
        fe_mul(&slope, &product, &prefix[--k]);
        fe_mul(&product, &product, &denominator);
        fe_mul(&slope, &slope, &numerator);
        fill_chord(&steps[i], &step, &step.x, &slope);
        for (size_t j = known; j-- > 0;) {
            fill_point *p = &rows[i * row_points + j];
            fe_sub(&denominator, &step.x, &p->x);
            fe_mul(&slope, &product, &prefix[--k]);
            fe_mul(&product, &product, &denominator);
            fe_sub(&numerator, &step.y, &p->y);
            fe_mul(&slope, &slope, &numerator);
            fill_chord(&rows[i * row_points + known + j], p, &step.x, &slope);
        }
    }
    return 1;
}

static size_t fill_prefix_count(const fb_shape *shape)
{
    return shape->windows * (((size_t)1 << (shape->width - 1)) / 2 + 1);
}

static size_t fill_bytes(const fb_shape *shape)
{
    return shape->windows * sizeof(fill_point) + fill_prefix_count(shape) * sizeof(fe);
}

static int fill_rows(uint64_t *rows_words, const fb_shape *shape, const uint64_t *x, const uint64_t *y, void *scratch)
{
    fill_point *rows = (fill_point *)(void *)rows_words, *steps = scratch, p;
    fe *prefix = (fe *)(void *)(steps + shape->windows);
    size_t row_points = (size_t)1 << (shape->width - 1);
    const inverse_modulus *mod_p = &FILL_CURVE()->mod_p;

    fe_from_words(&p.x, x);
    fe_from_words(&p.y, y);
    for (size_t i = 0; i < shape->windows; i++) { /* window i starts at 2^(width i) P */
        rows[i * row_points] = p;
        for (unsigned bit = 0; bit < shape->width; bit++) {
            if (!fill_double(&p, &p, mod_p))
                return 0;
            if (bit == 0)
                steps[i] = p;
        }
    }
    for (size_t known = 1; known < row_points; known *= 2)
        if (!fill_grow(rows, steps, prefix, shape, known, mod_p))
            return 0;
    return 1;
}

static void fill_to_lanes(uint64_t *rows, size_t coordinates)
{
    for (size_t i = 0; i < coordinates; i++)
        fe_to_lanes(rows + i * FE_WORDS, (const fe *)(const void *)(rows + i * FE_WORDS));
}

static void fill_plain(uint64_t *x, uint64_t *y, const uint64_t *point)
{
    const fill_point *p = (const fill_point *)(const void *)point;
    fe_to_words(x, &p->x);
    fe_to_words(y, &p->y);
}

#endif
