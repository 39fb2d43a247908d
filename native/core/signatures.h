/* signatures.h: the signatures of one JWS whose keys the caller chose, in one crossing (RFC 7515 s.5.2).
 *
 * For the JSON serializations, where header and payload are read in Python and a token has several signatures.
 * Knows nothing of headers, payloads or policies: octets in, one verdict each.
 */
#ifndef RJ_SIGNATURES_H
#define RJ_SIGNATURES_H

#include "core/batch.h"

/* Verify signatures over inputs that lie one behind the other: input, signature, input, signature, ...
 * Out: verdicts[0 .. count), see token.h; RJ_MALFORMED_TOKEN: the signature's text is not strict base64url.
 * In: lens[2 i] bytes of JWS Signing Input, then lens[2 i + 1] characters of base64url, for each i below count;
 * slots[i] the slot that answers for it; a number past the table gives RJ_BAD_ARGUMENT. */
/* rj-cdef-begin */
void rj_signatures_verify(const rj_snapshot *snapshot, uint64_t *verdicts, const uint8_t *octets, const uint32_t *lens,
                          const uint32_t *slots, size_t count);
/* rj-cdef-end */

#endif
