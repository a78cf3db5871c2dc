/* a * b + c * d, exact and then rounded once.
 *
 * Design:
 * (a) The fast path is right unless the rounding is undecided; then the accurate path is used. This
 *     is rare, so the loops test it once per tile.
 * (b) In float (all arguments are floats' values) both products are exact in double, and so is
 *     their sum but for its rounding. That shows in the float only if there was one and the double
 *     is a tie of two floats. The slow sum is rounded to odd in double: with more than two bits to
 *     spare, the second rounding is the only one then.
 * (c) In double the sum is four doubles, product and error twice, added with a bound on what is
 *     lost: if both endpoints round to the same number, that is the result. Products may underflow by 2^-1074
 *     each; if one overflows, the endpoints differ. Products of numbers of few bits have no error,
 *     and their sum is rounded once. That leaves ties: the slow sum adds the three small ones
 *     first, rounded to odd, or where they are not exact or not small takes all in integers.
 * (d) A sum of zero is -0 only if both products are.
 */
#ifndef PRELU_DOT_H
#define PRELU_DOT_H

#include "accumulate.h"
#include "exact_sum.h"

#include <float.h>

static inline float dot_float(double a, double b, double c, double d) {
    return (float)(a * b + c * d);
}

static inline int dot_undecided_float(double a, double b, double c, double d) {
    const double p = a * b, q = c * d, sum = p + q;
    const int tie = (double_bits(sum) & 0x1fffffff) == 0x10000000;
    const int tiny = fabsf((float)sum) <= 0x1p-126f; /* there ties lie elsewhere */
    return (tie | tiny) & (two_sum_error(p, q, sum) != 0);
}

/* sum + error, |error| at most half a unit of sum, rounded to odd. */
static inline double to_odd(double sum, double error) {
    uint64_t u = double_bits(sum);
    if (!(u & 1) && (error > 0 || error < 0)) u += (error > 0) == (sum > 0) ? 1 : -1;
    double odd;
    memcpy(&odd, &u, sizeof odd);
    return odd;
}

static inline float dot_slow_float(double a, double b, double c, double d) {
    const double p = a * b, q = c * d, sum = p + q;
    return (float)to_odd(sum, two_sum_error(p, q, sum));
}

typedef struct {
    double sum, least, most; /* the plain sum; the ends of the interval, rounded */
} dot_ends;

static inline dot_ends dot_interval(double a, double b, double c, double d) {
    const double p = a * b, q = c * d, sum = p + q, left = two_sum_error(p, q, sum);
    const double errors = fma(a, b, -p) + fma(c, d, -q), rest = left + errors;
    const int whole = (fabs(p) >= 0x1p-960) & (fabs(q) >= 0x1p-960); /* no error underflows */
    const double lost = (fabs(left) + fabs(errors)) * 0x1p-51 + 0x1p-1070;
    const double bound = whole && errors == 0 ? 0.0 : lost;
    const dot_ends ends = {sum, sum + (rest - bound), sum + (rest + bound)};
    return ends;
}

/* Are both products zero, by a factor? */
static inline int dot_is_zero(double a, double b, double c, double d) {
    return ((a == 0) | (b == 0)) & ((c == 0) | (d == 0));
}

static inline double dot_double(double a, double b, double c, double d) {
    const dot_ends ends = dot_interval(a, b, c, d);
    return dot_is_zero(a, b, c, d) ? ends.sum : ends.least;
}

static inline int dot_undecided_double(double a, double b, double c, double d) {
    const dot_ends ends = dot_interval(a, b, c, d);
    return !((ends.least == ends.most) | dot_is_zero(a, b, c, d));
}

/* sum + left + e + f, with left, e and f far below sum. */
static inline double four_to_one(double sum, double left, double e, double f) {
    const double errors = e + f, rest = left + errors;
    const double a = two_sum_error(left, errors, rest), b = two_sum_error(e, f, errors), c = a + b;
    const double low = to_odd(c, two_sum_error(a, b, c)), high = rest + low;
    return sum + to_odd(high, two_sum_error(rest, low, high));
}

static inline double dot_slow_double(double a, double b, double c, double d) {
    if (dot_is_zero(a, b, c, d)) return a * b + c * d;
    const double p = a * b, q = c * d, sum = p + q, size = fabs(p) + fabs(q);
    const int errors_are_exact = fabs(p) > 0x1p-900 && fabs(q) > 0x1p-900 && size <= DBL_MAX;
    if (errors_are_exact && fabs(sum) > 0x1p-40 * size)
        return four_to_one(sum, two_sum_error(p, q, sum), fma(a, b, -p), fma(c, d, -q));
    int64_t state[PRELU_LIMBS_MOST] = {0};
    const exact_format f = exact_formats[PRELU_F64];
    exact_add_product(state, f, a, b);
    exact_add_product(state, f, c, d);
    return exact_round(state, f, PRELU_F64);
}

#endif
