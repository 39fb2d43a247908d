/* rapidjws.h: the whole native core in one include, for the compiled module and for C tests.
 *
 * Every header marks what Python may see between the words rj-cdef-begin and rj-cdef-end; build.py reads
 * those regions as the cffi declarations, so there is no second copy of any of them.
 *
 * The law of argument order, everywhere: handle, outputs, in/outs, inputs; a length right after its array;
 * flags last. Functions that can fail return rj_status and write their outputs only on RJ_OK.
 */
#ifndef RAPIDJWS_H
#define RAPIDJWS_H

#include "text/base64url.h"
#include "text/metric_histograms.h"
#include "text/metric_lines.h"
#include "core/counters.h"
#include "core/primitives.h"
#include "python/python_module.h"
#include "core/signatures.h"
#include "core/column.h"
#include "core/trail.h"
#include "core/trail_content.h"
#include "core/stream.h"

#endif
