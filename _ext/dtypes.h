/* The dtypes, and conversions of the four floats, in groups of LANES elements.
 *
 * Design:
 * (a) A loop body sees `float` or `double` arrays of LANES elements; the compiler keeps them in
 *     vector registers. gcc 12 does not vectorise float16 conversions by itself, so these are
 *     the only arithmetic intrinsics of the project.
 * (b) A NaN that was not bfloat16 to begin with is made NAN before it meets one (any_nan): rounding
 *     to bfloat16 is integer arithmetic and does not test for NaN.
 * (c) A double goes to a 16-bit format through a float rounded to odd: a float has more than
 *     two bits to spare there, so the second rounding is the only one that shows.
 */
#ifndef PRELU_DTYPES_H
#define PRELU_DTYPES_H

#include "strict_math.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PRELU_F16, PRELU_BF16, PRELU_F32, PRELU_F64, PRELU_I32, PRELU_I64, PRELU_U32, PRELU_U64,
    PRELU_DTYPES,
    PRELU_FLOATS = PRELU_I32 /* the floats come first; integers have a forward and nothing else */
};

#define LANES 16

/* The length of an array that has room for whole groups. */
static inline ptrdiff_t whole_groups(ptrdiff_t n) { return (n + LANES - 1) / LANES * LANES; }

#if defined(__GNUC__)
#define PRELU_PREFETCH(p) __builtin_prefetch(p)
#else
#define PRELU_PREFETCH(p) (void)(p)
#endif

#if defined(__clang__)
#define PRELU_UNROLL _Pragma("clang loop unroll_count(4)")
#elif defined(__GNUC__)
#define PRELU_UNROLL _Pragma("GCC unroll 4")
#else
#define PRELU_UNROLL
#endif

typedef uint16_t f16;
typedef uint16_t bf16;
typedef float f32;
typedef double f64;
typedef int32_t i32;
typedef int64_t i64;
typedef uint32_t u32;
typedef uint64_t u64;

static inline uint32_t float_bits(float v) {
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static inline uint64_t double_bits(double v) {
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static inline float bits_float(uint32_t u) {
    float v;
    memcpy(&v, &u, sizeof v);
    return v;
}

/* v, or for any NaN the plain one, whose bfloat16 has no other bits below. */
static inline double any_nan(double v) { return v == v ? v : (double)NAN; }

static inline float f16_to_float(f16 h) {
    /* Shifted into place the exponent is 112 too small; one exact multiplication mends it, for
     * subnormals too. Inf and NaN keep the all-ones exponent. */
    uint32_t shifted = (uint32_t)(h & 0x7fff) << 13;
    uint32_t finite = float_bits(bits_float(shifted) * 0x1p112f);
    uint32_t magnitude = shifted >= 0x0f800000u ? shifted | 0x7f800000u : finite;
    return bits_float(magnitude | (uint32_t)(h & 0x8000) << 16);
}

static inline f16 float_to_f16(float v) {
    uint32_t u = float_bits(v), sign = u >> 16 & 0x8000, a = u & 0x7fffffffu;
    /* normal: round to nearest even at bit 13; subnormal: let a float addition round */
    uint32_t normal = (a - (112u << 23) + 0xfffu + (a >> 13 & 1)) >> 13;
    uint32_t tiny = float_bits(bits_float(a) + 0.5f) - float_bits(0.5f);
    uint32_t h = a < 0x38800000u ? tiny : normal;
    h = a >= 0x47800000u ? 0x7c00u : h;      /* 65536 and more; 65520 rounds up to it by itself */
    h = a > 0x7f800000u ? 0x7e00u : h;       /* NaN */
    return (f16)(sign | h);
}

static inline float bf16_to_float(bf16 h) { return bits_float((uint32_t)h << 16); }

/* A bfloat16 in the upper half. A NaN must have zeros in the lower one, or it could become -0. */
static inline uint32_t float_to_bf16(float v) {
    const uint32_t u = float_bits(v), rounded = u + 0x7fffu;
    return u & 0x10000u ? rounded + 1 : rounded; /* a tie to even */
}

/* Rounded to odd: of the two floats around v the one with an odd last bit. */
static inline float double_to_float_odd(double v) {
    float nearest = (float)v;
    uint32_t u = float_bits(nearest);
    uint32_t toward = fabs(v) > fabs((double)nearest) ? u + 1 : u - 1;
    return bits_float((double)nearest == v || (u & 1) || v != v ? u : toward);
}

/* p, the product of two bfloat16 in float: where it may have underflowed, rounded as bfloat16 is
 * there, to a multiple of 2^-133. Scaled by 2^128 such a product is exact, and adding and subtracting
 * 1.5 * 2^18 rounds it to one of 2^-5. An exact zero is +0, also where the scaled one is NaN. */
static inline float tiny_rounded(float p, float x, float dy) {
    const float product = (x * 0x1p64f) * (dy * 0x1p64f) + 0.0f;
    const float rounded = ((product + 0x1.8p18f) - 0x1.8p18f) * 0x1p-64f * 0x1p-64f;
    const uint32_t sign = float_bits(product) & 0x80000000u;
    return fabsf(product) < 4.0f ? bits_float(float_bits(rounded) | sign) : p + 0.0f;
}

#endif
