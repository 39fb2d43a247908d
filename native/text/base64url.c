/* base64url.c: strict base64url in three lanes that give the same verdict: a table everywhere, AVX2 or
 * AVX-512 VBMI where the running CPU has them. Length and trailing bits are judged once, before the lanes; a lane
 * only looks for characters outside the alphabet.
 */
#include "text/base64url.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RJ_PORTABLE_ONLY)
#define BASE64URL_X86 1
#include <immintrin.h>
#endif

/* The value of a character, RFC 4648 s.5 table 2; 0xff, whose top bit no value has, for every other byte. */
#define V1(c)                                                                                                          \
    ((c) >= 'A' && (c) <= 'Z'   ? (c) - 'A'                                                                            \
     : (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26                                                                       \
     : (c) >= '0' && (c) <= '9' ? (c) - '0' + 52                                                                       \
     : (c) == '-'               ? 62                                                                                   \
     : (c) == '_'               ? 63                                                                                   \
                                : 0xff)
#define V4(c) V1(c), V1((c) + 1), V1((c) + 2), V1((c) + 3)
#define V16(c) V4(c), V4((c) + 4), V4((c) + 8), V4((c) + 12)
#define V64(c) V16(c), V16((c) + 16), V16((c) + 32), V16((c) + 48)

static const uint8_t base64url_value[256] = {V64(0), V64(64), V64(128), V64(192)};
static const char base64url_alphabet[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define BASE64URL_BAD 0x80u

/* Whether a text of this length, ending so, can be the one spelling of some bytes. */
static int base64url_ends_well(const uint8_t *text, size_t text_len)
{
    switch (text_len % 4) {
    case 1:
        return 0; /* RFC 4648 s.4: a quantum of 6 bits holds no byte */
    case 2:
        return (base64url_value[text[text_len - 1]] & 0x0f) == 0; /* RFC 4648 s.3.5: pad bits are zero */
    case 3:
        return (base64url_value[text[text_len - 1]] & 0x03) == 0; /* RFC 4648 s.3.5: pad bits are zero */
    default:
        return 1;
    }
}

/* A lane decodes text_len characters, text_len % 4 != 1, and returns nonzero if one was not in the alphabet. */
static unsigned base64url_decode_table(uint8_t *out, const uint8_t *text, size_t text_len)
{
    unsigned bad = 0;
    while (text_len >= 4) {
        unsigned a = base64url_value[text[0]], b = base64url_value[text[1]];
        unsigned c = base64url_value[text[2]], d = base64url_value[text[3]];
        bad |= a | b | c | d;
        out[0] = (uint8_t)(a << 2 | b >> 4);
        out[1] = (uint8_t)(b << 4 | c >> 2);
        out[2] = (uint8_t)(c << 6 | d);
        text += 4;
        text_len -= 4;
        out += 3;
    }
    if (text_len >= 2) {
        unsigned a = base64url_value[text[0]], b = base64url_value[text[1]];
        bad |= a | b;
        out[0] = (uint8_t)(a << 2 | b >> 4);
        if (text_len == 3) {
            unsigned c = base64url_value[text[2]];
            bad |= c;
            out[1] = (uint8_t)(b << 4 | c >> 2);
        }
    }
    return bad & BASE64URL_BAD;
}

static unsigned base64url_check_table(const uint8_t *text, size_t text_len)
{
    unsigned bad = 0;
    for (size_t i = 0; i < text_len; i++) {
        bad |= base64url_value[text[i]];
    }
    return bad & BASE64URL_BAD;
}

#ifdef BASE64URL_X86

#define BASE64URL_AVX2 __attribute__((target("avx2")))
#define BASE64URL_VBMI __attribute__((target("avx512f,avx512bw,avx512vbmi")))

/* 32 characters to 32 values. A character is bad where the class of its high nibble is among those that its
 * low nibble excludes: bit 0 is 2x, bit 1 3x, bit 2 4x and 6x, bit 3 5x, bit 4 7x, bit 5 all the others. */
BASE64URL_AVX2 static inline __m256i base64url_values_avx2(__m256i *bad, __m256i text)
{
    const __m256i class_of_high =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(32, 32, 1, 2, 4, 8, 4, 16, 32, 32, 32, 32, 32, 32, 32, 32));
    const __m256i excluded_by_low = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(32 + 1 + 4, 32 + 1, 32 + 1, 32 + 1, 32 + 1, 32 + 1, 32 + 1, 32 + 1, 32 + 1, 32 + 1, 32 + 1 + 2,
                      32 + 1 + 2 + 8 + 16, 32 + 1 + 2 + 8 + 16, 32 + 2 + 8 + 16, 32 + 1 + 2 + 8 + 16, 32 + 1 + 2 + 16));
    const __m256i step_of_high = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 0, 62 - '-', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i low_nibble = _mm256_set1_epi8(0x0f);
    __m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), low_nibble);
    __m256i low = _mm256_and_si256(text, low_nibble);
    __m256i is_underscore = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('_'));
    __m256i step = _mm256_add_epi8(_mm256_shuffle_epi8(step_of_high, high),
                                   _mm256_and_si256(is_underscore, _mm256_set1_epi8(63 - '_' + 'A')));
    *bad = _mm256_or_si256(
        *bad, _mm256_and_si256(_mm256_shuffle_epi8(class_of_high, high), _mm256_shuffle_epi8(excluded_by_low, low)));
    return _mm256_add_epi8(text, step);
}

