/* drive_json_scan.c: the json_scan file over given texts, mutated texts, hostile texts, and a clock.
 *
 * lines <max_bytes> <max_depth> <max_members> <flags> <members_cap> <work_bytes>
 *     one hex text a line -> "status fault root overflow decimal big" and for each member
 *     "name_offset,name_len,value_offset,value_len,type,name_escape,value_escape"; work_bytes -1: as computed
 * mutate <seconds> <seed>   mutations of built-in texts; exit 0 if every promise of the header held
 * collide <count>           one object of so many names with one hash -> "status seconds"
 * bench                     nanoseconds a text
 */
#include "driver_lines.h"
#include "text/json_names.h"
#include "text/json_scan.h"

enum { MEMBERS_CAP = 64, MUTANT_MAX_BYTES = 4096 };

static const char *const seeds[] = {
    "{\"iss\":\"https://issuer.example/tenant\",\"sub\":\"user-8f14e45f\",\"aud\":[\"api\",\"web\"],"
    "\"exp\":1767225600,\"nbf\":1767222000,\"iat\":1767222000,\"jti\":\"c81e728d9d4c2f636f067f89cc14862c\","
    "\"scope\":\"read:orders write:orders\",\"roles\":[\"admin\",\"auditor\"],"
    "\"realm_access\":{\"roles\":[\"offline_access\",\"uma_authorization\"]}}",
    "{\"a\":{\"a\":{\"a\":[1,[2,[3,{}]]]}},\"\\u0061b\":-0.5e-3,\"ab\":1e308,\"\":null,\"\\ud83d\\ude00\":true}",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\",\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",false,18446744073709551615]",
    "{\"k0\":0,\"k1\":0,\"k2\":0,\"k3\":0,\"k4\":0,\"k5\":0,\"k6\":0,\"k7\":0,\"k8\":0,\"k9\":0,\"l0\":0,\"l1\":0,"
    "\"l2\":0,\"l3\":0,\"l4\":0,\"l5\":0,\"l6\":0,\"l7\":0,\"l8\":0,\"l9\":0,\"m0\":0,\"m1\":0,\"m2\":0,\"m3\":0,"
    "\"m4\":0,\"m5\":0,\"m6\":0,\"m7\":0,\"m8\":0,\"m9\":0,\"n0\":0,\"n1\":0,\"n2\":0,\"n3\":0,\"n4\":0,\"n5\":0}",
};
#define SEEDS (sizeof(seeds) / sizeof(seeds[0]))

/* One scan with fresh exact buffers; members_out may be NULL. */
static rj_status scan(rj_json_report *report, rj_json_member *members, size_t members_cap, size_t work_bytes,
                      const uint8_t *text, size_t len, const rj_json_limits *limits)
{
    uint8_t *work = malloc(work_bytes + 1); /* odd on purpose: any alignment will do */
    rj_status status;

    REQUIRE(work != NULL);
    memset(work, 0xa5, work_bytes + 1);
    status = rj_json_scan(report, members, members_cap, work + 1, work_bytes, text, len, limits);
    free(work);
    return status;
}

static void lines(char **argv)
{
    rj_json_limits limits = {strtoul(argv[0], NULL, 10), (uint32_t)strtoul(argv[1], NULL, 10),
                             (uint32_t)strtoul(argv[2], NULL, 10), (uint32_t)strtoul(argv[3], NULL, 10)};
    size_t members_cap = strtoul(argv[4], NULL, 10);
    long given_work = strtol(argv[5], NULL, 10);
    rj_json_member *members = members_cap > 0 ? malloc(members_cap * sizeof(*members)) : NULL;

    for (char *line = driver_line(); line != NULL; line = driver_line()) {
        uint8_t *text;
        size_t len = driver_exact_hex(&text, line);
        size_t work_bytes = given_work < 0 ? rj_json_work_bytes(len, &limits) : (size_t)given_work;
        rj_json_report report;
        rj_status status = scan(&report, members, members_cap, work_bytes, text, len, &limits);

        printf("%d %u %u %u %u %u", (int)status, report.fault_offset, report.root_type, report.members_overflow,
               report.has_decimal, report.has_big_integer);
        for (uint32_t i = 0; i < report.members_len; i++) {
            const rj_json_member *m = &members[i];
            printf(" %u,%u,%u,%u,%u,%u,%u", m->name_offset, m->name_len, m->value_offset, m->value_len, m->value_type,
                   m->name_has_escape, m->value_has_escape);
        }
        printf("\n");
        free(text);
        free(line);
    }
    free(members);
}

