/* python_module.c: see python_module.h. */
#include "python/python_module.h"

#include "python/python_api.h"
#include "python/python_snapshot.h"
#include "python/python_counters.h"
#include "python/python_envoy.h"
#include "python/python_general.h"
#include "python/python_http.h"
#include "python/python_known.h"
#include "python/python_maker.h"
#include "python/python_request.h"
#include "python/python_engine.h"
#include "python/python_token.h"
#include "python/python_text.h"

/* Put an object, whose reference is taken, into the module. */
static int module_put(PyObject *module, const char *name, PyObject *object)
{
    int good = module != NULL && object != NULL && PyObject_SetAttrString(module, name, object) == 0;

    Py_XDECREF(object);
    return good;
}

/* Put a function into the module; CPython asks for a method table that could change, and never changes it. */
static int module_put_function(PyObject *module, const PyMethodDef *method)
{
    return module_put(module, method->ml_name, PyCFunction_NewEx((PyMethodDef *)(uintptr_t)method, NULL, NULL));
}

int rj_python_install(void)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_ImportModule("rapidjws._rapidjws");
    int good =
        module_put(module, "VerifiedToken", rj_verified_token_type())
        && module_put(module, "NativeSnapshot", rj_native_snapshot_type())
        && module_put(module, "NativeEngine", rj_native_engine_type())
        && module_put(module, "KnownHeaders", rj_known_headers_type())
        && module_put(module, "Counters", rj_counters_type()) && module_put_function(module, &rj_general_verify_known)
        && module_put_function(module, &rj_http_requests) && module_put_function(module, &rj_check_request_method)
        && module_put_function(module, &rj_check_permit_method) && module_put_function(module, &rj_check_denied_method)
        && module_put_function(module, &rj_bearer_request) && module_put_function(module, &rj_header_text)
        && module_put_function(module, &rj_copy_maker) && module_put_function(module, &rj_batch_senders)
        && module_put_function(module, &rj_text_b64url_decode) && module_put_function(module, &rj_text_json_check)
        && module_put_function(module, &rj_text_request_id) && module_put_function(module, &rj_text_trace_id);

    Py_XDECREF(module);
    PyErr_Clear();
    PyGILState_Release(state);
    return good;
}
