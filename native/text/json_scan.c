/* json_scan.c: the grammar of RFC 8259 as one loop over values, with an explicit stack of open containers.
 *
 * What stands inside a string is in json_text.h, inside a number in json_number.h; json_names.h holds the
 * stack and finds duplicate names.
 */
#include "text/json_scan.h"

#include "text/json_names.h"
#include "text/json_number.h"
#include "text/json_text.h"

#include <string.h>

typedef struct {
    json_names names;
    const uint8_t *text;
    const uint8_t *end;
    const uint8_t *fault;
    rj_status why;
    uint32_t max_depth;
    uint32_t max_members;
    size_t members_cap;
    rj_json_member *members;
    rj_json_member *member; /* the root's member being read; NULL outside one, or past members_cap */
    rj_json_report report;
} json_scan;

/* Note the verdict and the place; NULL stops every loop above. */
static const uint8_t *json_scan_refuse(json_scan *scan, rj_status why, const uint8_t *where)
{
    scan->why = why;
    scan->fault = where;
    return NULL;
}

/* Step over white space (RFC 8259 s.2) to the next byte, which must exist. */
static inline const uint8_t *json_scan_next(json_scan *scan, const uint8_t *p)
{
    while (p < scan->end && *p <= ' ') {
        if (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t') {
            return json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.2: no other white space */
        }
        p++;
    }
    if (p == scan->end) {
        return json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.2: the text ends too early */
    }
    return p;
}

/* The decoded name goes to the far end of the workspace; NULL if it does not fit there. */
static const uint8_t *json_scan_decoded_name(json_scan *scan, uint32_t *len, const uint8_t *name)
{
    json_names *names = &scan->names;
    size_t space = (size_t)(names->far_end - (uint8_t *)(names->slots + names->used));
    size_t decoded_len;
    if (space < *len) {
        return NULL;
    }
    decoded_len = json_text_decode(names->far_end - *len, name, *len);
    names->far_end -= *len;
    *len = (uint32_t)decoded_len;
    return names->far_end;
}

/* List a name of the root object, as far as there is space. */
static inline void json_scan_record(json_scan *scan, const uint8_t *name, uint32_t len, uint8_t has_escape)
{
    if (scan->report.members_len == scan->members_cap) {
        scan->member = NULL;
        scan->report.members_overflow = 1;
        return;
    }
    scan->member = &scan->members[scan->report.members_len++];
    scan->member->name_offset = (uint32_t)(name - scan->text);
    scan->member->name_len = len;
    scan->member->name_has_escape = has_escape;
    scan->member->value_has_escape = 0;
    scan->member->reserved = 0;
}

/* A member's name and its colon, from the byte where the quote must be; returns the value's first byte. */
static inline const uint8_t *json_scan_name(json_scan *scan, const uint8_t *p)
{
    const uint8_t *name = p + 1, *decoded = name, *close;
    uint8_t has_escape = 0;
    uint32_t len;
    if (*p != '"') {
        return json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.4: a name is a string */
    }
    close = json_text_string_end(&scan->fault, &has_escape, name, scan->end);
    if (close == NULL) {
        return json_scan_refuse(scan, RJ_MALFORMED_JSON, scan->fault);
    }
    if (scan->names.frame.count == scan->max_members) {
        return json_scan_refuse(scan, RJ_TOO_MANY_MEMBERS, p); /* design, limits: members of one object */
    }
    len = (uint32_t)(close - name);
    if (scan->names.depth == 1) {
        json_scan_record(scan, name, len, has_escape);
    }
    if (has_escape) {
        decoded = json_scan_decoded_name(scan, &len, name);
        if (decoded == NULL) {
            return json_scan_refuse(scan, RJ_NO_MEMORY, p);
        }
    }
    switch (json_names_add(&scan->names, decoded, len)) {
    case JSON_NAMES_FULL:
        return json_scan_refuse(scan, RJ_NO_MEMORY, p);
    case JSON_NAMES_TWICE:
        return json_scan_refuse(scan, RJ_DUPLICATE_MEMBER, p); /* RFC 7519 s.4: names are unique */
    case JSON_NAMES_NEW:
        break;
    }
    p = json_scan_next(scan, close + 1);
    if (p == NULL) {
        return NULL;
    }
    if (*p != ':') {
        return json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.4: a colon follows the name */
    }
    return json_scan_next(scan, p + 1);
}

