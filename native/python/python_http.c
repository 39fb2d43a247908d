/* python_http.c: see python_http.h. Keeps no state; http_head.c decides what is plain. */
#include "python/python_http.h"

#include "text/http_head.h"

enum { HTTP_REQUESTS_MAX = 64 /* of one call: what follows is read by the next one */ };

/* Whether a name is a lower-case one, whatever its own case. */
static int http_same_name(rj_span name, PyObject *lower)
{
    char *octets = NULL;
    Py_ssize_t len = 0;

    if (!PyBytes_Check(lower) || PyBytes_AsStringAndSize(lower, &octets, &len) != 0 || (size_t)len != name.len) {
        return 0;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != (uint8_t)octets[i]) {
            return 0;
        }
    }
    return 1;
}

/* The wanted name that a field has, borrowed, or NULL. */
static PyObject *http_wanted(rj_span name, PyObject *wanted)
{
    Py_ssize_t len = PyTuple_Size(wanted);

    for (Py_ssize_t i = 0; i < len; i++) {
        PyObject *one = PyTuple_GetItem(wanted, i);
        if (http_same_name(name, one)) {
            return one;
        }
    }
    return NULL;
}

static PyObject *http_octets(rj_span span)
{
    return PyBytes_FromStringAndSize((const char *)span.ptr, (Py_ssize_t)span.len);
}

/* The fields that are wanted, in their order: a list of (name, value). */
static PyObject *http_fields(const rj_http_head *head, PyObject *wanted)
{
    PyObject *fields = PyList_New(0);

    for (size_t i = 0; fields != NULL && i < head->fields_len; i++) {
        PyObject *name = http_wanted(head->fields[i].name, wanted);
        PyObject *value = name == NULL ? NULL : http_octets(head->fields[i].value);
        PyObject *pair = value == NULL ? NULL : PyTuple_Pack(2, name, value);
        Py_XDECREF(value);
        if (name != NULL && (pair == NULL || PyList_Append(fields, pair) != 0)) {
            Py_CLEAR(fields);
        }
        Py_XDECREF(pair);
    }
    return fields;
}

/* Append a request: (target, fields, method). Returns 0 with an exception set where memory is out. */
static int http_append(PyObject *requests, const rj_http_head *head, PyObject *wanted)
{
    PyObject *target = http_octets(head->target);
    PyObject *fields = target == NULL ? NULL : http_fields(head, wanted);
    PyObject *method = fields == NULL ? NULL : PyBytes_FromString(head->is_head ? "HEAD" : "GET");
    PyObject *request = method == NULL ? NULL : PyTuple_Pack(3, target, fields, method);
    int good = request != NULL && PyList_Append(requests, request) == 0;

    Py_XDECREF(target);
    Py_XDECREF(fields);
    Py_XDECREF(method);
    Py_XDECREF(request);
    return good;
}

static PyObject *http_requests(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    char *octets = NULL;
    Py_ssize_t len = 0;
    Py_ssize_t at = 0;
    size_t max_bytes = 0;
    PyObject *requests = NULL;
    rj_http_head head;

    (void)module;
    if (args_len != 3 || !PyTuple_Check(args[1])) {
        return PyErr_Format(PyExc_TypeError, "http_requests(bytes, tuple, max_bytes)");
    }
    max_bytes = PyLong_AsSize_t(args[2]);
    if (PyErr_Occurred() != NULL || PyBytes_AsStringAndSize(args[0], &octets, &len) != 0) {
        return NULL;
    }
    requests = PyList_New(0);
    for (int i = 0; requests != NULL && i < HTTP_REQUESTS_MAX && at < len; i++) {
        if (rj_http_head_scan(&head, (const uint8_t *)octets + at, (size_t)(len - at), max_bytes) != RJ_OK) {
            break;
        }
        if (!http_append(requests, &head, args[1])) {
            Py_CLEAR(requests);
        }
        at += (Py_ssize_t)head.head_len;
    }
    return requests == NULL ? NULL : Py_BuildValue("(Nn)", requests, at);
}

const PyMethodDef rj_http_requests = {"http_requests", (PyCFunction)(void (*)(void))http_requests, METH_FASTCALL, NULL};
