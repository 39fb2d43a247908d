/* drive_field_k256.c: the plain C field of this curve against BIGNUM; see field_checks.h. */
#include "ec/fixedbase_k256.c"

#include "field_checks.h"
