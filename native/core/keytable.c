/* keytable.c: see keytable.h. */
#include "core/keytable.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SLOTS = 1 << 24 };

static void keytable_release_use(rj_keytable_use *use)
{
    if (atomic_fetch_sub_explicit(&use->owners, 1, memory_order_acq_rel) == 1) {
        free(use);
    }
}

rj_status rj_keytable_new(rj_keytable **out, const rj_slot *slots, size_t slots_len)
{
    rj_keytable *table = NULL;

    if (slots_len > MAX_SLOTS) {
        return RJ_BAD_ARGUMENT;
    }
    for (size_t i = 0; i < slots_len; i++) {
        if (rj_alg_lookup(slots[i].alg) == NULL) {
            return RJ_BAD_ARGUMENT;
        }
        if (slots[i].key != NULL && !rj_key_serves(slots[i].key, slots[i].alg)) {
            return RJ_BAD_ARGUMENT; /* RFC 8725 s.3.1: one key, one kind of algorithm */
        }
        if (slots[i].precomputed != NULL
            && (slots[i].key == NULL || rj_precomputed_alg(slots[i].precomputed) != slots[i].alg)) {
            return RJ_BAD_ARGUMENT;
        }
    }
    table = malloc(sizeof *table + slots_len * sizeof table->slots[0]);
    if (table == NULL) {
        return RJ_NO_MEMORY;
    }
    table->use = calloc(1, sizeof *table->use + slots_len * sizeof table->use->counts[0]);
    if (table->use == NULL) {
        free(table);
        return RJ_NO_MEMORY;
    }
    atomic_init(&table->use->owners, 1);
    table->len = slots_len;
    if (slots_len != 0) {
        memcpy(table->slots, slots, slots_len * sizeof table->slots[0]);
    }
    *out = table;
    return RJ_OK;
}

rj_status rj_keytable_share_use(rj_keytable *table, const rj_keytable *before)
{
    if (table->len != before->len) {
        return RJ_BAD_ARGUMENT; /* a caller's mistake: not the same slots */
    }
    keytable_release_use(table->use);
    (void)atomic_fetch_add_explicit(&before->use->owners, 1, memory_order_relaxed);
    table->use = before->use;
    return RJ_OK;
}

int rj_keytable_count_use(const rj_keytable *table, uint32_t slot, uint32_t threshold)
{
    uint32_t count = atomic_fetch_add_explicit(&table->use->counts[slot], 1, memory_order_relaxed) + 1;
    uint32_t times = count / threshold;

    return count % threshold == 0 && (times & (times - 1)) == 0;
}

void rj_keytable_read_use(const rj_keytable *table, uint32_t *counts, const uint32_t *slots, size_t slots_len)
{
    for (size_t i = 0; i < slots_len; i++) {
        counts[i] =
            slots[i] < table->len ? atomic_load_explicit(&table->use->counts[slots[i]], memory_order_relaxed) : 0;
    }
}

void rj_keytable_age(rj_keytable *table)
{
    for (size_t i = 0; i < table->len; i++) {
        unsigned count = atomic_load_explicit(&table->use->counts[i], memory_order_relaxed);
        (void)atomic_fetch_sub_explicit(&table->use->counts[i], (count + 1) / 2, memory_order_relaxed);
    }
}

void rj_keytable_free(rj_keytable *table)
{
    if (table == NULL) {
        return;
    }
    keytable_release_use(table->use);
    free(table);
}
