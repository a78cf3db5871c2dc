/* dalpha: sums, rounded once, and exact states. */
#ifndef PRELU_DALPHA_H
#define PRELU_DALPHA_H

#include "call.h"

/* y, or dx where dalpha is not wanted, or y_dot. */
void prelu_scale(const prelu_call *call);

/* dx (if VIEW_OUT is there) and dalpha, or the double backward, or exact states. */
void prelu_backward(const prelu_call *call);

#endif
