/* python_claims.c: see python_claims.h. Only ever sees tokens whose signature and claims were accepted. */
#include "python/python_claims.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLAIMS_SHAPES = 8,
    CLAIMS_MAX_MEMBERS = 32,
    CLAIMS_MAX_BYTES = 2048,   /* of a payload that is kept */
    CLAIMS_LEARN_EVERY = 16,   /* misses; so that two shapes in one place cost little */
    CLAIMS_INTEGER_DIGITS = 18 /* what surely fits 64 bits */
};

/* One shape; never changed once made. Counted, because reading a value may run Python, which may replace it. */
typedef struct {
    size_t owners;
    PyObject *claims;                    /* of the token it was learnt from */
    PyObject *names[CLAIMS_MAX_MEMBERS]; /* borrowed from claims, in the token's order */
    rj_json_member members[CLAIMS_MAX_MEMBERS];
    size_t members_len;
    uint8_t json[CLAIMS_MAX_BYTES];
} claims_shape;

struct rj_claims_shapes {
    claims_shape *at[CLAIMS_SHAPES];
    uint32_t misses[CLAIMS_SHAPES];
};

static void claims_drop(claims_shape *shape)
{
    if (shape != NULL && --shape->owners == 0) {
        Py_XDECREF(shape->claims);
        free(shape);
    }
}

rj_claims_shapes *rj_claims_shapes_new(void) { return calloc(1, sizeof(rj_claims_shapes)); }

void rj_claims_shapes_free(rj_claims_shapes *shapes)
{
    for (size_t i = 0; shapes != NULL && i < CLAIMS_SHAPES; i++) {
        claims_drop(shapes->at[i]);
    }
    free(shapes);
}

