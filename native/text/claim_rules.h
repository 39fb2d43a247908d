/* claim_rules.h: what an issuer's claims must be, beyond the registered ones: rules that need no Python object.
 *
 * Evaluated on the text that the scan accepted: values are compared where they lie, nothing is decoded or copied.
 * A string or name with an escape, and a number with a fraction or an exponent, are left to the full checker
 * wherever they could matter. A pattern is a table of states: one look-up a byte, whatever the text.
 */
#ifndef RJ_CLAIM_RULES_H
#define RJ_CLAIM_RULES_H

#include "text/json_scan.h"
#include "span.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

/* rj-cdef-begin */
enum {
    RJ_RULE_UNSET = 0, /* passes nothing */
    RJ_RULE_ONE_OF = 1,
    RJ_RULE_CONTAINS_ALL = 2,
    RJ_RULE_CONTAINS_ANY = 3,
    RJ_RULE_PREFIX = 4,  /* a string that begins with one of texts */
    RJ_RULE_PATTERN = 5, /* a string that the states accept */
    RJ_RULE_PRESENT = 6, /* there, and not null */
    RJ_RULE_ABSENT = 7,  /* not there, not even as null */
    RJ_RULE_OBJECT = 8,
    RJ_RULE_NON_EMPTY_OBJECT = 9, /* an object with at least one member */
    RJ_RULE_CONTAINS_ONLY = 10    /* one of the values, or a list of them, with nothing else in it */
};
#define RJ_RULE_OR_NEXT 1u     /* flags: passes as well where the rule after it passes */
#define RJ_RULE_HAS_DECIMAL 2u /* flags: one of the values is a number with a fraction, which texts do not hold */
#define RJ_RULE_TRUE 1u        /* literals */
#define RJ_RULE_FALSE 2u

/* A pattern as a deterministic automaton over octets of UTF-8. State 0 is dead, state 1 is the first. */
typedef struct {
    const uint8_t *classes;   /* 256: octet -> its class */
    const uint16_t *next;     /* state * classes_len + class -> state */
    const uint8_t *accepting; /* state -> 1 where a text may end */
    uint32_t classes_len;
    uint32_t states_len;
} rj_claim_pattern;

/* One rule. Everything is borrowed. */
typedef struct {
    const rj_span *path;  /* member names from the root, decoded; a number counts elements where an array stands */
    size_t path_len;      /* 1 on */
    const rj_span *texts; /* strings that pass, in UTF-8, the shorter first, then in order of octets */
    size_t texts_len;
    const rj_span *integers; /* whole numbers that pass, in decimal as JSON writes them */
    size_t integers_len;
    rj_claim_pattern pattern; /* of RJ_RULE_PATTERN */
    uint32_t kind;
    uint32_t flags;
    uint32_t literals; /* of RJ_RULE_TRUE and RJ_RULE_FALSE: which of them pass */
} rj_claim_rule;
/* rj-cdef-end */

/* Check the rules in their order.
 *
 * Returns: RJ_OK; RJ_CLAIM_MISMATCH; RJ_MISSING_CLAIM (absent or null where a value is due); RJ_CLAIMS_UNDECIDED
 *          (an escape or a number with a fraction could decide, and no earlier rule refused).
 * In:      json, members, members_len  as rj_json_scan accepted and filled them; no root name holds an escape.
 * Source:  RFC 6901 s.4 (paths); RFC 8259 s.8.3 (strings are compared by code points).
 */
RJ_MUST_CHECK rj_status rj_claim_rules_check(const rj_claim_rule *rules, size_t rules_len, const uint8_t *json,
                                             const rj_json_member *members, size_t members_len);

/* Whether the whole of a text, which is UTF-8, is accepted. */
/* rj-cdef-begin */
int rj_claim_pattern_accepts(const rj_claim_pattern *pattern, const uint8_t *text, size_t len);
/* rj-cdef-end */

#endif
