/* claim_rules.c: see claim_rules.h. The scan vouches for the grammar of every text that is walked here. */
#include "text/claim_rules.h"

#include <string.h>

#include "text/json_walk.h"

/* The root's member of this name. */
static json_value rules_root_member(rj_span name, const uint8_t *json, const rj_json_member *members,
                                    size_t members_len)
{
    json_value value = {NULL, 0, RJ_JSON_ABSENT, 0};

    for (size_t i = 0; i < members_len; i++) {
        const rj_json_member *member = &members[i];
        if (json_walk_same(name, json + member->name_offset, member->name_len)) {
            size_t quote = member->value_type == RJ_JSON_STRING;
            value = (json_value){json + member->value_offset + quote, member->value_len - 2 * quote, member->value_type,
                                 member->value_has_escape};
            break;
        }
    }
    return value;
}

/* The value that a rule is about. Returns 0 where an escape leaves it open. */
static int rules_find(json_value *value, const rj_claim_rule *rule, const uint8_t *json, const rj_json_member *members,
                      size_t members_len)
{
    *value = rules_root_member(rule->path[0], json, members, members_len);
    for (size_t i = 1; i < rule->path_len; i++) {
        if (value->type == RJ_JSON_OBJECT) {
            if (!json_walk_member(value, rule->path[i])) {
                return 0;
            }
        } else if (value->type == RJ_JSON_ARRAY) {
            json_walk_element(value, rule->path[i]);
        } else {
            *value = (json_value){NULL, 0, RJ_JSON_ABSENT, 0};
            break;
        }
    }
    return 1;
}

static int rules_order(rj_span a, const uint8_t *ptr, size_t len)
{
    if (a.len != len) {
        return a.len < len ? -1 : 1;
    }
    return len == 0 ? 0 : memcmp(a.ptr, ptr, len);
}

