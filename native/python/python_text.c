/* python_text.c: see python_text.h. Keeps no state; base64url.c and json_scan.c decide. */
#include "python/python_text.h"

#include "text/base64url.h"
#include "text/request_ids.h"
#include "core/primitives.h"
#include "span.h"

enum { TEXT_INLINE_BYTES = 4096 /* so little is done sooner than the GIL is let go and taken again */ };

/* The octets of Python's bytes, borrowed. Returns 0 with an exception set for anything else. */
static int text_octets(rj_span *out, PyObject *value)
{
    char *octets = NULL;
    Py_ssize_t len = 0;

    if (PyBytes_AsStringAndSize(value, &octets, &len) != 0) {
        return 0;
    }
    *out = (rj_span){(const uint8_t *)octets, (size_t)len};
    return 1;
}

static PyObject *text_b64url_decode(PyObject *module, PyObject *text)
{
    rj_span from = {NULL, 0};
    uint8_t *to = NULL;
    PyObject *octets = NULL;
    size_t len = 0;
    size_t octets_len = 0;
    rj_status status = RJ_UNDECIDED;

    (void)module;
    if (!text_octets(&from, text)) {
        return NULL;
    }
    len = from.len;
    octets = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)rj_base64url_decoded_bytes(len));
    if (octets == NULL) {
        return NULL;
    }
    to = (uint8_t *)PyBytes_AsString(octets); /* nobody else has seen it yet */
    if (len <= TEXT_INLINE_BYTES) {
        status = rj_base64url_decode(to, &octets_len, rj_base64url_decoded_bytes(len), from.ptr, len);
    } else {
        Py_BEGIN_ALLOW_THREADS status =
            rj_base64url_decode(to, &octets_len, rj_base64url_decoded_bytes(len), from.ptr, len);
        Py_END_ALLOW_THREADS
    }
    if (status != RJ_OK || octets_len != rj_base64url_decoded_bytes(len)) {
        Py_DECREF(octets);
        Py_INCREF(Py_None);
        return Py_None;
    }
    return octets;
}

/* The limits of a scan, as json_check takes them behind its text. */
enum { LIMIT_BYTES, LIMIT_DEPTH, LIMIT_MEMBERS, LIMIT_ANY_ROOT, LIMITS };

enum { CHECK_RUNTIME, CHECK_TEXT, CHECK_LIMITS, CHECK_ARGS = CHECK_LIMITS + LIMITS };

static PyObject *text_json_check(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    uint32_t limits[LIMITS] = {0, 0, 0, 0};
    uint32_t offset = 0;
    uint32_t notes = 0;
    rj_span text = {NULL, 0};
    rj_runtime *runtime = NULL;
    rj_status status = RJ_UNDECIDED;

    (void)module;
    if (args_len != CHECK_ARGS) {
        return PyErr_Format(PyExc_TypeError, "json_check(runtime, bytes, four limits)");
    }
    if (!text_octets(&text, args[CHECK_TEXT])) {
        return NULL;
    }
    for (size_t i = 0; i < LIMITS; i++) {
        unsigned long limit = PyLong_AsUnsignedLong(args[CHECK_LIMITS + i]);
        if (PyErr_Occurred() == NULL && limit > UINT32_MAX) {
            PyErr_SetString(PyExc_OverflowError, "a limit of 32 bits is expected");
        }
        if (PyErr_Occurred() != NULL) {
            return NULL;
        }
        limits[i] = (uint32_t)limit;
    }
    runtime = PyLong_AsVoidPtr(args[CHECK_RUNTIME]);
    if (runtime == NULL) {
        return PyErr_Occurred() != NULL ? NULL : PyErr_Format(PyExc_ValueError, "no runtime");
    }
    if (text.len <= TEXT_INLINE_BYTES) {
        status = rj_json_check(runtime, &offset, &notes, text.ptr, text.len, limits[LIMIT_BYTES], limits[LIMIT_DEPTH],
                               limits[LIMIT_MEMBERS], limits[LIMIT_ANY_ROOT] != 0);
    } else {
        Py_BEGIN_ALLOW_THREADS status =
            rj_json_check(runtime, &offset, &notes, text.ptr, text.len, limits[LIMIT_BYTES], limits[LIMIT_DEPTH],
                          limits[LIMIT_MEMBERS], limits[LIMIT_ANY_ROOT] != 0);
        Py_END_ALLOW_THREADS
    }
    if (status == RJ_NO_MEMORY) {
        return PyErr_NoMemory();
    }
    return Py_BuildValue("(iII)", (int)status, (unsigned int)offset, (unsigned int)notes);
}

static PyObject *text_request_id(PyObject *module, PyObject *value)
{
    rj_span text = {NULL, 0};

    (void)module;
    if (!text_octets(&text, value)) {
        return NULL;
    }
    if (!rj_request_id_check(text.ptr, text.len)) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return PyUnicode_DecodeASCII((const char *)text.ptr, (Py_ssize_t)text.len, NULL);
}

static PyObject *text_trace_id(PyObject *module, PyObject *value)
{
    rj_span text = {NULL, 0};

    (void)module;
    if (!text_octets(&text, value)) {
        return NULL;
    }
    if (!rj_traceparent_check(text.ptr, text.len)) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return PyUnicode_DecodeASCII((const char *)text.ptr + RJ_TRACE_ID_AT, RJ_TRACE_ID_BYTES, NULL);
}

const PyMethodDef rj_text_request_id = {"request_id", text_request_id, METH_O, NULL};
const PyMethodDef rj_text_trace_id = {"trace_id", text_trace_id, METH_O, NULL};
const PyMethodDef rj_text_b64url_decode = {"b64url_decode", text_b64url_decode, METH_O, NULL};
const PyMethodDef rj_text_json_check = {"json_check", (PyCFunction)(void (*)(void))text_json_check, METH_FASTCALL,
                                        NULL};
