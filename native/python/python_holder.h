/* python_holder.h: the Python type that an engine is: one reference to the snapshot of the moment, and `verify`.
 *
 * The way of a known good token goes from Python's call to Python's result in here; every other way is written in
 * jwt/engine.py, which derives from it.
 */
#ifndef RJ_PYTHON_HOLDER_H
#define RJ_PYTHON_HOLDER_H

#include "python/python_api.h"

/* Make the type. Returns a new reference, or NULL with an exception set. */
PyObject *rj_holder_type(void);

#endif
