/* drive_lanes_p521.c: the vector field of this curve against BIGNUM; see lanes_checks.h. */
#include "ec/fixedbase_lanes_p521.c"

#if RJ_HAVE_LANES
#include "lanes_checks.h"
#else
#include <stdio.h>
int main(void)
{
    puts("no lanes");
    return 0;
}
#endif
