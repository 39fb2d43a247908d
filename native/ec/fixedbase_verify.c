/* fixedbase_verify.c: verify signatures with tables: numbers, scalars, table points, sums, comparison.
 *
 * FIPS 186-5 s.6.4.2. Never allocates; every verdict starts as RJ_UNDECIDED.
 */
#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE

#include <string.h>

#include "ec/fixedbase_internal.h"

/* The work buffer of one chunk, cut into its parts. */
typedef struct {
    fb_numbers *numbers;
    uint64_t (*prefix)[WORDS_MAX];
    uint64_t *x;
    fb_ref *refs;
    uint8_t *excluded;
    void *sum_work;
} verify_work;

/* Table points of one signature by these tables. */
static unsigned verify_points(const rj_signature_check *check)
{
    return check->generator.fixedbase->shape.windows + check->key.fixedbase->shape.windows;
}

/* The same by the smallest tables, which have the most windows. */
static unsigned verify_points_most(const fb_curve *curve)
{
    return rj_fb_windows(curve, curve->key_widths[RJ_FIXEDBASE_SMALL]) + rj_fb_windows(curve, curve->generator_width);
}

static size_t verify_round(size_t bytes) { return (bytes + FB_TABLE_ALIGN - 1) & ~(size_t)(FB_TABLE_ALIGN - 1); }

/* Cut the memory at this address for n signatures; from 0 on, only the size counts. Returns the end. */
static uintptr_t verify_cut(verify_work *work, uintptr_t at, const fb_curve *curve, size_t n)
{
    work->numbers = (fb_numbers *)at;
    at += verify_round(n * sizeof(fb_numbers));
    work->prefix = (uint64_t (*)[WORDS_MAX])at;
    at += verify_round(n * sizeof work->prefix[0]);
    work->x = (uint64_t *)at;
    at += verify_round(n * curve->words * sizeof(uint64_t));
    work->refs = (fb_ref *)at;
    at += verify_round(n * verify_points_most(curve) * sizeof(fb_ref));
    work->excluded = (uint8_t *)at;
    at += verify_round(n);
    work->sum_work = (void *)at;
    return at;
}

static size_t verify_chunk(size_t n) { return n < RJ_BATCH_MAX ? n : RJ_BATCH_MAX; }

size_t rj_fixedbase_work_bytes(rj_curve curve, size_t n)
{
    const fb_curve *c = rj_fb_curve(curve);
    const fb_field_ops *portable = rj_fb_portable(curve), *lanes = rj_fb_lanes(curve);
    size_t chunk = verify_chunk(n), most;
    verify_work ignored;

    if (c == NULL || n == 0)
        return 0;
    most = portable->sum_bytes(chunk, verify_points_most(c));
    if (lanes != NULL && lanes->sum_bytes(chunk, verify_points_most(c)) > most)
        most = lanes->sum_bytes(chunk, verify_points_most(c));
    return verify_cut(&ignored, 0, c, chunk) + most + FB_TABLE_ALIGN;
}

/* Tables of one curve, one arithmetic, and the roles they were built for; of one size where many are summed. */
static int verify_fits(const rj_signature_check *check, const rj_signature_check *first, size_t n)
{
    const rj_fixedbase *key = check->key.fixedbase, *generator = check->generator.fixedbase;
    const rj_fixedbase *other = first->key.fixedbase;

    return generator->is_generator && !key->is_generator && key->ops == generator->ops && key->curve == generator->curve
        && key->ops == other->ops && key->curve == other->curve
        && check->signature.len == 2 * rj_fixedbase_coord_bytes(key->curve->id) /* RFC 7518 s.3.4 */
        && (n <= key->ops->few || key->shape.width == other->shape.width);
}

/* Table points of u1 G and u2 Q. */
static void verify_refs(fb_ref *refs, const fb_numbers *numbers, const rj_signature_check *check)
{
    const rj_fixedbase *generator = check->generator.fixedbase;

    rj_fb_refs_write(refs, generator, numbers->s);
    rj_fb_refs_write(refs + generator->shape.windows, check->key.fixedbase, numbers->e);
}

static uint8_t verify_compare(const uint64_t *x, const fb_numbers *numbers, const fb_curve *curve)
{
    uint64_t r[2][WORDS_MAX];
    unsigned count = rj_fb_r_candidates(r, numbers, curve);
    for (unsigned i = 0; i < count; i++)
        if (words_equal(x, r[i], curve->words))
            return RJ_OK;
    return RJ_SIGNATURE_INVALID; /* FIPS 186-5 s.6.4.2 step 6: x modulo n differs from r */
}

