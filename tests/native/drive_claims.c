/* drive_claims.c: the claims file over scanned payloads.
 *
 * lines   "now[:ns] leeway max_age flags issuer audiences required payload" a line -> one status a line; issuer is
 *         hex or * for none, the lists are hex words joined by commas or * for none
 * bench   nanoseconds a check of a payload with ten claims, and of scan and check together
 */
#include "text/claims.h"
#include "driver_lines.h"

enum { LIST_MAX = 8, MEMBERS_CAP = 64 };

static const rj_json_limits limits = {1 << 20, 32, MEMBERS_CAP, 0};

/* The caller frees span->ptr. A name of no bytes keeps a pointer, for NULL means none. */
static rj_span span_of(const char *word)
{
    uint8_t *bytes;
    size_t len = driver_hex(&bytes, word);

    return (rj_span){bytes, len};
}

static size_t list_of(rj_span *list, char *words)
{
    size_t count = 0;

    if (strcmp(words, "*") == 0) {
        return 0;
    }
    for (char *next = words; next != NULL;) {
        char *word = next;
        next = strchr(next, ',');
        if (next != NULL) {
            *next++ = '\0';
        }
        REQUIRE(count < LIST_MAX);
        list[count++] = span_of(word);
    }
    return count;
}

static void free_list(const rj_span *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)list[i].ptr);
    }
}

/* "seconds" or "seconds:nanoseconds". */
static rj_time time_of(const char *word)
{
    char *end = NULL;
    rj_time time = {strtoll(word, &end, 10), 0};

    if (*end == ':') {
        time.ns = (uint32_t)strtoul(end + 1, NULL, 10);
    }
    return time;
}

static rj_status check(const rj_claims_policy *policy, const uint8_t *json, size_t len, rj_time now)
{
    static rj_json_member members[MEMBERS_CAP];
    static uint64_t work[1 << 16];
    rj_json_report report;
    rj_status status = rj_json_scan(&report, members, MEMBERS_CAP, work, sizeof(work), json, len, &limits);

    return status != RJ_OK ? status : rj_claims_check(policy, json, members, report.members_len, now);
}

static void lines(void)
{
    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        char *words[8];
        rj_span audiences[LIST_MAX], required[LIST_MAX];
        rj_claims_policy policy = {.audiences = audiences, .required = required, .max_auth_age_s = -1};
        uint8_t *json;
        size_t len;
        for (int i = 0; i < 8; i++) {
            words[i] = strtok(i == 0 ? line : NULL, " ");
            REQUIRE(words[i] != NULL);
        }
        policy.leeway_s = strtoll(words[1], NULL, 10);
        policy.max_age_s = strtoll(words[2], NULL, 10);
        policy.flags = (uint32_t)strtoul(words[3], NULL, 10);
        if (strcmp(words[4], "*") != 0) {
            policy.issuer = span_of(words[4]);
        }
        policy.audiences_len = list_of(audiences, words[5]);
        policy.required_len = list_of(required, words[6]);
        len = driver_exact_hex(&json, words[7]);
        printf("%d\n", (int)check(&policy, json, len, time_of(words[0])));
        free(json);
        free((void *)(uintptr_t)policy.issuer.ptr);
        free_list(audiences, policy.audiences_len);
        free_list(required, policy.required_len);
        free(line);
    }
}

static void bench(void)
{
    enum { ROUNDS = 300000, REPEATS = 5, NOW_S = 1767222100 };
    static const char payload[] =
        "{\"iss\":\"https://issuer.example/tenant\",\"sub\":\"user-8f14e45f\",\"aud\":[\"api\",\"web\"],"
        "\"exp\":1767225600,\"nbf\":1767222000,\"iat\":1767222000,\"jti\":\"c81e728d9d4c2f636f067f89cc14862c\","
        "\"scope\":\"read:orders write:orders\",\"roles\":[\"admin\",\"auditor\"],"
        "\"realm_access\":{\"roles\":[\"offline_access\",\"uma_authorization\"]}}";
    const uint8_t *json = (const uint8_t *)payload;
    rj_span audiences[2] = {{(const uint8_t *)"other", 5}, {(const uint8_t *)"web", 3}};
    rj_span required[2] = {{(const uint8_t *)"sub", 3}, {(const uint8_t *)"scope", 5}};
    rj_claims_policy policy = {.issuer = {(const uint8_t *)"https://issuer.example/tenant", 29},
                               .audiences = audiences,
                               .audiences_len = 2,
                               .required = required,
                               .required_len = 2,
                               .leeway_s = 30,
                               .max_age_s = 3600,
                               .max_auth_age_s = -1};
    rj_json_member members[MEMBERS_CAP];
    uint64_t work[256], start, accepted = 0;
    rj_json_report report;
    rj_time now = {NOW_S, 0};
    size_t len = strlen(payload);
    double ns, claims_ns = 1e9, both_ns = 1e9;

    REQUIRE(rj_json_scan(&report, members, MEMBERS_CAP, work, sizeof(work), json, len, &limits) == RJ_OK);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        start = driver_now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            accepted += rj_claims_check(&policy, json, members, report.members_len, now) == RJ_OK;
        }
        ns = (double)(driver_now_ns() - start) / ROUNDS;
        claims_ns = ns < claims_ns ? ns : claims_ns;
        start = driver_now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            accepted += rj_json_scan(&report, members, MEMBERS_CAP, work, sizeof(work), json, len, &limits) == RJ_OK
                     && rj_claims_check(&policy, json, members, report.members_len, now) == RJ_OK;
        }
        ns = (double)(driver_now_ns() - start) / ROUNDS;
        both_ns = ns < both_ns ? ns : both_ns;
    }
    printf("claims of %zu bytes: %.1f ns\n", len, claims_ns);
    printf("scan and claims: %.1f ns\n", both_ns);
    REQUIRE(accepted == 2 * REPEATS * ROUNDS);
}

static const driver_command COMMANDS[] = {
    {"lines", lines, NULL},
    {"bench", bench, NULL},
};

int main(int argc, char **argv) { return driver_run(COMMANDS, sizeof(COMMANDS) / sizeof(COMMANDS[0]), argc, argv); }
