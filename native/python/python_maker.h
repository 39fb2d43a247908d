/* python_maker.h: copies of a Python object that are alike but for two members. */
#ifndef RJ_PYTHON_MAKER_H
#define RJ_PYTHON_MAKER_H

#include "python/python_api.h"

/* copy_maker(template, name, name); see _rapidjws.pyi. */
extern const PyMethodDef rj_copy_maker;

#endif
