/* python_http.h: the plain requests at the beginning of what a connection brought, as Python's own objects.
 *
 * A whole parser calls back for each part of a head, and each call costs more than the part: here one call makes
 * what a request is decided by, and nothing of what nobody reads.
 */
#ifndef RJ_PYTHON_HTTP_H
#define RJ_PYTHON_HTTP_H

#include "python/python_api.h"

/* http_requests(bytes, wanted, max_bytes): (requests, bytes that they take); see _rapidjws.pyi. */
extern const PyMethodDef rj_http_requests;

#endif
