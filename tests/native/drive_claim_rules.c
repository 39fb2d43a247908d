/* drive_claim_rules.c: the claim_rules file over scanned payloads.
 *
 * lines   "payload count" and for each rule nine words "kind flags literals path texts integers classes next accepting"
 *         a line -> one status a line; path, texts and integers are hex words joined by commas or * for none, the
 *         tables of a pattern are hex (next: little-endian pairs of octets) or *
 * bench   nanoseconds a check of four rules over a payload with nine claims
 */
#include "text/claim_rules.h"
#include "driver_lines.h"

enum { RULES_MAX = 16, LIST_MAX = 80, MEMBERS_CAP = 64, RULE_WORDS = 9 };

static const rj_json_limits limits = {1 << 20, 32, MEMBERS_CAP, 0};

/* What one rule borrows. */
typedef struct {
    rj_span path[LIST_MAX];
    rj_span texts[LIST_MAX];
    rj_span integers[LIST_MAX];
    uint8_t *classes;
    uint16_t *next;
    uint8_t *accepting;
} rule_parts;

static const char *next_word(char *line)
{
    const char *word = strtok(line, " ");

    REQUIRE(word != NULL);
    return word;
}

/* Each span in a buffer of exactly its size; an empty one keeps a pointer. */
static size_t list_of(rj_span *list, const char *words)
{
    size_t count = 0;
    char *copy, *word;

    if (strcmp(words, "*") == 0) {
        return 0;
    }
    copy = malloc(strlen(words) + 1);
    REQUIRE(copy != NULL);
    memcpy(copy, words, strlen(words) + 1);
    for (char *rest = copy; rest != NULL;) {
        uint8_t *roomy;
        word = rest;
        rest = strchr(rest, ',');
        if (rest != NULL) {
            *rest++ = '\0';
        }
        REQUIRE(count < LIST_MAX);
        list[count].len = driver_hex(&roomy, word);
        list[count++].ptr = roomy;
    }
    free(copy);
    return count;
}

static void free_list(const rj_span *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)list[i].ptr);
    }
}

static void pattern_of(rj_claim_pattern *pattern, rule_parts *parts, const char *classes, const char *next,
                       const char *accepting)
{
    uint8_t *pairs;
    size_t len;

    if (strcmp(classes, "*") == 0) {
        return;
    }
    REQUIRE(driver_exact_hex(&parts->classes, classes) == 256);
    len = driver_exact_hex(&pairs, next);
    pattern->states_len = (uint32_t)driver_exact_hex(&parts->accepting, accepting);
    pattern->classes_len = (uint32_t)(len / 2 / pattern->states_len);
    parts->next = malloc(len);
    REQUIRE(parts->next != NULL);
    for (size_t i = 0; i < len / 2; i++) {
        parts->next[i] = (uint16_t)(pairs[2 * i] | pairs[2 * i + 1] << 8);
    }
    free(pairs);
    pattern->classes = parts->classes;
    pattern->next = parts->next;
    pattern->accepting = parts->accepting;
}

static void read_rule(rj_claim_rule *rule, rule_parts *parts)
{
    const char *classes, *next;

    memset(rule, 0, sizeof(*rule));
    memset(parts, 0, sizeof(*parts));
    rule->kind = (uint32_t)strtoul(next_word(NULL), NULL, 10);
    rule->flags = (uint32_t)strtoul(next_word(NULL), NULL, 10);
    rule->literals = (uint32_t)strtoul(next_word(NULL), NULL, 10);
    rule->path_len = list_of(parts->path, next_word(NULL));
    rule->texts_len = list_of(parts->texts, next_word(NULL));
    rule->integers_len = list_of(parts->integers, next_word(NULL));
    rule->path = parts->path;
    rule->texts = parts->texts;
    rule->integers = parts->integers;
    classes = next_word(NULL);
    next = next_word(NULL);
    pattern_of(&rule->pattern, parts, classes, next, next_word(NULL));
}

