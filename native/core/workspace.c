/* workspace.c: see workspace.h. */
#include "core/workspace.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { WORKSPACE_ALIGNMENT = 64 };

rj_workspace *rj_workspace_new(uint64_t seed)
{
    rj_workspace *work = malloc(sizeof *work);

    if (work == NULL) {
        return NULL;
    }
    work->message_ctx = EVP_MD_CTX_new();
    if (work->message_ctx == NULL) {
        free(work);
        return NULL;
    }
    for (size_t i = 0; i < RJ_WORKSPACE_CONTEXTS; i++) {
        work->contexts[i].ctx = NULL;
    }
    work->random = (seed ^ (uint64_t)(uintptr_t)work) | 1;
    work->rsa = NULL;
    work->arena_used = 0;
    work->scratch = NULL;
    work->scratch_bytes = 0;
    return work;
}

void rj_workspace_free(rj_workspace *work)
{
    if (work == NULL) {
        return;
    }
    for (size_t i = 0; i < RJ_WORKSPACE_CONTEXTS; i++) {
        EVP_PKEY_CTX_free(work->contexts[i].ctx);
    }
    EVP_MD_CTX_free(work->message_ctx);
    rj_rsa_work_free(work->rsa);
    free(work->scratch);
    free(work);
}

uint64_t rj_workspace_random(rj_workspace *work)
{
    work->random ^= work->random >> 12;
    work->random ^= work->random << 25;
    work->random ^= work->random >> 27;
    return (work->random * 0x2545f4914f6cdd1du) >> 16;
}

rj_rsa_work *rj_workspace_rsa(rj_workspace *work)
{
    if (work->rsa == NULL && rj_rsa_work_new(&work->rsa) != RJ_OK) {
        work->rsa = NULL;
    }
    return work->rsa;
}

uint8_t *rj_workspace_alloc(rj_workspace *work, size_t bytes)
{
    uint8_t *cut = NULL;

    if (bytes > RJ_WORKSPACE_ARENA_BYTES - work->arena_used) {
        return NULL;
    }
    cut = work->arena + work->arena_used;
    /* the arena's size is a multiple of the alignment, so the sum never passes it */
    work->arena_used +=
        (bytes + RJ_WORKSPACE_ALLOC_ALIGNMENT - 1) / RJ_WORKSPACE_ALLOC_ALIGNMENT * RJ_WORKSPACE_ALLOC_ALIGNMENT;
    return cut;
}

void *rj_workspace_scratch(rj_workspace *work, size_t bytes)
{
    size_t rounded = (bytes + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;

    if (rounded <= work->scratch_bytes) {
        return work->scratch;
    }
    free(work->scratch);
    work->scratch_bytes = 0;
    work->scratch = aligned_alloc(WORKSPACE_ALIGNMENT, rounded);
    if (work->scratch != NULL) {
        work->scratch_bytes = rounded;
    }
    return work->scratch;
}
