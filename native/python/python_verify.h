/* python_verify.h: the calls that every token takes, on Python's own objects.
 *
 * A known token costs less than the conversions around it, so these are written against CPython's limited API:
 * text or bytes in, a finished result object or a verdict number out. Everything else goes through cffi. What a
 * result means is Python's business (verify/result.py); here are only its fields.
 */
#ifndef RJ_PYTHON_VERIFY_H
#define RJ_PYTHON_VERIFY_H

#include "python/python_api.h"
#include "python/python_snapshot.h"

/* Read a time, an int in nanoseconds since the epoch. Returns 0 with an exception set where it is none. */
int rj_python_now(rj_time *now, PyObject *value);

/* The octets of a token that nobody can change: text or bytes. Returns 0 for anything else, without an exception.
 * Past max_bytes only its length is right. */
int rj_python_octets(rj_span *out, PyObject *token, size_t max_bytes);

/* Returns 1, or 0 with an exception set where there is no snapshot yet. */
int rj_python_is_attached(const rj_native_snapshot *native);

/* The result of a decided token: a finished object where it was accepted and nothing else is to do, else its verdict
 * as a number; NULL with an exception set. In: octets, the token, held by the result. */
PyObject *rj_python_result(const rj_native_snapshot *native, PyObject *octets, const rj_token *token);

/* Verify one token. Returns a VerifiedToken where it is accepted and nothing else is to do, else its verdict as
 * a number, or None where the token is neither str nor bytes; NULL with an exception set. Out: *slot, which
 * answered, or NULL; it is the snapshot's. In: header_hash, as of rj_token_find_key. */
PyObject *rj_python_verify(const rj_native_snapshot *native, const rj_slot **slot, PyObject *octets, rj_time now,
                           uint64_t header_hash);

/* Methods of NativeSnapshot; python_snapshot.c says what they take and give. */
PyObject *rj_python_verify_one(PyObject *self, PyObject *const *args, Py_ssize_t args_len);
PyObject *rj_python_verify_list(PyObject *self, PyObject *const *args, Py_ssize_t args_len);
PyObject *rj_python_recheck(PyObject *self, PyObject *const *args, Py_ssize_t args_len);

#endif
