/* drive_hmac_wiped.c: what the hmac file leaves on the stack: neither key nor right tag.
 *
 * wiped   exit 0 if nothing of them is left, in eight octets or more
 *
 * Each call runs on a stack of its own, which is plain memory of this program: it can be read when the call is over.
 */
#define _GNU_SOURCE

#include <ucontext.h>

#include "driver.h"
#include "hash/hmac.h"

enum { STACK_BYTES = 1 << 16, LEFT_BYTES = 8, LONG_KEY_BYTES = 300 };

static uint8_t wiped_stack[STACK_BYTES];
static ucontext_t wiped_caller;
static ucontext_t wiped_callee;

static struct {
    rj_digest_id id;
    uint8_t key[LONG_KEY_BYTES];
    size_t key_len;
    uint8_t tag[RJ_DIGEST_MAX_BYTES];
    rj_hmac_key prepared;
    rj_digest_state state;
    rj_status status;
} job;

static const uint8_t INPUT[] = "header.payload";

static void prepare(void) { job.status = rj_hmac_prepare(&job.prepared, job.id, job.key, job.key_len); }

static void verify(void)
{
    uint8_t wrong[RJ_DIGEST_MAX_BYTES] = {0};
    job.status = rj_hmac_verify(&job.prepared, INPUT, sizeof(INPUT), wrong, rj_digest_bytes(job.id));
}

static void verify_in_pieces(void)
{
    uint8_t wrong[RJ_DIGEST_MAX_BYTES] = {0};
    job.status = rj_hmac_start(&job.prepared, &job.state);
    rj_digest_update(&job.state, INPUT, sizeof(INPUT));
    if (job.status == RJ_OK) {
        job.status = rj_hmac_finish(&job.prepared, &job.state, wrong, rj_digest_bytes(job.id));
    }
}

static void verify_part(void)
{
    job.status = rj_hmac_start(&job.prepared, &job.state);
    rj_digest_update(&job.state, INPUT, sizeof(INPUT));
    if (job.status == RJ_OK) {
        job.status = rj_hmac_finish(&job.prepared, &job.state, INPUT, 4);
    }
}

static void sign(void)
{
    uint8_t small[4];
    job.status = rj_hmac_sign(&job.prepared, small, sizeof(small), INPUT, sizeof(INPUT));
}

/* Run a call on the stack of our own. */
static void run(void (*call)(void))
{
    memset(wiped_stack, 0, sizeof(wiped_stack));
    REQUIRE(getcontext(&wiped_callee) == 0);
    wiped_callee.uc_stack.ss_sp = wiped_stack;
    wiped_callee.uc_stack.ss_size = sizeof(wiped_stack);
    wiped_callee.uc_link = &wiped_caller;
    makecontext(&wiped_callee, call, 0);
    REQUIRE(swapcontext(&wiped_caller, &wiped_callee) == 0);
}

/* Whether eight octets in a row of a secret, each with a pad, lie on that stack. */
static int is_left(const uint8_t *secret, size_t len, uint8_t pad)
{
    uint8_t piece[LEFT_BYTES];

    for (size_t from = 0; from + LEFT_BYTES <= len; from++) {
        for (size_t i = 0; i < LEFT_BYTES; i++) {
            piece[i] = (uint8_t)(secret[from + i] ^ pad);
        }
        if (memmem(wiped_stack, sizeof(wiped_stack), piece, sizeof(piece)) != NULL) {
            return 1;
        }
    }
    return 0;
}

static void check_key(const uint8_t *block, size_t len)
{
    run(prepare); /* binds what is called: the dynamic linker would leave registers on the stack */
    run(prepare);
    REQUIRE(job.status == RJ_OK);
    REQUIRE(!is_left(block, len, 0));
    REQUIRE(!is_left(block, len, 0x36)); /* RFC 2104 s.2: ipad */
    REQUIRE(!is_left(block, len, 0x5c)); /* opad */
}

static void check_tag(void (*call)(void), rj_status expected)
{
    run(call);
    run(call);
    REQUIRE(job.status == expected);
    REQUIRE(!is_left(job.tag, rj_digest_bytes(job.id), 0));
}

static void leave_tag(void)
{
    volatile uint8_t kept[RJ_DIGEST_MAX_BYTES];
    for (size_t i = 0; i < sizeof(kept); i++) {
        kept[i] = job.tag[i];
    }
}

static void wiped(void)
{
    uint64_t seed = 1;

    for (rj_digest_id id = RJ_SHA256; id <= RJ_SHA512; id++) {
        uint8_t digest[RJ_DIGEST_MAX_BYTES];
        job.id = id;
        for (size_t i = 0; i < sizeof(job.key); i++) {
            job.key[i] = (uint8_t)driver_random(&seed);
        }
        job.key_len = rj_digest_block_bytes(id);
        check_key(job.key, job.key_len);
        REQUIRE(rj_hmac_sign(&job.prepared, job.tag, sizeof(job.tag), INPUT, sizeof(INPUT)) == RJ_OK);
        run(leave_tag);
        REQUIRE(is_left(job.tag, rj_digest_bytes(id), 0)); /* what is left is found */
        check_tag(verify, RJ_SIGNATURE_INVALID);
        check_tag(verify_in_pieces, RJ_SIGNATURE_INVALID);
        check_tag(verify_part, RJ_SIGNATURE_INVALID);
        check_tag(sign, RJ_BAD_ARGUMENT);
        job.key_len = LONG_KEY_BYTES; /* hashed: its digest is the key then */
        REQUIRE(rj_digest(digest, sizeof(digest), id, job.key, job.key_len) == RJ_OK);
        check_key(digest, rj_digest_bytes(id));
        REQUIRE(!is_left(job.key, job.key_len, 0));
    }
}

static const driver_command COMMANDS[] = {{"wiped", wiped, NULL}};

int main(int argc, char **argv) { return driver_run(COMMANDS, sizeof(COMMANDS) / sizeof(COMMANDS[0]), argc, argv); }
