/* The loops for x of dtype X, computed in REAL; WIDE is 1 where alpha, so dalpha, is float64.
 * Letters as everywhere; g is x in the forward and dy in the backward. */
#define PAIR(name) JOIN3(name, X, WIDE)
#define SCALAR(name) JOIN3(prelu, name, REAL)
/* How a loop keeps sums in registers. */
#define SUMS_MODE (sizeof(X) == 2 && !WIDE ? GROUP_SHORT : GROUP_SUMS)
/* Are outputs written around the caches? A call with 16-bit elements never asks for it. */
#define STREAMS(how) (sizeof(X) > 2 && (how) & AROUND)

PRELU_FN void PAIR(load)(const X *p, REAL *v) {
    NATIVE native[LANES];
    JOIN2(load, X)(p, native);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) v[l] = native[l];
}

PRELU_FN void PAIR(store)(X *p, const REAL *v, const int put) {
    NATIVE native[LANES];
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++)
        native[l] = sizeof(REAL) > 4 && sizeof(X) == 2 ? (NATIVE)double_to_float_odd(v[l])
                                                       : (NATIVE)v[l];
    if (put >= STREAM) JOIN2(stream, X)(p, native, put);
    else JOIN2(store, X)(p, native);
}

static void PAIR(widen)(const void *from_, void *to_, size_t n) {
    const X *from = from_;
    REAL *to = to_;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) PAIR(load)(from + i, to + i);
    if (i < n) {
        X in[LANES] = {0};
        REAL out[LANES];
        memcpy(in, from + i, (n - i) * sizeof *from);
        PAIR(load)(in, out);
        memcpy(to + i, out, (n - i) * sizeof *to);
    }
    for (i = 0; i < n; i++) to[i] = (REAL)any_nan(to[i]);
}

/* Adds p, the term of x and g, to a lane: where dalpha is float64 by two-sum, and with the error of
 * the product where it has one. */
PRELU_FN void PAIR(add)(const int identity, const REAL x, const REAL g, const double p, double *sum,
                        double *correction, double *partials) {
    if (WIDE) {
        const double s = *sum + p, z = s - *sum;
        double error = (*sum - (s - z)) + (p - z);
        if (sizeof(X) == 8) error += identity ? 0.0 : fma(x, g, -p);
        *correction += error;
        *sum = s;
    } else {
        *sum += p;
    }
    *partials += fabs(*sum);
}

/* One group. `along`, `put` and `mode` are constants in every caller; `partials` are double, or
 * float for GROUP_SHORT. */
PRELU_FN void PAIR(group)(const X *x, const X *g, const REAL *alpha, const int along, X *out,
                          const int put, const REAL edge, double *sum, double *correction,
                          void *partials, const int mode) {
    REAL xv[LANES], gv[LANES], outv[LANES], term[LANES];
    PAIR(load)(x, xv);
    PAIR(load)(g, gv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const int identity = SCALAR(identity)(xv[l], edge);
        if (put) outv[l] = SCALAR(scale)(identity, gv[l], alpha[along ? l : 0]);
        if (mode == GROUP_SCALE) continue;
        if (SUMS_MODE == GROUP_SHORT && mode != GROUP_TERMS) {
            term[l] = SCALAR(short_term)(identity, xv[l], gv[l]);
            continue;
        }
        const double p = SCALAR(term)(identity, xv[l], gv[l]);
        if (mode == GROUP_TERMS) {
            /* an exact zero is +0, also from -1 * 0 */
            const int zero = (xv[l] == 0) | (gv[l] == 0) | (sizeof(X) < 8);
            sum[l] = zero ? p + 0.0 : p;
            if (sizeof(X) == 8) correction[l] = identity ? 0.0 : fma(xv[l], gv[l], -p);
            continue;
        }
        PAIR(add)(identity, xv[l], gv[l], p, sum + l, correction + l, (double *)partials + l);
    }
    if (put) PAIR(store)(out, outv, put);
    if (SUMS_MODE == GROUP_SUMS || mode == GROUP_SCALE || mode == GROUP_TERMS) return;
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        sum[l] += term[l];
        if (mode == GROUP_SHORT) ((float *)partials)[l] += fabsf((float)term[l]);
        else ((double *)partials)[l] += fabs(sum[l]);
    }
}

