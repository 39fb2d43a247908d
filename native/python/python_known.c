/* python_known.c: see python_known.h. Under the GIL alone; without one nothing is known, and Python decides. */
#include "python/python_known.h"

#include <stdlib.h>
#include <string.h>

#include "core/headertable.h"
#include "core/ticks.h"
#include "python/python_counters.h"
#include "python/python_token.h"
#include "python/python_verify.h"

enum { KNOWN_FIRST_SWEEP = 64, KNOWN_MAX = 1 << 22, KNOWN_FIRST_ROUTES = 64 };

/* What a header leads to, or a header with an iss. */
typedef struct {
    PyObject *engine;   /* owned; NULL: none */
    rj_counter_row row; /* where its accepted tokens are counted; of NULLs where they are not */
    int is_shared;      /* the token's iss decides */
} known_route;

typedef struct {
    PyObject_HEAD rj_headertable *numbers; /* header, or header and iss -> the number of a route */
    known_route *routes;
    size_t len;
    size_t capacity;
    size_t max;
    size_t sweep_at;    /* once so many routes are there, those whose engine left give it up */
    PyObject *engines;  /* owned; the type of engines */
    PyObject *verified; /* owned; the type of verified tokens */
    PyObject *counters; /* owned; what rows belong to, or None */
} known_headers;

#if defined(Py_GIL_DISABLED)
static PyObject *known_put(PyObject *object, PyObject *const *args, Py_ssize_t args_len)
{
    (void)object, (void)args, (void)args_len;
    Py_INCREF(Py_True);
    return Py_True;
}

PyObject *rj_known_engine(PyObject *table, rj_known_found *found, const rj_native_snapshot *native, PyObject *token,
                          const PyObject *counters, rj_known_reading reading)
{
    (void)table, (void)found, (void)native, (void)token, (void)counters, (void)reading;
    return NULL; /* the table may change under the look */
}
#else
/* The encoded header of a token; of no octets where there is none. */
static rj_span known_header(rj_span token)
{
    const uint8_t *dot = token.len == 0 ? NULL : memchr(token.ptr, '.', token.len);

    return (rj_span){token.ptr, dot == NULL ? 0 : (size_t)(dot - token.ptr)};
}

static uint32_t known_find(const known_headers *self, rj_span header, rj_span issuer)
{
    uint32_t number = rj_headertable_find(self->numbers, header.ptr, header.len, issuer.ptr, issuer.len);

    return number < self->len ? number : RJ_SLOT_NONE;
}

/* ---- what was learned ---- */

/* Let those give up their engine that are to be asked no more, so that its memory goes. */
static void known_sweep(known_headers *self)
{
    size_t left = 0;

    for (size_t i = 0; i < self->len; i++) {
        PyObject *engine = self->routes[i].engine;
        if (engine != NULL && ((const rj_asked_engine *)engine)->due_ns == 0) {
            self->routes[i].engine = NULL;
            Py_DECREF(engine); /* may run code, which may add routes: everything is as it should be here */
        } else {
            left += engine != NULL;
        }
    }
    self->sweep_at = self->len + left / 2 + KNOWN_FIRST_SWEEP;
}

/* The route of a header, or of a header and an iss, made where there is none yet; NULL where memory or numbers are
 * out. */
static known_route *known_route_of(known_headers *self, rj_span header, rj_span issuer)
{
    uint32_t number = known_find(self, header, issuer);

    if (number == RJ_SLOT_NONE) {
        if (self->len == self->capacity) {
            size_t capacity = self->capacity == 0 ? KNOWN_FIRST_ROUTES : 2 * self->capacity;
            known_route *routes = realloc(self->routes, capacity * sizeof *routes);
            if (routes == NULL) {
                return NULL;
            }
            self->routes = routes;
            self->capacity = capacity;
        }
        number = (uint32_t)self->len;
        self->routes[number] = (known_route){NULL, {NULL, NULL}, 0};
        self->len++;
        rj_headertable_insert(self->numbers, header.ptr, header.len, issuer.ptr, issuer.len, number);
        if (known_find(self, header, issuer) != number) { /* full, too long, or no memory */
            self->len--;
            return NULL;
        }
    }
    return &self->routes[number];
}

