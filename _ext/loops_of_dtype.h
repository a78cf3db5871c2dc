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

PRELU_FN void T(clear)(T(sums) *s) {
    for (int k = 0; k < PARTS; k++)
        for (int l = 0; l < LANES; l++) s->part[k][l] = 0;
    for (int l = 0; l < LANES; l++) s->size[l] = 0;
}

/* Which numbers a job has for each lane. */
PRELU_FN int T(has)(const int k, const int job) {
    if (job == EXACT) return k < LEVELS;
    return SUMMING(job) && (k == SUM || (k == BOUND && !SHORT) || (k == LOW && WIDE));
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
    if (put) o.g += n + r * t->row[1];
    if (SUMMING(job)) o.u += n + r * t->row[2], o.w += n + r * t->row[3];
    if (put) o.out += n + r * t->row[4];
    if (job == DOUBLE) o.of_x += n + r * t->row[5];
    return o;
}

/* The alphas of a segment or lane; those of the second order are double. */
PRELU_FN const void *T(alphas)(const void *alpha, ptrdiff_t i, const int job) {
    return (const char *)alpha + i * (ptrdiff_t)(SECOND(job) ? sizeof(double) : sizeof(REAL));
}

/* Adds the terms of a group to its lanes. */
PRELU_FN void T(sum_group)(const REAL *x, const REAL *u, const REAL *w, const REAL edge, T(sums) *s,
                           const int job) {
    if (job == EXACT) {
        double *const part[PARTS] = {s->part[0], s->part[1], s->part[2], s->part[3]};
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = SCALAR(identity)(x[l], edge);
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
        for (int l = 0; l < LANES; l++)
            term[l] = SCALAR(short_term)(SCALAR(identity)(x[l], edge), u[l], w[l]);
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            s->part[SUM][l] += term[l];
            s->size[l] += fabsf((float)term[l]);
        }
    } else {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = SCALAR(identity)(x[l], edge);
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

/* One group: its outputs if `put`, its sums if the job has some. */
PRELU_FN void T(group)(const T(operands) o, const void *alpha, const void *alpha_dot,
                       const int along, const int put, const REAL edge, T(sums) *s, const int job) {
    const REAL *a = alpha;
    const double *a2 = alpha, *dot = alpha_dot;
    REAL xv[LANES], gv[LANES], uv[LANES], wv[LANES], outv[LANES], of_xv[LANES];
    JOIN2(load, X)(o.x, xv);
    if (put) JOIN2(load, X)(job == FORWARD ? o.x : o.g, gv);
    if (SUMMING(job)) JOIN2(load, X)(o.u, uv);
    if (SUMMING(job)) JOIN2(load, X)(o.w, wv);
    if (put && !SECOND(job)) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            outv[l] = SCALAR(scale)(SCALAR(identity)(xv[l], edge), gv[l], a[along ? l : 0]);
    }
#if PRELU_FLOAT
    if (SECOND(job)) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int i = along ? l : 0, identity = SCALAR(identity)(xv[l], edge);
            if (job == SLOW) {
                outv[l] = JOIN3(prelu_jvp, slow, REAL)(identity, xv[l], a2[i], gv[l], dot[i]);
            } else {
                outv[l] = SCALAR(jvp)(identity, xv[l], a2[i], gv[l], dot[i]);
                s->doubt[l] =
                    JOIN2(dot_in_doubt, REAL)(a2[i], gv[l], dot[i], xv[l]) ? 1 : s->doubt[l];
            }
        }
    }
    if (job == DOUBLE) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            of_xv[l] = SCALAR(short_term)(SCALAR(identity)(xv[l], edge),
                                          (REAL)dot[along ? l : 0], wv[l]);
    }
#endif
    if (SUMMING(job)) T(sum_group)(xv, uv, wv, edge, s, job);
    if (put) T(put)(o.out, outv, put);
    if (job == DOUBLE) T(put)(o.of_x, of_xv, put);
}

/* ---- a short group, or one that two segments share ---- */

/* m elements, from `first` to `end`, filled up with `fill`. */
PRELU_FN void T(take)(X *to, const X *from, int first, int end, X fill) {
    for (int l = 0; l < LANES; l++) to[l] = fill;
    memcpy(to + first, from + first, (size_t)(end - first) * sizeof *to);
}

