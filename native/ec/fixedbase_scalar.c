/* fixedbase_scalar.c: from the signature's bytes to table points: ranges, s^-1, u1 and u2, digits.
 *
 * FIPS 186-5 s.6.4.2 steps 1 to 4. Works modulo the order n; never touches curve points' coordinates.
 */
#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE

#include <string.h>

#include "ec/fixedbase_internal.h"

/* Read big-endian bytes; the caller knows that they fit `words` words. */
void rj_fb_words_from_be(uint64_t *r, unsigned words, const uint8_t *bytes, size_t len)
{
    memset(r, 0, words * sizeof r[0]);
    for (size_t i = 0; i < len; i++)
        r[i / 8] |= (uint64_t)bytes[len - 1 - i] << (8 * (i % 8));
}

/* The leftmost `bits` bits of the digest, less than n after at most one subtraction. */
static void scalar_digest(uint64_t *e, const fb_curve *curve, const uint8_t *digest, size_t digest_len)
{
    unsigned words = curve->words, spare_bits;

    if (digest_len > curve->coord_bytes)
        digest_len = curve->coord_bytes;
    rj_fb_words_from_be(e, words, digest, digest_len);
    spare_bits = 8 * curve->coord_bytes - curve->bits;
    if (digest_len == curve->coord_bytes && spare_bits != 0) { /* FIPS 186-5 s.6.4.2: bits, not bytes, count */
        for (unsigned i = 0; i < words; i++)
            e[i] = e[i] >> spare_bits | (i + 1 < words ? e[i + 1] << (64 - spare_bits) : 0);
    }
    if (!words_less(e, curve->n, words))
        (void)words_sub(e, e, curve->n, words);
}

/* Read r, s and e. Returns RJ_OK (all usable), RJ_SIGNATURE_INVALID, or RJ_UNDECIDED (e = 0). */
uint8_t rj_fb_numbers_read(fb_numbers *numbers, const fb_curve *curve, const uint8_t *rs, const uint8_t *digest,
                           size_t digest_len)
{
    unsigned words = curve->words;

    rj_fb_words_from_be(numbers->r, words, rs, curve->coord_bytes);
    rj_fb_words_from_be(numbers->s, words, rs + curve->coord_bytes, curve->coord_bytes);
    if (words_is_zero(numbers->r, words) || words_is_zero(numbers->s, words))
        return RJ_SIGNATURE_INVALID; /* FIPS 186-5 s.6.4.2 step 1: r and s in [1, n-1] */
    if (!words_less(numbers->r, curve->n, words) || !words_less(numbers->s, curve->n, words))
        return RJ_SIGNATURE_INVALID; /* FIPS 186-5 s.6.4.2 step 1: r and s in [1, n-1] */
    scalar_digest(numbers->e, curve, digest, digest_len);
    if (words_is_zero(numbers->e, words))
        return RJ_UNDECIDED; /* u1 = 0 has no odd digits */
    return RJ_OK;
}

/* r = a * b / 2^(64 words) mod n. */
static __attribute__((noinline)) void scalar_mul(uint64_t *r, const uint64_t *a, const uint64_t *b,
                                                 const fb_curve *curve)
{
    if (curve->words == 4)
        words_mont_mul(r, a, b, curve->n, curve->n_neg_inv, 4);
    else if (curve->words == 6)
        words_mont_mul(r, a, b, curve->n, curve->n_neg_inv, 6);
    else
        words_mont_mul(r, a, b, curve->n, curve->n_neg_inv, 9);
}

/* With s^-1 2^(64 words) in hand: e = u2 = r / s and s = u1 = e / s, plain. */
static void scalar_finish(fb_numbers *numbers, const uint64_t *s_inverse, const fb_curve *curve)
{
    scalar_mul(numbers->s, s_inverse, numbers->e, curve);
    scalar_mul(numbers->e, s_inverse, numbers->r, curve);
}

