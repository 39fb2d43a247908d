/* python_general.h: the signatures of one General JSON Serialization, taken from Python's own parsed members.
 *
 * For tokens whose protected headers all verified before: looking them up and laying out the signing inputs costs
 * more in Python than the signatures do here. Knows no policies; signatures.c decides.
 */
#ifndef RJ_PYTHON_GENERAL_H
#define RJ_PYTHON_GENERAL_H

/* Put the function `verify_known` into the compiled module; called once, at import.
 * Returns 1, or 0 with no exception left where it could not be done. Takes the GIL itself. */
/* rj-cdef-begin */
int rj_python_general_install(void);
/* rj-cdef-end */

#endif