static void free_rule(const rj_claim_rule *rule, rule_parts *parts)
{
    free_list(rule->path, rule->path_len);
    free_list(rule->texts, rule->texts_len);
    free_list(rule->integers, rule->integers_len);
    free(parts->classes);
    free(parts->next);
    free(parts->accepting);
}

static rj_status check(const rj_claim_rule *rules, size_t rules_len, const uint8_t *json, size_t len)
{
    static rj_json_member members[MEMBERS_CAP];
    static uint64_t work[1 << 14];
    rj_json_report report;
    rj_status status = rj_json_scan(&report, members, MEMBERS_CAP, work, sizeof(work), json, len, &limits);

    return status != RJ_OK ? status : rj_claim_rules_check(rules, rules_len, json, members, report.members_len);
}

static void lines(void)
{
    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        static rj_claim_rule rules[RULES_MAX];
        static rule_parts parts[RULES_MAX];
        uint8_t *json;
        size_t len = driver_exact_hex(&json, next_word(line));
        size_t count = strtoul(next_word(NULL), NULL, 10);

        REQUIRE(count <= RULES_MAX);
        for (size_t i = 0; i < count; i++) {
            read_rule(&rules[i], &parts[i]);
        }
        printf("%d\n", (int)check(rules, count, json, len));
        for (size_t i = 0; i < count; i++) {
            free_rule(&rules[i], &parts[i]);
        }
        free(json);
        free(line);
    }
}

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

static void bench(void)
{
    enum { ROUNDS = 20000, REPEATS = 5 };
    static const char payload[] =
        "{\"iss\": \"https://issuer.example\", \"aud\": \"api\", \"exp\": 1800000060, \"iat\": 1800000000, "
        "\"sub\": \"user:1\", \"azp\": \"web\", \"tid\": \"b\", \"email_verified\": true, "
        "\"realm_access\": {\"roles\": [\"clerk\", \"admin\"]}}";
    const rj_span azp[] = {TEXT("azp")}, tid[] = {TEXT("tid")}, verified[] = {TEXT("email_verified")};
    const rj_span roles[] = {TEXT("realm_access"), TEXT("roles")};
    const rj_span web[] = {TEXT("web")}, tenants[] = {TEXT("a"), TEXT("b")}, admin[] = {TEXT("admin")};
    const rj_claim_rule rules[] = {
        {.kind = RJ_RULE_ONE_OF, .path = azp, .path_len = 1, .texts = web, .texts_len = 1},
        {.kind = RJ_RULE_ONE_OF, .path = tid, .path_len = 1, .texts = tenants, .texts_len = 2},
        {.kind = RJ_RULE_ONE_OF, .path = verified, .path_len = 1, .literals = RJ_RULE_TRUE},
        {.kind = RJ_RULE_CONTAINS_ALL, .path = roles, .path_len = 2, .texts = admin, .texts_len = 1},
    };
    rj_json_member members[MEMBERS_CAP];
    uint64_t work[256], start, accepted = 0;
    rj_json_report report;
    size_t len = strlen(payload);
    const uint8_t *json = (const uint8_t *)payload;
    double best = 1e9;

    REQUIRE(rj_json_scan(&report, members, MEMBERS_CAP, work, sizeof(work), json, len, &limits) == RJ_OK);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double ns;
        start = driver_now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            accepted += rj_claim_rules_check(rules, 4, json, members, report.members_len) == RJ_OK;
        }
        ns = (double)(driver_now_ns() - start) / ROUNDS;
        best = ns < best ? ns : best;
    }
    REQUIRE(accepted == (uint64_t)REPEATS * ROUNDS);
    printf("four rules: %.0f ns\n", best);
}

static const driver_command COMMANDS[] = {
    {"lines", lines, NULL},
    {"bench", bench, NULL},
};

int main(int argc, char **argv) { return driver_run(COMMANDS, sizeof(COMMANDS) / sizeof(COMMANDS[0]), argc, argv); }
