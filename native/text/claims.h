/* claims.h: the registered claims of a JWT whose signature already verified (RFC 7519 s.4.1), decided in C.
 *
 * The accelerated path of the Python checker, with the same verdicts in the same order: it answers only where numbers
 * and strings without escapes let it be certain, and hands everything else up as RJ_CLAIMS_UNDECIDED. Times are
 * compared exactly: a fraction or an exponent of a NumericDate is read digit by digit, never rounded. Reads no
 * clock, allocates nothing, decodes nothing.
 */
#ifndef RJ_CLAIMS_H
#define RJ_CLAIMS_H

#include "text/claim_rules.h"
#include "text/json_scan.h"
#include "span.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

/* flags of rj_claims_policy; 0 is the strictest */
/* rj-cdef-begin */
#define RJ_CLAIMS_EXP_OPTIONAL 1u  /* a token without exp is allowed */
#define RJ_CLAIMS_AUD_UNCHECKED 2u /* aud is of the right type, whoever it names */
#define RJ_CLAIMS_HAS_MORE 4u      /* what passes here is left to the full checker, which knows further rules */
/* rj-cdef-end */

#define RJ_CLAIMS_MAX_SECONDS INT64_C(1000000000000000) /* for now, leeway_s, max_age_s: no sum overflows */

/* A moment: seconds since 1970-01-01T00:00:00Z, and the nanoseconds past them, 0 to 999 999 999. */
typedef struct {
    int64_t s;
    uint32_t ns;
} rj_time;

/* The last second of the year 9999. A NumericDate past it is milliseconds, or a trick: refused. */
#define RJ_CLAIMS_DATE_MAX_S INT64_C(253402300799)

/* What the caller demands. Every span is borrowed, UTF-8, and compared byte for byte; nothing is copied. */
/* rj-cdef-begin */
typedef struct {
    rj_span issuer;               /* ptr NULL: iss is not compared; of a template: what stands before its variable */
    const rj_span *other_issuers; /* further values of iss that pass; NULL when other_issuers_len is 0 */
    size_t other_issuers_len;
    rj_span issuer_claim;     /* the claim whose value is a template's variable; ptr NULL: iss is no template */
    rj_span issuer_suffix;    /* what stands after the variable */
    const rj_span *audiences; /* the names this principal goes by in aud; NULL when audiences_len is 0 */
    size_t audiences_len;
    const rj_span *required; /* claim names that must be there and not null; NULL when required_len is 0 */
    size_t required_len;
    int64_t leeway_s;           /* 0 .. RJ_CLAIMS_MAX_SECONDS */
    int64_t max_age_s;          /* iat may be this old; negative: no such rule, and iat may be missing */
    int64_t max_auth_age_s;     /* auth_time may be this long ago; negative: no such rule, and it may be missing */
    const rj_claim_rule *rules; /* NULL when rules_len is 0 */
    size_t rules_len;
    uint32_t flags; /* of RJ_CLAIMS_EXP_OPTIONAL, RJ_CLAIMS_AUD_UNCHECKED, RJ_CLAIMS_HAS_MORE */
} rj_claims_policy;
/* rj-cdef-end */

/* Check the registered claims of a verified payload.
 *
 * Rules, with t the leeway: exp passes while now < exp + t; nbf once now + t >= nbf; iat if iat <= now + t;
 * max_age while now - iat <= max_age + t; all as real numbers, now in nanoseconds and NumericDates with every
 * digit written. iss equals the issuer exactly. One aud equals one of the audiences; an aud in a token for which
 * no audience is configured is refused, unless aud is not checked at all. sub and jti are strings.
 * NumericDates are numbers from 0 to RJ_CLAIMS_DATE_MAX_S. When several rules fail the verdict is the first of:
 * malformed, missing, issuer, audience, claim rules, exp, nbf, iat, max_age, auth_time. Whatever is undecided
 * wins over every verdict but an earlier one, so that the full checker gives the first of them itself.
 *
 * Undecided: a name with an escape; an iss to be compared that holds an escape; an aud that holds one while no
 * plain one matches; what claim_rules.h leaves open; whatever passes, under RJ_CLAIMS_HAS_MORE.
 *
 * Returns: RJ_OK; RJ_CLAIMS_UNDECIDED; RJ_MALFORMED_CLAIM; RJ_MISSING_CLAIM; RJ_ISSUER_MISMATCH;
 *          RJ_AUDIENCE_MISMATCH; RJ_CLAIM_MISMATCH; RJ_EXPIRED; RJ_NOT_YET_VALID; RJ_ISSUED_IN_FUTURE; RJ_TOO_OLD;
 *          RJ_BAD_ARGUMENT (now or one of the seconds out of range).
 * In:      json      the text that rj_json_scan accepted, with an object as its root.
 *          members   all members of that root (members_overflow was 0), as the scan filled them.
 *          now       the time of the check; its seconds 0 .. RJ_CLAIMS_MAX_SECONDS.
 * Source:  RFC 7519 s.2 (NumericDate), s.4.1.1 to s.4.1.7.
 */
RJ_MUST_CHECK rj_status rj_claims_check(const rj_claims_policy *policy, const uint8_t *json,
                                        const rj_json_member *members, size_t members_len, rj_time now);

#endif