BASE64URL_AVX2 static unsigned base64url_decode_avx2(uint8_t *out, const uint8_t *text, size_t text_len)
{
    const __m256i gather =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    const __m256i join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 0, 0);
    const __m256i first24 = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, 0, 0);
    __m256i bad = _mm256_setzero_si256();
    while (text_len >= 32) {
        __m256i v = base64url_values_avx2(&bad, _mm256_loadu_si256((const __m256i *)(const void *)text));
        v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140)); /* 6 + 6 bits to 12 */
        v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));    /* 12 + 12 bits to 24 */
        v = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v, gather), join);
        _mm256_maskstore_epi32((int *)(void *)out, first24, v);
        text += 32;
        text_len -= 32;
        out += 24;
    }
    return (unsigned)!_mm256_testz_si256(bad, bad) | base64url_decode_table(out, text, text_len);
}

BASE64URL_AVX2 static unsigned base64url_check_avx2(const uint8_t *text, size_t text_len)
{
    __m256i bad = _mm256_setzero_si256();
    while (text_len >= 32) {
        (void)base64url_values_avx2(&bad, _mm256_loadu_si256((const __m256i *)(const void *)text));
        text += 32;
        text_len -= 32;
    }
    return (unsigned)!_mm256_testz_si256(bad, bad) | base64url_check_table(text, text_len);
}

/* The first `count` bytes of a 64-byte lane; count is 0 to 64. */
static inline __mmask64 base64url_first(size_t count)
{
    return count >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1;
}

/* Up to 64 characters to values; those behind text_len read as 'A'. The top bit marks what is bad: from the
 * table, or from the character itself, since the lookup sees only its low 7 bits. */
BASE64URL_VBMI static inline __m512i base64url_values_vbmi(__m512i *bad, const uint8_t *text, size_t text_len)
{
    const __m512i low_half = _mm512_loadu_si512(base64url_value);
    const __m512i high_half = _mm512_loadu_si512(base64url_value + 64);
    __m512i c = _mm512_mask_loadu_epi8(_mm512_set1_epi8('A'), base64url_first(text_len), text);
    __m512i v = _mm512_permutex2var_epi8(low_half, c, high_half);
    *bad = _mm512_ternarylogic_epi32(*bad, c, v, 0xfe); /* bad | c | v */
    return v;
}

BASE64URL_VBMI static unsigned base64url_decode_vbmi(uint8_t *out, const uint8_t *text, size_t text_len)
{
    static const uint8_t order[64] = {
        2,  1,  0,  6,  5,  4,  10, 9,  8,  14, 13, 12, 18, 17, 16, 22, 21, 20, 26, 25, 24, 30, 29, 28,
        34, 33, 32, 38, 37, 36, 42, 41, 40, 46, 45, 44, 50, 49, 48, 54, 53, 52, 58, 57, 56, 62, 61, 60,
    };
    const __m512i gather = _mm512_loadu_si512(order);
    __m512i bad = _mm512_setzero_si512();
    while (text_len > 0) {
        size_t taken = text_len < 64 ? text_len : 64;
        size_t given = rj_base64url_decoded_bytes(taken);
        __m512i v = base64url_values_vbmi(&bad, text, taken);
        v = _mm512_maddubs_epi16(v, _mm512_set1_epi32(0x01400140)); /* 6 + 6 bits to 12 */
        v = _mm512_madd_epi16(v, _mm512_set1_epi32(0x00011000));    /* 12 + 12 bits to 24 */
        v = _mm512_permutexvar_epi8(gather, v);
        _mm512_mask_storeu_epi8(out, base64url_first(given), v);
        text += taken;
        text_len -= taken;
        out += given;
    }
    return _mm512_movepi8_mask(bad) != 0;
}

