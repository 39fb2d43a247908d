/* drive_fixedbase.c: the fixedbase files against libcrypto: random signatures, edges, hex lines, refusals.
 *
 * drive_fixedbase differential <curve> <flags> <count> <seed>
 * drive_fixedbase edges <curve> <flags> <seed>
 * drive_fixedbase refusals
 * drive_fixedbase lines <flags>            lines of: curve xy digest rs; prints one verdict a line
 *
 * Flags are those of a build, and 16 times the size of the keys' tables.
 */
#include "checks.h"
#include "fixedbase_edges.h"

#define ROUND 1024
#define NONCES 48
#define KEYS 3

/* Run cases in batches of every size and singly; a good one is RJ_OK or undecided, a bad one never RJ_OK.
 * Returns how many were left undecided by the batch. */
static size_t drive_cases(const oracle_case *cases, size_t count, uint64_t *seed)
{
    const oracle_curve *c = cases[0].key->curve;
    size_t undecided = 0, work_bytes = rj_fixedbase_work_bytes(c->id, ROUND);
    uint8_t *work = malloc(work_bytes), verdicts[160];
    rj_signature_check *checks;
    const rj_signature_check **pointers;

    for (size_t at = 0, n; at < count; at += n) {
        n = driver_random(seed) % (driver_random(seed) % 4 == 0 ? 160 : 20) + 1;
        n = driver_random(seed) % 8 == 0 ? 64 : n; /* what one inversion serves at most */
        n = n > count - at ? count - at : n;
        checks = malloc(n * sizeof *checks); /* exactly, so that sanitizers see one too many */
        for (size_t i = 0; i < n; i++) {
            const oracle_case *t = &cases[at + i];
            checks[i] =
                check_ecdsa(c->generator, t->key->table, (rj_span){t->digest, t->digest_len}, t->rs, 2 * c->width);
        }
        pointers = check_pointers(checks, n);
        work_bytes = rj_fixedbase_work_bytes(c->id, n);
        memset(verdicts, 0xee, sizeof verdicts);
        REQUIRE(rj_fixedbase_verify_batch(verdicts, pointers, n, work, work_bytes) == RJ_OK);
        for (size_t i = 0; i < n; i++) {
            uint8_t one = 0xee, wrong = cases[at + i].good ? RJ_SIGNATURE_INVALID : RJ_OK;
            REQUIRE(verdicts[i] == RJ_OK || verdicts[i] == RJ_SIGNATURE_INVALID || verdicts[i] == RJ_UNDECIDED);
            REQUIRE(verdicts[i] != wrong);
            undecided += verdicts[i] == RJ_UNDECIDED;
            if (i % 4 != 0 && count > EDGES_MAX / 2)
                continue; /* singles are slow: a sample */
            REQUIRE(rj_fixedbase_verify_one(&one, &checks[i]) == RJ_OK);
            REQUIRE(one == RJ_OK || one == RJ_SIGNATURE_INVALID || one == RJ_UNDECIDED);
            REQUIRE(one != wrong);
        }
        REQUIRE(n == sizeof verdicts || verdicts[n] == 0xee);
        free(pointers);
        free(checks);
    }
    free(work);
    return undecided;
}

/* ---- random signatures ---- */

/* Nonces with their r and inverse, so that a signature costs two multiplications. */
typedef struct {
    BIGNUM *r, *k_inverse;
} drive_nonce;

static void drive_nonce_open(drive_nonce *nonce, const oracle_curve *c, uint64_t *seed)
{
    BIGNUM *k = BN_new();
    EC_POINT *point = EC_POINT_new(c->group);
    nonce->r = BN_new();
    oracle_random(k, seed, c->n);
    nonce->k_inverse = BN_mod_inverse(NULL, k, c->n, c->ctx);
    REQUIRE(EC_POINT_mul(c->group, point, k, NULL, NULL, c->ctx) == 1);
    REQUIRE(EC_POINT_get_affine_coordinates(c->group, point, nonce->r, NULL, c->ctx) == 1);
    REQUIRE(BN_mod(nonce->r, nonce->r, c->n, c->ctx) == 1);
    EC_POINT_free(point);
    BN_free(k);
}

