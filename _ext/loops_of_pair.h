/* The loops for x of dtype X, computed in REAL; WIDE is 1 where alpha, so dalpha, is float64.
 * Letters as everywhere; g is x in the forward and dy in the backward. */
#define PAIR(name) JOIN3(name, X, WIDE)
#define SCALAR(name) JOIN3(prelu, name, REAL)

PRELU_FN void PAIR(load)(const X *p, REAL *v) {
    NATIVE native[LANES];
    JOIN2(load, X)(p, native);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) v[l] = native[l];
}

PRELU_FN void PAIR(store)(X *p, const REAL *v) {
    NATIVE native[LANES];
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++)
        native[l] = sizeof(REAL) > 4 && sizeof(X) == 2 ? (NATIVE)double_to_float_odd(v[l])
                                                       : (NATIVE)v[l];
    JOIN2(store, X)(p, native);
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
}

/* One group. `along`, `want_out` and `mode` are constants in every caller. */
PRELU_FN void PAIR(group)(const X *x, const X *g, const REAL *alpha, const int along, X *out,
                          const int want_out, const REAL edge, double *sum, double *correction,
                          double *partials, const int mode) {
    REAL xv[LANES], gv[LANES], outv[LANES];
    PAIR(load)(x, xv);
    PAIR(load)(g, gv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const int identity = SCALAR(identity)(xv[l], edge);
        if (want_out) outv[l] = SCALAR(scale)(identity, gv[l], alpha[along ? l : 0]);
        if (mode == GROUP_SCALE) continue;
        const double p = sizeof(X) == 2 && sizeof(REAL) == 4 && mode == GROUP_SUMS
                             ? SCALAR(short_term)(identity, xv[l], gv[l])
                             : SCALAR(term)(identity, xv[l], gv[l]);
        if (mode == GROUP_TERMS) {
            /* an exact zero is +0, also from -1 * 0 */
            const int zero = (xv[l] == 0) | (gv[l] == 0) | (sizeof(X) < 8);
            sum[l] = zero ? p + 0.0 : p;
            if (sizeof(X) == 8) correction[l] = identity ? 0.0 : fma(xv[l], gv[l], -p);
            continue;
        }
        if (WIDE) { /* two-sum, and the error of the product where it has one */
            const double s = sum[l] + p, z = s - sum[l];
            double error = (sum[l] - (s - z)) + (p - z);
            if (sizeof(X) == 8) error += identity ? 0.0 : fma(xv[l], gv[l], -p);
            correction[l] += error;
            sum[l] = s;
        } else {
            sum[l] += p;
        }
        partials[l] += fabs(sum[l]);
    }
    if (want_out) PAIR(store)(out, outv);
}

/* The last, short group: through buffers filled up with zeros, which add +0 to a sum. */
PRELU_FN void PAIR(tail)(const X *x, const X *g, const REAL *alpha, const int along, X *out,
                         size_t m, const int want_out, const REAL edge, double *sum,
                         double *correction, double *partials, const int mode) {
    X xt[LANES] = {0}, gt[LANES] = {0}, outt[LANES];
    REAL at[LANES] = {0};
    memcpy(xt, x, m * sizeof *x);
    memcpy(gt, g, m * sizeof *g);
    memcpy(at, alpha, (along ? m : 1) * sizeof *alpha);
    PAIR(group)(xt, gt, at, along, outt, want_out, edge, sum, correction, partials, mode);
    if (want_out) memcpy(out, outt, m * sizeof *out);
}

static void PAIR(scale)(const void *x_, const void *g_, const void *alpha_, size_t period,
                        void *out_, size_t n, int at_one) {
    const REAL edge = JOIN2(edge, REAL)[at_one], *alpha = alpha_;
    const X *x = x_, *g = g_;
    X *out = out_;
    if (period == 0) {
        size_t i = 0;
        for (; i + LANES <= n; i += LANES)
            PAIR(group)(x + i, g + i, alpha, 0, out + i, 1, edge, NULL, NULL, NULL,
                        GROUP_SCALE);
        if (i < n) PAIR(tail)(x + i, g + i, alpha, 0, out + i, n - i, 1, edge, NULL, NULL, NULL,
                        GROUP_SCALE);
        return;
    }
    for (size_t row = 0; row < n; row += period) {
        const size_t end = n - row < period ? n - row : period;
        size_t i = 0;
        for (; i + LANES <= end; i += LANES)
            PAIR(group)(x + row + i, g + row + i, alpha + i, 1, out + row + i, 1, edge, NULL, NULL,
                        NULL, GROUP_SCALE);
        if (i < end)
            PAIR(tail)(x + row + i, g + row + i, alpha + i, 1, out + row + i, end - i, 1, edge,
                       NULL, NULL, NULL, GROUP_SCALE);
    }
}

