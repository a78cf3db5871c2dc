/* The second order: included by loops_of_pair.h for each pair, whose names it uses. */

/* One group of a prelu_second, with typed pointers. `wide` has its alphas and, WIDE_MOST further,
 * its alpha_dots. `along`, `put`, `mode` and `slow` are constants in the callers that count. Where
 * the quick sums are in doubt `doubts` is 1. */
PRELU_FN void PAIR(second_group)(const X *x, const X *u, const X *dy, const REAL *alpha,
                                 const REAL *alpha_dot, const double *wide, const int along,
                                 X *out, X *of_x, const int put, X *first, X *second,
                                 double *sum, double *correction, double *partials,
                                 const int mode, const REAL edge, const int slow,
                                 REAL *doubts) {
    REAL xv[LANES], uv[LANES], dyv[LANES], outv[LANES], of_xv[LANES];
    NATIVE firstv[LANES], secondv[LANES];
    PAIR(load)(x, xv);
    PAIR(load)(u, uv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const double a = along == ALPHA_WIDE ? wide[l] : alpha[along ? l : 0];
        const double a_dot = along == ALPHA_WIDE ? wide[WIDE_MOST + l] : alpha_dot[along ? l : 0];
        const int identity = SCALAR(identity)(xv[l], edge);
        if (slow) {
            outv[l] = JOIN3(prelu_jvp, slow, REAL)(identity, xv[l], a, uv[l], a_dot);
        } else {
            outv[l] = SCALAR(jvp)(identity, xv[l], a, uv[l], a_dot);
            doubts[l] = JOIN2(dot_in_doubt, REAL)(a, uv[l], a_dot, xv[l]) ? 1 : doubts[l];
        }
    }
    PAIR(store)(out, outv, put);
    if (mode == SECOND_JVP) return;
    PAIR(load)(dy, dyv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const int identity = SCALAR(identity)(xv[l], edge);
        of_xv[l] = SCALAR(short_term)(identity, alpha_dot[along ? l : 0], dyv[l]);
        /* u * dy with a first factor that is positive on the identity branch and only there */
        const REAL minus = uv[l] > 0 ? -uv[l] : uv[l];
        firstv[l] = (NATIVE)(identity ? 1 : minus);
        secondv[l] = (NATIVE)(uv[l] > 0 ? -dyv[l] : dyv[l]);
    }
    PAIR(store)(of_x, of_xv, put);
    if (mode == SECOND_SUMS) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = SCALAR(identity)(xv[l], edge);
            PAIR(add)(identity, uv[l], dyv[l], SCALAR(term)(identity, uv[l], dyv[l]), sum + l,
                      correction + l, partials + l);
        }
        return;
    }
    JOIN2(store, X)(first, firstv);
    JOIN2(store, X)(second, secondv);
}

/* The first or last, short group: through buffers filled up with the last element, that doubts no
 * more. Its dy is 0, which adds +0 to a sum of finite numbers; others are summed exactly. */
PRELU_ASIDE void PAIR(second_tail)(const X *x, const X *u, const X *dy, const REAL *alpha,
                                   const REAL *alpha_dot, int along, X *out, X *of_x, X *first,
                                   X *second, size_t m, double *sum, double *correction,
                                   double *partials, int mode, REAL edge, int slow, REAL *doubts) {
    X in[3][LANES], got[4][LANES];
    REAL alphas[2][LANES];
    for (size_t l = 0; l < LANES; l++) {
        const size_t k = l < m ? l : m - 1;
        in[0][l] = x[k];
        in[1][l] = u[k];
        in[2][l] = mode != SECOND_JVP && l < m ? dy[k] : 0;
        alphas[0][l] = alpha[along ? k : 0];
        alphas[1][l] = alpha_dot[along ? k : 0];
    }
    PAIR(second_group)(in[0], in[1], in[2], alphas[0], alphas[1], NULL, ALPHA_ALONG, got[0], got[1],
                       STORE, got[2], got[3], sum, correction, partials, mode, edge, slow, doubts);
    memcpy(out, got[0], m * sizeof *out);
    if (mode == SECOND_JVP) return;
    memcpy(of_x, got[1], m * sizeof *of_x);
    if (mode == SECOND_SUMS) return;
    memcpy(first, got[2], m * sizeof *first);
    memcpy(second, got[3], m * sizeof *second);
}

