/* status.h: every verdict and error of the core, once. Python reads the names from here.
 *
 * Zero is never success: memory that nobody wrote reads as RJ_UNDECIDED, which every caller treats as
 * refused. Only RJ_OK accepts.
 */
#ifndef RJ_STATUS_H
#define RJ_STATUS_H

/* rj-cdef-begin */
typedef enum {
    RJ_UNDECIDED = 0, /* nobody decided: refused */
    RJ_OK = 1,        /* every check that was asked for passed */

    /* the token's shape */
    RJ_MALFORMED_TOKEN = 2,  /* not three parts, or a part that is not strict base64url */
    RJ_TOO_LARGE = 3,        /* a stated size limit is passed */
    RJ_MALFORMED_JSON = 4,   /* not a JSON text of RFC 8259 in UTF-8, or not an object where one is due */
    RJ_DUPLICATE_MEMBER = 5, /* a member name twice in one object */
    RJ_TOO_DEEP = 6,         /* nested past the depth limit */
    RJ_TOO_MANY_MEMBERS = 7, /* more members than the limit */

    /* the signature */
    RJ_SIGNATURE_INVALID = 8, /* the signature does not verify under this key */

    /* the claims of a token whose signature verified */
    RJ_MALFORMED_CLAIM = 9, /* a registered claim of the wrong type or out of range */
    RJ_MISSING_CLAIM = 10,
    RJ_EXPIRED = 11,
    RJ_NOT_YET_VALID = 12,
    RJ_ISSUED_IN_FUTURE = 13,
    RJ_TOO_OLD = 14,
    RJ_ISSUER_MISMATCH = 15,
    RJ_AUDIENCE_MISMATCH = 16,

    /* not a verdict: the caller has to go on */
    RJ_HEADER_UNKNOWN = 17,   /* these header bytes are not in the header table */
    RJ_CLAIMS_UNDECIDED = 18, /* signature good; the claims need the full checker */
    RJ_NOT_NATIVE = 19,       /* the linked libcrypto lacks this algorithm */

    /* keys and resources */
    RJ_KEY_MALFORMED = 20, /* not a key of this type: off the curve, wrong length, no modulus */
    RJ_KEY_WEAK = 21,      /* a key, but below the stated strength */
    RJ_NO_MEMORY = 22,
    RJ_LIBCRYPTO_FAILED = 23, /* libcrypto reported a fault that is not a verdict */
    RJ_BAD_ARGUMENT = 24,     /* a caller's mistake: capacity too small, unknown algorithm number */

    /* the claims again: numbers do not change once they are given */
    RJ_CLAIM_MISMATCH = 25, /* a claim is not what the issuer's rules allow */
    RJ_STATUS_COUNT = 26
} rj_status;
/* rj-cdef-end */

#if defined(__GNUC__) || defined(__clang__)
#define RJ_MUST_CHECK __attribute__((warn_unused_result))
#else
#define RJ_MUST_CHECK
#endif

#endif
