/* python_envoy.c: see python_envoy.h. Keeps no state; check_request.c decides what a CheckRequest is. */
#include "python/python_envoy.h"

#include "text/check_request.h"
#include "text/check_response.h"

static const char ENVOY_OURS[] = "x-jws-"; /* middleware/response.py has it as PREFIX */

static uint8_t envoy_lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c; }

/* A character of a name as the least exact server knows it; claim_headers.py has it as folded. */
static uint8_t envoy_folded(uint8_t c)
{
    c = envoy_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

/* Whether a name is a given one, both as a function reads them. */
static int envoy_same(rj_span name, PyObject *given, uint8_t (*read)(uint8_t))
{
    char *octets = NULL;
    Py_ssize_t len = 0;

    if (!PyBytes_Check(given) || PyBytes_AsStringAndSize(given, &octets, &len) != 0 || (size_t)len != name.len) {
        return 0;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (read(name.ptr[i]) != (uint8_t)octets[i]) {
            return 0;
        }
    }
    return 1;
}

/* The one of some names that is the given one, borrowed, or NULL. */
static PyObject *envoy_find(rj_span name, PyObject *names, uint8_t (*read)(uint8_t))
{
    Py_ssize_t len = PyTuple_Size(names);

    for (Py_ssize_t i = 0; i < len; i++) {
        PyObject *one = PyTuple_GetItem(names, i);
        if (envoy_same(name, one, read)) {
            return one;
        }
    }
    return NULL;
}

/* Whether a name is one that only we may set. */
static int envoy_is_ours(rj_span name, PyObject *owned)
{
    size_t len = sizeof(ENVOY_OURS) - 1;
    size_t same = 0;

    while (same < len && same < name.len
           && (name.ptr[same] == '_' ? '-' : envoy_lower(name.ptr[same])) == (uint8_t)ENVOY_OURS[same]) {
        same++;
    }
    return same == len || envoy_find(name, owned, envoy_folded) != NULL;
}

static PyObject *envoy_octets(rj_span span)
{
    return PyBytes_FromStringAndSize((const char *)span.ptr, (Py_ssize_t)span.len);
}

/* A name in lower case. */
static PyObject *envoy_lowered(rj_span name)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)name.len);
    char *octets = made == NULL ? NULL : PyBytes_AsString(made); /* nobody else has seen it yet */

    for (size_t i = 0; octets != NULL && i < name.len; i++) {
        octets[i] = (char)envoy_lower(name.ptr[i]);
    }
    return made;
}

/* Append a header: (name, value). Returns 0 with an exception set where memory is out. */
static int envoy_append(PyObject *headers, PyObject *name, rj_span value)
{
    PyObject *octets = name == NULL ? NULL : envoy_octets(value);
    PyObject *pair = octets == NULL ? NULL : PyTuple_Pack(2, name, octets);
    int good = pair != NULL && PyList_Append(headers, pair) == 0;

    Py_XDECREF(octets);
    Py_XDECREF(pair);
    return good;
}

/* Take a header: into headers where it is wanted, its name into removed where it is ours. */
static int envoy_take(PyObject *headers, PyObject *removed, rj_span name, rj_span value, PyObject *wanted,
                      PyObject *owned)
{
    PyObject *found = NULL;
    int good = 1;

    if (wanted == Py_None) {
        found = envoy_lowered(name);
        good = envoy_append(headers, found, value);
        Py_XDECREF(found);
    } else {
        found = envoy_find(name, wanted, envoy_lower);
        good = found == NULL || envoy_append(headers, found, value);
    }
    if (good && envoy_is_ours(name, owned)) {
        PyObject *lower = envoy_lowered(name);
        PyObject *text =
            lower == NULL ? NULL : PyUnicode_DecodeLatin1(PyBytes_AsString(lower), (Py_ssize_t)name.len, NULL);
        good = text != NULL && PyList_Append(removed, text) == 0;
        Py_XDECREF(lower);
        Py_XDECREF(text);
    }
    return good;
}

/* (headers, path, method, host, body, removed), or NULL with an exception set. */
static PyObject *envoy_request(const rj_check_request *request, PyObject *wanted, PyObject *owned, int with_body)
{
    rj_check_cursor cursor = rj_check_headers(request);
    PyObject *headers = PyList_New(0);
    PyObject *removed = PyList_New(0);
    int good = headers != NULL && removed != NULL;
    rj_span body = with_body ? request->body : (rj_span){NULL, 0};
    rj_span name = {NULL, 0};
    rj_span value = {NULL, 0};

    while (good && rj_check_header_next(&name, &value, &cursor)) {
        good = envoy_take(headers, removed, name, value, wanted, owned);
    }
    if (!good) {
        Py_XDECREF(headers);
        Py_XDECREF(removed);
        return NULL;
    }
    return Py_BuildValue("(NNNNNN)", headers, envoy_octets(request->path), envoy_octets(request->method),
                         envoy_octets(request->host), envoy_octets(body), removed);
}

