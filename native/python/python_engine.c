/* python_engine.c: see python_engine.h. Where anything is out of the ordinary, Python's own way is taken. */
#include "python/python_engine.h"

#include <string.h>
#include <structmember.h>
#include <time.h>

#include "core/ticks.h"
#include "python/python_snapshot.h"
#include "python/python_counters.h"
#include "python/python_verify.h"

static const int64_t ENGINE_END_S = 9000000000; /* in the year 2255: up to here nanoseconds fit 64 bits */

typedef struct {
    PyObject_HEAD PyObject *snapshot; /* swapped by one reference; NULL or a NativeSnapshot */
    PyObject *counters;               /* where verdicts are counted: a Counters, or NULL or None */
    PyObject *by_header;              /* of a registry: encoded header -> an engine, or iss -> engine; or NULL, None */
    uint64_t due_ns;                  /* of such an engine: until when it is asked directly, by rj_ticks_system_ns */
    char is_direct;                   /* nothing but the snapshot has a say: no cache of verified tokens */
    char is_used;                     /* a token verified by it since this was last set to 0 */
} rj_native_engine;

static const PyMemberDef ENGINE_MEMBERS[] = {
    {"_snapshot", T_OBJECT_EX, offsetof(rj_native_engine, snapshot), 0, NULL},
    {"_counters", T_OBJECT, offsetof(rj_native_engine, counters), 0, NULL},
    {"_direct", T_BOOL, offsetof(rj_native_engine, is_direct), 0, NULL},
    {"_by_header", T_OBJECT, offsetof(rj_native_engine, by_header), 0, NULL},
    {"_is_used", T_BOOL, offsetof(rj_native_engine, is_used), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* A new reference to the snapshot of this moment, or NULL with an exception set. */
static PyObject *engine_snapshot(PyObject *self)
{
#if defined(Py_GIL_DISABLED)
    return PyObject_GetAttrString(self, "_snapshot"); /* another thread may swap it between reading and owning */
#else
    PyObject *snapshot = ((rj_native_engine *)self)->snapshot;

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

#if defined(Py_GIL_DISABLED)
static PyObject *engine_of_issuer(PyObject *self, PyObject *token)
{
    (void)self;
    (void)token;
    return NULL; /* the table may change under the look */
}
#else
/* The encoded header of a token that nobody can change, as it is looked up: a new reference, or NULL. */
static PyObject *engine_header(PyObject *token)
{
    if (PyUnicode_CheckExact(token)) {
        Py_ssize_t dot = PyUnicode_FindChar(token, '.', 0, PyUnicode_GetLength(token), 1);
        return dot <= 0 ? NULL : PyUnicode_Substring(token, 0, dot);
    }
    if (PyBytes_CheckExact(token)) {
        const char *octets = PyBytes_AsString(token);
        const char *dot = memchr(octets, '.', (size_t)PyBytes_Size(token));
        return dot == NULL ? NULL : PyBytes_FromStringAndSize(octets, dot - octets);
    }
    return NULL;
}

/* What a table has for a name: a new reference, or NULL without an exception. Takes the reference to the name. */
static PyObject *engine_look_up(PyObject *table, PyObject *name)
{
    PyObject *found = NULL;

    if (name != NULL && table != NULL && PyDict_CheckExact(table)) {
        Py_INCREF(table);
        found = PyDict_GetItemWithError(table, name);
        Py_XINCREF(found);
        Py_DECREF(table);
    }
    Py_XDECREF(name);
    if (found == NULL) {
        PyErr_Clear();
    } else if (found == Py_None) {
        Py_CLEAR(found);
    }
    return found;
}

/* Of a registry: the engine of the issuer whose key verified a token with this very header, and with this `iss` where
 * several issuers use the header, while it may be asked directly. Returns a new reference, or NULL without an
 * exception: Python finds the issuer. */
static PyObject *engine_of_issuer(PyObject *self, PyObject *token)
{
    PyObject *table = ((rj_native_engine *)self)->by_header;
    PyObject *member = NULL;

    if (table == NULL || !PyDict_CheckExact(table)) {
        return NULL;
    }
    member = engine_look_up(table, engine_header(token));
    if (member != NULL && PyDict_CheckExact(member)) {
        PyObject *by_issuer = member;
        PyObject *snapshot = engine_snapshot(self);
        PyObject *issuer = snapshot == NULL ? NULL : rj_python_stated_issuer((rj_native_snapshot *)snapshot, token);
        PyErr_Clear();
        member = engine_look_up(by_issuer, issuer);
        Py_XDECREF(snapshot);
        Py_DECREF(by_issuer);
    }
    if (member != NULL && rj_ticks_system_ns() >= ((rj_native_engine *)member)->due_ns) {
        Py_CLEAR(member);
    }
    return member;
}
#endif

/* Verify one token of a registry by the engine of its issuer. Returns NULL without an exception where Python has to
 * look: no such engine, or the token was not accepted. */
static PyObject *engine_verify_member(PyObject *self, PyObject *const *args, Py_ssize_t args_len, PyObject *names)
{
    PyObject *now = NULL;
    PyObject *member = engine_now(&now, args, args_len, names) ? engine_of_issuer(self, args[0]) : NULL;
    PyObject *snapshot = NULL;
    PyObject *result = NULL;
    rj_native_snapshot *native = NULL;
    const rj_slot *slot = NULL;
    rj_time now_read = {0, 0};

    if (member == NULL) {
        return NULL;
    }
    snapshot = ((rj_native_engine *)member)->is_direct ? engine_snapshot(member) : NULL;
    native = (rj_native_snapshot *)snapshot;
    if (native != NULL && native->is_plain && engine_time(&now_read, native, now)) {
        result = rj_python_verify(native, &slot, args[0], now_read);
        if (result != NULL && (PyObject *)Py_TYPE(result) == native->accepted) {
            ((rj_native_engine *)member)->is_used = 1;
        } else {
            Py_CLEAR(result);
        }
    }
    PyErr_Clear(); /* Python meets whatever it was */
    Py_XDECREF(snapshot);
    Py_DECREF(member);
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
        result = engine_verify_member(self, args, args_len, names);
        return result != NULL ? result : engine_verify_slowly(self, args, args_len, names);
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
    result = rj_python_verify(native, &slot, args[0], now_read);
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

static PyObject *engine_set_due(PyObject *self, PyObject *seconds)
{
    double due_s = PyFloat_AsDouble(seconds);

    if (due_s == -1.0 && PyErr_Occurred() != NULL) {
        return NULL;
    }
    ((rj_native_engine *)self)->due_ns =
        due_s > 0.0 && due_s < 1e9 ? rj_ticks_system_ns() + (uint64_t)(due_s * 1e9) : 0;
    Py_INCREF(Py_None);
    return Py_None;
}

static int engine_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((rj_native_engine *)self)->snapshot);
    Py_VISIT(((rj_native_engine *)self)->counters);
    Py_VISIT(((rj_native_engine *)self)->by_header);
    return 0;
}

static int engine_clear(PyObject *self)
{
    Py_CLEAR(((rj_native_engine *)self)->snapshot);
    Py_CLEAR(((rj_native_engine *)self)->counters);
    Py_CLEAR(((rj_native_engine *)self)->by_header);
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
