/* python_general.h: the signatures of one General JSON Serialization, read from its text (RFC 7515 s.7.2.1).
 *
 * For tokens whose protected headers all verified before: to make Python objects of the text, look the headers up and
 * lay out the signing inputs costs more than the signatures do. Only accepts or leaves open; knows no policies.
 */
#ifndef RJ_PYTHON_GENERAL_H
#define RJ_PYTHON_GENERAL_H

#include "python/python_api.h"

/* verify_known(address, known, octets, max_signatures): (rows, None or verdicts, payload), or None where not all is
 * plain: a text with anything but payload and signatures, an entry with anything but protected and signature, an
 * escape in one of these, a header that did not verify before, headers that tell different things. */
extern const PyMethodDef rj_general_verify_known;

#endif
