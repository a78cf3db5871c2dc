/* The loops for one dtype X of x, computed in REAL.
 *
 * Design:
 * (a) A group is LANES elements: loaded into small arrays, computed by loops over the lanes, stored.
 *     The compiler makes vector registers of the arrays. What a loop does (`job`), how it stores
 *     (`put`) and how alpha lies (`along`) are constants wherever group() is inlined.
 * (b) A segment's sums stay in registers, and are added to its alpha's when it ends. Groups go on
 *     over its end: the one that two segments share adds to each what is its own. So all groups but
 *     the first and the last store whole lines.
 * (c) Lanes have their sums in memory; several rows at once load and store them once.
 */
#define T(name) JOIN2(name, X)
#define SCALAR(name) JOIN3(prelu, name, REAL)
#define SHORT (sizeof(X) == 2)            /* products are exact in float, but for underflow */
#define WIDE (sizeof(X) == 8)             /* products have an error */
#define LEVELS (SHORT ? 2 : WIDE ? 4 : 3) /* of exact sums: enough for usual numbers */

typedef struct {
    const X *x, *g, *u, *w;
    X *out, *of_x;
} T(operands);

/* The sums of a group of lanes; 16 bits have a float sum of |term| in the place of the bound. And
 * which sums of two products are in doubt. */
typedef struct {
    double part[PARTS][LANES];
    float size[LANES];
    REAL doubt[LANES];
} T(sums);

/* Which numbers a job has for each lane. */
PRELU_FN int T(has)(const int k, const int job) {
    if (job == EXACT) return k < LEVELS;
    return SUMMING(job) && (k == SUM || (k == BOUND && !SHORT) || (k == LOW && WIDE));
}

/* The sums of a job become other ones or, without any, zeros; doubts remain. */
PRELU_FN void T(set)(T(sums) *s, const T(sums) *from, const int job) {
    PRELU_UNROLL
    for (int k = 0; k < PARTS; k++) {
        if (!T(has)(k, job)) continue;
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) s->part[k][l] = from ? from->part[k][l] : 0;
    }
    if (SHORT && SUMMING(job) && job != EXACT) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) s->size[l] = from ? from->size[l] : 0;
    }
    for (int l = 0; l < LANES && SECOND(job) && from; l++) s->doubt[l] = from->doubt[l];
}

PRELU_FN void T(start)(T(sums) *s, const int job) {
    T(set)(s, NULL, job);
    for (int l = 0; l < LANES && SECOND(job); l++) s->doubt[l] = 0;
}

PRELU_FN void T(read_lanes)(T(sums) *s, const prelu_sums *from, ptrdiff_t lane, const int job) {
    PRELU_UNROLL
    for (int k = 0; k < PARTS; k++) {
        if (!T(has)(k, job)) continue;
        const double *part = from->part[k] + lane;
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) s->part[k][l] = part[l];
    }
    if (!SHORT || job == EXACT || !SUMMING(job)) return;
    const float *size = (const float *)from->part[BOUND] + lane;
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) s->size[l] = size[l];
}

PRELU_FN void T(write_lanes)(const T(sums) *s, const prelu_sums *to, ptrdiff_t lane,
                             const int job) {
    PRELU_UNROLL
    for (int k = 0; k < PARTS; k++) {
        if (!T(has)(k, job)) continue;
        double *part = to->part[k] + lane;
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) part[l] = s->part[k][l];
    }
    if (!SHORT || job == EXACT || !SUMMING(job)) return;
    float *size = (float *)to->part[BOUND] + lane;
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) size[l] = s->size[l];
}

/* Operands further along: by n elements, and by r rows. */
PRELU_FN T(operands) T(step)(T(operands) o, const prelu_tile *t, ptrdiff_t n, ptrdiff_t r,
                             const int put, const int job) {
    o.x += n + r * t->row[0];
    if (put || job == SUMS || job == DOUBLE) o.g += n + r * t->row[1];
    if (job == EXACT) o.u += n + r * t->row[2];
    if (job == EXACT || job == DOUBLE) o.w += n + r * t->row[3];
    if (put) o.out += n + r * t->row[4];
    if (job == DOUBLE) o.of_x += n + r * t->row[5];
    return o;
}

