/* claim_rules.c: see claim_rules.h. The scan vouches for the grammar of every text that is walked here. */
#include "text/claim_rules.h"

#include <string.h>

#include "text/json_walk.h"

enum { RULES_PER_WALK = 64 }; /* values that one walk over an array looks for */
#define RULES_NONE SIZE_MAX

/* The claims that rules are about. Claims often stand in the order of their rules: each search begins behind the
 * last hit, and goes round. */
typedef struct {
    const uint8_t *json;
    const rj_json_member *members;
    size_t members_len;
    size_t cursor;
} rules_claims;

/* The root's member of this name. */
static void rules_root_member(json_value *value, rules_claims *claims, rj_span name)
{
    size_t at = claims->cursor;

    for (size_t left = claims->members_len; left != 0; left--) {
        const rj_json_member *member = &claims->members[at];
        at = at + 1 == claims->members_len ? 0 : at + 1;
        if (rj_span_same(name, claims->json + member->name_offset, member->name_len)) {
            size_t quote = member->value_type == RJ_JSON_STRING;
            *value = (json_value){claims->json + member->value_offset + quote, member->value_len - 2 * quote,
                                  member->value_type, member->value_has_escape};
            claims->cursor = at;
            return;
        }
    }
    *value = (json_value){NULL, 0, RJ_JSON_ABSENT, 0};
}