static PyObject *envoy_check_request(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    char *octets = NULL;
    Py_ssize_t len = 0;
    size_t offset = 0;
    int with_body = 0;
    rj_check_request request;

    (void)module;
    if (args_len != 5 || (args[2] != Py_None && !PyTuple_Check(args[2])) || !PyTuple_Check(args[3])) {
        return PyErr_Format(PyExc_TypeError, "check_request(bytes, offset, tuple or None, tuple, bool)");
    }
    offset = PyLong_AsSize_t(args[1]);
    if (PyErr_Occurred() != NULL || PyBytes_AsStringAndSize(args[0], &octets, &len) != 0) {
        return NULL;
    }
    with_body = PyObject_IsTrue(args[4]);
    if (with_body < 0) {
        return NULL;
    }
    if (offset > (size_t)len
        || rj_check_request_read(&request, (const uint8_t *)octets + offset, (size_t)len - offset) != RJ_OK) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return envoy_request(&request, args[2], args[3], with_body);
}

const PyMethodDef rj_check_request_method = {"check_request", (PyCFunction)(void (*)(void))envoy_check_request,
                                             METH_FASTCALL, NULL};

/* Fields of CheckResponse, OkHttpResponse and DeniedHttpResponse. */
enum { RESPONSE_STATUS = 1, RESPONSE_DENIED = 2, RESPONSE_OK = 3 };
enum { OK_HEADERS = 2, OK_REMOVED = 5, OK_TO_CLIENT = 6 };
enum { DENIED_STATUS = 1, DENIED_HEADERS = 2, DENIED_BODY = 3 };

/* The octets of Python's bytes, or of a text in UTF-8, borrowed. Returns 0 with an exception set for anything else. */
static int envoy_span(rj_span *out, PyObject *value)
{
    const char *text = NULL;
    char *octets = NULL;
    Py_ssize_t len = 0;

    if (PyUnicode_Check(value)) {
        text = PyUnicode_AsUTF8AndSize(value, &len);
    } else if (PyBytes_AsStringAndSize(value, &octets, &len) == 0) {
        text = octets;
    }
    *out = (rj_span){(const uint8_t *)text, text == NULL ? 0 : (size_t)len};
    return text != NULL;
}

/* Name and value of a header, borrowed. Returns 0 with an exception set. */
static int envoy_pair(rj_span *name, rj_span *value, PyObject *pair)
{
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "a header is (name, value)");
        return 0;
    }
    return envoy_span(name, PyTuple_GetItem(pair, 0)) && envoy_span(value, PyTuple_GetItem(pair, 1));
}

/* Add the bytes of fields of headers, a tuple of pairs. Returns 0 with an exception set. */
static int envoy_options_bytes(size_t *bytes, PyObject *headers)
{
    Py_ssize_t len = PyTuple_Size(headers);
    rj_span name = {NULL, 0};
    rj_span value = {NULL, 0};

    for (Py_ssize_t i = 0; i < len; i++) {
        if (!envoy_pair(&name, &value, PyTuple_GetItem(headers, i))) {
            return 0;
        }
        *bytes += rj_check_field_bytes(rj_check_option_bytes(name, value));
    }
    return len >= 0;
}

/* Write the fields that envoy_options_bytes counted: tuples, bytes and texts do not change. */
static uint8_t *envoy_options_write(uint8_t *out, unsigned number, PyObject *headers)
{
    Py_ssize_t len = PyTuple_Size(headers);
    rj_span name = {NULL, 0};
    rj_span value = {NULL, 0};

    for (Py_ssize_t i = 0; i < len && envoy_pair(&name, &value, PyTuple_GetItem(headers, i)); i++) {
        out = rj_check_option_write(out, number, name, value);
    }
    return out;
}

/* What a permit is made of. */
enum { PERMIT_FIXED, PERMIT_HEADERS, PERMIT_REMOVED, PERMIT_TO_CLIENT, PERMIT_METADATA, PERMIT_ARGS };

/* The bytes of an OkHttpResponse behind its fixed part. Returns 0 with an exception set. */
static int envoy_ok_bytes(size_t *bytes, PyObject *const *args)
{
    Py_ssize_t len = PyTuple_Size(args[PERMIT_REMOVED]);
    rj_span name = {NULL, 0};

    for (Py_ssize_t i = 0; i < len; i++) {
        if (!envoy_span(&name, PyTuple_GetItem(args[PERMIT_REMOVED], i))) {
            return 0;
        }
        *bytes += rj_check_field_bytes(name.len);
    }
    return envoy_options_bytes(bytes, args[PERMIT_HEADERS]) && envoy_options_bytes(bytes, args[PERMIT_TO_CLIENT]);
}

