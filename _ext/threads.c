/* Design: pieces are taken from a counter, so one that is late holds up nobody else, and a thread that
 * comes late finds nothing left. No lock is taken. Signals go to the threads there were before.
 */
#include "threads.h"

#include "float_mode.h"

#ifdef _WIN32
#include <windows.h>
typedef HANDLE thread_handle;
#define THREAD_FUNCTION static DWORD WINAPI
#define THREAD_RESULT 0
typedef volatile LONG counter;
static int take(counter *next) { return (int)InterlockedIncrement(next) - 1; }
#else
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
typedef pthread_t thread_handle;
#define THREAD_FUNCTION static void *
#define THREAD_RESULT NULL
typedef atomic_int counter;
static int take(counter *next) { return atomic_fetch_add(next, 1); }
#endif

typedef struct {
    counter next, workers;
    int pieces;
    void (*task)(void *, int, int);
    void *context;
} work;

static void take_pieces(work *w, int worker) {
    for (int piece; (piece = take(&w->next)) < w->pieces;) w->task(w->context, piece, worker);
}

THREAD_FUNCTION run(void *argument) {
    work *w = argument;
    const fp_state before = fp_enter();
    take_pieces(w, take(&w->workers));
    fp_leave(before);
    return THREAD_RESULT;
}

#ifdef _WIN32
static int start(thread_handle *thread, work *w) {
    *thread = CreateThread(NULL, 0, run, w, 0, NULL);
    return *thread != NULL;
}
static void join(thread_handle thread) {
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}
static int start_all(thread_handle *thread, int n, work *w) {
    int started = 0;
    while (started < n && start(thread + started, w)) started++;
    return started;
}
#else
static void join(thread_handle thread) { pthread_join(thread, NULL); }
static int start_all(thread_handle *thread, int n, work *w) {
    enum { STACK = 1 << 22 }; /* some systems' default is less than a walk takes */
    sigset_t all, before;
    pthread_attr_t attributes;
    int started = 0;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < n && pthread_create(thread + started, &attributes, run, w) == 0) started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}
#endif

void prelu_parallel(int threads, int pieces, void (*task)(void *context, int piece, int worker),
                    void *context) {
    thread_handle thread[THREADS_MOST];
    work w = {.next = 0, .workers = 1, .pieces = pieces, .task = task, .context = context};
    if (threads > pieces) threads = pieces;
    if (threads > THREADS_MOST) threads = THREADS_MOST;
    const int started = start_all(thread, threads - 1, &w);
    take_pieces(&w, 0);
    for (int i = 0; i < started; i++) join(thread[i]);
}
