/* The two shapes of loops over groups of dtype X. Included by loops_of_dtype.h.
 *
 * Design:
 * (a) A segment's sums stay in registers, and are added to its alpha's when it ends. Groups go on
 *     over its end: the one that two segments share adds to each what is its own. So all groups but
 *     the first and the last store whole lines.
 * (b) Lanes have their sums in memory. Of several rows they are loaded and stored once, of a period of
 *     three or four groups once for all of its rows.
 */
/* ---- segments ---- */

/* Adds the upper `half` of 2 * half lanes to the lower one. A partial sum here is at most the sum of
 * the lanes' bounds. */
PRELU_FN void T(fold)(T(sums) *s, const int half, const int job) {
    double *const part[PARTS] = {s->part[0], s->part[1], s->part[2], s->part[3]};
    for (int k = LEVELS - 1; k >= 0 && job == EXACT; k--) {
        double term[LANES / 2];
        int lost = 1;
        for (int l = 0; l < half; l++) term[l] = part[k][l + half];
        for (int level = k; level < LEVELS && lost; level++) { /* mostly the last ones add zeros */
            lost = 0;
            PRELU_VECTOR
            for (int l = 0; l < half; l++) {
                const double sum = part[level][l] + term[l];
                term[l] = two_sum_error(part[level][l], term[l], sum);
                part[level][l] = sum;
                lost |= !(term[l] == 0);
            }
        }
        for (int l = 0; l < half && lost; l++) part[LEVELS - 1][l] = NAN;
    }
    PRELU_VECTOR
    for (int l = 0; l < half && job != EXACT; l++) {
        const double a = part[SUM][l], b = part[SUM][l + half], both = a + b;
        part[BOUND][l] += part[BOUND][l + half];
        if (WIDE && job != CAREFUL) part[LOW][l] += part[LOW][l + half] + two_sum_error(a, b, both);
        if (WIDE && job == CAREFUL) {
            const double low = part[LOW][l], c = low + part[LOW][l + half];
            const double error = two_sum_error(a, b, both), d = c + error;
            part[BOUND][l] += fabs(two_sum_error(low, part[LOW][l + half], c)) +
                              fabs(two_sum_error(c, error, d));
            part[LOW][l] = d;
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
        quick_sum_add(to, i, s.part[SUM][0], (WIDE && job == CAREFUL ? 1 : 5) * s.part[BOUND][0],
                      WIDE ? s.part[LOW][0] : 0.0, WIDE && job == CAREFUL);
    for (int k = 0; k < LEVELS && job == EXACT; k++)
        exact_sum_add(to->part, i, s.part[k][0], k, PARTS);
}

/* n is at least LANES. */
PRELU_FN int T(segments_loop)(const prelu_tile *given, const int put, const int job) {
    const prelu_tile own = *given, *const t = &own; /* not read again after each store */
    const T(operands) all = {t->x, t->g, t->u, t->w, t->out, t->of_x};
    const REAL *const alpha = t->alpha, *const dot = SECOND(job) ? t->alpha_dot : t->alpha;
    const REAL edge = JOIN2(edge, REAL)[t->at_one];
    const ptrdiff_t n = t->n;
    /* segments of whole groups need not share any */
    const int apart = put < STREAM && t->length % LANES == 0 && t->length < ADDS_MOST * LANES;
    const ptrdiff_t ahead = apart ? 0 : T(ahead)(t->x, t->out, put, n);
    ptrdiff_t r = t->first, left = t->left;
    T(sums) s; /* in registers: its address is nobody else's */
    T(start)(&s, t, job);
    for (ptrdiff_t i = 0, m; i < n; i += m) {
        const ptrdiff_t r_next = r + 1 < t->alphas ? r + 1 : 0;
        m = i < ahead ? ahead : n - i;
        if (i >= ahead && m >= LANES && left >= LANES) {
            m = (left < m ? left : m) / LANES * LANES;
            if (m > ADDS_MOST * LANES) m = ADDS_MOST * LANES;
            const REAL one = alpha[r], one_dot = dot[r];
            for (ptrdiff_t j = i; j < i + m; j += LANES)
                T(group)(T(step)(all, t, j, 0, put, job), &one, &one_dot, 0, put, edge, &s, job);
            left -= m;
            if (SUMMING(job) && (left == 0 || m == ADDS_MOST * LANES || i + m == n)) {
                T(end_segment)(&s, &t->sums, r, job);
                T(set)(&s, NULL, job);
            }
        } else { /* the first or last group, or one of two segments */
            if (i >= ahead && m > LANES) m = LANES;
            const int first = i < ahead ? 0 : LANES - (int)m, last = first + (int)m;
            const int end = left < m ? first + (int)left : last; /* of this segment */
            const T(operands) o = T(step)(all, t, i - first, 0, put, job);
            REAL alphas[LANES], dots[LANES];
            PRELU_VECTOR
            for (int l = 0; l < LANES; l++) alphas[l] = l < end ? alpha[r] : alpha[r_next];
            PRELU_VECTOR
            for (int l = 0; l < LANES; l++) dots[l] = l < end ? dot[r] : dot[r_next];
            if (m == LANES) {
                T(some_of_group)(o, alphas, dots, 1, put, edge, 0, end, &s, job);
            } else {
                T(sums) aside;
                T(set)(&aside, &s, job);
                aside.scale = s.scale;
                T(part_of_group)(o, alphas, dots, first, last, end, put, edge, &aside, job);
                T(set)(&s, &aside, job);
            }
            left -= m;
            if (SUMMING(job) && (left <= 0 || i + m == n)) {
                T(end_segment)(&s, &t->sums, r, job);
                T(set)(&s, NULL, job);
            }
            if (SUMMING(job) && left < 0) {
                T(some_of_group)(o, alphas, dots, 1, NO_OUT, edge, end, last, &s, job);
                if (i + m == n) T(end_segment)(&s, &t->sums, r_next, job);
            }
        }
        if (left <= 0) r = r_next, left += t->length;
    }
    return T(any_doubt)(&s, job);
}

/* ---- lanes ---- */

/* A few groups of lanes and the same ones of further rows: their sums stay in registers. */
PRELU_FN void T(lanes_block)(const prelu_tile *t, const T(operands) all, ptrdiff_t i,
                             ptrdiff_t lane, const int groups, const ptrdiff_t rows, const int put,
                             const REAL edge, T(sums) *doubts, const int job) {
    const REAL *const alpha = t->alpha, *const dot = SECOND(job) ? t->alpha_dot : t->alpha;
    T(sums) s[GROUPS_MOST]; /* whose address is nobody else's */
    ptrdiff_t from[GROUPS_MOST], r = 0;
    PRELU_UNROLL
    for (int k = 0; k < groups; k++) {
        s[k].scale = doubts->scale;
        from[k] = lane + k * LANES < t->period ? lane + k * LANES : lane + k * LANES - t->period;
        for (int l = 0; l < LANES && SECOND(job); l++) s[k].doubt[l] = doubts->doubt[l];
        T(move)(s + k, &t->sums, from[k], 0, job);
    }
    do {
        PRELU_UNROLL
        for (int k = 0; k < groups; k++)
            T(group)(T(step)(all, t, i + k * LANES, r, put, job), alpha + from[k], dot + from[k], 1,
                     put, edge, s + k, job);
    } while (++r < rows);
    PRELU_UNROLL
    for (int k = 0; k < groups; k++) {
        T(move)(s + k, &t->sums, from[k], 1, job);
        for (int l = 0; l < LANES && SECOND(job); l++) doubts->doubt[l] += s[k].doubt[l];
    }
}

/* n is at least LANES. */
PRELU_FN int T(lanes_loop)(const prelu_tile *given, const int put, const int job) {
    const prelu_tile own = *given, *const t = &own; /* not read again after each store */
    const T(operands) all = {t->x, t->g, t->u, t->w, t->out, t->of_x};
    const REAL *const alpha = t->alpha, *const dot = SECOND(job) ? t->alpha_dot : t->alpha;
    const REAL edge = JOIN2(edge, REAL)[t->at_one];
    const ptrdiff_t n = t->n, period = t->period, ahead = T(ahead)(t->x, t->out, put, n);
    const ptrdiff_t few = t->rows == 1 && IS_SUMS(job) && period % LANES == 0 ? period / LANES : 0;
    enum { AT_ONCE = 4 * LANES };
    ptrdiff_t lane = t->lane, i = 0;
    T(sums) s;
    T(start)(&s, t, job);
    for (int k = 0; k < 2; k++) { /* before and after the whole groups */
        const ptrdiff_t m = k ? n - i : ahead, first = k ? LANES - m : 0;
        if (m > 0) {
            if (lane >= period) lane -= period;
            const ptrdiff_t from = lane >= first ? lane - first : lane - first + period;
            T(move)(&s, &t->sums, from, 0, job);
            for (ptrdiff_t r = 0; r < t->rows; r++)
                T(part_of_group)(T(step)(all, t, i - first, r, put, job), alpha + from, dot + from,
                                 (int)first, (int)(first + m), (int)(first + m), put, edge, &s,
                                 job);
            T(move)(&s, &t->sums, from, 1, job);
            i += m, lane += m;
        }
        if (k) break;
        if (few == 3 || few == 4) { /* a period is a row, in memory order */
            prelu_tile rows = *t;
            for (int o = 0; o < 6; o++) rows.row[o] = period;
            const ptrdiff_t whole = (n - i) / period;
            if (few == 3 && whole)
                T(lanes_block)(&rows, all, i, lane, 3, whole, put, edge, &s, job);
            if (few == 4 && whole)
                T(lanes_block)(&rows, all, i, lane, 4, whole, put, edge, &s, job);
            i += whole * period;
        }
        while (n - i >= LANES) {
            if (lane >= period) lane -= period;
            if (IS_SUMS(job) && t->rows > 1 && n - i >= AT_ONCE && lane + AT_ONCE <= period + LANES) {
                T(lanes_block)(t, all, i, lane, 4, t->rows, put, edge, &s, job);
                i += AT_ONCE, lane += AT_ONCE;
            } else {
                T(lanes_block)(t, all, i, lane, 1, t->rows, put, edge, &s, job);
                i += LANES, lane += LANES;
            }
        }
    }
    return T(any_doubt)(&s, job);
}
