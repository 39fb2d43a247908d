/* python_token.c: see python_token.h. */
#include "python/python_token.h"

#include <structmember.h>

static const PyMemberDef TOKEN_MEMBERS[] = {
    {"_token", T_OBJECT, offsetof(rj_verified_token, token), 0, NULL},
    {"_key", T_OBJECT, offsetof(rj_verified_token, key), 0, NULL},
    {"issuer", T_OBJECT, offsetof(rj_verified_token, issuer), 0, NULL},
    {"_payload", T_OBJECT, offsetof(rj_verified_token, payload), 0, NULL},
    {"_header", T_OBJECT, offsetof(rj_verified_token, header), 0, NULL},
    {"_claims", T_OBJECT, offsetof(rj_verified_token, claims), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int token_traverse(PyObject *self, visitproc visit, void *arg)
{
    rj_verified_token *verified = (rj_verified_token *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(verified->token);
    Py_VISIT(verified->key);
    Py_VISIT(verified->issuer);
    Py_VISIT(verified->payload);
    Py_VISIT(verified->header);
    Py_VISIT(verified->claims);
    Py_VISIT(verified->read);
    return 0;
}

static int token_clear(PyObject *self)
{
    rj_verified_token *verified = (rj_verified_token *)self;

    Py_CLEAR(verified->token);
    Py_CLEAR(verified->key);
    Py_CLEAR(verified->issuer);
    Py_CLEAR(verified->payload);
    Py_CLEAR(verified->header);
    Py_CLEAR(verified->claims);
    Py_CLEAR(verified->read);
    return 0;
}

static void token_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    (void)token_clear(self);
    release(self);
    Py_DECREF(type);
}

/* The claims, read on first use. What is plain is read here, because every token's claims are asked for; the rest,
 * and everything where no GIL guards the fields, is `_read_claims`' business. */
static PyObject *token_claims(PyObject *self, void *closure)
{
#if !defined(Py_GIL_DISABLED)
    rj_verified_token *verified = (rj_verified_token *)self;

    (void)closure;
    if (verified->claims == NULL && verified->read != NULL && verified->payload != NULL) {
        PyObject *claims = PyObject_CallFunctionObjArgs(verified->read, verified->payload, NULL);
        if (claims == NULL || verified->claims != NULL) { /* refused, or another thread was here meanwhile */
            Py_XDECREF(claims);
        } else {
            verified->claims = claims;
        }
    }
    if (verified->claims != NULL && verified->claims != Py_None) {
        Py_INCREF(verified->claims);
        return verified->claims;
    }
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
#else
    (void)closure;
#endif
    return PyObject_CallMethod(self, "_read_claims", NULL);
}

static const PyGetSetDef TOKEN_GETTERS[] = {
    {"claims", token_claims, NULL,
     "The Claims Set, checked by the engine; TypeError where a Verifier made this: nobody checked claims.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const PyType_Slot TOKEN_SLOTS[] = {
    {Py_tp_doc, (void *)"The fields of a verified token; verify/result.py gives them their meaning."},
    {Py_tp_members, (void *)(uintptr_t)TOKEN_MEMBERS},
    {Py_tp_getset, (void *)(uintptr_t)TOKEN_GETTERS},
    {Py_tp_traverse, (void *)token_traverse},
    {Py_tp_clear, (void *)token_clear},
    {Py_tp_dealloc, (void *)token_dealloc},
    {0, NULL},
};

static const PyType_Spec TOKEN_SPEC = {
    .name = "rapidjws._rapidjws.VerifiedToken",
    .basicsize = sizeof(rj_verified_token),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = (PyType_Slot *)(uintptr_t)TOKEN_SLOTS,
};

PyObject *rj_verified_token_type(void) { return PyType_FromSpec((PyType_Spec *)(uintptr_t)&TOKEN_SPEC); }
