/* Design: operands of a tile in place where they are one run, else by way of a buffer; then the
 * loop that the mode asks for. Exact sums add integers in slices of doubles, and move them into the
 * states when the slices change.
 */
#include "tile.h"

#include "dot.h"

#include <float.h>

enum { SLICE_ADDS_MOST = 1 << (52 - EXACT_SLICE_BITS) };

#define PRELU_FN static inline
#define PRELU_GT(a, b) ((a) > (b))
#define PRELU_MUL(a, b) ((a) * (b))
#define PRELU_DOT dot_double
#define PRELU_ALPHA double
#define real double
#define PRELU(name) prelu_##name##_double
#include "prelu_scalar.h"

/* ---- exact sums ---- */

static inline int64_t *exact_state(work *w, ptrdiff_t index, ptrdiff_t lane) {
    const exact_format f = exact_formats[w->call->x_dtype];
    return w->exact->states + (index + (w->along ? w->exact->lane_index[lane] : 0)) * exact_limbs(f);
}

/* Counts additions to one limb, at most so many, and carries before a limb can overflow. */
static void exact_count(work *w, int64_t adds) {
    exact_work *e = w->exact;
    const exact_format f = exact_formats[w->call->x_dtype];
    e->adds += adds;
    if (e->adds <= 1 << 30) return;
    for (ptrdiff_t i = 0; i < w->sums->n; i++) exact_carry(e->states + i * exact_limbs(f), f);
    e->adds = 0;
}

void exact_clear(exact_work *e, ptrdiff_t lanes) {
    for (int k = 0; k < EXACT_SLICES; k++)
        memset(e->slice[k], 0, (size_t)(lanes + LANES) * sizeof *e->slice[k]);
}

void exact_flush(work *w) {
    exact_work *e = w->exact;
    lane_state *l = &e->lanes;
    const exact_format f = exact_formats[w->call->x_dtype];
    for (int k = 0; k < EXACT_SLICES; k++) {
        for (ptrdiff_t i = 0; i < l->used; i++)
            exact_add(exact_state(w, l->index, i), f, e->slice[k][i], 0);
        memset(e->slice[k], 0, (size_t)l->used * sizeof *e->slice[k]);
    }
    l->used = l->adds = 0;
    exact_count(w, EXACT_SLICES * LANES_MOST);
}

/* How many numbers of double a term is: a float64 product has a low part, 53 bits further down. */
static int parts_of_term(const work *w) { return w->call->x_dtype == PRELU_F64 ? 2 : 1; }

/* Room also for what was expected before and comes after the slices have moved. */
void exact_expect(work *w, ptrdiff_t adds) {
    const ptrdiff_t each = parts_of_term(w) * adds;
    if (w->exact->lanes.adds + 2 * each > SLICE_ADDS_MOST) exact_flush(w);
    w->exact->lanes.adds += each;
}

/* The terms of a tile, whose first lane is lane0 of those that are laid out. */
static void exact_tile(work *w, const void *x, const void *g, ptrdiff_t n, ptrdiff_t lane0,
                       ptrdiff_t period, ptrdiff_t index, int at_one) {
    exact_work *e = w->exact;
    const int dtype = w->call->x_dtype;
    const exact_format f = exact_formats[dtype];
    const double largest = w->loops->terms(x, g, e->term[0], e->term[1], (size_t)n, at_one);
    if (largest == 0) return;
    if (!w->along) period = LANES; /* all of one alpha */

    if (isinf(largest)) { /* one at a time, as integers */
        loops_of(dtype, 1)->widen(x, e->term[0], (size_t)n);
        loops_of(dtype, 1)->widen(g, e->term[1], (size_t)n);
        const double edge = at_one ? -DBL_MIN * DBL_EPSILON : 0.0;
        for (ptrdiff_t i = 0; i < n; i++)
            if (!prelu_identity_double(e->term[0][i], edge))
                exact_add_product(exact_state(w, index, lane0 + i % period), f, e->term[0][i],
                                  e->term[1][i]);
        exact_count(w, 2 * n);
        return;
    }

    /* The slices move when the terms leave them or are so small that they would not be taken. A low
     * part is the second and third slice's. */
    const int parts = parts_of_term(w);
    const ptrdiff_t each = (n + period - 1) / period * parts;
    const ptrdiff_t adds = w->has_runs ? 0 : each; /* those of runs are expected before */
    if (!(largest < e->largest && largest > e->largest * 0x1p-20) || e->lanes.index != index ||
        e->lanes.adds + adds > SLICE_ADDS_MOST) {
        exact_flush(w);
        int exponent;
        frexp(largest, &exponent);
        e->largest = ldexp(1.0, exponent + 2);
        e->exponent = exponent + 2 - EXACT_SLICE_BITS;
        e->lanes.index = index;
    }
    for (int part = 0; part < parts; part++) {
        double *v = e->term[part];
        if (!w->loops->split(v, (size_t)n, (size_t)period, e->exponent - part * EXACT_SLICE_BITS,
                             e->slice[part] + lane0, e->slice[part + 1] + lane0))
            continue;
        for (ptrdiff_t i = 0; i < n; i++)
            if (v[i] != 0) exact_add(exact_state(w, index, lane0 + i % period), f, v[i], 0);
        exact_count(w, n);
    }
    if (lane0 + period > e->lanes.used) e->lanes.used = lane0 + period;
    e->lanes.adds += adds;
}

