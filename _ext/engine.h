/* What a call is, and what can be done with one. Holds no GIL, no state. */
#ifndef PRELU_ENGINE_H
#define PRELU_ENGINE_H

#include "exact_sum.h"
#include "loops.h"
#include "view.h"

typedef struct {
    prelu_view view; /* canonical; without VIEW_G g is x; without VIEW_DALPHA nothing is summed */
    int x_dtype, alpha_dtype, at_one;
    int stream;  /* write around the caches */
    int partial; /* VIEW_DALPHA gets exact states, carried: an int64 each limb of an alpha */
} prelu_call;

static inline void prelu_call_copy(prelu_call *to, const prelu_call *from) {
    view_copy(&to->view, &from->view);
    to->x_dtype = from->x_dtype;
    to->alpha_dtype = from->alpha_dtype;
    to->at_one = from->at_one;
    to->stream = from->stream;
    to->partial = from->partial;
}

/* Sums for n alphas, each high + low, with the sum of |partial sum| beside it. */
typedef struct {
    ptrdiff_t n;
    double *high, *low, *partials;
} prelu_sums;

const char *prelu_instruction_set(void);
int prelu_select_instruction_set(const char *name); /* for tests; 0 if it cannot run here */

/* One number rounded once to a dtype. */
void prelu_round(double value, int dtype, void *to);

/* y, or dx where dalpha is not wanted, or y_dot. */
void prelu_scale(const prelu_call *call);

/* dx (if VIEW_OUT is there) and dalpha, or the double backward. With `inputs_change` dx is written
 * over x or dy, which then cannot be read a second time. Returns 0 if memory ran out. */
int prelu_backward(const prelu_call *call, int inputs_change);

/* The parts of prelu_backward, for threads: sums of a piece of a call, added up and finished. */
enum { PRELU_MOST_ALPHAS = 4096 }; /* that the sums of one piece may hold */
int prelu_sums_new(prelu_sums *sums, ptrdiff_t n);
void prelu_sums_free(prelu_sums *sums);
void prelu_sums_of(const prelu_call *call, prelu_sums *sums);
void prelu_sums_add(prelu_sums *to, const prelu_sums *from);
int prelu_finish(const prelu_call *call, prelu_sums *sums);

/* Exact states by the dtype of x: their length; carried; rounded once to a dtype. */
int prelu_state_limbs(int x_dtype);
void prelu_carry(int64_t *state, int x_dtype);
void prelu_round_state(const int64_t *state, int x_dtype, int alpha_dtype, void *to);

#endif