PRELU_FN void PAIR(run_loop)(const X *x, const X *g, const REAL *alpha, X *out, const int want_out,
                             size_t n, const REAL edge, prelu_lanes lanes) {
    double sum[LANES] = {0}, correction[LANES] = {0}, partials[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        PAIR(group)(x + i, g + i, alpha, 0, out + i, want_out, edge, sum, correction, partials,
                    GROUP_SUMS);
    if (i < n)
        PAIR(tail)(x + i, g + i, alpha, 0, out + i, n - i, want_out, edge, sum, correction,
                   partials, GROUP_SUMS);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) {
            const double s = sum[l] + sum[l + half], z = s - sum[l];
            correction[l] += correction[l + half] + ((sum[l] - (s - z)) + (sum[l + half] - z));
            sum[l] = s;
            partials[l] += partials[l + half];
        }
    *lanes.sum = sum[0];
    *lanes.correction = correction[0];
    *lanes.partials = partials[0];
}

static void PAIR(backward_run)(const void *x, const void *g, const void *alpha, void *out, size_t n,
                        int at_one, prelu_lanes lanes) {
    const REAL edge = JOIN2(edge, REAL)[at_one];
    if (out) PAIR(run_loop)(x, g, alpha, out, 1, n, edge, lanes);
    else PAIR(run_loop)(x, g, alpha, out, 0, n, edge, lanes);
}

/* One row of lanes. */
PRELU_FN void PAIR(along_row)(const X *x, const X *g, const REAL *alpha, X *out,
                              const int want_out, size_t n, const REAL edge, prelu_lanes lanes,
                              const int mode) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        PAIR(group)(x + i, g + i, alpha + i, 1, out + i, want_out, edge, lanes.sum + i,
                    lanes.correction + i, lanes.partials + i, mode);
    if (i < n)
        PAIR(tail)(x + i, g + i, alpha + i, 1, out + i, n - i, want_out, edge, lanes.sum + i,
                   lanes.correction + i, lanes.partials + i, mode);
}

/* Whole rows of few groups: their sums stay in registers. Returns how far it came. */
PRELU_FN size_t PAIR(along_groups)(const X *x, const X *g, const REAL *alpha, const size_t groups,
                                   X *out, const int want_out, size_t n, const REAL edge,
                                   prelu_lanes lanes) {
    const size_t period = groups * LANES;
    double sum[GROUPS_MOST * LANES], correction[GROUPS_MOST * LANES];
    double partials[GROUPS_MOST * LANES];
    size_t row = 0;
    for (size_t i = 0; i < period; i++) {
        sum[i] = lanes.sum[i];
        correction[i] = lanes.correction[i];
        partials[i] = lanes.partials[i];
    }
    for (; row + period <= n; row += period) {
        PRELU_UNROLL
        for (size_t i = 0; i < period; i += LANES)
            PAIR(group)(x + row + i, g + row + i, alpha + i, 1, out + row + i, want_out, edge,
                        sum + i, correction + i, partials + i, GROUP_SUMS);
    }
    for (size_t i = 0; i < period; i++) {
        lanes.sum[i] = sum[i];
        lanes.correction[i] = correction[i];
        lanes.partials[i] = partials[i];
    }
    return row;
}

PRELU_FN void PAIR(along_loop)(const X *x, const X *g, const REAL *alpha, size_t period, X *out,
                               const int want_out, size_t n, const REAL edge, prelu_lanes lanes) {
    size_t i = 0;
    if (period == 3 * LANES)
        i = PAIR(along_groups)(x, g, alpha, 3, out, want_out, n, edge, lanes);
    if (period == 4 * LANES)
        i = PAIR(along_groups)(x, g, alpha, 4, out, want_out, n, edge, lanes);
    for (; i < n; i += period)
        PAIR(along_row)(x + i, g + i, alpha, out + i, want_out, n - i < period ? n - i : period,
                        edge, lanes, GROUP_SUMS);
}

static void PAIR(backward_along)(const void *x, const void *g, const void *alpha, size_t period,
                                 void *out, size_t n, int at_one, prelu_lanes lanes) {
    const REAL edge = JOIN2(edge, REAL)[at_one];
    if (out) PAIR(along_loop)(x, g, alpha, period, out, 1, n, edge, lanes);
    else PAIR(along_loop)(x, g, alpha, period, out, 0, n, edge, lanes);
}

static void PAIR(backward_terms)(const void *x, const void *g, const void *alpha, void *out,
                                 size_t n, int at_one, prelu_lanes lanes) {
    const REAL edge = JOIN2(edge, REAL)[at_one];
    if (out) PAIR(along_row)(x, g, alpha, out, 1, n, edge, lanes, GROUP_TERMS);
    else PAIR(along_row)(x, g, alpha, out, 0, n, edge, lanes, GROUP_TERMS);
}

/* ---- the second order ---- */

/* One group of a prelu_second, with typed pointers. `along` and `whole`, which is to say with dy,
 * are constants in every caller. */
