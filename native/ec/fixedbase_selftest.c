/* fixedbase_selftest.c: a table's self-test: its points and their multiples against libcrypto's. */
#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "ec/fixedbase_internal.h"

/* The libcrypto objects of one question. */
typedef struct {
    const fb_curve *curve;
    EC_GROUP *group;
    EC_POINT *point, *multiple;
    BN_CTX *ctx;
    BIGNUM *x, *y, *k;
} selftest;

static int selftest_open(selftest *o, const fb_curve *curve)
{
    (void)ERR_set_mark();
    o->curve = curve;
    o->group = EC_GROUP_new_by_curve_name(curve->nid);
    o->point = o->group != NULL ? EC_POINT_new(o->group) : NULL;
    o->multiple = o->group != NULL ? EC_POINT_new(o->group) : NULL;
    o->ctx = BN_CTX_new();
    o->x = BN_new();
    o->y = BN_new();
    o->k = BN_new();
    return o->point != NULL && o->multiple != NULL && o->ctx != NULL && o->x != NULL && o->y != NULL && o->k != NULL;
}

static void selftest_close(selftest *o)
{
    BN_free(o->k);
    BN_free(o->y);
    BN_free(o->x);
    BN_CTX_free(o->ctx);
    EC_POINT_free(o->multiple);
    EC_POINT_free(o->point);
    EC_GROUP_free(o->group);
    (void)ERR_pop_to_mark();
}

/* Set o->point; RJ_KEY_MALFORMED for coordinates at or above p or off the curve. */
static rj_status selftest_set_point(selftest *o, const uint8_t *xy)
{
    const fb_curve *curve = o->curve;
    uint64_t x[WORDS_MAX], y[WORDS_MAX];

    rj_fb_words_from_be(x, curve->words, xy, curve->coord_bytes);
    rj_fb_words_from_be(y, curve->words, xy + curve->coord_bytes, curve->coord_bytes);
    if (!words_less(x, curve->p, curve->words) || !words_less(y, curve->p, curve->words))
        return RJ_KEY_MALFORMED; /* SEC 1 s.2.3.4: coordinates are below p */
    if (BN_bin2bn(xy, (int)curve->coord_bytes, o->x) == NULL
        || BN_bin2bn(xy + curve->coord_bytes, (int)curve->coord_bytes, o->y) == NULL)
        return RJ_LIBCRYPTO_FAILED;
    if (EC_POINT_set_affine_coordinates(o->group, o->point, o->x, o->y, o->ctx) != 1)
        return RJ_KEY_MALFORMED; /* SEC 1 s.3.2.2.1: not on the curve */
    return RJ_OK;
}

rj_status rj_fb_selftest_on_curve(const fb_curve *curve, const uint8_t *xy)
{
    selftest o;
    rj_status status = RJ_LIBCRYPTO_FAILED;

    if (selftest_open(&o, curve))
        status = selftest_set_point(&o, xy);
    selftest_close(&o);
    return status;
}

rj_status rj_fb_selftest_generator(uint8_t *xy, const fb_curve *curve)
{
    selftest o;
    rj_status status = RJ_LIBCRYPTO_FAILED;
    int width = (int)curve->coord_bytes;

    if (selftest_open(&o, curve)
        && EC_POINT_get_affine_coordinates(o.group, EC_GROUP_get0_generator(o.group), o.x, o.y, o.ctx) == 1
        && BN_bn2binpad(o.x, xy, width) == width && BN_bn2binpad(o.y, xy + width, width) == width)
        status = RJ_OK;
    selftest_close(&o);
    return status;
}

/* Plain words of o->k times the point. */
static int selftest_multiply(selftest *o, uint64_t *x, uint64_t *y)
{
    uint8_t bytes[8 * WORDS_MAX];
    int width = (int)o->curve->coord_bytes;

    if (EC_POINT_mul(o->group, o->multiple, NULL, o->point, o->k, o->ctx) != 1
        || EC_POINT_get_affine_coordinates(o->group, o->multiple, o->x, o->y, o->ctx) != 1)
        return 0;
    if (BN_bn2binpad(o->x, bytes, width) != width)
        return 0;
    rj_fb_words_from_be(x, o->curve->words, bytes, (size_t)width);
    if (BN_bn2binpad(o->y, bytes, width) != width)
        return 0;
    rj_fb_words_from_be(y, o->curve->words, bytes, (size_t)width);
    return 1;
}

