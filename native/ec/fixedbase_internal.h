/* fixedbase_internal.h: what the fixedbase files share; no other file includes it. */
#ifndef RJ_FIXEDBASE_INTERNAL_H
#define RJ_FIXEDBASE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "ec/field_inverse.h"
#include "ec/field_words.h"
#include "ec/fixedbase.h"
#include "batch_max.h"

#define FB_LANES 8        /* RJ_BATCH_MAX is a multiple */
#define FB_WIDTH_MAX 13   /* window width in bits */
#define FB_POINTS_MAX 192 /* table points of one signature: both scalars, narrowest windows */
#define FB_TABLE_ALIGN 64 /* a cache line */

/* One curve y^2 = x^3 + ax + b over p, of prime order n. Constants in FIPS 186-5 / SP 800-186 and SEC 2. */
typedef struct {
    rj_curve id;
    unsigned bits;  /* of p, and of n */
    unsigned words; /* 64-bit words of a coordinate and of a scalar */
    unsigned coord_bytes;
    unsigned key_widths[RJ_FIXEDBASE_SIZES]; /* window width of a key's table, by its size: narrower and narrower */
    unsigned generator_width;
    int nid; /* libcrypto's number of the curve */
    uint64_t p[WORDS_MAX], n[WORDS_MAX];
    uint64_t n_rr[WORDS_MAX]; /* 2^(128 words) mod n */
    uint64_t n_neg_inv;       /* -1 / n mod 2^64 */
    inverse_modulus mod_p, mod_n;
} fb_curve;

/* A point of a table, and in its lowest bit whether to take its negative. */
typedef uintptr_t fb_ref;
#define FB_REF_POINT(ref) ((const uint64_t *)((ref) & ~(uintptr_t)1))
#define FB_REF_NEGATIVE(ref) ((unsigned)((ref) & 1))

/* The windows of one table: `windows` rows of 2^(width - 1) points. */
typedef struct {
    unsigned width, windows;
} fb_shape;

/* How the table of one curve is filled. Points are stored as x words, then y words, in residues of one arithmetic. */
typedef struct {
    /* Scratch bytes of fill. */
    size_t (*fill_bytes)(const fb_shape *shape);
    /* Fill rows with the odd multiples of the point (x, y), plain words, in the residues of the portable arithmetic.
     * Returns 1, or 0 on a degenerate step. */
    int (*fill)(uint64_t *rows, const fb_shape *shape, const uint64_t *x, const uint64_t *y, void *scratch);
    /* Turn the stored coordinates into the residues of the vector arithmetic. */
    void (*to_lanes)(uint64_t *rows, size_t coordinates);
} fb_table_builder;

/* The arithmetic of one curve. */
typedef struct {
    const char *name;
    size_t few; /* up to so many signatures are faster one by one */
    /* Write one stored point as plain words. */
    void (*plain)(uint64_t *x, uint64_t *y, const uint64_t *point);
    /* Work bytes of sum for n signatures of `points` points. */
    size_t (*sum_bytes)(size_t n, unsigned points);
    /* x[i] = plain x of the sum of refs[i * points ..]; excluded[i] is set to 1 where a step was degenerate and
     * signatures that are excluded on entry are skipped. Work is FB_TABLE_ALIGN aligned, n at most RJ_BATCH_MAX. */
    void (*sum)(uint64_t *x, uint8_t *excluded, void *work, const fb_ref *refs, size_t n, unsigned points);
    /* RJ_OK when the x of the sum of refs is r[0] or r[1] (plain, r_count of them), RJ_SIGNATURE_INVALID when
     * not, RJ_UNDECIDED when a step was degenerate. */
    uint8_t (*check_one)(const fb_ref *refs, unsigned points, const uint64_t r[2][WORDS_MAX], unsigned r_count);
} fb_field_ops;

struct rj_fixedbase {
    const fb_field_ops *ops;
    const fb_curve *curve;
    fb_shape shape;
    unsigned flags;
    unsigned is_generator; /* built from the curve's own generator, to serve as check.generator */
    uint64_t *rows;
    void *rows_memory;
};

/* The numbers of one signature, plain. After the inverses: s holds u1, e holds u2. */
typedef struct {
    uint64_t r[WORDS_MAX], s[WORDS_MAX], e[WORDS_MAX];
} fb_numbers;

/* The first cache line boundary in memory that has FB_TABLE_ALIGN bytes to spare. */
static inline void *rj_fb_align(void *memory)
{
    return (void *)(((uintptr_t)memory + FB_TABLE_ALIGN - 1) & ~(uintptr_t)(FB_TABLE_ALIGN - 1));
}

const fb_curve *rj_fb_curve(rj_curve curve);
unsigned rj_fb_windows(const fb_curve *curve, unsigned width);

extern const fb_table_builder rj_fb_table_builder_p256, rj_fb_table_builder_p384, rj_fb_table_builder_p521,
    rj_fb_table_builder_k256;
const fb_table_builder *rj_fb_table_builder(rj_curve curve);

extern const fb_field_ops rj_fb_portable_p256, rj_fb_portable_p384, rj_fb_portable_p521, rj_fb_portable_k256;
const fb_field_ops *rj_fb_portable(rj_curve curve);
extern const fb_field_ops rj_fb_lanes_p256, rj_fb_lanes_p384, rj_fb_lanes_p521, rj_fb_lanes_k256;
const fb_field_ops *rj_fb_lanes(rj_curve curve); /* NULL where the build or this CPU has no lanes */

/* fixedbase_selftest.c: libcrypto's opinion. All leave its error queue as they found it. */
RJ_MUST_CHECK rj_status rj_fb_selftest_on_curve(const fb_curve *curve, const uint8_t *xy);
RJ_MUST_CHECK rj_status rj_fb_selftest_generator(uint8_t *xy, const fb_curve *curve);
RJ_MUST_CHECK rj_status rj_fb_selftest_compare(const rj_fixedbase *table, const uint8_t *xy);

/* fixedbase_scalar.c */
void rj_fb_words_from_be(uint64_t *r, unsigned words, const uint8_t *bytes, size_t len);
uint8_t rj_fb_numbers_read(fb_numbers *numbers, const fb_curve *curve, const uint8_t *rs, const uint8_t *digest,
                           size_t digest_len);
void rj_fb_numbers_to_scalars(fb_numbers *numbers, uint64_t (*prefix)[WORDS_MAX], const uint8_t *excluded, size_t n,
                              const fb_curve *curve);
unsigned rj_fb_r_candidates(uint64_t r[2][WORDS_MAX], const fb_numbers *numbers, const fb_curve *curve);
void rj_fb_refs_write(fb_ref *refs, const rj_fixedbase *table, const uint64_t *scalar);

#endif