/* Whether a text is one of those that pass, which are in order. */
static int rules_has_text(const rj_claim_rule *rule, const uint8_t *ptr, size_t len)
{
    size_t low = 0, high = rule->texts_len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = rules_order(rule->texts[middle], ptr, len);
        if (order == 0) {
            return 1;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return 0;
}

static int rules_has_integer(const rj_claim_rule *rule, const uint8_t *ptr, size_t len)
{
    if (len == 2 && ptr[0] == '-' && ptr[1] == '0') {
        ptr++; /* RFC 8259 s.6: -0 is the number 0 */
        len--;
    }
    for (size_t i = 0; i < rule->integers_len; i++) {
        if (json_walk_same(rule->integers[i], ptr, len)) {
            return 1;
        }
    }
    return 0;
}

/* Whether a value is one of those that pass. A value of another type is none of them. */
static rj_status rules_one_of(const rj_claim_rule *rule, const json_value *value)
{
    int passes = 0;

    switch (value->type) {
    case RJ_JSON_STRING:
        if (value->has_escape && rule->texts_len != 0) {
            return RJ_CLAIMS_UNDECIDED;
        }
        passes = !value->has_escape && rules_has_text(rule, value->ptr, value->len);
        break;
    case RJ_JSON_INTEGER:
        passes = rules_has_integer(rule, value->ptr, value->len);
        break;
    case RJ_JSON_DECIMAL:
        if (rule->integers_len != 0 || (rule->flags & RJ_RULE_HAS_DECIMAL) != 0) {
            return RJ_CLAIMS_UNDECIDED;
        }
        break;
    case RJ_JSON_TRUE:
        passes = (rule->literals & RJ_RULE_TRUE) != 0;
        break;
    case RJ_JSON_FALSE:
        passes = (rule->literals & RJ_RULE_FALSE) != 0;
        break;
    default:
        break;
    }
    return passes ? RJ_OK : RJ_CLAIM_MISMATCH;
}

/* Whether an array has an element that passes a rule of single values. */
static rj_status rules_some_element(const rj_claim_rule *rule, const json_value *array)
{
    rj_status best = RJ_CLAIM_MISMATCH;
    const uint8_t *p = json_walk_space(array->ptr + 1);

    while (*p != ']') {
        json_value element;
        rj_status one;
        p = json_walk_space(json_walk_value(&element, p));
        one = rules_one_of(rule, &element);
        if (one == RJ_OK) {
            return RJ_OK;
        }
        best = one == RJ_CLAIMS_UNDECIDED ? one : best;
        p = *p == ',' ? json_walk_space(p + 1) : p;
    }
    return best;
}

/* Whether an array has each of the values of a rule: each is asked for alone. */
static rj_status rules_each_value(const rj_claim_rule *rule, const json_value *array)
{
    rj_status best = (rule->flags & RJ_RULE_HAS_DECIMAL) != 0 ? RJ_CLAIMS_UNDECIDED : RJ_OK;
    size_t count = rule->texts_len + rule->integers_len + 2;

    for (size_t i = 0; i < count; i++) {
        rj_claim_rule single = {.kind = RJ_RULE_ONE_OF};
        rj_status one;
        if (i < rule->texts_len) {
            single.texts = &rule->texts[i];
            single.texts_len = 1;
        } else if (i < rule->texts_len + rule->integers_len) {
            single.integers = &rule->integers[i - rule->texts_len];
            single.integers_len = 1;
        } else {
            single.literals = rule->literals & (i + 1 == count ? RJ_RULE_FALSE : RJ_RULE_TRUE);
            if (single.literals == 0) {
                continue;
            }
        }
        one = rules_some_element(&single, array);
        if (one == RJ_CLAIM_MISMATCH) {
            return RJ_CLAIM_MISMATCH;
        }
        best = one == RJ_CLAIMS_UNDECIDED ? one : best;
    }
    return best;
}

static rj_status rules_contains(const rj_claim_rule *rule, const json_value *value)
{
    if (value->type != RJ_JSON_ARRAY) {
        return RJ_CLAIM_MISMATCH; /* a string is no list of one */
    }
    return rule->kind == RJ_RULE_CONTAINS_ALL ? rules_each_value(rule, value) : rules_some_element(rule, value);
}

int rj_claim_pattern_accepts(const rj_claim_pattern *pattern, const uint8_t *text, size_t len)
{
    uint32_t state = 1;

    for (size_t i = 0; i < len && state != 0; i++) {
        state = pattern->next[state * pattern->classes_len + pattern->classes[text[i]]];
    }
    return pattern->accepting[state];
}

static rj_status rules_text(const rj_claim_rule *rule, const json_value *value)
{
    if (value->type != RJ_JSON_STRING) {
        return RJ_CLAIM_MISMATCH;
    }
    if (value->has_escape) {
        return RJ_CLAIMS_UNDECIDED;
    }
    if (rule->kind == RJ_RULE_PATTERN) {
        return rj_claim_pattern_accepts(&rule->pattern, value->ptr, value->len) ? RJ_OK : RJ_CLAIM_MISMATCH;
    }
    for (size_t i = 0; i < rule->texts_len; i++) {
        rj_span prefix = rule->texts[i];
        if (prefix.len <= value->len && memcmp(prefix.ptr, value->ptr, prefix.len) == 0) {
            return RJ_OK;
        }
    }
    return RJ_CLAIM_MISMATCH;
}

static rj_status rules_check(const rj_claim_rule *rule, const uint8_t *json, const rj_json_member *members,
                             size_t members_len)
{
    json_value value;

    if (!rules_find(&value, rule, json, members, members_len)) {
        return RJ_CLAIMS_UNDECIDED;
    }
    if (rule->kind == RJ_RULE_ABSENT) {
        return value.type == RJ_JSON_ABSENT ? RJ_OK : RJ_CLAIM_MISMATCH;
    }
    if (value.type == RJ_JSON_ABSENT || value.type == RJ_JSON_NULL) {
        return RJ_MISSING_CLAIM;
    }
    switch (rule->kind) {
    case RJ_RULE_ONE_OF:
        return rules_one_of(rule, &value);
    case RJ_RULE_CONTAINS_ALL:
    case RJ_RULE_CONTAINS_ANY:
        return rules_contains(rule, &value);
    case RJ_RULE_PREFIX:
    case RJ_RULE_PATTERN:
        return rules_text(rule, &value);
    case RJ_RULE_PRESENT:
        return RJ_OK;
    case RJ_RULE_OBJECT:
        return value.type == RJ_JSON_OBJECT ? RJ_OK : RJ_CLAIM_MISMATCH;
    case RJ_RULE_NON_EMPTY_OBJECT:
        return value.type == RJ_JSON_OBJECT && *json_walk_space(value.ptr + 1) != '}' ? RJ_OK : RJ_CLAIM_MISMATCH;
    default:
        return RJ_CLAIM_MISMATCH;
    }
}

rj_status rj_claim_rules_check(const rj_claim_rule *rules, size_t rules_len, const uint8_t *json,
                               const rj_json_member *members, size_t members_len)
{
    rj_status status;
    int has_passed = 0;

    for (size_t i = 0; i < rules_len; i++) {
        int has_next = (rules[i].flags & RJ_RULE_OR_NEXT) != 0 && i + 1 < rules_len;
        if (!has_passed) {
            status = rules_check(&rules[i], json, members, members_len);
            if (status == RJ_CLAIMS_UNDECIDED || (status != RJ_OK && !has_next)) {
                return status;
            }
            has_passed = status == RJ_OK;
        }
        has_passed = has_passed && has_next;
    }
    return RJ_OK;
}
