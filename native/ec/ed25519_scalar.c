/* ed25519_scalar.c: numbers modulo the group order L = 2^252 + 27742317777372353535851937790883648493. */
#include "ec/ed25519_internal.h"

#if RJ_HAVE_ED25519

static const uint64_t scalar_order[4] = {UINT64_C(0x5812631a5cf5d3ed), UINT64_C(0x14def9dea2f79cd6), 0,
                                         UINT64_C(0x1000000000000000)};
/* floor(2^512 / L) */
static const uint64_t scalar_reciprocal[5] = {UINT64_C(0xed9ce5a30a2c131b), UINT64_C(0x2106215d086329a7),
                                              UINT64_C(0xffffffffffffffeb), UINT64_C(0xffffffffffffffff), 0xf};

int rj_ed25519_scalar_is_reduced(const uint8_t scalar32[32])
{
    uint64_t words[4];

    f25519_load(words, scalar32);
    for (int i = 3; i >= 0; i--) {
        if (words[i] != scalar_order[i]) {
            return words[i] < scalar_order[i];
        }
    }
    return 0;
}

/* r = a * b, a of 5 words and b of b_words; words from `keep` on are dropped */
static void scalar_multiply(uint64_t *r, int keep, const uint64_t a[5], const uint64_t *b, int b_words)
{
    for (int i = 0; i < keep; i++) {
        r[i] = 0;
    }
    for (int i = 0; i < 5; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < b_words && i + j < keep; j++) {
            f25519_wide t = (f25519_wide)a[i] * b[j] + r[i + j] + carry;
            r[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        if (i + b_words < keep) {
            r[i + b_words] = carry;
        }
    }
}

/* r = a - b over 4 words; returns the borrow */
static uint64_t scalar_subtract(uint64_t r[4], const uint64_t a[4], const uint64_t b[4])
{
    uint64_t borrow = 0;

    for (int i = 0; i < 4; i++) {
        f25519_wide t = (f25519_wide)a[i] - b[i] - borrow;
        r[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    return borrow;
}

/* Barrett's reduction: q is short of the true quotient by 2 at most, so what is left is below 3L and 4 words of
 * it tell all. */
void rj_ed25519_scalar_reduce(uint8_t out32[32], const uint8_t in64[64])
{
    uint64_t x[8];
    uint64_t product[10];
    uint64_t multiple[4];
    uint64_t rest[4];

    f25519_load(x, in64);
    f25519_load(x + 4, in64 + 32);
    scalar_multiply(product, 10, x + 3, scalar_reciprocal, 5);
    scalar_multiply(multiple, 4, product + 5, scalar_order, 4);
    (void)scalar_subtract(rest, x, multiple);
    for (int i = 0; i < 2; i++) {
        uint64_t less[4];
        if (scalar_subtract(less, rest, scalar_order) == 0) {
            memcpy(rest, less, sizeof(rest));
        }
    }
    f25519_store(out32, rest);
}

void rj_ed25519_choose(ed25519_choice choices[ED25519_WINDOWS], const rj_ed25519_table *table,
                       const uint8_t scalar32[32])
{
    unsigned carry = 0;

    for (int i = 0; i < ED25519_WINDOWS; i++) { /* digits -127 to 128; the top byte is below 0x20 */
        unsigned digit = scalar32[i] + carry;
        carry = digit > 128;
        choices[i].entry = &table->entries[i][carry != 0 ? 256 - digit : digit];
        choices[i].negative = carry;
        /* an entry is two cache lines of a table that may be one of many: ask early */
        __builtin_prefetch(choices[i].entry);
        __builtin_prefetch(choices[i].entry->dxy);
    }
}

#else
typedef int ed25519_scalar_empty;
#endif