/* What must hold of any text. Returns whether it was accepted. */
static int hold_promises(const uint8_t *text, size_t len, const rj_json_limits *limits)
{
    static rj_json_member members[MEMBERS_CAP], again[MEMBERS_CAP];
    rj_json_report report, second;
    size_t work_bytes = rj_json_work_bytes(len, limits);
    rj_status status = scan(&report, members, MEMBERS_CAP, work_bytes, text, len, limits);
    rj_status tight;

    REQUIRE(status != RJ_UNDECIDED && status != RJ_NO_MEMORY && status != RJ_BAD_ARGUMENT);
    REQUIRE(report.fault_offset <= len);
    REQUIRE(status == RJ_OK || (report.members_len == 0 && report.root_type == RJ_JSON_ABSENT));
    tight = scan(&second, again, MEMBERS_CAP, 100, text, len, limits);
    REQUIRE(tight == status || tight == RJ_NO_MEMORY);
    tight = scan(&second, NULL, 0, work_bytes, text, len, limits);
    REQUIRE(tight == status && second.fault_offset == report.fault_offset);
    for (uint32_t i = 0; i < report.members_len; i++) {
        const rj_json_member *m = &members[i];
        rj_json_report inner;
        rj_json_limits loose = *limits;
        loose.flags = RJ_JSON_ANY_ROOT;
        REQUIRE(m->name_offset > 0 && m->name_offset + m->name_len < len && text[m->name_offset - 1] == '"'
                && text[m->name_offset + m->name_len] == '"');
        REQUIRE(m->value_len > 0 && m->value_offset + m->value_len <= len);
        REQUIRE(scan(&inner, NULL, 0, work_bytes, text + m->value_offset, m->value_len, &loose) == RJ_OK);
        REQUIRE(inner.root_type == m->value_type);
    }
    return status == RJ_OK;
}

/* One small change of a text, in place; returns its new size. */
static size_t mutate_once(uint64_t *seed, uint8_t *text, size_t len)
{
    static const uint8_t likely[] = "\"\\{}[]:,0123456789-+.eEutfn \t\n\x80\xc3\xed\xf0\xff";
    size_t at = len > 0 ? (size_t)(driver_random(seed) % len) : 0;
    size_t count = (size_t)(driver_random(seed) % 8) + 1;
    uint8_t byte =
        driver_random(seed) % 4 ? likely[driver_random(seed) % (sizeof(likely) - 1)] : (uint8_t)driver_random(seed);

    switch (driver_random(seed) % 5) {
    case 0: /* replace */
        if (len > 0) {
            text[at] = byte;
        }
        return len;
    case 1: /* insert */
        if (len < MUTANT_MAX_BYTES) {
            memmove(text + at + 1, text + at, len - at);
            text[at] = byte;
            len++;
        }
        return len;
    case 2: /* remove */
        count = count > len - at ? len - at : count;
        memmove(text + at, text + at + count, len - at - count);
        return len - count;
    case 3: /* cut */
        return driver_random(seed) % 8 ? len : at;
    default: { /* repeat a part */
        size_t part = (size_t)(driver_random(seed) % 64);
        part = part > len - at ? len - at : part;
        part = part > MUTANT_MAX_BYTES - len ? MUTANT_MAX_BYTES - len : part;
        memmove(text + at + part, text + at, len - at);
        return len + part;
    }
    }
}

static void mutate(uint64_t seconds, uint64_t seed)
{
    uint64_t end = driver_now_ns() + seconds * UINT64_C(1000000000), texts = 0, accepted = 0;

    while (driver_now_ns() < end) {
        static uint8_t text[MUTANT_MAX_BYTES + 1];
        const char *source = seeds[driver_random(&seed) % SEEDS];
        size_t len = strlen(source);
        memcpy(text, source, len);
        for (size_t step = 0; step < 6; step++) {
            rj_json_limits limits = {MUTANT_MAX_BYTES, (uint32_t)(driver_random(&seed) % 8 + 1),
                                     (uint32_t)(driver_random(&seed) % 64 + 1), (uint32_t)(driver_random(&seed) % 2)};
            uint8_t *exact = driver_exact(text, len);
            accepted += (uint64_t)hold_promises(exact, len, &limits);
            texts++;
            free(exact);
            len = mutate_once(&seed, text, len);
        }
    }
    REQUIRE(accepted > 0 && accepted < texts);
    printf("%llu texts, %llu accepted\n", (unsigned long long)texts, (unsigned long long)accepted);
}

