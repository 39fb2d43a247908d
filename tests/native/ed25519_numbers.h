/* ed25519_numbers.h: BIGNUM's view of the field and the group order, and numbers near their edges. */
#ifndef ED25519_NUMBERS_H
#define ED25519_NUMBERS_H

#include <openssl/bn.h>

#include "driver.h"
#include "ec/ed25519_internal.h"

static BIGNUM *number_p(void)
{
    BIGNUM *p = BN_new();

    REQUIRE(BN_set_bit(p, 255) && BN_sub_word(p, 19));
    return p;
}

/* The value of five limbs of any size. */
static void number_of(BIGNUM *out, const uint64_t v[5])
{
    BIGNUM *t = BN_new();

    BN_zero(out);
    for (int i = 4; i >= 0; i--) {
        REQUIRE(BN_lshift(out, out, 51) && BN_set_word(t, v[i]) && BN_add(out, out, t));
    }
    BN_free(t);
}

/* A limb at most `top`: random, or at an edge. */
static uint64_t pick_limb(uint64_t *seed, uint64_t top)
{
    uint64_t r = driver_random(seed);

    switch (driver_random(seed) % 6) {
    case 0:
        return top - r % 3;
    case 1:
        return r % 3;
    case 2:
        return (F25519_MASK - r % 20) % (top + 1);
    case 3:
        return (UINT64_C(1) << (r % 54)) % (top + 1);
    default:
        return r % (top + 1);
    }
}

/* Numbers near 0, p, 2^255 and 2p as limbs below 2^51, or any limbs up to top. */
static void pick_number(uint64_t v[5], uint64_t *seed, uint64_t top)
{
    uint64_t choice = driver_random(seed) % 8;

    for (int i = 0; i < 5; i++) {
        v[i] = choice < 2 ? F25519_MASK : pick_limb(seed, top);
    }
    if (choice == 0) {
        v[0] = F25519_MASK - 25 + driver_random(seed) % 26;
    }
    if (choice == 2) { /* a single limb */
        memset(v, 0, 40);
        v[driver_random(seed) % 5] = driver_random(seed) % 40;
    }
}

static void same_number(const uint64_t ours[5], const BIGNUM *right, const BIGNUM *p, BN_CTX *bn)
{
    BIGNUM *t = BN_new();
    BIGNUM *u = BN_new();

    number_of(t, ours);
    REQUIRE(BN_nnmod(t, t, p, bn) && BN_nnmod(u, right, p, bn) && BN_cmp(t, u) == 0);
    BN_free(t);
    BN_free(u);
}

static BIGNUM *number_order(void)
{
    BIGNUM *order = NULL;

    REQUIRE(BN_hex2bn(&order, "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed") > 0);
    return order;
}

#endif
