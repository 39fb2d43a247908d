/* drive_hmac.c: digest and hmac files against OpenSSL's EVP.
 *
 * lanes <count> <seed>          eight messages at a time against EVP
 * differential <count> <seed>   random and edge cases; exit 0 if every answer agrees
 * lines                         "id key message tag" in hex a line -> one status number a line
 * bench                         nanoseconds a tag, ours and HMAC()
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "hash/digest.h"
#include "hash/digest_lanes.h"
#include "driver.h"
#include "hash/hmac.h"

static const EVP_MD *driver_md(rj_digest_id id)
{
    return id == RJ_SHA256 ? EVP_sha256() : id == RJ_SHA384 ? EVP_sha384() : EVP_sha512();
}

static void check_digest(uint64_t *seed, rj_digest_id id, const uint8_t *message, size_t len)
{
    uint8_t ours[RJ_DIGEST_MAX_BYTES + 1];
    uint8_t pieces[RJ_DIGEST_MAX_BYTES];
    uint8_t theirs[EVP_MAX_MD_SIZE];
    unsigned int theirs_len = 0;
    size_t bytes = rj_digest_bytes(id);
    rj_digest_state state;
    rj_digest_state fork;

    REQUIRE(EVP_Digest(message, len, theirs, &theirs_len, driver_md(id), NULL) == 1 && theirs_len == bytes);
    REQUIRE(rj_digest_block_bytes(id) == (size_t)EVP_MD_get_block_size(driver_md(id)));
    ours[bytes] = 0xa5;
    REQUIRE(rj_digest(ours, bytes, id, message, len) == RJ_OK);
    REQUIRE(ours[bytes] == 0xa5 && memcmp(ours, theirs, bytes) == 0);
    REQUIRE(rj_digest(ours, bytes - 1, id, message, len) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_digest_start(&state, id) == RJ_OK);
    for (size_t at = 0; at < len;) {
        size_t step = (size_t)(driver_random(seed) % 200);
        step = step > len - at ? len - at : step;
        rj_digest_update(&state, message + at, step);
        at += step;
    }
    fork = state;
    rj_digest_finish(&state, pieces);
    REQUIRE(memcmp(pieces, theirs, bytes) == 0);
    rj_digest_finish(&fork, pieces);
    REQUIRE(memcmp(pieces, theirs, bytes) == 0);
}

static void check_hmac(uint64_t *seed, rj_digest_id id, const uint8_t *key, size_t key_len, const uint8_t *message,
                       size_t len)
{
    uint8_t theirs[EVP_MAX_MD_SIZE + 1] = {0};
    uint8_t ours[RJ_DIGEST_MAX_BYTES];
    unsigned int theirs_len = 0;
    size_t bytes = rj_digest_bytes(id);
    size_t bit = (size_t)(driver_random(seed) % (bytes * 8));
    rj_hmac_key prepared;
    static const rj_hmac_key blank;

    if (key_len < bytes) {
        memset(&prepared, 0, sizeof(prepared));
        REQUIRE(rj_hmac_prepare(&prepared, id, key, key_len) == RJ_KEY_WEAK);
        REQUIRE(memcmp(&prepared, &blank, sizeof(blank)) == 0);
        REQUIRE(rj_hmac_verify(&prepared, message, len, theirs, bytes) == RJ_BAD_ARGUMENT);
        REQUIRE(rj_hmac_sign(&prepared, ours, sizeof(ours), message, len) == RJ_BAD_ARGUMENT);
        return;
    }
    REQUIRE(HMAC(driver_md(id), key, (int)key_len, message, len, theirs, &theirs_len) != NULL);
    REQUIRE(theirs_len == bytes);
    REQUIRE(rj_hmac_prepare(&prepared, id, key, key_len) == RJ_OK);
    REQUIRE(rj_hmac_sign(&prepared, ours, bytes - 1, message, len) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_hmac_sign(&prepared, ours, bytes, message, len) == RJ_OK && memcmp(ours, theirs, bytes) == 0);
    REQUIRE(rj_hmac_verify(&prepared, message, len, theirs, bytes) == RJ_OK);
    REQUIRE(rj_hmac_verify(&prepared, message, len, theirs, bytes - 1) == RJ_SIGNATURE_INVALID);
    REQUIRE(rj_hmac_verify(&prepared, message, len, theirs, bytes + 1) == RJ_SIGNATURE_INVALID);
    REQUIRE(rj_hmac_verify(&prepared, message, len, theirs, 0) == RJ_SIGNATURE_INVALID);
    theirs[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    REQUIRE(rj_hmac_verify(&prepared, message, len, theirs, bytes) == RJ_SIGNATURE_INVALID);
    rj_hmac_clear(&prepared);
    REQUIRE(memcmp(&prepared, &blank, sizeof(blank)) == 0);
    REQUIRE(rj_hmac_verify(&prepared, message, len, theirs, bytes) == RJ_BAD_ARGUMENT);
}

static void differential(unsigned long count, uint64_t seed)
{
    enum { MESSAGE_MAX_BYTES = 1024, KEY_MAX_BYTES = 300 };
    uint8_t message[MESSAGE_MAX_BYTES];
    uint8_t key[KEY_MAX_BYTES];
    rj_hmac_key prepared;
    rj_digest_state state;

    REQUIRE(rj_digest_bytes((rj_digest_id)0) == 0 && rj_digest_bytes((rj_digest_id)4) == 0);
    REQUIRE(rj_digest_block_bytes((rj_digest_id)0) == 0);
    REQUIRE(rj_digest_start(&state, (rj_digest_id)0) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_digest(message, sizeof(message), (rj_digest_id)4, key, 0) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_hmac_prepare(&prepared, (rj_digest_id)0, key, sizeof(key)) == RJ_BAD_ARGUMENT);
    for (rj_digest_id id = RJ_SHA256; id <= RJ_SHA512; id++) {
        for (size_t len = 0; len <= KEY_MAX_BYTES; len++) { /* every padding case, every key size edge */
            driver_fill(&seed, message, len);
            driver_fill(&seed, key, len);
            check_digest(&seed, id, message, len);
            check_hmac(&seed, id, key, len, message, len);
        }
        check_digest(&seed, id, NULL, 0);
        for (unsigned long i = 0; i < count; i++) {
            size_t len = (size_t)(driver_random(&seed) % (MESSAGE_MAX_BYTES + 1));
            size_t key_len = (size_t)(driver_random(&seed) % (KEY_MAX_BYTES + 1));
            driver_fill(&seed, message, len);
            driver_fill(&seed, key, key_len);
            check_digest(&seed, id, message, len);
            check_hmac(&seed, id, key, key_len, message, len);
        }
    }
}

