/* malloc_fault.c: preloaded; lets the n-th allocation of chosen libraries fail once armed.
 *
 * Only calls that come from a library whose path holds RAPIDJWS_FAULT_IN (names split by ':') are counted, and
 * only on the thread that armed it. What it never does: fail Python's own allocations.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static __thread long countdown = -1;
static __thread long failed;

void fault_arm(long n)
{
    failed = 0;
    countdown = n;
}

long fault_disarm(void)
{
    countdown = -1;
    return failed;
}

static int fault_now(const void *caller)
{
    Dl_info info;
    const char *names = NULL;
    const char *base = NULL;

    if (countdown < 0 || dladdr(caller, &info) == 0 || info.dli_fname == NULL) {
        return 0;
    }
    base = strrchr(info.dli_fname, '/');
    base = base == NULL ? info.dli_fname : base + 1;
    names = getenv("RAPIDJWS_FAULT_IN");
    while (names != NULL && *names != '\0') {
        size_t len = strcspn(names, ":");
        if (strncmp(base, names, len) == 0) {
            failed += countdown == 0;
            return countdown-- == 0;
        }
        names += len + (names[len] == ':');
    }
    return 0;
}

void *malloc(size_t size) { return fault_now(__builtin_return_address(0)) ? NULL : __libc_malloc(size); }

void *calloc(size_t count, size_t size)
{
    return fault_now(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fault_now(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fault_now(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (fault_now(__builtin_return_address(0))) {
        return 12;
    }
    *out = __libc_memalign(alignment, size);
    return *out == NULL ? 12 : 0;
}
