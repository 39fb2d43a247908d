/* python_face.h: the few functions that take and make Python objects themselves.
 *
 * A known token costs less than the conversions around it, so the two calls that every token takes are written
 * against CPython's limited API: text or bytes in, a finished result object or a verdict number out. Everything
 * else goes through cffi. What a result means is Python's business (engine/result.py); here are only its fields.
 */
#ifndef RJ_PYTHON_FACE_H
#define RJ_PYTHON_FACE_H

/* Put the type `Record` and the function `bind` into the compiled module; called once, at import.
 * Returns 1, or 0 with no exception left where it could not be done. Takes the GIL itself. */
/* rj-cdef-begin */
int rj_python_install(void);
/* rj-cdef-end */

#endif
