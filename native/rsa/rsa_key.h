/* rsa_key.h: what a prepared RSA key holds; for rsa.c and rsa_key.c alone. rsa.h says what it means. */
#ifndef RJ_RSA_KEY_H
#define RJ_RSA_KEY_H

#include <openssl/bn.h>
#include <stdint.h>

#include "rsa/rsa.h"
#include "rsa/rsa52.h"

enum { RJ_RSA_LANE_EXPONENT = 65537 }; /* the one nearly every key has; lanes serve it, others go alone */

struct rj_rsa_key {
    rj_rsa52_modulus *digits; /* either this */
    BN_MONT_CTX *mont;        /* or these two */
    BIGNUM *modulus;
    uint64_t exponent;
    uint32_t modulus_bits;
    uint32_t modulus_bytes;
};

#endif
