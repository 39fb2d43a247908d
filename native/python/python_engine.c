/* python_engine.c: see python_engine.h. Where anything is out of the ordinary, Python's own way is taken. */
#include "python/python_engine.h"

#include <structmember.h>
#include <time.h>

#include "core/ticks.h"
#include "python/python_snapshot.h"
#include "python/python_counters.h"
#include "python/python_known.h"
#include "python/python_verify.h"

static const int64_t ENGINE_END_S = 9000000000; /* in the year 2255: up to here nanoseconds fit 64 bits */

typedef struct {
    rj_asked_engine asked;
    PyObject *counters; /* where verdicts are counted: a Counters, or NULL or None */
    PyObject *known;    /* of a registry: a KnownHeaders, or NULL where Python alone finds the issuer */
    char is_direct;     /* nothing but the snapshot has a say: no cache of verified tokens */
    char is_used;       /* a token verified by it since this was last set to 0 */
} rj_native_engine;

static const PyMemberDef ENGINE_MEMBERS[] = {
    {"_snapshot", T_OBJECT_EX, offsetof(rj_native_engine, asked.snapshot), 0, NULL},
    {"_counters", T_OBJECT, offsetof(rj_native_engine, counters), 0, NULL},
    {"_direct", T_BOOL, offsetof(rj_native_engine, is_direct), 0, NULL},
    {"_headers", T_OBJECT, offsetof(rj_native_engine, known), READONLY, NULL},
    {"_is_used", T_BOOL, offsetof(rj_native_engine, is_used), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* A new reference to the snapshot of this moment, or NULL with an exception set. */
static PyObject *engine_snapshot(PyObject *self)
{
#if defined(Py_GIL_DISABLED)
    return PyObject_GetAttrString(self, "_snapshot"); /* another thread may swap it between reading and owning */
#else
    PyObject *snapshot = ((rj_native_engine *)self)->asked.snapshot;

    if (snapshot == NULL) {
        return PyErr_Format(PyExc_AttributeError, "_snapshot");
    }
    Py_INCREF(snapshot);
    return snapshot;
#endif
}

/* The argument `now`: borrowed, NULL where it is to be read from the clock. Returns 0 for other arguments. */
static int engine_now(PyObject **now, PyObject *const *args, Py_ssize_t args_len, PyObject *names)
{
    Py_ssize_t names_len = names == NULL ? 0 : PyTuple_Size(names);

    *now = NULL;
    if (args_len == 1 && names_len == 0) {
        return 1;
    }
    if (args_len + names_len != 2 || args_len == 0
        || (names_len == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "now") != 0)) {
        return 0;
    }
    *now = args[1] == Py_None ? NULL : args[1]; /* named arguments stand behind the others */
    return 1;
}

/* The whole call in Python. */
static PyObject *engine_verify_slowly(PyObject *self, PyObject *const *args, Py_ssize_t args_len, PyObject *names)
{
    Py_ssize_t names_len = names == NULL ? 0 : PyTuple_Size(names);
    PyObject *method = PyObject_GetAttrString(self, "_verify");
    PyObject *plain = PyTuple_New(args_len);
    PyObject *named = PyDict_New();
    PyObject *result = NULL;
    int good = method != NULL && plain != NULL && named != NULL;

    for (Py_ssize_t i = 0; good && i < args_len; i++) {
        Py_INCREF(args[i]);
        good = PyTuple_SetItem(plain, i, args[i]) == 0;
    }
    for (Py_ssize_t i = 0; good && i < names_len; i++) {
        good = PyDict_SetItem(named, PyTuple_GetItem(names, i), args[args_len + i]) == 0;
    }
    if (good) {
        result = PyObject_Call(method, plain, named);
    }
    Py_XDECREF(method);
    Py_XDECREF(plain);
    Py_XDECREF(named);
    return result;
}

/* The time of a check, from whole seconds or the clock. Returns 0 where Python has to look: a fraction, what is no
 * time, a clock that cannot be right. */
static int engine_time(rj_time *out, const rj_native_snapshot *native, PyObject *now)
{
    struct timespec clock = {0, 0};
    int overflow = 0;

    if (now == NULL) {
        if (timespec_get(&clock, TIME_UTC) != TIME_UTC || (int64_t)clock.tv_sec < native->clock_floor_s) {
            return 0;
        }
        *out = (rj_time){(int64_t)clock.tv_sec, (uint32_t)clock.tv_nsec};
        return 1;
    }
    if (!PyLong_CheckExact(now)) {
        return 0;
    }
    out->s = PyLong_AsLongLongAndOverflow(now, &overflow);
    return overflow == 0 && out->s >= 0 && out->s < ENGINE_END_S;
}

/* Count a token that the core accepted. Returns 0 where it is to be counted by name. */
static int engine_count(const rj_native_snapshot *native, const rj_slot *slot, PyObject *counters, uint64_t begun)
{
    size_t at = slot == NULL ? SIZE_MAX : (size_t)slot->issuer * RJ_ALG_COUNT + slot->alg;

    if (native->rows == NULL || at >= native->rows_len || native->rows[at].verdicts == NULL) {
        return 0;
    }
    rj_counters_accepted(counters, &native->rows[at], begun);
    return 1;
}

/* Verify one token by the engine of its issuer, as a registry's known headers have it. Returns NULL without an
 * exception where the token was not accepted. */
static PyObject *engine_verify_by(PyObject *member, PyObject *token, PyObject *now, uint64_t header_hash)
{
    PyObject *snapshot = ((rj_native_engine *)member)->is_direct ? engine_snapshot(member) : NULL;
    rj_native_snapshot *native = (rj_native_snapshot *)snapshot;
    PyObject *result = NULL;
    const rj_slot *slot = NULL;
    rj_time now_read = {0, 0};

    if (native != NULL && native->is_plain && engine_time(&now_read, native, now)) {
        result = rj_python_verify(native, &slot, token, now_read, header_hash);
        if (result != NULL && (PyObject *)Py_TYPE(result) == native->accepted) {
            ((rj_native_engine *)member)->is_used = 1;
        } else {
            Py_CLEAR(result);
        }
    }
    if (result == NULL) {
        PyErr_Clear(); /* Python meets whatever it was */
    }
    Py_XDECREF(snapshot);
    return result;
}

/* The engine of a token's issuer by all of its claims, where others use its header as well: a new reference, or NULL
 * without an exception. Out: *found. */
static PyObject *engine_known_exactly(PyObject *self, rj_known_found *found, PyObject *token, const PyObject *counters)
{
    PyObject *known = ((rj_native_engine *)self)->known;
    const rj_native_snapshot *native = (const rj_native_snapshot *)((rj_native_engine *)self)->asked.snapshot;

    return known == NULL || native == NULL ? NULL
                                           : rj_known_engine(known, found, native, token, counters, RJ_KNOWN_EXACTLY);
}

/* Verify one token of a registry by the engine of its issuer. Returns NULL without an exception where Python has to
 * look: no such engine, or the token was not accepted. Out: *row, where it is counted, where that is known. */
static PyObject *engine_verify_member(PyObject *self, rj_counter_row *row, PyObject *const *args, Py_ssize_t args_len,
                                      PyObject *names, const PyObject *counters)
{
    PyObject *known = ((rj_native_engine *)self)->known;
    const rj_native_snapshot *native = (const rj_native_snapshot *)((rj_native_engine *)self)->asked.snapshot;
    PyObject *now = NULL;
    PyObject *quick = NULL;
    PyObject *exact = NULL;
    PyObject *result = NULL;
    rj_known_found found = {{NULL, NULL}, 0, 0};

    /* The table and the snapshot are used before anything else may run: both are there until then. */
    if (known == NULL || native == NULL || !engine_now(&now, args, args_len, names)) {
        return NULL;
    }
    quick = rj_known_engine(known, &found, native, args[0], counters, RJ_KNOWN_QUICKLY);
    if (quick != NULL) {
        result = engine_verify_by(quick, args[0], now, found.header_hash);
    }
    if (result == NULL && found.is_shared) {
        exact = engine_known_exactly(self, &found, args[0], counters);
        if (exact != NULL && exact != quick) {
            result = engine_verify_by(exact, args[0], now, found.header_hash);
        }
        Py_XDECREF(exact);
    }
    Py_XDECREF(quick);
    *row = found.row;
    return result;
}

/* Verify one token. In: counters, or NULL. Out: *is_counted, where the core accepted it and counted it. */
static PyObject *engine_verify_once(PyObject *self, int *is_counted, PyObject *const *args, Py_ssize_t args_len,
                                    PyObject *names, PyObject *counters, uint64_t begun)
{
    PyObject *snapshot = NULL;
    PyObject *now = NULL;
    PyObject *result = NULL;
    rj_native_snapshot *native = NULL;
    const rj_slot *slot = NULL;
    rj_time now_read = {0, 0};

    if (!((rj_native_engine *)self)->is_direct) {
        rj_counter_row row = {NULL, NULL};
        result = engine_verify_member(self, &row, args, args_len, names, counters);
        if (result == NULL) {
            return engine_verify_slowly(self, args, args_len, names);
        }
        if (counters != NULL && row.verdicts != NULL) {
            rj_counters_accepted(counters, &row, begun);
            *is_counted = 1;
        }
        return result;
    }
    if (!engine_now(&now, args, args_len, names)) {
        return engine_verify_slowly(self, args, args_len, names);
    }
    snapshot = engine_snapshot(self);
    if (snapshot == NULL) {
        return NULL;
    }
    native = (rj_native_snapshot *)snapshot;
    if (!native->is_plain || !engine_time(&now_read, native, now)) {
        Py_DECREF(snapshot);
        return engine_verify_slowly(self, args, args_len, names);
    }
    result = rj_python_verify(native, &slot, args[0], now_read, 0);
    if (result != NULL && (PyObject *)Py_TYPE(result) != native->accepted) {
        long long now_ns = now_read.s * 1000000000 + now_read.ns;
        PyObject *completed = PyObject_CallMethod(snapshot, "complete_or_raise", "OOL", args[0], result, now_ns);
        Py_DECREF(result);
        result = completed;
    } else if (result != NULL && counters != NULL) {
        *is_counted = engine_count(native, slot, counters, begun);
    }
    Py_DECREF(snapshot);
    return result;
}

static PyObject *engine_verify(PyObject *self, PyObject *const *args, Py_ssize_t args_len, PyObject *names)
{
    PyObject *counters = ((rj_native_engine *)self)->counters;
    PyObject *result = NULL;
    uint64_t begun = 0;
    int is_counted = 0;

    if (counters == NULL || counters == Py_None) {
        return engine_verify_once(self, &is_counted, args, args_len, names, NULL, 0);
    }
    Py_INCREF(counters);
    begun = rj_counters_now(counters);
    result = engine_verify_once(self, &is_counted, args, args_len, names, counters, begun);
    if (!is_counted) {
        rj_counters_result(counters, result, begun);
    }
    Py_DECREF(counters);
    return result;
}

static PyObject *engine_verify_uncounted(PyObject *self, PyObject *const *args, Py_ssize_t args_len, PyObject *names)
{
    int is_counted = 0;

    return engine_verify_once(self, &is_counted, args, args_len, names, NULL, 0);
}

static PyObject *engine_set_known(PyObject *self, PyObject *known)
{
    PyObject *before = ((rj_native_engine *)self)->known;

    if (known != Py_None && !rj_is_known_headers(known)) {
        return PyErr_Format(PyExc_TypeError, "_set_known(known): a KnownHeaders, or None");
    }
#if defined(Py_GIL_DISABLED)
    known = NULL; /* it may change under a look */
#else
    known = known == Py_None ? NULL : known;
#endif
    Py_XINCREF(known);
    ((rj_native_engine *)self)->known = known;
    Py_XDECREF(before);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *engine_set_due(PyObject *self, PyObject *seconds)
{
    double due_s = PyFloat_AsDouble(seconds);

    if (due_s == -1.0 && PyErr_Occurred() != NULL) {
        return NULL;
    }
    ((rj_native_engine *)self)->asked.due_ns =
        due_s > 0.0 && due_s < 1e9 ? rj_ticks_system_ns() + (uint64_t)(due_s * 1e9) : 0;
    Py_INCREF(Py_None);
    return Py_None;
}

static int engine_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((rj_native_engine *)self)->asked.snapshot);
    Py_VISIT(((rj_native_engine *)self)->counters);
    Py_VISIT(((rj_native_engine *)self)->known);
    return 0;
}

