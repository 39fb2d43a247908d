/* field_inverse.c: division steps on the low 62 bits, then one pass over the long numbers; see field_inverse.h. */
#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE

#include "ec/field_inverse.h"
#include "ec/field_words.h"

#define INVERSE_MASK62 (UINT64_MAX >> 2)

/* 62 division steps as a matrix: 2^62 (f', g') = ((u, v), (q, r)) (f, g). */
typedef struct {
    int64_t u, v, q, r;
} inverse_matrix;

/* Run 62 division steps on the low words; returns the new eta. */
static int64_t inverse_steps(inverse_matrix *t, int64_t eta, uint64_t f, uint64_t g)
{
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = 62;

    for (;;) {
        int zeros = __builtin_ctzll(g | (UINT64_MAX << left)); /* the guard bit keeps zeros <= left */
        uint64_t w;
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        eta -= zeros;
        left -= zeros;
        if (left == 0)
            break;
        if (eta < 0) {
            uint64_t old_f = f, old_u = u, old_v = v;
            eta = -eta;
            f = g;
            g = 0 - old_f;
            u = q;
            q = 0 - old_u;
            v = r;
            r = 0 - old_v;
            /* 1/f mod 64 from f (f^2 - 2) = -1/f mod 64 for odd f */
            w = f * g * (f * f - 2);
            w &= 63;
        } else {
            w = f + (((f + 1) & 4) << 1); /* 1/f mod 16 */
            w = ((0 - w) * g) & 15;
        }
        int limit = eta + 1 > left ? left : (int)eta + 1;
        w &= UINT64_MAX >> (64 - limit);
        g += f * w;
        q += u * w;
        r += v * w;
    }
    t->u = (int64_t)u;
    t->v = (int64_t)v;
    t->q = (int64_t)q;
    t->r = (int64_t)r;
    return eta;
}

/* (d, e) = t (d, e) / 2^62 mod m; both stay in (-2m, m). */
WORDS_INLINE void inverse_update_de(int64_t *d, int64_t *e, const inverse_matrix *t, const inverse_modulus *modulus,
                                    unsigned limbs)
{
    int64_t d_sign = d[limbs - 1] >> 63, e_sign = e[limbs - 1] >> 63;
    int64_t md = (t->u & d_sign) + (t->v & e_sign);
    int64_t me = (t->q & d_sign) + (t->r & e_sign);
    words_i128 cd = (words_i128)t->u * d[0] + (words_i128)t->v * e[0];
    words_i128 ce = (words_i128)t->q * d[0] + (words_i128)t->r * e[0];

    /* multiples of m that make the low 62 bits zero */
    md -= (int64_t)((modulus->inv62 * (uint64_t)cd + (uint64_t)md) & INVERSE_MASK62);
    me -= (int64_t)((modulus->inv62 * (uint64_t)ce + (uint64_t)me) & INVERSE_MASK62);
    cd += (words_i128)modulus->m[0] * md;
    ce += (words_i128)modulus->m[0] * me;
    cd >>= 62;
    ce >>= 62;
#pragma GCC unroll 9
    for (unsigned i = 1; i < limbs; i++) {
        cd += (words_i128)t->u * d[i] + (words_i128)t->v * e[i] + (words_i128)modulus->m[i] * md;
        ce += (words_i128)t->q * d[i] + (words_i128)t->r * e[i] + (words_i128)modulus->m[i] * me;
        d[i - 1] = (int64_t)((uint64_t)cd & INVERSE_MASK62);
        e[i - 1] = (int64_t)((uint64_t)ce & INVERSE_MASK62);
        cd >>= 62;
        ce >>= 62;
    }
    d[limbs - 1] = (int64_t)cd;
    e[limbs - 1] = (int64_t)ce;
}

/* (f, g) = t (f, g) / 2^62, exactly. */
WORDS_INLINE void inverse_update_fg(int64_t *f, int64_t *g, const inverse_matrix *t, unsigned limbs)
{
    words_i128 cf = (words_i128)t->u * f[0] + (words_i128)t->v * g[0];
    words_i128 cg = (words_i128)t->q * f[0] + (words_i128)t->r * g[0];

    cf >>= 62;
    cg >>= 62;
    for (unsigned i = 1; i < limbs; i++) {
        cf += (words_i128)t->u * f[i] + (words_i128)t->v * g[i];
        cg += (words_i128)t->q * f[i] + (words_i128)t->r * g[i];
        f[i - 1] = (int64_t)((uint64_t)cf & INVERSE_MASK62);
        g[i - 1] = (int64_t)((uint64_t)cg & INVERSE_MASK62);
        cf >>= 62;
        cg >>= 62;
    }
    f[limbs - 1] = (int64_t)cf;
    g[limbs - 1] = (int64_t)cg;
}