/* Whether the stored point (window, index) is (2 index + 1) 2^(width window) P. */
static int selftest_entry_agrees(selftest *o, const rj_fixedbase *table, unsigned window, unsigned index)
{
    unsigned words = o->curve->words, row_points = 1u << (table->shape.width - 1);
    uint64_t x[WORDS_MAX], y[WORDS_MAX], stored_x[WORDS_MAX], stored_y[WORDS_MAX];

    if (BN_set_word(o->k, 2 * (BN_ULONG)index + 1) != 1
        || BN_lshift(o->k, o->k, (int)(table->shape.width * window)) != 1 || !selftest_multiply(o, x, y))
        return 0;
    table->ops->plain(stored_x, stored_y, table->rows + ((size_t)window * row_points + index) * 2 * words);
    return words_equal(x, stored_x, words) && words_equal(y, stored_y, words);
}

/* Scalars of the self-test: bytes of this pattern, cut to the curve's width; below n and one of each parity. */
static const uint8_t selftest_patterns[2] = {0x5b, 0x36};
#define SELFTEST_SUMS (FB_LANES + 1) /* more than one vector */

/* Whether both ways of summing agree with libcrypto on the two scalars. */
static int selftest_sums_agree(selftest *o, const rj_fixedbase *table, void *work, fb_ref *refs)
{
    unsigned words = o->curve->words, windows = table->shape.windows;
    uint64_t k[WORDS_MAX], x[2][WORDS_MAX], y[WORDS_MAX], sums[SELFTEST_SUMS * WORDS_MAX];
    uint8_t bytes[8 * WORDS_MAX], excluded[SELFTEST_SUMS] = {0};

    for (unsigned i = 0; i < SELFTEST_SUMS; i++) {
        memset(bytes, selftest_patterns[i & 1], o->curve->coord_bytes);
        bytes[0] = 0; /* below n on every curve */
        rj_fb_words_from_be(k, words, bytes, o->curve->coord_bytes);
        rj_fb_refs_write(refs + i * windows, table, k);
        if (i < 2 && (BN_bin2bn(bytes, (int)o->curve->coord_bytes, o->k) == NULL || !selftest_multiply(o, x[i], y)))
            return 0;
    }
    table->ops->sum(sums, excluded, work, refs, SELFTEST_SUMS, windows);
    for (unsigned i = 0; i < SELFTEST_SUMS; i++)
        if (excluded[i] || !words_equal(sums + i * words, x[i & 1], words))
            return 0;
    return table->ops->check_one(refs, windows, (const uint64_t (*)[WORDS_MAX])x, 1) == RJ_OK
        && table->ops->check_one(refs + windows, windows, (const uint64_t (*)[WORDS_MAX])x, 2) == RJ_OK
        && table->ops->check_one(refs + windows, windows, (const uint64_t (*)[WORDS_MAX])x, 1) == RJ_SIGNATURE_INVALID;
}

rj_status rj_fb_selftest_compare(const rj_fixedbase *table, const uint8_t *xy)
{
    selftest o;
    rj_status status = RJ_LIBCRYPTO_FAILED;
    unsigned top = table->shape.windows - 1, last = (1u << (table->shape.width - 1)) - 1;
    fb_ref *refs = malloc(SELFTEST_SUMS * table->shape.windows * sizeof *refs);
    uint8_t *work = malloc(table->ops->sum_bytes(SELFTEST_SUMS, table->shape.windows) + FB_TABLE_ALIGN);

    if (selftest_open(&o, table->curve) && refs != NULL && work != NULL && selftest_set_point(&o, xy) == RJ_OK
        && selftest_entry_agrees(&o, table, 0, 0) && selftest_entry_agrees(&o, table, top / 2, last / 3)
        && selftest_entry_agrees(&o, table, top, last) && selftest_sums_agree(&o, table, rj_fb_align(work), refs))
        status = RJ_OK;
    free(work);
    free(refs);
    selftest_close(&o);
    return status;
}

#else
typedef int selftest_empty;
#endif
