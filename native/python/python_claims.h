/* python_claims.h: the claims of a verified token as Python's own dict, made from what the scan already knows.
 *
 * Tokens of one issuer carry the same names in the same order. A few such shapes are kept with a dict each: the
 * next token of that shape gets a copy, in which only the values that differ are set. A copy is all that leaves;
 * no value of an earlier token stays in it, because every member is either equal to the letter or set anew.
 * What has no known shape is read from the payload when it is asked for.
 */
#ifndef RJ_PYTHON_CLAIMS_H
#define RJ_PYTHON_CLAIMS_H

#include "python/python_api.h"
#include "core/token.h"

/* The shapes met by one snapshot; used with the GIL held. */
typedef struct rj_claims_shapes rj_claims_shapes;

/* Returns an empty set of shapes, or NULL where memory is out. */
rj_claims_shapes *rj_claims_shapes_new(void);

/* Free the set and what it owns; NULL is allowed. */
void rj_claims_shapes_free(rj_claims_shapes *shapes);

/* Make the dict of an accepted token's claims where their shape is known, else perhaps learn it.
 * Returns a new reference, or NULL with no exception set where `read` has to read the payload instead.
 * In: read makes a value of JSON octets. */
PyObject *rj_claims_make(rj_claims_shapes *shapes, const rj_token *token, PyObject *read);

#endif
