/* http_head.c: see http_head.h. */
#include "text/http_head.h"

#include <string.h>

/* A set of ASCII characters, a bit each. */
typedef struct {
    uint64_t low;
    uint64_t high;
} char_set;

static const char_set CHARS_TOKEN = {0x3ff6cfa00000000, 0x57ffffffc7fffffe};   /* tchar (RFC 9110 s.5.6.2) */
static const char_set CHARS_TARGET = {0xaffffff200000000, 0x47fffffe87ffffff}; /* RFC 3986 s.3.3, s.3.4 */

enum { FIELD_OVERHEAD = 4, FIRST_NOT_ASCII = 0x80, DEL = 0x7f, CASE_BIT = 0x20 };

static int http_set_has(char_set set, uint8_t c)
{
    return c < FIRST_NOT_ASCII && (((c < 64 ? set.low : set.high) >> (c & 63)) & 1) != 0;
}

/* What is still to be read. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} http_rest;

/* Step over a text. Returns 0 where it does not stand here. */
static int http_skip(http_rest *rest, const char *text, size_t len)
{
    if ((size_t)(rest->end - rest->at) < len || memcmp(rest->at, text, len) != 0) {
        return 0;
    }
    rest->at += len;
    return 1;
}

/* Take the longest run of characters of a set. */
static rj_span http_run(http_rest *rest, char_set set)
{
    const uint8_t *start = rest->at;

    while (rest->at < rest->end && http_set_has(set, *rest->at)) {
        rest->at++;
    }
    return (rj_span){start, (size_t)(rest->at - start)};
}

/* Whether a span is a text in lower case, whatever its own case. */
static int http_is(rj_span span, const char *lower)
{
    size_t len = strlen(lower);

    if (span.len != len) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = span.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? c | CASE_BIT : c) != (uint8_t)lower[i]) {
            return 0;
        }
    }
    return 1;
}

/* Take a value up to its line end. Returns 0 where it is not plain (RFC 9110 s.5.5) or has no end here. */
static int http_value(rj_span *out, http_rest *rest)
{
    const uint8_t *stop = NULL;
    const uint8_t *start = rest->at;
    unsigned bad = 0;

    while (start < rest->end && (*start == ' ' || *start == '\t')) {
        start++;
    }
    stop = memchr(start, '\r', (size_t)(rest->end - start));
    if (stop == NULL) {
        return 0;
    }
    for (const uint8_t *one = start; one < stop; one++) {
        bad |= (unsigned)((*one < ' ' && *one != '\t') || *one >= DEL);
    }
    if (bad != 0 || (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))) {
        return 0; /* parsers differ on white space at the end */
    }
    *out = (rj_span){start, (size_t)(stop - start)};
    rest->at = stop;
    return http_skip(rest, "\r\n", 2);
}

/* What a field says about the message itself: a bit each that may stand once. */
enum { FRAMING_NONE = 0, FRAMING_LENGTH = 1, FRAMING_CONNECTION = 2, FRAMING_OTHER = 4 };

static unsigned http_framing(const rj_http_field *field)
{
    rj_span name = field->name;

    if (http_is(name, "content-length")) { /* RFC 9112 s.6.2 */
        return field->value.len == 1 && field->value.ptr[0] == '0' ? FRAMING_LENGTH : FRAMING_OTHER;
    }
    if (http_is(name, "connection")) { /* RFC 9112 s.9.3 */
        return http_is(field->value, "keep-alive") ? FRAMING_CONNECTION : FRAMING_OTHER;
    }
    if (http_is(name, "transfer-encoding") || http_is(name, "upgrade") || http_is(name, "expect")
        || http_is(name, "trailer") || http_is(name, "te") || http_is(name, "proxy-connection")
        || http_is(name, "keep-alive") || http_is(name, "http2-settings")) {
        return FRAMING_OTHER;
    }
    return FRAMING_NONE;
}

/* Take the request line. Returns 0 where it is not plain. */
static int http_request_line(rj_http_head *out, http_rest *rest)
{
    out->is_head = 0;
    if (!http_skip(rest, "GET ", 4)) {
        if (!http_skip(rest, "HEAD ", 5)) {
            return 0;
        }
        out->is_head = 1;
    }
    out->target = http_run(rest, CHARS_TARGET);
    return out->target.len > 0 && out->target.ptr[0] == '/' && http_skip(rest, " HTTP/1.1\r\n", 11);
}

rj_status rj_http_head_scan(rj_http_head *out, const uint8_t *text, size_t text_len, size_t max_bytes)
{
    http_rest rest = {text, text == NULL ? text : text + text_len};
    unsigned seen = 0;
    size_t bytes = 0;

    if (text == NULL || !http_request_line(out, &rest)) {
        return RJ_UNDECIDED;
    }
    out->fields_len = 0;
    bytes = out->target.len;
    while (!http_skip(&rest, "\r\n", 2)) {
        rj_http_field *field = &out->fields[out->fields_len];
        unsigned framing = FRAMING_NONE;
        if (out->fields_len == RJ_HTTP_FIELDS_MAX) {
            return RJ_UNDECIDED;
        }
        field->name = http_run(&rest, CHARS_TOKEN); /* RFC 9112 s.5.2: a folded line begins with white space */
        if (field->name.len == 0 || !http_skip(&rest, ":", 1) || !http_value(&field->value, &rest)) {
            return RJ_UNDECIDED;
        }
        framing = http_framing(field);
        if (framing == FRAMING_OTHER || (seen & framing) != 0) {
            return RJ_UNDECIDED; /* RFC 9112 s.6.3: a body, or another end of the connection */
        }
        seen |= framing;
        bytes += field->name.len + field->value.len + FIELD_OVERHEAD;
        out->fields_len++;
    }
    out->head_len = (size_t)(rest.at - text);
    return bytes <= max_bytes ? RJ_OK : RJ_UNDECIDED;
}
