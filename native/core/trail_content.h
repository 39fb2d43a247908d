/* trail_content.h: what is stored beside the records of an audit trail, decrypted by the bundle (AES-256-GCM).
 *
 * An encrypted content is 'e', four octets of length, and: its head (which key: name, id and hour), a nonce of twelve
 * octets, the ciphertext and a tag of sixteen. The head is authenticated with it. What does not decrypt stays as it is,
 * so that the caller can say why.
 */
#ifndef RJ_TRAIL_CONTENT_H
#define RJ_TRAIL_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* rj-cdef-begin */
enum { RJ_SEALED_HEAD_BYTES = 28, RJ_CONTENT_KEY_BYTES = 32 };

/* Collect the heads of encrypted contents, each once, in the order in which they come.
 * contents: as a bundle, with lengths of four octets.
 * Returns RJ_OK; RJ_BAD_ARGUMENT where the contents have not len entries.
 * Out: heads, space for len of them; *heads_len. */
RJ_MUST_CHECK rj_status rj_trail_heads(uint8_t *heads, size_t *heads_len, const uint8_t *contents,
                                       size_t contents_bytes, size_t len);

/* Decrypt the contents of a bundle.
 * heads, keys: heads_len of each; the key of an hour for each head.
 * Returns RJ_OK; RJ_BAD_ARGUMENT where the contents have not len entries; RJ_NO_MEMORY.
 * Out: opened, contents_bytes at least: a bundle again, with the plain content where the key is given and the tag
 * is right, and the content as it was elsewhere; *opened_bytes. */
RJ_MUST_CHECK rj_status rj_trail_open(uint8_t *opened, size_t *opened_bytes, const uint8_t *contents,
                                      size_t contents_bytes, size_t len, const uint8_t *heads, const uint8_t *keys,
                                      size_t heads_len);
/* rj-cdef-end */

#endif