/* m elements, of which `left` are one segment's and the others the next one's. */
PRELU_ASIDE void T(short_group)(T(operands) o, const void *alpha, const void *alpha_dot, int m,
                                int left, int put, REAL edge, T(sums) *s, T(sums) *next, int job) {
    X in[4][LANES], out[2][LANES];
    const T(operands) short_o = {in[0], in[1], in[2], in[3], out[0], out[1]};
    for (int k = 0; k < 2 && SUMMING(job); k++) {
        const int first = k ? left : 0, end = k || m < left ? m : left;
        if (first >= end) continue;
        T(take)(in[0], o.x, first, end, 0);
        T(take)(in[2], o.u, first, end, 0);
        T(take)(in[3], o.w, first, end, 0);
        T(sums) *to = k ? next : s;
        if (job == EXACT) T(group)(short_o, NULL, NULL, 0, NO_OUT, edge, to, EXACT);
        else T(group)(short_o, NULL, NULL, 0, NO_OUT, edge, to, SUMS);
    }
    if (!put) return;
    /* filled up with the last element, which is in doubt no more than that */
    T(take)(in[0], o.x, 0, m, o.x[m - 1]);
    T(take)(in[1], o.g, 0, m, o.g[m - 1]);
    if (job == DOUBLE) { /* of_x; the sums are above */
        REAL xv[LANES], wv[LANES], of_xv[LANES];
        T(take)(in[3], o.w, 0, m, 0);
        JOIN2(load, X)(in[0], xv);
        JOIN2(load, X)(in[3], wv);
        for (int l = 0; l < LANES; l++)
            of_xv[l] = SCALAR(short_term)(SCALAR(identity)(xv[l], edge),
                                          (REAL)((const double *)alpha_dot)[l], wv[l]);
        JOIN2(store, X)(out[1], of_xv);
        memcpy(o.of_x, out[1], (size_t)m * sizeof(X));
    }
    if (job == SLOW) T(group)(short_o, alpha, alpha_dot, 1, STORE, edge, s, SLOW);
    else if (SECOND(job)) T(group)(short_o, alpha, alpha_dot, 1, STORE, edge, s, JVP);
    else T(group)(short_o, alpha, NULL, 1, STORE, edge, s, SCALE);
    memcpy(o.out, out[0], (size_t)m * sizeof(X));
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

/* Adds a group of lanes, of at most GROUP_ADDS_MOST terms each, to alpha number i. */
PRELU_FN void T(end_segment)(T(sums) *s, const prelu_sums *to, ptrdiff_t i, const int job) {
    if (job == EXACT) {
        for (int l = 0; l < LANES; l++)
            for (int k = 0; k < LEVELS; k++) exact_sum_add(to->part, i, s->part[k][l], 0, PARTS);
        return;
    }
    double *const sum = s->part[SUM], *const bound = s->part[BOUND], *const low = s->part[LOW];
    if (SHORT) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) bound[l] = s->size[l] * bound_of_size(GROUP_ADDS_MOST);
    }
    for (int half = LANES / 2; half > 0; half /= 2) {
        PRELU_VECTOR
        for (int l = 0; l < half; l++) {
            const double a = sum[l], b = sum[l + half], both = a + b;
            if (WIDE) low[l] += low[l + half] + two_sum_error(a, b, both);
            bound[l] += bound[l + half] + (SHORT ? 0.0 : fabs(both));
            sum[l] = both;
        }
    }
    quick_sum_add(to, i, sum[0], bound[0], WIDE ? low[0] : 0.0);
}

