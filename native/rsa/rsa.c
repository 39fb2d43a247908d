/* rsa.c: s^e mod n, then the padding check, alone or in lanes (RFC 8017 s.8).
 *
 * BN_CTX and the numbers of libcrypto's path live with the work object, so after the first nothing is allocated.
 */
#include "rsa/rsa.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "rsa/rsa52.h"
#include "rsa/rsa_key.h"
#include "rsa/rsa_padding.h"

enum {
    RSA_LANES_MIN = 3, /* below it, one after another is faster than lanes that idle */
    RSA_CLASSES = 3    /* lanes are shared by keys of 40, of 60 and of 80 digits */
};

struct rj_rsa_work {
    rj_rsa52_work lanes;
    void *memory; /* what was allocated; the object is the first aligned place in it */
    BN_CTX *bn;
    BIGNUM *signature; /* s */
    BIGNUM *base;      /* s in Montgomery form */
    BIGNUM *power;     /* the running power */
    uint64_t lane_digits[RJ_RSA52_MAX_DIGITS];
    uint8_t em[RJ_RSA_MAX_BYTES];
};

/* Signatures of one digit count that wait for others to share the lanes. */
typedef struct {
    size_t index[RJ_RSA52_LANES];
    size_t count;
} rsa_waiting;

rj_status rj_rsa_work_new(rj_rsa_work **out)
{
    const size_t alignment = _Alignof(rj_rsa_work);
    uint8_t *memory = OPENSSL_zalloc(sizeof(rj_rsa_work) + alignment);
    rj_rsa_work *work;

    if (memory == NULL) {
        return RJ_NO_MEMORY;
    }
    work = (rj_rsa_work *)(void *)(memory + (alignment - (uintptr_t)memory % alignment));
    work->memory = memory;
    work->bn = BN_CTX_new();
    work->signature = BN_new();
    work->base = BN_new();
    work->power = BN_new();
    if (work->bn == NULL || work->signature == NULL || work->base == NULL || work->power == NULL) {
        rj_rsa_work_free(work);
        return RJ_NO_MEMORY;
    }
    *out = work;
    return RJ_OK;
}

void rj_rsa_work_free(rj_rsa_work *work)
{
    if (work != NULL) {
        BN_CTX_free(work->bn);
        BN_free(work->signature);
        BN_free(work->base);
        BN_free(work->power);
        OPENSSL_free(work->memory);
    }
}

/* Read s as digits; RJ_SIGNATURE_INVALID unless it has the right length and is below n. */
static rj_status rsa_read_digits(uint64_t *out, const rj_rsa_key *key, const uint8_t *signature, size_t signature_len)
{
    size_t digits = key->digits->digits;

    if (signature_len != key->modulus_bytes) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.8.1.2 and s.8.2.2 step 1: k octets */
    }
    rj_rsa52_from_bytes(out, digits, signature, signature_len);
    for (size_t i = digits; i-- > 0;) {
        if (out[i] != key->digits->words[i]) {
            /* RFC 8017 s.5.2.2 step 1: signature representative out of range */
            return out[i] < key->digits->words[i] ? RJ_OK : RJ_SIGNATURE_INVALID;
        }
    }
    return RJ_SIGNATURE_INVALID; /* RFC 8017 s.5.2.2 step 1: s = n is out of range */
}

/* work->em = s^e mod n by libcrypto (RFC 8017 s.5.2.2). */
static rj_status rsa_recover_mont(rj_rsa_work *work, const rj_rsa_key *key, const uint8_t *signature,
                                  size_t signature_len)
{
    int bit = 63;
    int fine;

    if (signature_len != key->modulus_bytes) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.8.1.2 and s.8.2.2 step 1: k octets */
    }
    if (BN_bin2bn(signature, (int)signature_len, work->signature) == NULL) {
        return RJ_LIBCRYPTO_FAILED;
    }
    if (BN_ucmp(work->signature, key->modulus) >= 0) {
        return RJ_SIGNATURE_INVALID; /* RFC 8017 s.5.2.2 step 1: signature representative out of range */
    }
    while ((key->exponent >> bit & 1) == 0) {
        bit--;
    }
    fine = BN_to_montgomery(work->base, work->signature, key->mont, work->bn) == 1
        && BN_copy(work->power, work->base) != NULL;
    while (fine && bit-- > 0) {
        fine = BN_mod_mul_montgomery(work->power, work->power, work->power, key->mont, work->bn) == 1;
        if (fine && (key->exponent >> bit & 1) != 0) {
            /* the last factor is the plain s: that also leaves the Montgomery form */
            fine = BN_mod_mul_montgomery(work->power, work->power, bit == 0 ? work->signature : work->base, key->mont,
                                         work->bn)
                == 1;
        }
    }
    if (!fine || BN_bn2binpad(work->power, work->em, (int)key->modulus_bytes) < 0) {
        return RJ_LIBCRYPTO_FAILED;
    }
    return RJ_OK;
}

static rj_status rsa_recover(rj_rsa_work *work, const rj_rsa_key *key, const uint8_t *signature, size_t signature_len)
{
    rj_status status;

    if (key->digits != NULL) {
        status = rsa_read_digits(work->lane_digits, key, signature, signature_len);
        if (status == RJ_OK) {
            rj_rsa52_power(work->lane_digits, key->digits, work->lane_digits, key->exponent);
            rj_rsa52_to_bytes(work->em, key->modulus_bytes, work->lane_digits, key->digits->digits);
        }
        return status;
    }
    (void)ERR_set_mark();
    status = rsa_recover_mont(work, key, signature, signature_len);
    (void)ERR_pop_to_mark();
    return status;
}