/* The terms of a tile of runs: each run's into its alpha's lanes. */
static void exact_runs(work *w, const char *x, const char *g, ptrdiff_t n, int at_one) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    const prelu_runs *runs = &w->runs;
    ptrdiff_t r = runs->first, length = runs->left;
    for (ptrdiff_t i = 0; i < n; i += length, length = runs->length) {
        if (n - i < length) length = n - i;
        exact_tile(w, x + i * item, g + i * item, length, r * LANES, LANES, w->lanes.index, at_one);
        r = r + 1 < runs->alphas ? r + 1 : 0;
    }
}

/* ---- one term for each alpha ---- */

/* Rounds the terms in n lanes to alpha's dtype, into lanes.partials. */
static void round_terms(const work *w, prelu_lanes lanes, ptrdiff_t n) {
    const prelu_call *call = w->call;
    if (call->x_dtype == PRELU_F64 && call->alpha_dtype != PRELU_F64)
        for (ptrdiff_t i = 0; i < n; i++) /* first, so that narrow() rounds once */
            lanes.sum[i] = to_odd(lanes.sum[i], lanes.correction[i]);
    loops_of(call->alpha_dtype, 1)->narrow(lanes.sum, lanes.partials, (size_t)n);
}

/* ---- tiles ---- */

/* The piece of an input as one run: in place if it is one, else in `buffer`. */
static const void *input(const work *w, int operand, char *const at[VIEW_OPERANDS], const piece *p,
                         void *buffer) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    if (is_one_run(p, w->stride[operand], item)) return at[operand];
    gather(buffer, at[operand], w->stride[operand], p, item);
    return buffer;
}

/* Where the loops shall write a piece of an output: in place if it is one run, else in `buffer`. */
static void *target(const work *w, int operand, char *const at[VIEW_OPERANDS], const piece *p,
                    void *buffer) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    if (!at[operand]) return NULL;
    return is_one_run(p, w->stride[operand], item) ? at[operand] : buffer;
}

static void output(const work *w, int operand, char *const at[VIEW_OPERANDS], const piece *p,
                   const void *from, int dtype) {
    if (from && from != at[operand])
        scatter(at[operand], w->stride[operand], from, p, (ptrdiff_t)item_size[dtype]);
}

/* AROUND if what a tile writes, `out` and perhaps a second operand, can go around the caches. */
static int around(const work *w, char *const at[VIEW_OPERANDS], const void *out, int operand,
                  const void *second, ptrdiff_t period) {
    const uintptr_t a = (uintptr_t)out, b = second ? (uintptr_t)second : a;
    const uintptr_t row = (uintptr_t)period * item_size[w->call->x_dtype];
    const int in_place = out && out == at[VIEW_OUT] && (!second || second == at[operand]);
    const int lines = period ? ((a | b | row) & (LINE - 1)) == 0 : ((a ^ b) & (LINE - 1)) == 0;
    return w->call->stream && in_place && lines ? AROUND : 0;
}

/* The second order of a tile. Returns whether the cotangent of alpha is left: the sum over the
 * factors. */
