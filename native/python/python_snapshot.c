/* python_snapshot.c: see python_snapshot.h. */
#include "python/python_snapshot.h"

#include <structmember.h>

#include "python/python_proof.h"

static PyObject *snapshot_attach(PyObject *self, PyObject *args)
{
    rj_native_snapshot *native = (rj_native_snapshot *)self;
    unsigned long long address = 0;
    long long clock_floor_s = 0;
    PyObject *accepted = NULL;
    PyObject *slots = NULL;
    PyObject *read = NULL;
    PyObject *owner = NULL;
    PyObject *rows = NULL;
    int is_plain = 0;

    if (!PyArg_ParseTuple(args, "KO!O!OLpO|O", &address, &PyType_Type, &accepted, &PyTuple_Type, &slots, &read,
                          &clock_floor_s, &is_plain, &owner, &rows)) {
        return NULL;
    }
    if (native->snapshot != NULL || address == 0) {
        return PyErr_Format(PyExc_RuntimeError, "a snapshot is attached once");
    }
    native->shapes = rj_claims_shapes_new();
    if (native->shapes == NULL) {
        return PyErr_NoMemory();
    }
    Py_INCREF(accepted);
    native->accepted = accepted;
    Py_INCREF(slots);
    native->slots = slots;
    Py_INCREF(read);
    native->read = read;
    Py_INCREF(owner);
    native->owner = owner;
    if (rows != NULL && PyBytes_CheckExact(rows)) {
        Py_INCREF(rows);
        native->rows_owner = rows;
        native->rows = (const rj_counter_row *)(const void *)PyBytes_AsString(rows);
        native->rows_len = (size_t)PyBytes_Size(rows) / sizeof *native->rows;
    }
    native->clock_floor_s = clock_floor_s;
    native->is_plain = is_plain;
    native->snapshot = (const rj_snapshot *)(uintptr_t)address;
    Py_INCREF(Py_None);
    return Py_None;
}

static int snapshot_traverse(PyObject *self, visitproc visit, void *arg)
{
    rj_native_snapshot *native = (rj_native_snapshot *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(native->accepted);
    Py_VISIT(native->slots);
    Py_VISIT(native->read);
    Py_VISIT(native->owner);
    Py_VISIT(native->rows_owner);
    return 0;
}

/* What a token needs goes before the memory it lies in, so that nothing is looked up in a freed table. */
static int snapshot_clear(PyObject *self)
{
    rj_native_snapshot *native = (rj_native_snapshot *)self;

    native->snapshot = NULL;
    native->rows = NULL;
    Py_CLEAR(native->accepted);
    Py_CLEAR(native->slots);
    Py_CLEAR(native->read);
    Py_CLEAR(native->owner);
    Py_CLEAR(native->rows_owner);
    return 0;
}

static void snapshot_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    rj_claims_shapes_free(((rj_native_snapshot *)self)->shapes);
    rj_claims_shapes_free(((rj_native_snapshot *)self)->proof_shapes);
    (void)snapshot_clear(self);
    release(self);
    Py_DECREF(type);
}

static const PyMethodDef SNAPSHOT_METHODS[] = {
    {"attach", snapshot_attach, METH_VARARGS,
     "attach(address, accepted, slots, read, clock_floor_s, is_plain, owner), once, before anything else"},
    {"verify_one", (PyCFunction)(void (*)(void))rj_python_verify_one, METH_FASTCALL,
     "verify_one(token, now_ns): a VerifiedToken, a verdict number, or None where the token is neither str nor bytes"},
    {"verify_list", (PyCFunction)(void (*)(void))rj_python_verify_list, METH_FASTCALL,
     "verify_list(tokens, now_ns, is_alone): a list of what verify_one would give for each, claims read later where\n"
     "other threads verify as well; the list must be the caller's own"},
    {"verify_sent", (PyCFunction)(void (*)(void))rj_python_verify_sent, METH_FASTCALL,
     "verify_sent(token, now_ns, proof, slot, name): what verify_one gives for bytes, and of a proof whose signature\n"
     "by the packed slot is good its payload, its claims where they are plain, the token's SHA-256 in base64url, and\n"
     "the SHA-256 of name and jti where that is plain; else None"},
    {"recheck", (PyCFunction)(void (*)(void))rj_python_recheck, METH_FASTCALL,
     "recheck(token, now_ns, slot): verify_one, but for the signature, of bytes that verified by this slot before"},
    {NULL, NULL, 0, NULL},
};

static const PyType_Slot SNAPSHOT_SLOTS[] = {
    {Py_tp_doc, (void *)"What the calls that every token takes need; verify/snapshot.py makes it whole."},
    {Py_tp_methods, (void *)(uintptr_t)SNAPSHOT_METHODS},
    {Py_tp_traverse, (void *)snapshot_traverse},
    {Py_tp_clear, (void *)snapshot_clear},
    {Py_tp_dealloc, (void *)snapshot_dealloc},
    {0, NULL},
};

static const PyType_Spec SNAPSHOT_SPEC = {
    .name = "rapidjws._rapidjws.NativeSnapshot",
    .basicsize = sizeof(rj_native_snapshot),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = (PyType_Slot *)(uintptr_t)SNAPSHOT_SLOTS,
};

PyObject *rj_native_snapshot_type(void) { return PyType_FromSpec((PyType_Spec *)(uintptr_t)&SNAPSHOT_SPEC); }
