/* ed25519_verify.c: from signatures to verdicts (RFC 8032 s.5.1.7, the equation without the cofactor).
 *
 * libcrypto's order of checks: S below L, then R compared as bytes with the encoding of [S]B - [k]A.
 */
#include "ec/ed25519_internal.h"

#if RJ_HAVE_ED25519

#include <string.h>

#include "hash/digest.h"
#include "hash/digest_lanes.h"

enum {
    VERIFY_LANES_MIN = 5, /* fewer signatures than this are faster one after another */
    VERIFY_HASH_MIN = 3   /* and fewer messages than this */
};

/* What each signature of a batch leaves behind until the inversion. */
typedef struct {
    ed25519_point sum; /* t is free: the running product of Z goes there */
    size_t index;
} verify_pending;

/* Up to eight signatures that are summed together. */
typedef struct {
    ed25519_choice choices[ED25519_LANES][ED25519_POINTS];
    verify_pending *pending;
    size_t count;
} verify_chunk;

/* hash64 = SHA-512(R || A || M). Returns 1, or 0 if the digest cannot be had. */
static int verify_hash(uint8_t hash64[RJ_DIGEST_MAX_BYTES], const rj_signature_check *check)
{
    rj_digest_state state;

    if (rj_digest_start(&state, RJ_SHA512) != RJ_OK) {
        return 0;
    }
    rj_digest_update(&state, check->signature.ptr, 32);
    rj_digest_update(&state, check->key.ed25519->key32, RJ_ED25519_KEY_BYTES);
    rj_digest_update(&state, check->input.ptr, check->input.len);
    rj_digest_finish(&state, hash64);
    return 1;
}

/* The same for `count` items at once. */
static int verify_hash_lanes(uint8_t hashes[ED25519_LANES][RJ_DIGEST_MAX_BYTES],
                             const rj_signature_check *const *checks, const verify_pending *pending, size_t count)
{
    uint8_t heads[ED25519_LANES][64];
    rj_digest_message messages[ED25519_LANES] = {{NULL, 0, NULL, 0}};

    for (size_t i = 0; i < count; i++) {
        const rj_signature_check *check = checks[pending[i].index];
        memcpy(heads[i], check->signature.ptr, 32);
        memcpy(heads[i] + 32, check->key.ed25519->key32, RJ_ED25519_KEY_BYTES);
        messages[i] = (rj_digest_message){heads[i], sizeof(heads[i]), check->input.ptr, check->input.len};
    }
    return rj_digest_lanes(hashes, RJ_SHA512, messages) == RJ_OK;
}

/* The table points of S and of k = hash mod L (RFC 8032 s.5.1.7 step 2). */
static void verify_choose(ed25519_choice choices[ED25519_POINTS], const rj_signature_check *check,
                          const uint8_t hash64[RJ_DIGEST_MAX_BYTES])
{
    uint8_t scalar32[32];

    rj_ed25519_scalar_reduce(scalar32, hash64);
    rj_ed25519_choose(choices, check->generator.ed25519, check->signature.ptr + 32);
    rj_ed25519_choose(choices + ED25519_WINDOWS, check->key.ed25519, scalar32);
}

static int verify_fits(const rj_signature_check *check, uint32_t lanes)
{
    const rj_ed25519_table *key = check->key.ed25519, *generator = check->generator.ed25519;

    return generator->generator == 1 && key->generator == 0 && generator->lanes == lanes && key->lanes == lanes
        && check->signature.len == RJ_ED25519_SIGNATURE_BYTES;
}

static uint8_t verify_compare(const rj_signature_check *check, const ed25519_point *sum, const f25519 *z_inverse)
{
    uint8_t encoded32[32];

    rj_ed25519_encode(encoded32, &sum->x, &sum->y, z_inverse);
    if (memcmp(encoded32, check->signature.ptr, sizeof(encoded32)) != 0) {
        return RJ_SIGNATURE_INVALID; /* RFC 8032 s.5.1.7 step 3: the group equation */
    }
    return RJ_OK;
}

static void verify_sum(ed25519_point *sum, const ed25519_choice choices[ED25519_POINTS], uint32_t lanes)
{
    if (lanes != 0) {
        rj_ed25519_sum_lanes(sum, choices);
    } else {
        rj_ed25519_sum(sum, choices);
    }
}

rj_status rj_ed25519_verify_one(uint8_t *verdict, const rj_signature_check *check)
{
    ed25519_choice choices[ED25519_POINTS];
    uint8_t hash64[RJ_DIGEST_MAX_BYTES];
    ed25519_point sum;
    f25519 inverse;

    if (!verify_fits(check, check->key.ed25519->lanes)) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: tables of different arithmetic, swapped, or another length */
    }
    *verdict = RJ_UNDECIDED;
    if (!rj_ed25519_scalar_is_reduced(check->signature.ptr + 32)) {
        *verdict = RJ_SIGNATURE_INVALID; /* RFC 8032 s.5.1.7 step 1: S in 0 <= s < L */
    } else if (verify_hash(hash64, check)) {
        verify_choose(choices, check, hash64);
        verify_sum(&sum, choices, check->key.ed25519->lanes);
        if (rj_ed25519_invert(&inverse, &sum.z)) {
            *verdict = verify_compare(check, &sum, &inverse);
        }
    }
    return RJ_OK;
}

