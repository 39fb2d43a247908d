/* keytable.c: see keytable.h. */
#include "keytable.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SLOTS = 1 << 24 };

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
        if (slots[i].hot != NULL && (slots[i].key == NULL || rj_hot_alg(slots[i].hot) != slots[i].alg)) {
            return RJ_BAD_ARGUMENT;
        }
    }
    table = malloc(sizeof *table + slots_len * sizeof table->slots[0]);
    if (table == NULL) {
        return RJ_NO_MEMORY;
    }
    table->heat = calloc(slots_len + 1, sizeof table->heat[0]);
    if (table->heat == NULL) {
        free(table);
        return RJ_NO_MEMORY;
    }
    table->len = slots_len;
    if (slots_len != 0) {
        memcpy(table->slots, slots, slots_len * sizeof table->slots[0]);
    }
    *out = table;
    return RJ_OK;
}

int rj_keytable_warm(const rj_keytable *table, uint32_t slot, uint32_t threshold)
{
    return atomic_fetch_add_explicit(&table->heat[slot], 1, memory_order_relaxed) + 1 == threshold;
}

uint32_t rj_keytable_heat(const rj_keytable *table, uint32_t slot)
{
    return slot < table->len ? atomic_load_explicit(&table->heat[slot], memory_order_relaxed) : 0;
}

void rj_keytable_free(rj_keytable *table)
{
    if (table == NULL) {
        return;
    }
    free(table->heat);
    free(table);
}