/* Put an engine behind a header, or behind a header and an iss, which then decides for this header. */
static void known_lead_to(known_headers *self, rj_span header, rj_span issuer, PyObject *engine, rj_counter_row row)
{
    static const rj_span NO_ISSUER = {NULL, 0};
    known_route *route = known_route_of(self, header, NO_ISSUER);
    PyObject *before[2] = {NULL, NULL};

    if (route != NULL && issuer.len != 0) {
        before[0] = route->engine;
        *route = (known_route){NULL, {NULL, NULL}, 1};
        route = known_route_of(self, header, issuer);
    }
    if (route != NULL) {
        before[1] = route->engine;
        Py_INCREF(engine);
        *route = (known_route){engine, row, 0};
    }
    Py_XDECREF(before[0]); /* these may run code, which may add routes */
    Py_XDECREF(before[1]);
}

static PyObject *known_put(PyObject *object, PyObject *const *args, Py_ssize_t args_len)
{
    known_headers *self = (known_headers *)object;
    rj_span token = {NULL, 0};
    rj_span issuer = {NULL, 0};
    rj_counter_row row = {NULL, NULL};
    PyObject *has_place = NULL;

    if (self->engines == NULL) { /* cleared by the garbage collector */
        Py_INCREF(Py_False);
        return Py_False;
    }
    if (args_len != 4 || !rj_python_octets(&token, args[0], SIZE_MAX)
        || PyObject_IsInstance(args[1], self->engines) != 1 || PyObject_IsInstance(args[2], self->verified) != 1
        || (args[3] == Py_True && !rj_python_octets(&issuer, ((const rj_verified_token *)args[2])->issuer, SIZE_MAX))) {
        return PyErr_Occurred() != NULL ? NULL
                                        : PyErr_Format(PyExc_TypeError, "put(token, engine, verified, is_shared)");
    }
    if (self->counters != Py_None) {
        (void)rj_counters_row(&row, self->counters, args[2]); /* may run code: routes are looked for later */
    }
    if (self->len >= self->sweep_at) {
        known_sweep(self);
    }
    has_place = known_header(token).len == 0 || self->len + 2 <= self->max ? Py_True : Py_False;
    if (has_place == Py_True && known_header(token).len != 0) {
        known_lead_to(self, known_header(token), issuer, args[1], row);
    }
    Py_INCREF(has_place);
    return has_place;
}

/* ---- the look ---- */

static uint32_t known_number(const known_headers *self, rj_span header, uint64_t header_hash, rj_span issuer)
{
    uint32_t number =
        rj_headertable_find_hashed(self->numbers, header_hash, header.ptr, header.len, issuer.ptr, issuer.len);

    return number < self->len ? number : RJ_SLOT_NONE;
}

/* The route of a header that several issuers use, by the iss that a token states. */
static uint32_t known_by_issuer(const known_headers *self, const rj_native_snapshot *native, rj_span token,
                                rj_span header, uint64_t header_hash, rj_known_reading reading)
{
    rj_runtime *runtime = native->snapshot->runtime;
    uint8_t decoded[RJ_APPARENT_BYTES];
    rj_workspace *work = NULL;
    rj_span issuer = {NULL, 0};
    uint32_t number = RJ_SLOT_NONE;

    if (reading == RJ_KNOWN_QUICKLY) {
        issuer = rj_token_apparent_issuer(decoded, token.ptr, token.len);
        return issuer.len == 0 ? RJ_SLOT_NONE : known_number(self, header, header_hash, issuer);
    }
    work = rj_runtime_borrow_workspace(runtime);
    if (work == NULL) {
        return RJ_SLOT_NONE;
    }
    issuer = rj_token_stated_issuer(native->snapshot, work, token.ptr, token.len);
    if (issuer.len != 0) {
        number = known_number(self, header, header_hash, issuer);
    }
    rj_runtime_return_workspace(runtime, work);
    return number;
}

PyObject *rj_known_engine(PyObject *table, rj_known_found *found, const rj_native_snapshot *native, PyObject *token,
                          const PyObject *counters, rj_known_reading reading)
{
    const known_headers *self = (const known_headers *)table;
    rj_span octets = {NULL, 0};
    rj_span header = {NULL, 0};
    const known_route *route = NULL;
    uint32_t number = RJ_SLOT_NONE;

    *found = (rj_known_found){{NULL, NULL}, 0, 0};
    if (native->snapshot == NULL || !rj_python_octets(&octets, token, native->snapshot->max_token_bytes)
        || octets.len > native->snapshot->max_token_bytes) { /* past the limit there is a length alone */
        return NULL;
    }
    header = known_header(octets);
    found->header_hash = rj_headertable_hash(self->numbers, header.ptr, header.len);
    number = known_number(self, header, found->header_hash, (rj_span){NULL, 0});
    if (number != RJ_SLOT_NONE && self->routes[number].is_shared) {
        found->is_shared = 1;
        number = known_by_issuer(self, native, octets, header, found->header_hash, reading);
    }
    if (number == RJ_SLOT_NONE) {
        return NULL;
    }
    route = &self->routes[number];
    if (route->engine == NULL || rj_ticks_coarse_ns() >= ((const rj_asked_engine *)route->engine)->due_ns) {
        return NULL;
    }
    found->row = counters == self->counters ? route->row : (rj_counter_row){NULL, NULL};
    Py_INCREF(route->engine);
    return route->engine;
}
#endif

