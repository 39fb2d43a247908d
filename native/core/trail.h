/* trail.h: the records of an audit trail by the bundle: leaf hashes, and where what a verification needs lies.
 *
 * A bundle is what C2SP tlog-tiles calls an entry bundle: up to 256 entries, the length in two octets before each.
 * Most records differ in a few members alone. A record's shape is the record with these emptied (text as "", numbers
 * as 0), so that who has read a shape once has read all its records. What is not plain is left to the caller.
 */
#ifndef RJ_TRAIL_H
#define RJ_TRAIL_H

#include "status.h"
#include "span.h"

/* rj-cdef-begin */
enum { RJ_TRAIL_WIDTH = 256, RJ_TRAIL_HASH_BYTES = 32 };

/* What is to do with a record. */
enum {
    RJ_RECORD_LEFT = 0, /* the caller has to read it */
    RJ_RECORD_READ = 1  /* its shape and time hold, and its token is stored and has the record's digest */
};

/* What is known of the records of a bundle; of one that is LEFT the hash alone holds, and its token is empty. */
typedef struct {
    uint8_t leaves[RJ_TRAIL_WIDTH * RJ_TRAIL_HASH_BYTES]; /* SHA-256(0x00 || entry) */
    uint8_t states[RJ_TRAIL_WIDTH];
    uint8_t shapes[RJ_TRAIL_WIDTH];          /* which shape */
    int64_t times_ns[RJ_TRAIL_WIDTH];        /* since the epoch */
    int32_t token_ends[RJ_TRAIL_WIDTH + 1];  /* token i: tokens[token_ends[i] .. token_ends[i + 1]) */
    uint32_t shape_ends[RJ_TRAIL_WIDTH + 1]; /* shape i: shape_text[shape_ends[i] .. shape_ends[i + 1]) */
    uint32_t shapes_len;
} rj_trail_bundle;

/* Read a bundle and what is stored beside it.
 * contents: as a bundle, with lengths of four octets; each is 't', four octets of length and the token, and the like
 * for 'c' and claims; NULL where nothing is stored.
 * Returns RJ_OK; RJ_BAD_ARGUMENT where the bundle has not len entries, or the contents not len or more than the
 * capacity of tokens, and nothing is to be read then.
 * Out: *found; tokens, contents_bytes at least; shape_text, bundle_bytes at least. */
RJ_MUST_CHECK rj_status rj_trail_read(rj_trail_bundle *found, uint8_t *tokens, uint8_t *shape_text,
                                      const uint8_t *bundle, size_t bundle_bytes, const uint8_t *contents,
                                      size_t contents_bytes, size_t len);

/* Hash the complete tree over a power of two of leaves (RFC 6962 s.2.1: SHA-256(0x01 || left || right)).
 * In/out: hashes, len of them; the root is the first one after.
 * Returns RJ_OK; RJ_BAD_ARGUMENT where len is no power of two. */
RJ_MUST_CHECK rj_status rj_trail_root(uint8_t *hashes, size_t len);
/* rj-cdef-end */

#endif
