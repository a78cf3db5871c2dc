/* Design: a call is split along its outermost long axis into several chunks per thread. If chunks share
 * alphas, each thread has its own accumulators; these are added at the end, in any order, because
 * the exact sum is what is rounded.
 */
#include "call.h"
#include "threads.h"

#include <stdlib.h>

enum { CHUNKS = 4, AXIS_LONG = 64 };

typedef struct {
    const prelu_call *call;
    int axis, job;
    ptrdiff_t each;
    void (*part)(const prelu_call *); /* NULL: prelu_walk() */
    const prelu_sums *sums;
    double *rooms; /* a worker's sums behind another's, but the caller's */
    ptrdiff_t alphas;
} chunks;

/* The outermost axis that is long enough, else the longest. Chunks must keep the order of
 * alphas, so of the axes along which alpha varies only the outermost is split. */
static int cut_axis(const prelu_view *v, int varying, int sums) {
    int best = -1, varied = 0;
    for (int k = 0; k < v->axes; k++) {
        if (varying && !view_varies(v, k)) continue;
        if (sums && view_varies(v, k) && varied++) continue;
        if (best < 0 || v->axis[k].length > v->axis[best].length) best = k;
        if (v->axis[k].length >= AXIS_LONG) return k;
    }
    return best;
}

static prelu_sums sums_of(const chunks *p, int worker) {
    prelu_sums sums = *p->sums;
    for (int k = 0; k < PARTS && worker > 0; k++)
        sums.part[k] = p->rooms + ((worker - 1) * PARTS + k) * p->alphas;
    return sums;
}

static void run_chunk(void *context, int chunk, int worker) {
    const chunks *p = context;
    const ptrdiff_t length = p->call->view.axis[p->axis].length, first = chunk * p->each;
    prelu_call part;
    prelu_call_copy(&part, p->call);
    part.threads = 1;
    view_narrow(&part.view, p->axis, first, length - first < p->each ? length - first : p->each);
    if (p->part) {
        p->part(&part);
    } else if (p->sums) {
        prelu_sums sums = sums_of(p, worker);
        for (int k = 0; k < PARTS && view_varies(&part.view, p->axis); k++) /* its first alpha's */
            sums.part[k] += first * (p->alphas / length);
        prelu_walk(&part, p->job, &sums);
    } else {
        prelu_walk(&part, p->job, NULL);
    }
}

static void run_chunks(chunks *p) {
    const prelu_call *call = p->call;
    p->axis = cut_axis(&call->view, p->part != NULL, p->sums != NULL);
    const ptrdiff_t length = call->view.axis[p->axis].length, most = CHUNKS * call->threads;
    p->each = (length + most - 1) / most;
    if (length > 1 << 20) p->each = (p->each + 1023) / 1024 * 1024; /* whole lines, and pages */
    prelu_parallel(call->threads, (int)((length + p->each - 1) / p->each), run_chunk, p);
}

void prelu_in_threads(const prelu_call *call, void (*part)(const prelu_call *)) {
    chunks p = {.call = call, .part = part};
    if (call->threads > 1) run_chunks(&p);
    else part(call);
}

void prelu_walk_in_threads(const prelu_call *call, int job, const prelu_sums *sums) {
    chunks p = {.call = call, .job = job, .sums = sums, .alphas = view_alphas(&call->view)};
    if (call->threads > 1 && sums)
        p.rooms = calloc((size_t)(call->threads * PARTS * p.alphas), sizeof(double));
    if (call->threads == 1 || (sums && !p.rooms)) { /* no memory for the sums of more */
        prelu_walk(call, job, sums);
        return;
    }
    run_chunks(&p);
    for (int worker = 1; worker < call->threads && sums; worker++) {
        const prelu_sums from = sums_of(&p, worker);
        for (ptrdiff_t i = 0; i < p.alphas; i++) {
            if (job != EXACT)
                quick_sum_add(sums, i, from.part[SUM][i], from.part[BOUND][i], from.part[LOW][i],
                              job == CAREFUL);
            for (int k = 0; k < PARTS && job == EXACT; k++)
                exact_sum_add(sums->part, i, from.part[k][i], 0, PARTS);
        }
    }
    free(p.rooms);
}