/* Sign a random digest, then spoil three in eight: a bit of the digest, of r, of s. */
static void drive_random_case(oracle_case *t, const oracle_key *key, const drive_nonce *nonce, uint64_t *seed)
{
    const oracle_curve *c = key->curve;
    BIGNUM *s = BN_new(), *e = BN_new();
    uint64_t kind = driver_random(seed) % 8;
    uint8_t bit;

    t->key = key;
    t->digest_len = c->width < 64 ? c->width : 64;
    driver_fill(seed, t->digest, t->digest_len);
    REQUIRE(BN_bin2bn(t->digest, (int)t->digest_len, e) != NULL);
    REQUIRE(BN_mod_mul(s, nonce->r, key->d, c->n, c->ctx) == 1 && BN_mod_add(s, s, e, c->n, c->ctx) == 1);
    REQUIRE(BN_mod_mul(s, s, nonce->k_inverse, c->n, c->ctx) == 1);
    if (kind == 7)
        REQUIRE(BN_sub(s, c->n, s) == 1); /* the other s is as good */
    case_set_rs(t, nonce->r, s);
    bit = (uint8_t)(1u << (driver_random(seed) & 7));
    if (kind == 0)
        t->digest[driver_random(seed) % t->digest_len] ^= bit;
    if (kind == 1)
        t->rs[driver_random(seed) % c->width] ^= bit;
    if (kind == 2)
        t->rs[c->width + driver_random(seed) % c->width] ^= bit;
    t->good = kind > 2;
    BN_free(e);
    BN_free(s);
}

static void drive_differential(rj_curve id, unsigned flags, size_t count, uint64_t seed)
{
    static oracle_case cases[ROUND];
    oracle_curve c;
    oracle_key keys[KEYS];
    drive_nonce nonces[NONCES];
    BIGNUM *d = BN_new();
    size_t undecided = 0, asked = 0, stride = id == RJ_CURVE_P256 ? 16 : 64;

    oracle_curve_open(&c, id, flags);
    for (size_t i = 0; i < KEYS; i++) {
        oracle_random(d, &seed, c.n);
        oracle_key_from_number(&keys[i], &c, d);
    }
    for (size_t i = 0; i < NONCES; i++)
        drive_nonce_open(&nonces[i], &c, &seed);
    for (size_t at = 0; at < count; at += ROUND) {
        size_t n = count - at < ROUND ? count - at : ROUND;
        for (size_t i = 0; i < n; i++) {
            drive_random_case(&cases[i], &keys[driver_random(&seed) % KEYS], &nonces[driver_random(&seed) % NONCES],
                              &seed);
            if (driver_random(&seed) % stride == 0) {
                REQUIRE(oracle_verdict(&cases[i]) == cases[i].good);
                asked++;
            }
        }
        undecided += drive_cases(cases, n, &seed);
    }
    printf("%zu signatures, %zu asked of libcrypto, %zu undecided, engine %s\n", count, asked, undecided,
           rj_fixedbase_field_ops(c.generator));
    REQUIRE(undecided <= count / 10000);
    for (size_t i = 0; i < NONCES; i++) {
        BN_free(nonces[i].r);
        BN_free(nonces[i].k_inverse);
    }
    for (size_t i = 0; i < KEYS; i++)
        oracle_key_close(&keys[i]);
    oracle_curve_close(&c);
    BN_free(d);
}

/* ---- edges ---- */

#define EDGE_KEYS 6
#define WRAP_KEYS 8

/* Keys G, -G, 2^8 G (whose windows are G's own, moved by one), 2^-8 G and two random ones. */
static void drive_edge_keys(oracle_key *keys, const oracle_curve *c, uint64_t *seed)
{
    BIGNUM *d = BN_new();
    for (int i = 0; i < EDGE_KEYS; i++) {
        REQUIRE(BN_one(d) == 1);
        if (i == 1)
            REQUIRE(BN_sub(d, c->n, d) == 1);
        if (i == 2 || i == 3)
            REQUIRE(BN_lshift(d, d, 8) == 1);
        if (i == 3)
            REQUIRE(BN_mod_inverse(d, d, c->n, c->ctx) != NULL);
        if (i > 3)
            oracle_random(d, seed, c->n);
        oracle_key_from_number(&keys[i], c, d);
    }
    BN_free(d);
}

