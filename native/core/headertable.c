/* headertable.c: open addressing over atomic entry pointers; an entry is immutable once published. */
#include "core/headertable.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 1 << 26, MAX_HEADER_BYTES = 22 * 1024 }; /* 16 KiB in base64url, and some */

typedef struct {
    uint64_t hash;
    uint32_t slot;
    uint32_t header_len;
    uint32_t issuer_len;
    uint8_t bytes[];
} headertable_entry;

struct rj_headertable {
    uint64_t seed;
    size_t mask;
    size_t max_entries;
    atomic_size_t len;
    _Atomic(headertable_entry *) cells[];
};

static uint64_t headertable_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 32);
}

/* Two words at a time, whose multiplications do not wait for each other. */
static uint64_t headertable_absorb(uint64_t hash, const uint8_t *bytes, size_t len)
{
    uint64_t other = ~hash;
    uint64_t word[2] = {0, 0};

    while (len >= sizeof word) {
        memcpy(word, bytes, sizeof word);
        hash = headertable_mix(hash, word[0]);
        other = headertable_mix(other, word[1]);
        bytes += sizeof word;
        len -= sizeof word;
    }
    word[0] = 0;
    word[1] = (uint64_t)len << 56; /* never overwritten: at most 15 octets are left */
    memcpy(word, bytes, len);
    hash = headertable_mix(hash, word[0]);
    other = headertable_mix(other, word[1]);
    return headertable_mix(hash, other);
}

static uint64_t headertable_hash(const rj_headertable *table, const uint8_t *header, size_t header_len,
                                 const uint8_t *issuer, size_t issuer_len)
{
    uint64_t hash = headertable_absorb(table->seed, header, header_len);

    return issuer_len == 0 ? hash : headertable_absorb(hash, issuer, issuer_len);
}

static int headertable_equal(const headertable_entry *entry, uint64_t hash, const uint8_t *header, size_t header_len,
                             const uint8_t *issuer, size_t issuer_len)
{
    if (entry->hash != hash || entry->header_len != header_len || entry->issuer_len != issuer_len) {
        return 0;
    }
    if (memcmp(entry->bytes, header, header_len) != 0) {
        return 0;
    }
    return issuer_len == 0 || memcmp(entry->bytes + header_len, issuer, issuer_len) == 0;
}

rj_status rj_headertable_new(rj_headertable **out, size_t max_entries, uint64_t seed)
{
    rj_headertable *table = NULL;
    size_t cells = 16;

    if (max_entries == 0 || max_entries > MAX_ENTRIES) {
        return RJ_BAD_ARGUMENT;
    }
    while (cells < 2 * max_entries) {
        cells *= 2;
    }
    table = calloc(1, sizeof *table + cells * sizeof table->cells[0]);
    if (table == NULL) {
        return RJ_NO_MEMORY;
    }
    table->seed = seed;
    table->mask = cells - 1;
    table->max_entries = max_entries;
    *out = table;
    return RJ_OK;
}

void rj_headertable_free(rj_headertable *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i <= table->mask; i++) {
        free(atomic_load_explicit(&table->cells[i], memory_order_relaxed));
    }
    free(table);
}

uint64_t rj_headertable_hash(const rj_headertable *table, const uint8_t *header, size_t header_len)
{
    return headertable_hash(table, header, header_len, NULL, 0);
}

static uint32_t headertable_find(const rj_headertable *table, uint64_t hash, const uint8_t *header, size_t header_len,
                                 const uint8_t *issuer, size_t issuer_len)
{
    /* At most half of the cells are ever filled, so an empty one ends every walk. */
    for (size_t i = (size_t)hash & table->mask;; i = (i + 1) & table->mask) {
        const headertable_entry *entry = atomic_load_explicit(&table->cells[i], memory_order_acquire);
        if (entry == NULL) {
            return RJ_SLOT_NONE;
        }
        if (headertable_equal(entry, hash, header, header_len, issuer, issuer_len)) {
            return entry->slot;
        }
    }
}

