/* token.h: one compact token against a snapshot: from bytes to a verdict (RFC 7515 s.5.2, RFC 7519 s.7.2).
 *
 * The steps stand apart so that batch.c can put its own work between them: locate (cut, look the header up,
 * decode), verify, finish (claims). No step looks at claims before the signature verified, except that `iss`
 * may choose which issuer's key to try.
 */
#ifndef RJ_TOKEN_H
#define RJ_TOKEN_H

#include "core/snapshot.h"
#include "core/verify.h"

/* One token under way. The spans point into the token; payload and signature bytes into the work's arena. */
typedef struct {
    rj_span header;                /* base64url, as received */
    rj_span input;                 /* the JWS Signing Input: the received octets up to the second dot */
    rj_span payload;               /* decoded */
    rj_span signature;             /* decoded */
    const rj_json_member *members; /* of the payload's root, where its claims were accepted and the arena held them */
    size_t members_len;
    const rj_slot *slot;
    uint32_t slot_index;
    rj_accelerated_group group; /* batch.c's: which tokens go together */
    rj_status status;           /* RJ_UNDECIDED until a step decides */
    uint32_t table_due;         /* 1: this acceptance makes the key's precomputed table due */
} rj_token;

/* rj-cdef-begin */
/* A verdict: bits 0 to 7 an rj_status; bit 8 set when the key's precomputed table is due; from bit 9 on the
 * slot that decided. So (verdict & 0x1ff) == RJ_OK is an acceptance with nothing else to do. */
enum { RJ_REMEMBER_NOTHING = 0, RJ_REMEMBER_HEADER = 1, RJ_REMEMBER_HEADER_AND_ISSUER = 2 };
/* rj-cdef-end */

/* Cut, size-check and decode a token and find its slot.
 * Out: *token; its status stays RJ_UNDECIDED where all went well, else says why not (RJ_TOO_LARGE,
 * RJ_MALFORMED_TOKEN, RJ_HEADER_UNKNOWN). slot_index RJ_SLOT_NONE: look it up; else use this one. */
void rj_token_locate(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes, size_t len,
                     uint32_t slot_index);

/* Check the claims of a token again whose very bytes verified by this slot before, under the same generation of
 * keys and rules; its signature is not looked at.
 * Out: *token, decided. */
void rj_token_recheck(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes,
                      size_t len, uint32_t slot_index, rj_time now);

/* Check the claims of a token whose signature verified; token->status is RJ_OK on entry.
 * Out: token->status. */
void rj_token_finish(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, rj_time now);

/* Verify a located token's signature by its slot, and count it.
 * Out: token->status where it was RJ_UNDECIDED. */
void rj_token_decide(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work);

/* Count an acceptance towards a precomputed table. In/out: token->table_due. */
void rj_token_count_use(rj_token *token, const rj_snapshot *snapshot);

/* Pack a token's verdict. */
uint64_t rj_token_verdict(const rj_token *token);

/* Verify one token by a slot the caller chose after reading the header, and remember the header for the
 * next token if the signature is good. remember: RJ_REMEMBER_*; issuer: the unverified `iss` that chose the
 * slot, for RJ_REMEMBER_HEADER_AND_ISSUER. Returns a verdict. */
/* rj-cdef-begin */
uint64_t rj_token_verify_slot(const rj_snapshot *snapshot, const uint8_t *bytes, size_t len, uint32_t slot_index,
                              int64_t now_s, uint32_t now_ns, const uint8_t *issuer, size_t issuer_len,
                              uint32_t remember);
/* rj-cdef-end */

#endif