rj_status rj_rsa_verify_pkcs1(rj_rsa_work *work, const rj_rsa_key *key, rj_digest_id id, const uint8_t *digest,
                              const uint8_t *signature, size_t signature_len)
{
    rj_status status = rsa_recover(work, key, signature, signature_len);

    return status == RJ_OK ? rj_rsa_check_pkcs1(work->em, key->modulus_bytes, id, digest) : status;
}

rj_status rj_rsa_verify_pss(rj_rsa_work *work, const rj_rsa_key *key, rj_digest_id id, const uint8_t *digest,
                            const uint8_t *signature, size_t signature_len)
{
    rj_status status = rsa_recover(work, key, signature, signature_len);

    return status == RJ_OK ? rj_rsa_check_pss(work->em, key->modulus_bytes, key->modulus_bits, id, digest) : status;
}

static rj_status rsa_check_em(uint8_t *em, const rj_signature_check *check)
{
    const rj_rsa_key *key = check->key.rsa;
    rj_digest_id id = (rj_digest_id)check->digest_id;

    if (check->digest.len != rj_digest_bytes(id)) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: a digest of another kind */
    }
    switch ((rj_rsa_padding)check->padding) {
    case RJ_RSA_PKCS1:
        return rj_rsa_check_pkcs1(em, key->modulus_bytes, id, check->digest.ptr);
    case RJ_RSA_PSS:
        return rj_rsa_check_pss(em, key->modulus_bytes, key->modulus_bits, id, check->digest.ptr);
    }
    return RJ_BAD_ARGUMENT; /* a caller's mistake: RFC 7518 s.3.1 knows two paddings */
}

static rj_status rsa_verify_alone(rj_rsa_work *work, const rj_signature_check *check)
{
    rj_status status = rsa_recover(work, check->key.rsa, check->signature.ptr, check->signature.len);

    return status == RJ_OK ? rsa_check_em(work->em, check) : status;
}

/* Decide all that wait: in lanes if that pays, idle lanes repeating the first. */
static void rsa_flush(rj_rsa_work *work, uint8_t *verdicts, const rj_signature_check *const *checks,
                      rsa_waiting *waiting)
{
    const rj_rsa52_modulus *modulus[RJ_RSA52_LANES];
    size_t count = waiting->count;

    waiting->count = 0;
    if (count < RSA_LANES_MIN) {
        for (size_t i = 0; i < count; i++) {
            verdicts[waiting->index[i]] = (uint8_t)rsa_verify_alone(work, checks[waiting->index[i]]);
        }
        return;
    }
    for (size_t lane = 0; lane < RJ_RSA52_LANES; lane++) {
        const rj_signature_check *check = checks[waiting->index[lane < count ? lane : 0]];
        modulus[lane] = check->key.rsa->digits;
        rj_rsa52_from_bytes(work->lane_digits, modulus[lane]->digits, check->signature.ptr, check->signature.len);
        for (size_t i = 0; i < modulus[lane]->digits; i++) {
            work->lanes.base[i][lane] = work->lane_digits[i];
        }
    }
    rj_rsa52_power8(&work->lanes, modulus, RJ_RSA_LANE_EXPONENT);
    for (size_t lane = 0; lane < count; lane++) {
        const rj_signature_check *check = checks[waiting->index[lane]];
        for (size_t i = 0; i < modulus[lane]->digits; i++) {
            work->lane_digits[i] = work->lanes.power[i][lane];
        }
        rj_rsa52_to_bytes(work->em, check->key.rsa->modulus_bytes, work->lane_digits, modulus[lane]->digits);
        verdicts[waiting->index[lane]] = (uint8_t)rsa_check_em(work->em, check);
    }
}

void rj_rsa_verify_batch(rj_rsa_work *work, uint8_t *verdicts, const rj_signature_check *const *checks, size_t count)
{
    rsa_waiting waiting[RSA_CLASSES] = {{{0}, 0}};

    for (size_t i = 0; i < count; i++) {
        const rj_rsa_key *key = checks[i]->key.rsa;
        rsa_waiting *queue;

        verdicts[i] = RJ_UNDECIDED;
        if (key->digits == NULL || key->exponent != RJ_RSA_LANE_EXPONENT) {
            verdicts[i] = (uint8_t)rsa_verify_alone(work, checks[i]);
            continue;
        }
        if (rsa_read_digits(work->lane_digits, key, checks[i]->signature.ptr, checks[i]->signature.len) != RJ_OK) {
            verdicts[i] = RJ_SIGNATURE_INVALID; /* RFC 8017 s.5.2.2 step 1, as for one alone */
            continue;
        }
        queue = &waiting[key->digits->digits / 20 - 2];
        queue->index[queue->count++] = i;
        if (queue->count == RJ_RSA52_LANES) {
            rsa_flush(work, verdicts, checks, queue);
        }
    }
    for (size_t i = 0; i < RSA_CLASSES; i++) {
        rsa_flush(work, verdicts, checks, &waiting[i]);
    }
}