/* The last, short group: through buffers filled up with zeros, which add +0 to a sum. */
PRELU_FN void PAIR(tail)(const X *x, const X *g, const REAL *alpha, const int along, X *out,
                         size_t m, const int put, const REAL edge, double *sum,
                         double *correction, void *partials, const int mode) {
    X xt[LANES] = {0}, gt[LANES] = {0}, outt[LANES];
    REAL at[LANES] = {0};
    memcpy(xt, x, m * sizeof *x);
    memcpy(gt, g, m * sizeof *g);
    memcpy(at, alpha, (along ? m : 1) * sizeof *alpha);
    PAIR(group)(xt, gt, at, along, outt, put ? STORE : NO_OUT, edge, sum, correction,
                partials, mode);
    if (put) memcpy(out, outt, m * sizeof *out);
}

/* How many of n elements, less than a group, lie before the first that no line of 64 bytes cuts: of
 * what is written around the caches, or of x where there are enough to make up for it. */
PRELU_FN size_t PAIR(ahead)(const X *x, const X *out, const int put, size_t n) {
    const uintptr_t first = (uintptr_t)(put >= STREAM ? out : x), group = LANES * sizeof *x;
    const size_t ahead = (-first & ((group < 64 ? group : 64) - 1)) / sizeof *x;
    if (put < STREAM && n < 64 * LANES) return 0;
    return ahead < n ? ahead : n;
}

/* A run of one alpha. `lanes` gets its sums, if the mode has any. */
PRELU_FN void PAIR(run_loop)(const X *x, const X *g, const REAL *alpha, X *out, const int put,
                             size_t n, const REAL edge, prelu_lanes lanes, const int mode) {
    double sum[LANES] = {0}, correction[LANES] = {0}, partials[LANES] = {0};
    float sizes[LANES] = {0};
    void *const errors = mode == GROUP_SHORT ? (void *)sizes : partials;
    size_t i = PAIR(ahead)(x, out, put, n);
    if (i) PAIR(tail)(x, g, alpha, 0, out, i, put, edge, sum, correction, errors, mode);
    for (; i + LANES <= n; i += LANES)
        PAIR(group)(x + i, g + i, alpha, 0, out + i, put, edge, sum, correction, errors, mode);
    if (i < n)
        PAIR(tail)(x + i, g + i, alpha, 0, out + i, n - i, put, edge, sum, correction, errors,
                   mode);
    if (mode == GROUP_SCALE) return;
    for (int l = 0; l < LANES && mode == GROUP_SHORT; l++)
        partials[l] = partials_most(sizes[l], n / LANES + 2, 0);
    add_lanes(sum, correction, partials, lanes);
}

PRELU_FN void PAIR(scale_along)(const X *x, const X *g, const REAL *alpha, size_t period, X *out,
                                const int put, size_t n, const REAL edge) {
    for (size_t row = 0; row < n; row += period) {
        const size_t end = n - row < period ? n - row : period;
        size_t i = 0;
        for (; i + LANES <= end; i += LANES)
            PAIR(group)(x + row + i, g + row + i, alpha + i, 1, out + row + i, put, edge, NULL,
                        NULL, NULL, GROUP_SCALE);
        if (i < end)
            PAIR(tail)(x + row + i, g + row + i, alpha + i, 1, out + row + i, end - i, put, edge,
                       NULL, NULL, NULL, GROUP_SCALE);
    }
}

static void PAIR(scale)(const void *x, const void *g, const void *alpha, size_t period, void *out,
                        size_t n, int how) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    const prelu_lanes none = {NULL, NULL, NULL};
    if (sizeof(X) == 2 && g == x) { /* the forward: widened once */
        if (period) PAIR(scale_along)(x, x, alpha, period, out, STORE, n, edge);
        else PAIR(run_loop)(x, x, alpha, out, STORE, n, edge, none, GROUP_SCALE);
    } else if (STREAMS(how)) {
        if (period) PAIR(scale_along)(x, g, alpha, period, out, STREAM, n, edge);
        else PAIR(run_loop)(x, g, alpha, out, STREAM, n, edge, none, GROUP_SCALE);
    } else {
        if (period) PAIR(scale_along)(x, g, alpha, period, out, STORE, n, edge);
        else PAIR(run_loop)(x, g, alpha, out, STORE, n, edge, none, GROUP_SCALE);
    }
}

