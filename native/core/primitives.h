/* primitives.h: single checks outside any table of keys, and what the build is. */
#ifndef RJ_PRIMITIVES_H
#define RJ_PRIMITIVES_H

#include "core/batch.h"

/* rj-cdef-begin */
enum { RJ_JSON_HAS_BIG_INTEGER = 1, RJ_JSON_HAS_DECIMAL = 2 };
/* rj-cdef-end */

/* Check a JSON text's shape (json_scan.h) with memory of the runtime's.
 * Returns an rj_status of rj_json_scan. Out: *fault_offset in bytes, where refused; *notes RJ_JSON_HAS_*. */
RJ_MUST_CHECK rj_status rj_json_check(rj_runtime *runtime, uint32_t *fault_offset, uint32_t *notes, const uint8_t *text,
                                      size_t text_len, uint32_t max_bytes, uint32_t max_depth, uint32_t max_members,
                                      int any_root);

/* Verify one signature with one key, outside of any table of keys; precomputed: the key's own table, or NULL;
 * acceleration 0 asks for libcrypto alone.
 * Returns as rj_verify; RJ_BAD_ARGUMENT where the key or its table cannot serve the algorithm. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_verify_raw(rj_runtime *runtime, const rj_key *key, const rj_precomputed *precomputed,
                                      uint32_t alg, const uint8_t *input, size_t input_len, const uint8_t *signature,
                                      size_t signature_len, int acceleration);
/* rj-cdef-end */

/* Returns 1 where libcrypto can verify the algorithm, 0 where it cannot. */
/* rj-cdef-begin */
int rj_alg_is_native(rj_runtime *runtime, uint32_t alg);
/* rj-cdef-end */

/* Returns libcrypto's version text at run time; lives as long as the process. */
/* rj-cdef-begin */
const char *rj_libcrypto_version(void);
/* rj-cdef-end */

/* Returns 1 where libcrypto was linked in statically from our own build, 0 where it is the system's. */
/* rj-cdef-begin */
int rj_libcrypto_is_ours(void);
/* rj-cdef-end */

/* Returns the package version this binary was built as. */
/* rj-cdef-begin */
const char *rj_built_version(void);
/* rj-cdef-end */

/* Returns the number of errors in this thread's libcrypto queue: 0 after every call of ours. */
/* rj-cdef-begin */
int rj_error_queue_len(void);
/* rj-cdef-end */

#endif