static int engine_clear(PyObject *self)
{
    Py_CLEAR(((rj_native_engine *)self)->asked.snapshot);
    Py_CLEAR(((rj_native_engine *)self)->counters);
    Py_CLEAR(((rj_native_engine *)self)->known);
    return 0;
}

static void engine_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    (void)engine_clear(self);
    release(self);
    Py_DECREF(type);
}

static const char ENGINE_VERIFY_DOC[] = /* of _rapidjws.pyi; a test holds them equal */
    "verify($self, /, token, now=None, *, wait_s=0.0)\n"
    "--\n\n"
    "Verify one token and its claims.\n\n"
    "Args:\n"
    "    token: JWS Compact Serialization, as text or bytes; a buffer is copied first.\n"
    "    now: Seconds since the epoch; by default the wall clock, in nanoseconds. An int is exact;\n"
    "        a float stands for the decimal that ``repr`` writes: at present 0.24 microseconds apart.\n"
    "    wait_s: Longest wait for a refresh that may bring the token's key, in seconds; 0 for none.\n\n"
    "Returns:\n"
    "    The verified JWS, with ``.claims``.\n\n"
    "Raises:\n"
    "    TokenRefused: With the stable code of the first check that refused.\n"
    "    KeysUnavailable: ``keys_unavailable``, ``keys_stale``: the issuer has no keys to be used now.\n"
    "    DependencyUnavailable: ``clock_implausible``: the wall clock lies before this release;\n"
    "        ``replay_store_unavailable``.\n\n"
    "Source: RFC 7515 section 5.2, RFC 7519 section 7.2.";

