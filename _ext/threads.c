/* Design:
 * (a) Chunks are taken from a counter, so a slow thread holds up no other. The caller works from the
 *     first moment: it starts two threads, and each thread that finds chunks left starts two more,
 *     so starting many takes as long as starting a few one after the other.
 * (b) The caller waits for chunks, not for threads: on a busy machine a thread may start long after
 *     the work is done. It finds nothing left, and ends. The shared state is freed by the last
 *     thread that holds a reference.
 * (c) Signals are blocked in these threads, so they go to threads that existed before.
 */
#include "threads.h"

#include "float_mode.h"

#include <stdlib.h>

#ifdef _WIN32
#include <windows.h>
typedef volatile LONG counter;
static int add(counter *c, int n) { return (int)InterlockedExchangeAdd(c, n); } /* the old value */
typedef struct {
    SRWLOCK lock;
    CONDITION_VARIABLE changed;
} door;
static int door_init(door *d) {
    InitializeSRWLock(&d->lock);
    InitializeConditionVariable(&d->changed);
    return 1;
}
static void door_free(door *d) { (void)d; }
static void door_lock(door *d) { AcquireSRWLockExclusive(&d->lock); }
static void door_unlock(door *d) { ReleaseSRWLockExclusive(&d->lock); }
static void door_wait(door *d) { SleepConditionVariableSRW(&d->changed, &d->lock, INFINITE, 0); }
static void door_open(door *d) { WakeAllConditionVariable(&d->changed); }
#else
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
typedef atomic_int counter;
static int add(counter *c, int n) { return atomic_fetch_add(c, n); }
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} door;
static int door_init(door *d) {
    if (pthread_mutex_init(&d->lock, NULL) != 0) return 0;
    if (pthread_cond_init(&d->changed, NULL) == 0) return 1;
    pthread_mutex_destroy(&d->lock);
    return 0;
}
static void door_free(door *d) {
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
}
static void door_lock(door *d) { pthread_mutex_lock(&d->lock); }
static void door_unlock(door *d) { pthread_mutex_unlock(&d->lock); }
static void door_wait(door *d) { pthread_cond_wait(&d->changed, &d->lock); }
static void door_open(door *d) { pthread_cond_broadcast(&d->changed); }
#endif

/* ---- how many ---- */

/* A start takes 5 us here, where the machine is busy or virtual 50, and 4 MiB some 400 us. A second
 * thread halves what is left of them; further ones share the memory, so each gets twice as much. */
static ptrdiff_t each_from = 1 << 23; /* bytes of one operand */

void prelu_set_thread_bytes(ptrdiff_t bytes) { each_from = bytes; }

int prelu_threads_worth(ptrdiff_t bytes) {
    const ptrdiff_t many = bytes / each_from;
    if (bytes < each_from) return 1;
    return many < 2 ? 2 : many < THREADS_MOST ? (int)many : THREADS_MOST;
}

static counter in_use, alive; /* reserved by calls; started, and not yet ended */

int prelu_take_threads(int wanted, int allowed) {
    const int left = allowed - add(&in_use, wanted);
    const int taken = left < 1 ? 1 : left < wanted ? left : wanted;
    add(&in_use, taken - wanted);
    return taken;
}

void prelu_give_threads(int taken) { add(&in_use, -taken); }

static void forget(void) { in_use = alive = 0; } /* after a fork, which takes one thread along */

void prelu_threads_init(void) {
#ifdef _WIN32
    (void)forget;
#else
    pthread_atfork(NULL, NULL, forget);
#endif
}

/* ---- the chunks ---- */

typedef struct {
    counter next, done, workers, to_start, holders;
    int chunks;
    void (*task)(void *, int, int);
    void *context;
    door all_done;
} work;

static void release(work *w) {
    if (add(&w->holders, -1) > 1) return;
    door_free(&w->all_done);
    free(w);
}

static void take_chunks(work *w, int worker) {
    for (int chunk; (chunk = add(&w->next, 1)) < w->chunks;) {
        w->task(w->context, chunk, worker);
        if (add(&w->done, 1) + 1 < w->chunks) continue;
        door_lock(&w->all_done);
        door_open(&w->all_done);
        door_unlock(&w->all_done);
    }
}

static void start(work *w, int n);

static void run(work *w) {
    const fp_state before = fp_enter();
    start(w, 2);
    take_chunks(w, add(&w->workers, 1));
    fp_leave(before);
    release(w);
    add(&alive, -1);
}

#ifdef _WIN32
static DWORD WINAPI enter(void *w) {
    run(w);
    return 0;
}
static int start_one(work *w) {
    const HANDLE thread = CreateThread(NULL, 0, enter, w, 0, NULL);
    return thread && CloseHandle(thread);
}
#else
static void *enter(void *w) {
    run(w);
    return NULL;
}
static int start_one(work *w) {
    enum { STACK = 1 << 22 }; /* some systems' default is less than a walk takes */
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int started = pthread_create(&thread, &attributes, enter, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}
#endif

/* Starts n of the threads that are still to be started, if there is work left for them. */
static void start(work *w, int n) {
    while (n-- > 0 && add(&w->next, 0) < w->chunks && add(&w->to_start, -1) > 0) {
        add(&w->holders, 1);
        if (add(&alive, 1) < THREADS_MOST && start_one(w)) continue;
        add(&alive, -1); /* not now: those there are do it */
        add(&w->holders, -1);
        return;
    }
}

void prelu_parallel(int threads, int chunks, void (*task)(void *context, int chunk, int worker),
                    void *context) {
    work *w = threads > 1 && chunks > 1 ? malloc(sizeof *w) : NULL;
    if (!w || !door_init(&w->all_done)) {
        free(w);
        for (int chunk = 0; chunk < chunks; chunk++) task(context, chunk, 0);
        return;
    }
    const int most = threads < chunks ? threads : chunks;
    w->next = w->done = 0;
    w->workers = w->holders = 1;
    w->to_start = most - 1;
    w->chunks = chunks;
    w->task = task;
    w->context = context;
    start(w, 2);
    take_chunks(w, 0);
    door_lock(&w->all_done);
    while (add(&w->done, 0) < chunks) door_wait(&w->all_done);
    door_unlock(&w->all_done);
    release(w);
}