/* Adds the terms of a group to its lanes, of those from `first` on and before `end`. */
PRELU_FN void T(sum_group)(const REAL *x, const REAL *u, const REAL *w, const REAL edge,
                           const int first, const int end, T(sums) *s, const int job) {
    if (job == EXACT) {
        double *const part[PARTS] = {s->part[0], s->part[1], s->part[2], s->part[3]};
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = SCALAR(identity)(x[l], edge) | (l < first) | (l >= end);
            const double p = SCALAR(term)(identity, u[l], w[l]);
            exact_sum_add(part, l, p, 0, LEVELS);
            if (WIDE) { /* fma gives the error of the product, unless that underflows */
                const int zero = identity | (u[l] == 0) | (w[l] == 0);
                const double error = fma(u[l], w[l], -p);
                const double known = fabs(p) >= 0x1p-900 ? error : NAN;
                exact_sum_add(part, l, zero ? 0.0 : known, 1, LEVELS);
            }
        }
    } else if (SHORT) {
        REAL term[LANES];
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = SCALAR(identity)(x[l], edge) | (l < first) | (l >= end);
            term[l] = SCALAR(short_term)(identity, u[l], w[l]);
        }
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            s->part[SUM][l] += term[l];
            s->size[l] += fabsf((float)term[l]);
        }
    } else {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = SCALAR(identity)(x[l], edge) | (l < first) | (l >= end);
            const double p = SCALAR(term)(identity, u[l], w[l]), sum = s->part[SUM][l] + p;
            if (WIDE) {
                const double error = identity ? 0.0 : fma(u[l], w[l], -p);
                s->part[LOW][l] += two_sum_error(s->part[SUM][l], p, sum) + error;
            }
            s->part[SUM][l] = sum;
            s->part[BOUND][l] += fabs(sum);
        }
    }
}

PRELU_FN void T(put)(X *p, const REAL *v, const int put) {
    if (put >= STREAM) JOIN2(stream, X)(p, v, put);
    else JOIN2(store, X)(p, v);
}

/* One group: its outputs if `put`, and the sums over some of its lanes if the job has some. */
PRELU_FN void T(some_of_group)(const T(operands) o, const REAL *alpha, const REAL *alpha_dot,
                               const int along, const int put, const REAL edge, const int first,
                               const int end, T(sums) *s, const int job) {
    REAL xv[LANES], gv[LANES], uv[LANES], wv[LANES], outv[LANES], of_xv[LANES];
    JOIN2(load, X)(o.x, xv);
    if (put || job == SUMS || job == DOUBLE) JOIN2(load, X)(job == FORWARD ? o.x : o.g, gv);
    if (job == EXACT) JOIN2(load, X)(o.u, uv);
    if (job == EXACT || job == DOUBLE) JOIN2(load, X)(o.w, wv);
    if (put && !SECOND(job)) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            outv[l] = SCALAR(scale)(SCALAR(identity)(xv[l], edge), gv[l],
                                     alpha[along ? l : 0]);
    }
#if PRELU_FLOAT
    if (SECOND(job) && put) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int i = along ? l : 0, identity = SCALAR(identity)(xv[l], edge);
            const double a = alpha[i], dot = alpha_dot[i];
            if (job == SLOW) {
                outv[l] = JOIN3(prelu_jvp, slow, REAL)(identity, xv[l], a, gv[l], dot);
            } else {
                outv[l] = SCALAR(jvp)(identity, xv[l], a, gv[l], dot);
                s->doubt[l] = JOIN2(dot_in_doubt, REAL)(a, gv[l], dot, xv[l]) ? 1 : s->doubt[l];
            }
        }
    }
    if (job == DOUBLE && put) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            of_xv[l] = SCALAR(short_term)(SCALAR(identity)(xv[l], edge),
                                          alpha_dot[along ? l : 0], wv[l]);
    }
