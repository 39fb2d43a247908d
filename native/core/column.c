/* column.c: see column.h; windows of a column's tokens, verified by batch.c, and the claims copied out of them. */
#include "core/column.h"

#include <string.h>

enum { COLUMN_INTEGER_DIGITS = 18, COLUMN_NS = 1000000000 };

static int64_t column_offset(const rj_column *column, size_t i)
{
    return column->offset_bytes == 8 ? ((const int64_t *)column->offsets)[i] : ((const int32_t *)column->offsets)[i];
}

/* The octets of a token. Returns 0 where its offsets lead out of the data. */
static int column_token(rj_span *out, const rj_column *column, size_t i)
{
    int64_t start = column_offset(column, i);
    int64_t end = column_offset(column, i + 1);

    *out = (rj_span){column->data, 0};
    if (start < 0 || end < start || (uint64_t)end > column->data_bytes) {
        return 0;
    }
    if (end > start) {
        *out = (rj_span){column->data + start, (size_t)(end - start)};
    }
    return 1;
}

static rj_time column_time(const rj_column *column, size_t i, rj_time now)
{
    if (column->times_ns == NULL) {
        return now;
    }
    return (rj_time){column->times_ns[i] / COLUMN_NS, (uint32_t)(column->times_ns[i] % COLUMN_NS)};
}

/* The member of this name, or NULL. Out: *is_open, where an escaped name may be it. */
static const rj_json_member *column_member(int *is_open, const rj_token *token, rj_span name)
{
    *is_open = 0;
    for (size_t i = 0; i < token->members_len; i++) {
        const rj_json_member *member = &token->members[i];
        if (member->name_has_escape) {
            *is_open = 1;
        } else if (member->name_len == name.len
                   && memcmp(token->payload.ptr + member->name_offset, name.ptr, name.len) == 0) {
            return member;
        }
    }
    return NULL;
}

/* Read an integer of few digits. Returns 0 where it has more, or a fraction or an exponent. */
static int column_integer(int64_t *out, const uint8_t *text, size_t len)
{
    size_t is_negative = text[0] == '-';
    int64_t value = 0;

    if (len - is_negative > COLUMN_INTEGER_DIGITS) {
        return 0;
    }
    for (size_t i = is_negative; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        value = 10 * value + (text[i] - '0');
    }
    *out = is_negative ? -value : value;
    return 1;
}

static int column_fits(uint32_t form, uint8_t type)
{
    switch (form) {
    case RJ_CLAIM_STRING:
        return type == RJ_JSON_STRING;
    case RJ_CLAIM_INTEGER:
    case RJ_CLAIM_NUMBER:
        return type == RJ_JSON_INTEGER || type == RJ_JSON_DECIMAL;
    case RJ_CLAIM_BOOLEAN:
        return type == RJ_JSON_TRUE || type == RJ_JSON_FALSE;
    default:
        return type != RJ_JSON_NULL;
    }
}

/* Copy the claim of one accepted token. In/out: *used octets of the claim's text. Returns its state. */
static uint8_t column_copy(rj_column_claim *claim, size_t *used, const rj_token *token, size_t at)
{
    int is_open = 0;
    const rj_json_member *member = NULL;
    const uint8_t *value = NULL;
    size_t len = 0;

    if (token->members == NULL) {
        return RJ_CLAIM_LEFT;
    }
    member = column_member(&is_open, token, claim->name);
    if (member == NULL) {
        return is_open ? RJ_CLAIM_LEFT : RJ_CLAIM_ABSENT;
    }
    if (!column_fits(claim->form, member->value_type)) {
        return RJ_CLAIM_ABSENT;
    }
    value = token->payload.ptr + member->value_offset;
    len = member->value_len;
    if (claim->form == RJ_CLAIM_INTEGER) {
        return column_integer(&claim->integers[at], value, len) ? RJ_CLAIM_COPIED : RJ_CLAIM_LEFT;
    }
    if (claim->form == RJ_CLAIM_STRING) {
        if (member->value_has_escape) {
            return RJ_CLAIM_LEFT;
        }
        value += 1; /* without its quotes */
        len -= 2;
    }
    if (len > claim->text_bytes - *used) {
        return RJ_CLAIM_LEFT;
    }
    if (len != 0) {
        memcpy(claim->text + *used, value, len);
    }
    *used += len;
    return RJ_CLAIM_COPIED;
}

/* Copy one claim of a window's tokens, the first of which is token `done` of the column. */
static void column_copy_window(rj_column_claim *claim, const rj_batch_window *window, const int *is_whole, size_t done)
{
    size_t used = claim->form == RJ_CLAIM_INTEGER ? 0 : (size_t)claim->offsets[done];

    for (size_t i = 0; i < window->len; i++) {
        const rj_token *token = &window->tokens[i];
        uint8_t state = RJ_CLAIM_ABSENT;
        if (is_whole[i] && token->status == RJ_OK) {
            state = column_copy(claim, &used, token, done + i);
        }
        claim->states[done + i] = state;
        if (claim->form != RJ_CLAIM_INTEGER) {
            claim->offsets[done + i + 1] = (int32_t)used;
        }
    }
}

/* Refuse all tokens, and leave no claim unwritten: what a later step does not overwrite stays refused. */
static void column_refuse_all(uint64_t *verdicts, rj_column_claim *claims, size_t claims_len, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        verdicts[i] = RJ_NO_MEMORY;
    }
    for (size_t i = 0; i < claims_len; i++) {
        memset(claims[i].states, RJ_CLAIM_ABSENT, len);
        if (claims[i].form == RJ_CLAIM_INTEGER) {
            memset(claims[i].integers, 0, len * sizeof *claims[i].integers);
        } else {
            memset(claims[i].offsets, 0, (len + 1) * sizeof *claims[i].offsets);
        }
    }
}

void rj_column_verify(const rj_snapshot *snapshot, uint64_t *verdicts, rj_column_claim *claims, size_t claims_len,
                      const rj_column *column, int64_t now_s, uint32_t now_ns)
{
    rj_workspace *work = NULL;
    rj_batch_window window;
    rj_span spans[RJ_BATCH_MAX];
    int is_whole[RJ_BATCH_MAX];
    size_t done = 0;

    column_refuse_all(verdicts, claims, claims_len, column->len);
    work = rj_runtime_borrow_workspace(snapshot->runtime);
    while (work != NULL && done < column->len) {
        size_t len = 0;
        while (len < RJ_BATCH_MAX && done + len < column->len) {
            is_whole[len] = column_token(&spans[len], column, done + len);
            len++;
        }
        rj_batch_verify(&window, snapshot, work, spans, len);
        for (size_t i = 0; i < window.len; i++) {
            rj_time now = column_time(column, done + i, (rj_time){now_s, now_ns});
            rj_token_check_claims(&window.tokens[i], snapshot, work, now);
            verdicts[done + i] = is_whole[i] ? rj_token_result(&window.tokens[i]) : (uint64_t)RJ_BAD_ARGUMENT;
        }
        for (size_t i = 0; i < claims_len; i++) {
            column_copy_window(&claims[i], &window, is_whole, done);
        }
        done += window.len;
    }
    if (work != NULL) {
        rj_runtime_return_workspace(snapshot->runtime, work);
    }
}
