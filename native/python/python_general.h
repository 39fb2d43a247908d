/* python_general.h: the signatures of one General JSON Serialization, taken from Python's own parsed members.
 *
 * For tokens whose protected headers all verified before: looking them up and laying out the signing inputs costs
 * more in Python than the signatures do here. Knows no policies; signatures.c decides.
 */
#ifndef RJ_PYTHON_GENERAL_H
#define RJ_PYTHON_GENERAL_H

#include "python/python_api.h"

/* verify_known(address, known, payload, signatures): (rows, None or verdicts), or None where not all is plain.
 * The list and what it holds must be the caller's own. */
extern const PyMethodDef rj_general_verify_known;

#endif