static void PAIR(backward_run)(const void *x, const void *g, const void *alpha, void *out, size_t n,
                        int how, prelu_lanes lanes) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    if (!out) PAIR(run_loop)(x, g, alpha, out, NO_OUT, n, edge, lanes, SUMS_MODE);
    else if (STREAMS(how))
        PAIR(run_loop)(x, g, alpha, out, STREAM_APART, n, edge, lanes, SUMS_MODE);
    else PAIR(run_loop)(x, g, alpha, out, STORE, n, edge, lanes, SUMS_MODE);
}

/* One row of lanes. */
PRELU_FN void PAIR(along_row)(const X *x, const X *g, const REAL *alpha, X *out,
                              const int put, size_t n, const REAL edge, prelu_lanes lanes,
                              const int mode) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        PAIR(group)(x + i, g + i, alpha + i, 1, out + i, put, edge, lanes.sum + i,
                    lanes.correction + i, lanes.partials + i, mode);
    if (i < n)
        PAIR(tail)(x + i, g + i, alpha + i, 1, out + i, n - i, put, edge, lanes.sum + i,
                   lanes.correction + i, lanes.partials + i, mode);
}

/* Whole rows of few groups: their sums stay in registers. Returns how far it came. */
PRELU_FN size_t PAIR(along_groups)(const X *x, const X *g, const REAL *alpha, const size_t groups,
                                   X *out, const int put, size_t n, const REAL edge,
                                   prelu_lanes lanes) {
    const size_t period = groups * LANES;
    double sum[GROUPS_MOST * LANES], correction[GROUPS_MOST * LANES];
    double partials[GROUPS_MOST * LANES];
    float sizes[GROUPS_MOST * LANES];
    size_t row = 0;
    for (size_t i = 0; i < period; i++) {
        sum[i] = lanes.sum[i];
        if (WIDE) correction[i] = lanes.correction[i];
        partials[i] = lanes.partials[i];
        sizes[i] = 0;
    }
    for (; row + period <= n; row += period) {
        PRELU_UNROLL
        for (size_t i = 0; i < period; i += LANES)
            PAIR(group)(x + row + i, g + row + i, alpha + i, 1, out + row + i, put, edge, sum + i,
                        correction + i,
                        SUMS_MODE == GROUP_SHORT ? (void *)(sizes + i) : partials + i, SUMS_MODE);
    }
    for (size_t i = 0; i < period; i++) {
        if (SUMS_MODE == GROUP_SHORT)
            partials[i] += partials_most(sizes[i], row / period, lanes.sum[i]);
        lanes.sum[i] = sum[i];
        if (WIDE) lanes.correction[i] = correction[i];
        lanes.partials[i] = partials[i];
    }
    return row;
}

PRELU_FN void PAIR(along_loop)(const X *x, const X *g, const REAL *alpha, size_t period, X *out,
                               const int put, size_t n, const REAL edge, prelu_lanes lanes) {
    size_t i = 0;
    if (period == 3 * LANES)
        i = PAIR(along_groups)(x, g, alpha, 3, out, put, n, edge, lanes);
    if (period == 4 * LANES)
        i = PAIR(along_groups)(x, g, alpha, 4, out, put, n, edge, lanes);
    for (; i < n; i += period)
        PAIR(along_row)(x + i, g + i, alpha, out + i, put, n - i < period ? n - i : period,
                        edge, lanes, GROUP_SUMS);
}

static void PAIR(backward_along)(const void *x, const void *g, const void *alpha, size_t period,
                                 void *out, size_t n, int how, prelu_lanes lanes) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    if (!out) PAIR(along_loop)(x, g, alpha, period, out, NO_OUT, n, edge, lanes);
    else if (STREAMS(how)) PAIR(along_loop)(x, g, alpha, period, out, STREAM_APART, n, edge, lanes);
    else PAIR(along_loop)(x, g, alpha, period, out, STORE, n, edge, lanes);
}

