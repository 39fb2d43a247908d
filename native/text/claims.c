/* claims.c: registered claims sorted into slots by name, then the rules in the order claims.h gives. */
#include "text/claims.h"

#include <string.h>

#include "text/claims_date.h"
#include "text/claims_issuer.h"

/* The registered claims of RFC 7519 s.4.1. */
typedef struct {
    const rj_json_member *iss;
    const rj_json_member *sub;
    const rj_json_member *aud;
    const rj_json_member *jti;
    const rj_json_member *exp;
    const rj_json_member *nbf;
    const rj_json_member *iat;
    const rj_json_member *auth_time; /* OpenID Connect Core s.2; looked up only where its age counts */
} claims_found;

typedef struct {
    claims_date exp;
    claims_date nbf;
    claims_date iat;
    claims_date auth_time;
} claims_dates;

/* Where a claim of three letters goes, NULL if it is not a registered one. */
static const rj_json_member **claims_slot(claims_found *found, const uint8_t *name3)
{
#define CLAIMS_THREE(a, b, c) ((uint32_t)(a) << 16 | (uint32_t)(b) << 8 | (uint32_t)(c))
    switch (CLAIMS_THREE(name3[0], name3[1], name3[2])) {
    case CLAIMS_THREE('i', 's', 's'):
        return &found->iss;
    case CLAIMS_THREE('s', 'u', 'b'):
        return &found->sub;
    case CLAIMS_THREE('a', 'u', 'd'):
        return &found->aud;
    case CLAIMS_THREE('j', 't', 'i'):
        return &found->jti;
    case CLAIMS_THREE('e', 'x', 'p'):
        return &found->exp;
    case CLAIMS_THREE('n', 'b', 'f'):
        return &found->nbf;
    case CLAIMS_THREE('i', 'a', 't'):
        return &found->iat;
    default:
        return NULL;
    }
#undef CLAIMS_THREE
}

/* Sort the members. Returns 0 if a name with an escape might be any of them. */
static int claims_sort(claims_found *found, const uint8_t *json, const rj_json_member *members, size_t members_len)
{
    for (size_t i = 0; i < members_len; i++) {
        const rj_json_member **slot;
        if (members[i].name_has_escape) {
            return 0;
        }
        slot = members[i].name_len == 3 ? claims_slot(found, json + members[i].name_offset) : NULL;
        if (slot != NULL) {
            *slot = &members[i];
        }
    }
    return 1;
}

static rj_status claims_string(const rj_json_member *claim)
{
    return claim == NULL || claim->value_type == RJ_JSON_STRING
             ? RJ_OK
             : RJ_MALFORMED_CLAIM; /* RFC 7519 s.4.1.1, s.4.1.2, s.4.1.7: a string */
}

/* One name of aud, between its quotes, against ours. An escape makes RJ_CLAIMS_UNDECIDED. */
static rj_status claims_audience_is_ours(const rj_claims_policy *policy, const uint8_t *name, size_t len,
                                         int has_escape)
{
    if ((policy->flags & RJ_CLAIMS_AUD_UNCHECKED) != 0) {
        return RJ_OK;
    }
    if (has_escape) {
        return RJ_CLAIMS_UNDECIDED;
    }
    for (size_t i = 0; i < policy->audiences_len; i++) {
        if (rj_span_same(policy->audiences[i], name, len)) {
            return RJ_OK;
        }
    }
    return RJ_AUDIENCE_MISMATCH;
}

/* The closing quote of a string the scan accepted, from the byte behind its opening quote. */
static const uint8_t *claims_string_end(int *has_escape, const uint8_t *p)
{
    while (*p != '"') {
        if (*p == '\\') {
            *has_escape = 1;
            p++;
        }
        p++;
    }
    return p;
}

