/* python_bound.c: see python_bound.h. */
#include "python/python_bound.h"

#include <structmember.h>

#include "python/python_face.h"

static PyObject *bound_bind(PyObject *self, PyObject *args)
{
    rj_bound *bound = (rj_bound *)self;
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
    if (bound->snapshot != NULL || address == 0) {
        return PyErr_Format(PyExc_RuntimeError, "a snapshot is bound once");
    }
    bound->shapes = rj_claims_shapes_new();
    if (bound->shapes == NULL) {
        return PyErr_NoMemory();
    }
    Py_INCREF(accepted);
    bound->accepted = accepted;
    Py_INCREF(slots);
    bound->slots = slots;
    Py_INCREF(read);
    bound->read = read;
    Py_INCREF(owner);
    bound->owner = owner;
    if (rows != NULL && PyBytes_CheckExact(rows)) {
        Py_INCREF(rows);
        bound->rows_owner = rows;
        bound->rows = (const rj_counter_row *)(const void *)PyBytes_AsString(rows);
        bound->rows_len = (size_t)PyBytes_Size(rows) / sizeof *bound->rows;
    }
    bound->clock_floor_s = clock_floor_s;
    bound->is_plain = is_plain;
    bound->snapshot = (const rj_snapshot *)(uintptr_t)address;
    Py_INCREF(Py_None);
    return Py_None;
}

static int bound_traverse(PyObject *self, visitproc visit, void *arg)
{
    rj_bound *bound = (rj_bound *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(bound->accepted);
    Py_VISIT(bound->slots);
    Py_VISIT(bound->read);
    Py_VISIT(bound->owner);
    Py_VISIT(bound->rows_owner);
    return 0;
}

/* What a token needs goes before the memory it lies in, so that nothing is looked up in a freed table. */
static int bound_clear(PyObject *self)
{
    rj_bound *bound = (rj_bound *)self;

    bound->snapshot = NULL;
    bound->rows = NULL;
    Py_CLEAR(bound->accepted);
    Py_CLEAR(bound->slots);
    Py_CLEAR(bound->read);
    Py_CLEAR(bound->owner);
    Py_CLEAR(bound->rows_owner);
    return 0;
}

static void bound_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    rj_claims_shapes_free(((rj_bound *)self)->shapes);
    (void)bound_clear(self);
    release(self);
    Py_DECREF(type);
}

static const PyMethodDef BOUND_METHODS[] = {
    {"_bind", bound_bind, METH_VARARGS,
     "_bind(address, accepted, slots, read, clock_floor_s, is_plain, owner), once, before anything else"},
    {"verify_one", (PyCFunction)(void (*)(void))rj_face_verify_one, METH_FASTCALL,
     "verify_one(token, now_ns): a Record, a verdict number, or None where the token is neither str nor bytes"},
    {"verify_list", (PyCFunction)(void (*)(void))rj_face_verify_list, METH_FASTCALL,
     "verify_list(tokens, now_ns, is_alone): a list of what verify_one would give for each, claims read later where\n"
     "other threads verify as well; the list must be the caller's own"},
    {"recheck", (PyCFunction)(void (*)(void))rj_face_recheck, METH_FASTCALL,
     "recheck(token, now_ns, slot): verify_one, but for the signature, of bytes that verified by this slot before"},
    {NULL, NULL, 0, NULL},
};

static const PyType_Slot BOUND_SLOTS[] = {
    {Py_tp_doc, (void *)"What the calls that every token takes need; verify/snapshot.py makes it whole."},
    {Py_tp_methods, (void *)(uintptr_t)BOUND_METHODS},
    {Py_tp_traverse, (void *)bound_traverse},
    {Py_tp_clear, (void *)bound_clear},
    {Py_tp_dealloc, (void *)bound_dealloc},
    {0, NULL},
};

static const PyType_Spec BOUND_SPEC = {
    .name = "rapidjws._rapidjws.Bound",
    .basicsize = sizeof(rj_bound),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = (PyType_Slot *)(uintptr_t)BOUND_SLOTS,
};

PyObject *rj_bound_type(void) { return PyType_FromSpec((PyType_Spec *)(uintptr_t)&BOUND_SPEC); }
