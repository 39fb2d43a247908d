/* field_residue.h: what the fields with fully reduced residues (below p) share. Included by a field's own header,
 * after FE_WORDS, fe, fe_p, fe_mul and fe_rr, the factor that fe_mul takes from plain to residue. */
#ifndef RJ_FIELD_RESIDUE_H
#define RJ_FIELD_RESIDUE_H

WORDS_INLINE void fe_add(fe *r, const fe *a, const fe *b) { words_mod_add(r->v, a->v, b->v, fe_p, FE_WORDS); }

WORDS_INLINE void fe_sub(fe *r, const fe *a, const fe *b) { words_mod_sub(r->v, a->v, b->v, fe_p, FE_WORDS); }

WORDS_INLINE int fe_is_zero(const fe *a) { return words_is_zero(a->v, FE_WORDS); }

WORDS_INLINE int fe_equal(const fe *a, const fe *b) { return words_equal(a->v, b->v, FE_WORDS); }

/* The residue of a plain number below p. */
WORDS_INLINE void fe_from_words(fe *r, const uint64_t *words)
{
    fe plain;
    words_copy(plain.v, words, FE_WORDS);
    fe_mul(r, &plain, &fe_rr);
}

WORDS_INLINE void fe_to_words(uint64_t *words, const fe *a)
{
    fe plain;
    static const fe unit = {{1}};
    fe_mul(&plain, a, &unit);
    words_copy(words, plain.v, FE_WORDS);
}

/* The stored form of a for the vector arithmetic: the Montgomery residue for its own R, in plain words. */
WORDS_INLINE void fe_to_lanes(uint64_t *words, const fe *a)
{
    fe scaled;
    fe_mul(&scaled, a, &fe_lanes_scale);
    words_copy(words, scaled.v, FE_WORDS);
}

#endif