/* true, false or null. */
static const uint8_t *json_scan_literal(json_scan *scan, const uint8_t *p, const char *word, size_t len)
{
    if ((size_t)(scan->end - p) < len || memcmp(p, word, len) != 0) {
        return json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.3: lower case, no other words */
    }
    return p + len;
}

/* A number; *type becomes integer or decimal. */
static inline const uint8_t *json_scan_number(json_scan *scan, rj_json_type *type, const uint8_t *p)
{
    json_number_kind kind = {0, 0};
    p = json_number_end(&scan->fault, &kind, p, scan->end);
    if (p == NULL) {
        return json_scan_refuse(scan, RJ_MALFORMED_JSON, scan->fault);
    }
    scan->report.has_decimal |= kind.is_decimal;
    scan->report.has_big_integer |= kind.is_big;
    *type = kind.is_decimal ? RJ_JSON_DECIMAL : RJ_JSON_INTEGER;
    return p;
}

/* A value that is no container, from its first byte to the byte behind it. */
static inline const uint8_t *json_scan_scalar(json_scan *scan, rj_json_type *type, uint8_t *has_escape,
                                              const uint8_t *p)
{
    switch (*p) {
    case '"':
        *type = RJ_JSON_STRING;
        p = json_text_string_end(&scan->fault, has_escape, p + 1, scan->end);
        return p != NULL ? p + 1 : json_scan_refuse(scan, RJ_MALFORMED_JSON, scan->fault);
    case 't':
        *type = RJ_JSON_TRUE;
        return json_scan_literal(scan, p, "true", 4);
    case 'f':
        *type = RJ_JSON_FALSE;
        return json_scan_literal(scan, p, "false", 5);
    case 'n':
        *type = RJ_JSON_NULL;
        return json_scan_literal(scan, p, "null", 4);
    default:
        if (*p == '-' || (*p >= '0' && *p <= '9')) {
            return json_scan_number(scan, type, p);
        }
        return json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.3: no value starts so */
    }
}

/* Enter the container at p; returns the next byte that matters inside. */
static inline const uint8_t *json_scan_open(json_scan *scan, const uint8_t *p)
{
    if (scan->names.depth == scan->max_depth) {
        return json_scan_refuse(scan, RJ_TOO_DEEP, p); /* design, limits: JSON depth */
    }
    if (!json_names_open(&scan->names, *p == '{')) {
        return json_scan_refuse(scan, RJ_NO_MEMORY, p);
    }
    return json_scan_next(scan, p + 1);
}

/* Leave the innermost container at its closing bracket; returns the byte behind it. */
static inline const uint8_t *json_scan_close(json_scan *scan, const uint8_t *p)
{
    if (!json_names_close(&scan->names)) {
        return json_scan_refuse(scan, RJ_DUPLICATE_MEMBER, p); /* RFC 7519 s.4: names are unique */
    }
    return p + 1;
}

/* p stands behind a value. Close what ends here, step over a comma. Returns the next value's first byte, or
 * the byte behind the root's value with *done set. */
static inline const uint8_t *json_scan_after(json_scan *scan, int *done, const uint8_t *p)
{
    for (;;) {
        if (scan->names.depth == 0) {
            *done = 1;
            return p;
        }
        if (scan->names.depth == 1 && scan->member != NULL) {
            scan->member->value_len = (uint32_t)(p - scan->text) - scan->member->value_offset;
        }
        p = json_scan_next(scan, p);
        if (p == NULL) {
            return NULL;
        }
        if (*p == ',') {
            p = json_scan_next(scan, p + 1);
            return p != NULL && scan->names.is_object ? json_scan_name(scan, p) : p;
        }
        if (*p != (scan->names.is_object ? '}' : ']')) {
            return json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.4, s.5: a comma or the end */
        }
        p = json_scan_close(scan, p);
        if (p == NULL) {
            return NULL;
        }
    }
}

