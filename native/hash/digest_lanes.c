/* digest_lanes.c: the SHA-512 compression function on eight states (FIPS 180-4 s.6.4.2).
 *
 * A lane whose message is at its end keeps its state while longer ones go on.
 */
#include "hash/digest_lanes.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <immintrin.h>
#include <string.h>

#define DIGESTS_TARGET __attribute__((target("avx512f,avx512dq")))
#define DIGESTS_INLINE DIGESTS_TARGET __attribute__((always_inline)) static inline

enum { DIGESTS_BLOCK_BYTES = 128, DIGESTS_ROUNDS = 80, DIGESTS_LENGTH_BYTES = 16 };

/* FIPS 180-4 s.4.2.3 */
static const uint64_t digests_constants[DIGESTS_ROUNDS] = {
    UINT64_C(0x428a2f98d728ae22), UINT64_C(0x7137449123ef65cd), UINT64_C(0xb5c0fbcfec4d3b2f),
    UINT64_C(0xe9b5dba58189dbbc), UINT64_C(0x3956c25bf348b538), UINT64_C(0x59f111f1b605d019),
    UINT64_C(0x923f82a4af194f9b), UINT64_C(0xab1c5ed5da6d8118), UINT64_C(0xd807aa98a3030242),
    UINT64_C(0x12835b0145706fbe), UINT64_C(0x243185be4ee4b28c), UINT64_C(0x550c7dc3d5ffb4e2),
    UINT64_C(0x72be5d74f27b896f), UINT64_C(0x80deb1fe3b1696b1), UINT64_C(0x9bdc06a725c71235),
    UINT64_C(0xc19bf174cf692694), UINT64_C(0xe49b69c19ef14ad2), UINT64_C(0xefbe4786384f25e3),
    UINT64_C(0x0fc19dc68b8cd5b5), UINT64_C(0x240ca1cc77ac9c65), UINT64_C(0x2de92c6f592b0275),
    UINT64_C(0x4a7484aa6ea6e483), UINT64_C(0x5cb0a9dcbd41fbd4), UINT64_C(0x76f988da831153b5),
    UINT64_C(0x983e5152ee66dfab), UINT64_C(0xa831c66d2db43210), UINT64_C(0xb00327c898fb213f),
    UINT64_C(0xbf597fc7beef0ee4), UINT64_C(0xc6e00bf33da88fc2), UINT64_C(0xd5a79147930aa725),
    UINT64_C(0x06ca6351e003826f), UINT64_C(0x142929670a0e6e70), UINT64_C(0x27b70a8546d22ffc),
    UINT64_C(0x2e1b21385c26c926), UINT64_C(0x4d2c6dfc5ac42aed), UINT64_C(0x53380d139d95b3df),
    UINT64_C(0x650a73548baf63de), UINT64_C(0x766a0abb3c77b2a8), UINT64_C(0x81c2c92e47edaee6),
    UINT64_C(0x92722c851482353b), UINT64_C(0xa2bfe8a14cf10364), UINT64_C(0xa81a664bbc423001),
    UINT64_C(0xc24b8b70d0f89791), UINT64_C(0xc76c51a30654be30), UINT64_C(0xd192e819d6ef5218),
    UINT64_C(0xd69906245565a910), UINT64_C(0xf40e35855771202a), UINT64_C(0x106aa07032bbd1b8),
    UINT64_C(0x19a4c116b8d2d0c8), UINT64_C(0x1e376c085141ab53), UINT64_C(0x2748774cdf8eeb99),
    UINT64_C(0x34b0bcb5e19b48a8), UINT64_C(0x391c0cb3c5c95a63), UINT64_C(0x4ed8aa4ae3418acb),
    UINT64_C(0x5b9cca4f7763e373), UINT64_C(0x682e6ff3d6b2b8a3), UINT64_C(0x748f82ee5defb2fc),
    UINT64_C(0x78a5636f43172f60), UINT64_C(0x84c87814a1f0ab72), UINT64_C(0x8cc702081a6439ec),
    UINT64_C(0x90befffa23631e28), UINT64_C(0xa4506cebde82bde9), UINT64_C(0xbef9a3f7b2c67915),
    UINT64_C(0xc67178f2e372532b), UINT64_C(0xca273eceea26619c), UINT64_C(0xd186b8c721c0c207),
    UINT64_C(0xeada7dd6cde0eb1e), UINT64_C(0xf57d4f7fee6ed178), UINT64_C(0x06f067aa72176fba),
    UINT64_C(0x0a637dc5a2c898a6), UINT64_C(0x113f9804bef90dae), UINT64_C(0x1b710b35131c471b),
    UINT64_C(0x28db77f523047d84), UINT64_C(0x32caab7b40c72493), UINT64_C(0x3c9ebe0a15c9bebc),
    UINT64_C(0x431d67c49c100d4c), UINT64_C(0x4cc5d4becb3e42b6), UINT64_C(0x597f299cfc657e2a),
    UINT64_C(0x5fcb6fab3ad6faec), UINT64_C(0x6c44198c4a475817)};

