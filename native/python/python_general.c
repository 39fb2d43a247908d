/* python_general.c: see python_general.h. Only accepts or leaves undecided; the reasons are found in Python. */
#include "python/python_general.h"

#include <stdlib.h>
#include <string.h>

#include "core/signatures.h"

enum { GENERAL_MAX_SIGNATURES = 64, GENERAL_MEMBERS = 2 };

/* The fields of verify/rules.py's KnownHeader that are read here. */
enum { KNOWN_SLOT = 0, KNOWN_IS_ENCODED = 2, KNOWN_TOLD = 3 };

/* One token under way; texts are borrowed from Python's strings. */
typedef struct {
    rj_span protected_texts[GENERAL_MAX_SIGNATURES];
    rj_span signatures[GENERAL_MAX_SIGNATURES];
    rj_span payload;
    uint32_t slots[GENERAL_MAX_SIGNATURES];
    uint32_t lens[2 * GENERAL_MAX_SIGNATURES];
    uint64_t verdicts[GENERAL_MAX_SIGNATURES];
    size_t len;
    size_t octets_len;
} general_token;

/* A string's octets. Returns 0 for anything else, or text with lone surrogates. */
static int general_text(rj_span *out, PyObject *value)
{
    Py_ssize_t len = 0;
    const char *text = value != NULL && PyUnicode_CheckExact(value) ? PyUnicode_AsUTF8AndSize(value, &len) : NULL;

    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    *out = (rj_span){(const uint8_t *)text, (size_t)len};
    return 1;
}

/* Take one entry of `signatures`; its row of what is known goes into rows. Returns 0 where it is not plain. */
static int general_take(general_token *token, PyObject *rows, PyObject *known, PyObject *entry)
{
    PyObject *text = NULL;
    PyObject *row = NULL;
    PyObject *first = NULL;
    size_t at = token->len;
    unsigned long slot = 0;

    if (!PyDict_CheckExact(entry) || PyDict_Size(entry) != GENERAL_MEMBERS) {
        return 0; /* an unprotected header, or a member nobody knows: the long way looks at it */
    }
    text = PyDict_GetItemString(entry, "protected");
    if (!general_text(&token->protected_texts[at], text)
        || !general_text(&token->signatures[at], PyDict_GetItemString(entry, "signature"))) {
        return 0;
    }
    row = PyDict_GetItemWithError(known, text);
    if (row == NULL || PyTuple_GetItem(row, KNOWN_IS_ENCODED) != Py_True) {
        return 0;
    }
    slot = PyLong_AsUnsignedLong(PyTuple_GetItem(row, KNOWN_SLOT));
    first = at == 0 ? row : PyList_GetItem(rows, 0);
    if (PyErr_Occurred() != NULL || slot > UINT32_MAX || PyList_Append(rows, row) != 0
        || PyObject_RichCompareBool(PyTuple_GetItem(row, KNOWN_TOLD), PyTuple_GetItem(first, KNOWN_TOLD), Py_EQ) != 1) {
        return 0; /* signers that differ: whether they disagree is a policy's question */
    }
    token->slots[at] = (uint32_t)slot;
    token->lens[2 * at] = (uint32_t)(token->protected_texts[at].len + 1 + token->payload.len);
    token->lens[2 * at + 1] = (uint32_t)token->signatures[at].len;
    token->octets_len += (size_t)token->lens[2 * at] + token->lens[2 * at + 1];
    token->len++;
    return 1;
}

/* Lay out header, dot, payload, signature for each, and verify. Returns 0 where memory is out. */
static int general_verify(general_token *token, const rj_snapshot *snapshot)
{
    uint8_t *octets = malloc(token->octets_len + 1);
    uint8_t *end = octets;

    if (octets == NULL) {
        return 0;
    }
    for (size_t i = 0; i < token->len; i++) {
        memcpy(end, token->protected_texts[i].ptr, token->protected_texts[i].len);
        end += token->protected_texts[i].len;
        *end++ = '.';
        memcpy(end, token->payload.ptr, token->payload.len);
        end += token->payload.len;
        memcpy(end, token->signatures[i].ptr, token->signatures[i].len);
        end += token->signatures[i].len;
    }
    Py_BEGIN_ALLOW_THREADS rj_signatures_verify(snapshot, token->verdicts, octets, token->lens, token->slots,
                                                token->len);
    Py_END_ALLOW_THREADS free(octets);
    return 1;
}

/* None where every verdict is RJ_OK with nothing else to do, else all of them as numbers. */
static PyObject *general_verdicts(const general_token *token)
{
    PyObject *numbers = NULL;
    size_t good = 0;

    while (good < token->len && (token->verdicts[good] & 0x1ff) == RJ_OK) {
        good++;
    }
    if (good == token->len) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    numbers = PyList_New((Py_ssize_t)token->len);
    for (size_t i = 0; numbers != NULL && i < token->len; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(token->verdicts[i]);
        if (number == NULL || PyList_SetItem(numbers, (Py_ssize_t)i, number) != 0) {
            Py_CLEAR(numbers);
        }
    }
    return numbers;
}

static PyObject *general_verify_known(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    general_token token = {.len = 0};
    const rj_snapshot *snapshot = NULL;
    Py_ssize_t len = 0;
    PyObject *rows = NULL;
    int plain = 0;

    (void)module;
    if (args_len != 4 || !PyDict_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "verify_known(address, known, payload, signatures)");
        return NULL;
    }
    snapshot = PyLong_AsVoidPtr(args[0]);
    if (snapshot == NULL) {
        return PyErr_Occurred() != NULL ? NULL : PyErr_Format(PyExc_ValueError, "no snapshot");
    }
    len = PyList_CheckExact(args[3]) ? PyList_Size(args[3]) : 0;
    rows = PyList_New(0);
    if (rows == NULL) {
        return NULL;
    }
    plain = len > 0 && len <= GENERAL_MAX_SIGNATURES && general_text(&token.payload, args[2])
         && token.payload.len <= snapshot->max_token_bytes;
    for (Py_ssize_t i = 0; plain && i < len; i++) {
        plain = general_take(&token, rows, args[1], PyList_GetItem(args[3], i));
    }
    if (!plain || PyErr_Occurred() != NULL) {
        Py_DECREF(rows);
        if (PyErr_Occurred() != NULL) {
            return NULL;
        }
        Py_INCREF(Py_None);
        return Py_None;
    }
    if (!general_verify(&token, snapshot)) {
        Py_DECREF(rows);
        return PyErr_NoMemory();
    }
    return Py_BuildValue("(NN)", rows, general_verdicts(&token));
}

const PyMethodDef rj_general_verify_known = {"verify_known", (PyCFunction)(void (*)(void))general_verify_known,
                                             METH_FASTCALL, NULL};