/* The value that a rule is about. Returns 0 where an escape leaves it open. */
static int rules_find(json_value *value, rules_claims *claims, const rj_claim_rule *rule)
{
    rules_root_member(value, claims, rule->path[0]);
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

/* The number of a text among those that pass, which are in order; RULES_NONE where it is none. */
static size_t rules_text_number(const rj_claim_rule *rule, const uint8_t *ptr, size_t len)
{
    size_t low = 0, high = rule->texts_len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = rules_order(rule->texts[middle], ptr, len);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return RULES_NONE;
}

static size_t rules_integer_number(const rj_claim_rule *rule, const uint8_t *ptr, size_t len)
{
    if (len == 2 && ptr[0] == '-' && ptr[1] == '0') {
        ptr++; /* RFC 8259 s.6: -0 is the number 0 */
        len--;
    }
    for (size_t i = 0; i < rule->integers_len; i++) {
        if (rj_span_same(rule->integers[i], ptr, len)) {
            return i;
        }
    }
    return RULES_NONE;
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
        passes = !value->has_escape && rules_text_number(rule, value->ptr, value->len) != RULES_NONE;
        break;
    case RJ_JSON_INTEGER:
        passes = rules_integer_number(rule, value->ptr, value->len) != RULES_NONE;
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

/* What one walk over an array found of a rule's values from a number on. */
typedef struct {
    size_t from;
    uint64_t texts; /* bits, the first one of `from` */
    uint64_t integers;
    uint32_t literals;
    uint8_t has_escape; /* an element with an escape might be any text */
    uint8_t has_decimal;
} rules_found;

static uint64_t rules_bit(size_t number, size_t from)
{
    return number != RULES_NONE && number >= from && number - from < RULES_PER_WALK ? (uint64_t)1 << (number - from)
                                                                                    : 0;
}

static uint64_t rules_bits(size_t count, size_t from)
{
    size_t left = count > from ? count - from : 0;

    return left >= RULES_PER_WALK ? UINT64_MAX : ((uint64_t)1 << left) - 1;
}

static void rules_note(rules_found *found, const rj_claim_rule *rule, const json_value *element)
{
    switch (element->type) {
    case RJ_JSON_STRING:
        if (element->has_escape) {
            found->has_escape = 1;
        } else {
            found->texts |= rules_bit(rules_text_number(rule, element->ptr, element->len), found->from);
        }
        break;
    case RJ_JSON_INTEGER:
        found->integers |= rules_bit(rules_integer_number(rule, element->ptr, element->len), found->from);
        break;
    case RJ_JSON_DECIMAL:
        found->has_decimal = 1;
        break;
    case RJ_JSON_TRUE:
        found->literals |= RJ_RULE_TRUE;
        break;
    case RJ_JSON_FALSE:
        found->literals |= RJ_RULE_FALSE;
        break;
    default:
        break;
    }
}

/* Whether an array has each of up to RULES_PER_WALK texts and integers of a rule, and its literals. */
static rj_status rules_each_of_chunk(const rj_claim_rule *rule, const json_value *array, size_t from)
{
    rules_found found = {.from = from};
    const uint8_t *p = json_walk_space(array->ptr + 1);
    int lacks_text, lacks_integer;

    while (*p != ']') {
        json_value element;
        p = json_walk_space(json_walk_value(&element, p));
        rules_note(&found, rule, &element);
        p = *p == ',' ? json_walk_space(p + 1) : p;
    }
    lacks_text = found.texts != rules_bits(rule->texts_len, from);
    lacks_integer = found.integers != rules_bits(rule->integers_len, from);
    if ((lacks_text && !found.has_escape) || (lacks_integer && !found.has_decimal)
        || (rule->literals & ~found.literals) != 0) {
        return RJ_CLAIM_MISMATCH;
    }
    return lacks_text || lacks_integer ? RJ_CLAIMS_UNDECIDED : RJ_OK;
}

/* Whether an array has each of the values of a rule. */
static rj_status rules_each_value(const rj_claim_rule *rule, const json_value *array)
{
    rj_status best = (rule->flags & RJ_RULE_HAS_DECIMAL) != 0 ? RJ_CLAIMS_UNDECIDED : RJ_OK;
    size_t count = rule->texts_len > rule->integers_len ? rule->texts_len : rule->integers_len;
    size_t from = 0;

    do {
        rj_status one = rules_each_of_chunk(rule, array, from);
        if (one == RJ_CLAIM_MISMATCH) {
            return one;
        }
        best = one == RJ_CLAIMS_UNDECIDED ? one : best;
        from += RULES_PER_WALK;
    } while (from < count);
    return best;
}

/* Whether a value is one of a rule's, or an array, not empty, of nothing but these. */
static rj_status rules_nothing_else(const rj_claim_rule *rule, const json_value *value)
{
    rj_status worst = RJ_OK;
    const uint8_t *p;

    if (value->type != RJ_JSON_ARRAY) {
        return rules_one_of(rule, value);
    }
    p = json_walk_space(value->ptr + 1);
    if (*p == ']') {
        return RJ_CLAIM_MISMATCH;
    }
    while (*p != ']') {
        json_value element;
        rj_status one;
        p = json_walk_space(json_walk_value(&element, p));
        one = rules_one_of(rule, &element);
        if (one == RJ_CLAIM_MISMATCH) {
            return one;
        }
        worst = one == RJ_CLAIMS_UNDECIDED ? one : worst;
        p = *p == ',' ? json_walk_space(p + 1) : p;
    }
    return worst;
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

static rj_status rules_check(rules_claims *claims, const rj_claim_rule *rule)
{
    json_value value;

    if (!rules_find(&value, claims, rule)) {
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
    case RJ_RULE_CONTAINS_ONLY:
        return rules_nothing_else(rule, &value);
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
    rules_claims claims = {json, members, members_len, 0};
    rj_status status;
    int has_passed = 0;

    for (size_t i = 0; i < rules_len; i++) {
        int has_next = (rules[i].flags & RJ_RULE_OR_NEXT) != 0 && i + 1 < rules_len;
        if (!has_passed) {
            status = rules_check(&claims, &rules[i]);
            if (status == RJ_CLAIMS_UNDECIDED || (status != RJ_OK && !has_next)) {
                return status;
            }
            has_passed = status == RJ_OK;
        }
        has_passed = has_passed && has_next;
    }
    return RJ_OK;
}
