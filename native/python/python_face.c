/* python_face.c: see python_face.h. Nothing here decides about a token; token.c and batch.c do. */
#include "python/python_face.h"

#include <stdlib.h>

#include "core/batch.h"
#include "python/python_record.h"

enum { FACE_INLINE_BYTES = 4096 /* a MAC over so little is quicker than letting the GIL go */ };

static const int64_t FACE_NS = 1000000000;

/* Returns 0 with an exception set where there is no snapshot yet. */
static int face_is_bound(const rj_bound *bound)
{
    if (bound->snapshot == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this snapshot is not bound");
    }
    return bound->snapshot != NULL;
}

/* The octets of a token that nobody can change: text or bytes. Returns 0 for anything else. */
static int face_octets(rj_span *out, PyObject *token, size_t max_bytes)
{
    Py_ssize_t len = 0;
    const char *text = NULL;

    if (PyUnicode_CheckExact(token)) {
        len = PyUnicode_GetLength(token);
        /* Past the limit only the length is looked at; what is not ASCII is no base64url and is refused there. */
        text = (size_t)len > max_bytes ? "" : PyUnicode_AsUTF8AndSize(token, &len);
    } else if (PyBytes_CheckExact(token)) {
        text = PyBytes_AsString(token);
        len = PyBytes_Size(token);
    }
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    *out = (rj_span){(const uint8_t *)text, (size_t)len};
    return 1;
}

/* A time whose nanoseconds need more than 64 bits, after the year 2262. Returns 0 with an exception set. */
static int face_late_time(rj_time *now, PyObject *value)
{
    PyObject *second = PyLong_FromLongLong(FACE_NS);
    PyObject *pair = second == NULL ? NULL : PyNumber_Divmod(value, second);

    Py_XDECREF(second);
    if (pair != NULL) {
        now->s = PyLong_AsLongLong(PyTuple_GetItem(pair, 0));
        now->ns = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(pair, 1));
        Py_DECREF(pair);
    }
    return PyErr_Occurred() == NULL;
}

int rj_face_now(rj_time *now, PyObject *value)
{
    int overflow = 0;
    long long ns = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (PyErr_Occurred() != NULL || (overflow > 0 && !face_late_time(now, value))) {
        return 0;
    }
    if (ns < 0 && overflow <= 0) {
        PyErr_SetString(PyExc_ValueError, "now is expected in nanoseconds since the epoch");
        return 0;
    }
    if (overflow == 0) {
        now->s = ns / FACE_NS;
        now->ns = (uint32_t)(ns % FACE_NS);
    }
    return 1;
}

/* The result of a decided token: a finished object where it was accepted and nothing else is to do, else its
 * verdict as a number. */
static PyObject *face_result(const rj_bound *bound, PyObject *octets, const rj_token *token)
{
    PyObject *slot = NULL;
    rj_record *record = NULL;

    if (token->status != RJ_OK || token->earned) {
        return PyLong_FromUnsignedLongLong(rj_token_verdict(token));
    }
    slot = PyTuple_GetItem(bound->slots, (Py_ssize_t)token->slot_index);
    if (slot == NULL) {
        return NULL;
    }
    record = (rj_record *)PyType_GenericAlloc((PyTypeObject *)bound->accepted, 0);
    if (record == NULL) {
        return NULL;
    }
    Py_INCREF(octets);
    record->token = octets;
    record->key = PyTuple_GetItem(slot, 0);
    Py_XINCREF(record->key);
    record->issuer = PyTuple_GetItem(slot, 1);
    Py_XINCREF(record->issuer);
    if (record->issuer != Py_None) { /* a Verifier's tokens have none, and their payload is opaque */
        record->claims = rj_claims_make(bound->shapes, token, bound->read);
        Py_INCREF(bound->read);
        record->read = bound->read;
    }
    if (record->claims == NULL) { /* else the payload can be had from the token, if anybody asks */
        record->payload = PyBytes_FromStringAndSize((const char *)token->payload.ptr, (Py_ssize_t)token->payload.len);
        if (record->payload == NULL) {
            Py_CLEAR(record);
        }
    }
    return (PyObject *)record;
}

static int face_is_short(const rj_token *token)
{
    return token->slot == NULL
        || (rj_alg_lookup(token->slot->alg)->family == RJ_FAMILY_HMAC && token->input.len <= FACE_INLINE_BYTES);
}

