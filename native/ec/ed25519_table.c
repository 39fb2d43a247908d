/* ed25519_table.c: build a table of window multiples, check it, free it. */
#include "ec/ed25519_internal.h"

#if RJ_HAVE_ED25519

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "hash/digest.h"

/* One window's points while a table is built. */
typedef struct {
    ed25519_point points[ED25519_WINDOW_ENTRIES];
    f25519 scratch[ED25519_WINDOW_ENTRIES];
} table_window;

/* entries[i][j] = [j 256^i] point */
static int table_fill(rj_ed25519_table *table, const ed25519_point *point, table_window *window)
{
    ed25519_point base = *point;

    for (int i = 0; i < ED25519_WINDOWS; i++) {
        rj_ed25519_point_identity(&window->points[0]);
        for (int j = 1; j < ED25519_WINDOW_ENTRIES; j++) {
            rj_ed25519_point_add(&window->points[j], &window->points[j - 1], &base);
        }
        if (!rj_ed25519_entries(table->entries[i], window->points, window->scratch, ED25519_WINDOW_ENTRIES)) {
            return 0;
        }
        base = window->points[ED25519_WINDOW_ENTRIES - 1];
        rj_ed25519_point_add(&base, &base, &base); /* [256] from [128] */
    }
    return 1;
}

/* Encode the sum of a table's points for one scalar, by the arithmetic the table will use. */
static int table_encode_multiple(uint8_t out32[32], const rj_ed25519_table *table, const uint8_t scalar32[32])
{
    static const uint8_t zero32[32];
    ed25519_choice choices[ED25519_POINTS];
    ed25519_point sum;
    f25519 inverse;

    rj_ed25519_choose(choices, table, scalar32);
    rj_ed25519_choose(choices + ED25519_WINDOWS, table, zero32);
    if (table->lanes != 0) {
        rj_ed25519_sum_lanes(&sum, choices);
    } else {
        rj_ed25519_sum(&sum, choices);
    }
    if (!rj_ed25519_invert(&inverse, &sum.z)) {
        return 0;
    }
    rj_ed25519_encode(out32, &sum.x, &sum.y, &inverse);
    return 1;
}

/* Compare some multiples with those of plain doubling and adding: small, of every window, of the top one. */
static rj_status table_self_test(const rj_ed25519_table *table, const ed25519_point *point)
{
    static const uint8_t scalars[4][32] = {
        {1},
        {0x80},
        {0x81, 0x7f, 0x80, 0xff, 0x01, 0x55, 0xaa, 0x33, 0xcc, 0x10, 0xef, 0x80, 0x80, 0x7f, 0x7f, 0x00,
         0xfe, 0x81, 0x82, 0x83, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x60, 0xa0, 0xb0, 0xc0, 0xd0, 0x0f},
        {0xec, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
         0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10}};

    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++) {
        uint8_t ours[32];
        uint8_t theirs[32];
        ed25519_point multiple;
        f25519 inverse;

        rj_ed25519_point_multiply(&multiple, point, scalars[i]);
        if (!table_encode_multiple(ours, table, scalars[i]) || !rj_ed25519_invert(&inverse, &multiple.z)) {
            return RJ_LIBCRYPTO_FAILED;
        }
        rj_ed25519_encode(theirs, &multiple.x, &multiple.y, &inverse);
        if (memcmp(ours, theirs, sizeof(ours)) != 0) {
            return RJ_LIBCRYPTO_FAILED;
        }
    }
    return RJ_OK;
}

