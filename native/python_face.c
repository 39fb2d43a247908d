/* python_face.c: see python_face.h. Nothing here decides about a token; token.c and batch.c do. */
#include "python_claims.h"
#include "python_record.h"

#include "batch.h"
#include "python_face.h"

enum { FACE_INLINE_BYTES = 4096 /* a MAC over so little is quicker than letting the GIL go */ };

static const double FACE_MAX_NOW_S = 1e15;

/* --- tokens in, results out --------------------------------------------------------------------- */

/* What a bound function knows; all borrowed from the tuple it is bound to. */
typedef struct {
    const rj_snapshot *snapshot;
    PyTypeObject *accepted; /* the type of a result, a Record */
    PyObject *slots;        /* slot number -> (key, issuer) */
    PyObject *read;         /* reads the claims of a result that has an issuer */
    rj_claims_shapes *shapes;
} face_bound;

enum { BOUND_CAPSULE, BOUND_ACCEPTED, BOUND_SLOTS, BOUND_READ, BOUND_SHAPES, BOUND_OWNER, BOUND_FIELDS };

static const char FACE_CAPSULE[] = "rapidjws.snapshot";
static const char FACE_SHAPES[] = "rapidjws.shapes";

static void face_free_shapes(PyObject *capsule) { rj_claims_shapes_free(PyCapsule_GetPointer(capsule, FACE_SHAPES)); }

