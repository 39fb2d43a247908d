/* fixedbase.c: build a table, check it against libcrypto, and verify with it; see fixedbase.h. */
#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE

#include <stdlib.h>
#include <string.h>

#include "ec/fixedbase_internal.h"

/* ---- sizes ---- */

size_t rj_fixedbase_coord_bytes(rj_curve curve)
{
    const fb_curve *c = rj_fb_curve(curve);
    return c == NULL ? 0 : c->coord_bytes;
}

static size_t fixedbase_rows_bytes(const fb_curve *c, unsigned width)
{
    return ((size_t)rj_fb_windows(c, width) << (width - 1)) * 2 * c->words * sizeof(uint64_t);
}

static int fixedbase_is_size(rj_fixedbase_size size) { return (unsigned)size < RJ_FIXEDBASE_SIZES; }

size_t rj_fixedbase_bytes(rj_curve curve, rj_fixedbase_size size)
{
    const fb_curve *c = rj_fb_curve(curve);
    if (c == NULL || !fixedbase_is_size(size))
        return 0;
    return sizeof(rj_fixedbase) + fixedbase_rows_bytes(c, c->key_widths[size]) + FB_TABLE_ALIGN;
}

size_t rj_fixedbase_generator_bytes(rj_curve curve)
{
    const fb_curve *c = rj_fb_curve(curve);
    return c == NULL ? 0 : sizeof(rj_fixedbase) + fixedbase_rows_bytes(c, c->generator_width) + FB_TABLE_ALIGN;
}

const char *rj_fixedbase_field_ops(const rj_fixedbase *table) { return table->ops->name; }

/* ---- one table ---- */

static const fb_field_ops *fixedbase_ops(rj_curve curve, unsigned flags)
{
    const fb_field_ops *lanes = (flags & RJ_FIXEDBASE_PORTABLE) != 0 ? NULL : rj_fb_lanes(curve);
    return lanes != NULL ? lanes : rj_fb_portable(curve);
}

void rj_fixedbase_free(rj_fixedbase *table)
{
    if (table == NULL)
        return;
    free(table->rows_memory);
    free(table);
}

/* Reserve an empty table of the generator, or of a key. */
static rj_fixedbase *fixedbase_reserve(rj_curve curve, unsigned width, unsigned is_generator, unsigned flags)
{
    const fb_curve *c = rj_fb_curve(curve);
    rj_fixedbase *table = calloc(1, sizeof *table);

    if (table == NULL)
        return NULL;
    table->curve = c;
    table->ops = fixedbase_ops(curve, flags);
    table->flags = flags;
    table->is_generator = is_generator;
    table->shape.width = width;
    table->shape.windows = rj_fb_windows(c, table->shape.width);
    table->rows_memory = malloc(fixedbase_rows_bytes(c, table->shape.width) + FB_TABLE_ALIGN);
    if (table->rows_memory == NULL) {
        free(table);
        return NULL;
    }
    table->rows = rj_fb_align(table->rows_memory);
    return table;
}

static rj_status fixedbase_fill(rj_fixedbase *table, rj_curve curve, const uint64_t *x, const uint64_t *y)
{
    const fb_table_builder *builder = rj_fb_table_builder(curve);
    void *scratch = malloc(builder->fill_bytes(&table->shape));
    int filled;

    if (scratch == NULL)
        return RJ_NO_MEMORY;
    filled = builder->fill(table->rows, &table->shape, x, y, scratch);
    free(scratch);
    if (filled && table->ops != rj_fb_portable(curve))
        builder->to_lanes(table->rows, ((size_t)table->shape.windows << (table->shape.width - 1)) * 2);
    return filled ? RJ_OK : RJ_LIBCRYPTO_FAILED; /* no point of prime order has a degenerate multiple here */
}

