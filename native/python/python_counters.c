/* python_counters.c: see python_counters.h. */
#include "python/python_counters.h"

#include <structmember.h>

#include "core/counters.h"
#include "python/python_token.h"

/* Every field but the clock is owned; the dicts belong to verify/verdict_counters.py, which changes them. */
typedef struct {
    PyObject_HEAD PyObject *codes; /* code -> its word in a block of verdicts */
    PyObject *claim_codes;         /* codes that leave open which claim was refused */
    PyObject *issuers;  /* iss or None -> (address of verdicts, alg -> address of durations, partner -> address) */
    PyObject *verified; /* the type of a result that is accepted */
    PyObject *alg_name; /* the attribute of a key that names its algorithm; NULL until `_attach` */
    rj_ticks ticks;
} counters_object;

enum { COUNTERS_OK = 0 }; /* the word of an accepted token in a block of verdicts: OK in verdict_counters.py */

enum {
    COUNTERS_VERDICTS = 0, /* the parts of an entry of `issuers` */
    COUNTERS_DURATIONS = 1,
    COUNTERS_PARTNERS = 2,
    COUNTERS_KEPT = 64,    /* keys of a batch whose place is kept: a bit each in 64 */
    COUNTERS_KEY_SHIFT = 5 /* objects lie at least so far apart */
};

