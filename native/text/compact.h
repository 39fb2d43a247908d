/* compact.h: cut a JWS Compact Serialization into its three parts (RFC 7515 s.7.1).
 *
 * Finds the two dots and nothing else: no copy, no decoding, no look at what the parts hold.
 */
#ifndef RJ_COMPACT_H
#define RJ_COMPACT_H

#include "span.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

/* Split a compact token at its two dots.
 *
 * The payload may be empty (RFC 7515 appendix F detaches it so); the header and the signature may not: an
 * unsecured JWS (alg none) does not exist here. The JWS Signing Input is the octets from header->ptr to
 * the end of payload.
 *
 * Returns: RJ_OK; RJ_TOO_LARGE (token_len above max_len; no byte of the token was read);
 *          RJ_MALFORMED_TOKEN (not two dots, or an empty header or signature). Reading stops at the third dot.
 * Out:     header, payload, signature  spans into token, still base64url; untouched unless RJ_OK.
 * In:      token     token_len bytes; may be NULL when token_len is 0.
 *          max_len   largest token_len allowed, in bytes.
 * Source:  RFC 7515 s.3.1, s.5.2 step 1, s.7.1.
 */
RJ_MUST_CHECK rj_status rj_compact_split(rj_span *header, rj_span *payload, rj_span *signature, const uint8_t *token,
                                         size_t token_len, size_t max_len);

#endif
