/* ed25519_point.c: points of -x^2 + y^2 = 1 + d x^2 y^2 in plain C (RFC 8032 s.5.1).
 *
 * The addition formulas are complete for this curve (-1 is a square, d is none), so no input is exceptional.
 */
#include "ec/ed25519_internal.h"

#if RJ_HAVE_ED25519

#include "ec/field_inverse.h"

static const f25519 point_d = {{0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
static const f25519 point_2d = {{0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff}};
static const f25519 point_root_of_minus_one = {
    {0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d}};
static const f25519 point_half = {
    {0x7fffffffffff7, 0x7ffffffffffff, 0x7ffffffffffff, 0x7ffffffffffff, 0x3ffffffffffff}};

/* RFC 8032 s.5.1: B, with T = XY */
const ed25519_point rj_ed25519_base = {
    {{0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5}},
    {{0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666}},
    {{1, 0, 0, 0, 0}},
    {{0x68ab3a5b7dda3, 0xeea2a5eadbb, 0x2af8df483c27e, 0x332b375274732, 0x67875f0fd78b7}}};

static const inverse_modulus point_modulus = {5,
                                              UINT64_C(0x39435e50d79435e5),
                                              {INT64_C(0x3fffffffffffffed), INT64_C(0x3fffffffffffffff),
                                               INT64_C(0x3fffffffffffffff), INT64_C(0x3fffffffffffffff), 0x7f}};

int rj_ed25519_invert(f25519 *r, const f25519 *a)
{
    uint64_t words[4];

    f25519_to_words(words, a);
    if (!rj_inverse_vartime(words, words, 4, &point_modulus)) {
        return 0;
    }
    f25519_from_words(r, words);
    return 1;
}

void rj_ed25519_point_identity(ed25519_point *r)
{
    r->x = f25519_zero;
    r->y = f25519_one;
    r->z = f25519_one;
    r->t = f25519_zero;
}

void rj_ed25519_point_negate(ed25519_point *r, const ed25519_point *a)
{
    f25519_subtract(&r->x, &f25519_zero, &a->x);
    f25519_canonical(&r->x, &r->x);
    f25519_subtract(&r->t, &f25519_zero, &a->t);
    f25519_canonical(&r->t, &r->t);
    r->y = a->y;
    r->z = a->z;
}

/* The last four products of every addition: (e f, g h, f g, e h). */
F25519_INLINE void point_finish(ed25519_point *r, const f25519 *e, const f25519 *f, const f25519 *g, const f25519 *h)
{
    f25519_multiply(&r->x, e, f);
    f25519_multiply(&r->y, g, h);
    f25519_multiply(&r->z, f, g);
    f25519_multiply(&r->t, e, h);
}

/* RFC 8032 s.5.1.4 */
void rj_ed25519_point_add(ed25519_point *r, const ed25519_point *p, const ed25519_point *q)
{
    f25519 a, b, c, d, e, f, g, h;

    f25519_subtract(&a, &p->y, &p->x);
    f25519_subtract(&b, &q->y, &q->x);
    f25519_multiply(&a, &a, &b);
    f25519_add(&b, &p->y, &p->x);
    f25519_add(&c, &q->y, &q->x);
    f25519_multiply(&b, &b, &c);
    f25519_multiply(&c, &p->t, &q->t);
    f25519_multiply(&c, &c, &point_2d);
    f25519_multiply(&d, &p->z, &q->z);
    f25519_add(&d, &d, &d);
    f25519_subtract(&e, &b, &a);
    f25519_subtract(&f, &d, &c);
    f25519_add(&g, &d, &c);
    f25519_add(&h, &b, &a);
    point_finish(r, &e, &f, &g, &h);
}

void rj_ed25519_point_multiply(ed25519_point *r, const ed25519_point *a, const uint8_t scalar32[32])
{
    ed25519_point sum;

    rj_ed25519_point_identity(&sum);
    for (int i = 255; i >= 0; i--) {
        rj_ed25519_point_add(&sum, &sum, &sum);
        if ((scalar32[i / 8] >> (i % 8) & 1) != 0) {
            rj_ed25519_point_add(&sum, &sum, a);
        }
    }
    *r = sum;
}

/* As rj_ed25519_point_add with half of everything, for a point of a table. */
F25519_INLINE void point_add_entry(ed25519_point *r, const ed25519_choice *choice)
{
    f25519 a, b, c, e, f, g, h;
    f25519 sum, difference, dxy;

    memcpy(sum.v, choice->negative != 0 ? choice->entry->half_difference : choice->entry->half_sum, sizeof(sum.v));
    memcpy(difference.v, choice->negative != 0 ? choice->entry->half_sum : choice->entry->half_difference,
           sizeof(difference.v));
    memcpy(dxy.v, choice->entry->dxy, sizeof(dxy.v));
    f25519_subtract(&a, &r->y, &r->x);
    f25519_multiply(&a, &a, &difference);
    f25519_add(&b, &r->y, &r->x);
    f25519_multiply(&b, &b, &sum);
    f25519_multiply(&c, &r->t, &dxy);
    f25519_subtract(&e, &b, &a);
    f25519_add(&h, &b, &a);
    if (choice->negative != 0) { /* c belongs negated */
        f25519_add(&f, &r->z, &c);
        f25519_subtract(&g, &r->z, &c);
    } else {
        f25519_subtract(&f, &r->z, &c);
        f25519_add(&g, &r->z, &c);
    }
    point_finish(r, &e, &f, &g, &h);
}

void rj_ed25519_sum(ed25519_point *r, const ed25519_choice choices[ED25519_POINTS])
{
    rj_ed25519_point_identity(r);
    for (int i = 0; i < ED25519_POINTS; i++) {
        point_add_entry(r, &choices[i]);
    }
}

/* r = a^((p - 5) / 8), that is a^(2^252 - 3) */
static void point_power(f25519 *r, const f25519 *a)
{
    f25519 power = *a;

    for (int bit = 250; bit >= 0; bit--) {
        f25519_square(&power, &power);
        if (bit != 1) {
            f25519_multiply(&power, &power, a);
        }
    }
    *r = power;
}

/* x from y. Returns 1, or 0 if (y^2 - 1) / (d y^2 + 1) is no square (RFC 8032 s.5.1.3 steps 2 and 3). */
static int point_recover_x(f25519 *x, const f25519 *y)
{
    f25519 u, v, v3, t;

    f25519_square(&t, y);
    f25519_subtract(&u, &t, &f25519_one);
    f25519_canonical(&u, &u);
    f25519_multiply(&v, &t, &point_d);
    f25519_add(&v, &v, &f25519_one);
    f25519_square(&v3, &v);
    f25519_multiply(&v3, &v3, &v);
    f25519_square(&t, &v3);
    f25519_multiply(&t, &t, &v);
    f25519_multiply(&t, &t, &u);
    point_power(&t, &t);
    f25519_multiply(&t, &t, &v3);
    f25519_multiply(x, &t, &u); /* u v^3 (u v^7)^((p-5)/8) */
    f25519_square(&t, x);
    f25519_multiply(&t, &t, &v);
    f25519_subtract(&v3, &t, &u);
    if (f25519_is_zero(&v3)) {
        return 1;
    }
    f25519_add(&v3, &t, &u);
    f25519_multiply(x, x, &point_root_of_minus_one);
    return f25519_is_zero(&v3);
}

rj_status rj_ed25519_point_decode(ed25519_point *out, const uint8_t key32[32])
{
    ed25519_point point;
    ed25519_point multiple;
    uint64_t words[4];
    uint64_t again[4];
    const uint64_t sign = key32[31] >> 7;

    f25519_load(words, key32);
    words[3] &= UINT64_MAX >> 1;
    f25519_from_words(&point.y, words);
    f25519_to_words(again, &point.y);
    if (memcmp(words, again, sizeof(words)) != 0) {
        return RJ_KEY_MALFORMED; /* RFC 8032 s.5.1.3 step 1: y >= p */
    }
    if (!point_recover_x(&point.x, &point.y)) {
        return RJ_KEY_MALFORMED; /* RFC 8032 s.5.1.3 step 3: no square root, not on the curve */
    }
    f25519_canonical(&point.x, &point.x);
    if (f25519_is_zero(&point.x) && sign != 0) {
        return RJ_KEY_MALFORMED; /* RFC 8032 s.5.1.3 step 4: x = 0 with the sign bit */
    }
    if ((point.x.v[0] & 1) != sign) {
        f25519_subtract(&point.x, &f25519_zero, &point.x);
        f25519_canonical(&point.x, &point.x);
    }
    point.z = f25519_one;
    f25519_multiply(&point.t, &point.x, &point.y);
    rj_ed25519_point_add(&multiple, &point, &point);
    rj_ed25519_point_add(&multiple, &multiple, &multiple);
    rj_ed25519_point_add(&multiple, &multiple, &multiple);
    if (f25519_is_zero(&multiple.x)) {
        return RJ_KEY_WEAK; /* RFC 8032 s.5.1: cofactor 8; [8]A is the identity, so A is of small order */
    }
    *out = point;
    return RJ_OK;
}

rj_status rj_ed25519_check_key(const uint8_t key32[32])
{
    ed25519_point point;

    return rj_ed25519_point_decode(&point, key32);
}

int rj_ed25519_entries(ed25519_entry *out, const ed25519_point *points, f25519 *scratch, size_t count)
{
    f25519 inverse = f25519_one;

    for (size_t i = 0; i < count; i++) { /* scratch[i] = the product of all Z before i */
        scratch[i] = inverse;
        f25519_multiply(&inverse, &inverse, &points[i].z);
    }
    if (!rj_ed25519_invert(&inverse, &inverse)) {
        return 0;
    }
    for (size_t i = count; i-- > 0;) {
        f25519 z_inverse, x, y, t;

        f25519_multiply(&z_inverse, &inverse, &scratch[i]);
        f25519_multiply(&inverse, &inverse, &points[i].z);
        f25519_multiply(&x, &points[i].x, &z_inverse);
        f25519_multiply(&y, &points[i].y, &z_inverse);
        f25519_add(&t, &y, &x);
        f25519_multiply(&t, &t, &point_half);
        f25519_canonical(&t, &t);
        memcpy(out[i].half_sum, t.v, sizeof(t.v));
        f25519_subtract(&t, &y, &x);
        f25519_multiply(&t, &t, &point_half);
        f25519_canonical(&t, &t);
        memcpy(out[i].half_difference, t.v, sizeof(t.v));
        f25519_multiply(&t, &x, &y);
        f25519_multiply(&t, &t, &point_d);
        f25519_canonical(&t, &t);
        memcpy(out[i].dxy, t.v, sizeof(t.v));
        out[i].unused = 0;
    }
    return 1;
}

void rj_ed25519_encode(uint8_t out32[32], const f25519 *x, const f25519 *y, const f25519 *z_inverse)
{
    f25519 affine;
    uint64_t words[4];

    f25519_multiply(&affine, x, z_inverse);
    f25519_canonical(&affine, &affine);
    const uint64_t sign = affine.v[0] & 1;
    f25519_multiply(&affine, y, z_inverse);
    f25519_to_words(words, &affine);
    words[3] |= sign << 63;
    f25519_store(out32, words);
}

#else
typedef int ed25519_point_empty;
#endif
