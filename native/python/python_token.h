/* python_token.h: the Python type whose fields the core fills for a verified token.
 *
 * Only the fields: what they mean, and that nobody but a verifier makes one, is verify/result.py's business.
 */
#ifndef RJ_PYTHON_TOKEN_H
#define RJ_PYTHON_TOKEN_H

#include "python/python_api.h"

/* Every field is owned, or NULL and reads as None. */
typedef struct {
    PyObject_HEAD PyObject *token;
    PyObject *key;
    PyObject *issuer;
    PyObject *payload;
    PyObject *header;
    PyObject *claims;
    PyObject *read; /* reads JSON octets that the core scanned; NULL where the type's `_read_claims` must */
} rj_verified_token;

/* Make the type. Returns a new reference, or NULL with an exception set. */
PyObject *rj_verified_token_type(void);

#endif
