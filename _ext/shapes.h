/* The two shapes of loops over groups of dtype X. Included by loops_of_dtype.h.
 *
 * Design:
 * (a) A segment's accumulators stay in registers, and are added to its alpha's when it ends.
 * (b) Groups begin at cache lines if stores are non-temporal, otherwise at each segment. The first and
 *     the last group of a tile or segment are computed whole, and only their own elements count. A
 *     line that two segments share is computed for each and stored once.
 * (c) Accumulators of lanes are in memory; they are loaded and stored once for several rows, or, for a
 *     period of three or four groups, once for all rows.
 */
/* ---- segments ---- */

/* Adds the upper `half` of 2 * half lanes to the lower one. */
PRELU_FN void T(fold)(T(sums) *s, const int half, const int job) {
    double *const part[PARTS] = {s->part[0], s->part[1], s->part[2], s->part[3]};
    PRELU_IN_MEMORY(s->part);
    for (int k = LEVELS - 1; k >= 0 && job == EXACT; k--) {
        double term[LANES / 2];
        int lost = 1;
        for (int l = 0; l < half; l++) term[l] = part[k][l + half];
        for (int level = k; level < LEVELS && lost; level++) { /* mostly the last ones add zeros */
            PRELU_VECTOR
            for (int l = 0; l < half; l++) {
                const double sum = part[level][l] + term[l];
                term[l] = two_sum_error(part[level][l], term[l], sum);
                part[level][l] = sum;
            }
            PRELU_IN_MEMORY(term);
            lost = 0;
            for (int l = 0; l < half; l++) lost |= !(term[l] == 0);
        }
        for (int l = 0; l < half && lost; l++) part[LEVELS - 1][l] = NAN;
    }
    PRELU_VECTOR
    for (int l = 0; l < half && job != EXACT; l++) {
        const double a = part[SUM][l], b = part[SUM][l + half], both = a + b;
        const double bound = part[BOUND][l] + part[BOUND][l + half];
        if (WIDE) {
            const low_sum low = low_sum_of(part[LOW][l], part[LOW][l + half],
                                           two_sum_error(a, b, both), job == CAREFUL);
            part[LOW][l] = low.sum;
            part[BOUND][l] = bound + low.bound;
        } else {
            part[BOUND][l] = bound + fabs(both);
        }
        part[SUM][l] = both;
    }
}

/* Adds a group of lanes, of at most GROUP_ADDS_MOST terms each, to alpha number i. */
PRELU_FN void T(end_segment)(const T(sums) *lanes, const prelu_sums *to, ptrdiff_t i,
                             const int job) {
    T(sums) s;
    T(set)(&s, lanes, job);
    if (SIZES(job)) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            s.part[BOUND][l] = s.size[l] * bound_of_size(GROUP_ADDS_MOST);
    }
    T(fold)(&s, 8, job);
    T(fold)(&s, 4, job);
    T(fold)(&s, 2, job);
    T(fold)(&s, 1, job);
    if (job != EXACT)
        quick_sum_add(to, i, s.part[SUM][0], s.part[BOUND][0], WIDE ? s.part[LOW][0] : 0.0,
                      job == CAREFUL);
    for (int k = 0; k < LEVELS && job == EXACT; k++)
        exact_sum_add(to->part, i, s.part[k][0], k, PARTS);
}

/* n is at least LANES, and so is a segment. */
PRELU_FN int T(segments_loop)(const prelu_tile *given, const int put, const int job) {
    const prelu_tile own = *given, *const t = &own; /* not read again after each store */
    const REAL *const alpha = IS_EACH(job) ? NULL : t->alpha;
    const REAL *const dot = SECOND(job) ? t->alpha_dot : alpha;
    const REAL edge = T(edge)(t);
    const ptrdiff_t length = t->length;
    T(sums) s; /* in registers: its address is nobody else's */
    X line[2][LANES];
    T(start)(&s, t, job);
    for (ptrdiff_t start = 0, r = 0; start < t->n; start += length) {
        const ptrdiff_t stop = start + length;
        const ptrdiff_t lower = put == STREAM ? 0 : start, upper = put == STREAM ? t->n : stop;
        const X *const x = (const X *)t->at[TILE_X] + lower;
        const ptrdiff_t origin =
            lower + T(ahead)(x, put ? (X *)t->at[TILE_OUT] + lower : x, put, upper - lower);
        const REAL one = IS_EACH(job) ? 0 : alpha[r], one_dot = IS_EACH(job) ? 0 : dot[r];
        for (ptrdiff_t i = start, m; i < stop; i += m) {
            m = stop - i;
            if (i >= origin && m >= LANES && (i - origin) % LANES == 0) {
                m = (m < ADDS_MOST * LANES ? m : ADDS_MOST * LANES) / LANES * LANES;
                for (ptrdiff_t j = i; j < i + m; j += LANES)
                    T(group)(T(operands_at)(t, j, 0, put, job), &one, &one_dot, 0, put, edge, 0,
                             LANES, &s, job);
            } else {
                ptrdiff_t at = i < origin ? lower : i - (i - origin) % LANES, end = at + LANES;
                const int whole = put == STREAM && i >= origin && end <= upper;
                if (i < origin) end = origin;
                else if (!whole) end = upper, at = end - LANES;
                if (end < stop) m = end - i;
                T(part_of_group)(T(operands_at)(t, at, 0, put, job), &one, &one_dot, 0,
                                 (int)(i - at), (int)(i + m - at), put, edge, &s, job,
                                 whole ? line : NULL);
            }
            if (SUMMING(job) && (m == ADDS_MOST * LANES || i + m == stop)) {
                T(end_segment)(&s, &t->sums, r, job);
                T(set)(&s, NULL, job);
            }
        }
        r = r + 1 < t->alphas ? r + 1 : 0;
    }
    return T(any_undecided)(&s, job);
}

