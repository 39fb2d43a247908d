/* token_item.h: one token under way, with its signature check, which goes to the arithmetic as it lies here.
 *
 * A signature without a token (one of a JSON serialization, a raw verification) is one whose `header` and `payload`
 * are empty.
 */
#ifndef RJ_TOKEN_ITEM_H
#define RJ_TOKEN_ITEM_H

#include "core/keytable.h"
#include "hash/digest.h"
#include "signature_check.h"
#include "span.h"
#include "text/json_scan.h"

/* The spans point into the token; payload and signature bytes into the workspace's arena. */
typedef struct {
    rj_span header;                      /* base64url, as received */
    rj_span payload;                     /* decoded */
    rj_signature_check check;            /* input: the received octets up to the second dot; signature */
    uint8_t digest[RJ_DIGEST_MAX_BYTES]; /* of the input, where check.digest points here */
    const rj_json_member *members; /* of the payload's root, where its claims were accepted and the arena held them */
    size_t members_len;
    const rj_slot *slot; /* what verifies it; NULL until it is found */
    uint32_t slot_index;
    uint32_t group;     /* an rj_accelerated_group: which tokens are verified together */
    uint32_t table_due; /* 1: this acceptance makes the key's precomputed table due */
    rj_status status;   /* RJ_UNDECIDED until a step decides */
} rj_token;

#endif