static int second_tile(work *w, char *const at[VIEW_OPERANDS], const piece *p, ptrdiff_t lane0,
                       ptrdiff_t period, ptrdiff_t index, const void *x, const void *u) {
    const prelu_call *call = w->call;
    const size_t skipped = (size_t)lane0 * (w->wide ? 8 : 4);
    void *out = target(w, VIEW_OUT, at, p, w->out), *of_x = target(w, VIEW_OF_X, at, p, w->of_x);
    double s, c, t;
    const prelu_lanes of_run = {&s, &c, &t}, none = {NULL, NULL, NULL};
    const prelu_lanes along = {w->sum + lane0, w->correction + lane0, w->partials + lane0};
    const prelu_second second = {
        x, u, at[VIEW_DY] ? input(w, VIEW_DY, at, p, w->dy) : NULL,
        (const char *)w->alpha + skipped, (const char *)w->alpha_dot + skipped,
        out ? out : w->out, of_x ? of_x : w->of_x, {w->factor[0], w->factor[1]},
        w->mode != SUMS ? none : period ? along : of_run};
    const int how = call->at_one | around(w, at, out, VIEW_OF_X, of_x, period);
    w->loops->second_order(&second, (size_t)period, (size_t)piece_size(p), how);
    if (w->mode == SUMS && !period) sums_add_one(w->sums, index, s, c, t);
    output(w, VIEW_OUT, at, p, out, call->x_dtype);
    output(w, VIEW_OF_X, at, p, of_x, call->x_dtype);
    return at[VIEW_DY] && w->mode != SUMS;
}

void tile(work *w, char *const at[VIEW_OPERANDS], const piece *p, ptrdiff_t lane0,
          ptrdiff_t period, ptrdiff_t index) {
    const prelu_call *call = w->call;
    const prelu_loops *loops = w->loops;
    const ptrdiff_t n = piece_size(p);
    const int by_runs = w->has_runs && period != 0;
    const prelu_lanes lanes = {w->sum + lane0, w->correction + lane0, w->partials + lane0};
    const void *alpha = w->each ? input(w, VIEW_ALPHA, at, p, w->of_x)
                                : (const char *)w->alpha + (size_t)lane0 * (w->wide ? 8 : 4);
    const void *x = input(w, VIEW_X, at, p, w->x);
    const void *g = at[VIEW_G] ? input(w, VIEW_G, at, p, w->g) : x;
    void *out = target(w, VIEW_OUT, at, p, w->out);
    int at_one = call->at_one;
    if (at[VIEW_ALPHA_DOT]) {
        if (!second_tile(w, at, p, lane0, period, index, x, g)) return;
        x = w->factor[0], g = w->factor[1], out = NULL, at_one = 0;
    }
    int how = at_one | around(w, at, out, VIEW_OUT, NULL, period);
    switch (w->mode) {
    case SUMS:
        if (by_runs) {
            loops->backward_runs(x, g, alpha, &w->runs, out, (size_t)n, how, lanes);
        } else if (period) {
            loops->backward_along(x, g, alpha, (size_t)period, out, (size_t)n, how, lanes);
        } else {
            double s, c, t;
            loops->backward_run(x, g, alpha, out, (size_t)n, how, (prelu_lanes){&s, &c, &t});
            sums_add_one(w->sums, index, s, c, t);
        }
        break;
    case TERMS:
        if (w->each) {
            void *dalpha = target(w, VIEW_DALPHA, at, p, w->dy);
            how = at_one | around(w, at, out, VIEW_DALPHA, dalpha, period);
            loops->backward_each(x, g, alpha, out, dalpha, (size_t)n, how);
            output(w, VIEW_DALPHA, at, p, dalpha, call->alpha_dtype);
            break;
        }
        loops->backward_terms(x, g, alpha, out, (size_t)n, how, lanes);
        round_terms(w, lanes, n);
        output(w, VIEW_DALPHA, at, p, lanes.partials, call->alpha_dtype);
        break;
    case EXACT:
        /* before dx may overwrite x or dy */
        if (w->has_runs) exact_runs(w, x, g, n, at_one);
        else exact_tile(w, x, g, n, lane0, period, index, at_one);
        /* fall through */
    default:
        if (out && w->each) loops->scale_each(x, g, alpha, out, (size_t)n, how);
        else if (out && by_runs)
            loops->scale_runs(x, g, alpha, &w->runs, out, (size_t)n, how);
        else if (out) loops->scale(x, g, alpha, (size_t)period, out, (size_t)n, how);
    }
    output(w, VIEW_OUT, at, p, out, call->x_dtype);
}
