/* rsa_padding.c: the two encodings of RFC 8017 s.9, checked and never produced.
 *
 * No constant-time duty: an encoded message is recovered from public values alone.
 */
#include "rsa/rsa_padding.h"

#include <string.h>

/* DER of DigestInfo up to the digest, AlgorithmIdentifier parameters NULL (RFC 8017 s.9.2 note 1). */
enum { PADDING_PREFIX_BYTES = 19 };
static const uint8_t padding_sha256[PADDING_PREFIX_BYTES] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                                             0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
static const uint8_t padding_sha384[PADDING_PREFIX_BYTES] = {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                                             0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30};
static const uint8_t padding_sha512[PADDING_PREFIX_BYTES] = {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                                             0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40};

static const uint8_t *padding_prefix(rj_digest_id id)
{
    switch (id) {
    case RJ_SHA256:
        return padding_sha256;
    case RJ_SHA384:
        return padding_sha384;
    case RJ_SHA512:
        return padding_sha512;
    }
    return NULL;
}

rj_status rj_rsa_check_pkcs1(const uint8_t *em, size_t em_len, rj_digest_id id, const uint8_t *digest)
{
    const uint8_t *prefix = padding_prefix(id);
    size_t digest_bytes = rj_digest_bytes(id);
    size_t fill_bytes;
    unsigned differs;

    if (prefix == NULL) {
        return RJ_BAD_ARGUMENT; /* RFC 7518 s.3.3: SHA-256, SHA-384 or SHA-512 */
    }
    if (em_len < PADDING_PREFIX_BYTES + digest_bytes + 11) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.9.2 step 3: intended encoded message length too short */
    }
    /* RFC 8017 s.9.2 step 5: EM = 00 || 01 || FF .. FF || 00 || T, and s.8.2.2 step 4: equal, whole */
    fill_bytes = em_len - 3 - PADDING_PREFIX_BYTES - digest_bytes;
    differs = em[0] | (em[1] ^ 0x01u) | em[2 + fill_bytes];
    for (size_t i = 0; i < fill_bytes; i++) {
        differs |= em[2 + i] ^ 0xffu;
    }
    em += 3 + fill_bytes;
    differs |= memcmp(em, prefix, PADDING_PREFIX_BYTES) != 0;
    differs |= memcmp(em + PADDING_PREFIX_BYTES, digest, digest_bytes) != 0;
    return differs == 0 ? RJ_OK : RJ_SIGNATURE_INVALID;
}

/* XOR MGF1(seed) into out (RFC 8017 B.2.1); seed is one digest long. */
static rj_status padding_xor_mgf1(uint8_t *out, size_t len, rj_digest_id id, const uint8_t *seed)
{
    size_t digest_bytes = rj_digest_bytes(id);
    rj_digest_state seeded;

    if (rj_digest_start(&seeded, id) != RJ_OK) {
        return RJ_BAD_ARGUMENT;
    }
    rj_digest_update(&seeded, seed, digest_bytes);
    for (uint32_t counter = 0; len > 0; counter++) {
        const uint8_t counter_bytes[4] = {(uint8_t)(counter >> 24), (uint8_t)(counter >> 16), (uint8_t)(counter >> 8),
                                          (uint8_t)counter};
        uint8_t mask[RJ_DIGEST_MAX_BYTES];
        size_t step = len < digest_bytes ? len : digest_bytes;
        rj_digest_state state = seeded;

        rj_digest_update(&state, counter_bytes, sizeof(counter_bytes));
        rj_digest_finish(&state, mask);
        for (size_t i = 0; i < step; i++) {
            out[i] ^= mask[i];
        }
        out += step;
        len -= step;
    }
    return RJ_OK;
}

/* H' = Hash(eight zero bytes || mHash || salt) equals H (RFC 8017 s.9.1.2 steps 12 to 14). */
static rj_status padding_check_salted(const uint8_t *salt, const uint8_t *h, rj_digest_id id, const uint8_t *digest)
{
    static const uint8_t zeros[8];
    uint8_t again[RJ_DIGEST_MAX_BYTES];
    size_t digest_bytes = rj_digest_bytes(id);
    rj_digest_state state;

    if (rj_digest_start(&state, id) != RJ_OK) {
        return RJ_BAD_ARGUMENT;
    }
    rj_digest_update(&state, zeros, sizeof(zeros));
    rj_digest_update(&state, digest, digest_bytes);
    rj_digest_update(&state, salt, digest_bytes);
    rj_digest_finish(&state, again);
    return memcmp(again, h, digest_bytes) == 0 ? RJ_OK : RJ_SIGNATURE_INVALID;
}

rj_status rj_rsa_check_pss(uint8_t *em, size_t em_len, size_t modulus_bits, rj_digest_id id, const uint8_t *digest)
{
    size_t digest_bytes = rj_digest_bytes(id);
    unsigned spare_bits;
    size_t db_bytes;
    size_t zero_bytes;
    const uint8_t *h;
    unsigned differs = 0;

    if (digest_bytes == 0 || modulus_bits < 9 || em_len != (modulus_bits + 7) / 8) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: RFC 7518 s.3.5 names three digests */
    }
    spare_bits = (unsigned)((8 - (modulus_bits - 1) % 8) % 8);
    if (spare_bits == 0) {
        if (em[0] != 0) {
            return RJ_SIGNATURE_INVALID; /* RFC 8017 s.8.1.2 step 2c: m does not fit emLen octets */
        }
        em++;
        em_len--;
    }
    if (em_len < 2 * digest_bytes + 2) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.9.1.2 step 3: emLen < hLen + sLen + 2 */
    }
    if (em[em_len - 1] != 0xbc) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.9.1.2 step 4: trailer field */
    }
    if ((em[0] & ~(0xffu >> spare_bits)) != 0) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.9.1.2 step 6: leftmost 8emLen - emBits bits are zero */
    }
    db_bytes = em_len - digest_bytes - 1;
    zero_bytes = db_bytes - digest_bytes - 1;
    h = em + db_bytes;
    if (padding_xor_mgf1(em, db_bytes, id, h) != RJ_OK) {
        return RJ_BAD_ARGUMENT;
    }
    em[0] &= (uint8_t)(0xffu >> spare_bits);
    for (size_t i = 0; i < zero_bytes; i++) {
        differs |= em[i];
    }
    if (differs != 0 || em[zero_bytes] != 0x01) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.9.1.2 step 10: PS of zeros, then 01, so sLen is hLen */
    }
    return padding_check_salted(em + zero_bytes + 1, h, id, digest);
}
