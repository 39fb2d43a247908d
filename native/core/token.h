/* token.h: one compact token against a snapshot: from bytes to a verdict (RFC 7515 s.5.2, RFC 7519 s.7.2).
 *
 * The steps stand apart so that batch.c can do each for many tokens: split, find_key, verify_signature, check_claims,
 * result. verify/pipeline.py has the same steps, for what is left open here. No step looks at claims before the
 * signature verified, except that `iss` may choose which issuer's key to try.
 */
#ifndef RJ_TOKEN_H
#define RJ_TOKEN_H

#include "core/snapshot.h"
#include "core/token_item.h"
#include "core/verify.h"

/* rj-cdef-begin */
/* A verdict: bits 0 to 7 an rj_status; bit 8 set when the key's precomputed table is due; from bit 9 on the slot that
 * decided, or, for RJ_HEADER_UNKNOWN, the characters of the header. So (verdict & 0x1ff) == RJ_OK is an acceptance
 * with nothing else to do. */
enum { RJ_REMEMBER_NOTHING = 0, RJ_REMEMBER_HEADER = 1, RJ_REMEMBER_HEADER_AND_ISSUER = 2 };
/* rj-cdef-end */

/* Split a token at its dots, check sizes, and decode payload and signature.
 * Out: *token; its status stays RJ_UNDECIDED where all went well, else says why not (RJ_TOO_LARGE,
 * RJ_MALFORMED_TOKEN, RJ_NO_MEMORY). */
void rj_token_split(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes, size_t len);

/* Find the slot of a split token by its header, or by its header and unverified `iss`.
 * Out: slot, slot_index; or status RJ_HEADER_UNKNOWN. In: header_hash, of these header octets by a table with the same
 * seed, or 0 where it is not known. */
void rj_token_find_key(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, uint64_t header_hash);

/* Find the unverified `iss` of a token, which chooses whose keys to try and nothing else.
 * Returns it as written between its quotes, in work until this is used again; empty where there is no plain one. */
rj_span rj_token_stated_issuer(const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes, size_t len);

enum { RJ_APPARENT_TEXT_BYTES = 256, RJ_APPARENT_BYTES = 192 };

/* What looks like the `iss` of a token: the first member of that name, at any depth, near the payload's begin. A hint,
 * for whom iss is compared later in full.
 * Returns as rj_token_stated_issuer, in decoded. Out: decoded, RJ_APPARENT_BYTES. */
rj_span rj_token_apparent_issuer(uint8_t *decoded, const uint8_t *bytes, size_t len);

/* Verify the signature by the token's slot, and count it.
 * Out: token->status where it was RJ_UNDECIDED. */
void rj_token_verify_signature(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work);

/* Check the claims of a token whose signature verified: token->status is RJ_OK on entry.
 * Out: token->status. */
void rj_token_check_claims(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, rj_time now);

/* Returns a token's verdict. */
uint64_t rj_token_result(const rj_token *token);

/* Count an acceptance towards a precomputed table. In/out: token->table_due. */
void rj_token_count_use(rj_token *token, const rj_snapshot *snapshot);

/* Check the claims of a token again whose very bytes verified by this slot before, under the same generation of
 * keys and rules; its signature is not looked at.
 * Out: *token, decided. */
void rj_token_recheck(rj_token *token, const rj_snapshot *snapshot, rj_workspace *work, const uint8_t *bytes,
                      size_t len, uint32_t slot_index, rj_time now);

/* Verify one token by a slot the caller chose after reading the header, and remember the header for the
 * next token if the signature is good. remember: RJ_REMEMBER_*; issuer: the unverified `iss` that chose the
 * slot, for RJ_REMEMBER_HEADER_AND_ISSUER. Returns a verdict. */
/* rj-cdef-begin */
uint64_t rj_token_verify_slot(const rj_snapshot *snapshot, const uint8_t *bytes, size_t len, uint32_t slot_index,
                              int64_t now_s, uint32_t now_ns, const uint8_t *issuer, size_t issuer_len,
                              uint32_t remember);
/* rj-cdef-end */

#endif