/* m elements from i on: a group, or less. Its alphas, and its sums in `to`, begin at `lane`. */
PRELU_FN void PAIR(second_some)(const prelu_second *c, const int along, const int put,
                                const int mode, size_t i, size_t lane, const double *wide,
                                const size_t m, prelu_lanes to, const REAL edge,
                                const int slow, REAL *doubts) {
    const size_t dy_i = mode == SECOND_JVP ? 0 : i, factor_i = mode == SECOND_FACTORS ? i : 0;
    const size_t sum_i = mode == SECOND_SUMS ? lane : 0; /* no step from NULL */
    const X *x = (const X *)c->x + i, *u = (const X *)c->u + i, *dy = (const X *)c->dy + dy_i;
    const REAL *alpha = (const REAL *)c->alpha + lane, *dot = (const REAL *)c->alpha_dot + lane;
    X *out = (X *)c->out + i, *of_x = (X *)c->of_x + dy_i;
    X *first = (X *)c->factor[0] + factor_i, *second = (X *)c->factor[1] + factor_i;
    double *sum = to.sum + sum_i, *correction = to.correction + sum_i;
    double *partials = to.partials + sum_i;
    if (m == LANES)
        PAIR(second_group)(x, u, dy, alpha, dot, wide + lane, along, out, of_x, put, first, second,
                           sum, correction, partials, mode, edge, slow, doubts);
    else
        PAIR(second_tail)(x, u, dy, alpha, dot, along, out, of_x, first, second, m, sum,
                          correction, partials, mode, edge, slow, doubts);
}

/* Returns whether a sum of two products is in doubt. */
PRELU_FN int PAIR(second_rows)(const prelu_second *given, const int along, const int put,
                               const int mode, size_t period, size_t n, const REAL edge,
                               const int slow) {
    prelu_second c = *given; /* not read again after each store */
    const REAL one = *(const REAL *)c.alpha, one_dot = *(const REAL *)c.alpha_dot;
    REAL doubts[LANES] = {0};
    double sum[LANES] = {0}, correction[LANES] = {0}, partials[LANES] = {0};
    const prelu_lanes of_run = {sum, correction, partials}, to = along ? c.lanes : of_run;
    double wide[2 * WIDE_MOST];
    if (!along) {
        c.alpha = &one;
        c.alpha_dot = &one_dot;
    }
    for (size_t i = 0; i < period && along == ALPHA_WIDE; i++) {
        wide[i] = ((const REAL *)c.alpha)[i];
        wide[WIDE_MOST + i] = ((const REAL *)c.alpha_dot)[i];
    }
    for (size_t row = 0; row < n; row += period) {
        const size_t end = n - row < period ? n : row + period;
        size_t i = row;
        if (!along && (i = PAIR(ahead)(c.x, c.out, put, n)) > 0)
            PAIR(second_some)(&c, ALPHA_ONE, put, mode, 0, 0, wide, i, to, edge, slow, doubts);
        for (; i + LANES <= end; i += LANES)
            PAIR(second_some)(&c, along, put, mode, i, along ? i - row : 0, wide, LANES, to, edge,
                              slow, doubts);
        if (i < end)
            PAIR(second_some)(&c, along, put, mode, i, along ? i - row : 0, wide, end - i, to,
                              edge, slow, doubts);
    }
    if (mode == SECOND_SUMS && !along) add_lanes(sum, correction, partials, c.lanes);
    for (int l = 1; l < LANES; l++) doubts[0] += doubts[l];
    return doubts[0] > 0;
}

PRELU_FN int PAIR(second_quick)(const prelu_second *c, const int along, const int put,
                                size_t period, size_t n, const REAL edge) {
    if (!c->dy) return PAIR(second_rows)(c, along, put, SECOND_JVP, period, n, edge, 0);
    if (c->lanes.sum) return PAIR(second_rows)(c, along, put, SECOND_SUMS, period, n, edge, 0);
    return PAIR(second_rows)(c, along, STORE, SECOND_FACTORS, period, n, edge, 0);
}

static void PAIR(second_order)(const prelu_second *c, size_t period, size_t n, int how) {
    const REAL edge = JOIN2(edge, REAL)[how & AT_ONE];
    const int rows_share = period <= WIDE_MOST && n >= WIDE_ROWS * period;
    const int wide = rows_share && sizeof(REAL) < sizeof(double);
    int doubtful;
    if (!period && STREAMS(how))
        doubtful = PAIR(second_quick)(c, ALPHA_ONE, STREAM, n, n, edge);
    else if (!period)
        doubtful = PAIR(second_quick)(c, ALPHA_ONE, STORE, n, n, edge);
    else if (wide && STREAMS(how))
        doubtful = PAIR(second_quick)(c, ALPHA_WIDE, STREAM, period, n, edge);
    else if (wide)
        doubtful = PAIR(second_quick)(c, ALPHA_WIDE, STORE, period, n, edge);
    else if (STREAMS(how))
        doubtful = PAIR(second_quick)(c, ALPHA_ALONG, STREAM, period, n, edge);
    else
        doubtful = PAIR(second_quick)(c, ALPHA_ALONG, STORE, period, n, edge);
    if (!doubtful) return;
    if (period) PAIR(second_rows)(c, ALPHA_ALONG, STORE, SECOND_JVP, period, n, edge, 1);
    else PAIR(second_rows)(c, ALPHA_ONE, STORE, SECOND_JVP, n, n, edge, 1);
}
