/* python_verify.c: see python_verify.h. Nothing here decides about a token; token.c and batch.c do. */
#include "python/python_verify.h"

#include <stdlib.h>

#include "core/accelerated.h"
#include "core/batch.h"
#include "python/python_token.h"

enum { VERIFY_INLINE_BYTES = 4096 /* a MAC over so little is quicker than letting the GIL go */ };

static const int64_t VERIFY_NS = 1000000000;

/* Returns 0 with an exception set where there is no snapshot yet. */
static int verify_is_attached(const rj_native_snapshot *native)
{
    if (native->snapshot == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this snapshot is not attached");
    }
    return native->snapshot != NULL;
}

int rj_python_octets(rj_span *out, PyObject *token, size_t max_bytes)
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
static int verify_late_time(rj_time *now, PyObject *value)
{
    PyObject *second = PyLong_FromLongLong(VERIFY_NS);
    PyObject *pair = second == NULL ? NULL : PyNumber_Divmod(value, second);

    Py_XDECREF(second);
    if (pair != NULL) {
        now->s = PyLong_AsLongLong(PyTuple_GetItem(pair, 0));
        now->ns = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(pair, 1));
        Py_DECREF(pair);
    }
    return PyErr_Occurred() == NULL;
}

int rj_python_now(rj_time *now, PyObject *value)
{
    int overflow = 0;
    long long ns = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (PyErr_Occurred() != NULL || (overflow > 0 && !verify_late_time(now, value))) {
        return 0;
    }
    if (ns < 0 && overflow <= 0) {
        PyErr_SetString(PyExc_ValueError, "now is expected in nanoseconds since the epoch");
        return 0;
    }
    if (overflow == 0) {
        now->s = ns / VERIFY_NS;
        now->ns = (uint32_t)(ns % VERIFY_NS);
    }
    return 1;
}

/* The result of a decided token: a finished object where it was accepted and nothing else is to do, else its
 * verdict as a number. */
static PyObject *verify_result(const rj_native_snapshot *native, PyObject *octets, const rj_token *token)
{
    PyObject *slot = NULL;
    rj_verified_token *verified = NULL;

    if (token->status != RJ_OK || token->table_due) {
        return PyLong_FromUnsignedLongLong(rj_token_result(token));
    }
    slot = PyTuple_GetItem(native->slots, (Py_ssize_t)token->slot_index);
    if (slot == NULL) {
        return NULL;
    }
    verified = (rj_verified_token *)PyType_GenericAlloc((PyTypeObject *)native->accepted, 0);
    if (verified == NULL) {
        return NULL;
    }
    Py_INCREF(octets);
    verified->token = octets;
    verified->key = PyTuple_GetItem(slot, 0);
    Py_XINCREF(verified->key);
    verified->issuer = PyTuple_GetItem(slot, 1);
    Py_XINCREF(verified->issuer);
    if (verified->issuer != Py_None) { /* a Verifier's tokens have none, and their payload is opaque */
        verified->claims = rj_claims_make(native->shapes, token, native->read);
        Py_INCREF(native->read);
        verified->read = native->read;
    }
    if (verified->claims == NULL) { /* else the payload can be had from the token, if anybody asks */
        verified->payload = PyBytes_FromStringAndSize((const char *)token->payload.ptr, (Py_ssize_t)token->payload.len);
        if (verified->payload == NULL) {
            Py_CLEAR(verified);
        }
    }
    return (PyObject *)verified;
}

int rj_python_is_attached(const rj_native_snapshot *native) { return verify_is_attached(native); }

PyObject *rj_python_result(const rj_native_snapshot *native, PyObject *octets, const rj_token *token)
{
    return verify_result(native, octets, token);
}

/* Whether the GIL is kept: a MAC is quicker than letting it go. So is a signature by a table where only one thread
 * verifies: nobody else uses these microseconds to verify, and whoever took the GIL meanwhile, such as a thread that
 * fetches keys, would keep it until it next waits. */
static int verify_is_short(const rj_token *token, int is_alone)
{
    if (token->slot == NULL) {
        return 1;
    }
    if (token->check.input.len > VERIFY_INLINE_BYTES) {
        return 0;
    }
    return rj_alg_lookup(token->slot->alg)->family == RJ_FAMILY_HMAC
        || (is_alone && rj_accelerated_group_of(token->slot, token->check.signature.len) != RJ_ACCELERATED_NONE);
}

