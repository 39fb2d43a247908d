/* ed25519_internal.h: what the ed25519 files share; no other file includes it. */
#ifndef RJ_ED25519_INTERNAL_H
#define RJ_ED25519_INTERNAL_H

#include "ec/ed25519.h"

#if RJ_HAVE_ED25519

#include "ec/field_25519.h"

enum {
    ED25519_WINDOWS = 32,         /* of 8 bits; scalars are below 2^253 */
    ED25519_WINDOW_ENTRIES = 129, /* multiples 0 to 128 of a window's point; signs give the rest */
    ED25519_LANES = 8,
    ED25519_POINTS = 2 * ED25519_WINDOWS /* table points in one [S]B - [k]A */
};

/* An affine point (x, y) ready to be added: (y + x) / 2, (y - x) / 2, d x y, limbs below 2^51. Two cache lines. */
typedef struct {
    uint64_t half_sum[5];
    uint64_t half_difference[5];
    uint64_t dxy[5];
    uint64_t unused;
} ed25519_entry;

struct rj_ed25519_table {
    _Alignas(64) ed25519_entry entries[ED25519_WINDOWS][ED25519_WINDOW_ENTRIES];
    void *memory;                        /* what was allocated; the table is the first aligned place in it */
    uint8_t key32[RJ_ED25519_KEY_BYTES]; /* as in the signature's hash; of B for the generator */
    uint32_t lanes;                      /* 1: eight-lane arithmetic */
    uint32_t generator;                  /* 1: the table of B, else of -A */
};

/* Extended coordinates: x = X/Z, y = Y/Z, T = XY/Z (RFC 8032 s.5.1.4). */
typedef struct {
    f25519 x, y, z, t;
} ed25519_point;

/* A table point to add, and whether to add its negative. */
typedef struct {
    const ed25519_entry *entry;
    uint64_t negative;
} ed25519_choice;

/* ed25519_scalar.c */

/* Returns 1 if the little-endian scalar is below the group order L (RFC 8032 s.5.1.7 step 1). */
int rj_ed25519_scalar_is_reduced(const uint8_t scalar32[32]);

/* out = in mod L, in being 512 bits, little-endian. */
void rj_ed25519_scalar_reduce(uint8_t out32[32], const uint8_t in64[64]);

/* Choose the table points of scalar, one a window; their sum is [scalar]P. In: scalar below 2^253. */
void rj_ed25519_choose(ed25519_choice choices[ED25519_WINDOWS], const rj_ed25519_table *table,
                       const uint8_t scalar32[32]);

/* ed25519_point.c: complete formulas, good for any two points of the curve */

extern const ed25519_point rj_ed25519_base;

void rj_ed25519_point_identity(ed25519_point *r);
void rj_ed25519_point_add(ed25519_point *r, const ed25519_point *a, const ed25519_point *b);
void rj_ed25519_point_negate(ed25519_point *r, const ed25519_point *a);

/* Decode a key by the strict rules. Returns as rj_ed25519_check_key; *out only on RJ_OK. */
rj_status rj_ed25519_point_decode(ed25519_point *out, const uint8_t key32[32]);

/* r = [scalar]a by doubling and adding: slow, plain, for self-tests. */
void rj_ed25519_point_multiply(ed25519_point *r, const ed25519_point *a, const uint8_t scalar32[32]);

/* r = 1 / a. Returns 1, or 0 if a is zero. */
int rj_ed25519_invert(f25519 *r, const f25519 *a);

/* Turn points into table entries; one inversion for all. Returns 1, or 0 if a Z is zero, which cannot be. */
int rj_ed25519_entries(ed25519_entry *out, const ed25519_point *points, f25519 *scratch, size_t count);

/* Encode x = X/Z and y = Y/Z, given 1/Z (RFC 8032 s.5.1.2). */
void rj_ed25519_encode(uint8_t out32[32], const f25519 *x, const f25519 *y, const f25519 *z_inverse);

/* r = the sum of the chosen points, by plain arithmetic. Only x, y and z are written. */
void rj_ed25519_sum(ed25519_point *r, const ed25519_choice choices[ED25519_POINTS]);

/* ed25519_lanes.c */

/* Returns 1 if this build and this machine have the eight-lane arithmetic, else 0. */
int rj_ed25519_lanes_usable(void);

/* r[lane] = the sum of choices[lane]. Only x, y and z are written. Call only where usable. */
void rj_ed25519_sum8(ed25519_point r[ED25519_LANES], const ed25519_choice choices[ED25519_LANES][ED25519_POINTS]);

/* As rj_ed25519_sum, eight partial sums at a time. Call only where usable. */
void rj_ed25519_sum_lanes(ed25519_point *r, const ed25519_choice choices[ED25519_POINTS]);

#endif
#endif