static void drive_edges(rj_curve id, unsigned flags, uint64_t seed)
{
    static edges_list list;
    oracle_curve c;
    oracle_key keys[EDGE_KEYS], wrap_keys[WRAP_KEYS];
    size_t scalars = id == RJ_CURVE_P256 ? 240 : 60, undecided = 0;

    list.seed = seed;
    oracle_curve_open(&c, id, flags);
    drive_edge_keys(keys, &c, &seed);
    for (size_t i = 0; i < EDGE_KEYS; i++) {
        edges_ranges(&list, &keys[i]);
        edges_scalars(&list, &keys[i], scalars);
    }
    edges_digests(&list, &keys[0]);
    edges_digests(&list, &keys[EDGE_KEYS - 1]);
    edges_wraps(&list, &c, wrap_keys, WRAP_KEYS);
    for (int round = 0; round < 3; round++) { /* every case among good and bad company */
        edges_shuffle(&list);
        undecided += drive_cases(list.cases, list.count, &seed);
    }
    printf("%zu edges, %zu of 3 rounds undecided, engine %s\n", list.count, undecided,
           rj_fixedbase_field_ops(c.generator));
    REQUIRE(undecided > 0 && undecided < list.count);
    for (size_t i = 0; i < EDGE_KEYS; i++)
        oracle_key_close(&keys[i]);
    for (size_t i = 0; i < WRAP_KEYS; i++)
        oracle_key_close(&wrap_keys[i]);
    oracle_curve_close(&c);
}

/* ---- refusals and lines ---- */

/* Tables of two sizes never go together where all are summed together; a few, one by one, do. */
static void drive_refused_sizes(const oracle_curve *c, const oracle_key *key, const uint8_t *xy)
{
    enum { MANY = 6 };
    uint8_t verdicts[MANY], digest[66] = {1}, rs[2 * CASE_COORD_BYTES] = {0};
    size_t work_bytes = rj_fixedbase_work_bytes(c->id, MANY), before = SIZE_MAX;
    uint8_t *work = malloc(work_bytes);
    int few_may_differ = strcmp(rj_fixedbase_field_ops(c->generator), "lanes") == 0;

    REQUIRE(rj_fixedbase_bytes(c->id, RJ_FIXEDBASE_SIZES) == 0);
    for (int size = 0; size < RJ_FIXEDBASE_SIZES; size++) {
        rj_fixedbase *table = NULL;
        rj_signature_check checks[MANY];
        const rj_signature_check **pointers;
        REQUIRE(rj_fixedbase_bytes(c->id, (rj_fixedbase_size)size) < before);
        before = rj_fixedbase_bytes(c->id, (rj_fixedbase_size)size);
        REQUIRE(rj_fixedbase_build(&table, c->id, (rj_fixedbase_size)size, xy, 2 * c->width, c->flags) == RJ_OK);
        for (size_t i = 0; i < MANY; i++)
            checks[i] = check_ecdsa(c->generator, i % 2 == 0 ? table : key->table, (rj_span){digest, c->width}, rs,
                                    2 * c->width);
        pointers = check_pointers(checks, MANY);
        for (size_t n = 2; n <= MANY; n += MANY - 2) {
            int fits = size == RJ_FIXEDBASE_LARGE || (n == 2 && few_may_differ);
            memset(verdicts, 0xee, sizeof verdicts);
            REQUIRE(rj_fixedbase_verify_batch(verdicts, pointers, n, work, work_bytes)
                    == (fits ? RJ_OK : RJ_BAD_ARGUMENT));
            REQUIRE(verdicts[0] == (fits ? RJ_SIGNATURE_INVALID : 0xee));
        }
        free(pointers);
        rj_fixedbase_free(table);
    }
    free(work);
}

