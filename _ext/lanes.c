/* Design: where alphas run along a tile, each lane has its own sums. Here alpha is laid out for the
 * lanes, and their sums are added to those of their alphas when the lanes change.
 */
#include "tile.h"

/* ---- sums ---- */

/* The next alphas' sums, in a loop that the compiler can vectorise. */
static void sums_add_row(prelu_sums *sums, ptrdiff_t first, ptrdiff_t n, const double *restrict s,
                         const double *restrict c, const double *restrict t) {
    double *restrict high = sums->high + first, *restrict low = sums->low + first;
    double *restrict partials = sums->partials + first;
    for (ptrdiff_t i = 0; i < n; i++)
        sums_add_one(&(prelu_sums){1, high + i, low + i, partials + i}, 0, s[i], c[i], t[i]);
}

/* Adds up `parts` parts of n lanes, that follow each other, into the first: by halves, so that few
 * roundings lie on top of each other. */
static void fold(double *restrict sum, double *restrict correction, double *restrict partials,
                 ptrdiff_t n, ptrdiff_t parts) {
    while (parts > 1) {
        const ptrdiff_t half = (parts + 1) / 2, far = half * n;
        for (ptrdiff_t i = 0; i < (parts - half) * n; i++) {
            const double a = sum[i], b = sum[i + far], s = a + b, z = s - a;
            correction[i] += correction[i + far] + ((a - (s - z)) + (b - z));
            sum[i] = s;
            partials[i] += partials[i + far];
        }
        parts = half;
    }
}

/* The last `by` of n numbers come first; `by` is less than a line has. */
static void rotate(double *lanes, ptrdiff_t n, ptrdiff_t by) {
    double last[LINE / 2];
    memcpy(last, lanes + n - by, (size_t)by * sizeof *lanes);
    memmove(lanes + by, lanes, (size_t)(n - by) * sizeof *lanes);
    memcpy(lanes, last, (size_t)by * sizeof *lanes);
}

void lanes_flush(work *w) {
    lane_state *l = &w->lanes;
    if (l->used == 0) return;
    if (w->rotation) {
        rotate(w->sum, l->used, w->rotation);
        rotate(w->correction, l->used, w->rotation);
        rotate(w->partials, l->used, w->rotation);
    }
    const ptrdiff_t *n = w->laid_out.n, *step = w->tile_index_stride, row = n[1] * n[2];
    fold(w->sum, w->correction, w->partials, row, l->used / row);
    for (ptrdiff_t b = 0; b < n[1]; b++) {
        double *s = w->sum + b * n[2], *c = w->correction + b * n[2];
        double *t = w->partials + b * n[2];
        const ptrdiff_t first = l->index + b * step[1];
        if (step[2] == 0) fold(s, c, t, 1, n[2]);
        sums_add_row(w->sums, first, step[2] == 0 ? 1 : n[2], s, c, t);
    }
    l->used = l->adds = 0;
}

/* ---- alphas ---- */

int lanes_of_others(work *w, char *const from[VIEW_OPERANDS]) {
    const int same = w->laid_out_for[0] == from[VIEW_ALPHA] &&
                     w->laid_out_for[1] == from[VIEW_ALPHA_DOT];
    w->laid_out_for[0] = from[VIEW_ALPHA];
    w->laid_out_for[1] = from[VIEW_ALPHA_DOT];
    return !same;
}

void lanes_one(work *w, char *const from[VIEW_OPERANDS]) {
    if (!lanes_of_others(w, from)) return;
    const prelu_loops *convert = loops_of(w->call->alpha_dtype, w->wide);
    convert->widen(from[VIEW_ALPHA], w->alpha_lanes[0], 1);
    if (from[VIEW_ALPHA_DOT]) convert->widen(from[VIEW_ALPHA_DOT], w->alpha_lanes[1], 1);
    w->alpha = w->alpha_lanes[0];
    w->alpha_dot = w->alpha_lanes[1];
}