PRELU_FN void PAIR(second_group)(const X *x, const X *u, const X *dy, const REAL *alpha,
                                 const REAL *alpha_dot, const int along, X *out, X *of_x,
                                 X *const factor[2], const int whole, const REAL edge) {
    REAL xv[LANES], uv[LANES], outv[LANES];
    PAIR(load)(x, xv);
    PAIR(load)(u, uv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++)
        outv[l] = SCALAR(jvp)(SCALAR(identity)(xv[l], edge), xv[l], alpha[along ? l : 0], uv[l],
                              alpha_dot[along ? l : 0]);
    if (sizeof(REAL) == 8) {
        double doubt[LANES], any = 0;
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int in_doubt =
                dot_in_doubt(alpha[along ? l : 0], uv[l], alpha_dot[along ? l : 0], xv[l]);
            doubt[l] = SCALAR(identity)(xv[l], edge) ? 0.0 : in_doubt ? 1.0 : 0.0;
        }
        for (int l = 0; l < LANES; l++) any += doubt[l];
        for (int l = 0; any > 0 && l < LANES; l++)
            if (doubt[l] > 0)
                outv[l] = (REAL)dot_exact(alpha[along ? l : 0], uv[l], alpha_dot[along ? l : 0],
                                          xv[l]);
    }
    PAIR(store)(out, outv);
    if (!whole) return;
    REAL dyv[LANES], of_xv[LANES];
    NATIVE first[LANES], second[LANES];
    PAIR(load)(dy, dyv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const int identity = SCALAR(identity)(xv[l], edge);
        of_xv[l] = SCALAR(short_term)(identity, alpha_dot[along ? l : 0], dyv[l]);
        /* u * dy with a first factor that is positive on the identity branch and nowhere else */
        const REAL minus = uv[l] > 0 ? -uv[l] : uv[l];
        first[l] = (NATIVE)(identity ? 1 : minus);
        second[l] = (NATIVE)(uv[l] > 0 ? -dyv[l] : dyv[l]);
    }
    PAIR(store)(of_x, of_xv);
    JOIN2(store, X)(factor[0], first);
    JOIN2(store, X)(factor[1], second);
}

PRELU_FN void PAIR(second_loop)(const prelu_second *c, size_t first, size_t end, const int along,
                                const int whole, const REAL edge) {
    const X *x = c->x, *u = c->u, *dy = c->dy;
    const REAL *alpha = c->alpha, *alpha_dot = c->alpha_dot;
    X *out = c->out, *of_x = c->of_x, *const factor[2] = {c->factor[0], c->factor[1]};
    size_t i = first;
    for (; i + LANES <= end; i += LANES) {
        const size_t lane = along ? i - first : 0, at = whole ? i : 0;
        X *const to[2] = {factor[0] + at, factor[1] + at};
        PAIR(second_group)(x + i, u + i, dy + at, alpha + lane, alpha_dot + lane, along, out + i,
                           of_x + at, to, whole, edge);
    }
    if (i == end) return;
    const size_t lane = along ? i - first : 0, m = (end - i) * sizeof *x;
    X in[3][LANES] = {{0}}, got[4][LANES];
    REAL lanes[2][LANES] = {{0}};
    memcpy(in[0], x + i, m);
    memcpy(in[1], u + i, m);
    if (whole) memcpy(in[2], dy + i, m);
    memcpy(lanes[0], alpha + lane, (along ? end - i : 1) * sizeof *alpha);
    memcpy(lanes[1], alpha_dot + lane, (along ? end - i : 1) * sizeof *alpha);
    X *const to[2] = {got[2], got[3]};
    PAIR(second_group)(in[0], in[1], in[2], lanes[0], lanes[1], along, got[0], got[1], to, whole,
                       edge);
    memcpy(out + i, got[0], m);
    if (!whole) return;
    memcpy(of_x + i, got[1], m);
    memcpy(factor[0] + i, got[2], m);
    memcpy(factor[1] + i, got[3], m);
}

PRELU_FN void PAIR(second_rows)(const prelu_second *c, size_t period, size_t n, const int along,
                                const int whole, const REAL edge) {
    for (size_t row = 0; row < n; row += period)
        PAIR(second_loop)(c, row, n - row < period ? n : row + period, along, whole, edge);
}

static void PAIR(second_order)(const prelu_second *c, size_t period, size_t n, int at_one) {
    const REAL edge = JOIN2(edge, REAL)[at_one];
    if (period && c->dy) PAIR(second_rows)(c, period, n, 1, 1, edge);
    else if (period) PAIR(second_rows)(c, period, n, 1, 0, edge);
    else if (c->dy) PAIR(second_loop)(c, 0, n, 0, 1, edge);
    else PAIR(second_loop)(c, 0, n, 0, 0, edge);
}

#undef PAIR
#undef SCALAR