uint32_t rj_headertable_find(const rj_headertable *table, const uint8_t *header, size_t header_len,
                             const uint8_t *issuer, size_t issuer_len)
{
    uint64_t hash = headertable_hash(table, header, header_len, issuer, issuer_len);

    return headertable_find(table, hash, header, header_len, issuer, issuer_len);
}

uint32_t rj_headertable_find_hashed(const rj_headertable *table, uint64_t header_hash, const uint8_t *header,
                                    size_t header_len, const uint8_t *issuer, size_t issuer_len)
{
    uint64_t hash = issuer_len == 0 ? header_hash : headertable_absorb(header_hash, issuer, issuer_len);

    return headertable_find(table, hash, header, header_len, issuer, issuer_len);
}

static headertable_entry *headertable_entry_new(uint64_t hash, const uint8_t *header, size_t header_len,
                                                const uint8_t *issuer, size_t issuer_len, uint32_t slot)
{
    headertable_entry *entry = malloc(sizeof *entry + header_len + issuer_len);

    if (entry == NULL) {
        return NULL;
    }
    entry->hash = hash;
    entry->slot = slot;
    entry->header_len = (uint32_t)header_len;
    entry->issuer_len = (uint32_t)issuer_len;
    memcpy(entry->bytes, header, header_len);
    if (issuer_len != 0) {
        memcpy(entry->bytes + header_len, issuer, issuer_len);
    }
    return entry;
}

void rj_headertable_insert(rj_headertable *table, const uint8_t *header, size_t header_len, const uint8_t *issuer,
                           size_t issuer_len, uint32_t slot)
{
    uint64_t hash = headertable_hash(table, header, header_len, issuer, issuer_len);
    headertable_entry *fresh = NULL;

    if (header_len > MAX_HEADER_BYTES || issuer_len > MAX_HEADER_BYTES) {
        return;
    }
    if (atomic_fetch_add_explicit(&table->len, 1, memory_order_relaxed) >= table->max_entries) {
        goto unused; /* full: known headers stay, new ones take the long way each time */
    }
    fresh = headertable_entry_new(hash, header, header_len, issuer, issuer_len, slot);
    if (fresh == NULL) {
        goto unused;
    }
    for (size_t i = (size_t)hash & table->mask;; i = (i + 1) & table->mask) {
        headertable_entry *entry = atomic_load_explicit(&table->cells[i], memory_order_acquire);
        if (entry == NULL
            && atomic_compare_exchange_strong_explicit(&table->cells[i], &entry, fresh, memory_order_acq_rel,
                                                       memory_order_acquire)) {
            return;
        }
        if (headertable_equal(entry, hash, header, header_len, issuer, issuer_len)) {
            break;
        }
    }
    free(fresh);
unused:
    atomic_fetch_sub_explicit(&table->len, 1, memory_order_relaxed);
}

size_t rj_headertable_carry(rj_headertable *table, const rj_headertable *before, const uint32_t *with_issuer,
                            const uint32_t *alone, size_t slots_len)
{
    size_t carried = 0;

    for (size_t i = 0; i <= before->mask; i++) {
        const headertable_entry *entry = atomic_load_explicit(&before->cells[i], memory_order_acquire);
        const uint32_t *slots = entry == NULL || entry->issuer_len == 0 ? alone : with_issuer;
        if (entry == NULL || entry->slot >= slots_len || slots[entry->slot] == RJ_SLOT_NONE) {
            continue; /* RJ_SLOT_BY_ISSUER as well: it comes with an issuer that stays */
        }
        rj_headertable_insert(table, entry->bytes, entry->header_len, entry->bytes + entry->header_len,
                              entry->issuer_len, slots[entry->slot]);
        if (entry->issuer_len != 0) {
            rj_headertable_insert(table, entry->bytes, entry->header_len, NULL, 0, RJ_SLOT_BY_ISSUER);
        }
        carried++;
    }
    return carried;
}
