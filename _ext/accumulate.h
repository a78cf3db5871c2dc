/* Sums of doubles, with what their roundings lose.
 *
 * Design:
 * (a) A quick sum is a number with a bound: the sum of |partial sum|, for each addition errs by at
 *     most half a unit in the last place of its result. With random signs that is sharper by sqrt(n)
 *     than n times the sum of |term|. Where a term is a float64 product `low` gathers what additions
 *     and products lost. A careful one's bound is what was lost, of float64 by additions to `low`:
 *     0 means that the sum is exact.
 * (b) An exact sum is PARTS doubles whose sum it is: what an addition to one loses is added to the
 *     next. What the last one loses makes it NaN, so such a sum knows whether it is exact; so do
 *     infinities and NaN among the terms.
 */
#ifndef PRELU_ACCUMULATE_H
#define PRELU_ACCUMULATE_H

#include "dtypes.h"

enum { ADDS_MOST = 256 }; /* to a lane before it is added to its alpha's sum: its bound grows with them */

enum { PARTS = 4, SUM = 0, BOUND = 1, LOW = 2 };

/* A number for each lane, or each alpha: quick sums use the first three arrays as SUM, BOUND and
 * LOW, exact sums all of them. */
typedef struct {
    double *part[PARTS];
} prelu_sums;

static inline double two_sum_error(double a, double b, double sum) {
    const double z = sum - a;
    return (a - (sum - z)) + (b - z);
}

/* An exact sum of `levels` parts += term, beginning at part `first`. */
static inline void exact_sum_add(double *const *part, ptrdiff_t i, double term, const int first,
                                 const int levels) {
    for (int k = first; k < levels; k++) {
        const double before = part[k][i], after = before + term;
        term = two_sum_error(before, term, after);
        part[k][i] = after;
    }
    part[levels - 1][i] = term == 0 ? part[levels - 1][i] : NAN;
}

/* The error of p = u * w, NaN if that underflows; which takes a processor long, so it is not computed. */
static inline double product_error(int identity, double u, double w, double p) {
    const int zero = identity | (u == 0) | (w == 0), known = fabs(p) >= 0x1p-900;
    const double error = fma(known ? u : 0.0, w, known ? -p : 0.0);
    return zero ? 0.0 : known ? error : NAN;
}

/* What a float64 sum errs by for each unit of its bound, at most: additions to `low` err by less than
 * 3 * ADDS_MOST of 2^-106 in a lane, and while lanes are added up. */
#define WIDE_UNIT (8.0 * (ADDS_MOST + 2 * LANES) * 0x1p-106)

/* A quick sum += another one, and what additions to `low` lose to the bound. */
static inline void quick_sum_add(const prelu_sums *to, ptrdiff_t i, double sum, double bound,
                                 double low, const int careful) {
    const double before = to->part[SUM][i], high = before + sum;
    const double error = two_sum_error(before, sum, high), old = to->part[LOW][i];
    const double a = old + error, b = a + low;
    to->part[SUM][i] = high;
    to->part[LOW][i] = b;
    to->part[BOUND][i] += bound + (careful ? fabs(two_sum_error(old, error, a)) +
                                              fabs(two_sum_error(a, low, b))
                                        : (fabs(a) + fabs(b)) * (0x1p-53 / WIDE_UNIT));
}

#endif