/* A group in which a run ends after `left` elements and another begins. */
PRELU_FN void PAIR(between_runs)(const X *x, const X *g, const REAL alpha, const REAL next_alpha,
                                 size_t left, X *out, const int put, const REAL edge,
                                 prelu_lanes lanes, prelu_lanes next, const int mode) {
    REAL xv[LANES], gv[LANES], outv[LANES];
    double p[LANES];
    const int here = (int)left;
    PAIR(load)(x, xv);
    PAIR(load)(g, gv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const int identity = SCALAR(identity)(xv[l], edge);
        outv[l] = SCALAR(scale)(identity, gv[l], l < here ? alpha : next_alpha);
        p[l] = SCALAR(term)(identity, xv[l], gv[l]);
    }
    if (put) PAIR(store)(out, outv, put);
    for (int k = 0; k < 2 && mode != GROUP_SCALE; k++, lanes = next) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) { /* another's element adds 0, as on the identity branch */
            const int other = (l < here) == k;
            PAIR(add)(SCALAR(identity)(xv[l], edge) | other, xv[l], gv[l], other ? 0.0 : p[l],
                      lanes.sum + l, lanes.correction + l, lanes.partials + l);
        }
    }
}

PRELU_FN prelu_lanes PAIR(lanes_of)(prelu_lanes lanes, size_t alpha, const int mode) {
    const size_t lane = mode == GROUP_SCALE ? 0 : alpha * LANES; /* no step from NULL */
    return (prelu_lanes){lanes.sum + lane, lanes.correction + lane, lanes.partials + lane};
}

PRELU_FN void PAIR(runs_loop)(const X *x, const X *g, const REAL *alpha, const prelu_runs *runs,
                              X *out, const int put, size_t n, const REAL edge,
                              prelu_lanes all, const int mode) {
    size_t r = (size_t)runs->first, left = (size_t)runs->left;
    for (size_t i = 0; i < n;) {
        const size_t first = i, end = i + (left < n - i ? left : n - i) / LANES * LANES;
        const size_t next = r + 1 < (size_t)runs->alphas ? r + 1 : 0;
        const prelu_lanes lanes = PAIR(lanes_of)(all, r, mode);
        if (i < end) {
            const REAL a = alpha[r];
            double sum[LANES], correction[LANES], partials[LANES];
            float sizes[LANES] = {0};
            void *const errors = mode == GROUP_SHORT ? (void *)sizes : partials;
            if (mode != GROUP_SCALE) {
                PRELU_VECTOR
                for (int l = 0; l < LANES; l++) {
                    sum[l] = lanes.sum[l];
                    if (WIDE) correction[l] = lanes.correction[l];
                    partials[l] = lanes.partials[l];
                }
            }
            do {
                PAIR(group)(x + i, g + i, &a, 0, out + i, put, edge, sum, correction, errors,
                            mode);
                i += LANES;
            } while (i < end);
            if (mode != GROUP_SCALE) {
                PRELU_VECTOR
                for (int l = 0; l < LANES; l++) {
                    if (mode == GROUP_SHORT)
                        partials[l] += partials_most(sizes[l], (end - first) / LANES,
                                                     lanes.sum[l]);
                    lanes.sum[l] = sum[l];
                    if (WIDE) lanes.correction[l] = correction[l];
                    lanes.partials[l] = partials[l];
                }
            }
            left -= end - first;
        }
        if (left > 0 && i < n) {
            PAIR(between_runs)(x + i, g + i, alpha[r], alpha[next], left, out + i, put, edge, lanes,
                               PAIR(lanes_of)(all, next, mode), mode);
            i += LANES;
            left += (size_t)runs->length - LANES;
        } else {
            left = (size_t)runs->length;
        }
        r = next;
    }
}

static void PAIR(scale_runs)(const void *x, const void *g, const void *alpha,
                             const prelu_runs *runs, void *out, size_t n, int how) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    const prelu_lanes none = {NULL, NULL, NULL};
    if (sizeof(X) == 2 && g == x) /* the forward: widened once */
        PAIR(runs_loop)(x, x, alpha, runs, out, STORE, n, edge, none, GROUP_SCALE);
    else if (STREAMS(how))
        PAIR(runs_loop)(x, g, alpha, runs, out, STREAM, n, edge, none, GROUP_SCALE);
    else
        PAIR(runs_loop)(x, g, alpha, runs, out, STORE, n, edge, none, GROUP_SCALE);
}

