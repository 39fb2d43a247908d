/* trail_content.c: see trail_content.h. Keeps no state. */
#include "core/trail_content.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "core/trail.h"
#include "span.h"

enum { CONTENT_LENGTH = 4, CONTENT_PART_HEAD = 5, CONTENT_NONCE = 12, CONTENT_TAG = 16 };
enum { CONTENT_BYTES_MAX = 0x7fffffff }; /* EVP_DecryptUpdate has an int */

/* A cipher with the key of one head. */
typedef struct {
    EVP_CIPHER_CTX *context;
    size_t at; /* which head; that of none at first */
} content_cipher;

static size_t content_length(const uint8_t *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | (size_t)at[3];
}

/* Take the next content. Returns 0 where it ends early. */
static int content_next(rj_span *out, rj_span *rest)
{
    size_t len = 0;

    if (rest->len < CONTENT_LENGTH) {
        return 0;
    }
    len = content_length(rest->ptr);
    if (rest->len - CONTENT_LENGTH < len) {
        return 0;
    }
    *out = (rj_span){rest->ptr + CONTENT_LENGTH, len};
    *rest = (rj_span){out->ptr + len, rest->len - CONTENT_LENGTH - len};
    return 1;
}

/* Returns 1 where a content is encrypted, and nothing but that. Out: *sealed. */
static int content_sealed(rj_span *sealed, rj_span content)
{
    if (content.len < CONTENT_PART_HEAD + RJ_SEALED_HEAD_BYTES + CONTENT_NONCE + CONTENT_TAG || *content.ptr != 'e'
        || content_length(content.ptr + 1) != content.len - CONTENT_PART_HEAD) {
        return 0;
    }
    *sealed = (rj_span){content.ptr + CONTENT_PART_HEAD, content.len - CONTENT_PART_HEAD};
    return 1;
}

/* Returns which head it is, heads_len for none; that of the last content is looked at first. */
static size_t content_head(const uint8_t *heads, size_t heads_len, const uint8_t *head, size_t last)
{
    if (last < heads_len && memcmp(heads + last * RJ_SEALED_HEAD_BYTES, head, RJ_SEALED_HEAD_BYTES) == 0) {
        return last;
    }
    for (size_t i = 0; i < heads_len; i++) {
        if (memcmp(heads + i * RJ_SEALED_HEAD_BYTES, head, RJ_SEALED_HEAD_BYTES) == 0) {
            return i;
        }
    }
    return heads_len;
}

/* Decrypt one content. Returns how long it is in clear, or -1 where it is not as it was encrypted. */
static int content_open(uint8_t *plain, content_cipher *cipher, rj_span sealed, const uint8_t *key, size_t at)
{
    const uint8_t *nonce = sealed.ptr + RJ_SEALED_HEAD_BYTES;
    const uint8_t *text = nonce + CONTENT_NONCE;
    int len = (int)(sealed.len - RJ_SEALED_HEAD_BYTES - CONTENT_NONCE - CONTENT_TAG);
    int done = 0;
    int begun = cipher->at == at ? EVP_DecryptInit_ex(cipher->context, NULL, NULL, NULL, nonce)
                                 : EVP_DecryptInit_ex(cipher->context, EVP_aes_256_gcm(), NULL, key, nonce);

    cipher->at = at;
    if (begun != 1
        || EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_SET_TAG, CONTENT_TAG, (uint8_t *)(uintptr_t)(text + len))
               != 1
        || EVP_DecryptUpdate(cipher->context, NULL, &done, sealed.ptr, RJ_SEALED_HEAD_BYTES) != 1
        || EVP_DecryptUpdate(cipher->context, plain, &done, text, len) != 1 || done != len
        || EVP_DecryptFinal_ex(cipher->context, plain + len, &done) != 1) {
        return -1;
    }
    return len;
}

rj_status rj_trail_heads(uint8_t *heads, size_t *heads_len, const uint8_t *contents, size_t contents_bytes, size_t len)
{
    rj_span rest = {contents, contents_bytes};
    size_t count = 0;
    size_t last = 0;

    if (len > RJ_TRAIL_WIDTH) {
        return RJ_BAD_ARGUMENT;
    }
    for (size_t i = 0; i < len; i++) {
        rj_span content = {NULL, 0};
        rj_span sealed = {NULL, 0};
        if (!content_next(&content, &rest)) {
            return RJ_BAD_ARGUMENT;
        }
        if (!content_sealed(&sealed, content)) {
            continue;
        }
        last = content_head(heads, count, sealed.ptr, last);
        if (last == count) {
            memcpy(heads + count * RJ_SEALED_HEAD_BYTES, sealed.ptr, RJ_SEALED_HEAD_BYTES);
            count++;
        }
    }
    if (rest.len != 0) {
        return RJ_BAD_ARGUMENT;
    }
    *heads_len = count;
    return RJ_OK;
}

/* Write a content as a bundle has it, decrypted where it can be. Returns how much was written. */
static size_t content_write(uint8_t *out, content_cipher *cipher, rj_span content, const uint8_t *heads,
                            const uint8_t *keys, size_t heads_len)
{
    rj_span sealed = {NULL, 0};
    int len = -1;

    if (content_sealed(&sealed, content)) {
        size_t at = content_head(heads, heads_len, sealed.ptr, cipher->at);
        if (at < heads_len) {
            len = content_open(out + CONTENT_LENGTH, cipher, sealed, keys + at * RJ_CONTENT_KEY_BYTES, at);
        }
    }
    if (len < 0) { /* a tag that is wrong: what was decrypted is nobody's to see */
        memcpy(out, content.ptr - CONTENT_LENGTH, CONTENT_LENGTH + content.len);
        return CONTENT_LENGTH + content.len;
    }
    for (int i = 0; i < CONTENT_LENGTH; i++) {
        out[i] = (uint8_t)((uint32_t)len >> (24 - 8 * i));
    }
    return CONTENT_LENGTH + (size_t)len;
}

rj_status rj_trail_open(uint8_t *opened, size_t *opened_bytes, const uint8_t *contents, size_t contents_bytes,
                        size_t len, const uint8_t *heads, const uint8_t *keys, size_t heads_len)
{
    rj_span rest = {contents, contents_bytes};
    content_cipher cipher = {NULL, heads_len};
    uint8_t *at = opened;
    rj_status status = RJ_BAD_ARGUMENT;

    if (contents_bytes > CONTENT_BYTES_MAX) {
        return RJ_BAD_ARGUMENT;
    }
    (void)ERR_set_mark();
    cipher.context = EVP_CIPHER_CTX_new();
    if (cipher.context == NULL) {
        status = RJ_NO_MEMORY;
        goto done;
    }
    for (size_t i = 0; i < len; i++) {
        rj_span content = {NULL, 0};
        if (!content_next(&content, &rest)) {
            goto done;
        }
        at += content_write(at, &cipher, content, heads, keys, heads_len);
    }
    if (rest.len == 0) {
        *opened_bytes = (size_t)(at - opened);
        status = RJ_OK;
    }
done:
    EVP_CIPHER_CTX_free(cipher.context);
    (void)ERR_pop_to_mark();
    return status;
}