static int face_unbind(face_bound *bound, PyObject *self)
{
    bound->snapshot = PyCapsule_GetPointer(PyTuple_GetItem(self, BOUND_CAPSULE), FACE_CAPSULE);
    bound->accepted = (PyTypeObject *)PyTuple_GetItem(self, BOUND_ACCEPTED);
    bound->slots = PyTuple_GetItem(self, BOUND_SLOTS);
    bound->read = PyTuple_GetItem(self, BOUND_READ);
    bound->shapes = PyCapsule_GetPointer(PyTuple_GetItem(self, BOUND_SHAPES), FACE_SHAPES);
    return bound->snapshot != NULL && bound->accepted != NULL && bound->slots != NULL && bound->read != NULL
           && bound->shapes != NULL;
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

static int face_now(int64_t *now_s, PyObject *value)
{
    double now = PyFloat_AsDouble(value);

    if (PyErr_Occurred() != NULL) {
        return 0;
    }
    if (!(now >= 0.0 && now < FACE_MAX_NOW_S)) {
        PyErr_SetString(PyExc_ValueError, "now is expected in seconds since the epoch");
        return 0;
    }
    *now_s = (int64_t)now;
    return 1;
}

/* The result of a decided token: a finished object where it was accepted and nothing else is to do, else its
 * verdict as a number. */
static PyObject *face_result(const face_bound *bound, PyObject *octets, const rj_token *token)
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
    record = (rj_record *)PyType_GenericAlloc(bound->accepted, 0);
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

/* verify(token, now): a Record, a verdict number, or None where the token is neither str nor bytes. */
static PyObject *face_verify(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_span octets = {NULL, 0};
    face_bound bound;
    int64_t now_s = 0;
    PyObject *result = NULL;
    rj_work *work = NULL;

    if (args_len != 2) {
        PyErr_SetString(PyExc_TypeError, "verify(token, now) takes two arguments");
        return NULL;
    }
    if (!face_unbind(&bound, self) || !face_now(&now_s, args[1])) {
        return NULL;
    }
    if (!face_octets(&octets, args[0], bound.snapshot->max_token_bytes)) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    work = rj_runtime_take(bound.snapshot->runtime);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    work->arena_used = 0;
    rj_token_locate(&token, bound.snapshot, work, octets.ptr, octets.len, RJ_SLOT_NONE);
    if (face_is_short(&token)) {
        rj_token_decide(&token, bound.snapshot, work);
        rj_token_finish(&token, bound.snapshot, work, now_s);
    } else {
        Py_BEGIN_ALLOW_THREADS
        rj_token_decide(&token, bound.snapshot, work);
        rj_token_finish(&token, bound.snapshot, work, now_s);
        Py_END_ALLOW_THREADS
    }
    result = face_result(&bound, args[0], &token);
    rj_runtime_put(bound.snapshot->runtime, work);
    return result;
}

/* recheck(token, now, slot): as verify, for bytes whose signature verified by this slot under the same generation
 * of keys and rules before: issuer, audience and time are looked at again, the signature is not. */
static PyObject *face_recheck(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_span octets = {NULL, 0};
    face_bound bound;
    int64_t now_s = 0;
    unsigned long slot = 0;
    PyObject *result = NULL;
    rj_work *work = NULL;

    if (args_len != 3 || !face_unbind(&bound, self) || !face_now(&now_s, args[1])
        || !face_octets(&octets, args[0], bound.snapshot->max_token_bytes)) {
        return PyErr_Occurred() != NULL ? NULL : PyErr_Format(PyExc_TypeError, "recheck(bytes, now, slot)");
    }
    slot = PyLong_AsUnsignedLong(args[2]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    work = rj_runtime_take(bound.snapshot->runtime);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    work->arena_used = 0;
    rj_token_revisit(&token, bound.snapshot, work, octets.ptr, octets.len, (uint32_t)slot, now_s);
    result = face_result(&bound, args[0], &token);
    rj_runtime_put(bound.snapshot->runtime, work);
    return result;
}

/* Verify a list's tokens window by window into `results`. Returns 0 with an exception set where it was ended. */
static int face_verify_windows(const face_bound *bound, PyObject *results, rj_work *work, PyObject *tokens,
                               const rj_span *spans, size_t spans_len, int64_t now_s)
{
    rj_batch_window window;
    size_t done = 0;

    while (done < spans_len) {
        size_t decided = 0;
        Py_BEGIN_ALLOW_THREADS
        decided = rj_batch_run(&window, bound->snapshot, work, spans + done, spans_len - done, now_s);
        Py_END_ALLOW_THREADS
        for (size_t i = 0; i < decided; i++) {
            Py_ssize_t at = (Py_ssize_t)(done + i);
            PyObject *result = NULL;
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

/* verify_list(tokens, now): a list of what verify would give for each; the list must be the caller's own. */
static PyObject *face_verify_list(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    face_bound bound;
    int64_t now_s = 0;
    Py_ssize_t len = 0;
    rj_span *spans = NULL;
    rj_work *work = NULL;
    PyObject *results = NULL;
    int good = 0;

    if (args_len != 2 || !PyList_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "verify_list(list, now) takes a list and a time");
        return NULL;
    }
    if (!face_unbind(&bound, self) || !face_now(&now_s, args[1])) {
        return NULL;
    }
    len = PyList_Size(args[0]);
    results = PyList_New(len);
    spans = calloc((size_t)len + 1, sizeof *spans);
    work = rj_runtime_take(bound.snapshot->runtime);
    if (results == NULL || spans == NULL || work == NULL) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < len; i++) {
        /* What is neither text nor bytes stays an empty span, and its result None. */
        (void)face_octets(&spans[i], PyList_GetItem(args[0], i), bound.snapshot->max_token_bytes);
    }
    good = face_verify_windows(&bound, results, work, args[0], spans, (size_t)len, now_s);
done:
    if (work != NULL) {
        rj_runtime_put(bound.snapshot->runtime, work);
    }
    free(spans);
    if (!good) {
        Py_XDECREF(results);
        return PyErr_Occurred() != NULL ? NULL : PyErr_NoMemory();
    }
    return results;
}

/* --- installing --------------------------------------------------------------------------------- */

static const PyMethodDef FACE_VERIFY = {"verify", (PyCFunction)(void (*)(void))face_verify, METH_FASTCALL, NULL};
static const PyMethodDef FACE_RECHECK = {"recheck", (PyCFunction)(void (*)(void))face_recheck, METH_FASTCALL, NULL};
static const PyMethodDef FACE_VERIFY_LIST = {"verify_list", (PyCFunction)(void (*)(void))face_verify_list,
                                       METH_FASTCALL, NULL};

/* CPython asks for a method table that could change, and never changes it. */
static PyObject *face_function(const PyMethodDef *method, PyObject *self)
{
    return PyCFunction_NewEx((PyMethodDef *)(uintptr_t)method, self, NULL);
}

/* bind(address, accepted, slots, read, owner): the three functions for one snapshot, which owner keeps alive. */
static PyObject *face_bind(PyObject *module, PyObject *args)
{
    unsigned long long address = 0;
    PyObject *accepted = NULL;
    PyObject *slots = NULL;
    PyObject *read = NULL;
    PyObject *owner = NULL;
    PyObject *capsule = NULL;
    PyObject *kept = NULL;
    PyObject *bound = NULL;
    PyObject *result = NULL;
    rj_claims_shapes *shapes = NULL;

    (void)module;
    if (!PyArg_ParseTuple(args, "KOO!OO", &address, &accepted, &PyTuple_Type, &slots, &read, &owner)) {
        return NULL;
    }
    shapes = rj_claims_shapes_new();
    if (shapes == NULL) {
        return PyErr_NoMemory();
    }
    kept = PyCapsule_New(shapes, FACE_SHAPES, face_free_shapes);
    if (kept == NULL) {
        rj_claims_shapes_free(shapes);
        return NULL;
    }
    capsule = PyCapsule_New((void *)(uintptr_t)address, FACE_CAPSULE, NULL);
    bound = capsule == NULL ? NULL : PyTuple_Pack(BOUND_FIELDS, capsule, accepted, slots, read, kept, owner);
    Py_XDECREF(capsule);
    Py_DECREF(kept);
    if (bound == NULL) {
        return NULL;
    }
    result = Py_BuildValue("(NNN)", face_function(&FACE_VERIFY, bound),
                           face_function(&FACE_VERIFY_LIST, bound),
                           face_function(&FACE_RECHECK, bound));
    Py_DECREF(bound);
    return result;
}

static const PyMethodDef FACE_BIND = {"bind", face_bind, METH_VARARGS, NULL};

static int face_install(PyObject *module)
{
    PyObject *record = rj_record_type();
    PyObject *bind = face_function(&FACE_BIND, NULL);
    int good = module != NULL && record != NULL && bind != NULL
               && PyObject_SetAttrString(module, "Record", record) == 0
               && PyObject_SetAttrString(module, "bind", bind) == 0;

    Py_XDECREF(record);
    Py_XDECREF(bind);
    return good;
}

int rj_python_install(void)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_ImportModule("rapidjws._rapidjws");
    int good = face_install(module);

    Py_XDECREF(module);
    PyErr_Clear();
    PyGILState_Release(state);
    return good;
}
