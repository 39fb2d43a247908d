/* python_module.c: see python_module.h. */
#include "python_module.h"

#include "python_api.h"
#include "python_bound.h"
#include "python_holder.h"
#include "python_record.h"

/* Put a type, whose reference is taken, into the module. */
static int module_put(PyObject *module, const char *name, PyObject *type)
{
    int good = module != NULL && type != NULL && PyObject_SetAttrString(module, name, type) == 0;

    Py_XDECREF(type);
    return good;
}

int rj_python_install(void)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_ImportModule("rapidjws._rapidjws");
    int good = module_put(module, "Record", rj_record_type()) && module_put(module, "Bound", rj_bound_type())
               && module_put(module, "Holder", rj_holder_type());

    Py_XDECREF(module);
    PyErr_Clear();
    PyGILState_Release(state);
    return good;
}
