/* signature_check.h: one signature to check: the one type that goes from a token to the arithmetic of its key.
 *
 * core/ writes it beside the token (RFC 7515 s.5.2 step 8); rsa/ and ec/ read it where it lies. It knows octets and
 * prepared keys: no JOSE, no JSON. Nothing here owns memory.
 */
#ifndef RJ_SIGNATURE_CHECK_H
#define RJ_SIGNATURE_CHECK_H

#include "span.h"

struct rj_rsa_key;
struct rj_fixedbase;
struct rj_ed25519_table;

/* What a path of the arithmetic works with; which member counts is known from the function that is called. */
typedef union {
    const struct rj_rsa_key *rsa;
    const struct rj_fixedbase *fixedbase; /* ECDSA */
    const struct rj_ed25519_table *ed25519;
} rj_prepared;

typedef struct {
    rj_span input;         /* what was signed, as received: the JWS Signing Input */
    rj_span signature;     /* the JWS Signature, decoded, of any length */
    rj_span digest;        /* of the input, for RSA and ECDSA; Ed25519 hashes the input itself */
    rj_prepared key;       /* what was prepared of the public key */
    rj_prepared generator; /* the table of the curve's generator, for ECDSA and Ed25519 */
    uint32_t digest_id;    /* an rj_digest_id, for RSA */
    uint32_t padding;      /* an rj_rsa_padding, for RSA */
} rj_signature_check;

#endif
