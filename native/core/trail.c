/* trail.c: see trail.h. Keeps no state. */
#include "core/trail.h"

#include <string.h>

#include "hash/digest.h"

enum { TRAIL_ENTRY_LENGTH = 2, TRAIL_CONTENT_LENGTH = 4, TRAIL_PART_HEAD = 5, TRAIL_TIME_DIGITS = 16 };
enum { TRAIL_TOKENS_MAX = 0x7fffffff };
#define TRAIL_TIME_MAX_US INT64_C(9007199254740991) /* RFC 8785 s.3.2.2.3: whole numbers up to 2^53 - 1 */

static const char trail_digits[] = "0123456789abcdef";

/* What is read of a record: the members that are emptied in its shape. */
typedef struct {
    rj_span token;  /* hexadecimal digits */
    rj_span claims; /* hexadecimal digits; none where it is null */
    int64_t time_us;
    int has_time;
} trail_members;

/* The next bytes of a record, and where its shape grows. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t *shape;
} trail_reader;

static size_t trail_length(const uint8_t *at, size_t bytes)
{
    size_t len = 0;

    for (size_t i = 0; i < bytes; i++) {
        len = len << 8 | at[i];
    }
    return len;
}

/* Take the next run of bytes with its length before it. Returns 0 where it ends early. */
static int trail_next(rj_span *out, rj_span *rest, size_t length_bytes)
{
    size_t len = 0;

    if (rest->len < length_bytes) {
        return 0;
    }
    len = trail_length(rest->ptr, length_bytes);
    if (rest->len - length_bytes < len) {
        return 0;
    }
    *out = (rj_span){rest->ptr + length_bytes, len};
    *rest = (rj_span){out->ptr + len, rest->len - length_bytes - len};
    return 1;
}

static void trail_hash(uint8_t out[RJ_TRAIL_HASH_BYTES], uint8_t first, const uint8_t *in, size_t len)
{
    rj_digest_state state;

    if (rj_digest_start(&state, RJ_SHA256) != RJ_OK) {
        memset(out, 0, RJ_TRAIL_HASH_BYTES);
        return;
    }
    rj_digest_update(&state, &first, 1);
    rj_digest_update(&state, in, len);
    rj_digest_finish(&state, out);
}

/* Returns 1 where digits are the digest of some bytes in lower-case hexadecimal. */
static int trail_is_digest(rj_span digits, rj_span of)
{
    uint8_t digest[RJ_TRAIL_HASH_BYTES] = {0};
    uint8_t differs = 0;

    if (digits.len != 2 * RJ_TRAIL_HASH_BYTES
        || rj_digest(digest, sizeof(digest), RJ_SHA256, of.ptr, of.len) != RJ_OK) {
        return 0;
    }
    for (size_t i = 0; i < RJ_TRAIL_HASH_BYTES; i++) {
        differs |= (uint8_t)(digits.ptr[2 * i] ^ (uint8_t)trail_digits[digest[i] >> 4]);
        differs |= (uint8_t)(digits.ptr[2 * i + 1] ^ (uint8_t)trail_digits[digest[i] & 15]);
    }
    return differs == 0;
}

/* Take a string without escapes, of ASCII. Returns 0 for anything else. Out: *content. */
static int trail_string(rj_span *content, trail_reader *reader)
{
    const uint8_t *at = reader->at;

    if (at == reader->end || *at != '"') {
        return 0;
    }
    for (at++; at != reader->end && *at != '"'; at++) {
        if (*at < 0x20 || *at > 0x7e || *at == '\\') { /* RFC 8785 s.3.2.2.2: these have one form alone */
            return 0;
        }
    }
    if (at == reader->end) {
        return 0;
    }
    *content = (rj_span){reader->at + 1, (size_t)(at - reader->at - 1)};
    reader->at = at + 1;
    return 1;
}

/* Take a whole number from 0 to 2^53 - 1 in its canonical form. Returns 0 for anything else. */
static int trail_number(int64_t *out, trail_reader *reader)
{
    const uint8_t *start = reader->at;
    int64_t value = 0;

    while (reader->at != reader->end && *reader->at >= '0' && *reader->at <= '9') {
        if (reader->at - start == TRAIL_TIME_DIGITS) {
            return 0;
        }
        value = 10 * value + (*reader->at - '0');
        reader->at++;
    }
    if (reader->at == start || (*start == '0' && reader->at - start > 1) || value > TRAIL_TIME_MAX_US) {
        return 0;
    }
    *out = value;
    return 1;
}

static int trail_is(rj_span name, const char *word)
{
    return name.len == strlen(word) && memcmp(name.ptr, word, name.len) == 0;
}

static void trail_copy(trail_reader *reader, const void *from, size_t len)
{
    memcpy(reader->shape, from, len);
    reader->shape += len;
}

/* Take a member's value, and have the shape grow by it or by what stands for it. Returns 0 where it is not plain. */
static int trail_value(trail_members *members, trail_reader *reader, rj_span name)
{
    const uint8_t *start = reader->at;
    rj_span text = {NULL, 0};
    int is_token = trail_is(name, "token");
    int is_claims = trail_is(name, "claims");

    if (reader->end - start >= 4 && memcmp(start, "null", 4) == 0) {
        reader->at += 4;
        trail_copy(reader, "null", 4);
        return !is_token;
    }
    if (trail_is(name, "time_us")) {
        members->has_time = trail_number(&members->time_us, reader);
        trail_copy(reader, "0", 1);
        return members->has_time;
    }
    if (!trail_string(&text, reader)) {
        return 0;
    }
    if (is_token) {
        members->token = text;
    } else if (is_claims) {
        members->claims = text;
    } else if (!trail_is(name, "request") && !trail_is(name, "route") && !trail_is(name, "trace")) {
        trail_copy(reader, start, (size_t)(reader->at - start));
        return 1;
    }
    trail_copy(reader, "\"\"", 2);
    return 1;
}

