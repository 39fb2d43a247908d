/* work.c: see work.h. */
#include "core/work.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { WORK_ALIGNMENT = 64 };

rj_work *rj_work_new(uint64_t seed)
{
    rj_work *work = malloc(sizeof *work);

    if (work == NULL) {
        return NULL;
    }
    work->message_ctx = EVP_MD_CTX_new();
    if (work->message_ctx == NULL) {
        free(work);
        return NULL;
    }
    for (size_t i = 0; i < RJ_WORK_CONTEXTS; i++) {
        work->contexts[i].ctx = NULL;
    }
    work->random = (seed ^ (uint64_t)(uintptr_t)work) | 1;
    work->rsa = NULL;
    work->arena_used = 0;
    work->scratch = NULL;
    work->scratch_bytes = 0;
    return work;
}

void rj_work_free(rj_work *work)
{
    if (work == NULL) {
        return;
    }
    for (size_t i = 0; i < RJ_WORK_CONTEXTS; i++) {
        EVP_PKEY_CTX_free(work->contexts[i].ctx);
    }
    EVP_MD_CTX_free(work->message_ctx);
    rj_rsa_work_free(work->rsa);
    free(work->scratch);
    free(work);
}

uint64_t rj_work_random(rj_work *work)
{
    work->random ^= work->random >> 12;
    work->random ^= work->random << 25;
    work->random ^= work->random >> 27;
    return (work->random * 0x2545f4914f6cdd1du) >> 16;
}

rj_rsa_work *rj_work_rsa(rj_work *work)
{
    if (work->rsa == NULL && rj_rsa_work_new(&work->rsa) != RJ_OK) {
        work->rsa = NULL;
    }
    return work->rsa;
}

uint8_t *rj_work_cut(rj_work *work, size_t bytes)
{
    uint8_t *cut = NULL;

    if (bytes > RJ_WORK_ARENA_BYTES - work->arena_used) {
        return NULL;
    }
    cut = work->arena + work->arena_used;
    /* the arena's size is a multiple of the alignment, so the sum never passes it */
    work->arena_used += (bytes + RJ_WORK_CUT_ALIGNMENT - 1) / RJ_WORK_CUT_ALIGNMENT * RJ_WORK_CUT_ALIGNMENT;
    return cut;
}

void *rj_work_scratch(rj_work *work, size_t bytes)
{
    size_t rounded = (bytes + WORK_ALIGNMENT - 1) / WORK_ALIGNMENT * WORK_ALIGNMENT;

    if (rounded <= work->scratch_bytes) {
        return work->scratch;
    }
    free(work->scratch);
    work->scratch_bytes = 0;
    work->scratch = aligned_alloc(WORK_ALIGNMENT, rounded);
    if (work->scratch != NULL) {
        work->scratch_bytes = rounded;
    }
    return work->scratch;
}