static const PyMethodDef ENGINE_METHODS[] = {
    {"verify", (PyCFunction)(void (*)(void))engine_verify, METH_FASTCALL | METH_KEYWORDS, ENGINE_VERIFY_DOC},
    {"_verify_uncounted", (PyCFunction)(void (*)(void))engine_verify_uncounted, METH_FASTCALL | METH_KEYWORDS,
     "_verify_uncounted(token, now=None, *, wait_s=0.0): verify, for whoever counts what it comes to"},
    {"_set_known", engine_set_known, METH_O, "_set_known(known): use these known headers of a registry, or None"},
    {"_set_due", engine_set_due, METH_O,
     "_set_due(seconds): let the registry of this engine ask it directly for so long; 0 for no more"},
    {NULL, NULL, 0, NULL},
};

static const PyType_Slot ENGINE_SLOTS[] = {
    {Py_tp_doc, (void *)"One reference to the snapshot of the moment; verify/snapshot_owner.py makes it whole."},
    {Py_tp_members, (void *)(uintptr_t)ENGINE_MEMBERS},
    {Py_tp_methods, (void *)(uintptr_t)ENGINE_METHODS},
    {Py_tp_traverse, (void *)engine_traverse},
    {Py_tp_clear, (void *)engine_clear},
    {Py_tp_dealloc, (void *)engine_dealloc},
    {0, NULL},
};

static const PyType_Spec ENGINE_SPEC = {
    .name = "rapidjws._rapidjws.NativeEngine",
    .basicsize = sizeof(rj_native_engine),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = (PyType_Slot *)(uintptr_t)ENGINE_SLOTS,
};

PyObject *rj_native_engine_type(void) { return PyType_FromSpec((PyType_Spec *)(uintptr_t)&ENGINE_SPEC); }
