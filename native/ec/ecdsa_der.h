/* ecdsa_der.h: ECDSA signatures between JOSE's R || S (RFC 7518 s.3.4) and the DER of X9.62.
 *
 * Only the shape is converted. Whether R and S lie below the group order is for the verifier to say; zero is
 * refused here already.
 */
#ifndef RJ_ECDSA_DER_H
#define RJ_ECDSA_DER_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

#define RJ_ECDSA_MAX_FIELD_BYTES 66 /* P-521 */
#define RJ_ECDSA_MAX_RAW_BYTES (2 * RJ_ECDSA_MAX_FIELD_BYTES)
/* SEQUENCE header 3, twice INTEGER header 2 and a sign byte */
#define RJ_ECDSA_MAX_DER_BYTES (3 + 2 * (2 + 1 + RJ_ECDSA_MAX_FIELD_BYTES))

/* Write R || S as a DER SEQUENCE of two minimal INTEGERs.
 *
 * Returns: RJ_OK; RJ_SIGNATURE_INVALID (R or S is zero: no signature has that);
 *          RJ_BAD_ARGUMENT (raw_len odd, 0 or above RJ_ECDSA_MAX_RAW_BYTES; der_cap too small:
 *          RJ_ECDSA_MAX_DER_BYTES always suffices).
 * Out:     der      at most RJ_ECDSA_MAX_DER_BYTES bytes; untouched unless RJ_OK. Must not overlap raw.
 *          der_len  bytes written; untouched unless RJ_OK.
 * In:      raw      raw_len bytes: R then S, each raw_len / 2 bytes, big-endian.
 * Source:  RFC 7518 s.3.4; RFC 3279 s.2.2.3; X.690 s.8.3, s.10.1.
 */
RJ_MUST_CHECK rj_status rj_ecdsa_der_from_raw(uint8_t *der, size_t *der_len, size_t der_cap, const uint8_t *raw,
                                              size_t raw_len);

/* Read a strict DER signature back into R || S.
 *
 * Returns: RJ_OK; RJ_SIGNATURE_INVALID (not the one DER form of two positive INTEGERs, bytes left over, or
 *          an INTEGER wider than the field); RJ_BAD_ARGUMENT (raw_len odd, 0 or above
 *          RJ_ECDSA_MAX_RAW_BYTES).
 * Out:     raw      raw_len bytes, R and S left-padded with zeros; untouched unless RJ_OK. Must not overlap
 *                   der.
 * In:      raw_len  twice the field's bytes: 64, 96 or 132 for P-256, P-384, P-521.
 *          der      der_len bytes.
 * Source:  RFC 7518 s.3.4; RFC 3279 s.2.2.3; X.690 s.8.3, s.10.1.
 */
RJ_MUST_CHECK rj_status rj_ecdsa_raw_from_der(uint8_t *raw, size_t raw_len, const uint8_t *der, size_t der_len);

#endif