static void PAIR(backward_runs)(const void *x, const void *g, const void *alpha,
                                const prelu_runs *runs, void *out, size_t n, int how,
                                prelu_lanes lanes) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    if (!out) PAIR(runs_loop)(x, g, alpha, runs, out, NO_OUT, n, edge, lanes, SUMS_MODE);
    else if (STREAMS(how))
        PAIR(runs_loop)(x, g, alpha, runs, out, STREAM_APART, n, edge, lanes, SUMS_MODE);
    else PAIR(runs_loop)(x, g, alpha, runs, out, STORE, n, edge, lanes, SUMS_MODE);
}

static void PAIR(backward_terms)(const void *x, const void *g, const void *alpha, void *out,
                                 size_t n, int how, prelu_lanes lanes) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    if (out) PAIR(along_row)(x, g, alpha, out, STORE, n, edge, lanes, GROUP_TERMS);
    else PAIR(along_row)(x, g, alpha, out, NO_OUT, n, edge, lanes, GROUP_TERMS);
}

/* ---- one alpha for each element, of x's dtype ---- */

/* One group; its terms, if `dalpha` is wanted, are rounded here. In REAL the product is rounded once
 * for float32 and float64, and exact for 16 bits but for tiny ones of bfloat16. */
PRELU_FN void PAIR(each_group)(const X *x, const X *g, const X *alpha, X *out, const int want_out,
                               X *dalpha, const int want_dalpha, const int put, const REAL edge) {
    REAL xv[LANES], gv[LANES], av[LANES], outv[LANES], term[LANES];
    PAIR(load)(x, xv);
    PAIR(load)(g, gv);
    PAIR(load)(alpha, av);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const int identity = SCALAR(identity)(xv[l], edge);
        const REAL p = SCALAR(short_term)(identity, xv[l], gv[l]);
        outv[l] = SCALAR(scale)(identity, gv[l], av[l]);
        /* an exact zero is +0, also from -1 * 0; products of 16 bits are exact but for tiny ones */
        const int zero = (xv[l] == 0) | (gv[l] == 0) | (sizeof(X) == 2);
        term[l] = zero ? p + 0 : p;
        if (BFLOAT && !WIDE) term[l] = identity ? p : tiny_rounded(p, xv[l], gv[l]);
    }
    if (want_out) PAIR(store)(out, outv, put);
    if (want_dalpha) PAIR(store)(dalpha, term, put);
}

PRELU_FN void PAIR(each_loop)(const X *x, const X *g, const X *alpha, X *out, const int want_out,
                              X *dalpha, const int want_dalpha, const int put, size_t n,
                              const REAL edge) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        PAIR(each_group)(x + i, g + i, alpha + i, out + i, want_out, dalpha + i, want_dalpha, put,
                         edge);
    if (i == n) return;
    X in[3][LANES] = {{0}}, got[2][LANES];
    const size_t m = (n - i) * sizeof *x;
    memcpy(in[0], x + i, m);
    memcpy(in[1], g + i, m);
    memcpy(in[2], alpha + i, m);
    PAIR(each_group)(in[0], in[1], in[2], got[0], want_out, got[1], want_dalpha, STORE, edge);
    if (want_out) memcpy(out + i, got[0], m);
    if (want_dalpha) memcpy(dalpha + i, got[1], m);
}

static void PAIR(scale_each)(const void *x, const void *g, const void *alpha, void *out, size_t n,
                             int how) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    if (STREAMS(how))
        PAIR(each_loop)(x, g, alpha, out, 1, NULL, 0, STREAM, n, edge);
    else if (sizeof(X) == 2 && g == x) /* the forward: widened once */
        PAIR(each_loop)(x, x, alpha, out, 1, NULL, 0, STORE, n, edge);
    else
        PAIR(each_loop)(x, g, alpha, out, 1, NULL, 0, STORE, n, edge);
}

static void PAIR(backward_each)(const void *x, const void *g, const void *alpha, void *out,
                                void *dalpha, size_t n, int how) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    if (!out) PAIR(each_loop)(x, g, alpha, NULL, 0, dalpha, 1, STORE, n, edge);
    else if (STREAMS(how))
        PAIR(each_loop)(x, g, alpha, out, 1, dalpha, 1, STREAM, n, edge);
    else PAIR(each_loop)(x, g, alpha, out, 1, dalpha, 1, STORE, n, edge);
}

#include "loops_second.h"

#undef PAIR
#undef SCALAR
#undef STREAMS
#undef SUMS_MODE