PyObject *rj_python_verify(const rj_native_snapshot *native, const rj_slot **slot, PyObject *octets, rj_time now,
                           uint64_t header_hash)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_span span = {NULL, 0};
    PyObject *result = NULL;
    rj_workspace *work = NULL;
    int is_alone = 0;

    if (!verify_is_attached(native)) {
        return NULL;
    }
    if (!rj_python_octets(&span, octets, native->snapshot->max_token_bytes)) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    work = rj_runtime_borrow_workspace(native->snapshot->runtime);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    work->arena_used = 0;
    rj_token_split(&token, native->snapshot, work, span.ptr, span.len);
    rj_token_find_key(&token, native->snapshot, work, header_hash);
    is_alone = rj_runtime_is_alone(native->snapshot->runtime, (uintptr_t)PyThreadState_Get());
    if (verify_is_short(&token, is_alone)) {
        rj_token_verify_signature(&token, native->snapshot, work);
        rj_token_check_claims(&token, native->snapshot, work, now);
    } else {
        Py_BEGIN_ALLOW_THREADS rj_token_verify_signature(&token, native->snapshot, work);
        rj_token_check_claims(&token, native->snapshot, work, now);
        Py_END_ALLOW_THREADS
    }
    result = verify_result(native, octets, &token);
    *slot = token.slot;
    rj_runtime_return_workspace(native->snapshot->runtime, work);
    return result;
}

PyObject *rj_python_verify_one(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_time now = {0, 0};
    const rj_slot *slot = NULL;

    if (args_len != 2) {
        return PyErr_Format(PyExc_TypeError, "verify_one(token, now_ns) takes two arguments");
    }
    return rj_python_now(&now, args[1]) ? rj_python_verify((rj_native_snapshot *)self, &slot, args[0], now, 0) : NULL;
}

PyObject *rj_python_recheck(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_span octets = {NULL, 0};
    rj_native_snapshot *native = (rj_native_snapshot *)self;
    rj_time now = {0, 0};
    unsigned long slot = 0;
    PyObject *result = NULL;
    rj_workspace *work = NULL;

    if (!verify_is_attached(native)) {
        return NULL;
    }
    if (args_len != 3 || !rj_python_now(&now, args[1])
        || !rj_python_octets(&octets, args[0], native->snapshot->max_token_bytes)) {
        return PyErr_Occurred() != NULL ? NULL : PyErr_Format(PyExc_TypeError, "recheck(bytes, now_ns, slot)");
    }
    slot = PyLong_AsUnsignedLong(args[2]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    work = rj_runtime_borrow_workspace(native->snapshot->runtime);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    work->arena_used = 0;
    rj_token_recheck(&token, native->snapshot, work, octets.ptr, octets.len, (uint32_t)slot, now);
    result = verify_result(native, args[0], &token);
    rj_runtime_return_workspace(native->snapshot->runtime, work);
    return result;
}

/* Verify a list's tokens window by window into `results`. Returns 0 with an exception set where it was ended. */
static int verify_verify_windows(const rj_native_snapshot *native, PyObject *results, rj_workspace *work,
                                 PyObject *tokens, const rj_span *spans, size_t spans_len, rj_time now, int is_alone)
{
    rj_batch_window window;
    size_t done = 0;

    while (done < spans_len) {
        size_t decided = 0;
        Py_BEGIN_ALLOW_THREADS decided =
            rj_batch_run(&window, native->snapshot, work, spans + done, spans_len - done, now);
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
                result = verify_result(native, PyList_GetItem(tokens, at), &window.tokens[i]);
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

PyObject *rj_python_verify_list(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_native_snapshot *native = (rj_native_snapshot *)self;
    rj_time now = {0, 0};
    Py_ssize_t len = 0;
    rj_span *spans = NULL;
    rj_workspace *work = NULL;
    PyObject *results = NULL;
    int good = 0;

    if (args_len != 3 || !PyList_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "verify_list(list, now_ns, is_alone) takes a list, a time and a truth");
        return NULL;
    }
    if (!verify_is_attached(native) || !rj_python_now(&now, args[1])) {
        return NULL;
    }
    len = PyList_Size(args[0]);
    results = PyList_New(len);
    spans = calloc((size_t)len + 1, sizeof *spans);
    work = rj_runtime_borrow_workspace(native->snapshot->runtime);
    if (results == NULL || spans == NULL || work == NULL) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < len; i++) {
        /* What is neither text nor bytes stays an empty span, and its result None. */
        (void)rj_python_octets(&spans[i], PyList_GetItem(args[0], i), native->snapshot->max_token_bytes);
    }
    good = verify_verify_windows(native, results, work, args[0], spans, (size_t)len, now, args[2] == Py_True);
done:
    if (work != NULL) {
        rj_runtime_return_workspace(native->snapshot->runtime, work);
    }
    free(spans);
    if (!good) {
        Py_XDECREF(results);
        return PyErr_Occurred() != NULL ? NULL : PyErr_NoMemory();
    }
    return results;
}
