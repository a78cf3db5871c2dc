/* A group of LANES elements of dtype X, and its sums. Included by loops_of_dtype.h.
 *
 * Design: a group is loaded into small arrays, computed by loops over the lanes, stored. The compiler
 * makes vector registers of the arrays. What a loop does (`job`), how it stores (`put`) and how alpha
 * lies (`along`) are constants wherever group() is inlined.
 */
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
    double scale; /* of both factors */
} T(sums);

/* Which numbers a job has for each lane. */
PRELU_FN int T(has)(const int k, const int job) {
    if (job == EXACT) return k < LEVELS;
    return SUMMING(job) && (k == SUM || (k == BOUND && !SIZES(job)) || (k == LOW && WIDE));
}

/* The sums of a job become other ones or, without any, zeros; doubts remain. */
PRELU_FN void T(set)(T(sums) *s, const T(sums) *from, const int job) {
    PRELU_UNROLL
    for (int k = 0; k < PARTS; k++) {
        if (!T(has)(k, job)) continue;
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) s->part[k][l] = from ? from->part[k][l] : 0;
    }
    if (SIZES(job)) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) s->size[l] = from ? from->size[l] : 0;
    }
    for (int l = 0; l < LANES && SECOND(job) && from; l++) s->doubt[l] = from->doubt[l];
}

PRELU_FN void T(start)(T(sums) *s, const prelu_tile *t, const int job) {
    T(set)(s, NULL, job);
    s->scale = t->scale;
    for (int l = 0; l < LANES && SECOND(job); l++) s->doubt[l] = 0;
}

/* The sums of a group from lanes in memory or, with `write`, to them. */
PRELU_FN void T(move)(T(sums) *s, const prelu_sums *lanes, ptrdiff_t lane, const int write,
                      const int job) {
    PRELU_UNROLL
    for (int k = 0; k < PARTS; k++) {
        if (!T(has)(k, job)) continue;
        double *to = write ? lanes->part[k] + lane : s->part[k];
        const double *from = write ? s->part[k] : lanes->part[k] + lane;
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) to[l] = from[l];
    }
    if (!SIZES(job)) return;
    float *const size = (float *)lanes->part[BOUND] + lane, *to = write ? size : s->size;
    const float *from = write ? s->size : size;
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) to[l] = from[l];
}

/* Operands further along: by n elements, and by r rows. */
PRELU_FN T(operands) T(step)(T(operands) o, const prelu_tile *t, ptrdiff_t n, ptrdiff_t r,
                             const int put, const int job) {
    o.x += n + r * t->row[0];
    if (put || IS_SUMS(job) || job == DOUBLE) o.g += n + r * t->row[1];
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
            const double a = WIDE ? u[l] * s->scale : u[l], b = WIDE ? w[l] * s->scale : w[l];
            const double p = SCALAR(term)(identity, a, b);
            exact_sum_add(part, l, p, 0, LEVELS);
            if (WIDE) exact_sum_add(part, l, product_error(identity, a, b, p), 1, LEVELS);
        }
    } else if (SIZES(job)) {
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
            if (WIDE && job != CAREFUL) {
                const double error = identity ? 0.0 : fma(u[l], w[l], -p);
                s->part[LOW][l] += two_sum_error(s->part[SUM][l], p, sum) + error;
            }
            if (WIDE && job == CAREFUL) {
                const double a = two_sum_error(s->part[SUM][l], p, sum), low = s->part[LOW][l] + a;
                const double b = product_error(identity, u[l], w[l], p), both = low + b;
                s->part[BOUND][l] += fabs(two_sum_error(s->part[LOW][l], a, low)) +
                                     fabs(two_sum_error(low, b, both));
                s->part[LOW][l] = both;
            } else {
                s->part[BOUND][l] += fabs(sum);
            }
            s->part[SUM][l] = sum;
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
    if (put || IS_SUMS(job) || job == DOUBLE) JOIN2(load, X)(job == FORWARD ? o.x : o.g, gv);
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
#else
    (void)alpha_dot;
#endif
    if (IS_SUMS(job)) T(sum_group)(xv, xv, gv, edge, first, end, s, job);
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
    else if (job == CAREFUL && !put) GROUP(NO_OUT, CAREFUL);
    else if (job == CAREFUL) GROUP(STORE, CAREFUL);
    else if (!put) GROUP(NO_OUT, SUMS);
    else if (job == SUMS) GROUP(STORE, SUMS);
    else if (job == DOUBLE) GROUP(STORE, DOUBLE);
    else if (job == JVP) GROUP(STORE, JVP);
    else if (job == SLOW) GROUP(STORE, SLOW);
    else GROUP(STORE, SCALE);
#undef GROUP
    for (int k = 0; k < (!put ? 0 : job == DOUBLE ? 2 : 1); k++) {
        X *to = k ? o.of_x : o.out;
        for (int l = 0; l < LANES; l++) to[l] = l >= first && l < last ? out[k][l] : to[l];
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