/* FIPS 180-4 s.5.3.5 and s.5.3.4 */
static const uint64_t digests_initial_512[8] = {UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b),
                                                UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
                                                UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
                                                UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179)};
static const uint64_t digests_initial_384[8] = {UINT64_C(0xcbbb9d5dc1059ed8), UINT64_C(0x629a292a367cd507),
                                                UINT64_C(0x9159015a3070dd17), UINT64_C(0x152fecd8f70e5939),
                                                UINT64_C(0x67332667ffc00b31), UINT64_C(0x8eb44a8768581511),
                                                UINT64_C(0xdb0c2e0d64f98fa7), UINT64_C(0x47b5481dbefa4fa4)};

typedef struct {
    __m512i word[8]; /* a to h */
} digests_state;

int rj_digest_lanes_usable(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }

/* The block of head || tail || padding that begins at byte `at`: in place where the tail holds it whole, else
 * put together in `buffer` (FIPS 180-4 s.5.1.2). */
static const uint8_t *lanes_block(uint8_t buffer[DIGESTS_BLOCK_BYTES], const rj_digest_message *message, size_t at)
{
    const size_t total = message->head_len + message->tail_len;
    const size_t end = at + DIGESTS_BLOCK_BYTES;
    size_t filled = 0;

    if (at >= message->head_len && end <= total) {
        return message->tail + (at - message->head_len);
    }
    memset(buffer, 0, DIGESTS_BLOCK_BYTES);
    if (at < message->head_len) {
        filled = message->head_len - at < DIGESTS_BLOCK_BYTES ? message->head_len - at : DIGESTS_BLOCK_BYTES;
        memcpy(buffer, message->head + at, filled);
    }
    if (at + filled < total && filled < DIGESTS_BLOCK_BYTES) {
        size_t left = total - at - filled;
        size_t step = left < DIGESTS_BLOCK_BYTES - filled ? left : DIGESTS_BLOCK_BYTES - filled;
        memcpy(buffer + filled, message->tail + (at + filled - message->head_len), step);
        filled += step;
    }
    if (filled < DIGESTS_BLOCK_BYTES && at + filled == total) {
        buffer[filled] = 0x80;
    }
    if (end >= total + 1 + DIGESTS_LENGTH_BYTES) { /* the last block: the length in bits, 67 of its 128 bits used */
        for (size_t i = 0; i < 8; i++) {
            buffer[DIGESTS_BLOCK_BYTES - 1 - i] = (uint8_t)((uint64_t)total << 3 >> (8 * i));
        }
        buffer[DIGESTS_BLOCK_BYTES - 9] = (uint8_t)((uint64_t)total >> 61);
    }
    return buffer;
}

static size_t lanes_block_count(const rj_digest_message *message)
{
    return (message->head_len + message->tail_len + DIGESTS_LENGTH_BYTES) / DIGESTS_BLOCK_BYTES + 1;
}

static uint64_t lanes_load(const uint8_t *in)
{
    uint64_t word;

    memcpy(&word, in, sizeof(word));
    return __builtin_bswap64(word);
}

static void lanes_store(uint8_t *out, uint64_t word)
{
    word = __builtin_bswap64(word);
    memcpy(out, &word, sizeof(word));
}

#define DIGESTS_XOR3(x, y, z) _mm512_ternarylogic_epi64(x, y, z, 0x96)

/* One round; the caller turns the names instead of the values. */
DIGESTS_INLINE void digests_round(digests_state *s, int t, __m512i scheduled)
{
    __m512i *const w = s->word;
    const __m512i e = w[(12 - t) & 7];
    const __m512i a = w[(8 - t) & 7];
    const __m512i big1 = DIGESTS_XOR3(_mm512_ror_epi64(e, 14), _mm512_ror_epi64(e, 18), _mm512_ror_epi64(e, 41));
    const __m512i choice = _mm512_ternarylogic_epi64(e, w[(13 - t) & 7], w[(14 - t) & 7], 0xca);
    const __m512i big0 = DIGESTS_XOR3(_mm512_ror_epi64(a, 28), _mm512_ror_epi64(a, 34), _mm512_ror_epi64(a, 39));
    const __m512i majority = _mm512_ternarylogic_epi64(a, w[(9 - t) & 7], w[(10 - t) & 7], 0xe8);
    const __m512i t1 = _mm512_add_epi64(_mm512_add_epi64(w[(15 - t) & 7], scheduled), _mm512_add_epi64(big1, choice));

    w[(11 - t) & 7] = _mm512_add_epi64(w[(11 - t) & 7], t1);
    w[(15 - t) & 7] = _mm512_add_epi64(t1, _mm512_add_epi64(big0, majority));
}

