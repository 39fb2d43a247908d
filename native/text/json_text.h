/* json_text.h: the inside of a JSON string (RFC 8259 s.7) and the UTF-8 it is made of (RFC 3629 s.4).
 *
 * Part of json_scan.c alone. Checks, and decodes the rare member name that holds an escape; nothing else is
 * ever decoded.
 */
#ifndef RJ_JSON_TEXT_H
#define RJ_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__) && defined(__GNUC__) && !defined(RJ_PORTABLE_ONLY)
#define JSON_TEXT_SSE2 1
#include <emmintrin.h>
#endif

/* The first byte at or after p that is not a plain character of a string: '"', '\\', a control character or
 * the start of a longer UTF-8 sequence; end if there is none. */
static inline const uint8_t *json_text_plain_end(const uint8_t *p, const uint8_t *end)
{
#ifdef JSON_TEXT_SSE2
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i odd = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)); /* signed: 0x80 and above are below too */
        odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
        odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        int mask = _mm_movemask_epi8(odd);
        if (mask != 0) {
            return p + __builtin_ctz((unsigned)mask);
        }
        p += 16;
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20 && *p < 0x80) {
        p++;
    }
    return p;
}

/* The first byte at or after p that is not a decimal digit; end if there is none. */
static inline const uint8_t *json_text_digits_end(const uint8_t *p, const uint8_t *end)
{
#ifdef JSON_TEXT_SSE2
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        v = _mm_add_epi8(v, _mm_set1_epi8(128 - '0')); /* digits become the ten smallest signed bytes */
        int mask = _mm_movemask_epi8(_mm_cmpgt_epi8(v, _mm_set1_epi8(-128 + 9)));
        if (mask != 0) {
            return p + __builtin_ctz((unsigned)mask);
        }
        p += 16;
    }
#endif
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

/* Bytes of the UTF-8 sequence of two or more bytes at p, 0 if it is not one. RFC 3629 s.4, line by line. */
static inline size_t json_text_utf8_bytes(const uint8_t *p, const uint8_t *end)
{
    uint8_t least = 0x80, most = 0xbf;
    size_t bytes, i;
    if (p[0] < 0xc2) {
        return 0; /* RFC 3629 s.3: a lone continuation byte, or an overlong form of ASCII */
    }
    bytes = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] > 0xf4 || (size_t)(end - p) < bytes) {
        return 0; /* RFC 3629 s.3: past U+10FFFF; or cut off */
    }
    if (p[0] == 0xe0) {
        least = 0xa0; /* RFC 3629 s.3: overlong below U+0800 */
    } else if (p[0] == 0xed) {
        most = 0x9f; /* RFC 3629 s.3: surrogates are not characters */
    } else if (p[0] == 0xf0) {
        least = 0x90; /* RFC 3629 s.3: overlong below U+10000 */
    } else if (p[0] == 0xf4) {
        most = 0x8f; /* RFC 3629 s.3: past U+10FFFF */
    }
    if (p[1] < least || p[1] > most) {
        return 0;
    }
    for (i = 2; i < bytes; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return bytes;
}

/* The value of four hex digits, or -1. */
static inline int32_t json_text_hex4(const uint8_t *p)
{
    int32_t value = 0;
    int i;
    for (i = 0; i < 4; i++) {
        uint8_t lower = (uint8_t)(p[i] | 0x20);
        if (p[i] >= '0' && p[i] <= '9') {
            value = value << 4 | (p[i] - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            value = value << 4 | (lower - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

/* Bytes of the escape at p, which is a backslash; 0 if it is not one. */
static inline size_t json_text_escape_bytes(const uint8_t *p, const uint8_t *end)
{
    int32_t unit;
    if (end - p < 2) {
        return 0;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        break;
    default:
        return 0; /* RFC 8259 s.7: no other escapes */
    }
    unit = end - p < 6 ? -1 : json_text_hex4(p + 2);
    if (unit < 0 || (unit & 0xfc00) == 0xdc00) {
        return 0; /* RFC 8259 s.7: four hex digits; RFC 7493 s.2.1: a low surrogate alone */
    }
    if ((unit & 0xfc00) != 0xd800) {
        return 6;
    }
    if (end - p < 12 || p[6] != '\\' || p[7] != 'u' || (json_text_hex4(p + 8) & ~0x3ff) != 0xdc00) {
        return 0; /* RFC 7493 s.2.1: a high surrogate without its partner */
    }
    return 12;
}

/* Walk a string from the byte behind its opening quote. Returns its closing quote, or NULL with *fault at the
 * first byte that cannot be (end if the text ends first). */
static inline const uint8_t *json_text_string_end(const uint8_t **fault, uint8_t *has_escape, const uint8_t *p,
                                                  const uint8_t *end)
{
    for (;;) {
        size_t step;
        p = json_text_plain_end(p, end);
        if (p < end && *p == '"') {
            return p;
        }
        *fault = p;
        if (p == end || *p < 0x20) {
            return NULL; /* RFC 8259 s.7: the quote is missing; control characters must be escaped */
        }
        if (*p == '\\') {
            *has_escape = 1;
            step = json_text_escape_bytes(p, end);
        } else {
            step = json_text_utf8_bytes(p, end); /* RFC 8259 s.8.1: UTF-8 */
        }
        if (step == 0) {
            return NULL;
        }
        p += step;
    }
}

/* Write one code point as UTF-8; returns the bytes written, at most 4. */
static inline size_t json_text_put(uint8_t *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xc0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

/* Decode the inside of a string that json_text_string_end accepted. out holds len bytes, which always
 * suffices; returns the bytes written. */
static inline size_t json_text_decode(uint8_t *out, const uint8_t *p, size_t len)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const uint8_t *end = p + len;
    uint8_t *start = out;
    while (p < end) {
        uint32_t point;
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        point = p[1];
        if (point != 'u') {
            for (int i = 0; i < 5; i++) {
                if (point == (uint8_t)letters[i]) {
                    point = (uint8_t)meant[i];
                    break;
                }
            }
            p += 2;
        } else {
            point = (uint32_t)json_text_hex4(p + 2);
            p += 6;
            if ((point & 0xfc00) == 0xd800) {
                point = 0x10000 + ((point & 0x3ff) << 10) + ((uint32_t)json_text_hex4(p + 2) & 0x3ff);
                p += 6;
            }
        }
        out += json_text_put(out, point);
    }
    return (size_t)(out - start);
}

#endif