/* Eight messages of lengths around the block edges, cut in two anywhere. */
static void check_lanes(uint64_t *seed, size_t length)
{
    enum { LANE_MAX_BYTES = 700 };
    static uint8_t text[RJ_DIGEST_LANES][LANE_MAX_BYTES];
    rj_digest_message messages[RJ_DIGEST_LANES];
    uint8_t ours[RJ_DIGEST_LANES][RJ_DIGEST_MAX_BYTES];

    for (size_t lane = 0; lane < RJ_DIGEST_LANES; lane++) {
        size_t len = driver_random(seed) % 2 == 0 ? (length + lane) % LANE_MAX_BYTES
                                                  : (size_t)(driver_random(seed) % LANE_MAX_BYTES);
        size_t cut = driver_random(seed) % 2 == 0 ? 64 : (size_t)(driver_random(seed) % LANE_MAX_BYTES);
        cut = cut > len ? len : cut;
        driver_fill(seed, text[lane], len);
        messages[lane] = (rj_digest_message){text[lane], cut, text[lane] + cut, len - cut};
    }
    for (rj_digest_id id = RJ_SHA384; id <= RJ_SHA512; id++) {
        REQUIRE(rj_digest_lanes(ours, id, (const rj_digest_message *)messages) == RJ_OK);
        for (size_t lane = 0; lane < RJ_DIGEST_LANES; lane++) {
            uint8_t theirs[EVP_MAX_MD_SIZE];
            size_t len = messages[lane].head_len + messages[lane].tail_len;
            REQUIRE(EVP_Digest(text[lane], len, theirs, NULL, driver_md(id), NULL) == 1);
            REQUIRE(memcmp(ours[lane], theirs, rj_digest_bytes(id)) == 0);
        }
    }
    REQUIRE(rj_digest_lanes(ours, RJ_SHA256, (const rj_digest_message *)messages) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_digest_lanes(ours, (rj_digest_id)0, (const rj_digest_message *)messages) == RJ_BAD_ARGUMENT);
}

static void lanes(unsigned long count, uint64_t seed)
{
    if (!rj_digest_lanes_usable()) {
        printf("not usable on this machine\n");
        return;
    }
    for (size_t length = 0; length < 520; length++) {
        check_lanes(&seed, length);
    }
    for (unsigned long i = 0; i < count; i++) {
        check_lanes(&seed, (size_t)(driver_random(&seed) % 700));
    }
}

