/* json_scan.h: one strict pass over a JSON text (RFC 8259) before anything trusts it.
 *
 * Answers "is this one JSON text, in UTF-8, within the limits, with no member name twice in any object", and
 * says where the root object's members lie. Builds no tree, copies no value, does not recurse, allocates
 * nothing. What it accepts, orjson accepts too; where the two could differ, this scan is the stricter one.
 *
 * Time is bounded whatever the names are: duplicates are found by comparing names, helped by a hash that
 * saves work but decides nothing, so a collision attack buys no more than a log factor.
 */
#ifndef RJ_JSON_SCAN_H
#define RJ_JSON_SCAN_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

#define RJ_JSON_DEPTH_CEILING 512 /* below the fixed depth of orjson, and of Python's own parser */

/* flags of rj_json_limits; 0 is the strictest */
#define RJ_JSON_ANY_ROOT 1u /* the root need not be an object */

typedef enum {
    RJ_JSON_ABSENT = 0,
    RJ_JSON_OBJECT = 1,
    RJ_JSON_ARRAY = 2,
    RJ_JSON_STRING = 3,
    RJ_JSON_INTEGER = 4, /* no fraction, no exponent; any size; -0 too */
    RJ_JSON_DECIMAL = 5, /* with a fraction or an exponent */
    RJ_JSON_TRUE = 6,
    RJ_JSON_FALSE = 7,
    RJ_JSON_NULL = 8
} rj_json_type;

/* One member of the root object. Offsets count bytes from the start of the text. */
typedef struct {
    uint32_t name_offset;  /* first byte of the name, behind its quote */
    uint32_t name_len;     /* bytes between the quotes, escapes as written */
    uint32_t value_offset; /* first byte of the value's text; a string's is its quote */
    uint32_t value_len;    /* bytes of the value's text; a string's includes both quotes */
    uint8_t value_type;    /* rj_json_type */
    uint8_t name_has_escape;
    uint8_t value_has_escape; /* of a string value; 0 for every other type */
    uint8_t reserved;         /* 0 */
} rj_json_member;

typedef struct {
    size_t max_bytes;     /* of the text */
    uint32_t max_depth;   /* containers open at once; at most RJ_JSON_DEPTH_CEILING */
    uint32_t max_members; /* in any one object */
    uint32_t flags;       /* RJ_JSON_ANY_ROOT or 0 */
} rj_json_limits;

typedef struct {
    uint32_t fault_offset;    /* refused: where, in bytes (text_len: the text ends too early); RJ_OK: 0 */
    uint32_t members_len;     /* entries of members that were filled */
    uint8_t root_type;        /* rj_json_type; RJ_JSON_ABSENT unless RJ_OK */
    uint8_t members_overflow; /* 1: the root object has more members than members_cap */
    uint8_t has_decimal;      /* 1: some number has a fraction or an exponent */
    uint8_t has_big_integer;  /* 1: some integer lies outside -2^63 .. 2^64-1 (orjson would round it) */
} rj_json_report;

/* Bytes of workspace with which rj_json_scan never answers RJ_NO_MEMORY for a text of this size. About five
 * times text_len; 0 never comes back. Most texts need far less: 16 bytes a member of the objects open at
 * once, 16 a container, and the length of the names that hold escapes. */
size_t rj_json_work_bytes(size_t text_len, const rj_json_limits *limits);

/* Check a JSON text in one pass and list the members of its root object.
 *
 * Refused as RJ_MALFORMED_JSON: whatever RFC 8259 does not allow; a byte order mark (s.8.1); invalid UTF-8:
 * overlong forms, surrogates, above U+10FFFF (RFC 3629 s.3); an escaped surrogate without its partner; a
 * number too large for a double; a root that is not an object, unless RJ_JSON_ANY_ROOT.
 *
 * Returns: RJ_OK; RJ_MALFORMED_JSON; RJ_DUPLICATE_MEMBER (two equal names in one object, compared as
 *          decoded: "a" equals "\u0061"); RJ_TOO_DEEP; RJ_TOO_MANY_MEMBERS; RJ_TOO_LARGE (text_len above
 *          max_bytes or 4 GiB; no byte was read); RJ_NO_MEMORY (work too small for this text: no verdict,
 *          call again with rj_json_work_bytes()); RJ_BAD_ARGUMENT (max_depth above the ceiling).
 *          A text with several faults gets the one of the first place where one shows.
 * Out:     report   always written; on a refusal only fault_offset means something.
 *          members  at most members_cap entries, in the order of the text; may be NULL when members_cap is 0.
 *                   Scratch unless RJ_OK.
 * In/out:  work     work_bytes of scratch, any alignment, not read before it is written; need not be cleared.
 * In:      text     text_len bytes; not NUL-terminated; may be NULL when text_len is 0.
 * Source:  RFC 8259; RFC 7515 s.4 and RFC 7519 s.4 (member names unique); RFC 7493 s.2.1, s.2.3.
 */
RJ_MUST_CHECK rj_status rj_json_scan(rj_json_report *report, rj_json_member *members, size_t members_cap, void *work,
                                     size_t work_bytes, const uint8_t *text, size_t text_len,
                                     const rj_json_limits *limits);

#endif