BASE64URL_VBMI static unsigned base64url_check_vbmi(const uint8_t *text, size_t text_len)
{
    __m512i bad = _mm512_setzero_si512();
    while (text_len > 0) {
        size_t taken = text_len < 64 ? text_len : 64;
        (void)base64url_values_vbmi(&bad, text, taken);
        text += taken;
        text_len -= taken;
    }
    return _mm512_movepi8_mask(bad) != 0;
}

static inline int base64url_has_vbmi(void)
{
    return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw");
}

#endif

rj_status rj_base64url_decode(uint8_t *out, size_t *out_len, size_t out_cap, const uint8_t *text, size_t text_len)
{
    unsigned bad;
    if (out_cap < rj_base64url_decoded_bytes(text_len)) {
        return RJ_BAD_ARGUMENT;
    }
    if (!base64url_ends_well(text, text_len)) {
        return RJ_MALFORMED_TOKEN;
    }
#ifdef BASE64URL_X86
    if (base64url_has_vbmi()) {
        bad = base64url_decode_vbmi(out, text, text_len);
    } else if (text_len >= 32 && __builtin_cpu_supports("avx2")) {
        bad = base64url_decode_avx2(out, text, text_len);
    } else
#endif
    {
        bad = base64url_decode_table(out, text, text_len);
    }
    if (bad) {
        return RJ_MALFORMED_TOKEN; /* RFC 7515 s.2: the URL-safe alphabet, no padding, no white space */
    }
    *out_len = rj_base64url_decoded_bytes(text_len);
    return RJ_OK;
}

rj_status rj_base64url_check(const uint8_t *text, size_t text_len)
{
    unsigned bad;
    if (!base64url_ends_well(text, text_len)) {
        return RJ_MALFORMED_TOKEN;
    }
#ifdef BASE64URL_X86
    if (base64url_has_vbmi()) {
        bad = base64url_check_vbmi(text, text_len);
    } else if (text_len >= 32 && __builtin_cpu_supports("avx2")) {
        bad = base64url_check_avx2(text, text_len);
    } else
#endif
    {
        bad = base64url_check_table(text, text_len);
    }
    return bad ? RJ_MALFORMED_TOKEN : RJ_OK; /* RFC 7515 s.2: the URL-safe alphabet, no padding */
}

rj_status rj_base64url_encode(uint8_t *out, size_t *out_len, size_t out_cap, const uint8_t *bytes, size_t bytes_len)
{
    size_t left = bytes_len;
    if (out_cap < rj_base64url_encoded_chars(bytes_len)) {
        return RJ_BAD_ARGUMENT;
    }
    for (; left >= 3; left -= 3, bytes += 3, out += 4) {
        unsigned v = (unsigned)bytes[0] << 16 | (unsigned)bytes[1] << 8 | bytes[2];
        out[0] = (uint8_t)base64url_alphabet[v >> 18];
        out[1] = (uint8_t)base64url_alphabet[v >> 12 & 63];
        out[2] = (uint8_t)base64url_alphabet[v >> 6 & 63];
        out[3] = (uint8_t)base64url_alphabet[v & 63];
    }
    if (left > 0) {
        unsigned v = (unsigned)bytes[0] << 16 | (left == 2 ? (unsigned)bytes[1] << 8 : 0);
        out[0] = (uint8_t)base64url_alphabet[v >> 18];
        out[1] = (uint8_t)base64url_alphabet[v >> 12 & 63];
        if (left == 2) {
            out[2] = (uint8_t)base64url_alphabet[v >> 6 & 63];
        }
    }
    *out_len = rj_base64url_encoded_chars(bytes_len);
    return RJ_OK;
}
