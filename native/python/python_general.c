/* python_general.c: see python_general.h. Only accepts or leaves undecided; the reasons are found in Python. */
#include "python/python_general.h"

#include <stdlib.h>
#include <string.h>

#include "core/signatures.h"
#include "text/base64url.h"
#include "text/json_walk.h"

enum { GENERAL_MAX_SIGNATURES = 64, GENERAL_MEMBERS = 2 };

/* The fields of verify/rules.py's KnownHeader that are read here. */
enum { KNOWN_SLOT = 0, KNOWN_IS_ENCODED = 2, KNOWN_PAYLOAD_PARAMS = 3 };

#define GENERAL_NAME(text) ((rj_span){(const uint8_t *)(text), sizeof(text) - 1})

/* One token under way; texts are borrowed from its octets. */
typedef struct {
    rj_span protected_texts[GENERAL_MAX_SIGNATURES];
    rj_span signatures[GENERAL_MAX_SIGNATURES];
    rj_span payload;
    rj_span entries; /* the array of signatures, from its bracket on */
    uint32_t slots[GENERAL_MAX_SIGNATURES];
    uint32_t lens[2 * GENERAL_MAX_SIGNATURES];
    uint64_t verdicts[GENERAL_MAX_SIGNATURES];
    size_t len;
    size_t octets_len;
} general_token;

/* Scan the whole text and find the payload and the signatures. Returns 0 where there is anything else. */
static int general_scan(general_token *token, const rj_snapshot *snapshot, rj_span text)
{
    rj_json_limits limits = {.max_bytes = snapshot->max_token_bytes,
                             .max_depth = snapshot->max_json_depth,
                             .max_members = snapshot->max_json_members,
                             .flags = 0};
    rj_workspace *work = rj_runtime_borrow_workspace(snapshot->runtime);
    rj_json_report report = {0, 0, 0, 0, 0, 0};
    int good = 0;

    if (work == NULL) {
        return 0;
    }
    good = rj_json_scan(&report, work->members, RJ_WORKSPACE_MEMBERS, work->json, sizeof work->json, text.ptr, text.len,
                        &limits)
            == RJ_OK
        && report.members_len == GENERAL_MEMBERS && !report.members_overflow;
    for (size_t i = 0; good && i < GENERAL_MEMBERS; i++) {
        const rj_json_member *member = &work->members[i];
        const uint8_t *name = text.ptr + member->name_offset;
        const uint8_t *value = text.ptr + member->value_offset;
        if (rj_span_same(GENERAL_NAME("payload"), name, member->name_len) && member->value_type == RJ_JSON_STRING
            && !member->value_has_escape) {
            token->payload = (rj_span){value + 1, member->value_len - 2};
        } else if (rj_span_same(GENERAL_NAME("signatures"), name, member->name_len)
                   && member->value_type == RJ_JSON_ARRAY) {
            token->entries = (rj_span){value, member->value_len};
        }
    }
    rj_runtime_return_workspace(snapshot->runtime, work);
    return good && token->payload.ptr != NULL && token->entries.ptr != NULL;
}

/* Read one entry of `signatures` from its first byte on; returns the byte behind it, or NULL where it is not plain: an
 * unprotected header, or a member nobody knows. In: the scan accepted the text. */
static const uint8_t *general_read(general_token *token, const uint8_t *p)
{
    rj_span none = {NULL, 0};
    size_t at = token->len;
    size_t members = 0;

    token->protected_texts[at] = none;
    token->signatures[at] = none;
    if (*p != '{') {
        return NULL;
    }
    for (p = json_walk_space(p + 1); *p != '}'; members++) {
        json_value name;
        json_value value;
        p = json_walk_value(&name, p);
        p = json_walk_space(json_walk_space(p) + 1); /* the colon */
        p = json_walk_space(json_walk_value(&value, p));
        if (value.type != RJ_JSON_STRING || value.has_escape || name.has_escape) {
            return NULL;
        }
        if (rj_span_same(GENERAL_NAME("protected"), name.ptr, name.len)) {
            token->protected_texts[at] = (rj_span){value.ptr, value.len};
        } else if (rj_span_same(GENERAL_NAME("signature"), name.ptr, name.len)) {
            token->signatures[at] = (rj_span){value.ptr, value.len};
        }
        p = *p == ',' ? json_walk_space(p + 1) : p;
    }
    return members == GENERAL_MEMBERS && token->protected_texts[at].ptr != NULL && token->signatures[at].ptr != NULL
             ? p + 1
             : NULL;
}