/* aud as an array: every element must be a string, one of them ours. The scan vouches for the grammar. */
static rj_status claims_audience_array(const rj_claims_policy *policy, const uint8_t *json, const rj_json_member *aud)
{
    const uint8_t *p = json + aud->value_offset + 1;
    rj_status best = (policy->flags & RJ_CLAIMS_AUD_UNCHECKED) != 0 ? RJ_OK : RJ_AUDIENCE_MISMATCH;
    for (; *p != ']'; p++) {
        const uint8_t *name = p + 1;
        int has_escape = 0;
        rj_status one;
        if (*p == ',' || *p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') {
            continue;
        }
        if (*p != '"') {
            return RJ_MALFORMED_CLAIM; /* RFC 7519 s.4.1.3: an array of strings */
        }
        p = claims_string_end(&has_escape, name);
        one = claims_audience_is_ours(policy, name, (size_t)(p - name), has_escape);
        if (one == RJ_OK || best == RJ_AUDIENCE_MISMATCH) {
            best = one;
        }
    }
    return best;
}

/* What aud says: RJ_OK, RJ_AUDIENCE_MISMATCH, RJ_MALFORMED_CLAIM or RJ_CLAIMS_UNDECIDED; RJ_OK if absent. */
static rj_status claims_audience(const rj_claims_policy *policy, const uint8_t *json, const rj_json_member *aud)
{
    rj_status answer;
    if (aud == NULL) {
        return RJ_OK;
    }
    if (aud->value_type == RJ_JSON_STRING) {
        answer =
            claims_audience_is_ours(policy, json + aud->value_offset + 1, aud->value_len - 2, aud->value_has_escape);
    } else if (aud->value_type == RJ_JSON_ARRAY) {
        answer = claims_audience_array(policy, json, aud);
    } else {
        return RJ_MALFORMED_CLAIM; /* RFC 7519 s.4.1.3: a string or an array of strings */
    }
    /* RFC 7519 s.4.1.3: who goes by no name is in no audience, however its names are written */
    return answer == RJ_CLAIMS_UNDECIDED && policy->audiences_len == 0 ? RJ_AUDIENCE_MISMATCH : answer;
}

/* Whether a member of this name is there and not null. */
static int claims_has(rj_span name, const uint8_t *json, const rj_json_member *members, size_t members_len)
{
    for (size_t i = 0; i < members_len; i++) {
        if (rj_span_same(name, json + members[i].name_offset, members[i].name_len)) {
            return members[i].value_type != RJ_JSON_NULL;
        }
    }
    return 0;
}

/* RJ_MISSING_CLAIM if the policy needs a claim that is not there. */
static rj_status claims_complete(const rj_claims_policy *policy, const claims_found *found, const uint8_t *json,
                                 const rj_json_member *members, size_t members_len)
{
    if (found->exp == NULL && !(policy->flags & RJ_CLAIMS_EXP_OPTIONAL)) {
        return RJ_MISSING_CLAIM; /* RFC 8725 s.3: a token without an end is for those who ask for it */
    }
    if (found->iss == NULL && policy->issuer.ptr != NULL) {
        return RJ_MISSING_CLAIM; /* RFC 8725 s.3.8: the issuer must be the key's */
    }
    if (found->aud == NULL && policy->audiences_len > 0) {
        return RJ_MISSING_CLAIM; /* RFC 8725 s.3.9: a token for anyone is not for us */
    }
    if (found->iat == NULL && policy->max_age_s >= 0) {
        return RJ_MISSING_CLAIM; /* an age needs a birth: RFC 7519 s.4.1.6 */
    }
    if (found->auth_time == NULL && policy->max_auth_age_s >= 0) {
        return RJ_MISSING_CLAIM; /* OpenID Connect Core s.3.1.3.7 step 13 */
    }
    for (size_t i = 0; i < policy->required_len; i++) {
        if (!claims_has(policy->required[i], json, members, members_len)) {
            return RJ_MISSING_CLAIM; /* RFC 7519 s.4: the application says which must be there */
        }
    }
    return RJ_OK;
}