/* ---- lanes ---- */

/* A few groups of lanes and the same ones of further rows: their sums stay in registers. */
PRELU_FN void T(lanes_block)(const prelu_tile *t, ptrdiff_t i, ptrdiff_t lane, const int groups,
                             const ptrdiff_t rows, const int put, const REAL edge, T(sums) *whole,
                             const int job) {
    const REAL *const alpha = t->alpha, *const dot = SECOND(job) ? t->alpha_dot : t->alpha;
    T(sums) s[GROUPS_MOST]; /* whose address is nobody else's */
    ptrdiff_t from[GROUPS_MOST], r = 0;
    for (int k = 0; k < groups; k++) {
        T(start)(s + k, t, job);
        from[k] = lane + k * LANES < t->period ? lane + k * LANES : lane + k * LANES - t->period;
        T(move)(s + k, &t->sums, from[k], 0, job);
    }
    do {
        PRELU_UNROLL
        for (int k = 0; k < groups; k++)
            T(group)(T(operands_at)(t, i + k * LANES, r, put, job), alpha + from[k], dot + from[k],
                     1, put, edge, 0, LANES, s + k, job);
    } while (++r < rows);
    for (int k = 0; k < groups; k++) {
        T(move)(s + k, &t->sums, from[k], 1, job);
        for (int l = 0; l < LANES && SECOND(job); l++) whole->undecided[l] += s[k].undecided[l];
    }
}

/* n is at least LANES. */
PRELU_FN int T(lanes_loop)(const prelu_tile *given, const int put, const int job) {
    const prelu_tile own = *given, *const t = &own; /* not read again after each store */
    const REAL *const alpha = t->alpha, *const dot = SECOND(job) ? t->alpha_dot : t->alpha;
    const REAL edge = T(edge)(t);
    const ptrdiff_t n = t->n, period = t->period;
    const ptrdiff_t ahead = T(ahead)(t->at[TILE_X], put ? t->at[TILE_OUT] : t->at[TILE_X], put, n);
    const ptrdiff_t few = t->rows == 1 && IS_SUMS(job) && period % LANES == 0 ? period / LANES : 0;
    enum { AT_ONCE = 4 * LANES };
    ptrdiff_t lane = 0, m;
    T(sums) s;
    T(start)(&s, t, job);
    for (ptrdiff_t i = 0; i < n; i += m, lane += m) {
        if (lane >= period) lane -= period;
        m = i < ahead ? ahead : n - i;
        if (i < ahead || m < LANES) { /* the first or last group */
            const int first = i < ahead ? 0 : LANES - (int)m;
            const ptrdiff_t from = lane >= first ? lane - first : lane - first + period;
            T(move)(&s, &t->sums, from, 0, job);
            for (ptrdiff_t r = 0; r < t->rows; r++)
                T(part_of_group)(T(operands_at)(t, i - first, r, put, job), alpha + from,
                                 dot + from, 1, first, first + (int)m, put, edge, &s, job, NULL);
            T(move)(&s, &t->sums, from, 1, job);
        } else if ((few == 3 || few == 4) && m >= period) { /* a period is a row, in memory order */
            prelu_tile rows = *t;
            for (int o = 0; o < TILE_OPERANDS; o++) rows.row[o] = period;
            if (few == 3) T(lanes_block)(&rows, i, lane, 3, m / period, put, edge, &s, job);
            else T(lanes_block)(&rows, i, lane, 4, m / period, put, edge, &s, job);
            i += m / period * period, m = 0;
        } else if (IS_SUMS(job) && t->rows > 1 && m >= AT_ONCE && lane + AT_ONCE <= period + LANES) {
            T(lanes_block)(t, i, lane, 4, t->rows, put, edge, &s, job);
            m = AT_ONCE;
        } else {
            T(lanes_block)(t, i, lane, 1, t->rows, put, edge, &s, job);
            m = LANES;
        }
    }
    return T(any_undecided)(&s, job);
}
