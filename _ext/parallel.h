/* Walks of large calls in several threads. */
#ifndef PRELU_PARALLEL_H
#define PRELU_PARALLEL_H

#include "call.h"

/* Runs `part` on pieces of a call, cut along an axis on which alpha varies. */
void prelu_in_threads(const prelu_call *call, void (*part)(const prelu_call *));

/* prelu_walk(), in as many threads as the call has, with or without sums. */
void prelu_walk_in_threads(const prelu_call *call, int job, const prelu_sums *sums);

#endif
