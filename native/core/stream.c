/* stream.c: see stream.h. */
#include "core/stream.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "text/base64url.h"
#include "core/verify.h"

enum { STREAM_GROUP_BYTES = 3, STREAM_BLOCK_CHARS = RJ_STREAM_BLOCK_BYTES / 3 * 4 };

typedef struct {
    const rj_slot *slot; /* NULL: ended */
    rj_digest_state state;
} stream_lane;

struct rj_stream {
    const rj_snapshot *snapshot;
    uint32_t encoding;
    uint32_t lanes_len;
    int closed;      /* a piece was hashed: no lane is added any more */
    int ended;       /* the last group is encoded: no piece is taken any more */
    size_t held_len; /* bytes of an unfinished group of three, base64url only */
    uint8_t held[STREAM_GROUP_BYTES];
    stream_lane lanes[RJ_STREAM_MAX_LANES];
};

rj_status rj_stream_new(rj_stream **out, const rj_snapshot *snapshot, uint32_t encoding)
{
    rj_stream *stream = NULL;

    if (encoding != RJ_STREAM_PLAIN && encoding != RJ_STREAM_BASE64URL) {
        return RJ_BAD_ARGUMENT;
    }
    stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return RJ_NO_MEMORY;
    }
    stream->snapshot = snapshot;
    stream->encoding = encoding;
    *out = stream;
    return RJ_OK;
}

rj_status rj_stream_add(rj_stream *stream, uint32_t *lane, uint32_t slot, const uint8_t *prefix, size_t prefix_len)
{
    stream_lane *added = &stream->lanes[stream->lanes_len % RJ_STREAM_MAX_LANES];
    const rj_alg_info *info = NULL;
    const rj_slot *chosen = NULL;
    rj_status status = RJ_UNDECIDED;

    if (slot >= stream->snapshot->keys->len || stream->lanes_len == RJ_STREAM_MAX_LANES || stream->closed
        || stream->ended) {
        return RJ_BAD_ARGUMENT;
    }
    chosen = &stream->snapshot->keys->slots[slot];
    info = rj_alg_lookup(chosen->alg);
    if (chosen->key == NULL || info == NULL || info->family == RJ_FAMILY_MESSAGE) {
        return RJ_NOT_NATIVE; /* RFC 8032 s.5.1, FIPS 204: signed over the message itself, not a digest */
    }
    status = info->family == RJ_FAMILY_HMAC ? rj_hmac_start(&chosen->key->hmac, &added->state)
                                            : rj_digest_start(&added->state, info->digest);
    if (status != RJ_OK) {
        return status;
    }
    rj_digest_update(&added->state, prefix, prefix_len);
    added->slot = chosen;
    *lane = stream->lanes_len++;
    return RJ_OK;
}

static void stream_hash(rj_stream *stream, const uint8_t *octets, size_t len)
{
    for (uint32_t i = 0; i < stream->lanes_len; i++) {
        if (stream->lanes[i].slot != NULL) {
            rj_digest_update(&stream->lanes[i].state, octets, len);
        }
    }
}

/* Encode at most one block and hash it. */
static void stream_encode(rj_stream *stream, const uint8_t *octets, size_t len)
{
    uint8_t text[STREAM_BLOCK_CHARS];
    size_t text_len = 0;

    if (rj_base64url_encode(text, &text_len, sizeof text, octets, len) == RJ_OK) {
        stream_hash(stream, text, text_len);
    }
}

void rj_stream_update(rj_stream *stream, const uint8_t *piece, size_t len)
{
    size_t done = 0;

    if (stream->ended) {
        return;
    }
    stream->closed = 1;
    if (stream->encoding == RJ_STREAM_PLAIN) {
        while (done < len) { /* in blocks, so that several lanes read from the cache */
            size_t block = len - done;
            if (stream->lanes_len > 1 && block > RJ_STREAM_BLOCK_BYTES) {
                block = RJ_STREAM_BLOCK_BYTES;
            }
            stream_hash(stream, piece + done, block);
            done += block;
        }
        return;
    }
    while (done < len && stream->held_len != 0) { /* finish the group that the last piece left open */
        stream->held[stream->held_len++] = piece[done++];
        if (stream->held_len == STREAM_GROUP_BYTES) {
            stream_encode(stream, stream->held, STREAM_GROUP_BYTES);
            stream->held_len = 0;
        }
    }
    while (len - done >= STREAM_GROUP_BYTES) {
        size_t block = (len - done) / STREAM_GROUP_BYTES * STREAM_GROUP_BYTES;
        if (block > RJ_STREAM_BLOCK_BYTES) {
            block = RJ_STREAM_BLOCK_BYTES;
        }
        stream_encode(stream, piece + done, block);
        done += block;
    }
    while (done < len) {
        stream->held[stream->held_len++] = piece[done++];
    }
}

static void stream_end(rj_stream *stream)
{
    if (!stream->ended && stream->held_len != 0) {
        stream_encode(stream, stream->held, stream->held_len); /* RFC 7515 s.2: the last group, unpadded */
        stream->held_len = 0;
    }
    stream->ended = 1;
}

static rj_status stream_decide(rj_stream *stream, rj_workspace *work, stream_lane *lane, rj_span signature)
{
    const rj_slot *slot = lane->slot;
    const rj_alg_info *info = rj_alg_lookup(slot->alg);
    uint8_t digest[RJ_DIGEST_MAX_BYTES];

    lane->slot = NULL;
    if (info->family == RJ_FAMILY_HMAC) {
        return rj_hmac_finish(&slot->key->hmac, &lane->state, signature.ptr, signature.len);
    }
    rj_digest_finish(&lane->state, digest);
    return rj_verify_digest(stream->snapshot->runtime, work, slot, digest, rj_digest_bytes(info->digest), signature);
}

rj_status rj_stream_verify(rj_stream *stream, uint32_t lane, const uint8_t *signature, size_t signature_len)
{
    size_t capacity = rj_base64url_decoded_bytes(signature_len);
    rj_workspace *work = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;
    rj_status status = RJ_UNDECIDED;

    if (lane >= stream->lanes_len || stream->lanes[lane].slot == NULL) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: never added, or ended before */
    }
    work = rj_runtime_borrow_workspace(stream->snapshot->runtime);
    if (work == NULL) {
        return RJ_NO_MEMORY;
    }
    stream_end(stream);
    work->arena_used = 0;
    bytes = rj_workspace_alloc(work, capacity);
    status = bytes == NULL ? RJ_SIGNATURE_INVALID /* longer than any signature */
                           : rj_base64url_decode(bytes, &len, capacity, signature, signature_len);
    if (status == RJ_OK) {
        status = stream_decide(stream, work, &stream->lanes[lane], (rj_span){bytes, len});
    }
    rj_runtime_return_workspace(stream->snapshot->runtime, work);
    return status;
}

void rj_stream_free(rj_stream *stream)
{
    if (stream != NULL) {
        OPENSSL_cleanse(stream, sizeof *stream); /* an HMAC lane's state is as good as its key */
        free(stream);
    }
}