/* Read a record. Returns 0 where it is not plain. Out: *members; the shape. */
static int trail_record(trail_members *members, trail_reader *reader)
{
    rj_span name = {NULL, 0};
    uint8_t mark = '{';

    *members = (trail_members){{NULL, 0}, {NULL, 0}, 0, 0};
    do {
        const uint8_t *start = NULL;
        if (reader->at == reader->end || *reader->at != mark) {
            return 0;
        }
        start = reader->at++;
        if (!trail_string(&name, reader) || reader->at == reader->end || *reader->at != ':') {
            return 0;
        }
        reader->at++;
        trail_copy(reader, start, (size_t)(reader->at - start));
        if (!trail_value(members, reader, name) || reader->at == reader->end) {
            return 0;
        }
        mark = ',';
    } while (*reader->at != '}');
    trail_copy(reader, "}", 1);
    return reader->at + 1 == reader->end && members->has_time && members->token.ptr != NULL;
}

/* Returns 1 where a content is a token and maybe claims, as the record's digests say. Out: *token. */
static int trail_content(rj_span *token, rj_span content, const trail_members *members)
{
    rj_span claims = {NULL, 0};
    rj_span rest = content;

    if (rest.len < TRAIL_PART_HEAD || *rest.ptr != 't') {
        return 0;
    }
    rest = (rj_span){rest.ptr + 1, rest.len - 1};
    if (!trail_next(token, &rest, TRAIL_CONTENT_LENGTH) || !trail_is_digest(members->token, *token)) {
        return 0;
    }
    if (rest.len == 0) {
        return 1;
    }
    if (*rest.ptr != 'c') {
        return 0;
    }
    rest = (rj_span){rest.ptr + 1, rest.len - 1};
    return trail_next(&claims, &rest, TRAIL_CONTENT_LENGTH) && rest.len == 0
        && trail_is_digest(members->claims, claims);
}

/* Returns the number of a shape, that of an equal one before where there is one; the last is looked at first. */
static uint8_t trail_shape(rj_trail_bundle *found, uint8_t *shape_text, const uint8_t *end, uint8_t last)
{
    uint32_t number = found->shapes_len;
    const uint8_t *shape = shape_text + found->shape_ends[number];
    size_t len = (size_t)(end - shape);

    for (uint32_t i = 0; i <= number; i++) {
        uint32_t at = i == 0 ? last : i - 1;
        if (at < number && found->shape_ends[at + 1] - found->shape_ends[at] == len
            && memcmp(shape_text + found->shape_ends[at], shape, len) == 0) {
            return (uint8_t)at;
        }
    }
    found->shape_ends[number + 1] = (uint32_t)(end - shape_text);
    found->shapes_len++;
    return (uint8_t)number;
}

rj_status rj_trail_read(rj_trail_bundle *found, uint8_t *tokens, uint8_t *shape_text, const uint8_t *bundle,
                        size_t bundle_bytes, const uint8_t *contents, size_t contents_bytes, size_t len)
{
    rj_span records = {bundle, bundle_bytes};
    rj_span beside = {contents, contents_bytes};
    uint8_t last = 0;

    if (len == 0 || len > RJ_TRAIL_WIDTH || contents_bytes > TRAIL_TOKENS_MAX) {
        return RJ_BAD_ARGUMENT;
    }
    memset(found, 0, sizeof(*found));
    for (size_t i = 0; i < len; i++) {
        rj_span entry = {NULL, 0};
        rj_span content = {NULL, 0};
        rj_span token = {NULL, 0};
        trail_members members;
        trail_reader reader;

        if (!trail_next(&entry, &records, TRAIL_ENTRY_LENGTH)
            || (contents != NULL && !trail_next(&content, &beside, TRAIL_CONTENT_LENGTH))) {
            return RJ_BAD_ARGUMENT;
        }
        trail_hash(found->leaves + i * RJ_TRAIL_HASH_BYTES, 0, entry.ptr, entry.len);
        found->token_ends[i + 1] = found->token_ends[i];
        reader = (trail_reader){entry.ptr, entry.ptr + entry.len, shape_text + found->shape_ends[found->shapes_len]};
        if (!trail_record(&members, &reader) || !trail_content(&token, content, &members)) {
            continue;
        }
        last = trail_shape(found, shape_text, reader.shape, last);
        found->shapes[i] = last;
        found->times_ns[i] = members.time_us * 1000;
        memcpy(tokens + found->token_ends[i], token.ptr, token.len);
        found->token_ends[i + 1] += (int32_t)token.len;
        found->states[i] = RJ_RECORD_READ;
    }
    return records.len == 0 && beside.len == 0 ? RJ_OK : RJ_BAD_ARGUMENT;
}

rj_status rj_trail_root(uint8_t *hashes, size_t len)
{
    if (len == 0 || (len & (len - 1)) != 0) {
        return RJ_BAD_ARGUMENT;
    }
    for (; len > 1; len /= 2) {
        for (size_t i = 0; i < len / 2; i++) {
            trail_hash(hashes + i * RJ_TRAIL_HASH_BYTES, 1, hashes + 2 * i * RJ_TRAIL_HASH_BYTES,
                       2 * RJ_TRAIL_HASH_BYTES);
        }
    }
    return RJ_OK;
}
