/* request_ids.c: see request_ids.h. */
#include "text/request_ids.h"

enum {
    TRACE_ID_AT = RJ_TRACE_ID_AT,
    PARENT_ID_AT = 36,
    PARENT_ID_BYTES = 16,
    FLAGS_AT = 53,
    TRACEPARENT_BYTES = 55,     /* of version 00, and the least of a later one */
    TRACEPARENT_MAX_BYTES = 512 /* of a later version, which may add parts */
};

static int ids_is_alphanumeric(uint8_t one)
{
    return (one >= '0' && one <= '9') || (one >= 'A' && one <= 'Z') || (one >= 'a' && one <= 'z');
}

int rj_request_id_check(const uint8_t *text, size_t text_len)
{
    if (text_len == 0 || text_len > RJ_REQUEST_ID_MAX_BYTES || !ids_is_alphanumeric(text[0])) {
        return 0;
    }
    for (size_t i = 1; i < text_len; i++) {
        uint8_t one = text[i];
        if (!ids_is_alphanumeric(one) && one != '.' && one != '_' && one != ':' && one != '/' && one != '+'
            && one != '=' && one != '@' && one != '-') {
            return 0;
        }
    }
    return 1;
}

/* Say whether octets are lower-case hexadecimal digits; `any` gets whether one of them is not 0. */
static int ids_is_hex(int *any, const uint8_t *text, size_t text_len)
{
    *any = 0;
    for (size_t i = 0; i < text_len; i++) {
        uint8_t one = text[i];
        if (!((one >= '0' && one <= '9') || (one >= 'a' && one <= 'f'))) {
            return 0;
        }
        *any |= one != '0';
    }
    return 1;
}

int rj_traceparent_check(const uint8_t *text, size_t text_len)
{
    int any = 0;

    if (text_len < TRACEPARENT_BYTES || text_len > TRACEPARENT_MAX_BYTES) {
        return 0;
    }
    if (!ids_is_hex(&any, text, 2) || (text[0] == 'f' && text[1] == 'f')) { /* s.3.2.2.1: ff is forbidden */
        return 0;
    }
    if (text_len > TRACEPARENT_BYTES && (!any || text[TRACEPARENT_BYTES] != '-')) { /* version 00 has no more */
        return 0;
    }
    if (text[TRACE_ID_AT - 1] != '-' || text[PARENT_ID_AT - 1] != '-' || text[FLAGS_AT - 1] != '-') {
        return 0;
    }
    if (!ids_is_hex(&any, text + TRACE_ID_AT, RJ_TRACE_ID_BYTES) || !any) { /* s.3.2.2.3: not all zero */
        return 0;
    }
    if (!ids_is_hex(&any, text + PARENT_ID_AT, PARENT_ID_BYTES) || !any) { /* s.3.2.2.4: not all zero */
        return 0;
    }
    return ids_is_hex(&any, text + FLAGS_AT, 2);
}