/* Compare a public key of libcrypto's with ours from the same private key (RFC 8032 s.5.1.5). */
static rj_status table_check_with_libcrypto(const rj_ed25519_table *generator)
{
    static const uint8_t seed32[32] = {'f', 'i', 'x', 'e', 'd', ',', ' ', 'p', 'u', 'b', 'l', 'i', 'c'};
    uint8_t hash64[RJ_DIGEST_MAX_BYTES] = {0};
    uint8_t wide64[64] = {0};
    uint8_t scalar32[32];
    uint8_t ours[32];
    uint8_t theirs[32];
    size_t theirs_len = sizeof(theirs);
    EVP_PKEY *pkey = NULL;
    rj_status status = RJ_LIBCRYPTO_FAILED;

    (void)ERR_set_mark();
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed32, sizeof(seed32));
    if (pkey == NULL || EVP_PKEY_get_raw_public_key(pkey, theirs, &theirs_len) != 1 || theirs_len != sizeof(theirs)
        || rj_digest(hash64, sizeof(hash64), RJ_SHA512, seed32, 32) != RJ_OK) {
        goto done;
    }
    memcpy(wide64, hash64, 32);
    wide64[0] &= 0xf8; /* RFC 8032 s.5.1.5 step 2 */
    wide64[31] = (uint8_t)((wide64[31] & 0x7f) | 0x40);
    rj_ed25519_scalar_reduce(scalar32, wide64);
    if (table_encode_multiple(ours, generator, scalar32) && memcmp(ours, theirs, sizeof(ours)) == 0) {
        status = RJ_OK;
    }
done:
    EVP_PKEY_free(pkey);
    (void)ERR_pop_to_mark();
    return status;
}

static rj_status table_build(rj_ed25519_table **out, const ed25519_point *point, const uint8_t key32[32], int generator,
                             unsigned flags)
{
    const size_t alignment = _Alignof(rj_ed25519_table);
    table_window *window = NULL;
    rj_ed25519_table *table = NULL;
    uint8_t *memory = NULL;
    rj_status status = RJ_NO_MEMORY;

    if ((flags & ~RJ_ED25519_PORTABLE) != 0) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: no such flag */
    }
    window = OPENSSL_malloc(sizeof(*window));
    memory = OPENSSL_malloc(rj_ed25519_table_bytes());
    if (window == NULL || memory == NULL) {
        goto done;
    }
    table = (rj_ed25519_table *)(void *)(memory + (alignment - (uintptr_t)memory % alignment));
    table->memory = memory;
    memcpy(table->key32, key32, sizeof(table->key32));
    table->lanes = (flags & RJ_ED25519_PORTABLE) == 0 && rj_ed25519_lanes_usable();
    table->generator = generator != 0;
    status = table_fill(table, point, window) ? table_self_test(table, point) : RJ_LIBCRYPTO_FAILED;
    if (status == RJ_OK && generator) {
        status = table_check_with_libcrypto(table);
    }
    if (status == RJ_OK) {
        *out = table;
        memory = NULL;
    }
done:
    OPENSSL_free(window);
    OPENSSL_free(memory);
    return status;
}

rj_status rj_ed25519_table_build(rj_ed25519_table **out, const uint8_t key32[RJ_ED25519_KEY_BYTES], unsigned flags)
{
    ed25519_point point;
    rj_status status = rj_ed25519_point_decode(&point, key32);

    if (status != RJ_OK) {
        return status;
    }
    rj_ed25519_point_negate(&point, &point);
    return table_build(out, &point, key32, 0, flags);
}

rj_status rj_ed25519_table_build_generator(rj_ed25519_table **out, unsigned flags)
{
    static const uint8_t zero32[RJ_ED25519_KEY_BYTES];

    return table_build(out, &rj_ed25519_base, zero32, 1, flags);
}

void rj_ed25519_table_free(rj_ed25519_table *table)
{
    if (table != NULL) {
        OPENSSL_free(table->memory);
    }
}

size_t rj_ed25519_table_bytes(void) { return sizeof(rj_ed25519_table) + _Alignof(rj_ed25519_table); }

const char *rj_ed25519_engine(const rj_ed25519_table *table) { return table->lanes != 0 ? "lanes" : "portable"; }

#else
typedef int ed25519_table_empty;
#endif
