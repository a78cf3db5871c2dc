/* A loop over chunks, in several threads. */
#ifndef PRELU_THREADS_H
#define PRELU_THREADS_H

#include <stddef.h>

enum { THREADS_MOST = 256 };

/* Once, when the module is loaded. */
void prelu_threads_init(void);

/* How many threads a call on arrays of so many bytes is worth, the caller among them. */
int prelu_threads_worth(ptrdiff_t bytes);
void prelu_set_thread_bytes(ptrdiff_t bytes); /* for tests: that is worth a thread */

/* How many of `wanted` threads a call may use, the caller among them, so that all calls of the process
 * together use no more than `allowed` and one for each caller. They are given back after the call. */
int prelu_take_threads(int wanted, int allowed);
void prelu_give_threads(int taken);

/* Calls task(context, chunk, worker) for each chunk, `threads` at once; workers are numbered from 0,
 * the caller. Threads are made for the call, and none works on it when it returns: there is nothing
 * that a fork, an exit or an exception in a signal handler could leave behind. Fewer threads, down
 * to the caller alone, do the same. */
void prelu_parallel(int threads, int chunks, void (*task)(void *context, int chunk, int worker),
                    void *context);

#endif