/* Find what is known of the header read last; its row goes into rows. Returns 0 where it is not plain. */
static int general_know(general_token *token, PyObject *rows, PyObject *known)
{
    size_t at = token->len;
    PyObject *text = PyUnicode_FromStringAndSize((const char *)token->protected_texts[at].ptr,
                                                 (Py_ssize_t)token->protected_texts[at].len);
    PyObject *row = text == NULL ? NULL : PyDict_GetItemWithError(known, text);
    PyObject *first = NULL;
    unsigned long slot = 0;

    Py_XDECREF(text);
    if (row == NULL || PyTuple_GetItem(row, KNOWN_IS_ENCODED) != Py_True || PyList_Append(rows, row) != 0) {
        return 0;
    }
    slot = PyLong_AsUnsignedLong(PyTuple_GetItem(row, KNOWN_SLOT));
    first = PyTuple_GetItem(PyList_GetItem(rows, 0), KNOWN_PAYLOAD_PARAMS);
    if (PyErr_Occurred() != NULL || slot > UINT32_MAX
        || PyObject_RichCompareBool(PyTuple_GetItem(row, KNOWN_PAYLOAD_PARAMS), first, Py_EQ) != 1) {
        return 0; /* signers that differ: whether they disagree is a policy's question */
    }
    token->slots[at] = (uint32_t)slot;
    token->lens[2 * at] = (uint32_t)(token->protected_texts[at].len + 1 + token->payload.len);
    token->lens[2 * at + 1] = (uint32_t)token->signatures[at].len;
    token->octets_len += (size_t)token->lens[2 * at] + token->lens[2 * at + 1];
    token->len++;
    return 1;
}

/* Read all entries. Returns 0 where one is not plain, there are more than `most`, or none. */
static int general_take(general_token *token, PyObject *rows, PyObject *known, size_t most)
{
    const uint8_t *p = json_walk_space(token->entries.ptr + 1);

    while (*p != ']') {
        p = token->len < most ? general_read(token, p) : NULL;
        if (p == NULL || !general_know(token, rows, known)) {
            return 0;
        }
        p = json_walk_space(p);
        p = *p == ',' ? json_walk_space(p + 1) : p;
    }
    return token->len != 0;
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

/* The payload's octets as a new reference; None where its text is no base64url. */
static PyObject *general_payload(rj_span text)
{
    size_t capacity = rj_base64url_decoded_bytes(text.len);
    PyObject *octets = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)capacity);
    uint8_t *to = octets == NULL ? NULL : (uint8_t *)PyBytes_AsString(octets); /* nobody else has seen it yet */
    size_t len = 0;

    if (to != NULL && (rj_base64url_decode(to, &len, capacity, text.ptr, text.len) != RJ_OK || len != capacity)) {
        Py_DECREF(octets);
        Py_INCREF(Py_None);
        return Py_None;
    }
    return octets;
}

/* None where not everything is plain, or NULL with an exception set. */
static PyObject *general_left_open(PyObject *rows)
{
    Py_XDECREF(rows);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *general_verify_known(PyObject *module, PyObject *const *args, Py_ssize_t args_len)
{
    general_token token = {.len = 0};
    rj_span text = {NULL, 0};
    const rj_snapshot *snapshot = NULL;
    size_t most = 0;
    PyObject *rows = NULL;
    PyObject *payload = NULL;

    (void)module;
    if (args_len != 4 || !PyDict_CheckExact(args[1]) || !PyBytes_CheckExact(args[2])) {
        PyErr_SetString(PyExc_TypeError, "verify_known(address, known, octets, max_signatures)");
        return NULL;
    }
    snapshot = PyLong_AsVoidPtr(args[0]);
    most = PyLong_AsSize_t(args[3]);
    if (snapshot == NULL || PyErr_Occurred() != NULL) {
        return PyErr_Occurred() != NULL ? NULL : PyErr_Format(PyExc_ValueError, "no snapshot");
    }
    text = (rj_span){(const uint8_t *)PyBytes_AsString(args[2]), (size_t)PyBytes_Size(args[2])};
    if (!general_scan(&token, snapshot, text)) {
        return general_left_open(NULL);
    }
    rows = PyList_New(0);
    if (rows == NULL
        || !general_take(&token, rows, args[1], most < GENERAL_MAX_SIGNATURES ? most : GENERAL_MAX_SIGNATURES)) {
        return general_left_open(rows);
    }
    payload = general_payload(token.payload);
    if (payload == NULL || payload == Py_None) {
        Py_XDECREF(payload);
        return general_left_open(rows);
    }
    if (!general_verify(&token, snapshot)) {
        Py_DECREF(payload);
        Py_DECREF(rows);
        return PyErr_NoMemory();
    }
    return Py_BuildValue("(NNN)", rows, general_verdicts(&token), payload);
}

const PyMethodDef rj_general_verify_known = {"verify_known", (PyCFunction)(void (*)(void))general_verify_known,
                                             METH_FASTCALL, NULL};
