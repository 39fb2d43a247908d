/* drive_field_p384.c: the plain C field of this curve against BIGNUM; see field_checks.h. */
#include "ec/fixedbase_p384.c"

#include "field_checks.h"
