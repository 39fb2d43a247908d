/* base64url.h: base64url as JOSE writes it (RFC 7515 s.2, RFC 4648 s.5): strict, unpadded, canonical.
 *
 * One byte string has exactly one spelling here. Padding, white space, the '+' and '/' of plain base64, a
 * length of 1 mod 4 and set bits behind the last byte are refused, never repaired. Not constant time:
 * tokens are public.
 */
#ifndef RJ_BASE64URL_H
#define RJ_BASE64URL_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that `text_len` characters decode to. */
static inline size_t rj_base64url_decoded_bytes(size_t text_len) { return text_len / 4 * 3 + (text_len % 4) * 3 / 4; }

/* Characters that `bytes_len` bytes are written with. */
static inline size_t rj_base64url_encoded_chars(size_t bytes_len)
{
    return bytes_len / 3 * 4 + (bytes_len % 3 * 4 + 2) / 3;
}

/* Decode strict base64url.
 *
 * Returns: RJ_OK; RJ_MALFORMED_TOKEN (not strict base64url); RJ_BAD_ARGUMENT (out_cap below
 *          rj_base64url_decoded_bytes(text_len)).
 * Out:     out      rj_base64url_decoded_bytes(text_len) bytes. On a refusal its first that many bytes may
 *                   hold scratch; nothing past them is ever written. Must not overlap text.
 *          out_len  bytes decoded; untouched unless RJ_OK.
 * In:      text     text_len characters; not NUL-terminated; may be NULL when text_len is 0.
 * Source:  RFC 7515 s.2; RFC 4648 s.3.2, s.3.3, s.3.5, s.5.
 */
RJ_MUST_CHECK rj_status rj_base64url_decode(uint8_t *out, size_t *out_len, size_t out_cap, const uint8_t *text,
                                            size_t text_len);

/* Say whether a text is strict base64url, without decoding it.
 *
 * Returns: RJ_OK; RJ_MALFORMED_TOKEN.
 * In:      text     text_len characters; may be NULL when text_len is 0.
 * Source:  as rj_base64url_decode, whose verdict it always equals.
 */
RJ_MUST_CHECK rj_status rj_base64url_check(const uint8_t *text, size_t text_len);

/* Encode as unpadded base64url.
 *
 * Returns: RJ_OK; RJ_BAD_ARGUMENT (out_cap below rj_base64url_encoded_chars(bytes_len)).
 * Out:     out      rj_base64url_encoded_chars(bytes_len) characters, no NUL. Must not overlap bytes.
 *          out_len  characters written; untouched unless RJ_OK.
 * In:      bytes    bytes_len bytes; may be NULL when bytes_len is 0.
 * Source:  RFC 7515 s.2, appendix C.
 */
/* rj-cdef-begin */
RJ_MUST_CHECK rj_status rj_base64url_encode(uint8_t *out, size_t *out_len, size_t out_cap, const uint8_t *bytes,
                                            size_t bytes_len);
/* rj-cdef-end */

#endif
