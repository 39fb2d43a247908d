/* json_names.h: the member names of the objects that are open, and whether one comes twice (RFC 7519 s.4,
 * RFC 7515 s.4). Part of json_scan.c alone.
 *
 * One stack in the caller's workspace holds 16 bytes for each name of an open object and for each open
 * container; names with escapes are decoded at the area's far end. Every duplicate verdict compares names
 * byte for byte. The hash only spares comparisons, so it needs no secret: a few names of an object are
 * compared with all before them, more are sorted when the object closes.
 */
#ifndef RJ_JSON_NAMES_H
#define RJ_JSON_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* So many names of one object are compared one by one; past it the object is sorted at its end. */
#define JSON_NAMES_DIRECT 64

typedef struct {
    uint64_t seen;  /* one bit for each hash & 63 that came */
    uint32_t first; /* slot of the first name */
    uint32_t count;
} json_names_frame;

typedef struct {
    const uint8_t *name; /* as decoded */
    uint32_t len;
    uint32_t hash;
} json_names_entry;

typedef union {
    json_names_frame outer; /* what waits while a container is open; count's top bit: it is an object */
    json_names_entry entry;
} json_names_slot;

#define JSON_NAMES_IS_OBJECT UINT32_C(0x80000000)

typedef struct {
    json_names_slot *slots;
    uint8_t *far_end; /* decoded names lie from here on */
    uint32_t used;    /* slots */
    uint32_t depth;
    int is_object; /* the innermost open container is one */
    json_names_frame frame;
} json_names;

/* Take over a workspace of any alignment. Returns 0 if it cannot even be aligned. */
static inline int json_names_start(json_names *names, void *work, size_t work_bytes)
{
    size_t slip = (size_t)(-(uintptr_t)work) % _Alignof(json_names_slot);
    if (work_bytes < slip) {
        return 0;
    }
    names->slots = (json_names_slot *)(void *)((uint8_t *)work + slip);
    names->far_end = (uint8_t *)work + work_bytes;
    names->used = 0;
    names->depth = 0;
    names->is_object = 0;
    names->frame = (json_names_frame){0, 0, 0};
    return 1;
}

/* Whether one more slot fits below the decoded names. */
static inline int json_names_has_space(const json_names *names)
{
    return (size_t)(names->far_end - (uint8_t *)(names->slots + names->used)) >= sizeof(json_names_slot);
}

/* Enter a container. Returns 0 if the workspace is full. */
static inline int json_names_open(json_names *names, int is_object)
{
    json_names_frame *outer;
    if (!json_names_has_space(names)) {
        return 0;
    }
    outer = &names->slots[names->used++].outer;
    *outer = names->frame;
    outer->count |= names->is_object ? JSON_NAMES_IS_OBJECT : 0;
    names->frame = (json_names_frame){0, names->used, 0};
    names->is_object = is_object;
    names->depth++;
    return 1;
}

static inline uint64_t json_names_load(const uint8_t *p, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, p, len);
    return word;
}

/* Every byte counts; not keyed, see the top. */
static inline uint32_t json_names_hash(const uint8_t *name, size_t len)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = (uint64_t)len * odd;
    while (len > 8) {
        hash = (hash ^ json_names_load(name, 8)) * odd;
        hash ^= hash >> 32;
        name += 8;
        len -= 8;
    }
    if (len == 8) {
        hash ^= json_names_load(name, 8);
    } else if (len >= 4) {
        hash ^= json_names_load(name, 4) | json_names_load(name + len - 4, 4) << 32;
    } else if (len > 0) {
        hash ^= (uint64_t)name[0] | (uint64_t)name[len / 2] << 8 | (uint64_t)name[len - 1] << 16;
    }
    hash *= odd;
    return (uint32_t)(hash >> 32);
}

/* Any fixed order in which equal names meet. */
static inline int json_names_order(const json_names_entry *a, const json_names_entry *b)
{
    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }
    if (a->len != b->len) {
        return a->len < b->len ? -1 : 1;
    }
    return memcmp(a->name, b->name, a->len);
}

typedef enum { JSON_NAMES_FULL, JSON_NAMES_NEW, JSON_NAMES_TWICE } json_names_answer;

/* Add a decoded name to the innermost object. Past JSON_NAMES_DIRECT names the answer waits for the end. */
static inline json_names_answer json_names_add(json_names *names, const uint8_t *name, uint32_t len)
{
    json_names_entry entry = {name, len, json_names_hash(name, len)};
    uint64_t bit = UINT64_C(1) << (entry.hash & 63);
    json_names_slot *first = names->slots + names->frame.first;
    if (!json_names_has_space(names)) {
        return JSON_NAMES_FULL;
    }
    if ((names->frame.seen & bit) && names->frame.count < JSON_NAMES_DIRECT) {
        for (uint32_t i = 0; i < names->frame.count; i++) {
            if (json_names_order(&first[i].entry, &entry) == 0) {
                return JSON_NAMES_TWICE;
            }
        }
    }
    names->slots[names->used++].entry = entry;
    names->frame.seen |= bit;
    names->frame.count++;
    return JSON_NAMES_NEW;
}

/* Let slots[root] sink until the heap below it holds again. */
static inline void json_names_sink(json_names_slot *slots, uint32_t root, uint32_t count)
{
    json_names_entry sinking = slots[root].entry;
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && json_names_order(&slots[child].entry, &slots[child + 1].entry) < 0) {
            child++;
        }
        if (json_names_order(&sinking, &slots[child].entry) >= 0) {
            break;
        }
        slots[root].entry = slots[child].entry;
        root = child;
    }
    slots[root].entry = sinking;
}

/* Whether two of many names are equal: heap sort, in place and without a bad case, then neighbours. */
static inline int json_names_sorted_twice(json_names_slot *slots, uint32_t count)
{
    for (uint32_t root = count / 2; root-- > 0;) {
        json_names_sink(slots, root, count);
    }
    for (uint32_t left = count - 1; left > 0; left--) {
        json_names_entry greatest = slots[0].entry;
        slots[0] = slots[left];
        slots[left].entry = greatest;
        json_names_sink(slots, 0, left);
        if (left + 1 < count && json_names_order(&slots[left].entry, &slots[left + 1].entry) == 0) {
            return 1;
        }
    }
    return json_names_order(&slots[0].entry, &slots[1].entry) == 0;
}

/* Leave the innermost container. Returns 0 if it held a name twice. */
static inline int json_names_close(json_names *names)
{
    if (names->frame.count > JSON_NAMES_DIRECT
        && json_names_sorted_twice(names->slots + names->frame.first, names->frame.count)) {
        return 0;
    }
    names->used = names->frame.first - 1;
    names->frame = names->slots[names->used].outer;
    names->is_object = (names->frame.count & JSON_NAMES_IS_OBJECT) != 0;
    names->frame.count &= ~JSON_NAMES_IS_OBJECT;
    names->depth--;
    return 1;
}

#endif
