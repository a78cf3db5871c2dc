/* a * b + c * d, exact and then rounded once.
 *
 * Design:
 * (a) In float both products are exact in double. Their sum is rounded to odd there, which leaves
 *     the rounding to float the only one that shows: a double has more than two bits to spare.
 * (b) In double the sum is four doubles, product and error twice. They are added with the errors
 *     kept; what is left bounds how far the result could be off, and where that, or the range,
 *     leaves a doubt the sum is taken exactly, in integers.
 * (c) A sum of zero is -0 only if both products are.
 */
#ifndef PRELU_DOT_H
#define PRELU_DOT_H

#include "exact_sum.h"

static inline double two_sum_error(double a, double b, double sum) {
    const double z = sum - a;
    return (a - (sum - z)) + (b - z);
}

static inline float dot_float(float a, float b, float c, float d) {
    const double p = (double)a * b, q = (double)c * d, s = p + q, error = two_sum_error(p, q, s);
    uint64_t u;
    memcpy(&u, &s, sizeof u);
    const uint64_t toward = (error > 0) == (s > 0) ? u + 1 : u - 1;
    u = (error > 0 || error < 0) && !(u & 1) ? toward : u;
    double odd;
    memcpy(&odd, &u, sizeof odd);
    return (float)odd;
}

typedef struct {
    double sum, rest, error; /* a * b + c * d = sum + rest, give or take the error */
} dot_parts;

static inline dot_parts dot_split(double a, double b, double c, double d) {
    const double p = a * b, q = c * d, s = p + q;
    const double left = two_sum_error(p, q, s), p_error = fma(a, b, -p), q_error = fma(c, d, -q);
    const double t = p_error + q_error, rest = left + t;
    const dot_parts parts = {
        s, rest,
        fabs(two_sum_error(p_error, q_error, t)) + fabs(two_sum_error(left, t, rest))};
    return parts;
}

/* Right unless dot_in_doubt(). */
static inline double dot_double(double a, double b, double c, double d) {
    const dot_parts dot = dot_split(a, b, c, d);
    return dot.rest == 0 ? dot.sum : dot.sum + dot.rest;
}

static inline int dot_in_doubt(double a, double b, double c, double d) {
    const dot_parts dot = dot_split(a, b, c, d);
    const double p = fabs(a * b), q = fabs(c * d);
    /* beyond the error even after it and the ends are rounded */
    const double bound = dot.error > 0 ? dot.error * 2 + fabs(dot.rest) * 0x1p-50 : 0.0;
    const int same = dot.sum + (dot.rest - bound) == dot.sum + (dot.rest + bound);
    const int p_fits = ((a == 0) | (b == 0) | (p >= 0x1p-900)) & (p <= 0x1p1000);
    const int q_fits = ((c == 0) | (d == 0) | (q >= 0x1p-900)) & (q <= 0x1p1000);
    return !(same & p_fits & q_fits);
}

static inline double dot_exact(double a, double b, double c, double d) {
    int64_t state[PRELU_LIMBS_MOST] = {0};
    const exact_format f = exact_formats[PRELU_F64];
    exact_add_product(state, f, a, b);
    exact_add_product(state, f, c, d);
    const int zeros = (a == 0 || b == 0) && (c == 0 || d == 0);
    return zeros ? a * b + c * d : exact_round(state, f, PRELU_F64);
}

#endif