static void lines(void)
{
    static char line[1 << 17];
    char *words[4];

    while (driver_words(line, sizeof(line), words, 4) == 4) {
        uint8_t *key;
        uint8_t *message;
        uint8_t *tag;
        rj_digest_id id = (rj_digest_id)atoi(words[0]);
        size_t key_len = driver_hex(&key, words[1]);
        size_t message_len = driver_hex(&message, words[2]);
        size_t tag_len = driver_hex(&tag, words[3]);
        rj_hmac_key prepared;
        rj_status status = rj_hmac_prepare(&prepared, id, key, key_len);

        if (status == RJ_OK) {
            status = rj_hmac_verify(&prepared, message, message_len, tag, tag_len);
            rj_hmac_clear(&prepared);
        }
        printf("%d\n", (int)status);
        free(key);
        free(message);
        free(tag);
    }
}

static void bench(void)
{
    enum { ROUNDS = 200000, MESSAGE_BYTES = 300 };
    static const uint8_t key[64] = {1};
    uint8_t message[MESSAGE_BYTES] = {7};

    for (rj_digest_id id = RJ_SHA256; id <= RJ_SHA512; id++) {
        uint8_t tag[RJ_DIGEST_MAX_BYTES];
        size_t bytes = rj_digest_bytes(id);
        rj_hmac_key prepared;
        uint64_t start;
        double ours_ns;
        double theirs_ns;
        unsigned long accepted = 0;

        REQUIRE(rj_hmac_prepare(&prepared, id, key, sizeof(key)) == RJ_OK);
        REQUIRE(rj_hmac_sign(&prepared, tag, sizeof(tag), message, sizeof(message)) == RJ_OK);
        start = driver_now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            accepted += rj_hmac_verify(&prepared, message, sizeof(message), tag, bytes) == RJ_OK;
        }
        ours_ns = (double)(driver_now_ns() - start) / ROUNDS;
        start = driver_now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            uint8_t theirs[EVP_MAX_MD_SIZE];
            unsigned int len = 0;
            accepted += HMAC(driver_md(id), key, sizeof(key), message, sizeof(message), theirs, &len) != NULL
                     && memcmp(theirs, tag, bytes) == 0;
        }
        theirs_ns = (double)(driver_now_ns() - start) / ROUNDS;
        REQUIRE(accepted == 2 * ROUNDS);
        if (id != RJ_SHA256 && rj_digest_lanes_usable()) {
            uint8_t digests[RJ_DIGEST_LANES][RJ_DIGEST_MAX_BYTES];
            rj_digest_message messages[RJ_DIGEST_LANES];
            double lanes_ns;
            double alone_ns;
            for (size_t lane = 0; lane < RJ_DIGEST_LANES; lane++) {
                messages[lane] = (rj_digest_message){NULL, 0, message, sizeof(message)};
            }
            start = driver_now_ns();
            for (int i = 0; i < ROUNDS / 8; i++) {
                REQUIRE(rj_digest_lanes(digests, id, (const rj_digest_message *)messages) == RJ_OK);
            }
            lanes_ns = (double)(driver_now_ns() - start) / ROUNDS;
            start = driver_now_ns();
            for (int i = 0; i < ROUNDS; i++) {
                REQUIRE(rj_digest(digests[0], RJ_DIGEST_MAX_BYTES, id, message, sizeof(message)) == RJ_OK);
            }
            alone_ns = (double)(driver_now_ns() - start) / ROUNDS;
            printf("SHA-%u 300 bytes: alone %.0f ns, in eight lanes %.0f ns each, ratio %.1f\n", (unsigned)(bytes * 8),
                   alone_ns, lanes_ns, alone_ns / lanes_ns);
        }
        printf("HS%u 300 bytes: prepared %.0f ns, HMAC() %.0f ns, ratio %.1f\n", (unsigned)(bytes * 8), ours_ns,
               theirs_ns, theirs_ns / ours_ns);
    }
}

static const driver_command COMMANDS[] = {
    {"differential", NULL, differential},
    {"lanes", NULL, lanes},
    {"lines", lines, NULL},
    {"bench", bench, NULL},
};

int main(int argc, char **argv) { return driver_run(COMMANDS, sizeof(COMMANDS) / sizeof(COMMANDS[0]), argc, argv); }
