/* A group of LANES elements of dtype X, and its sums. Included by loops_of_dtype.h.
 *
 * Design: a group is loaded into small arrays, computed by loops over the lanes, stored. The compiler
 * keeps the arrays in vector registers. What a loop does (`job`), how it stores (`put`) and whether
 * alpha varies within a group (`along`) are constants wherever group() is inlined.
 */
typedef struct {
    const X *x, *g, *u, *w;
    X *out, *of_x;
} T(operands);

/* The sums of a group of lanes; 16 bits have a float sum of |term| in the place of the bound. And
 * which sums of two products are undecided. */
typedef struct {
    double part[PARTS][LANES];
    float size[LANES];
    REAL undecided[LANES];
    double scale; /* of both factors */
} T(sums);

/* The largest x of the alpha branch. */
PRELU_FN REAL T(edge)(const prelu_tile *t) {
    return t->at_one ? (REAL)(sizeof(REAL) == 8 ? -0x1p-1074 : -0x1p-149) : 0;
}

/* Which numbers a job has for each lane. */
PRELU_FN int T(has)(const int k, const int job) {
    if (job == EXACT) return k < LEVELS;
    return SUMMING(job) && (k == SUM || (k == BOUND && !SIZES(job)) || (k == LOW && WIDE));
}

/* The sums of a job become other ones or, without any, zeros. */
PRELU_FN void T(set)(T(sums) *s, const T(sums) *from, const int job) {
    for (int k = 0; k < PARTS; k++)
        for (int l = 0; l < LANES && T(has)(k, job); l++) s->part[k][l] = from ? from->part[k][l] : 0;
    for (int l = 0; l < LANES && SIZES(job); l++) s->size[l] = from ? from->size[l] : 0;
}

PRELU_FN void T(start)(T(sums) *s, const prelu_tile *t, const int job) {
    T(set)(s, NULL, job);
    s->scale = t->scale;
    for (int l = 0; l < LANES && SECOND(job); l++) s->undecided[l] = 0;
}

/* The sums of a group from lanes in memory or, with `write`, to them. */
PRELU_FN void T(move)(T(sums) *s, const prelu_sums *lanes, ptrdiff_t lane, const int write,
                      const int job) {
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

/* The operands of a tile n elements and r rows further along. */
PRELU_FN T(operands) T(operands_at)(const prelu_tile *t, ptrdiff_t n, ptrdiff_t r, const int put,
                                    const int job) {
    const ptrdiff_t *const row = t->row;
    T(operands) o = {(const X *)t->at[TILE_X] + n + r * row[TILE_X],
                     (const X *)t->at[TILE_G] + n + r * row[TILE_G],
                     (const X *)t->at[TILE_U] + n + r * row[TILE_U],
                     (const X *)t->at[TILE_W] + n + r * row[TILE_W], NULL, NULL};
    if (put) o.out = (X *)t->at[TILE_OUT] + n + r * row[TILE_OUT];
    if (HAS_OF_X(job)) o.of_x = (X *)t->at[TILE_OF_X] + n + r * row[TILE_OF_X];
    return o;
}

/* Asks for what comes after a group: the hardware prefetcher falls behind in loops of many operations.
 * With ordinary stores, but for 16 bits, the data is mostly in a cache. */
PRELU_FN void T(prefetch)(const T(operands) o, const int put, const int job) {
    enum { AHEAD = 4096 };
    if ((!SUMMING(job) && !SECOND(job)) || (put == STORE && !SHORT)) return;
    for (size_t i = AHEAD; i < AHEAD + LANES * sizeof(X); i += LINE) {
        PRELU_PREFETCH((const char *)o.x + i);
        PRELU_PREFETCH((const char *)(job == EXACT ? o.w : o.g) + i);
        if (job == DOUBLE) PRELU_PREFETCH((const char *)o.w + i);
    }
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
            const double lost = two_sum_error(s->part[SUM][l], p, sum);
            if (WIDE) {
                const double error = job == CAREFUL ? product_error(identity, u[l], w[l], p)
                                     : identity     ? 0.0
                                                    : fma(u[l], w[l], -p);
                const low_sum low = low_sum_of(s->part[LOW][l], lost, error, job == CAREFUL);
                s->part[BOUND][l] += low.bound;
                s->part[LOW][l] = low.sum;
            } else {
                s->part[BOUND][l] += job == CAREFUL ? fabs(lost) * UNITS : fabs(sum);
            }
            s->part[SUM][l] = sum;
        }
    }
}

/* Of a group's outputs those from lane `first` on and before `end`. */
PRELU_FN void T(merge)(X *to, const X *out, const int first, const int end) {
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) to[l] = ((l >= first) & (l < end)) ? out[l] : to[l];
}