/* Whether a token has the names of a shape, in its order. */
static int claims_fit(const claims_shape *shape, const rj_token *token)
{
    if (shape == NULL || shape->members_len != token->members_len) {
        return 0;
    }
    for (size_t i = 0; i < shape->members_len; i++) {
        const rj_json_member *kept = &shape->members[i];
        const rj_json_member *now = &token->members[i];
        if (kept->name_len != now->name_len
            || memcmp(shape->json + kept->name_offset, token->payload.ptr + now->name_offset, now->name_len) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Whether a value reads as the kept one does, and is one that nobody can change. */
static int claims_is_kept(const claims_shape *shape, const rj_token *token, size_t i)
{
    const rj_json_member *kept = &shape->members[i];
    const rj_json_member *now = &token->members[i];

    return kept->value_type == now->value_type && now->value_type != RJ_JSON_OBJECT && now->value_type != RJ_JSON_ARRAY
        && kept->value_len == now->value_len
        && memcmp(shape->json + kept->value_offset, token->payload.ptr + now->value_offset, now->value_len) == 0;
}

/* A short integer without a sign, or NULL where it is anything else. */
static PyObject *claims_integer(const uint8_t *digits, size_t len)
{
    long long value = 0;

    if (len > CLAIMS_INTEGER_DIGITS) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return NULL;
        }
        value = 10 * value + (digits[i] - '0');
    }
    return PyLong_FromLongLong(value);
}

/* A new reference to a member's value. */
static PyObject *claims_value(const rj_token *token, const rj_json_member *member, PyObject *read)
{
    const uint8_t *text = token->payload.ptr + member->value_offset;
    size_t len = member->value_len;
    PyObject *octets = NULL;
    PyObject *value = NULL;

    if (member->value_type == RJ_JSON_STRING && !member->value_has_escape && len >= 2) {
        return PyUnicode_FromStringAndSize((const char *)text + 1, (Py_ssize_t)(len - 2));
    }
    if (member->value_type == RJ_JSON_INTEGER) {
        value = claims_integer(text, len);
        if (value != NULL || PyErr_Occurred() != NULL) {
            return value;
        }
    }
    octets = PyBytes_FromStringAndSize((const char *)text, (Py_ssize_t)len);
    if (octets != NULL) {
        value = PyObject_CallFunctionObjArgs(read, octets, NULL);
        Py_DECREF(octets);
    }
    return value;
}

/* A shape's dict with this token's values in it, or NULL with an exception set. */
static PyObject *claims_fill(const claims_shape *shape, const rj_token *token, PyObject *read)
{
    PyObject *claims = PyDict_Copy(shape->claims);

    for (size_t i = 0; claims != NULL && i < token->members_len; i++) {
        PyObject *value = NULL;
        if (claims_is_kept(shape, token, i)) {
            continue;
        }
        value = claims_value(token, &token->members[i], read);
        if (value == NULL || PyDict_SetItem(claims, shape->names[i], value) != 0) {
            Py_CLEAR(claims);
        }
        Py_XDECREF(value);
    }
    return claims;
}

/* Note the names of a read dict, which must be the token's as written. Returns 0 where they are not. */
static int claims_name(claims_shape *shape, const rj_token *token)
{
    PyObject *name = NULL;
    Py_ssize_t position = 0;

    if (!PyDict_CheckExact(shape->claims) || PyDict_Size(shape->claims) != (Py_ssize_t)token->members_len) {
        return 0;
    }
    for (size_t i = 0; i < token->members_len; i++) {
        const rj_json_member *member = &token->members[i];
        Py_ssize_t len = 0;
        const char *text = NULL;
        if (!PyDict_Next(shape->claims, &position, &name, NULL) || !PyUnicode_CheckExact(name)) {
            return 0;
        }
        text = PyUnicode_AsUTF8AndSize(name, &len);
        if (text == NULL || (size_t)len != member->name_len
            || memcmp(text, token->payload.ptr + member->name_offset, member->name_len) != 0) {
            return 0; /* an escape in a name */
        }
        shape->names[i] = name;
    }
    return 1;
}

/* Make the shape of a token, or NULL where it cannot be kept; perhaps with an exception set. */
static claims_shape *claims_learn(const rj_token *token, PyObject *read)
{
    claims_shape *shape = NULL;
    PyObject *octets = NULL;

    if (token->members_len > CLAIMS_MAX_MEMBERS || token->payload.len > CLAIMS_MAX_BYTES) {
        return NULL;
    }
    shape = calloc(1, sizeof *shape);
    octets = PyBytes_FromStringAndSize((const char *)token->payload.ptr, (Py_ssize_t)token->payload.len);
    if (shape == NULL || octets == NULL) {
        free(shape);
        Py_XDECREF(octets);
        return NULL;
    }
    shape->owners = 1;
    shape->claims = PyObject_CallFunctionObjArgs(read, octets, NULL);
    Py_DECREF(octets);
    if (shape->claims == NULL || !claims_name(shape, token)) {
        claims_drop(shape);
        return NULL;
    }
    shape->members_len = token->members_len;
    memcpy(shape->members, token->members, token->members_len * sizeof *token->members);
    memcpy(shape->json, token->payload.ptr, token->payload.len);
    return shape;
}

PyObject *rj_claims_make(rj_claims_shapes *shapes, const rj_token *token, PyObject *read)
{
    size_t place = (token->slot_index + token->members_len) % CLAIMS_SHAPES;
    PyObject *claims = NULL;
    claims_shape *shape = NULL;

#if defined(Py_GIL_DISABLED)
    (void)claims_fit; /* without a GIL nobody keeps two threads apart here */
    return NULL;
#endif
    if (token->members == NULL) {
        return NULL;
    }
    if (claims_fit(shapes->at[place], token)) {
        shape = shapes->at[place];
        shape->owners++;
        claims = claims_fill(shape, token, read);
        claims_drop(shape);
    } else if (shapes->misses[place]++ % CLAIMS_LEARN_EVERY == 0) {
        shape = claims_learn(token, read);
        if (shape != NULL) {
            claims_drop(shapes->at[place]);
            shapes->at[place] = shape;
        }
    }
    PyErr_Clear(); /* whatever failed, reading the payload in full tells it */
    return claims;
}
