/* python_record.c: see python_record.h. */
#include "python/python_record.h"

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
    Py_VISIT(record->read);
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
    Py_CLEAR(record->read);
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

/* The claims, read on first use. What is plain is read here, because every token's claims are asked for; the rest,
 * and everything where no GIL guards the fields, is `_read_claims`' business. */
static PyObject *record_claims(PyObject *self, void *closure)
{
#if !defined(Py_GIL_DISABLED)
    rj_record *record = (rj_record *)self;

    (void)closure;
    if (record->claims == NULL && record->read != NULL && record->payload != NULL) {
        PyObject *claims = PyObject_CallFunctionObjArgs(record->read, record->payload, NULL);
        if (claims == NULL || record->claims != NULL) { /* refused, or another thread was here meanwhile */
            Py_XDECREF(claims);
        } else {
            record->claims = claims;
        }
    }
    if (record->claims != NULL && record->claims != Py_None) {
        Py_INCREF(record->claims);
        return record->claims;
    }
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
#else
    (void)closure;
#endif
    return PyObject_CallMethod(self, "_read_claims", NULL);
}

static const PyGetSetDef RECORD_GETTERS[] = {
    {"claims", record_claims, NULL,
     "The Claims Set, checked by the engine; TypeError where a Verifier made this: nobody checked claims.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const PyType_Slot RECORD_SLOTS[] = {
    {Py_tp_doc, (void *)"The fields of a verified token; verify/result.py gives them their meaning."},
    {Py_tp_members, (void *)(uintptr_t)RECORD_MEMBERS},
    {Py_tp_getset, (void *)(uintptr_t)RECORD_GETTERS},
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

PyObject *rj_record_type(void) { return PyType_FromSpec((PyType_Spec *)(uintptr_t)&RECORD_SPEC); }
