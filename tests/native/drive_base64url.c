/* drive_base64url.c: every lane of the base64url file, side by side.
 *
 * lines                         one hex text a line -> "status bytes" (hex), all lanes agreeing
 * encode                        one hex string a line -> its base64url
 * differential <count> <seed>   round trips, one changed character, exact buffers; exit 0 if all hold
 * lanes                         the lanes this build and this CPU have
 * bench                         nanoseconds for 400 characters, lane by lane
 */
#include "text/base64url.c" /* for its lanes, which are static */

#include "driver_lines.h"

enum { MAX_BYTES = 300, CANARY = 0x5a };

typedef unsigned (*decode_lane)(uint8_t *out, const uint8_t *text, size_t text_len);
typedef unsigned (*check_lane)(const uint8_t *text, size_t text_len);

typedef struct {
    const char *name;
    decode_lane decode;
    check_lane check;
} lane;

/* The lanes that can run here; returns how many. */
static size_t lanes(lane *out3)
{
    size_t count = 0;

    out3[count++] = (lane){"table", base64url_decode_table, base64url_check_table};
#ifdef BASE64URL_X86
    if (__builtin_cpu_supports("avx2")) {
        out3[count++] = (lane){"avx2", base64url_decode_avx2, base64url_check_avx2};
    }
    if (base64url_has_vbmi()) {
        out3[count++] = (lane){"vbmi", base64url_decode_vbmi, base64url_check_vbmi};
    }
#endif
    return count;
}

/* Decode in a buffer of the exact size, with every lane too; the lanes must agree. The caller frees *out. */
static rj_status decode_everywhere(uint8_t **out, size_t *out_len, const uint8_t *text, size_t text_len)
{
    size_t bytes = rj_base64url_decoded_bytes(text_len), written = 12345;
    uint8_t *lane_out = malloc(bytes + 1);
    lane all[3];
    size_t count = lanes(all);
    rj_status status;

    *out = malloc(bytes + 1);
    REQUIRE(*out != NULL && lane_out != NULL);
    (*out)[bytes] = CANARY;
    status = rj_base64url_decode(*out, &written, bytes, text, text_len);
    REQUIRE((*out)[bytes] == CANARY);
    REQUIRE(written == (status == RJ_OK ? bytes : 12345));
    REQUIRE(rj_base64url_check(text, text_len) == status);
    if (bytes > 0) {
        size_t untouched = 777;
        REQUIRE(rj_base64url_decode(lane_out, &untouched, bytes - 1, text, text_len) == RJ_BAD_ARGUMENT);
        REQUIRE(untouched == 777);
    }
    for (size_t i = 0; i < count && base64url_ends_well(text, text_len); i++) {
        lane_out[bytes] = CANARY;
        REQUIRE(!all[i].decode(lane_out, text, text_len) == (status == RJ_OK));
        REQUIRE(!all[i].check(text, text_len) == (status == RJ_OK));
        REQUIRE(lane_out[bytes] == CANARY);
        REQUIRE(status != RJ_OK || memcmp(lane_out, *out, bytes) == 0);
    }
    free(lane_out);
    *out_len = bytes;
    return status;
}

static void print_lines(void)
{
    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        uint8_t *text, *out;
        size_t out_len, len = driver_exact_hex(&text, line);
        rj_status status = decode_everywhere(&out, &out_len, text, len);

        printf("%d ", (int)status);
        driver_print_hex(out, status == RJ_OK ? out_len : 0);
        printf("\n");
        free(out);
        free(text);
        free(line);
    }
}

/* The caller frees the answer; *text_len is its size. */
static uint8_t *encode(size_t *text_len, const uint8_t *bytes, size_t len)
{
    size_t chars = rj_base64url_encoded_chars(len), unset = 777;
    uint8_t *text = malloc(chars > 0 ? chars : 1);

    REQUIRE(text != NULL);
    REQUIRE(chars == 0 || rj_base64url_encode(text, &unset, chars - 1, bytes, len) == RJ_BAD_ARGUMENT);
    REQUIRE(unset == 777);
    REQUIRE(rj_base64url_encode(text, text_len, chars, bytes, len) == RJ_OK && *text_len == chars);
    return text;
}