/* Build the table of a point that libcrypto has found to be on the curve. */
static rj_status fixedbase_build_point(rj_fixedbase **out, rj_curve curve, unsigned width, const uint8_t *xy,
                                       unsigned is_generator, unsigned flags)
{
    const fb_curve *c = rj_fb_curve(curve);
    uint64_t x[WORDS_MAX], y[WORDS_MAX];
    rj_fixedbase *table = fixedbase_reserve(curve, width, is_generator, flags);
    rj_status status;

    if (table == NULL)
        return RJ_NO_MEMORY;
    rj_fb_words_from_be(x, c->words, xy, c->coord_bytes);
    rj_fb_words_from_be(y, c->words, xy + c->coord_bytes, c->coord_bytes);
    status = fixedbase_fill(table, curve, x, y);
    if (status == RJ_OK)
        status = rj_fb_selftest_compare(table, xy);
    if (status != RJ_OK) {
        rj_fixedbase_free(table);
        return status;
    }
    *out = table;
    return RJ_OK;
}

rj_status rj_fixedbase_build(rj_fixedbase **out, rj_curve curve, rj_fixedbase_size size, const uint8_t *xy,
                             size_t xy_len, unsigned flags)
{
    const fb_curve *c = rj_fb_curve(curve);
    rj_status status;

    if (c == NULL || !fixedbase_is_size(size) || xy_len != 2 * (size_t)c->coord_bytes
        || (flags & ~RJ_FIXEDBASE_PORTABLE) != 0)
        return RJ_BAD_ARGUMENT; /* the caller's mistake: curve, size, length or flags */
    status = rj_fb_selftest_on_curve(c, xy);
    return status == RJ_OK ? fixedbase_build_point(out, curve, c->key_widths[size], xy, 0, flags) : status;
}

rj_status rj_fixedbase_build_generator(rj_fixedbase **out, rj_curve curve, unsigned flags)
{
    const fb_curve *c = rj_fb_curve(curve);
    uint8_t xy[2 * 8 * WORDS_MAX];
    rj_status status;

    if (c == NULL || (flags & ~RJ_FIXEDBASE_PORTABLE) != 0)
        return RJ_BAD_ARGUMENT; /* the caller's mistake: curve or flags */
    status = rj_fb_selftest_generator(xy, c);
    return status == RJ_OK ? fixedbase_build_point(out, curve, c->generator_width, xy, 1, flags) : status;
}

#else

/* A compiler without 128-bit integers: every entry point refuses, and libcrypto verifies. */

rj_status rj_fixedbase_build(rj_fixedbase **out, rj_curve curve, rj_fixedbase_size size, const uint8_t *xy,
                             size_t xy_len, unsigned flags)
{
    (void)out, (void)curve, (void)size, (void)xy, (void)xy_len, (void)flags;
    return RJ_NOT_NATIVE; /* no arithmetic in this build */
}

rj_status rj_fixedbase_build_generator(rj_fixedbase **out, rj_curve curve, unsigned flags)
{
    (void)out, (void)curve, (void)flags;
    return RJ_NOT_NATIVE; /* no arithmetic in this build */
}

void rj_fixedbase_free(rj_fixedbase *table) { (void)table; }

size_t rj_fixedbase_coord_bytes(rj_curve curve)
{
    (void)curve;
    return 0;
}

size_t rj_fixedbase_bytes(rj_curve curve, rj_fixedbase_size size)
{
    (void)curve, (void)size;
    return 0;
}

size_t rj_fixedbase_generator_bytes(rj_curve curve)
{
    (void)curve;
    return 0;
}

const char *rj_fixedbase_field_ops(const rj_fixedbase *table)
{
    (void)table;
    return "none";
}

size_t rj_fixedbase_work_bytes(rj_curve curve, size_t n)
{
    (void)curve, (void)n;
    return 0;
}

rj_status rj_fixedbase_verify_batch(uint8_t *verdicts, const rj_signature_check *const *checks, size_t n, void *work,
                                    size_t work_bytes)
{
    (void)verdicts, (void)checks, (void)n, (void)work, (void)work_bytes;
    return RJ_NOT_NATIVE; /* no arithmetic in this build */
}

rj_status rj_fixedbase_verify_one(uint8_t *verdict, const rj_signature_check *check)
{
    (void)verdict, (void)check;
    return RJ_NOT_NATIVE; /* no arithmetic in this build */
}

#endif
