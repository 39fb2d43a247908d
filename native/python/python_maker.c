/* python_maker.c: see python_maker.h. Keeps no state; for types it cannot copy there is no maker. */
#include "python/python_maker.h"

/* A maker of copies: its template, the number of its members, and where two of them are. */
enum { MAKER_TEMPLATE, MAKER_WORDS, MAKER_FIRST, MAKER_SECOND, MAKER_PARTS };

/* The members of an object whose whole memory behind its header is members, as copy_maker found. */
static PyObject **maker_members(PyObject *object) { return (PyObject **)(void *)((char *)object + sizeof(PyObject)); }

static PyObject *maker_copy(PyObject *maker, PyObject *const *args, Py_ssize_t args_len)
{
    PyObject *template = PyTuple_GetItem(maker, MAKER_TEMPLATE);
    Py_ssize_t words = PyLong_AsSsize_t(PyTuple_GetItem(maker, MAKER_WORDS));
    Py_ssize_t first = PyLong_AsSsize_t(PyTuple_GetItem(maker, MAKER_FIRST));
    Py_ssize_t second = PyLong_AsSsize_t(PyTuple_GetItem(maker, MAKER_SECOND));
    PyObject *made = NULL;

    if (args_len != 2) {
        return PyErr_Format(PyExc_TypeError, "two values expected");
    }
    made = PyType_GenericAlloc(Py_TYPE(template), 0);
    for (Py_ssize_t i = 0; made != NULL && i < words; i++) {
        PyObject *member = i == first ? args[0] : i == second ? args[1] : maker_members(template)[i];
        Py_XINCREF(member);
        maker_members(made)[i] = member;
    }
    return made;
}

static const PyMethodDef MAKER_COPY = {"copy", (PyCFunction)(void (*)(void))maker_copy, METH_FASTCALL, NULL};

/* The number of an attribute of a type, or -1 with an exception set. */
static Py_ssize_t maker_number(PyTypeObject *type, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    Py_ssize_t number = found == NULL ? -1 : PyLong_AsSsize_t(found);

    Py_XDECREF(found);
    return number;
}

/* How many members a type's objects have, where they have nothing else; 0 where that is not so. */
static Py_ssize_t maker_words(PyTypeObject *type)
{
    PyObject *slots = PyObject_GetAttrString((PyObject *)type, "__slots__");
    Py_ssize_t words = slots != NULL && PyTuple_CheckExact(slots) ? PyTuple_Size(slots) : 0;
    Py_ssize_t bytes = (Py_ssize_t)sizeof(PyObject) + words * (Py_ssize_t)sizeof(PyObject *);

    Py_XDECREF(slots);
    if (maker_number(type, "__basicsize__") != bytes || maker_number(type, "__itemsize__") != 0
        || maker_number(type, "__dictoffset__") != 0 || maker_number(type, "__weakrefoffset__") != 0) {
        words = 0;
    }
    PyErr_Clear();
    return words;
}

/* Where an object has a member of that name: its place, or -1. The object is one that nobody else has seen. */
static Py_ssize_t maker_place(PyObject *probe, Py_ssize_t words, PyObject *name)
{
    PyObject *mark = PyList_New(0);
    Py_ssize_t place = -1;

    if (mark != NULL && PyUnicode_Check(name) && PyObject_GenericSetAttr(probe, name, mark) == 0) {
        for (Py_ssize_t i = 0; i < words; i++) {
            place = maker_members(probe)[i] == mark ? i : place;
        }
    }
    PyErr_Clear();
    Py_XDECREF(mark);
    return place;
}

static PyObject *maker_new(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    PyTypeObject *type = NULL;
    PyObject *probe = NULL;
    PyObject *parts = NULL;
    PyObject *maker = NULL;
    Py_ssize_t words = 0;
    Py_ssize_t places[2] = {-1, -1};

    (void)module;
    if (args_len != 3) {
        return PyErr_Format(PyExc_TypeError, "copy_maker(template, name, name)");
    }
    type = Py_TYPE(args[0]);
    words = maker_words(type);
    probe = words == 0 ? NULL : PyType_GenericAlloc(type, 0);
    if (probe != NULL) {
        places[0] = maker_place(probe, words, args[1]);
        places[1] = maker_place(probe, words, args[2]);
        Py_DECREF(probe);
    }
    if (places[0] < 0 || places[1] < 0) {
        PyErr_Clear();
        Py_INCREF(Py_None);
        return Py_None;
    }
    parts = Py_BuildValue("(Onnn)", args[0], words, places[0], places[1]);
    maker = parts == NULL ? NULL : PyCFunction_NewEx((PyMethodDef *)(uintptr_t)&MAKER_COPY, parts, NULL);
    Py_XDECREF(parts);
    return maker;
}

const PyMethodDef rj_copy_maker = {"copy_maker", (PyCFunction)(void (*)(void))maker_new, METH_FASTCALL, NULL};
