/* python_module.h: what the compiled module has beside cffi's own: the types and calls that tokens go through. */
#ifndef RJ_PYTHON_MODULE_H
#define RJ_PYTHON_MODULE_H

/* Put the types of python_token.h, python_snapshot.h and python_engine.h, and the functions of python_general.h and
 * python_text.h, into the compiled module; called once, at import.
 * Returns 1, or 0 with no exception left where it could not be done. Takes the GIL itself. */
/* rj-cdef-begin */
int rj_python_install(void);
/* rj-cdef-end */

#endif