/* Alpha, or alpha_dot, for the lanes of rows side by side, in the compute type: where it is. */
static const void *lay_out_alpha(work *w, int operand, const char *alpha, const piece *p) {
    const int dtype = w->call->alpha_dtype;
    const ptrdiff_t item = (ptrdiff_t)item_size[dtype], row = p->n[1] * p->n[2];
    const ptrdiff_t *stride = w->stride[operand];
    const size_t wide = w->wide ? sizeof(double) : sizeof(float);
    const prelu_loops *convert = loops_of(dtype, w->wide);
    const piece one_row = {{1, p->n[1], p->n[2]}};
    char *to = (char *)w->alpha_lanes[operand == VIEW_ALPHA_DOT];
    const int plain = (size_t)item == wide && w->call->x_dtype != PRELU_BF16; /* any_nan */
    if (plain && p->n[0] == 1 && !w->rotation && is_one_run(&one_row, stride, item)) return alpha;
    if (is_one_run(&one_row, stride, item)) {
        convert->widen(alpha, to, (size_t)row);
    } else {
        for (ptrdiff_t b = 0; b < p->n[1]; b++) {
            const char *first = alpha + b * stride[1];
            char *lanes = to + (size_t)(b * p->n[2]) * wide;
            for (ptrdiff_t c = 0; c < p->n[2]; c += LANES_FEW) {
                const ptrdiff_t n = p->n[2] - c < LANES_FEW ? p->n[2] - c : LANES_FEW;
                char raw[LANES_FEW * sizeof(double)];
                copy_row(raw, item, first + c * stride[2], stride[2], n, item);
                convert->widen(raw, lanes + (size_t)c * wide, (size_t)n);
            }
        }
    }
    for (ptrdiff_t a = 1; a < p->n[0]; a++)
        memcpy(to + (size_t)(a * row) * wide, to, (size_t)row * wide);
    if (w->rotation) { /* the first of them last */
        char first[LINE / 2 * sizeof(double)];
        const size_t all = (size_t)(p->n[0] * row) * wide, by = (size_t)w->rotation * wide;
        memcpy(first, to, by);
        memmove(to, to + by, all - by);
        memcpy(to + all - by, first, by);
    }
    return to;
}

void lanes_lay_out(work *w, char *const from[VIEW_OPERANDS], const piece *p, ptrdiff_t rotation,
                   ptrdiff_t index) {
    const int moved = memcmp(p, &w->laid_out, sizeof *p) != 0 || rotation != w->rotation;
    if (w->lanes.used && (moved || w->lanes.index != index)) lanes_flush(w);
    if (w->exact && (moved || w->exact->lanes.index != index)) exact_flush(w);
    w->rotation = rotation;
    if (!w->each && (lanes_of_others(w, from) || moved)) {
        w->alpha = lay_out_alpha(w, VIEW_ALPHA, from[VIEW_ALPHA], p);
        if (from[VIEW_ALPHA_DOT])
            w->alpha_dot = lay_out_alpha(w, VIEW_ALPHA_DOT, from[VIEW_ALPHA_DOT], p);
    }
    if (moved && w->exact) {
        exact_clear(w->exact, piece_size(p));
        const ptrdiff_t row = p->n[1] * p->n[2], *steps = w->tile_index_stride;
        for (ptrdiff_t i = 0; i < piece_size(p); i++) {
            const ptrdiff_t lane = (i + rotation) % row;
            w->exact->lane_index[i] = lane / p->n[2] * steps[1] + lane % p->n[2] * steps[2];
        }
    }
    w->laid_out = *p;
    w->lanes.index = index;
}

void lanes_expect(work *w, ptrdiff_t adds) {
    if (w->lanes.adds + adds > ADDS_MOST) lanes_flush(w);
    if (w->lanes.used == 0) {
        w->lanes.used = piece_size(&w->laid_out);
        const size_t bytes = (size_t)(w->lanes.used + LANES) * sizeof(double);
        memset(w->sum, 0, bytes);
        memset(w->correction, 0, bytes);
        memset(w->partials, 0, bytes);
    }
    w->lanes.adds += adds;
}
