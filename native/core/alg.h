/* alg.h: the one table of signature algorithms the core knows (RFC 7518 s.3.1, RFC 8812, RFC 8037, RFC 9964).
 *
 * A number here names a way to verify, not a JOSE name: "EdDSA" on an Ed25519 key and "Ed25519" are both
 * RJ_ED25519. Names, and which of them a caller allows, are decided in Python.
 */
#ifndef RJ_ALG_H
#define RJ_ALG_H

#include "hash/digest.h"
#include "status.h"

/* rj-cdef-begin */
typedef enum {
    RJ_ALG_UNSET = 0, /* zero is no algorithm */
    RJ_HS256 = 1,
    RJ_HS384 = 2,
    RJ_HS512 = 3,
    RJ_RS256 = 4,
    RJ_RS384 = 5,
    RJ_RS512 = 6,
    RJ_PS256 = 7,
    RJ_PS384 = 8,
    RJ_PS512 = 9,
    RJ_ES256 = 10,
    RJ_ES384 = 11,
    RJ_ES512 = 12,
    RJ_ES256K = 13,
    RJ_ED25519 = 14,
    RJ_ED448 = 15,
    RJ_ML_DSA_44 = 16,
    RJ_ML_DSA_65 = 17,
    RJ_ML_DSA_87 = 18,
    RJ_ALG_COUNT = 19
} rj_alg;
/* rj-cdef-end */

typedef enum {
    RJ_FAMILY_UNSET = 0,
    RJ_FAMILY_HMAC,
    RJ_FAMILY_RSA_PKCS1,
    RJ_FAMILY_RSA_PSS,
    RJ_FAMILY_ECDSA,
    RJ_FAMILY_MESSAGE /* the signature scheme takes the whole message: EdDSA, ML-DSA */
} rj_family;

typedef struct {
    rj_family family;
    rj_digest_id digest;        /* meaningless for RJ_FAMILY_MESSAGE */
    uint16_t signature_bytes;   /* exact; 0: the key's modulus decides */
    uint16_t public_bytes;      /* exact length of the raw public key; 0: not of one length */
    uint16_t cost_us;           /* rough microseconds of one ordinary verification, to cut batches short */
    const char *libcrypto_name; /* the key type or the group, as libcrypto names it */
} rj_alg_info;

/* Look an algorithm up.
 * Returns its row, or NULL where `alg` is no number of the table. */
const rj_alg_info *rj_alg_lookup(uint32_t alg);

#endif