/* Sum and compare one by one. */
static void verify_few(uint8_t *verdicts, const verify_work *work, const rj_signature_check *const *checks, size_t n,
                       const fb_curve *curve, unsigned stride)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t r[2][WORDS_MAX];
        unsigned r_count;
        if (work->excluded[i])
            continue;
        r_count = rj_fb_r_candidates(r, &work->numbers[i], curve);
        verdicts[i] = checks[i]->key.fixedbase->ops->check_one(work->refs + i * stride, verify_points(checks[i]),
                                                               (const uint64_t (*)[WORDS_MAX])r, r_count);
    }
}

/* Sum together, then compare. */
static void verify_many(uint8_t *verdicts, const verify_work *work, const fb_field_ops *ops, size_t n,
                        const fb_curve *curve, unsigned points)
{
    ops->sum(work->x, work->excluded, work->sum_work, work->refs, n, points);
    for (size_t i = 0; i < n; i++)
        if (!work->excluded[i])
            verdicts[i] = verify_compare(work->x + i * curve->words, &work->numbers[i], curve);
}

static void verify_run_chunk(uint8_t *verdicts, verify_work *work, const rj_signature_check *const *checks, size_t n)
{
    const fb_curve *curve = checks[0]->key.fixedbase->curve;
    int is_few = n <= checks[0]->key.fixedbase->ops->few; /* then sizes may differ */
    unsigned points = is_few ? verify_points_most(curve) : verify_points(checks[0]);

    for (size_t i = 0; i < n; i++) {
        verdicts[i] = rj_fb_numbers_read(&work->numbers[i], curve, checks[i]->signature.ptr, checks[i]->digest.ptr,
                                         checks[i]->digest.len);
        work->excluded[i] = verdicts[i] != RJ_OK;
        if (verdicts[i] == RJ_OK)
            verdicts[i] = RJ_UNDECIDED; /* until the comparison */
    }
    rj_fb_numbers_to_scalars(work->numbers, work->prefix, work->excluded, n, curve);
    for (size_t i = 0; i < n; i++)
        if (!work->excluded[i])
            verify_refs(work->refs + i * points, &work->numbers[i], checks[i]);
    if (is_few)
        verify_few(verdicts, work, checks, n, curve, points);
    else
        verify_many(verdicts, work, checks[0]->key.fixedbase->ops, n, curve, points);
}

rj_status rj_fixedbase_verify_batch(uint8_t *verdicts, const rj_signature_check *const *checks, size_t n, void *work,
                                    size_t work_bytes)
{
    verify_work cut;
    const fb_curve *curve;

    if (n == 0)
        return RJ_OK;
    for (size_t i = 0; i < n; i++)
        if (!verify_fits(checks[i], checks[0], n))
            return RJ_BAD_ARGUMENT; /* the caller's mistake: mixed curves, sizes, flags, roles, lengths */
    curve = checks[0]->key.fixedbase->curve;
    if (work_bytes < rj_fixedbase_work_bytes(curve->id, n))
        return RJ_BAD_ARGUMENT; /* the caller's mistake: work is too small */
    (void)verify_cut(&cut, (uintptr_t)rj_fb_align(work), curve, verify_chunk(n));
    for (size_t at = 0; at < n; at += RJ_BATCH_MAX)
        verify_run_chunk(verdicts + at, &cut, checks + at, n - at < RJ_BATCH_MAX ? n - at : RJ_BATCH_MAX);
    return RJ_OK;
}

rj_status rj_fixedbase_verify_one(uint8_t *verdict, const rj_signature_check *check)
{
    fb_numbers numbers;
    uint64_t r[2][WORDS_MAX], prefix[1][WORDS_MAX];
    fb_ref refs[FB_POINTS_MAX];
    const fb_curve *curve;
    unsigned r_count;
    uint8_t read;
    const uint8_t excluded = 0;

    if (!verify_fits(check, check, 1))
        return RJ_BAD_ARGUMENT; /* the caller's mistake: mixed curves, flags, roles, lengths */
    curve = check->key.fixedbase->curve;
    read = rj_fb_numbers_read(&numbers, curve, check->signature.ptr, check->digest.ptr, check->digest.len);
    if (read != RJ_OK) {
        *verdict = read;
        return RJ_OK;
    }
    rj_fb_numbers_to_scalars(&numbers, prefix, &excluded, 1, curve);
    verify_refs(refs, &numbers, check);
    r_count = rj_fb_r_candidates(r, &numbers, curve);
    *verdict =
        check->key.fixedbase->ops->check_one(refs, verify_points(check), (const uint64_t (*)[WORDS_MAX])r, r_count);
    return RJ_OK;
}

#else
typedef int verify_empty;
#endif