/* Turn (r, s, e) of every live signature into u1 (in s) and u2 (in e), with one inversion.
 *
 * Montgomery's trick. With M(a, b) = ab / R: prefix_k = M(prefix_(k-1), s_k), and for c_k = R / prefix_k:
 * R / s_k = M(c_k, prefix_(k-1)), c_(k-1) = M(c_k, s_k). */
void rj_fb_numbers_to_scalars(fb_numbers *numbers, uint64_t (*prefix)[WORDS_MAX], const uint8_t *excluded, size_t n,
                              const fb_curve *curve)
{
    unsigned words = curve->words;
    uint64_t running[WORDS_MAX], s_inverse[WORDS_MAX];
    size_t first = n;

    for (size_t i = 0; i < n; i++) {
        if (excluded[i])
            continue;
        if (first == n) {
            first = i;
            words_copy(running, numbers[i].s, words);
            continue;
        }
        words_copy(prefix[i], running, words);
        scalar_mul(running, running, numbers[i].s, curve);
    }
    if (first == n)
        return;
    (void)rj_inverse_vartime(running, running, words, &curve->mod_n); /* n is prime and no s is 0 */
    scalar_mul(running, running, curve->n_rr, curve);
    for (size_t i = n; i-- > first + 1;) {
        if (excluded[i])
            continue;
        scalar_mul(s_inverse, running, prefix[i], curve);
        scalar_mul(running, running, numbers[i].s, curve);
        scalar_finish(&numbers[i], s_inverse, curve);
    }
    scalar_finish(&numbers[first], running, curve);
}

/* The x coordinates that are r modulo n: r, and r + n where that is below p. Returns how many. */
unsigned rj_fb_r_candidates(uint64_t r[2][WORDS_MAX], const fb_numbers *numbers, const fb_curve *curve)
{
    words_copy(r[0], numbers->r, curve->words);
    if (words_add(r[1], numbers->r, curve->n, curve->words))
        return 1;
    return words_less(r[1], curve->p, curve->words) ? 2 : 1;
}

/* The `width` bits of k from `bit` on. */
static unsigned scalar_bits(const uint64_t *k, unsigned words, unsigned bit, unsigned width)
{
    unsigned word = bit / 64, shift = bit % 64;
    uint64_t v = word < words ? k[word] >> shift : 0;
    if (shift + width > 64 && word + 1 < words)
        v |= k[word + 1] << (64 - shift);
    return (unsigned)v & ((1u << width) - 1);
}

/* Write the table points whose sum is scalar * P, one a window.
 *
 * An odd k is the sum of d_i 2^(w i) with odd d_i, |d_i| < 2^w: with c_i the w bits of k above bit w i,
 * d_i = 2 c_i + 1 - 2^w below the top and 2 c_i + 1 at the top. An even k is taken as -(n - k), which is odd.
 * So no digit is ever zero. In: 0 < scalar < n. Out: refs[0 .. windows). */
void rj_fb_refs_write(fb_ref *refs, const rj_fixedbase *table, const uint64_t *scalar)
{
    unsigned words = table->curve->words, width = table->shape.width, windows = table->shape.windows;
    unsigned half = 1u << (width - 1), negative = 0;
    size_t point_words = 2u * words, row_words = point_words << (width - 1);
    const uint64_t *row = table->rows;
    uint64_t k[WORDS_MAX] = {0};

    words_copy(k, scalar, words);
    if ((k[0] & 1) == 0) {
        (void)words_sub(k, table->curve->n, k, words);
        negative = 1;
    }
    for (unsigned i = 0; i < windows; i++, row += row_words) {
        unsigned c = scalar_bits(k, words, width * i + 1, width), is_top = i + 1 == windows;
        unsigned below = !is_top && c < half; /* a negative digit */
        unsigned index = is_top ? c : (below ? half - 1 - c : c - half);
        const uint64_t *point = row + point_words * index;
        __builtin_prefetch(point);
        __builtin_prefetch((const char *)(point + point_words) - 1);
        refs[i] = (fb_ref)point | (below ^ negative);
    }
}

#else
typedef int scalar_empty;
#endif
