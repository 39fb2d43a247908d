/* python_counters.h: the Python type that knows where verdicts are counted, by issuer, partner and code.
 *
 * Tokens that the core accepts are counted by their slot (counters.h); what Python decides is counted here, by
 * name. Counting changes no verdict and raises nothing.
 */
#ifndef RJ_PYTHON_COUNTERS_H
#define RJ_PYTHON_COUNTERS_H

#include "core/counters.h"
#include "core/runtime.h"
#include "python/python_api.h"

/* Make the type. Returns a new reference, or NULL with an exception set. */
PyObject *rj_counters_type(void);

/* Returns the clock's reading. In: an instance of the type. */
uint64_t rj_counters_now(PyObject *counters);

/* Count a token that the core accepted. In: where; begun, what rj_counters_now gave before. */
void rj_counters_accepted(PyObject *counters, const rj_counter_row *row, uint64_t begun);

/* Find where accepted tokens like this one are counted. Returns 0 where they are not.
 * Out: *row. In: verified, a VerifiedToken. May run code written in Python. */
int rj_counters_row(rj_counter_row *row, PyObject *counters, PyObject *verified);

/* Count what a call of verify came to: a VerifiedToken, or NULL with an exception set, which stays set. Exceptions
 * that are no verdict are not counted.
 * In: begun, what rj_counters_now gave before. */
void rj_counters_result(PyObject *counters, PyObject *result, uint64_t begun);

#endif
