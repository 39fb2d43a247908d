/* token.c: the way of one token, step by step from top to bottom, in the order of RFC 7515 s.5.2. */
#include "core/token.h"

#include <string.h>

#include "text/base64url.h"
#include "text/compact.h"

/* ---- split ---- */

static rj_status token_decode(rj_span *out, rj_workspace *work, rj_span text)
{
    size_t capacity = rj_base64url_decoded_bytes(text.len);
    uint8_t *bytes = rj_workspace_alloc(work, capacity);
    size_t len = 0;
    rj_status status = RJ_UNDECIDED;

    if (bytes == NULL) {
        return RJ_NO_MEMORY;
    }
    status = rj_base64url_decode(bytes, &len, capacity, text.ptr, text.len);
    if (status == RJ_OK) {
        out->ptr = bytes;
        out->len = len;
    }
    return status;
}

/* Split a token and decode its payload. Returns RJ_OK or why not. Out: *token; *signature, still base64url. */
static rj_status token_split_payload(rj_token *token, rj_span *signature, const rj_snapshot *snapshot,
                                     rj_workspace *work, const uint8_t *bytes, size_t len)
{
    rj_span payload = {NULL, 0};
    rj_status status = RJ_UNDECIDED;

    token->slot_index = RJ_SLOT_NONE;
    token->slot = NULL;
    token->table_due = 0;
    token->members = NULL;
    token->members_len = 0;
    status = rj_compact_split(&token->header, &payload, signature, bytes, len, snapshot->max_token_bytes);
    if (status != RJ_OK) {
        return status;
    }
    token->check.input = (rj_span){bytes, (size_t)(payload.ptr + payload.len - bytes)};
    return token_decode(&token->payload, work, payload);
}

void rj_token_split(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes, size_t len)
{
    rj_span signature = {NULL, 0};
    rj_status status = token_split_payload(token, &signature, snapshot, work, bytes, len);

    if (status == RJ_OK) {
        status = token_decode(&token->check.signature, work, signature);
    }
    token->status = status == RJ_OK ? RJ_UNDECIDED : status;
}

/* ---- find_key ---- */

static rj_status token_scan(rj_json_report *report, const rj_snapshot *snapshot, rj_workspace *work, rj_span json)
{
    rj_json_limits limits = {.max_bytes = snapshot->max_token_bytes,
                             .max_depth = snapshot->max_json_depth,
                             .max_members = snapshot->max_json_members,
                             .flags = 0};

    return rj_json_scan(report, work->members, RJ_WORKSPACE_MEMBERS, work->json, sizeof work->json, json.ptr, json.len,
                        &limits);
}

/* The unverified `iss` as written between its quotes; an empty span where there is no plain one. */
static rj_span token_unverified_issuer(const rj_snapshot *snapshot, rj_workspace *work, rj_span payload)
{
    rj_json_report report;
    rj_span none = {NULL, 0};

    if (token_scan(&report, snapshot, work, payload) != RJ_OK) {
        return none;
    }
    for (uint32_t i = 0; i < report.members_len; i++) {
        const rj_json_member *member = &work->members[i];
        if (member->name_len == 3 && memcmp(payload.ptr + member->name_offset, "iss", 3) == 0) {
            if (member->value_type != RJ_JSON_STRING || member->value_has_escape || member->value_len < 3) {
                return none;
            }
            return (rj_span){payload.ptr + member->value_offset + 1, member->value_len - 2};
        }
    }
    return none;
}

rj_span rj_token_stated_issuer(const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes, size_t len)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_span signature = {NULL, 0};

    work->arena_used = 0;
    return token_split_payload(&token, &signature, snapshot, work, bytes, len) == RJ_OK
             ? token_unverified_issuer(snapshot, work, token.payload)
             : (rj_span){NULL, 0};
}

static const uint8_t *token_after_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

