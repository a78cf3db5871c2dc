/* An exact sum of products of two floats, as integers.
 *
 * Design:
 * (a) A state is `digits` int64 limbs, limb i worth 2^(base + 32 i), then three counts: terms
 *     that are NaN, +inf, -inf. Every product of two numbers of the dtype is a multiple of
 *     2^base, and the top limb has room for 2^63 terms of the largest size.
 * (b) A limb takes signed 32-bit digits and is not carried at once, so adding is three integer
 *     additions and two states add limb by limb, in any order, to the same number. 2^31 additions
 *     fit before exact_carry() must run.
 * (c) Only exact_round() makes a float of it, with one rounding.
 */
#ifndef PRELU_EXACT_SUM_H
#define PRELU_EXACT_SUM_H

#include "dtypes.h"

#include <float.h>
#include <limits.h>

typedef struct {
    int base, digits;
} exact_format;

enum { PRELU_LIMBS_MOST = 134 + 3 };

enum { EXACT_NAN, EXACT_POSITIVE_INF, EXACT_NEGATIVE_INF, EXACT_COUNTS };

/* By dtype of x and dy: base is twice the exponent of the smallest subnormal. */
static const exact_format exact_formats[PRELU_FLOATS] = {
    [PRELU_F16] = {-48, 5}, [PRELU_BF16] = {-266, 19}, [PRELU_F32] = {-298, 20},
    [PRELU_F64] = {-2148, 134}};

static inline int exact_limbs(exact_format f) { return f.digits + EXACT_COUNTS; }

/* Of a double's last bit. */
static inline int last_exponent(double value) {
    const int field = (int)(double_bits(value) >> 52 & 0x7ff);
    return (field > 0 ? field : 1) - 1075;
}

/* state += value * 2^exponent, for a finite value. */
static inline void exact_add(int64_t *state, exact_format f, double value, int exponent) {
    const uint64_t bits = double_bits(value);
    uint64_t m = (bits & 0xfffffffffffffu) | (uint64_t)(fabs(value) >= DBL_MIN) << 52;
    int shift = last_exponent(value) + exponent - f.base;
    if (m == 0) return;
    if (shift < 0) { /* the bits below 2^base are zeros */
        m >>= -shift;
        shift = 0;
    }
    int64_t *limb = state + shift / 32;
    const uint64_t low = (m & 0xffffffffu) << shift % 32, high = (m >> 32) << shift % 32;
    const int64_t sign = bits >> 63 ? -1 : 1;
    limb[0] += sign * (int64_t)(low & 0xffffffffu);
    limb[1] += sign * (int64_t)((low >> 32) + (high & 0xffffffffu));
    if (high >> 32) limb[2] += sign * (int64_t)(high >> 32);
}

/* state += x * dy, for any x and dy. */
static inline void exact_add_product(int64_t *state, exact_format f, double x, double dy) {
    const double product = x * dy;
    int64_t *counts = state + f.digits;
    if (isnan(product)) {
        counts[EXACT_NAN]++;
    } else if (isinf(x) || isinf(dy)) {
        counts[product > 0 ? EXACT_POSITIVE_INF : EXACT_NEGATIVE_INF]++;
    } else {
        int ex, edy;
        const double a = frexp(x, &ex), b = frexp(dy, &edy), high = a * b;
        exact_add(state, f, high, ex + edy);
        exact_add(state, f, fma(a, b, -high), ex + edy);
    }
}

/* Normalises: all limbs but the signed top one are in [0, 2^32). The value stays the same. */
static inline void exact_carry(int64_t *state, exact_format f) {
    int64_t carry = 0;
    for (int i = 0; i + 1 < f.digits; i++) {
        const int64_t limb = state[i] + carry;
        state[i] = limb & 0xffffffff;
        carry = limb >> 32;
    }
    state[f.digits - 1] += carry;
}

/* The number rounded once, to nearest even, to a dtype; as a double, which holds it exactly. The
 * state is normalised, and left with its sign dropped. */
static inline double exact_round(int64_t *state, exact_format f, int dtype) {
    static const int precision[PRELU_FLOATS] = {11, 8, 24, 53};
    static const int smallest[PRELU_FLOATS] = {-24, -133, -149, -1074}; /* exponents */
    static const double overflow[PRELU_FLOATS] = {0x1p16, 0x1p128, 0x1p128, INFINITY};
    const int64_t *counts = state + f.digits;
    if (counts[EXACT_NAN] || (counts[EXACT_POSITIVE_INF] && counts[EXACT_NEGATIVE_INF]))
        return NAN;
    if (counts[EXACT_POSITIVE_INF]) return INFINITY;
    if (counts[EXACT_NEGATIVE_INF]) return -INFINITY;

    exact_carry(state, f);
    const int negative = state[f.digits - 1] < 0;
    if (negative) {
        for (int i = 0; i < f.digits; i++) state[i] = (int64_t)(0 - (uint64_t)state[i]);
        exact_carry(state, f);
    }
    int place = f.digits - 1; /* of the last bit of `bits`, counted in limbs, then from 2^base */
    while (place >= 0 && state[place] == 0) place--;
    if (place < 0) return 0.0;
    uint64_t bits = (uint64_t)state[place]; /* at last the leading 63, and whether others follow */
    int next = place - 1, size = 0;
    place *= 32;
    for (int step = 32; step > 0; step /= 2) size += bits >> (size + step) ? step : 0;
    size++;
    for (; next >= 0 && size < 63; next--) {
        const int more = 63 - size < 32 ? 63 - size : 32, rest = 32 - more;
        bits = bits << more | (uint64_t)state[next] >> rest;
        if ((uint64_t)state[next] & ((1u << rest) - 1)) bits |= 1;
        place -= more, size += more;
    }
    while (next >= 0) bits |= state[next--] != 0;

    int drop = size - precision[dtype];
    if (drop < smallest[dtype] - f.base - place) drop = smallest[dtype] - f.base - place;
    if (drop > size + 1) return negative ? -0.0 : 0.0;
    if (drop > 0) {
        const uint64_t half = (uint64_t)1 << (drop - 1), left = bits & (2 * half - 1);
        bits = drop == 64 ? 0 : bits >> drop;
        bits += left > half || (left == half && (bits & 1));
    }
    double value = ldexp((double)bits, place + f.base + (drop > 0 ? drop : 0));
    if (value >= overflow[dtype]) value = INFINITY;
    return negative ? -value : value;
}

/* The sum of n finite doubles, times 2^exponent, rounded so; by the few limbs that they reach. */
static inline double exact_round_sum(const double *term, int n, int exponent, int dtype) {
    int64_t state[PRELU_LIMBS_MOST];
    int least = INT_MAX, most = INT_MIN;
    for (int i = 0; i < n; i++) {
        if (term[i] == 0) continue;
        const int last = last_exponent(term[i]);
        least = last < least ? last : least;
        most = last > most ? last : most;
    }
    if (most < least) return 0.0;
    const exact_format f = {least + exponent, (most - least) / 32 + 3};
    for (int i = 0; i < exact_limbs(f); i++) state[i] = 0;
    for (int i = 0; i < n; i++) exact_add(state, f, term[i], exponent);
    return exact_round(state, f, dtype);
}

#endif
