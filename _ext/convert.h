/* Numbers of dtype X to and from the compute type, and sums to dalpha. Included by loops_of_dtype.h. */
static void T(widen)(const void *from_, void *to_, ptrdiff_t n) {
    const X *from = from_;
    REAL *to = to_;
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) T(load)(from + i, to + i);
    if (i < n) {
        X in[LANES] = {0};
        REAL out[LANES];
        memcpy(in, from + i, (size_t)(n - i) * sizeof *from);
        T(load)(in, out);
        memcpy(to + i, out, (size_t)(n - i) * sizeof *to);
    }
#if PRELU_FLOAT
    for (i = 0; i < n; i++) to[i] = to[i] == to[i] ? to[i] : (REAL)NAN;
#endif
}

#if PRELU_FLOAT
static void T(widen_double)(const void *from_, double *to, ptrdiff_t n) {
    REAL v[LANES];
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t m = n - i < LANES ? n - i : LANES;
        T(widen)((const X *)from_ + i, v, m);
        for (ptrdiff_t l = 0; l < m; l++) to[i + l] = v[l];
    }
}

PRELU_FN void T(narrow_group)(const double *from, X *to) {
    REAL v[LANES];
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++)
        v[l] = SHORT ? (REAL)double_to_float_odd(any_nan(from[l])) : (REAL)from[l];
    T(store)(to, v);
}

static void T(narrow)(const double *from, void *to_, ptrdiff_t n) {
    X *to = to_;
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) T(narrow_group)(from + i, to + i);
    if (i == n) return;
    double in[LANES] = {0};
    X out[LANES];
    memcpy(in, from + i, (size_t)(n - i) * sizeof *from);
    T(narrow_group)(in, out);
    memcpy(to + i, out, (size_t)(n - i) * sizeof *to);
}

PRELU_FN void T(add_quick)(const prelu_sums *to, ptrdiff_t step, const prelu_sums *lanes,
                           ptrdiff_t first, ptrdiff_t n, ptrdiff_t adds, const int job) {
    const double *s = lanes->part[SUM] + first, *b = lanes->part[BOUND] + first;
    const double *l = lanes->part[LOW] + first;
    const float *size = (const float *)lanes->part[BOUND] + first;
    const double factor = bound_of_size(adds);
    const prelu_sums sums = *to;
    if (step) {
        PRELU_VECTOR
        for (ptrdiff_t i = 0; i < n; i++)
            quick_sum_add(&sums, i, s[i], SIZES(job) ? size[i] * factor : b[i], WIDE ? l[i] : 0.0,
                          job == CAREFUL);
    } else if (WIDE || job == CAREFUL) {
        for (ptrdiff_t i = 0; i < n; i++)
            quick_sum_add(&sums, 0, s[i], b[i], WIDE ? l[i] : 0.0, job == CAREFUL);
    } else {
        double sum = 0, bound = 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            sum += s[i];
            bound += (SIZES(job) ? size[i] * factor : b[i]) + fabs(sum);
        }
        quick_sum_add(&sums, 0, sum, bound, 0, 0);
    }
}

static void T(add)(const prelu_sums *to, ptrdiff_t step, const prelu_sums *lanes, ptrdiff_t first,
                   ptrdiff_t n, ptrdiff_t adds, int job) {
    for (int k = 0; k < LEVELS && job == EXACT; k++) {
        double *const part[PARTS] = {to->part[0], to->part[1], to->part[2], to->part[3]};
        const double *from = lanes->part[k] + first;
        int any = 0;
        for (ptrdiff_t i = 0; i < n; i++) any |= from[i] != 0;
        if (!any) continue;
        if (step) {
            PRELU_VECTOR
            for (ptrdiff_t i = 0; i < n; i++) exact_sum_add(part, i, from[i], k, PARTS);
        }
        for (ptrdiff_t i = 0; i < n && !step; i++) exact_sum_add(part, 0, from[i], k, PARTS);
    }
    if (job == CAREFUL) T(add_quick)(to, step, lanes, first, n, adds, CAREFUL);
    else if (job != EXACT) T(add_quick)(to, step, lanes, first, n, adds, SUMS);
}

/* With alphas narrower than double each end must also lie more than a unit of the sum beyond it:
 * else narrow(), where it is a second rounding, could round it to a tie from the wrong side. */
PRELU_FN void T(round_group)(const double *high, const double *bound, const double *low,
                             double tiny, X *below, X *above, double *doubt) {
    double ends[2][LANES];
    int inexact = 0;
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const double slack = (fabs(low[l]) + (WIDE ? 0.0 : fabs(high[l]))) * 0x1p-51;
        const double error = bound[l] * ((1 + 0x1p-20) / UNITS) + tiny, sum = high[l] + low[l];
        const double odd = to_odd(sum, two_sum_error(high[l], low[l], sum));
        const double exact = WIDE ? sum : odd;
        ends[0][l] = error == 0 ? exact : high[l] + (low[l] - (error + slack));
        ends[1][l] = error == 0 ? exact : high[l] + (low[l] + (error + slack));
        doubt[l] = bound[l] <= DBL_MAX ? doubt[l] : 1;
        inexact |= !(error == 0);
    }
    T(narrow_group)(ends[0], below);
    if (inexact) T(narrow_group)(ends[1], above);
    else memcpy(above, below, LANES * sizeof(X));
}

static int T(round)(const prelu_sums *sums, ptrdiff_t n, double tiny, void *below_, void *above_) {
    const double *high = sums->part[SUM], *bound = sums->part[BOUND], *low = sums->part[LOW];
    X *below = below_, *above = above_;
    double doubt[LANES] = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        T(round_group)(high + i, bound + i, low + i, tiny, below + i, above + i, doubt);
    if (i < n) {
        double in[3][LANES] = {{0}};
        X both[2][LANES];
        for (int k = 0; k < 3; k++)
            memcpy(in[k], sums->part[k] + i, (size_t)(n - i) * sizeof(double));
        T(round_group)(in[SUM], in[BOUND], in[LOW], tiny, both[0], both[1], doubt);
        memcpy(below + i, both[0], (size_t)(n - i) * sizeof(X));
        memcpy(above + i, both[1], (size_t)(n - i) * sizeof(X));
    }
    for (int l = 1; l < LANES; l++) doubt[0] += doubt[l];
    return doubt[0] == 0 && memcmp(below, above, (size_t)n * sizeof(X)) == 0;
}
#endif
