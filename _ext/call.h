/* What a call is. */
#ifndef PRELU_CALL_H
#define PRELU_CALL_H

#include "loops.h"
#include "view.h"

static const ptrdiff_t item_size[PRELU_DTYPES] = {2, 2, 4, 8, 4, 8, 4, 8};

typedef struct {
    int x_dtype, alpha_dtype, at_one;
    int larger;      /* the exponent by which factors of exact sums are larger */
    int stream;      /* non-temporal stores */
    int in_place;    /* dx is written over x or dy, which then cannot be read a second time */
    int partial;     /* VIEW_DALPHA gets exact states, normalised: an int64 each limb of an alpha */
    int threads;     /* that may work on it */
    prelu_view view; /* canonical; without VIEW_G g is x; without VIEW_DALPHA nothing is summed */
} prelu_call;

/* Copies what is in use: a view has room for 64 axes and mostly has two. */
static inline void prelu_call_copy(prelu_call *to, const prelu_call *from) {
    const size_t axes = (size_t)from->view.axes * sizeof *from->view.axis;
    memcpy(to, from, offsetof(prelu_call, view.axis) + axes);
}

/* ---- dispatch.c: the instruction set ---- */

const char *prelu_instruction_set(void);
int prelu_select_instruction_set(const char *name); /* for tests; 0 if it cannot run here */
const prelu_loops *prelu_loops_of(int dtype);

/* ---- walk.c ---- */

/* Are sums float64 products', with their errors? */
static inline int prelu_is_wide(const prelu_call *call) {
    return call->x_dtype == PRELU_F64 || call->alpha_dtype == PRELU_F64;
}

/* Has each element an alpha of its own, of x's dtype? Then alpha is an operand like x. */
static inline int prelu_is_each(const prelu_call *call) {
    const prelu_view *v = &call->view;
    return call->alpha_dtype == call->x_dtype && !v->data[VIEW_ALPHA_DOT] && !call->partial &&
           view_alphas(v) == view_size(v);
}

/* Walks a call: y or dx, with quick or exact sums added to those of its alphas, in their order. The jobs
 * of each element's own alpha have no sums: EACH writes dalpha. */
void prelu_walk(const prelu_call *call, int job, const prelu_sums *sums);

/* ---- parallel.c ---- */

/* prelu_walk(), in as many threads as the call has, with or without sums. */
void prelu_walk_in_threads(const prelu_call *call, int job, const prelu_sums *sums);

/* Runs `part` on chunks of a call, cut along an axis on which alpha varies. */
void prelu_in_threads(const prelu_call *call, void (*part)(const prelu_call *));

#endif
