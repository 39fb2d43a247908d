/* check_request.c: see check_request.h. */
#include "text/check_request.h"

#include "text/check_schema.h"
#include "text/json_text.h"

#include <string.h>

/* Wire types (protobuf.dev, "Message Structure"); 3 and 4 are groups, which proto3 does not have. */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

enum { VARINT_BITS = 7, VARINT_MORE = 0x80, VARINT_MAX_BYTES = 10, TAG_BITS = 3 };

#define TAG_MAX UINT32_MAX /* field numbers end at 2^29 - 1 */

/* What is left of a message. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} check_rest;

/* Take a varint. Returns 0 where it is cut off, longer than 64 bits, or not the shortest form of its number. */
static int check_varint(uint64_t *out, check_rest *rest)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < VARINT_MAX_BYTES && rest->at < rest->end; i++) {
        uint8_t octet = *rest->at++;
        value |= (uint64_t)(octet & (VARINT_MORE - 1)) << (VARINT_BITS * i);
        if (octet < VARINT_MORE) {
            *out = value;
            return (octet != 0 || i == 0) && (i < VARINT_MAX_BYTES - 1 || octet == 1);
        }
    }
    return 0;
}

/* Take a field's number and wire type. Returns 0 where there is none. */
static int check_tag(uint32_t *number, unsigned *wire, check_rest *rest)
{
    uint64_t tag = 0;

    if (!check_varint(&tag, rest) || tag > TAG_MAX || tag >> TAG_BITS == 0) {
        return 0;
    }
    *number = (uint32_t)(tag >> TAG_BITS);
    *wire = (unsigned)(tag & ((1u << TAG_BITS) - 1));
    return 1;
}

/* Take a length and what has it. Returns 0 where it ends behind the message. */
static int check_span(rj_span *out, check_rest *rest)
{
    uint64_t len = 0;

    if (!check_varint(&len, rest) || len > (uint64_t)(rest->end - rest->at)) {
        return 0;
    }
    *out = (rj_span){rest->at, (size_t)len};
    rest->at += len;
    return 1;
}

static int check_skip(check_rest *rest, size_t len)
{
    if (len > (size_t)(rest->end - rest->at)) {
        return 0;
    }
    rest->at += len;
    return 1;
}

/* Whether a text is UTF-8 (RFC 3629 s.4). */
static int check_is_utf8(rj_span text)
{
    const uint8_t *at = text.ptr;
    const uint8_t *end = text.ptr + text.len;

    while (at < end) {
        uint64_t eight = 0;
        if (end - at >= (ptrdiff_t)sizeof(eight)) {
            memcpy(&eight, at, sizeof(eight));
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof(eight);
                continue;
            }
        }
        if (*at < 0x80) {
            at++;
        } else {
            size_t len = json_text_utf8_bytes(at, end);
            if (len == 0) {
                return 0;
            }
            at += len;
        }
    }
    return 1;
}

/* A message that is being read. */
typedef struct {
    const uint8_t *end;
    uint8_t message;
    uint16_t seen; /* a bit for each field that is there */
} check_frame;

/* Whether fields of a message contradict each other: two values of which others may take either. */
static int check_contradicts(const check_frame *frame)
{
    unsigned seen = frame->seen;

    if (frame->message == CHECK_HTTP) {
        return ((seen >> HTTP_BODY) & (seen >> HTTP_RAW_BODY) & 1) != 0
            || ((seen >> HTTP_HEADERS) & (seen >> HTTP_HEADER_MAP) & 1) != 0;
    }
    return frame->message == CHECK_HEADER_VALUE && ((seen >> HEADER_VALUE) & (seen >> HEADER_RAW_VALUE) & 1) != 0;
}

/* Whether a message is an entry of a map, which has a key, a value and nothing else: decoders differ on more. */
static int check_is_entry(unsigned message)
{
    return message == CHECK_TEXT_ENTRY || message == CHECK_STRUCT_ENTRY || message == CHECK_VALUE_ENTRY
        || message == CHECK_ANY_ENTRY;
}

/* Note what is asked for, of a field that the HTTP request has. */
static void check_keep(rj_check_request *out, uint32_t number, rj_span value)
{
    switch (number) {
    case HTTP_METHOD:
        out->method = value;
        break;
    case HTTP_PATH:
        out->path = value;
        break;
    case HTTP_HOST:
        out->host = value;
        break;
    case HTTP_BODY:
    case HTTP_RAW_BODY:
        out->body = value;
        break;
    case HTTP_HEADER_MAP:
        out->headers = value;
        out->number = MAP_HEADERS;
        break;
    default:
        break;
    }
}