static void drive_refusals(rj_curve id)
{
    oracle_curve c;
    oracle_key key;
    BIGNUM *d = BN_new();
    uint8_t octets[1 + 2 * CASE_COORD_BYTES], bad[2 * CASE_COORD_BYTES], verdict = 0xee, digest[66] = {1};
    uint8_t rs[2 * CASE_COORD_BYTES] = {0};
    rj_fixedbase *table = NULL, *foreign;
    size_t w = rj_fixedbase_coord_bytes(id), work_bytes = rj_fixedbase_work_bytes(id, 1);
    uint8_t *work = malloc(work_bytes);

    oracle_curve_open(&c, id, RJ_FIXEDBASE_PORTABLE);
    REQUIRE(BN_set_word(d, 12345) == 1);
    oracle_key_from_number(&key, &c, d);
    REQUIRE(EC_POINT_point2oct(c.group, EC_KEY_get0_public_key(key.ec), POINT_CONVERSION_UNCOMPRESSED, octets,
                               sizeof octets, c.ctx)
            == 1 + 2 * w);
    memcpy(bad, octets + 1, 2 * w);
    bad[2 * w - 1] ^= 1;
    REQUIRE(rj_fixedbase_build(&table, id, RJ_FIXEDBASE_LARGE, bad, 2 * w, 0) == RJ_KEY_MALFORMED); /* off the curve */
    memset(bad, 0xff, w);
    REQUIRE(rj_fixedbase_build(&table, id, RJ_FIXEDBASE_LARGE, bad, 2 * w, 0) == RJ_KEY_MALFORMED); /* x above p */
    memset(bad, 0, 2 * w);
    REQUIRE(rj_fixedbase_build(&table, id, RJ_FIXEDBASE_LARGE, bad, 2 * w, 0) == RJ_KEY_MALFORMED); /* (0, 0) */
    REQUIRE(rj_fixedbase_build(&table, id, RJ_FIXEDBASE_LARGE, octets + 1, 2 * w - 1, 0) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_fixedbase_build(&table, id, RJ_FIXEDBASE_LARGE, octets + 1, 2 * w, 2) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_fixedbase_build(&table, RJ_CURVE_COUNT, RJ_FIXEDBASE_LARGE, octets + 1, 2 * w, 0) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_fixedbase_build(&table, id, RJ_FIXEDBASE_SIZES, octets + 1, 2 * w, 0) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_fixedbase_build_generator(&table, RJ_CURVE_COUNT, 0) == RJ_BAD_ARGUMENT);
    REQUIRE(rj_fixedbase_build_generator(&table, id, 2) == RJ_BAD_ARGUMENT);
    REQUIRE(table == NULL);
    REQUIRE(rj_fixedbase_build_generator(&foreign, (rj_curve)((id + 1) % RJ_CURVE_COUNT), c.flags) == RJ_OK);
    rj_span hash = {digest, w};
    rj_signature_check checks[] = {
        check_ecdsa(c.generator, key.table, hash, rs, 2 * w),     check_ecdsa(key.table, key.table, hash, rs, 2 * w),
        check_ecdsa(c.generator, c.generator, hash, rs, 2 * w),   check_ecdsa(foreign, key.table, hash, rs, 2 * w),
        check_ecdsa(c.generator, key.table, hash, rs, 2 * w - 1), check_ecdsa(c.generator, key.table, hash, rs, 0)};
    const rj_signature_check **pointers = check_pointers(checks, 6);
    REQUIRE(rj_fixedbase_verify_batch(&verdict, pointers, 1, work, work_bytes - 1) == RJ_BAD_ARGUMENT);
    for (int i = 1; i < 6; i++) { /* a table in a role it was not built for; another length */
        REQUIRE(rj_fixedbase_verify_batch(&verdict, &pointers[i], 1, work, work_bytes) == RJ_BAD_ARGUMENT);
        REQUIRE(rj_fixedbase_verify_one(&verdict, &checks[i]) == RJ_BAD_ARGUMENT);
    }
    REQUIRE(verdict == 0xee);
    REQUIRE(rj_fixedbase_verify_batch(&verdict, pointers, 1, work, work_bytes) == RJ_OK);
    free(pointers);
    REQUIRE(verdict == RJ_SIGNATURE_INVALID && rj_fixedbase_work_bytes(id, 0) == 0);
    drive_refused_sizes(&c, &key, octets + 1);
    REQUIRE(rj_fixedbase_bytes(RJ_CURVE_COUNT, RJ_FIXEDBASE_LARGE) == 0
            && rj_fixedbase_generator_bytes(RJ_CURVE_COUNT) == 0);
    REQUIRE(rj_fixedbase_coord_bytes(RJ_CURVE_COUNT) == 0 && rj_fixedbase_work_bytes(RJ_CURVE_COUNT, 1) == 0);
    rj_fixedbase_free(foreign);
    rj_fixedbase_free(NULL);
    oracle_key_close(&key);
    oracle_curve_close(&c);
    BN_free(d);
    free(work);
}

