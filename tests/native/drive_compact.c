/* drive_compact.c: the compact file over given tokens and random ones.
 *
 * lines <max_len>           one hex token a line -> "status header payload signature", lengths at their offsets
 * mutate <seconds> <seed>   random strings of dots and letters against a count of dots; exit 0 if all agree
 * untouched                 a token too large is refused without a look: it lies where nothing can be read
 * bench                     nanoseconds for a token of 400 bytes, and for a mebibyte of dots
 */
#include "text/compact.h"
#include "driver_lines.h"

static void lines(size_t max_len)
{
    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        uint8_t *token;
        size_t len = driver_exact_hex(&token, line);
        rj_span part[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
        rj_status status = rj_compact_split(&part[0], &part[1], &part[2], token, len, max_len);

        printf("%d", (int)status);
        for (int i = 0; i < 3; i++) {
            REQUIRE((status == RJ_OK) == (part[i].ptr != NULL));
            printf(" %zu@%zu", part[i].len, status == RJ_OK ? (size_t)(part[i].ptr - token) : 0);
        }
        printf("\n");
        free(token);
        free(line);
    }
}

static void mutate(uint64_t seconds, uint64_t seed)
{
    uint64_t end = driver_now_ns() + seconds * UINT64_C(1000000000), tokens = 0, accepted = 0;

    while (driver_now_ns() < end) {
        uint8_t roomy[100], *token;
        size_t len = (size_t)(driver_random(&seed) % sizeof(roomy)), dots = 0, place[100] = {0};
        rj_span header = {NULL, 7}, payload = {NULL, 7}, signature = {NULL, 7};
        int good;
        for (size_t i = 0; i < len; i++) {
            roomy[i] = driver_random(&seed) % 32 ? (uint8_t)driver_random(&seed) : (uint8_t)'.';
            if (roomy[i] == '.') {
                place[dots++] = i;
            }
        }
        token = driver_exact(roomy, len);
        good = dots == 2 && place[0] > 0 && place[1] + 1 < len;
        REQUIRE(rj_compact_split(&header, &payload, &signature, token, len, sizeof(roomy))
                == (good ? RJ_OK : RJ_MALFORMED_TOKEN));
        if (good) {
            REQUIRE(header.ptr == token && header.len == place[0]);
            REQUIRE(payload.ptr == token + place[0] + 1 && payload.len == place[1] - place[0] - 1);
            REQUIRE(signature.ptr == token + place[1] + 1 && signature.len == len - place[1] - 1);
        } else {
            REQUIRE(header.ptr == NULL && header.len == 7 && payload.len == 7 && signature.len == 7);
        }
        free(token);
        tokens++;
        accepted += (uint64_t)good;
    }
    REQUIRE(accepted > 0 && accepted < tokens);
    printf("%llu tokens, %llu accepted\n", (unsigned long long)tokens, (unsigned long long)accepted);
}

static void untouched(void)
{
    rj_span part = {NULL, 0};
    const uint8_t *nowhere = (const uint8_t *)(uintptr_t)64;

    REQUIRE(rj_compact_split(&part, &part, &part, nowhere, 1001, 1000) == RJ_TOO_LARGE);
}

static void bench(void)
{
    enum { TOKEN_BYTES = 400, DOTS_BYTES = 1 << 20, ROUNDS = 2000000 };
    uint8_t token[TOKEN_BYTES], *dots = malloc(DOTS_BYTES);
    rj_span header, payload, signature;
    uint64_t start, accepted = 0, refused = 0;

    REQUIRE(dots != NULL);
    memset(dots, '.', DOTS_BYTES);
    dots[0] = 'A';
    memset(token, 'A', TOKEN_BYTES);
    token[36] = token[312] = '.';
    start = driver_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        accepted += rj_compact_split(&header, &payload, &signature, token, TOKEN_BYTES, TOKEN_BYTES) == RJ_OK;
    }
    printf("split %d bytes: %.1f ns\n", TOKEN_BYTES, (double)(driver_now_ns() - start) / ROUNDS);
    start = driver_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        refused += rj_compact_split(&header, &payload, &signature, dots, DOTS_BYTES, DOTS_BYTES) != RJ_OK;
    }
    printf("refuse %d bytes of dots: %.1f ns\n", DOTS_BYTES, (double)(driver_now_ns() - start) / ROUNDS);
    REQUIRE(accepted == ROUNDS && refused == ROUNDS);
    free(dots);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "lines") == 0) {
        lines(strtoul(argv[2], NULL, 10));
    } else if (argc == 4 && strcmp(argv[1], "mutate") == 0) {
        mutate(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (argc == 2 && strcmp(argv[1], "untouched") == 0) {
        untouched();
    } else if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        bench();
    } else {
        return 2;
    }
    return 0;
}