/* The root's value, from its first byte; returns the byte behind it. */
static const uint8_t *json_scan_values(json_scan *scan, const uint8_t *p)
{
    int done = 0;
    while (!done) {
        const uint8_t *start = p;
        rj_json_type type = *p == '{' ? RJ_JSON_OBJECT : *p == '[' ? RJ_JSON_ARRAY : RJ_JSON_ABSENT;
        uint8_t has_escape = 0;
        uint32_t depth = scan->names.depth;
        if (type == RJ_JSON_ABSENT) {
            p = json_scan_scalar(scan, &type, &has_escape, p);
        } else {
            p = json_scan_open(scan, p);
        }
        if (p == NULL) {
            return NULL;
        }
        if (depth == 1 && scan->member != NULL) {
            scan->member->value_offset = (uint32_t)(start - scan->text);
            scan->member->value_type = (uint8_t)type;
            scan->member->value_has_escape = has_escape;
        } else if (depth == 0) {
            scan->report.root_type = (uint8_t)type;
        }
        if (type == RJ_JSON_OBJECT || type == RJ_JSON_ARRAY) {
            if (*p != (type == RJ_JSON_OBJECT ? '}' : ']')) {
                p = type == RJ_JSON_OBJECT ? json_scan_name(scan, p) : p;
                if (p == NULL) {
                    return NULL;
                }
                continue;
            }
            p = json_scan_close(scan, p);
        }
        p = json_scan_after(scan, &done, p);
        if (p == NULL) {
            return NULL;
        }
    }
    return p;
}

/* White space and nothing else behind the root's value. */
static int json_scan_ends(json_scan *scan, const uint8_t *p)
{
    while (p < scan->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }
    if (p < scan->end) {
        (void)json_scan_refuse(scan, RJ_MALFORMED_JSON, p); /* RFC 8259 s.2: one value */
        return 0;
    }
    return 1;
}

size_t rj_json_work_bytes(size_t text_len, const rj_json_limits *limits)
{
    size_t containers = text_len < limits->max_depth ? text_len : limits->max_depth;
    size_t names = text_len / 4 + 1; /* a name costs two quotes, a colon and a comma or brace */
    return (containers + names) * sizeof(json_names_slot) + _Alignof(json_names_slot) + text_len;
}

rj_status rj_json_scan(rj_json_report *report, rj_json_member *members, size_t members_cap, void *work,
                       size_t work_bytes, const uint8_t *text, size_t text_len, const rj_json_limits *limits)
{
    json_scan scan;
    const uint8_t *p;
    *report = (rj_json_report){0, 0, 0, 0, 0, 0};
    if (limits->max_depth > RJ_JSON_DEPTH_CEILING) {
        return RJ_BAD_ARGUMENT;
    }
    if (text_len > limits->max_bytes || text_len > UINT32_MAX) {
        return RJ_TOO_LARGE; /* design, limits: judged before a byte is read */
    }
    if (text_len == 0) {
        return RJ_MALFORMED_JSON; /* RFC 8259 s.2: one value */
    }
    if (!json_names_start(&scan.names, work, work_bytes)) {
        return RJ_NO_MEMORY;
    }
    scan.text = text;
    scan.end = text + text_len;
    scan.fault = text;
    scan.why = RJ_MALFORMED_JSON;
    scan.max_depth = limits->max_depth;
    scan.max_members = limits->max_members;
    scan.members_cap = members_cap;
    scan.members = members;
    scan.member = NULL;
    scan.report = (rj_json_report){0, 0, 0, 0, 0, 0};
    p = json_scan_next(&scan, text);
    if (p != NULL && *p != '{' && !(limits->flags & RJ_JSON_ANY_ROOT)) {
        p = json_scan_refuse(&scan, RJ_MALFORMED_JSON, p); /* RFC 7519 s.7.2, RFC 7515 s.4: a JSON object */
    }
    p = p != NULL ? json_scan_values(&scan, p) : NULL;
    if (p == NULL || !json_scan_ends(&scan, p)) {
        *report = (rj_json_report){(uint32_t)(scan.fault - text), 0, 0, 0, 0, 0};
        return scan.why;
    }
    *report = scan.report;
    return RJ_OK;
}