/* Take a field's value that is no message. Returns 0 where it is none of its kind. */
static int check_value(rj_span *out, unsigned wire, check_kind kind, check_rest *rest)
{
    uint64_t number = 0;

    switch (wire) {
    case WIRE_VARINT:
        return (kind == CHECK_SKIP || kind == CHECK_VARINT) && check_varint(&number, rest);
    case WIRE_FIXED64:
        return (kind == CHECK_SKIP || kind == CHECK_FIXED64) && check_skip(rest, sizeof(uint64_t));
    case WIRE_FIXED32:
        return kind == CHECK_SKIP && check_skip(rest, sizeof(uint32_t));
    case WIRE_LENGTH:
        return kind != CHECK_VARINT && kind != CHECK_FIXED64 && check_span(out, rest)
            && (kind != CHECK_TEXT || check_is_utf8(*out));
    default:
        return 0; /* a group, or no wire type */
    }
}

/* The reading of one CheckRequest: the messages that are open, and where it stands. */
typedef struct {
    check_frame frames[RJ_CHECK_DEPTH_MAX];
    size_t depth;
    check_rest rest;
    int has_http;
} check_reading;

/* Read one field of the innermost message; a message in it is opened. */
static rj_status check_step(rj_check_request *out, check_reading *reading)
{
    check_frame *frame = &reading->frames[reading->depth - 1];
    check_rest *rest = &reading->rest;
    check_field field = {CHECK_SKIP, 0};
    rj_span value = {NULL, 0};
    uint32_t number = 0;
    unsigned wire = 0;

    rest->end = frame->end;
    if (!check_tag(&number, &wire, rest)) {
        return RJ_UNDECIDED;
    }
    if (number < CHECK_NUMBERS) {
        field = CHECK_SCHEMA[frame->message][number];
    }
    if (!check_value(&value, wire, (check_kind)field.kind, rest)) {
        return RJ_UNDECIDED;
    }
    if (field.kind == CHECK_SKIP) {
        return check_is_entry(frame->message) ? RJ_UNDECIDED : RJ_OK;
    }
    if (field.kind != CHECK_MANY && ((frame->seen >> number) & 1) != 0) {
        return RJ_UNDECIDED; /* others merge the two, or take the last */
    }
    frame->seen = (uint16_t)(frame->seen | 1u << number);
    if (frame->message == CHECK_HTTP) {
        check_keep(out, number, value);
    }
    if (field.kind != CHECK_ONE && field.kind != CHECK_MANY) {
        return RJ_OK;
    }
    if (reading->depth == RJ_CHECK_DEPTH_MAX) {
        return RJ_TOO_DEEP;
    }
    if (field.message == CHECK_HTTP) {
        reading->has_http = 1;
        out->headers = value;
        out->number = HTTP_HEADERS;
    }
    reading->frames[reading->depth++] = (check_frame){value.ptr + value.len, field.message, 0};
    rest->at = value.ptr;
    return RJ_OK;
}

rj_status rj_check_request_read(rj_check_request *out, const uint8_t *text, size_t text_len)
{
    check_reading reading;

    if (text == NULL) {
        return RJ_UNDECIDED;
    }
    *out = (rj_check_request){{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0};
    reading.frames[0] = (check_frame){text + text_len, CHECK_REQUEST, 0};
    reading.depth = 1;
    reading.rest = (check_rest){text, text + text_len};
    reading.has_http = 0;
    while (reading.depth > 0) {
        const check_frame *frame = &reading.frames[reading.depth - 1];
        if (reading.rest.at < frame->end) {
            rj_status status = check_step(out, &reading);
            if (status != RJ_OK) {
                return status;
            }
        } else if (check_contradicts(frame)) {
            return RJ_UNDECIDED;
        } else {
            reading.depth--;
        }
    }
    return reading.has_http ? RJ_OK : RJ_UNDECIDED;
}

rj_check_cursor rj_check_headers(const rj_check_request *request)
{
    const uint8_t *at = request->headers.ptr;

    return (rj_check_cursor){at, at == NULL ? at : at + request->headers.len, request->number};
}

/* Take the next field of a message with a length, and skip others. Returns 0 at the end. */
static int check_next(rj_span *out, uint32_t *number, check_rest *rest)
{
    while (rest->at < rest->end) {
        unsigned wire = 0;
        if (!check_tag(number, &wire, rest) || !check_value(out, wire, CHECK_SKIP, rest)) {
            return 0;
        }
        if (wire == WIRE_LENGTH) {
            return 1;
        }
    }
    return 0;
}

int rj_check_header_next(rj_span *name, rj_span *value, rj_check_cursor *cursor)
{
    check_rest rest = {cursor->at, cursor->end};
    rj_span one = {NULL, 0};
    uint32_t number = 0;
    int found = 0;

    while (!found && check_next(&one, &number, &rest)) {
        found = number == cursor->number;
    }
    cursor->at = rest.at;
    if (!found) {
        return 0;
    }
    *name = *value = (rj_span){one.ptr, 0};
    rest = (check_rest){one.ptr, one.ptr + one.len};
    while (check_next(&one, &number, &rest)) {
        if (number == HEADER_KEY) {
            *name = one;
        } else if (number == HEADER_VALUE || (number == HEADER_RAW_VALUE && cursor->number == MAP_HEADERS)) {
            *value = one;
        }
    }
    return 1;
}