static const PyMemberDef COUNTERS_MEMBERS[] = {
    {"_codes", T_OBJECT, offsetof(counters_object, codes), 0, NULL},
    {"_claim_codes", T_OBJECT, offsetof(counters_object, claim_codes), 0, NULL},
    {"_issuers", T_OBJECT, offsetof(counters_object, issuers), 0, NULL},
    {"_verified", T_OBJECT, offsetof(counters_object, verified), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static uint64_t *counters_words(PyObject *address)
{
    return address == NULL ? NULL : (uint64_t *)PyLong_AsVoidPtr(address);
}

/* The entry of an issuer, or of none where it has none; borrowed, or NULL. */
static PyObject *counters_entry(const counters_object *self, PyObject *issuer)
{
    PyObject *entry = self->issuers == NULL || issuer == NULL ? NULL : PyDict_GetItemWithError(self->issuers, issuer);

    return entry != NULL || self->issuers == NULL ? entry : PyDict_GetItemWithError(self->issuers, Py_None);
}

static uint64_t *counters_durations(PyObject *entry, PyObject *alg)
{
    PyObject *durations = PyTuple_GetItem(entry, COUNTERS_DURATIONS);
    PyObject *address = durations == NULL || alg == NULL ? NULL : PyDict_GetItemWithError(durations, alg);

    if (address == NULL && durations != NULL) {
        address = PyDict_GetItemString(durations, "");
    }
    return counters_words(address);
}

/* The verdicts of an issuer and a partner, which is NULL or empty for nobody. */
static uint64_t *counters_verdicts(const counters_object *self, PyObject *entry, PyObject *issuer, PyObject *partner)
{
    PyObject *partners = NULL;
    PyObject *address = NULL;
    PyObject *made = NULL;
    uint64_t *words = NULL;

    if (partner == NULL || PyUnicode_GetLength(partner) == 0) {
        return counters_words(PyTuple_GetItem(entry, COUNTERS_VERDICTS));
    }
    partners = PyTuple_GetItem(entry, COUNTERS_PARTNERS);
    address = partners == NULL ? NULL : PyDict_GetItemWithError(partners, partner);
    if (address != NULL) {
        return counters_words(address);
    }
    made = PyObject_CallMethod((PyObject *)(uintptr_t)self, "_place_partner", "OO", issuer, partner); /* once */
    words = counters_words(made);
    Py_XDECREF(made);
    return words;
}

/* Where a verdict of a code is counted, and how long it took. Returns 0 where nothing is to be counted. */
static int counters_find(rj_counter_row *row, uint32_t *word, const counters_object *self, PyObject *issuer,
                         PyObject *partner, PyObject *code, PyObject *alg)
{
    PyObject *number = self->codes == NULL || code == NULL ? NULL : PyDict_GetItemWithError(self->codes, code);
    PyObject *entry = number == NULL ? NULL : counters_entry(self, issuer);

    if (entry == NULL || !PyTuple_Check(entry)) {
        PyErr_Clear();
        return 0;
    }
    *word = (uint32_t)PyLong_AsUnsignedLong(number);
    row->verdicts = counters_verdicts(self, entry, issuer, partner);
    row->durations = counters_durations(entry, alg);
    PyErr_Clear();
    return row->verdicts != NULL && row->durations != NULL;
}

static void counters_count(const rj_counter_row *row, uint32_t word, uint64_t units, uint64_t times)
{
    rj_counters_verdicts(row->verdicts, word, times);
    rj_counters_durations(row->durations, units, times);
}

/* An attribute as a new reference, or NULL without an exception. */
static PyObject *counters_attribute(PyObject *object, const char *name)
{
    PyObject *value = object == NULL ? NULL : PyObject_GetAttrString(object, name);

    if (value == NULL) {
        PyErr_Clear();
    }
    return value;
}

/* Count which claim was refused, where the code alone does not say so. In: place, where it was found. */
static void counters_claim(const counters_object *self, PyObject *issuer, PyObject *code, PyObject *place)
{
    PyObject *address = NULL;
    uint64_t *words = NULL;

    if (self->claim_codes != NULL && place != NULL && PyDict_GetItemWithError(self->claim_codes, code) != NULL) {
        address = PyObject_CallMethod((PyObject *)(uintptr_t)self, "_place_claim", "OOO",
                                      issuer == NULL ? Py_None : issuer, code, place);
        words = counters_words(address);
        Py_XDECREF(address);
    }
    if (words != NULL) {
        rj_counters_verdict(words, 0);
    }
    PyErr_Clear();
}

/* Count a refusal, where an object is one: it has a code that is counted. */
static void counters_refusal(const counters_object *self, PyObject *refusal, uint64_t units)
{
    PyObject *code = counters_attribute(refusal, "code");
    PyObject *issuer = code == NULL ? NULL : counters_attribute(refusal, "issuer");
    PyObject *place = NULL;
    rj_counter_row row = {NULL, NULL};
    uint32_t word = 0;

    if (code != NULL && (issuer == NULL || issuer == Py_None)) {
        Py_XDECREF(issuer);
        issuer = counters_attribute(refusal, "claimed_issuer");
    }
    if (counters_find(&row, &word, self, issuer, NULL, code, NULL)) {
        counters_count(&row, word, units, 1);
        place = counters_attribute(refusal, "place");
        counters_claim(self, issuer, code, place);
    }
    Py_XDECREF(code);
    Py_XDECREF(issuer);
    Py_XDECREF(place);
}

/* Find where an accepted token is counted. Returns 0 where it is not. */
static int counters_find_accepted(rj_counter_row *row, const counters_object *self, const rj_verified_token *verified)
{
    PyObject *issuer = verified->issuer == NULL ? Py_None : verified->issuer;
    PyObject *alg =
        verified->key == NULL || self->alg_name == NULL ? NULL : PyObject_GetAttr(verified->key, self->alg_name);
    PyObject *entry = counters_entry(self, issuer);

    if (entry != NULL && PyTuple_Check(entry)) {
        row->verdicts = counters_verdicts(self, entry, issuer, NULL);
        row->durations = counters_durations(entry, alg);
    }
    Py_XDECREF(alg);
    PyErr_Clear();
    return row->verdicts != NULL && row->durations != NULL;
}

int rj_counters_row(rj_counter_row *row, PyObject *counters, PyObject *verified)
{
    return counters_find_accepted(row, (const counters_object *)counters, (const rj_verified_token *)verified);
}

uint64_t rj_counters_now(PyObject *counters) { return rj_ticks_now(&((counters_object *)counters)->ticks); }

void rj_counters_accepted(PyObject *counters, const rj_counter_row *row, uint64_t begun)
{
    const rj_ticks *ticks = &((const counters_object *)counters)->ticks;

    rj_counters_verdict(row->verdicts, COUNTERS_OK);
    rj_counters_duration(row->durations, rj_ticks_units(ticks, begun, rj_ticks_now(ticks)));
}

void rj_counters_result(PyObject *counters, PyObject *result, uint64_t begun)
{
    const counters_object *self = (const counters_object *)counters;
    uint64_t units = rj_ticks_units(&self->ticks, begun, rj_ticks_now(&self->ticks));

    if (result != NULL) {
        rj_counter_row row = {NULL, NULL};
        if (counters_find_accepted(&row, self, (const rj_verified_token *)result)) {
            counters_count(&row, COUNTERS_OK, units, 1);
        }
    } else {
        PyObject *type = NULL;
        PyObject *value = NULL;
        PyObject *traceback = NULL;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        counters_refusal(self, value, units);
        PyErr_Restore(type, value, traceback);
    }
}

static PyObject *counters_attach(PyObject *self, PyObject *address)
{
    const rj_runtime *runtime = PyLong_AsVoidPtr(address);

    if (runtime == NULL) {
        return PyErr_Occurred() != NULL ? NULL : PyErr_Format(PyExc_ValueError, "no runtime");
    }
    if (((counters_object *)self)->alg_name == NULL) {
        ((counters_object *)self)->alg_name = PyUnicode_InternFromString("alg");
    }
    if (((counters_object *)self)->alg_name == NULL) {
        return NULL;
    }
    ((counters_object *)self)->ticks = runtime->ticks;
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *counters_count_by_name(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    long long elapsed_ns = 0;
    unsigned long long times = 1;
    rj_counter_row row = {NULL, NULL};
    uint32_t word = 0;

    if (args_len < 5 || args_len > 7 || !PyUnicode_Check(args[1]) || !PyUnicode_Check(args[2])
        || !PyUnicode_Check(args[3])) {
        return PyErr_Format(PyExc_TypeError, "count(issuer, partner, code, alg, elapsed_ns, place, times)");
    }
    elapsed_ns = PyLong_AsLongLong(args[4]);
    if (args_len > 6) {
        times = PyLong_AsUnsignedLongLong(args[6]);
    }
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    if (counters_find(&row, &word, (const counters_object *)self, args[0], args[1], args[2], args[3])) {
        counters_count(&row, word, rj_ticks_units_of_ns(elapsed_ns < 0 ? 0 : (uint64_t)elapsed_ns), times);
        counters_claim((const counters_object *)self, args[0], args[2], args_len > 5 ? args[5] : NULL);
    }
    Py_INCREF(Py_None);
    return Py_None;
}

/* Results of one key in a batch: how many there are, and where they are counted. */
typedef struct {
    const void *key;
    rj_counter_row row; /* of NULLs where they are not counted */
    uint64_t count;
} counters_run;

static void counters_end_run(const counters_run *run, uint64_t units)
{
    if (run->row.verdicts != NULL) {
        counters_count(&run->row, COUNTERS_OK, units, run->count);
    }
}

/* Count the results of a list, each of which took so long: those of a key together, as the results keep the key. */
static void counters_list(const counters_object *self, PyObject *results, uint64_t units)
{
    counters_run runs[COUNTERS_KEPT];
    uint64_t used = 0;                   /* a bit for each run that has begun */
    counters_run *run = NULL;            /* of the result before */
    const PyTypeObject *accepted = NULL; /* a type that is known to be one of accepted results */
    Py_ssize_t len = PyList_Size(results);

    for (Py_ssize_t i = 0; i < len; i++) {
        PyObject *result = PyList_GetItem(results, i);
        const rj_verified_token *verified = (const rj_verified_token *)result;
        size_t at = 0;
        if (result == NULL) {
            break; /* a list that got shorter meanwhile */
        }
        if (Py_TYPE(result) != accepted) {
            if (!PyType_IsSubtype(Py_TYPE(result), (PyTypeObject *)self->verified)) {
                counters_refusal(self, result, units);
                continue;
            }
            accepted = Py_TYPE(result);
        }
        if (run != NULL && run->key == verified->key) {
            run->count++;
            continue;
        }
        at = ((uintptr_t)verified->key >> COUNTERS_KEY_SHIFT) % COUNTERS_KEPT;
        run = &runs[at];
        if ((used >> at & 1) == 0 || run->key != verified->key) {
            if ((used >> at & 1) != 0) {
                counters_end_run(run, units);
            }
            used |= UINT64_C(1) << at;
            *run = (counters_run){verified->key, {NULL, NULL}, 0};
            if (!counters_find_accepted(&run->row, self, verified)) {
                run->row = (rj_counter_row){NULL, NULL};
            }
        }
        run->count++;
    }
    for (size_t i = 0; i < COUNTERS_KEPT && used >> i != 0; i++) {
        if ((used >> i & 1) != 0) {
            counters_end_run(&runs[i], units);
        }
    }
}

static PyObject *counters_count_results(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    const counters_object *counters = (const counters_object *)self;
    Py_ssize_t len = 0;
    long long elapsed_ns = 0;

    if (args_len != 2 || !PyList_CheckExact(args[0]) || counters->verified == NULL
        || !PyType_Check(counters->verified)) {
        return PyErr_Format(PyExc_TypeError, "count_results(list, elapsed_ns)");
    }
    elapsed_ns = PyLong_AsLongLong(args[1]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    len = PyList_Size(args[0]);
    counters_list(counters, args[0],
                  rj_ticks_units_of_ns(elapsed_ns < 0 || len == 0 ? 0 : (uint64_t)(elapsed_ns / len)));
    PyErr_Clear();
    Py_INCREF(Py_None);
    return Py_None;
}

static int counters_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((counters_object *)self)->codes);
    Py_VISIT(((counters_object *)self)->claim_codes);
    Py_VISIT(((counters_object *)self)->issuers);
    Py_VISIT(((counters_object *)self)->verified);
    Py_VISIT(((counters_object *)self)->alg_name);
    return 0;
}

static int counters_clear(PyObject *self)
{
    Py_CLEAR(((counters_object *)self)->codes);
    Py_CLEAR(((counters_object *)self)->claim_codes);
    Py_CLEAR(((counters_object *)self)->issuers);
    Py_CLEAR(((counters_object *)self)->verified);
    Py_CLEAR(((counters_object *)self)->alg_name);
    return 0;
}

static void counters_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    (void)counters_clear(self);
    release(self);
    Py_DECREF(type);
}

static const PyMethodDef COUNTERS_METHODS[] = {
    {"_attach", counters_attach, METH_O, "_attach(runtime): use the clock of the runtime at this address"},
    {"count", (PyCFunction)(void (*)(void))counters_count_by_name, METH_FASTCALL,
     "count($self, issuer, partner, code, alg, elapsed_ns, place=None, times=1, /)\n--\n\n"
     "Count one verdict and how long it took, or several alike."},
    {"count_results", (PyCFunction)(void (*)(void))counters_count_results, METH_FASTCALL,
     "count_results($self, results, elapsed_ns, /)\n--\n\nCount each result of a list, which took so long together."},
    {NULL, NULL, 0, NULL},
};

static const PyType_Slot COUNTERS_SLOTS[] = {
    {Py_tp_doc, (void *)"Where verdicts are counted; verify/verdict_counters.py makes it whole."},
    {Py_tp_members, (void *)(uintptr_t)COUNTERS_MEMBERS},
    {Py_tp_methods, (void *)(uintptr_t)COUNTERS_METHODS},
    {Py_tp_traverse, (void *)counters_traverse},
    {Py_tp_clear, (void *)counters_clear},
    {Py_tp_dealloc, (void *)counters_dealloc},
    {0, NULL},
};

static const PyType_Spec COUNTERS_SPEC = {
    .name = "rapidjws._rapidjws.Counters",
    .basicsize = sizeof(counters_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = (PyType_Slot *)(uintptr_t)COUNTERS_SLOTS,
};

PyObject *rj_counters_type(void) { return PyType_FromSpec((PyType_Spec *)(uintptr_t)&COUNTERS_SPEC); }
