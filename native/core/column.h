/* column.h: a column of tokens as Apache Arrow lays it out, verified where it lies, in one crossing.
 *
 * Verdicts are those of batch.h. The claims that are asked for are copied into memory of the caller's, laid out as
 * Arrow wants them, so that neither a token nor a claim becomes an object on the way.
 */
#ifndef RJ_COLUMN_H
#define RJ_COLUMN_H

#include "core/batch.h"

/* rj-cdef-begin */
/* Variable-size binary: token i lies at data[offsets[i] .. offsets[i + 1]). */
typedef struct {
    const uint8_t *data;
    size_t data_bytes;
    const void *offsets;   /* len + 1 signed integers of offset_bytes */
    uint32_t offset_bytes; /* 4 or 8 */
    size_t len;
    const int64_t *times_ns; /* the moment of each token's check, 0 or more; NULL: all at the given one */
} rj_column;

/* What a claim's value is copied as. */
enum {
    RJ_CLAIM_STRING = 0,  /* a string's content */
    RJ_CLAIM_INTEGER = 1, /* int64_t */
    RJ_CLAIM_NUMBER = 2,  /* a number's text */
    RJ_CLAIM_BOOLEAN = 3, /* true or false */
    RJ_CLAIM_JSON = 4     /* any value's text, but null */
};

/* What became of a token's claim. */
enum {
    RJ_CLAIM_ABSENT = 0, /* no such claim, of another type, or no accepted token: null */
    RJ_CLAIM_COPIED = 1,
    RJ_CLAIM_LEFT = 2 /* the caller has to read it: an escape, a number that needs care, no space */
};

/* One claim, for every token of a column. */
typedef struct {
    rj_span name;
    uint32_t form;     /* RJ_CLAIM_STRING ... */
    uint8_t *states;   /* out, one a token */
    int64_t *integers; /* out, one a token, for RJ_CLAIM_INTEGER; 0 where nothing was copied */
    int32_t *offsets;  /* out, len + 1, for every other form: text[offsets[i] .. offsets[i + 1]) */
    uint8_t *text;     /* out */
    size_t text_bytes; /* its capacity, below 2^31 */
} rj_column_claim;

/* Verify a column's tokens.
 * Out: verdicts[0 .. column->len), see token.h; RJ_BAD_ARGUMENT where the offsets lead out of the data;
 * RJ_NO_MEMORY for all where memory is out. Out: each claim's states, values and offsets, all of them written. */
void rj_column_verify(const rj_snapshot *snapshot, uint64_t *verdicts, rj_column_claim *claims, size_t claims_len,
                      const rj_column *column, int64_t now_s, uint32_t now_ns);
/* rj-cdef-end */

#endif
