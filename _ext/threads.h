/* A loop over pieces, in several threads. */
#ifndef PRELU_THREADS_H
#define PRELU_THREADS_H

enum { THREADS_MOST = 256 };

/* Calls task(context, piece, worker) for each piece, `threads` at once; workers are numbered from 0,
 * the caller. Threads are made for the call and have ended when it returns: there is nothing that
 * a fork, an exit or an exception in a signal handler could leave behind. Fewer threads, down to
 * the caller alone, do the same. */
void prelu_parallel(int threads, int pieces, void (*task)(void *context, int piece, int worker),
                    void *context);

#endif