PRELU_FN int T(segments_loop)(const prelu_tile *given, const int put, const int job) {
    const prelu_tile own = *given, *const t = &own; /* not read again after each store */
    const T(operands) all = {t->x, t->g, t->u, t->w, t->out, t->of_x};
    const REAL edge = JOIN2(edge, REAL)[t->at_one];
    const ptrdiff_t n = t->n, ahead = T(ahead)(t->x, t->out, put, n);
    ptrdiff_t r = t->first, left = t->left;
    T(sums) s = {0}, next;
    for (ptrdiff_t i = 0; i < n;) {
        const T(operands) o = T(step)(all, t, i, 0, put, job);
        const void *alpha = T(alphas)(t->alpha, r, job), *dot = T(alphas)(t->alpha_dot, r, job);
        const ptrdiff_t r_next = r + 1 < t->alphas ? r + 1 : 0;
        ptrdiff_t m = i < ahead ? ahead : n - i;
        if (i >= ahead && m >= LANES && left >= LANES) {
            m = (left < m ? left : m) / LANES * LANES;
            if (m > ADDS_MOST * LANES) m = ADDS_MOST * LANES;
            T(sums) in_registers = s;
            const REAL one = SECOND(job) ? 0 : *(const REAL *)alpha;
            const double both[2] = {SECOND(job) ? *(const double *)alpha : 0,
                                    SECOND(job) ? *(const double *)dot : 0};
            for (ptrdiff_t j = 0; j < m; j += LANES)
                T(group)(T(step)(o, t, j, 0, put, job), SECOND(job) ? (const void *)both : &one,
                         both + 1, 0, put, edge, &in_registers, job);
            s = in_registers;
            i += m, left -= m;
            if (SUMMING(job) && (left == 0 || m == ADDS_MOST * LANES || i == n)) {
                T(end_segment)(&s, &t->sums, r, job);
                T(clear)(&s);
            }
        } else {
            if (m > LANES) m = LANES;
            const void *next_alpha = T(alphas)(t->alpha, r_next, job);
            const void *next_dot = T(alphas)(t->alpha_dot, r_next, job);
            REAL alphas[LANES] = {0};
            double wide[2][LANES] = {{0}};
            for (int l = 0; l < LANES && !SECOND(job); l++)
                alphas[l] = *(const REAL *)(l < left ? alpha : next_alpha);
            for (int l = 0; l < LANES && SECOND(job); l++) {
                wide[0][l] = *(const double *)(l < left ? alpha : next_alpha);
                wide[1][l] = *(const double *)(l < left ? dot : next_dot);
            }
            T(clear)(&next);
            T(short_group)(o, SECOND(job) ? (const void *)wide[0] : alphas, wide[1], (int)m,
                           left < m ? (int)left : (int)m, put, edge, &s, &next, job);
            i += m, left -= m;
            if (SUMMING(job) && (left <= 0 || i == n)) {
                T(end_segment)(&s, &t->sums, r, job);
                if (left < 0 && i == n) T(end_segment)(&next, &t->sums, r_next, job);
                memcpy(s.part, next.part, sizeof s.part);
                memcpy(s.size, next.size, sizeof s.size);
            }
        }
        if (left <= 0) r = r_next, left += t->length;
    }
    return T(any_doubt)(&s, job);
}

/* ---- lanes ---- */

PRELU_FN int T(lanes_loop)(const prelu_tile *given, const int put, const int job) {
    const prelu_tile own = *given, *const t = &own; /* not read again after each store */
    const T(operands) all = {t->x, t->g, t->u, t->w, t->out, t->of_x};
    const REAL edge = JOIN2(edge, REAL)[t->at_one];
    const ptrdiff_t n = t->n, rows = t->rows, period = t->period;
    const ptrdiff_t ahead = T(ahead)(t->x, t->out, put, n);
    ptrdiff_t lane = t->lane;
    T(sums) s = {0};
    for (ptrdiff_t i = 0, m; i < n; i += m, lane += m) {
        m = i < ahead ? ahead : n - i < LANES ? n - i : LANES;
        if (lane >= period) lane -= period;
        const void *alpha = T(alphas)(t->alpha, lane, job);
        const void *dot = T(alphas)(t->alpha_dot, lane, job);
        T(read_lanes)(&s, &t->sums, lane, job);
        for (ptrdiff_t r = 0; r < rows; r++) {
            const T(operands) o = T(step)(all, t, i, r, put, job);
            if (m == LANES) T(group)(o, alpha, dot, 1, put, edge, &s, job);
            else T(short_group)(o, alpha, dot, (int)m, (int)m, put, edge, &s, NULL, job);
        }
        T(write_lanes)(&s, &t->sums, lane, job);
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
    for (i = 0; i < n && PRELU_FLOAT; i++) to[i] = to[i] == to[i] ? to[i] : (REAL)NAN;
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
static int T(round)(const prelu_sums *sums, ptrdiff_t n, double unit, double tiny, void *below_,
                    void *above_) {
    X *below = below_, *above = above_;
    int sure = 1;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t m = n - i < LANES ? n - i : LANES;
        double in[3][LANES] = {{0}}, ends[2][LANES], least[LANES];
        for (int k = 0; k < 3; k++)
            memcpy(in[k], sums->part[k] + i, (size_t)m * sizeof(double));
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const double high = in[SUM][l], low = in[LOW][l];
            const double slack = (fabs(low) + (WIDE ? 0.0 : fabs(high))) * 0x1p-51;
            const double error = in[BOUND][l] * unit + tiny + slack;
            ends[0][l] = high + (low - error);
            ends[1][l] = high + (low + error);
            least[l] = in[BOUND][l] <= DBL_MAX ? 0 : 1;
        }
        for (int l = 0; l < LANES; l++) sure &= least[l] == 0;
        X both[2][LANES];
        T(narrow_group)(ends[0], both[0]);
        T(narrow_group)(ends[1], both[1]);
        sure &= memcmp(both[0], both[1], sizeof both[0]) == 0;
        memcpy(below + i, both[0], (size_t)m * sizeof(X));
        memcpy(above + i, both[1], (size_t)m * sizeof(X));
    }
    return sure;
}
#endif

#undef T
#undef SCALAR
#undef SHORT
#undef WIDE
#undef LEVELS