/* Verify each line's signature under its own key, alone and in a batch of nine equal ones. */
static void drive_lines(unsigned flags)
{
    static char line[1 << 17];
    char *words[4];
    rj_fixedbase *generators[RJ_CURVE_COUNT] = {NULL};
    rj_fixedbase *table = NULL; /* that of the line before serves while its curve and key stay */
    char *table_key = NULL;

    while (driver_words(line, sizeof line, words, 4) == 4) {
        rj_curve id = (rj_curve)(words[0][0] - '0');
        char *key = malloc(strlen(words[1]) + 2);
        REQUIRE(key != NULL && sprintf(key, "%c%s", words[0][0], words[1]) > 0);
        uint8_t *xy, *digest, *rs, one, verdicts[9];
        size_t xy_len = driver_hex(&xy, words[1]), digest_len = driver_hex(&digest, words[2]);
        size_t rs_len = driver_hex(&rs, words[3]), work_bytes = rj_fixedbase_work_bytes(id, 9);
        void *work = malloc(work_bytes);
        rj_signature_check checks[9];
        const rj_signature_check **pointers;
        if (generators[id] == NULL)
            REQUIRE(rj_fixedbase_build_generator(&generators[id], id, flags & ORACLE_FLAGS) == RJ_OK);
        REQUIRE(rs_len == 2 * rj_fixedbase_coord_bytes(id));
        if (table_key == NULL || strcmp(table_key, key) != 0) {
            rj_fixedbase_free(table);
            REQUIRE(rj_fixedbase_build(&table, id, (rj_fixedbase_size)(flags / (ORACLE_FLAGS + 1)), xy, xy_len,
                                       flags & ORACLE_FLAGS)
                    == RJ_OK);
        }
        free(table_key);
        table_key = key;
        for (int i = 0; i < 9; i++)
            checks[i] = check_ecdsa(generators[id], table, (rj_span){digest, digest_len}, rs, rs_len);
        pointers = check_pointers(checks, 9);
        REQUIRE(rj_fixedbase_verify_batch(verdicts, pointers, 9, work, work_bytes) == RJ_OK);
        REQUIRE(rj_fixedbase_verify_one(&one, checks) == RJ_OK);
        for (int i = 0; i < 9; i++)
            REQUIRE(verdicts[i] == verdicts[0]);
        REQUIRE(one == verdicts[0] || one == RJ_UNDECIDED || verdicts[0] == RJ_UNDECIDED);
        printf("%d\n", verdicts[0]);
        free(pointers);
        free(work);
        free(rs);
        free(digest);
        free(xy);
    }
    rj_fixedbase_free(table);
    free(table_key);
    for (int i = 0; i < RJ_CURVE_COUNT; i++)
        rj_fixedbase_free(generators[i]);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    uint64_t numbers[4] = {0};
    for (int i = 2; i < argc && i < 6; i++)
        numbers[i - 2] = strtoull(argv[i], NULL, 10);
    if (strcmp(mode, "differential") == 0)
        drive_differential((rj_curve)numbers[0], (unsigned)numbers[1], numbers[2], numbers[3]);
    else if (strcmp(mode, "edges") == 0)
        drive_edges((rj_curve)numbers[0], (unsigned)numbers[1], numbers[2]);
    else if (strcmp(mode, "refusals") == 0)
        for (int id = 0; id < RJ_CURVE_COUNT; id++)
            drive_refusals((rj_curve)id);
    else if (strcmp(mode, "lines") == 0)
        drive_lines((unsigned)numbers[0]);
    else
        REQUIRE(!"a mode is named");
    return 0;
}
