/* stream.h: signatures over a payload that comes piece by piece (RFC 7515 appendix F, RFC 7797).
 *
 * Hashes as the pieces come and keeps none of them, so memory does not grow with the payload. One stream feeds all
 * signatures of a JWS: each has its own digest, begun with its own protected header. For algorithms that hash
 * first and for HMAC; EdDSA and ML-DSA need the whole payload and are refused.
 */
#ifndef RJ_STREAM_H
#define RJ_STREAM_H

#include "core/snapshot.h"

/* Of payload; 4096 characters of base64url: small enough to stay in the cache. */
enum { RJ_STREAM_BLOCK_BYTES = 3072 };

/* rj-cdef-begin */
enum { RJ_STREAM_MAX_LANES = 64 };
enum { RJ_STREAM_PLAIN = 0, RJ_STREAM_BASE64URL = 1 };
typedef struct rj_stream rj_stream;
/* rj-cdef-end */

/* Begin a stream against a snapshot, which stays alive as long as the stream.
 * Returns RJ_OK; RJ_NO_MEMORY; RJ_BAD_ARGUMENT for an unknown encoding.
 * Out: *out, freed by rj_stream_free. In: encoding RJ_STREAM_PLAIN (b64 false) or RJ_STREAM_BASE64URL. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_stream_new(rj_stream **out, const rj_snapshot *snapshot, uint32_t encoding);
/* rj-cdef-end */

/* Add a signature's lane before the first piece.
 * Returns RJ_OK; RJ_BAD_ARGUMENT (no such slot, too many lanes, or after a piece); RJ_NOT_NATIVE (the slot has no
 * native key, or its algorithm needs the whole payload).
 * Out: *lane, its number. In: prefix_len bytes at prefix: the protected header as received, and the dot. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_stream_add(rj_stream *stream, uint32_t *lane, uint32_t slot, const uint8_t *prefix,
                                      size_t prefix_len);
/* rj-cdef-end */

/* Hash the next piece of the payload for every lane. In: len bytes at piece. */
/* rj-cdef-begin */
void rj_stream_update(rj_stream *stream, const uint8_t *piece, size_t len);
/* rj-cdef-end */

/* End one lane and verify its signature; a lane ends once, and no piece is taken after.
 * Returns as rj_verify_digest and rj_hmac_finish; RJ_MALFORMED_TOKEN where the text is not strict base64url;
 * RJ_BAD_ARGUMENT for a lane that is not open.
 * In: signature_len characters of base64url at signature. */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_stream_verify(rj_stream *stream, uint32_t lane, const uint8_t *signature,
                                         size_t signature_len);
/* rj-cdef-end */

/* Free a stream and wipe the states in it; NULL is allowed. */
/* rj-cdef-begin */
void rj_stream_free(rj_stream *stream);
/* rj-cdef-end */

#endif