#endif
    if (job == SUMS) T(sum_group)(xv, xv, gv, edge, first, end, s, job);
    if (job == EXACT) T(sum_group)(xv, uv, wv, edge, first, end, s, job);
    if (job == DOUBLE) T(sum_group)(xv, gv, wv, edge, first, end, s, job);
    if (put) T(put)(o.out, outv, put);
    if (job == DOUBLE && put) T(put)(o.of_x, of_xv, put);
}

PRELU_FN void T(group)(const T(operands) o, const REAL *alpha, const REAL *alpha_dot,
                       const int along, const int put, const REAL edge, T(sums) *s, const int job) {
    T(some_of_group)(o, alpha, alpha_dot, along, put, edge, 0, LANES, s, job);
}

/* A group of which only the lanes from `first` on and before `last` count, those from `end` on not for
 * the sums. The others' outputs stay as they are. */
PRELU_ASIDE void T(part_of_group)(const T(operands) o, const REAL *alpha, const REAL *alpha_dot,
                                  int first, int last, int end, const int put, REAL edge,
                                  T(sums) *s, const int job) {
    X out[2][LANES];
    T(operands) aside = o;
    aside.out = out[0], aside.of_x = out[1];
#define GROUP(put, job) T(some_of_group)(aside, alpha, alpha_dot, 1, put, edge, first, end, s, job)
    if (job == EXACT) GROUP(NO_OUT, EXACT);
    else if (!put) GROUP(NO_OUT, SUMS);
    else if (job == SUMS) GROUP(STORE, SUMS);
    else if (job == DOUBLE) GROUP(STORE, DOUBLE);
    else if (job == JVP) GROUP(STORE, JVP);
    else if (job == SLOW) GROUP(STORE, SLOW);
    else GROUP(STORE, SCALE);
#undef GROUP
    for (int k = 0; k < (!put ? 0 : job == DOUBLE ? 2 : 1); k++) {
        X *to = k ? o.of_x : o.out;
        for (int l = 0; l < LANES; l++) to[l] = (l >= first) & (l < last) ? out[k][l] : to[l];
    }
}

/* How many of n elements lie before the first that no line cuts: of what is streamed, or of x where
 * there are enough to make up for it. */
PRELU_FN ptrdiff_t T(ahead)(const void *x, const void *out, const int put, ptrdiff_t n) {
    const uintptr_t first = (uintptr_t)(put >= STREAM ? out : x), group = LANES * sizeof(X);
    const ptrdiff_t ahead =
        (ptrdiff_t)((-first & ((group < LINE ? group : LINE) - 1)) / sizeof(X));
    if (put < STREAM && n < 64 * LANES) return 0;
    return ahead < n ? ahead : n;
}

PRELU_FN int T(any_doubt)(const T(sums) *s, const int job) {
    int any = 0;
    for (int l = 0; l < LANES && SECOND(job) && job != SLOW; l++) any |= s->doubt[l] > 0;
    return any;
}

/* ---- segments ---- */

/* Adds the upper `half` of 2 * half lanes to the lower one. A partial sum here is at most the sum of
 * the lanes' bounds. */
PRELU_FN void T(fold)(T(sums) *s, const int half) {
    double *const sum = s->part[SUM], *const bound = s->part[BOUND], *const low = s->part[LOW];
    PRELU_VECTOR
    for (int l = 0; l < half; l++) {
        const double a = sum[l], b = sum[l + half], both = a + b;
        if (WIDE) low[l] += low[l + half] + two_sum_error(a, b, both);
        bound[l] += bound[l + half];
        sum[l] = both;
    }
}

