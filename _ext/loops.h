/* The table of loops: what the tile driver calls, one entry for each dtype of x and compute type. */
#ifndef PRELU_LOOPS_H
#define PRELU_LOOPS_H

#include "dtypes.h"

/* gcc and clang can compile one file for a newer instruction set than the rest; others get the
 * baseline alone. */
#if (defined(__x86_64__) || defined(__i386__)) && defined(__clang__)
#define PRELU_HAVE_X86_SETS 1
#define PRELU_PRAGMA(text) _Pragma(#text)
#define PRELU_TARGET_BEGIN(set) \
    PRELU_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define PRELU_TARGET_END _Pragma("clang attribute pop")
#elif (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define PRELU_HAVE_X86_SETS 1
#define PRELU_PRAGMA(text) _Pragma(#text)
#define PRELU_TARGET_BEGIN(set) _Pragma("GCC push_options") PRELU_PRAGMA(GCC target(set))
#define PRELU_TARGET_END _Pragma("GCC pop_options")
#endif

#define EXACT_SLICES 3
#define EXACT_SLICE_BITS 41 /* of the 52 a sum has: 2^11 numbers fit */

/* Sums of one run, or one lane of sums of many columns: the sum of the terms; its correction, in
 * the loops only where dalpha is float64; and the sum of |partial sum|. The last bounds the error:
 * each addition errs by at most half a unit in the last place of its result. */
typedef struct {
    double *sum, *correction, *partials;
} prelu_lanes;

/* Runs of one alpha that follow each other, each of `length` elements; after the last alpha comes
 * the first. A loop begins in a run of alpha `first` with `left` elements left. */
typedef struct {
    ptrdiff_t length, alphas, first, left;
} prelu_runs;

/* What the second order needs: u is x_dot or ddx, alpha_dot may be ddalpha. `out` gets y_dot or
 * the cotangent of dy. With dy also `of_x` that of x; and for that of alpha `lanes` the sums, as in
 * the backward, or where they are NULL two factors, whose products summed as x * dy are (x > 0 the
 * identity branch) give it. */
typedef struct {
    const void *x, *u, *dy, *alpha, *alpha_dot;
    void *out, *of_x, *factor[2];
    prelu_lanes lanes;
} prelu_second;

/* How a loop computes. */
enum {
    AT_ONE = 1, /* x = 0 is on the identity branch */
    AROUND = 2  /* around the caches; where alphas run along, each row of the outputs begins a line */
};

typedef struct {
    /* out = identity ? g : alpha * g over n elements. `period` 0: alpha is one number; else that
     * many alphas run along, again and again. */
    void (*scale)(const void *x, const void *g, const void *alpha, size_t period, void *out,
                  size_t n, int how);
    /* The same in one pass with the sum of the terms: the whole run's, into lanes[0]; or, with
     * alphas that run along, added to the lanes of the period. `out` may be NULL in both. */
    void (*backward_run)(const void *x, const void *g, const void *alpha, void *out, size_t n,
                         int how, prelu_lanes lanes);
    void (*backward_along)(const void *x, const void *g, const void *alpha, size_t period,
                           void *out, size_t n, int how, prelu_lanes lanes);
    /* The same over runs, in whole groups; each alpha has LANES lanes. */
    void (*scale_runs)(const void *x, const void *g, const void *alpha, const prelu_runs *runs,
                       void *out, size_t n, int how);
    void (*backward_runs)(const void *x, const void *g, const void *alpha, const prelu_runs *runs,
                          void *out, size_t n, int how, prelu_lanes lanes);
    /* The same where each alpha has one element, but another dtype than x: its term goes into
     * lanes.sum, the error of a float64 product into lanes.correction. */
    void (*backward_terms)(const void *x, const void *g, const void *alpha, void *out, size_t n,
                           int how, prelu_lanes lanes);
    /* Where each alpha has one element and x's dtype: scale, and the backward with the term
     * rounded. */
    void (*scale_each)(const void *x, const void *g, const void *alpha, void *out, size_t n,
                       int how);
    void (*backward_each)(const void *x, const void *g, const void *alpha, void *out,
                          void *dalpha, size_t n, int how);
    void (*second_order)(const prelu_second *second, size_t period, size_t n, int how);
    /* The terms themselves, exactly: high + low (low only where x is float64). Returns the largest
     * |high|, or inf if a term is not finite or too near the ends of float64's range to be exact.
     * Both arrays have room for n rounded up to LANES. */
    double (*terms)(const void *x, const void *g, double *high, double *low, size_t n, int how);
    /* Elements of this dtype to the compute type and, from double, back: rounded once. */
    void (*widen)(const void *from, void *to, size_t n);
    void (*narrow)(const double *from, void *to, size_t n);
    /* Moves the bits of n numbers into sums, that repeat after `period` lanes: those from
     * 2^exponent up into `upper`, the next EXACT_SLICE_BITS into `lower`. What remains stays in v;
     * returns whether anything does. v and the sums have room for whole groups of LANES, and v
     * has zeros there. */
    int (*split)(double *v, size_t n, size_t period, int exponent, double *upper, double *lower);
} prelu_loops;

typedef prelu_loops prelu_loop_table[PRELU_DTYPES][2]; /* [dtype of x][alpha is float64] */

extern const prelu_loop_table prelu_loops_baseline, prelu_loops_avx2, prelu_loops_avx512;

#endif
