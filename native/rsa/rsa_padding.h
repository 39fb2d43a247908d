/* rsa_padding.h: what s^e mod n must look like: EMSA-PKCS1-v1_5 and EMSA-PSS (RFC 8017 s.9).
 *
 * PKCS #1 v1.5 is never parsed: the one right encoding is built and compared whole, so there is nothing to
 * forge in. PSS follows every step of s.9.1.2 with the JOSE parameters (RFC 7518 s.3.5). Knows no keys, never
 * allocates; all values are public.
 */
#ifndef RJ_RSA_PADDING_H
#define RJ_RSA_PADDING_H

#include <stddef.h>
#include <stdint.h>

#include "hash/digest.h"
#include "status.h"

/* Check an encoded message against EMSA-PKCS1-v1_5 of a digest.
 * Returns RJ_OK; RJ_SIGNATURE_INVALID for any difference; RJ_BAD_ARGUMENT for an unknown digest.
 * In: em_len bytes at em, the modulus' size; rj_digest_bytes(id) bytes at digest.
 * Source: RFC 8017 s.8.2.2 steps 3 and 4, s.9.2. */
RJ_MUST_CHECK rj_status rj_rsa_check_pkcs1(const uint8_t *em, size_t em_len, rj_digest_id id, const uint8_t *digest);

/* Check an encoded message against EMSA-PSS of a digest: MGF1 with the same digest, salt of the digest's size.
 * Returns RJ_OK; RJ_SIGNATURE_INVALID if any check fails; RJ_BAD_ARGUMENT for an unknown digest or an em_len
 * that is not the modulus' size.
 * In/out: em_len bytes at em, the modulus' size whatever the size of the encoding; unmasked in place, of no
 * use after. In: rj_digest_bytes(id) bytes at digest.
 * Source: RFC 8017 s.9.1.2, RFC 7518 s.3.5. */
RJ_MUST_CHECK rj_status rj_rsa_check_pss(uint8_t *em, size_t em_len, size_t modulus_bits, rj_digest_id id,
                                         const uint8_t *digest);

#endif