static rj_status claims_times(const rj_claims_policy *policy, const claims_found *found, const claims_dates *dates,
                              rj_time now)
{
    if (found->exp != NULL && claims_reached(now, -policy->leeway_s, &dates->exp)) {
        return RJ_EXPIRED; /* RFC 7519 s.4.1.4: on or after exp it is not accepted */
    }
    if (found->nbf != NULL && !claims_reached(now, policy->leeway_s, &dates->nbf)) {
        return RJ_NOT_YET_VALID; /* RFC 7519 s.4.1.5: not before nbf */
    }
    if (found->iat != NULL && !claims_reached(now, policy->leeway_s, &dates->iat)) {
        return RJ_ISSUED_IN_FUTURE; /* RFC 7519 s.4.1.6: nobody issues tomorrow's token today */
    }
    if (policy->max_age_s >= 0 && claims_passed(now, -policy->max_age_s - policy->leeway_s, &dates->iat)) {
        return RJ_TOO_OLD; /* the caller's limit on the age of RFC 7519 s.4.1.6 */
    }
    if (policy->max_auth_age_s >= 0) {
        if (!claims_reached(now, policy->leeway_s, &dates->auth_time)) {
            return RJ_ISSUED_IN_FUTURE; /* nobody signed in tomorrow */
        }
        if (claims_passed(now, -policy->max_auth_age_s - policy->leeway_s, &dates->auth_time)) {
            return RJ_TOO_OLD; /* OpenID Connect Core s.3.1.3.7 step 13 */
        }
    }
    return RJ_OK;
}

static const rj_json_member *claims_auth_time(const uint8_t *json, const rj_json_member *members, size_t members_len)
{
    static const rj_span name = {(const uint8_t *)"auth_time", 9};

    for (size_t i = 0; i < members_len; i++) {
        if (rj_span_same(name, json + members[i].name_offset, members[i].name_len)) {
            return &members[i];
        }
    }
    return NULL;
}

static int claims_in_range(int64_t seconds) { return seconds >= 0 && seconds <= RJ_CLAIMS_MAX_SECONDS; }

rj_status rj_claims_check(const rj_claims_policy *policy, const uint8_t *json, const rj_json_member *members,
                          size_t members_len, rj_time now)
{
    claims_found found = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    claims_dates dates = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    rj_status shapes[8], status;
    int malformed = 0;
    if (!claims_in_range(now.s) || !claims_in_range(policy->leeway_s) || policy->max_age_s > RJ_CLAIMS_MAX_SECONDS
        || policy->max_auth_age_s > RJ_CLAIMS_MAX_SECONDS) {
        return RJ_BAD_ARGUMENT;
    }
    if (!claims_sort(&found, json, members, members_len)) {
        return RJ_CLAIMS_UNDECIDED;
    }
    found.auth_time = policy->max_auth_age_s < 0 ? NULL : claims_auth_time(json, members, members_len);
    shapes[0] = claims_string(found.iss);
    shapes[1] = claims_string(found.sub);
    shapes[2] = claims_string(found.jti);
    shapes[3] = claims_audience(policy, json, found.aud);
    shapes[4] = claims_read_date(&dates.exp, json, found.exp);
    shapes[5] = claims_read_date(&dates.nbf, json, found.nbf);
    shapes[6] = claims_read_date(&dates.iat, json, found.iat);
    shapes[7] = claims_read_date(&dates.auth_time, json, found.auth_time);
    if (shapes[0] == RJ_OK && found.iss != NULL && policy->issuer.ptr != NULL && found.iss->value_has_escape) {
        shapes[0] = RJ_CLAIMS_UNDECIDED;
    }
    for (size_t i = 0; i < 8; i++) {
        if (shapes[i] == RJ_CLAIMS_UNDECIDED) {
            return RJ_CLAIMS_UNDECIDED;
        }
        malformed |= shapes[i] == RJ_MALFORMED_CLAIM;
    }
    if (malformed) {
        return RJ_MALFORMED_CLAIM;
    }
    status = claims_complete(policy, &found, json, members, members_len);
    if (status == RJ_OK) {
        status = claims_check_issuer(policy, found.iss, json, members, members_len);
    }
    if (status == RJ_OK) {
        status = shapes[3] == RJ_OK ? RJ_OK : RJ_AUDIENCE_MISMATCH; /* RFC 7519 s.4.1.3 */
    }
    if (status == RJ_OK && policy->rules_len != 0) {
        status = rj_claim_rules_check(policy->rules, policy->rules_len, json, members, members_len);
    }
    if (status == RJ_OK) {
        status = claims_times(policy, &found, &dates, now);
    }
    return status == RJ_OK && (policy->flags & RJ_CLAIMS_HAS_MORE) != 0 ? RJ_CLAIMS_UNDECIDED : status;
}
