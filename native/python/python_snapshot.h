/* python_snapshot.h: the Python type `NativeSnapshot`: the core's tables, and what results are made of.
 *
 * verify/snapshot.py derives from it, so that the calls every token takes find all they need in one object.
 */
#ifndef RJ_PYTHON_SNAPSHOT_H
#define RJ_PYTHON_SNAPSHOT_H

#include "python/python_api.h"
#include "core/counters.h"
#include "python/python_claims.h"

/* All owned but the snapshot, which the owner keeps alive; NULL until `attach`. */
typedef struct {
    PyObject_HEAD const rj_snapshot *snapshot;
    PyObject *accepted; /* the type of a result, a VerifiedToken */
    PyObject *slots;    /* slot number -> (key, issuer) */
    PyObject *read;     /* reads the claims of a result that has an issuer */
    PyObject *owner;
    rj_claims_shapes *shapes;
    rj_claims_shapes *proof_shapes; /* of the claims of DPoP proofs; NULL until there is one */
    PyObject *rows_owner;           /* keeps `rows`, or NULL */
    const rj_counter_row *rows; /* issuer and algorithm number -> where accepted tokens are counted; NULL: nowhere */
    size_t rows_len;
    int64_t clock_floor_s; /* no clock that is right reads less */
    int is_plain;          /* an accepted token is the last word: nothing guards it further */
} rj_native_snapshot;

/* Make the type. Returns a new reference, or NULL with an exception set. */
PyObject *rj_native_snapshot_type(void);

#endif