/* The text behind the first `"iss":`; an empty span where there is none, or it has escapes. */
static rj_span token_first_issuer(rj_span json)
{
    static const uint8_t NAME[] = {'"', 'i', 's', 's', '"'};
    const uint8_t *at = json.ptr;
    const uint8_t *end = json.ptr + json.len;

    while (at < end && (at = memchr(at, '"', (size_t)(end - at))) != NULL) {
        const uint8_t *value = NULL;
        const uint8_t *closing = NULL;
        if ((size_t)(end - at) < sizeof NAME || memcmp(at, NAME, sizeof NAME) != 0) {
            at++;
            continue;
        }
        value = token_after_space(at + sizeof NAME, end);
        value = value < end && *value == ':' ? token_after_space(value + 1, end) : end;
        if (value == end || *value != '"') {
            break;
        }
        value++;
        closing = memchr(value, '"', (size_t)(end - value));
        if (closing == NULL || closing == value || memchr(value, '\\', (size_t)(closing - value)) != NULL) {
            break;
        }
        return (rj_span){value, (size_t)(closing - value)};
    }
    return (rj_span){NULL, 0};
}

rj_span rj_token_apparent_issuer(uint8_t *decoded, const uint8_t *bytes, size_t len)
{
    const uint8_t *payload = memchr(bytes, '.', len);
    const uint8_t *end = bytes + len;
    size_t taken = 0;
    size_t decoded_len = 0;

    if (payload == NULL) {
        return (rj_span){NULL, 0};
    }
    payload++;
    end = memchr(payload, '.', (size_t)(end - payload));
    taken = end == NULL ? 0 : (size_t)(end - payload);
    if (taken > RJ_APPARENT_TEXT_BYTES) {
        taken = RJ_APPARENT_TEXT_BYTES; /* whole groups of four: they decode by themselves */
    }
    return rj_base64url_decode(decoded, &decoded_len, RJ_APPARENT_BYTES, payload, taken) == RJ_OK
             ? token_first_issuer((rj_span){decoded, decoded_len})
             : (rj_span){NULL, 0};
}

static void token_use_slot(rj_token *token, const rj_snapshot *snapshot, uint32_t slot_index)
{
    if (slot_index >= snapshot->keys->len) {
        token->status = RJ_HEADER_UNKNOWN;
        return;
    }
    token->slot_index = slot_index;
    token->slot = &snapshot->keys->slots[slot_index];
}

void rj_token_find_key(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, uint64_t header_hash)
{
    rj_span header = token->header;
    uint32_t index = RJ_SLOT_NONE;

    if (token->status != RJ_UNDECIDED) {
        return;
    }
    index = header_hash != 0
              ? rj_headertable_find_hashed(snapshot->headers, header_hash, header.ptr, header.len, NULL, 0)
              : rj_headertable_find(snapshot->headers, header.ptr, header.len, NULL, 0);
    if (index == RJ_SLOT_BY_ISSUER) {
        rj_span issuer = token_unverified_issuer(snapshot, work, token->payload);
        index = issuer.len == 0
                  ? RJ_SLOT_NONE
                  : rj_headertable_find(snapshot->headers, header.ptr, header.len, issuer.ptr, issuer.len);
    }
    token_use_slot(token, snapshot, index);
}

/* ---- verify_signature ---- */

void rj_token_count_use(rj_token *token, const rj_snapshot *snapshot)
{
    if (token->status == RJ_OK && snapshot->precompute_threshold != 0
        && rj_precomputed_bytes(token->slot->alg, 0) != 0) {
        int reached = rj_keytable_count_use(snapshot->keys, token->slot_index, snapshot->precompute_threshold);
        token->table_due =
            reached && (token->slot->precomputed == NULL || rj_precomputed_may_grow(token->slot->precomputed));
    }
}

void rj_token_verify_signature(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work)
{
    if (token->status != RJ_UNDECIDED || token->slot == NULL) {
        return;
    }
    token->status = snapshot->acceleration != 0 ? rj_verify(snapshot->runtime, work, token)
                                                : rj_verify_libcrypto(snapshot->runtime, work, token->slot,
                                                                      token->check.input, token->check.signature);
    rj_token_count_use(token, snapshot);
}

/* ---- check_claims ---- */

