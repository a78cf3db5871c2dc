/* Compensated sums of doubles, with error bounds.
 *
 * Design:
 * (a) A quick sum is a number with a bound: for each addition |its result|; its rounding error
 *     is at most 1 / UNITS of that. With random signs that is sharper by sqrt(n) than n times the sum of |term|.
 *     Where a term is a float64 product, `low` gathers what additions and products lost, and the
 *     bound is that of the additions to `low`. A careful sum's is what those additions lost. A bound
 *     of 0 means that the sum is exact.
 * (b) An exact sum is PARTS doubles whose sum it is: what an addition to one loses is added to the
 *     next. What the last one loses makes it NaN, so such a sum knows whether it is exact; so do
 *     infinities and NaN among the terms.
 */
#ifndef PRELU_ACCUMULATE_H
#define PRELU_ACCUMULATE_H

#include "dtypes.h"

enum { ADDS_MOST = 256 }; /* to an accumulator before it is added to its alpha's: its bound grows with them */

enum { PARTS = 4, SUM = 0, BOUND = 1, LOW = 2 };
#define UNITS 0x1p53 /* of a bound in a number of its size */

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

/* low + first + second, and the bound of these two additions; or `careful`, what they lost. */
typedef struct {
    double sum, bound;
} low_sum;

static inline low_sum low_sum_of(double low, double first, double second, const int careful) {
    const double a = low + first, b = a + second;
    const double lost = fabs(two_sum_error(low, first, a)) + fabs(two_sum_error(a, second, b));
    const low_sum both = {b, careful ? lost * UNITS : fabs(a) + fabs(b)};
    return both;
}

/* A quick sum += another one. */
static inline void quick_sum_add(const prelu_sums *to, ptrdiff_t i, double sum, double bound,
                                 double low, const int careful) {
    const double before = to->part[SUM][i], high = before + sum;
    const double lost = two_sum_error(before, sum, high);
    const low_sum both = low_sum_of(to->part[LOW][i], lost, low, careful);
    to->part[SUM][i] = high;
    to->part[LOW][i] = both.sum;
    to->part[BOUND][i] += bound + both.bound;
}

#endif
