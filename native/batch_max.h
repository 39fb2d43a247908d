/* batch_max.h: the one bound of a batch, which several folders share. */
#ifndef RJ_BATCH_MAX_H
#define RJ_BATCH_MAX_H

/* Most signatures that are verified together: a batch's window, and what shares one inversion. */
/* rj-cdef-begin */
enum { RJ_BATCH_MAX = 64 };
/* rj-cdef-end */

#endif