/* Keep the scan's members beside the token: the next token's scan writes over them. */
static void token_keep_members(rj_token *token, rj_workspace *work, size_t members_len)
{
    void *kept = rj_workspace_alloc(work, members_len * sizeof *work->members);

    if (kept != NULL) {
        memcpy(kept, work->members, members_len * sizeof *work->members);
        token->members = kept;
        token->members_len = members_len;
    }
}

void rj_token_check_claims(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, rj_time now)
{
    rj_json_report report;
    rj_status status = RJ_UNDECIDED;

    if (token->status != RJ_OK || snapshot->policies == NULL) {
        return;
    }
    token->status = RJ_UNDECIDED;
    if (token->slot->issuer >= snapshot->policies_len) {
        token->status = RJ_BAD_ARGUMENT;
        return;
    }
    status = token_scan(&report, snapshot, work, token->payload);
    if (status == RJ_NO_MEMORY || (status == RJ_OK && (report.members_overflow || report.has_big_integer))) {
        token->status = RJ_CLAIMS_UNDECIDED; /* larger, or with larger numbers, than is decided in C */
        return;
    }
    if (status != RJ_OK) {
        token->status = status;
        return;
    }
    token->status = rj_claims_check(&snapshot->policies[token->slot->issuer], token->payload.ptr, work->members,
                                    report.members_len, now);
    if (token->status == RJ_OK) {
        token_keep_members(token, work, report.members_len);
    }
}

/* ---- result ---- */

uint64_t rj_token_result(const rj_token *token)
{
    uint64_t detail = token->status == RJ_HEADER_UNKNOWN ? token->header.len : token->slot_index;

    return (uint64_t)token->status | (uint64_t)token->table_due << 8 | detail << 9;
}

/* ---- the same way where the slot is known already ---- */

void rj_token_recheck(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes,
                      size_t len, uint32_t slot_index, rj_time now)
{
    rj_span signature = {NULL, 0};

    token->status = token_split_payload(token, &signature, snapshot, work, bytes, len);
    if (token->status != RJ_OK) {
        return;
    }
    token_use_slot(token, snapshot, slot_index); /* RJ_OK stays: these bytes verified by it, in this generation */
    rj_token_check_claims(token, snapshot, work, now);
}

static void token_remember(const rj_token *token, const rj_snapshot *snapshot, const uint8_t *issuer, size_t issuer_len,
                           uint32_t remember)
{
    rj_span header = token->header;

    if (remember == RJ_REMEMBER_HEADER) {
        rj_headertable_insert(snapshot->headers, header.ptr, header.len, NULL, 0, token->slot_index);
    } else if (remember == RJ_REMEMBER_HEADER_AND_ISSUER) {
        rj_headertable_insert(snapshot->headers, header.ptr, header.len, issuer, issuer_len, token->slot_index);
        rj_headertable_insert(snapshot->headers, header.ptr, header.len, NULL, 0, RJ_SLOT_BY_ISSUER);
    }
}

uint64_t rj_token_verify_slot(const rj_snapshot *snapshot, const uint8_t *bytes, size_t len, uint32_t slot_index,
                              int64_t now_s, uint32_t now_ns, const uint8_t *issuer, size_t issuer_len,
                              uint32_t remember)
{
    rj_token token = {.status = RJ_UNDECIDED};
    rj_workspace *work = rj_runtime_borrow_workspace(snapshot->runtime);

    if (work == NULL) {
        return RJ_NO_MEMORY;
    }
    work->arena_used = 0;
    rj_token_split(&token, snapshot, work, bytes, len);
    if (token.status == RJ_UNDECIDED) {
        token_use_slot(&token, snapshot, slot_index);
    }
    rj_token_verify_signature(&token, snapshot, work);
    if (token.status == RJ_OK) {
        token_remember(&token, snapshot, issuer, issuer_len, remember);
    }
    rj_token_check_claims(&token, snapshot, work, (rj_time){now_s, now_ns});
    rj_runtime_return_workspace(snapshot->runtime, work);
    return rj_token_result(&token);
}
