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

/* state += value * 2^exponent, for a finite value. */
static inline void exact_add(int64_t *state, exact_format f, double value, int exponent) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int field = (int)(bits >> 52 & 0x7ff);
    uint64_t m = (bits & 0xfffffffffffffu) | (uint64_t)(field > 0) << 52;
    int shift = (field > 0 ? field : 1) - 1075 + exponent - f.base;
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

/* Carries, so that all limbs but the signed top one lie in [0, 2^32). The number stays. */
static inline void exact_carry(int64_t *state, exact_format f) {
    for (int i = 0; i + 1 < f.digits; i++) {
        const int64_t low = (int64_t)((uint64_t)state[i] & 0xffffffffu);
        state[i + 1] += (state[i] - low) / 4294967296;
        state[i] = low;
    }
}

/* The limb of a place. The top limb of a sum that nobody's states can have holds more than 32. */
static inline int exact_limb(exact_format f, int place) {
    return place / 32 < f.digits ? place / 32 : f.digits - 1;
}

static inline int exact_bit(const int64_t *state, exact_format f, int place) {
    const int limb = exact_limb(f, place);
    return (int)(state[limb] >> (place - 32 * limb) & 1);
}

/* Is any bit set below this place of a carried, non-negative state? */
static inline int exact_any_below(const int64_t *state, exact_format f, int place) {
    int limb = exact_limb(f, place);
    if (state[limb] & (((int64_t)1 << (place - 32 * limb)) - 1)) return 1;
    while (limb-- > 0)
        if (state[limb]) return 1;
    return 0;
}

/* The number rounded once, to nearest even, to a dtype; as a double, which holds it exactly. The
 * state is carried, and left with its sign dropped. */
static inline double exact_round(int64_t *state, exact_format f, int dtype) {
    static const int precision[PRELU_FLOATS] = {11, 8, 24, 53};
    static const int smallest[PRELU_FLOATS] = {-24, -133, -149, -1074}; /* exponents */
    static const int overflow[PRELU_FLOATS] = {16, 128, 128, 1024};
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
    int top = f.digits - 1;
    while (top >= 0 && state[top] == 0) top--;
    if (top < 0) return 0.0;
    int highest = 32 * top; /* the place of the leading bit, counted from 2^base */
    for (int64_t d = state[top]; d > 1; d >>= 1) highest++;

    int last = highest - precision[dtype] + 1; /* the place of the last bit that is kept */
    if (last < smallest[dtype] - f.base) last = smallest[dtype] - f.base;
    uint64_t kept = 0;
    for (int place = highest; place >= last && place >= 0; place--)
        kept = kept << 1 | (uint64_t)exact_bit(state, f, place);
    if (last < 0) kept <<= -last; /* the sum is shorter than the dtype's precision */
    if (last > 0 && last - 1 <= highest) {
        const int half = exact_bit(state, f, last - 1);
        const int below = exact_any_below(state, f, last - 1);
        kept += half && (below || (kept & 1));
    }
    double value = ldexp((double)kept, last + f.base);
    if (value >= ldexp(1.0, overflow[dtype] - 1) * 2) value = INFINITY;
    return negative ? -value : value;
}

#endif
