/* python_proof.h: a token together with the proof of who sends it (RFC 9449 s.4.3), in one call.
 *
 * What the proof has to say is Python's business (sender/dpop.py); here are its signature, its claims as a dict, and
 * the digests that they are compared with.
 */
#ifndef RJ_PYTHON_PROOF_H
#define RJ_PYTHON_PROOF_H

#include "python/python_verify.h"

/* A method of NativeSnapshot; python_snapshot.c says what it takes and gives. */
PyObject *rj_python_verify_sent(PyObject *self, PyObject *const *args, Py_ssize_t args_len);

#endif