PyObject *rj_face_verify(const rj_bound *bound, const rj_slot **slot, PyObject *octets, rj_time now)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_span span = {NULL, 0};
    PyObject *result = NULL;
    rj_work *work = NULL;

    if (!face_is_bound(bound)) {
        return NULL;
    }
    if (!face_octets(&span, octets, bound->snapshot->max_token_bytes)) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    work = rj_runtime_take(bound->snapshot->runtime);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    work->arena_used = 0;
    rj_token_locate(&token, bound->snapshot, work, span.ptr, span.len, RJ_SLOT_NONE);
    if (face_is_short(&token)) {
        rj_token_decide(&token, bound->snapshot, work);
        rj_token_finish(&token, bound->snapshot, work, now);
    } else {
        Py_BEGIN_ALLOW_THREADS rj_token_decide(&token, bound->snapshot, work);
        rj_token_finish(&token, bound->snapshot, work, now);
        Py_END_ALLOW_THREADS
    }
    result = face_result(bound, octets, &token);
    *slot = token.slot;
    rj_runtime_put(bound->snapshot->runtime, work);
    return result;
}

PyObject *rj_face_verify_one(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_time now = {0, 0};
    const rj_slot *slot = NULL;

    if (args_len != 2) {
        return PyErr_Format(PyExc_TypeError, "verify_one(token, now_ns) takes two arguments");
    }
    return rj_face_now(&now, args[1]) ? rj_face_verify((rj_bound *)self, &slot, args[0], now) : NULL;
}

PyObject *rj_face_recheck(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_span octets = {NULL, 0};
    rj_bound *bound = (rj_bound *)self;
    rj_time now = {0, 0};
    unsigned long slot = 0;
    PyObject *result = NULL;
    rj_work *work = NULL;

    if (!face_is_bound(bound)) {
        return NULL;
    }
    if (args_len != 3 || !rj_face_now(&now, args[1])
        || !face_octets(&octets, args[0], bound->snapshot->max_token_bytes)) {
        return PyErr_Occurred() != NULL ? NULL : PyErr_Format(PyExc_TypeError, "recheck(bytes, now_ns, slot)");
    }
    slot = PyLong_AsUnsignedLong(args[2]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    work = rj_runtime_take(bound->snapshot->runtime);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    work->arena_used = 0;
    rj_token_revisit(&token, bound->snapshot, work, octets.ptr, octets.len, (uint32_t)slot, now);
    result = face_result(bound, args[0], &token);
    rj_runtime_put(bound->snapshot->runtime, work);
    return result;
}

/* Verify a list's tokens window by window into `results`. Returns 0 with an exception set where it was ended. */
static int face_verify_windows(const rj_bound *bound, PyObject *results, rj_work *work, PyObject *tokens,
                               const rj_span *spans, size_t spans_len, rj_time now, int is_alone)
{
    rj_batch_window window;
    size_t done = 0;

    while (done < spans_len) {
        size_t decided = 0;
        Py_BEGIN_ALLOW_THREADS decided =
            rj_batch_run(&window, bound->snapshot, work, spans + done, spans_len - done, now);
        Py_END_ALLOW_THREADS for (size_t i = 0; i < decided; i++)
        {
            Py_ssize_t at = (Py_ssize_t)(done + i);
            PyObject *result = NULL;
            if (!is_alone) {
                window.tokens[i].members = NULL; /* no claims yet: threads wait for this one's GIL */
            }
            if (spans[at].ptr == NULL) {
                result = Py_None;
                Py_INCREF(result);
            } else {
                result = face_result(bound, PyList_GetItem(tokens, at), &window.tokens[i]);
            }
            if (result == NULL || PyList_SetItem(results, at, result) != 0) {
                return 0;
            }
        }
        done += decided;
        if (PyErr_CheckSignals() != 0) {
            return 0;
        }
    }
    return 1;
}

PyObject *rj_face_verify_list(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_bound *bound = (rj_bound *)self;
    rj_time now = {0, 0};
    Py_ssize_t len = 0;
    rj_span *spans = NULL;
    rj_work *work = NULL;
    PyObject *results = NULL;
    int good = 0;

    if (args_len != 3 || !PyList_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "verify_list(list, now_ns, is_alone) takes a list, a time and a truth");
        return NULL;
    }
    if (!face_is_bound(bound) || !rj_face_now(&now, args[1])) {
        return NULL;
    }
    len = PyList_Size(args[0]);
    results = PyList_New(len);
    spans = calloc((size_t)len + 1, sizeof *spans);
    work = rj_runtime_take(bound->snapshot->runtime);
    if (results == NULL || spans == NULL || work == NULL) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < len; i++) {
        /* What is neither text nor bytes stays an empty span, and its result None. */
        (void)face_octets(&spans[i], PyList_GetItem(args[0], i), bound->snapshot->max_token_bytes);
    }
    good = face_verify_windows(bound, results, work, args[0], spans, (size_t)len, now, args[2] == Py_True);
done:
    if (work != NULL) {
        rj_runtime_put(bound->snapshot->runtime, work);
    }
    free(spans);
    if (!good) {
        Py_XDECREF(results);
        return PyErr_Occurred() != NULL ? NULL : PyErr_NoMemory();
    }
    return results;
}
