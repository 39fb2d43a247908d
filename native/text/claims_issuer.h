/* claims_issuer.h: whether iss is one of an issuer's names, or its template with a claim as variable.
 *
 * Part of claims.c alone. RFC 7519 s.4.1.1, RFC 8725 s.3.8: names are compared byte for byte.
 */
#ifndef RJ_CLAIMS_ISSUER_H
#define RJ_CLAIMS_ISSUER_H

#include "text/claims.h"

#include <string.h>

enum { CLAIMS_VARIABLE_MAX_BYTES = 128 };

/* RFC 3986 s.2.3: a variable is made of unreserved characters, so that it is one segment of a path or a host. */
static inline int claims_is_variable(const uint8_t *text, size_t len)
{
    if (len == 0 || len > CLAIMS_VARIABLE_MAX_BYTES) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t lower = text[i] | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(text[i] >= '0' && text[i] <= '9') && text[i] != '-' && text[i] != '.'
            && text[i] != '_' && text[i] != '~') {
            return 0;
        }
    }
    return 1;
}

/* Whether iss is the template with the value of its claim as variable; RJ_CLAIMS_UNDECIDED where that is escaped. */
static inline rj_status claims_check_template(const rj_claims_policy *policy, const uint8_t *iss, size_t len,
                                              const uint8_t *json, const rj_json_member *members, size_t members_len)
{
    size_t fixed = policy->issuer.len + policy->issuer_suffix.len;

    if (len <= fixed || memcmp(iss, policy->issuer.ptr, policy->issuer.len) != 0
        || memcmp(iss + len - policy->issuer_suffix.len, policy->issuer_suffix.ptr, policy->issuer_suffix.len) != 0
        || !claims_is_variable(iss + policy->issuer.len, len - fixed)) {
        return RJ_ISSUER_MISMATCH;
    }
    for (size_t i = 0; i < members_len; i++) {
        const rj_json_member *member = &members[i];
        rj_span variable = {iss + policy->issuer.len, len - fixed};
        if (!rj_span_same(policy->issuer_claim, json + member->name_offset, member->name_len)) {
            continue;
        }
        if (member->value_type != RJ_JSON_STRING) {
            return RJ_ISSUER_MISMATCH;
        }
        if (member->value_has_escape) {
            return RJ_CLAIMS_UNDECIDED;
        }
        return rj_span_same(variable, json + member->value_offset + 1, member->value_len - 2) ? RJ_OK
                                                                                              : RJ_ISSUER_MISMATCH;
    }
    return RJ_ISSUER_MISMATCH; /* not reached: the claim is required as well */
}

/* Whether iss, a string without escapes, is the issuer's. */
static inline rj_status claims_check_issuer(const rj_claims_policy *policy, const rj_json_member *found,
                                            const uint8_t *json, const rj_json_member *members, size_t members_len)
{
    const uint8_t *iss = NULL;
    size_t len = 0;

    if (policy->issuer.ptr == NULL) {
        return RJ_OK;
    }
    iss = json + found->value_offset + 1;
    len = found->value_len - 2;
    if (policy->issuer_claim.ptr != NULL) {
        return claims_check_template(policy, iss, len, json, members, members_len);
    }
    if (rj_span_same(policy->issuer, iss, len)) {
        return RJ_OK;
    }
    for (size_t i = 0; i < policy->other_issuers_len; i++) {
        if (rj_span_same(policy->other_issuers[i], iss, len)) {
            return RJ_OK;
        }
    }
    return RJ_ISSUER_MISMATCH; /* RFC 8725 s.3.8; RFC 3986 plays no part: byte for byte */
}

#endif
