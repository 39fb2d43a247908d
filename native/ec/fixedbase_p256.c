/* fixedbase_p256.c: the plain C arithmetic of P-256: its field, with the table and sum templates over it. */
#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE

#include "ec/field_p256.h"
#include "ec/fixedbase_internal.h"

#define FILL_CURVE_A (-3)
#define FILL_CURVE() rj_fb_curve(RJ_CURVE_P256)
#include "ec/fixedbase_fill.h"
#include "ec/fixedbase_sum.h"

const fb_table_builder rj_fb_table_builder_p256 = {fill_bytes, fill_rows, fill_to_lanes};
const fb_field_ops rj_fb_portable_p256 = {"portable", 1, fill_plain, sum_bytes, sum_batch, sum_check_one};

#else
typedef int p256_empty;
#endif
