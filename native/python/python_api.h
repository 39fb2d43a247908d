/* python_api.h: Python's header, held to the limited API wherever the build has one.
 *
 * With the limited API of Python 3.10 one binary serves all later ones. Free-threaded builds have none before
 * 3.15; which kind a build is, pyconfig.h alone says on most systems, so it is read first.
 */
#ifndef RJ_PYTHON_API_H
#define RJ_PYTHON_API_H

#include <pyconfig.h>

#if !defined(Py_GIL_DISABLED) && !defined(Py_LIMITED_API)
#define Py_LIMITED_API 0x030a0000
#endif
#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>

#endif