/* Hash and sum a chunk. Returns 1, or 0 if a digest cannot be had: the whole batch stays undecided. */
static int verify_sum_chunk(verify_chunk *chunk, const rj_signature_check *const *checks, uint32_t lanes)
{
    uint8_t hashes[ED25519_LANES][RJ_DIGEST_MAX_BYTES];
    ed25519_point sums[ED25519_LANES];
    const size_t count = chunk->count;
    verify_pending *pending = chunk->pending;
    const int together = lanes != 0 && count >= VERIFY_HASH_MIN;

    if (together && !verify_hash_lanes(hashes, checks, pending, count)) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (!together && !verify_hash(hashes[i], checks[pending[i].index])) {
            return 0;
        }
        verify_choose(chunk->choices[i], checks[pending[i].index], hashes[i]);
        if (lanes == 0 || count < VERIFY_LANES_MIN) {
            verify_sum(&pending[i].sum, chunk->choices[i], lanes);
        }
    }
    if (lanes == 0 || count < VERIFY_LANES_MIN) {
        return 1;
    }
    for (size_t i = count; i < ED25519_LANES; i++) { /* idle lanes repeat the first */
        memcpy(chunk->choices[i], chunk->choices[0], sizeof(chunk->choices[i]));
    }
    rj_ed25519_sum8(sums, (const ed25519_choice(*)[ED25519_POINTS])chunk->choices);
    for (size_t i = 0; i < count; i++) {
        pending[i].sum = sums[i];
    }
    return 1;
}

/* Share one inversion among all sums (Montgomery's trick), then compare. */
static void verify_sums(uint8_t *verdicts, const rj_signature_check *const *checks, verify_pending *pending,
                        size_t count)
{
    f25519 inverse = f25519_one;

    for (size_t i = 0; i < count; i++) {
        pending[i].sum.t = inverse;
        f25519_multiply(&inverse, &inverse, &pending[i].sum.z);
    }
    if (!rj_ed25519_invert(&inverse, &inverse)) {
        return; /* a Z of zero cannot be; all stay undecided */
    }
    for (size_t i = count; i-- > 0;) {
        f25519 z_inverse;

        f25519_multiply(&z_inverse, &inverse, &pending[i].sum.t);
        f25519_multiply(&inverse, &inverse, &pending[i].sum.z);
        verdicts[pending[i].index] = verify_compare(checks[pending[i].index], &pending[i].sum, &z_inverse);
    }
}

size_t rj_ed25519_work_bytes(size_t n)
{
    return sizeof(verify_chunk) + n * sizeof(verify_pending) + _Alignof(max_align_t);
}

rj_status rj_ed25519_verify_batch(uint8_t *verdicts, const rj_signature_check *const *checks, size_t n, void *work,
                                  size_t work_bytes)
{
    const size_t alignment = _Alignof(max_align_t);
    verify_chunk *chunk;
    verify_pending *pending;
    int summed = 1;

    if (work_bytes < rj_ed25519_work_bytes(n)) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: ask rj_ed25519_work_bytes */
    }
    for (size_t i = 0; i < n; i++) {
        if (!verify_fits(checks[i], checks[0]->key.ed25519->lanes)) {
            return RJ_BAD_ARGUMENT; /* a caller's mistake: tables of different arithmetic, swapped, or another length */
        }
    }
    chunk = (verify_chunk *)(void *)((uint8_t *)work + (alignment - (uintptr_t)work % alignment));
    pending = (verify_pending *)(void *)(chunk + 1);
    chunk->pending = pending;
    chunk->count = 0;
    for (size_t i = 0; i < n; i++) {
        verdicts[i] = RJ_UNDECIDED;
        if (rj_ed25519_scalar_is_reduced(checks[i]->signature.ptr + 32)) {
            chunk->pending[chunk->count++].index = i;
        } else {
            verdicts[i] = RJ_SIGNATURE_INVALID; /* RFC 8032 s.5.1.7 step 1: S in 0 <= s < L */
        }
        if (chunk->count == ED25519_LANES || (i + 1 == n && chunk->count > 0)) {
            summed = summed && verify_sum_chunk(chunk, checks, checks[0]->key.ed25519->lanes);
            chunk->pending += chunk->count;
            chunk->count = 0;
        }
    }
    if (summed) {
        verify_sums(verdicts, checks, pending, (size_t)(chunk->pending - pending));
    }
    return RJ_OK;
}

#else
typedef int ed25519_verify_empty;
#endif