/* Cut `words` 64-bit words into limbs of 62 bits. */
static void inverse_from_words(int64_t *limbs, unsigned count, const uint64_t *a, unsigned words)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned bit = 62 * i, word = bit / 64, shift = bit % 64;
        uint64_t low = word < words ? a[word] >> shift : 0;
        uint64_t high = shift != 0 && word + 1 < words ? a[word + 1] << (64 - shift) : 0;
        limbs[i] = (int64_t)((low | high) & INVERSE_MASK62);
    }
}

static void inverse_to_words(uint64_t *a, unsigned words, const int64_t *limbs, unsigned count)
{
    for (unsigned i = 0; i < words; i++) {
        unsigned bit = 64 * i, limb = bit / 62, shift = bit % 62;
        uint64_t v = limb < count ? (uint64_t)limbs[limb] >> shift : 0;
        if (limb + 1 < count)
            v |= (uint64_t)limbs[limb + 1] << (62 - shift);
        if (shift > 60 && limb + 2 < count)
            v |= (uint64_t)limbs[limb + 2] << (124 - shift);
        a[i] = v;
    }
}

/* d += m and carry, once. */
static void inverse_add_modulus(int64_t *d, const inverse_modulus *modulus)
{
    int64_t carry = 0;
    for (unsigned i = 0; i + 1 < modulus->limbs; i++) {
        carry += d[i] + modulus->m[i];
        d[i] = (int64_t)((uint64_t)carry & INVERSE_MASK62);
        carry >>= 62;
    }
    d[modulus->limbs - 1] += modulus->m[modulus->limbs - 1] + carry;
}

static void inverse_negate(int64_t *d, unsigned limbs)
{
    int64_t carry = 0;
    for (unsigned i = 0; i + 1 < limbs; i++) {
        carry -= d[i];
        d[i] = (int64_t)((uint64_t)carry & INVERSE_MASK62);
        carry >>= 62;
    }
    d[limbs - 1] = carry - d[limbs - 1];
}

/* Bring d, in (-2m, m), times the sign of f, into [0, m). */
static void inverse_normalize(int64_t *d, int64_t f_sign, const inverse_modulus *modulus)
{
    unsigned top = modulus->limbs - 1;
    if (d[top] < 0)
        inverse_add_modulus(d, modulus);
    if (f_sign < 0)
        inverse_negate(d, modulus->limbs);
    while (d[top] < 0)
        inverse_add_modulus(d, modulus);
}

WORDS_INLINE void inverse_loop(int64_t *d, int64_t *f, int64_t *g, const inverse_modulus *modulus, unsigned limbs)
{
    int64_t e[INVERSE_MAX_LIMBS] = {1};
    int64_t eta = -1;
    unsigned active = limbs; /* f and g shrink as the steps go on */

    for (;;) {
        inverse_matrix t;
        int64_t any = 0;
        eta = inverse_steps(&t, eta, (uint64_t)f[0] | (uint64_t)f[1] << 62, (uint64_t)g[0] | (uint64_t)g[1] << 62);
        inverse_update_de(d, e, &t, modulus, limbs);
        inverse_update_fg(f, g, &t, active);
        for (unsigned i = 0; i < active; i++)
            any |= g[i];
        if (any == 0)
            return;
        /* a top limb that is only sign moves into the limb below */
        if (active > 2 && (f[active - 1] == 0 || f[active - 1] == -1) && (g[active - 1] == 0 || g[active - 1] == -1)) {
            f[active - 2] |= (int64_t)((uint64_t)f[active - 1] << 62);
            g[active - 2] |= (int64_t)((uint64_t)g[active - 1] << 62);
            active--;
        }
    }
}

int rj_inverse_vartime(uint64_t *r, const uint64_t *a, unsigned words, const inverse_modulus *modulus)
{
    int64_t d[INVERSE_MAX_LIMBS] = {0}, f[INVERSE_MAX_LIMBS], g[INVERSE_MAX_LIMBS];
    uint64_t any = 0;
    unsigned limbs = modulus->limbs;

    for (unsigned i = 0; i < words; i++)
        any |= a[i];
    if (any == 0)
        return 0; /* zero has no inverse */
    inverse_from_words(g, limbs, a, words);
    for (unsigned i = 0; i < limbs; i++)
        f[i] = modulus->m[i];
    if (limbs == 5)
        inverse_loop(d, f, g, modulus, 5);
    else if (limbs == 7)
        inverse_loop(d, f, g, modulus, 7);
    else
        inverse_loop(d, f, g, modulus, 9);
    inverse_normalize(d, f[0] == 1 ? 1 : -1, modulus); /* f is 1 or -1 now, and -1 has a low limb that is not 1 */
    inverse_to_words(r, words, d, limbs);
    return 1;
}

#else
typedef int inverse_empty;
#endif