/* Adds a group of lanes, of at most GROUP_ADDS_MOST terms each, to alpha number i. */
PRELU_FN void T(end_segment)(const T(sums) *lanes, const prelu_sums *to, ptrdiff_t i,
                             const int job) {
    T(sums) s;
    T(set)(&s, lanes, job);
    if (job == EXACT) {
        for (int l = 0; l < LANES; l++)
            for (int k = 0; k < LEVELS; k++) exact_sum_add(to->part, i, s.part[k][l], 0, PARTS);
        return;
    }
    if (SHORT) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            s.part[BOUND][l] = s.size[l] * bound_of_size(GROUP_ADDS_MOST);
    }
    T(fold)(&s, 8);
    T(fold)(&s, 4);
    T(fold)(&s, 2);
    T(fold)(&s, 1);
    quick_sum_add(to, i, s.part[SUM][0], 5 * s.part[BOUND][0], WIDE ? s.part[LOW][0] : 0.0);
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
    T(start)(&s, job);
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
        from[k] = lane + k * LANES < t->period ? lane + k * LANES : lane + k * LANES - t->period;
        for (int l = 0; l < LANES && SECOND(job); l++) s[k].doubt[l] = doubts->doubt[l];
        T(read_lanes)(s + k, &t->sums, from[k], job);
    }
    do {
        PRELU_UNROLL
        for (int k = 0; k < groups; k++)
            T(group)(T(step)(all, t, i + k * LANES, r, put, job), alpha + from[k], dot + from[k], 1,
                     put, edge, s + k, job);
    } while (++r < rows);
    PRELU_UNROLL
    for (int k = 0; k < groups; k++) {
        T(write_lanes)(s + k, &t->sums, from[k], job);
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
    const ptrdiff_t few = t->rows == 1 && job == SUMS && period % LANES == 0 ? period / LANES : 0;
    enum { AT_ONCE = 4 * LANES };
    ptrdiff_t lane = t->lane, i = 0;
    T(sums) s;
    T(start)(&s, job);
    for (int k = 0; k < 2; k++) { /* before and after the whole groups */
        const ptrdiff_t m = k ? n - i : ahead, first = k ? LANES - m : 0;
        if (m > 0) {
            if (lane >= period) lane -= period;
            const ptrdiff_t from = lane >= first ? lane - first : lane - first + period;
            T(read_lanes)(&s, &t->sums, from, job);
            for (ptrdiff_t r = 0; r < t->rows; r++)
                T(part_of_group)(T(step)(all, t, i - first, r, put, job), alpha + from, dot + from,
                                 (int)first, (int)(first + m), (int)(first + m), put, edge, &s,
                                 job);
            T(write_lanes)(&s, &t->sums, from, job);
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
            if (job == SUMS && t->rows > 1 && n - i >= AT_ONCE && lane + AT_ONCE <= period + LANES) {
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

/* ---- alpha is an array like x ---- */

#if PRELU_FLOAT
PRELU_FN void T(each_group)(const T(operands) o, const X *alpha, X *dalpha, const int put,
                            const REAL edge, const int job) {
    REAL xv[LANES], gv[LANES], av[LANES], outv[LANES], term[LANES];
    JOIN2(load, X)(o.x, xv);
    JOIN2(load, X)(job == FORWARD ? o.x : o.g, gv);
    JOIN2(load, X)(alpha, av);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const int identity = SCALAR(identity)(xv[l], edge);
        const REAL p = SCALAR(short_term)(identity, xv[l], gv[l]);
        outv[l] = SCALAR(scale)(identity, gv[l], av[l]);
        /* an exact zero is +0, also from -1 * 0; products of 16 bits are exact but for tiny ones */
        const int zero = (xv[l] == 0) | (gv[l] == 0) | SHORT;
        term[l] = zero ? p + 0 : p;
        if (PRELU_BFLOAT) term[l] = identity ? p : (REAL)tiny_rounded((float)p, xv[l], gv[l]);
    }
    if (put) T(put)(o.out, outv, put);
    if (job == SUMS) T(put)(dalpha, term, put ? put : STORE);
}
#else
PRELU_FN void T(each_group)(const T(operands) o, const X *alpha, X *dalpha, const int put,
                            const REAL edge, const int job) {
    (void)dalpha, (void)job;
    REAL xv[LANES], av[LANES], outv[LANES];
    JOIN2(load, X)(o.x, xv);
    JOIN2(load, X)(alpha, av);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++)
        outv[l] = SCALAR(scale)(SCALAR(identity)(xv[l], edge), xv[l], av[l]);
    T(put)(o.out, outv, put);
}
#endif

/* With non-temporal stores every output begins a line. */
PRELU_FN void T(each_loop)(const prelu_tile *t, X *dalpha, const int put, const int job) {
    const REAL edge = JOIN2(edge, REAL)[t->at_one];
    const X *alpha = t->alpha, *x = t->x, *g = t->g;
    X *out = t->out;
    ptrdiff_t i = 0;
    for (; i + LANES <= t->n; i += LANES) {
        const T(operands) o = {x + i, g + i, NULL, NULL, put ? out + i : NULL, NULL};
        T(each_group)(o, alpha + i, job == SUMS ? dalpha + i : NULL, put, edge, job);
    }
    if (i == t->n) return;
    X in[3][LANES] = {{0}}, got[2][LANES];
    const size_t m = (size_t)(t->n - i) * sizeof *x;
    memcpy(in[0], x + i, m);
    memcpy(in[1], g + i, m);
    memcpy(in[2], alpha + i, m);
    const T(operands) o = {in[0], in[1], NULL, NULL, got[0], NULL};
    T(each_group)(o, in[2], got[1], STORE, edge, job == SUMS ? SUMS : SCALE);
    if (put) memcpy(out + i, got[0], m);
    if (job == SUMS) memcpy(dalpha + i, got[1], m);
}

static void T(each)(const prelu_tile *t, void *dalpha) {
    if (dalpha && !t->out) T(each_loop)(t, dalpha, NO_OUT, SUMS);
    else if (dalpha && t->stream && !SHORT) T(each_loop)(t, dalpha, STREAM, SUMS);
    else if (dalpha) T(each_loop)(t, dalpha, STORE, SUMS);
    else if (t->stream && !SHORT) T(each_loop)(t, NULL, STREAM, SCALE);
    else if (SHORT && t->g == t->x) T(each_loop)(t, NULL, STORE, FORWARD);
    else T(each_loop)(t, NULL, STORE, SCALE);
}

/* ---- to and from the compute type ---- */

static void T(widen)(const void *from_, void *to_, ptrdiff_t n) {
    const X *from = from_;
    REAL *to = to_;
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) JOIN2(load, X)(from + i, to + i);
    if (i < n) {
        X in[LANES] = {0};
        REAL out[LANES];
        memcpy(in, from + i, (size_t)(n - i) * sizeof *from);
        JOIN2(load, X)(in, out);
        memcpy(to + i, out, (size_t)(n - i) * sizeof *to);
    }
#if PRELU_FLOAT
    for (i = 0; i < n; i++) to[i] = to[i] == to[i] ? to[i] : (REAL)NAN;
#endif
}

/* ---- the entries of the table ---- */

static void T(segments_scale)(const prelu_tile *t) {
    if (t->stream && !SHORT) T(segments_loop)(t, STREAM, SCALE);
    else if (SHORT && t->g == t->x) T(segments_loop)(t, STORE, FORWARD);
    else T(segments_loop)(t, STORE, SCALE);
}
static void T(lanes_scale)(const prelu_tile *t) {
    if (t->stream && !SHORT) T(lanes_loop)(t, STREAM, SCALE);
    else if (SHORT && t->g == t->x) T(lanes_loop)(t, STORE, FORWARD);
    else T(lanes_loop)(t, STORE, SCALE);
}
#if PRELU_FLOAT
#define ENTRIES(shape)                                                          \
    static void T(shape##_sums)(const prelu_tile *t) {                          \
        if (!t->out) T(shape##_loop)(t, NO_OUT, SUMS);                          \
        else if (t->stream && !SHORT) T(shape##_loop)(t, STREAM_APART, SUMS);   \
        else T(shape##_loop)(t, STORE, SUMS);                                   \
    }                                                                           \
    static void T(shape##_exact)(const prelu_tile *t) { T(shape##_loop)(t, NO_OUT, EXACT); } \
    static void T(shape##_jvp)(const prelu_tile *t) {                           \
        const int doubt = t->stream && !SHORT ? T(shape##_loop)(t, STREAM, JVP) \
                                              : T(shape##_loop)(t, STORE, JVP); \
        if (doubt) T(shape##_loop)(t, STORE, SLOW);                             \
    }                                                                           \
    static void T(shape##_double)(const prelu_tile *t) {                        \
        const int doubt = t->stream && !SHORT ? T(shape##_loop)(t, STREAM, DOUBLE) \
                                              : T(shape##_loop)(t, STORE, DOUBLE); \
        if (doubt) T(shape##_loop)(t, STORE, SLOW);                             \
    }
ENTRIES(segments)
ENTRIES(lanes)
#undef ENTRIES

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
    JOIN2(store, X)(to, v);
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

static void T(add)(const prelu_sums *to, ptrdiff_t step, const prelu_sums *lanes, ptrdiff_t first,
                   ptrdiff_t n, ptrdiff_t adds, int job) {
    if (job == EXACT) {
        for (ptrdiff_t i = 0; i < n; i++)
            for (int k = 0; k < LEVELS; k++)
                exact_sum_add(to->part, i * step, lanes->part[k][first + i], 0, PARTS);
        return;
    }
    const double *s = lanes->part[SUM] + first, *b = lanes->part[BOUND] + first;
    const double *l = lanes->part[LOW] + first;
    const float *size = (const float *)lanes->part[BOUND] + first;
    const double factor = bound_of_size(adds);
    if (step) {
        double *const sum = to->part[SUM], *const bound = to->part[BOUND], *const low = to->part[LOW];
        const prelu_sums sums = {{sum, bound, low, NULL}};
        PRELU_VECTOR
        for (ptrdiff_t i = 0; i < n; i++)
            quick_sum_add(&sums, i, s[i], SHORT ? size[i] * factor : b[i], WIDE ? l[i] : 0.0);
        return;
    }
    double sum = 0, bound = 0, low = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double both = sum + s[i];
        if (WIDE) low += two_sum_error(sum, s[i], both) + l[i];
        bound += (SHORT ? size[i] * factor : b[i]) + fabs(both);
        sum = both;
    }
    quick_sum_add(to, 0, sum, bound, low);
}

/* With alphas narrower than double each end must also lie more than a unit of the sum beyond it:
 * else narrow(), where it is a second rounding, could round it to a tie from the wrong side. */
PRELU_FN void T(round_group)(const double *high, const double *bound, const double *low,
                             double unit, double tiny, X *below, X *above, double *doubt) {
    double ends[2][LANES];
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const double slack = (fabs(low[l]) + (WIDE ? 0.0 : fabs(high[l]))) * 0x1p-51;
        const double error = bound[l] * unit + tiny + slack;
        ends[0][l] = high[l] + (low[l] - error);
        ends[1][l] = high[l] + (low[l] + error);
        doubt[l] = bound[l] <= DBL_MAX ? doubt[l] : 1;
    }
    T(narrow_group)(ends[0], below);
    T(narrow_group)(ends[1], above);
}

static int T(round)(const prelu_sums *sums, ptrdiff_t n, double unit, double tiny, void *below_,
                    void *above_) {
    const double *high = sums->part[SUM], *bound = sums->part[BOUND], *low = sums->part[LOW];
    X *below = below_, *above = above_;
    double doubt[LANES] = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        T(round_group)(high + i, bound + i, low + i, unit, tiny, below + i, above + i, doubt);
    if (i < n) {
        double in[3][LANES] = {{0}};
        X both[2][LANES];
        for (int k = 0; k < 3; k++)
            memcpy(in[k], sums->part[k] + i, (size_t)(n - i) * sizeof(double));
        T(round_group)(in[SUM], in[BOUND], in[LOW], unit, tiny, both[0], both[1], doubt);
        memcpy(below + i, both[0], (size_t)(n - i) * sizeof(X));
        memcpy(above + i, both[1], (size_t)(n - i) * sizeof(X));
    }
    for (int l = 1; l < LANES; l++) doubt[0] += doubt[l];
    return doubt[0] == 0 && memcmp(below, above, (size_t)n * sizeof(X)) == 0;
}
#endif

#undef T
#undef SCALAR
#undef SHORT
#undef WIDE
#undef LEVELS