/* The next word of the message schedule, in the place of the oldest. */
DIGESTS_INLINE void digests_schedule(__m512i words[16], int t)
{
    const __m512i w15 = words[(t + 1) & 15];
    const __m512i w2 = words[(t + 14) & 15];
    const __m512i small0 = DIGESTS_XOR3(_mm512_ror_epi64(w15, 1), _mm512_ror_epi64(w15, 8), _mm512_srli_epi64(w15, 7));
    const __m512i small1 = DIGESTS_XOR3(_mm512_ror_epi64(w2, 19), _mm512_ror_epi64(w2, 61), _mm512_srli_epi64(w2, 6));

    words[t] = _mm512_add_epi64(_mm512_add_epi64(words[t], words[(t + 9) & 15]), _mm512_add_epi64(small0, small1));
}

DIGESTS_INLINE void digests_sixteen_rounds(digests_state *s, __m512i words[16], const uint64_t *constants, int schedule)
{
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) {
        if (schedule) {
            digests_schedule(words, t);
        }
        digests_round(s, t, _mm512_add_epi64(words[t], _mm512_set1_epi64((long long)constants[t])));
    }
}

/* Take one block into each lane of `active`. */
DIGESTS_TARGET static void lanes_compress(digests_state *state, const uint64_t block[16][RJ_DIGEST_LANES],
                                          unsigned active)
{
    digests_state s = *state;
    __m512i words[16];

    for (int t = 0; t < 16; t++) {
        words[t] = _mm512_load_si512(block[t]);
    }
    digests_sixteen_rounds(&s, words, digests_constants, 0);
    for (int t = 16; t < DIGESTS_ROUNDS; t += 16) {
        digests_sixteen_rounds(&s, words, digests_constants + t, 1);
    }
    for (int i = 0; i < 8; i++) {
        state->word[i] = _mm512_mask_add_epi64(state->word[i], (__mmask8)active, state->word[i], s.word[i]);
    }
}

DIGESTS_TARGET static void lanes_run(uint8_t digests[RJ_DIGEST_LANES][RJ_DIGEST_MAX_BYTES], const uint64_t initial[8],
                                     size_t digest_bytes, const rj_digest_message messages[RJ_DIGEST_LANES])
{
    _Alignas(64) uint64_t block[16][RJ_DIGEST_LANES] = {{0}};
    uint64_t words[8][RJ_DIGEST_LANES];
    size_t counts[RJ_DIGEST_LANES];
    size_t most = 0;
    digests_state state;

    for (int i = 0; i < 8; i++) {
        state.word[i] = _mm512_set1_epi64((long long)initial[i]);
        counts[i] = lanes_block_count(&messages[i]);
        most = counts[i] > most ? counts[i] : most;
    }
    for (size_t n = 0; n < most; n++) {
        unsigned active = 0;

        for (size_t lane = 0; lane < RJ_DIGEST_LANES; lane++) {
            uint8_t buffer[DIGESTS_BLOCK_BYTES];
            if (n < counts[lane]) {
                const uint8_t *in = lanes_block(buffer, &messages[lane], n * DIGESTS_BLOCK_BYTES);
                for (size_t t = 0; t < 16; t++) {
                    block[t][lane] = lanes_load(in + 8 * t);
                }
                active |= 1u << lane;
            }
        }
        lanes_compress(&state, (const uint64_t (*)[RJ_DIGEST_LANES])block, active);
    }
    for (int i = 0; i < 8; i++) {
        _mm512_storeu_si512(words[i], state.word[i]);
    }
    for (size_t lane = 0; lane < RJ_DIGEST_LANES; lane++) {
        for (size_t i = 0; i < digest_bytes / 8; i++) {
            lanes_store(digests[lane] + 8 * i, words[i][lane]);
        }
    }
}

rj_status rj_digest_lanes(uint8_t digests[RJ_DIGEST_LANES][RJ_DIGEST_MAX_BYTES], rj_digest_id id,
                          const rj_digest_message messages[RJ_DIGEST_LANES])
{
    if ((id != RJ_SHA512 && id != RJ_SHA384) || !rj_digest_lanes_usable()) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: digest.h serves these */
    }
    lanes_run(digests, id == RJ_SHA512 ? digests_initial_512 : digests_initial_384, rj_digest_bytes(id), messages);
    return RJ_OK;
}

#else

int rj_digest_lanes_usable(void) { return 0; }

rj_status rj_digest_lanes(uint8_t digests[RJ_DIGEST_LANES][RJ_DIGEST_MAX_BYTES], rj_digest_id id,
                          const rj_digest_message messages[RJ_DIGEST_LANES])
{
    (void)digests;
    (void)id;
    (void)messages;
    return RJ_BAD_ARGUMENT; /* a caller's mistake: rj_digest_lanes_usable() is false */
}

#endif
