/* check_response.c: see check_response.h. */
#include "text/check_response.h"

#include <string.h>

enum { VARINT_BITS = 7, VARINT_MORE = 0x80, TAG_BITS = 3, LENGTH = 2 };

enum { OPTION_HEADER = 1, OPTION_APPEND = 2, HEADER_KEY = 1, HEADER_VALUE = 2 };

static size_t response_varint_bytes(size_t value)
{
    size_t bytes = 1;

    while (value >= VARINT_MORE) {
        value >>= VARINT_BITS;
        bytes++;
    }
    return bytes;
}

static uint8_t *response_varint(uint8_t *out, size_t value)
{
    while (value >= VARINT_MORE) {
        *out++ = (uint8_t)((value & (VARINT_MORE - 1)) | VARINT_MORE);
        value >>= VARINT_BITS;
    }
    *out++ = (uint8_t)value;
    return out;
}

size_t rj_check_field_bytes(size_t len) { return 1 + response_varint_bytes(len) + len; }

uint8_t *rj_check_field_begin(uint8_t *out, unsigned number, size_t len)
{
    *out++ = (uint8_t)(number << TAG_BITS | LENGTH);
    return response_varint(out, len);
}

uint8_t *rj_check_octets_write(uint8_t *out, rj_span octets)
{
    if (octets.len > 0) {
        memcpy(out, octets.ptr, octets.len);
    }
    return out + octets.len;
}

uint8_t *rj_check_field_write(uint8_t *out, unsigned number, rj_span value)
{
    return rj_check_octets_write(rj_check_field_begin(out, number, value.len), value);
}

static size_t response_header_bytes(rj_span name, rj_span value)
{
    return rj_check_field_bytes(name.len) + rj_check_field_bytes(value.len);
}

size_t rj_check_option_bytes(rj_span name, rj_span value)
{
    return rj_check_field_bytes(response_header_bytes(name, value)) + rj_check_field_bytes(0);
}

uint8_t *rj_check_option_write(uint8_t *out, unsigned number, rj_span name, rj_span value)
{
    out = rj_check_field_begin(out, number, rj_check_option_bytes(name, value));
    out = rj_check_field_begin(out, OPTION_HEADER, response_header_bytes(name, value));
    out = rj_check_field_write(out, HEADER_KEY, name);
    out = rj_check_field_write(out, HEADER_VALUE, value);
    return rj_check_field_begin(out, OPTION_APPEND, 0);
}

size_t rj_check_number_bytes(uint32_t value) { return value == 0 ? 0 : 1 + response_varint_bytes(value); }

uint8_t *rj_check_number_write(uint8_t *out, unsigned number, uint32_t value)
{
    out = rj_check_field_begin(out, number, rj_check_number_bytes(value));
    if (value != 0) {
        *out++ = 1 << TAG_BITS;
        out = response_varint(out, value);
    }
    return out;
}