/* ---- the type ---- */

static PyObject *known_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    PyObject *engines = NULL;
    PyObject *verified = NULL;
    PyObject *counters = NULL;
    Py_ssize_t max = 0;
    unsigned long long seed = 0;
    known_headers *self = NULL;

    if (names != NULL && PyDict_Size(names) != 0) {
        return PyErr_Format(PyExc_TypeError, "KnownHeaders takes no named arguments");
    }
    if (!PyArg_ParseTuple(args, "O!O!OnK", &PyType_Type, &engines, &PyType_Type, &verified, &counters, &max, &seed)) {
        return NULL;
    }
    if (max < 1 || max > KNOWN_MAX) {
        return PyErr_Format(PyExc_ValueError, "max is expected from 1 to %d", (int)KNOWN_MAX);
    }
    self = (known_headers *)PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    Py_INCREF(engines);
    self->engines = engines;
    Py_INCREF(verified);
    self->verified = verified;
    Py_INCREF(counters);
    self->counters = counters;
    self->max = (size_t)max + 1; /* a header that several issuers use has a route of its own */
    self->sweep_at = KNOWN_FIRST_SWEEP;
    if (rj_headertable_new(&self->numbers, self->max, seed) != RJ_OK) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static Py_ssize_t known_len(PyObject *self) { return (Py_ssize_t)((const known_headers *)self)->len; }

static int known_traverse(PyObject *object, visitproc visit, void *arg)
{
    const known_headers *self = (const known_headers *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->engines);
    Py_VISIT(self->verified);
    Py_VISIT(self->counters);
    for (size_t i = 0; i < self->len; i++) {
        Py_VISIT(self->routes[i].engine);
    }
    return 0;
}

static int known_clear(PyObject *object)
{
    known_headers *self = (known_headers *)object;

    while (self->len != 0) { /* a route that is gone is found no more */
        PyObject *engine = self->routes[--self->len].engine;
        Py_XDECREF(engine);
    }
    self->max = 0;
    Py_CLEAR(self->engines);
    Py_CLEAR(self->verified);
    Py_CLEAR(self->counters);
    return 0;
}

static void known_dealloc(PyObject *object)
{
    known_headers *self = (known_headers *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(object);
    (void)known_clear(object);
    rj_headertable_free(self->numbers);
    free(self->routes);
    release(object);
    Py_DECREF(type);
}

static const PyMethodDef KNOWN_METHODS[] = {
    {"put", (PyCFunction)(void (*)(void))known_put, METH_FASTCALL,
     "put(token, engine, verified, is_shared): have the engine asked for tokens with this token's header, or with it\n"
     "and this iss where several issuers use it. Returns False where there is no place: begin with an empty table"},
    {NULL, NULL, 0, NULL},
};

static const PyType_Slot KNOWN_SLOTS[] = {
    {Py_tp_doc,
     (void *)"KnownHeaders(engines, verified, counters, most, seed): a registry's headers, and whose they are."},
    {Py_tp_new, (void *)known_new},
    {Py_tp_methods, (void *)(uintptr_t)KNOWN_METHODS},
    {Py_sq_length, (void *)known_len},
    {Py_tp_traverse, (void *)known_traverse},
    {Py_tp_clear, (void *)known_clear},
    {Py_tp_dealloc, (void *)known_dealloc},
    {0, NULL},
};

static const PyType_Spec KNOWN_SPEC = {
    .name = "rapidjws._rapidjws.KnownHeaders",
    .basicsize = sizeof(known_headers),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = (PyType_Slot *)(uintptr_t)KNOWN_SLOTS,
};

int rj_is_known_headers(PyObject *object)
{
    return PyType_GetSlot(Py_TYPE(object), Py_tp_dealloc) == (void *)known_dealloc;
}

PyObject *rj_known_headers_type(void) { return PyType_FromSpec((PyType_Spec *)(uintptr_t)&KNOWN_SPEC); }