/* A name of 16 printable characters whose hash is the one of all the others: with its first half free, the second
 * takes back what the first did to the state. */
static void colliding_name(uint64_t *seed, uint8_t *name16)
{
    static const uint8_t model[17] = "................";
    static const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);

    for (;;) {
        uint64_t half, state, model_state, word;
        int printable = 1;
        uint64_t chance = driver_random(seed);
        for (size_t i = 0; i < 8; i++) { /* enough of them that none comes twice */
            name16[i] = (uint8_t)('?' + (chance >> 8 * i) % 64);
            printable &= name16[i] != '\\';
        }
        memcpy(&half, name16, 8);
        state = (16 * odd ^ half) * odd;
        state ^= state >> 32;
        memcpy(&half, model, 8);
        model_state = (16 * odd ^ half) * odd;
        model_state ^= model_state >> 32;
        memcpy(&word, model + 8, 8);
        word ^= model_state ^ state;
        memcpy(name16 + 8, &word, 8);
        for (size_t i = 8; i < 16; i++) {
            printable &= name16[i] >= ' ' && name16[i] < 0x7f && name16[i] != '"' && name16[i] != '\\';
        }
        if (printable) {
            REQUIRE(json_names_hash(name16, 16) == json_names_hash(model, 16));
            return;
        }
    }
}

static void collide(size_t count)
{
    enum { MEMBER_BYTES = 21 }; /* "name16":0, */
    size_t len = count * MEMBER_BYTES + 1;
    uint8_t *text = malloc(len + 1), *p = text;
    rj_json_limits limits = {len, 1, (uint32_t)count, 0};
    rj_json_report report;
    uint64_t seed = 7, start;
    rj_status status;

    REQUIRE(text != NULL && count > 0);
    for (size_t i = 0; i < count; i++, p += MEMBER_BYTES) {
        p[0] = i == 0 ? '{' : ',';
        p[1] = '"';
        colliding_name(&seed, p + 2);
        memcpy(p + 18, "\":0", 3);
    }
    *p = '}';
    start = driver_now_ns();
    status = scan(&report, NULL, 0, rj_json_work_bytes(len, &limits), text, len, &limits);
    printf("%d %.6f\n", (int)status, (double)(driver_now_ns() - start) / 1e9);
    free(text);
}

static void bench(void)
{
    enum { ROUNDS = 1000000, REPEATS = 5 };
    rj_json_limits limits = {16384, 32, 64, RJ_JSON_ANY_ROOT};

    for (size_t i = 0; i < SEEDS; i++) {
        const uint8_t *text = (const uint8_t *)seeds[i];
        size_t len = strlen(seeds[i]);
        double best_ns = 1e9;
        uint64_t expected = i == 1 ? 0 : ROUNDS; /* "\u0061b" and "ab" are one name */
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            uint64_t start = driver_now_ns(), accepted = 0;
            double ns;
            for (int round = 0; round < ROUNDS; round++) {
                uint64_t work[256];
                rj_json_member members[32];
                rj_json_report report;
                accepted += rj_json_scan(&report, members, 32, work, sizeof(work), text, len, &limits) == RJ_OK;
            }
            ns = (double)(driver_now_ns() - start) / ROUNDS;
            best_ns = ns < best_ns ? ns : best_ns;
            REQUIRE(accepted == expected);
        }
        printf("text %zu, %zu bytes: %.0f ns\n", i, len, best_ns);
    }
}

int main(int argc, char **argv)
{
    if (argc == 8 && strcmp(argv[1], "lines") == 0) {
        lines(argv + 2);
    } else if (argc == 4 && strcmp(argv[1], "mutate") == 0) {
        mutate(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (argc == 3 && strcmp(argv[1], "collide") == 0) {
        collide(strtoul(argv[2], NULL, 10));
    } else if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        bench();
    } else {
        return 2;
    }
    return 0;
}
