/* python_request.c: see python_request.h. Keeps no state; what is not plain is left to Python. */
#include "python/python_request.h"

#include <string.h>

#include "span.h"

static const char REQUEST_SCHEME[] = "Bearer "; /* RFC 6750 s.2.1 */

/* The octets of Python's bytes, borrowed. Returns 0 for anything else, without an exception. */
static int request_octets(rj_span *out, PyObject *value)
{
    char *octets = NULL;
    Py_ssize_t len = 0;

    if (!PyBytes_CheckExact(value) || PyBytes_AsStringAndSize(value, &octets, &len) != 0) {
        return 0;
    }
    *out = (rj_span){(const uint8_t *)octets, (size_t)len};
    return 1;
}

/* Whether two names are the same bytes. */
static int request_same(PyObject *name, PyObject *other)
{
    rj_span mine = {NULL, 0};
    rj_span theirs = {NULL, 0};

    return name == other
        || (request_octets(&mine, name) && request_octets(&theirs, other) && mine.len == theirs.len
            && memcmp(mine.ptr, theirs.ptr, mine.len) == 0);
}

static int request_is_among(PyObject *name, PyObject *names)
{
    Py_ssize_t len = PyTuple_Size(names);

    for (Py_ssize_t i = 0; i < len; i++) {
        if (request_same(name, PyTuple_GetItem(names, i))) {
            return 1;
        }
    }
    return 0;
}

/* The one value of each kind that a request has, borrowed. */
typedef struct {
    PyObject *token;
    PyObject *partner;
    PyObject *route;
} request_found;

/* Keep a value. Returns 0 where there is one: which of them another server reads is not known. */
static int request_keep(PyObject **place, PyObject *value)
{
    int is_first = *place == NULL;

    *place = value;
    return is_first;
}

/* The arguments of bearer_request. */
enum { REQUEST_HEADERS, REQUEST_TOKEN, REQUEST_PARTNER, REQUEST_ROUTES, REQUEST_TARGET, REQUEST_ARGS };

/* Find the values. Returns 0 where one is there twice, or a header is no pair. */
static int request_find(request_found *found, PyObject *const *args)
{
    Py_ssize_t len = PyList_Size(args[REQUEST_HEADERS]);
    int has_target = args[REQUEST_TARGET] != Py_None;

    for (Py_ssize_t i = 0; i < len; i++) {
        PyObject *pair = PyList_GetItem(args[REQUEST_HEADERS], i);
        PyObject *name = NULL;
        PyObject *value = NULL;
        int good = 1;
        if (!PyTuple_CheckExact(pair) || PyTuple_Size(pair) != 2) {
            return 0;
        }
        name = PyTuple_GetItem(pair, 0);
        value = PyTuple_GetItem(pair, 1);
        if (request_same(name, args[REQUEST_TOKEN])) {
            good = request_keep(&found->token, value);
        } else if (request_same(name, args[REQUEST_PARTNER])) {
            good = request_keep(&found->partner, value);
        } else if (!has_target && request_is_among(name, args[REQUEST_ROUTES])) {
            good = request_keep(&found->route, value);
        }
        if (!good) {
            return 0;
        }
    }
    if (has_target) {
        found->route = args[REQUEST_TARGET];
    }
    return 1;
}

/* The token behind the scheme. Returns 0 where there is not exactly one, whoever reads the field. */
static int request_token(rj_span *out, PyObject *value)
{
    size_t scheme = sizeof(REQUEST_SCHEME) - 1;
    rj_span field = {NULL, 0};

    if (value == NULL || !request_octets(&field, value) || field.len <= scheme
        || memcmp(field.ptr, REQUEST_SCHEME, scheme) != 0) {
        return 0;
    }
    *out = (rj_span){field.ptr + scheme, field.len - scheme};
    return memchr(out->ptr, ' ', out->len) == NULL && memchr(out->ptr, ',', out->len) == NULL
        && memchr(out->ptr, '\t', out->len) == NULL;
}

/* A name as text; None where there is none. */
static PyObject *request_text(rj_span name, PyObject *value)
{
    if (value == NULL) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return PyUnicode_DecodeLatin1((const char *)name.ptr, (Py_ssize_t)name.len, NULL);
}

static PyObject *request_bearer(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    request_found found = {NULL, NULL, NULL};
    rj_span token = {NULL, 0};
    rj_span partner = {NULL, 0};
    rj_span route = {NULL, 0};

    (void)module;
    if (args_len != REQUEST_ARGS || !PyList_CheckExact(args[REQUEST_HEADERS]) || !PyTuple_Check(args[REQUEST_ROUTES])) {
        return PyErr_Format(PyExc_TypeError, "bearer_request(list, bytes, bytes or None, tuple, bytes or None)");
    }
    if (!request_find(&found, args) || !request_token(&token, found.token)
        || (found.partner != NULL && !request_octets(&partner, found.partner))
        || (found.route != NULL
            && (!request_octets(&route, found.route)
                || (route.len != 0 && memchr(route.ptr, '?', route.len) != NULL)))) { /* a query may hold a token */
        Py_INCREF(Py_None);
        return Py_None;
    }
    return Py_BuildValue("(NNN)", PyBytes_FromStringAndSize((const char *)token.ptr, (Py_ssize_t)token.len),
                         request_text(partner, found.partner), request_text(route, found.route));
}

