/* python_known.h: the Python type `KnownHeaders`: of a registry, whose engine verified a token with this very header.
 *
 * What it has is a hint: the engine that is found verifies the token in full, its iss included, and Python finds the
 * issuer where that engine does not accept it. A known header is one engine's, or several issuers use it: then the
 * token's iss decides among them. An engine that left is forgotten by and by, and is not asked from the moment on
 * at which its time is set to 0.
 */
#ifndef RJ_PYTHON_KNOWN_H
#define RJ_PYTHON_KNOWN_H

#include "core/counters.h"
#include "python/python_snapshot.h"

/* An engine as a registry asks it: what every instance of NativeEngine begins with. */
typedef struct {
    PyObject_HEAD PyObject *snapshot; /* swapped by one reference; NULL or a NativeSnapshot */
    uint64_t due_ns; /* of a registry's engine: until when it is asked directly, by rj_ticks_system_ns; 0: no more */
} rj_asked_engine;

/* How the iss of a token is read that shares its header with others'. */
typedef enum {
    RJ_KNOWN_QUICKLY, /* from the first member that looks like it */
    RJ_KNOWN_EXACTLY  /* from a scan of all of the claims */
} rj_known_reading;

/* Make the type. Returns a new reference, or NULL with an exception set. */
PyObject *rj_known_headers_type(void);

/* Returns whether an object is of this type. */
int rj_is_known_headers(PyObject *object);

/* What a look brings beside an engine. */
typedef struct {
    rj_counter_row row;   /* where its accepted tokens are counted; of NULLs where that is not known */
    uint64_t header_hash; /* of the header, as of rj_token_find_key */
    int is_shared;        /* other issuers use the header as well: a quick reading of iss may err */
} rj_known_found;

/* Find the engine of a token's issuer.
 * Returns a new reference, or NULL without an exception: none is known, or it is to be asked no more.
 * Out: *found. In: table, a KnownHeaders; native, the snapshot whose limits hold; counters, whom the row has to belong
 * to. */
PyObject *rj_known_engine(PyObject *table, rj_known_found *found, const rj_native_snapshot *native, PyObject *token,
                          const PyObject *counters, rj_known_reading reading);

#endif