/* Non-temporal stores write whole lines; a group of 16 bits is half a line, which would take longer. */
PRELU_FN void T(put)(X *p, const REAL *v, const int put) {
    for (int i = 0; i < LANES && put == STREAM; i += STREAMED / (int)sizeof *p)
        stream_some(p + i, v + i);
    if (put != STREAM) T(store)(p, v);
}

/* One group: its outputs if `put`, and the sums over some of its lanes if the job has some. */
PRELU_FN void T(group)(const T(operands) o, const REAL *alpha, const REAL *alpha_dot,
                       const int along, const int put, const REAL edge, const int first,
                       const int end, T(sums) *s, const int job) {
    REAL xv[LANES], gv[LANES], uv[LANES], wv[LANES], outv[LANES], of_xv[LANES];
    T(prefetch)(o, put, job);
    T(load)(o.x, xv);
    if (put || IS_SUMS(job) || HAS_OF_X(job)) T(load)(job == FORWARD ? o.x : o.g, gv);
    if (job == EXACT) T(load)(o.u, uv);
    if (job == EXACT || job == DOUBLE || IS_EACH(job)) T(load)(o.w, wv);
    if (put && !SECOND(job)) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            outv[l] = SCALAR(scale)(SCALAR(identity)(xv[l], edge), gv[l],
                                     IS_EACH(job) ? wv[l] : alpha[along ? l : 0]);
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
                s->undecided[l] = JOIN2(dot_undecided, REAL)(a, gv[l], dot, xv[l]) ? 1 : s->undecided[l];
            }
        }
    }
    if (job == DOUBLE) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++)
            of_xv[l] = SCALAR(short_term)(SCALAR(identity)(xv[l], edge),
                                          alpha_dot[along ? l : 0], wv[l]);
    }
    if (job == EACH) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = SCALAR(identity)(xv[l], edge);
            const REAL p = SCALAR(short_term)(identity, xv[l], gv[l]);
            /* an exact zero is +0, also from -1 * 0; products of 16 bits are exact but for tiny ones */
            const int zero = (xv[l] == 0) | (gv[l] == 0) | SHORT;
            of_xv[l] = zero ? p + 0 : p;
            if (PRELU_BFLOAT) of_xv[l] = identity ? p : (REAL)tiny_rounded((float)p, xv[l], gv[l]);
        }
    }
#else
    (void)alpha_dot, (void)uv;
#endif
    if (IS_SUMS(job)) T(sum_group)(xv, xv, gv, edge, first, end, s, job);
    if (job == EXACT) T(sum_group)(xv, uv, wv, edge, first, end, s, job);
    if (job == DOUBLE) T(sum_group)(xv, gv, wv, edge, first, end, s, job);
    if (put) T(put)(o.out, outv, put);
    if (HAS_OF_X(job)) T(put)(o.of_x, of_xv, put ? put : STORE);
}

/* A group of which only the lanes from `first` on and before `end` count; the others' outputs stay as
 * they are. With `line`, which holds those before `first`, it is stored as a whole with the last. */
PRELU_FN void T(part_of_group)(const T(operands) o, const REAL *alpha, const REAL *alpha_dot,
                               const int along, int first, int end, const int put, REAL edge,
                               T(sums) *s, const int job, X (*line)[LANES]) {
    X out[2][LANES];
    T(operands) aside = o;
    aside.out = out[0], aside.of_x = out[1];
    T(group)(aside, alpha, alpha_dot, along, put ? STORE : NO_OUT, edge, first, end, s, job);
    for (int k = 0; k < 2; k++) {
        X *const to = k ? o.of_x : o.out;
        if (!(k ? HAS_OF_X(job) : put)) continue;
        if (put == STREAM && !line) {
            for (int l = first; l < end; l++) to[l] = out[k][l];
        } else {
            T(merge)(line ? line[k] : to, out[k], first, end);
            if (line && end == LANES) T(put)(to, (const REAL *)line[k], put);
        }
    }
}

/* How many of n elements come before the first cache-line boundary (peeled): of the output if its stores
 * are non-temporal, else of x if there are enough to make up for it. */
PRELU_FN ptrdiff_t T(ahead)(const X *x, const X *out, const int put, ptrdiff_t n) {
    const uintptr_t first = (uintptr_t)(put == STREAM ? out : x), group = LANES * sizeof(X);
    const ptrdiff_t ahead =
        (ptrdiff_t)((-first & ((group < LINE ? group : LINE) - 1)) / sizeof(X));
    return put != STREAM && n < 64 * LANES ? 0 : ahead;
}

PRELU_FN int T(any_undecided)(const T(sums) *s, const int job) {
    int any = 0;
    for (int l = 0; l < LANES && SECOND(job) && job != SLOW; l++) any |= s->undecided[l] > 0;
    return any;
}