const PyMethodDef rj_bearer_request = {"bearer_request", (PyCFunction)(void (*)(void))request_bearer, METH_FASTCALL,
                                       NULL};

/* The protected header of a compact token, as it stands in a field. */
static rj_span request_header(rj_span field)
{
    const uint8_t *dot = field.len == 0 ? NULL : memchr(field.ptr, '.', field.len);
    size_t end = dot == NULL ? field.len : (size_t)(dot - field.ptr);
    size_t start = end;

    while (start > 0 && field.ptr[start - 1] != ' ') {
        start--;
    }
    return (rj_span){field.ptr + start, end - start};
}

/* Whose a request is: the values of a field, joined by commas, or the header of the first token. Returns a new
 * reference, or NULL with an exception set. */
static PyObject *request_sender(PyObject *fields, PyObject *token_field, PyObject *partner_field)
{
    PyObject *field = partner_field == Py_None ? token_field : partner_field;
    PyObject *sender = NULL;
    Py_ssize_t len = PyList_Size(fields);

    for (Py_ssize_t i = 0; i < len; i++) {
        PyObject *pair = PyList_GetItem(fields, i);
        rj_span value = {NULL, 0};
        if (!PyTuple_CheckExact(pair) || PyTuple_Size(pair) != 2 || !request_same(PyTuple_GetItem(pair, 0), field)) {
            continue;
        }
        if (!request_octets(&value, PyTuple_GetItem(pair, 1))) {
            break;
        }
        if (partner_field == Py_None) {
            value = request_header(value);
            return PyBytes_FromStringAndSize((const char *)value.ptr, (Py_ssize_t)value.len);
        }
        if (sender == NULL) {
            sender = PyTuple_GetItem(pair, 1);
            Py_INCREF(sender);
        } else {
            PyBytes_ConcatAndDel(&sender, PyBytes_FromStringAndSize(",", 1));
            PyBytes_Concat(&sender, PyTuple_GetItem(pair, 1));
        }
        if (sender == NULL) {
            return NULL;
        }
    }
    return sender != NULL ? sender : PyBytes_FromStringAndSize("", 0);
}

/* The fields of a batched request, (answerer, rest, (what it asks for, fields, ...)): borrowed, or NULL. */
static PyObject *request_fields(PyObject *entry)
{
    PyObject *request = PyTuple_CheckExact(entry) && PyTuple_Size(entry) == 3 ? PyTuple_GetItem(entry, 2) : NULL;
    PyObject *fields =
        request != NULL && PyTuple_Check(request) && PyTuple_Size(request) > 1 ? PyTuple_GetItem(request, 1) : NULL;

    return fields != NULL && PyList_CheckExact(fields) ? fields : NULL;
}

static PyObject *request_senders(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    PyObject *senders = NULL;
    Py_ssize_t len = 0;

    (void)module;
    if (args_len != 3 || !PyList_CheckExact(args[0])) {
        return PyErr_Format(PyExc_TypeError, "batch_senders(list, bytes, bytes or None)");
    }
    len = PyList_Size(args[0]);
    senders = PyList_New(len);
    for (Py_ssize_t i = 0; senders != NULL && i < len; i++) {
        PyObject *fields = request_fields(PyList_GetItem(args[0], i));
        PyObject *sender = fields == NULL ? PyErr_Format(PyExc_TypeError, "a request expected")
                                          : request_sender(fields, args[1], args[2]);
        if (sender == NULL || PyList_SetItem(senders, i, sender) != 0) {
            Py_CLEAR(senders);
        }
    }
    return senders;
}

const PyMethodDef rj_batch_senders = {"batch_senders", (PyCFunction)(void (*)(void))request_senders, METH_FASTCALL,
                                      NULL};

/* Whether octets are printable ASCII without a space at either end (RFC 9110 s.5.5). */
static int request_is_plain(const char *text, Py_ssize_t len)
{
    if (len != 0 && (text[0] == ' ' || text[len - 1] == ' ')) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return 0;
        }
    }
    return 1;
}

static PyObject *request_header_text(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    const char *text = NULL;
    Py_ssize_t len = 0;
    Py_ssize_t max_chars = 0;

    (void)module;
    if (args_len != 2) {
        return PyErr_Format(PyExc_TypeError, "header_text(value, max_chars)");
    }
    max_chars = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    if (PyUnicode_Check(args[0]) && PyUnicode_GetLength(args[0]) <= max_chars) {
        text = PyUnicode_AsUTF8AndSize(args[0], &len);
        PyErr_Clear(); /* a lone surrogate: no ASCII */
    }
    if (text == NULL || !request_is_plain(text, len)) {
        return PyUnicode_FromStringAndSize("", 0);
    }
    Py_INCREF(args[0]);
    return args[0];
}

const PyMethodDef rj_header_text = {"header_text", (PyCFunction)(void (*)(void))request_header_text, METH_FASTCALL,
                                    NULL};
