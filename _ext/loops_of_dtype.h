/* The loops for one dtype X of x, computed in REAL: groups, the shapes of loops over them, and what is
 * an entry of the table. */
#define T(name) JOIN2(name, X)
#define SCALAR(name) JOIN3(prelu, name, REAL)
#define SHORT (sizeof(X) == 2)            /* products are exact in float, but for underflow */
#define WIDE (sizeof(X) == 8)             /* products have an error */
/* In the place of the bound a float sum of |term|, which is rounded to float: not in careful sums. */
#define SIZES(job) (SHORT && SUMMING(job) && (job) != EXACT && (job) != CAREFUL)
#define LEVELS (SHORT ? 2 : WIDE ? 4 : 3) /* of exact sums: enough for usual numbers */

#include "group.h"

#include "shapes.h"

#include "convert.h"

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

/* Fewer than LANES elements from i on. */
PRELU_ASIDE void T(each_few)(const prelu_tile *t, X *dalpha, ptrdiff_t i, ptrdiff_t m, REAL edge) {
    X in[3][LANES] = {{0}}, got[2][LANES];
    const size_t size = (size_t)m * sizeof(X);
    memcpy(in[0], (const X *)t->x + i, size);
    memcpy(in[1], (const X *)t->g + i, size);
    memcpy(in[2], (const X *)t->alpha + i, size);
    const T(operands) o = {in[0], in[1], NULL, NULL, got[0], NULL};
    if (dalpha) T(each_group)(o, in[2], got[1], STORE, edge, SUMS);
    else T(each_group)(o, in[2], NULL, STORE, edge, SCALE);
    if (t->out) memcpy((X *)t->out + i, got[0], size);
    if (dalpha) memcpy(dalpha + i, got[1], size);
}

/* With non-temporal stores lines of both outputs begin together. */
PRELU_FN void T(each_loop)(const prelu_tile *t, X *dalpha, const int put, const int job) {
    const REAL edge = JOIN2(edge, REAL)[t->at_one];
    const X *alpha = t->alpha, *x = t->x, *g = t->g;
    X *out = t->out;
    const ptrdiff_t n = t->n;
    ptrdiff_t i = put >= STREAM ? T(ahead)(x, out, put, n) : 0;
    if (i > 0) T(each_few)(t, dalpha, 0, i, edge);
    for (; i + LANES <= n; i += LANES) {
        const T(operands) o = {x + i, g + i, NULL, NULL, put ? out + i : NULL, NULL};
        T(each_group)(o, alpha + i, job == SUMS ? dalpha + i : NULL, put, edge, job);
    }
    if (i < n) T(each_few)(t, dalpha, i, n - i, edge);
}

static void T(each)(const prelu_tile *t, void *dalpha) {
    if (dalpha && !t->out) T(each_loop)(t, dalpha, NO_OUT, SUMS);
    else if (dalpha && t->stream && !SHORT) T(each_loop)(t, dalpha, STREAM, SUMS);
    else if (dalpha) T(each_loop)(t, dalpha, STORE, SUMS);
    else if (t->stream && !SHORT) T(each_loop)(t, NULL, STREAM, SCALE);
    else if (SHORT && t->g == t->x) T(each_loop)(t, NULL, STORE, FORWARD);
    else T(each_loop)(t, NULL, STORE, SCALE);
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
#define SUMS_ENTRY(shape, name, job)                                            \
    static void T(shape##_##name)(const prelu_tile *t) {                        \
        if (!t->out) T(shape##_loop)(t, NO_OUT, job);                           \
        else if (t->stream && !SHORT) T(shape##_loop)(t, STREAM_APART, job);    \
        else T(shape##_loop)(t, STORE, job);                                    \
    }
#define ENTRIES(shape)                                                          \
    SUMS_ENTRY(shape, sums, SUMS)                                               \
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
#if PRELU_WIDE || PRELU_BFLOAT
SUMS_ENTRY(segments, careful, CAREFUL)
SUMS_ENTRY(lanes, careful, CAREFUL)
#endif
#undef ENTRIES
#undef SUMS_ENTRY
#endif

#undef T
#undef SCALAR
#undef SHORT
#undef WIDE
#undef LEVELS
#undef SIZES