static void print_encoded(void)
{
    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        uint8_t *bytes;
        size_t text_len, len = driver_exact_hex(&bytes, line);
        uint8_t *text = encode(&text_len, bytes, len);

        printf("%.*s\n", (int)text_len, (const char *)text);
        free(text);
        free(bytes);
        free(line);
    }
}

/* Bytes, their text, and the text with one character changed. */
static void check_one(uint64_t *seed, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t roomy[MAX_BYTES], *bytes, *text, *out;
    size_t text_len, out_len, at;
    uint8_t changed;
    int in_alphabet, keeps_tail;

    driver_fill(seed, roomy, len);
    bytes = driver_exact(roomy, len);
    text = encode(&text_len, bytes, len);
    REQUIRE(decode_everywhere(&out, &out_len, text, text_len) == RJ_OK);
    REQUIRE(out_len == len && (len == 0 || memcmp(out, bytes, len) == 0));
    free(out);
    if (text_len > 0) {
        at = (size_t)(driver_random(seed) % text_len);
        changed = (uint8_t)driver_random(seed);
        in_alphabet = changed != 0 && strchr(alphabet, changed) != NULL;
        /* the last character carries pad bits, which must stay zero */
        keeps_tail = at + 1 < text_len || text_len % 4 == 0
                  || (in_alphabet && (strchr(alphabet, changed) - alphabet) % (text_len % 4 == 2 ? 16 : 4) == 0);
        text[at] = changed;
        REQUIRE((decode_everywhere(&out, &out_len, text, text_len) == RJ_OK) == (in_alphabet && keeps_tail));
        free(out);
    }
    free(text);
    free(bytes);
}

static void bench(void)
{
    enum { CHARS = 400, BYTES = 300, ROUNDS = 2000000, REPEATS = 5 };
    uint8_t bytes[BYTES], out[BYTES];
    uint64_t seed = 1;
    size_t text_len, out_len = 0;
    lane all[3];
    size_t count = lanes(all);
    uint8_t *text;

    driver_fill(&seed, bytes, BYTES);
    text = encode(&text_len, bytes, BYTES);
    REQUIRE(text_len == CHARS);
    for (size_t i = 0; i <= count; i++) {
        double best_ns = 1e9;
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            uint64_t start = driver_now_ns(), accepted = 0;
            double ns;
            for (int round = 0; round < ROUNDS; round++) {
                accepted += i < count ? !all[i].decode(out, text, CHARS)
                                      : rj_base64url_decode(out, &out_len, BYTES, text, CHARS) == RJ_OK;
            }
            ns = (double)(driver_now_ns() - start) / ROUNDS;
            best_ns = ns < best_ns ? ns : best_ns;
            REQUIRE(accepted == ROUNDS && memcmp(out, bytes, BYTES) == 0);
        }
        printf("decode %d characters, %s: %.1f ns\n", CHARS, i < count ? all[i].name : "as called", best_ns);
    }
    free(text);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "lines") == 0) {
        print_lines();
    } else if (argc == 2 && strcmp(argv[1], "encode") == 0) {
        print_encoded();
    } else if (argc == 4 && strcmp(argv[1], "differential") == 0) {
        uint64_t seed = strtoull(argv[3], NULL, 10);
        for (unsigned long i = 0; i < strtoul(argv[2], NULL, 10); i++) {
            check_one(&seed, i % MAX_BYTES); /* every length in turn */
        }
    } else if (argc == 2 && strcmp(argv[1], "lanes") == 0) {
        lane all[3];
        size_t count = lanes(all);
        for (size_t i = 0; i < count; i++) {
            printf("%s\n", all[i].name);
        }
    } else if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        bench();
    } else {
        return 2;
    }
    return 0;
}
