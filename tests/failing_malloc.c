/* Allocations that fail on demand: once armed, the one after `after` others, and those that follow it
 * if `all`. Preloaded into a Python whose objects come from malloc, too. For glibc. */
#include <errno.h>
#include <stddef.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

static long left = -1, failed;
static int all;

void arm(long after, int and_all) {
    failed = 0;
    all = and_all;
    __atomic_store_n(&left, after, __ATOMIC_SEQ_CST);
}

long disarm(void) {
    __atomic_store_n(&left, -1, __ATOMIC_SEQ_CST);
    return failed;
}

static int fails(void) {
    if (__atomic_load_n(&left, __ATOMIC_SEQ_CST) < 0) return 0;
    if (failed && all) return 1;
    if (failed || __atomic_fetch_sub(&left, 1, __ATOMIC_SEQ_CST) > 0) return 0;
    __atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
    failed = 1;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return fails() ? NULL : __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }
