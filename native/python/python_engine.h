/* python_engine.h: the Python type `NativeEngine`: one reference to the current snapshot, and `verify`.
 *
 * A token of a known header goes from Python's call to Python's result here; whatever is out of the ordinary goes to
 * jwt/engine.py, which derives from it.
 */
#ifndef RJ_PYTHON_ENGINE_H
#define RJ_PYTHON_ENGINE_H

#include "python/python_api.h"

/* Make the type. Returns a new reference, or NULL with an exception set. */
PyObject *rj_native_engine_type(void);

#endif
