/* python_record.c: see python_record.h. */
#include "python_record.h"

#include <structmember.h>

static const PyMemberDef RECORD_MEMBERS[] = {
    {"_token", T_OBJECT, offsetof(rj_record, token), 0, NULL},
    {"_key", T_OBJECT, offsetof(rj_record, key), 0, NULL},
    {"issuer", T_OBJECT, offsetof(rj_record, issuer), 0, NULL},
    {"_payload", T_OBJECT, offsetof(rj_record, payload), 0, NULL},
    {"_header", T_OBJECT, offsetof(rj_record, header), 0, NULL},
    {"_claims", T_OBJECT, offsetof(rj_record, claims), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int record_traverse(PyObject *self, visitproc visit, void *arg)
{
    rj_record *record = (rj_record *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(record->token);
    Py_VISIT(record->key);
    Py_VISIT(record->issuer);
    Py_VISIT(record->payload);
    Py_VISIT(record->header);
    Py_VISIT(record->claims);
    return 0;
}

static int record_clear(PyObject *self)
{
    rj_record *record = (rj_record *)self;

    Py_CLEAR(record->token);
    Py_CLEAR(record->key);
    Py_CLEAR(record->issuer);
    Py_CLEAR(record->payload);
    Py_CLEAR(record->header);
    Py_CLEAR(record->claims);
    return 0;
}

static void record_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    (void)record_clear(self);
    release(self);
    Py_DECREF(type);
}

static const PyType_Slot RECORD_SLOTS[] = {
    {Py_tp_doc, (void *)"The fields of a verified token; engine/result.py gives them their meaning."},
    {Py_tp_members, (void *)(uintptr_t)RECORD_MEMBERS},
    {Py_tp_traverse, (void *)record_traverse},
    {Py_tp_clear, (void *)record_clear},
    {Py_tp_dealloc, (void *)record_dealloc},
    {0, NULL},
};

static const PyType_Spec RECORD_SPEC = {
    .name = "rapidjws._rapidjws.Record",
    .basicsize = sizeof(rj_record),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = (PyType_Slot *)(uintptr_t)RECORD_SLOTS,
};

PyObject *rj_record_type(void)
{
    return PyType_FromSpec((PyType_Spec *)(uintptr_t)&RECORD_SPEC);
}
