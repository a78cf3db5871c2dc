/* Numbers of dtype X to and from the compute type, and sums to dalpha, in whole groups. Included by
 * loops_of_dtype.h. */
static void T(widen)(const void *from_, void *to_, ptrdiff_t n) {
    const X *from = from_;
    REAL *to = to_;
    for (ptrdiff_t i = 0; i < n; i += LANES) T(load)(from + i, to + i);
#if PRELU_FLOAT
    for (ptrdiff_t i = 0; i < n; i++) to[i] = to[i] == to[i] ? to[i] : (REAL)NAN;
#endif
}

#if PRELU_FLOAT
static void T(widen_double)(const void *from_, double *to, ptrdiff_t n) {
    const X *from = from_;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        REAL v[LANES];
        T(load)(from + i, v);
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) to[i + l] = v[l];
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
    for (ptrdiff_t i = 0; i < n; i += LANES) T(narrow_group)(from + i, to + i);
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
static ptrdiff_t T(round)(const prelu_sums *sums, ptrdiff_t n, double tiny, void *to,
                          ptrdiff_t *undecided) {
    ptrdiff_t found = 0;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const double *high = sums->part[SUM] + i, *bound = sums->part[BOUND] + i;
        const double *low = sums->part[LOW] + i;
        double ends[2][LANES];
        int apart = 0;
        X *const below = (X *)to + i, above[LANES];
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const double slack = (fabs(low[l]) + (WIDE ? 0.0 : fabs(high[l]))) * 0x1p-51;
            const double error = bound[l] * ((1 + 0x1p-20) / UNITS) + tiny, sum = high[l] + low[l];
            const double odd = to_odd(sum, two_sum_error(high[l], low[l], sum));
            const double exact = WIDE ? sum : odd;
            const double least = high[l] + (low[l] - (error + slack));
            const double most = high[l] + (low[l] + (error + slack));
            ends[0][l] = error == 0 ? exact : bound[l] <= DBL_MAX ? least : 0;
            ends[1][l] = error == 0 ? exact : bound[l] <= DBL_MAX ? most : 1;
            apart |= !(ends[0][l] == ends[1][l]);
        }
        T(narrow_group)(ends[0], below);
        if (!apart) continue;
        T(narrow_group)(ends[1], above);
        if (memcmp(below, above, sizeof above) == 0) continue;
        for (int l = 0; l < LANES && i + l < n; l++)
            if (memcmp(below + l, above + l, sizeof(X)) != 0) undecided[found++] = i + l;
    }
    return found;
}
#endif