static PyObject *envoy_check_permit(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    rj_span fixed = {NULL, 0};
    rj_span metadata = {NULL, 0};
    rj_span name = {NULL, 0};
    PyObject *made = NULL;
    uint8_t *out = NULL;
    size_t bytes = 0;

    (void)module;
    if (args_len != PERMIT_ARGS || !PyTuple_Check(args[PERMIT_HEADERS]) || !PyTuple_Check(args[PERMIT_REMOVED])
        || !PyTuple_Check(args[PERMIT_TO_CLIENT])) {
        return PyErr_Format(PyExc_TypeError, "check_permit(bytes, tuple, tuple, tuple, bytes)");
    }
    if (!envoy_span(&fixed, args[PERMIT_FIXED]) || !envoy_span(&metadata, args[PERMIT_METADATA])
        || !envoy_ok_bytes(&bytes, args)) {
        return NULL;
    }
    bytes += fixed.len;
    made = PyBytes_FromStringAndSize(
        NULL, (Py_ssize_t)(rj_check_field_bytes(0) + rj_check_field_bytes(bytes) + metadata.len));
    if (made == NULL) {
        return NULL;
    }
    out = (uint8_t *)PyBytes_AsString(made); /* nobody else has seen it yet */
    out = rj_check_field_begin(out, RESPONSE_STATUS, 0);
    out = rj_check_field_begin(out, RESPONSE_OK, bytes);
    out = rj_check_octets_write(out, fixed);
    out = envoy_options_write(out, OK_HEADERS, args[PERMIT_HEADERS]);
    for (Py_ssize_t i = 0; i < PyTuple_Size(args[PERMIT_REMOVED]); i++) {
        (void)envoy_span(&name, PyTuple_GetItem(args[PERMIT_REMOVED], i));
        out = rj_check_field_write(out, OK_REMOVED, name);
    }
    out = envoy_options_write(out, OK_TO_CLIENT, args[PERMIT_TO_CLIENT]);
    (void)rj_check_octets_write(out, metadata);
    return made;
}

const PyMethodDef rj_check_permit_method = {"check_permit", (PyCFunction)(void (*)(void))envoy_check_permit,
                                            METH_FASTCALL, NULL};

/* What a refusal is made of. */
enum { REFUSAL_CODE, REFUSAL_STATUS, REFUSAL_HEADERS, REFUSAL_BODY, REFUSAL_ARGS };

static PyObject *envoy_check_denied(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    rj_span body = {NULL, 0};
    PyObject *made = NULL;
    uint8_t *out = NULL;
    size_t bytes = 0;
    size_t numbers[2] = {0, 0};
    uint32_t code = 0;
    uint32_t status = 0;

    (void)module;
    if (args_len != REFUSAL_ARGS || !PyTuple_Check(args[REFUSAL_HEADERS])) {
        return PyErr_Format(PyExc_TypeError, "check_denied(int, int, tuple, bytes)");
    }
    for (int i = 0; i < 2; i++) {
        numbers[i] = PyLong_AsSize_t(args[i]);
        if (PyErr_Occurred() != NULL) {
            return NULL;
        }
        if (numbers[i] == 0 || numbers[i] > INT16_MAX) {
            return PyErr_Format(PyExc_ValueError, "a refusal has a code and a status"); /* code 0 permits */
        }
    }
    code = (uint32_t)numbers[REFUSAL_CODE];
    status = (uint32_t)numbers[REFUSAL_STATUS];
    if (!envoy_span(&body, args[REFUSAL_BODY]) || !envoy_options_bytes(&bytes, args[REFUSAL_HEADERS])) {
        return NULL;
    }
    bytes += rj_check_field_bytes(rj_check_number_bytes(status)) + rj_check_field_bytes(body.len);
    made = PyBytes_FromStringAndSize(
        NULL, (Py_ssize_t)(rj_check_field_bytes(rj_check_number_bytes(code)) + rj_check_field_bytes(bytes)));
    if (made == NULL) {
        return NULL;
    }
    out = (uint8_t *)PyBytes_AsString(made); /* nobody else has seen it yet */
    out = rj_check_number_write(out, RESPONSE_STATUS, code);
    out = rj_check_field_begin(out, RESPONSE_DENIED, bytes);
    out = rj_check_number_write(out, DENIED_STATUS, status);
    out = envoy_options_write(out, DENIED_HEADERS, args[REFUSAL_HEADERS]);
    (void)rj_check_field_write(out, DENIED_BODY, body);
    return made;
}

const PyMethodDef rj_check_denied_method = {"check_denied", (PyCFunction)(void (*)(void))envoy_check_denied,
                                            METH_FASTCALL, NULL};
