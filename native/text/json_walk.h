/* json_walk.h: the values inside a JSON text that json_scan.c accepted, where they lie (RFC 8259, RFC 6901 s.4).
 *
 * Part of claim_rules.c and of what reads JSON serializations. The scan vouches for the grammar: every value ends,
 * every bracket has its partner.
 */
#ifndef RJ_JSON_WALK_H
#define RJ_JSON_WALK_H

#include "text/json_scan.h"
#include "span.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A value where it lies: a string's text is what stands between its quotes. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
    uint8_t type; /* rj_json_type; RJ_JSON_ABSENT: there is none */
    uint8_t has_escape;
} json_value;

static inline int json_walk_is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline const uint8_t *json_walk_space(const uint8_t *p)
{
    while (json_walk_is_space(*p)) {
        p++;
    }
    return p;
}

/* The byte behind a string's closing quote, from its opening quote on. */
static inline const uint8_t *json_walk_string(uint8_t *has_escape, const uint8_t *p)
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\') {
            *has_escape = 1;
            p++;
        }
    }
    return p + 1;
}

/* The byte behind an object or an array. */
static inline const uint8_t *json_walk_container(const uint8_t *p)
{
    uint32_t depth = 0;
    uint8_t has_escape = 0;

    for (;;) {
        if (*p == '"') {
            p = json_walk_string(&has_escape, p);
            continue;
        }
        if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            depth--;
        }
        p++;
        if (depth == 0) {
            return p;
        }
    }
}

static inline const uint8_t *json_walk_number(json_value *value, const uint8_t *p)
{
    value->type = RJ_JSON_INTEGER;
    for (; *p != ',' && *p != '}' && *p != ']' && !json_walk_is_space(*p); p++) {
        if (*p == '.' || *p == 'e' || *p == 'E') {
            value->type = RJ_JSON_DECIMAL;
        }
    }
    return p;
}

/* Read the value of an object or array that begins at p; returns the byte behind it. */
static inline const uint8_t *json_walk_value(json_value *value, const uint8_t *p)
{
    *value = (json_value){p, 0, RJ_JSON_ABSENT, 0};
    switch (*p) {
    case '"':
        value->type = RJ_JSON_STRING;
        p = json_walk_string(&value->has_escape, p);
        value->ptr++;
        value->len = (size_t)(p - value->ptr) - 1;
        return p;
    case '{':
    case '[':
        value->type = *p == '{' ? RJ_JSON_OBJECT : RJ_JSON_ARRAY;
        p = json_walk_container(p);
        break;
    case 't':
        value->type = RJ_JSON_TRUE;
        p += 4;
        break;
    case 'f':
        value->type = RJ_JSON_FALSE;
        p += 5;
        break;
    case 'n':
        value->type = RJ_JSON_NULL;
        p += 4;
        break;
    default:
        p = json_walk_number(value, p);
        break;
    }
    value->len = (size_t)(p - value->ptr);
    return p;
}

/* The value that begins at p. An object or array is not walked to its end: its length stays 0. */
static inline void json_walk_begin(json_value *value, const uint8_t *p)
{
    if (*p == '{' || *p == '[') {
        *value = (json_value){p, 0, *p == '{' ? RJ_JSON_OBJECT : RJ_JSON_ARRAY, 0};
    } else {
        json_walk_value(value, p);
    }
}

/* The member of an object. Returns 0 where a name with an escape might be it. */
static inline int json_walk_member(json_value *value, rj_span name)
{
    const uint8_t *p = json_walk_space(value->ptr + 1);
    json_value found = {NULL, 0, RJ_JSON_ABSENT, 0};
    int is_certain = 1;

    while (*p != '}') {
        json_value key, one;
        p = json_walk_value(&key, p);
        p = json_walk_space(json_walk_space(p) + 1); /* the colon */
        if (key.has_escape) {
            is_certain = 0;
        } else if (rj_span_same(name, key.ptr, key.len)) {
            json_walk_begin(value, p); /* names are unique: no other is it */
            return 1;
        }
        p = json_walk_space(json_walk_value(&one, p));
        p = *p == ',' ? json_walk_space(p + 1) : p;
    }
    *value = found;
    return is_certain;
}

/* RFC 6901 s.4: an element's number, without leading zeros; SIZE_MAX for what is none. */
static inline size_t json_walk_element_number(rj_span token)
{
    size_t number = 0;

    if (token.len == 0 || token.len > 6 || (token.ptr[0] == '0' && token.len > 1)) {
        return SIZE_MAX; /* no token holds a million elements */
    }
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9') {
            return SIZE_MAX;
        }
        number = number * 10 + (size_t)(token.ptr[i] - '0');
    }
    return number;
}

static inline void json_walk_element(json_value *value, rj_span token)
{
    size_t number = json_walk_element_number(token);
    const uint8_t *p = json_walk_space(value->ptr + 1);
    json_value one = {NULL, 0, RJ_JSON_ABSENT, 0};

    for (size_t i = 0; number != SIZE_MAX && *p != ']'; i++) {
        p = json_walk_space(json_walk_value(&one, p));
        if (i == number) {
            *value = one;
            return;
        }
        p = *p == ',' ? json_walk_space(p + 1) : p;
    }
    *value = (json_value){NULL, 0, RJ_JSON_ABSENT, 0};
}

#endif
