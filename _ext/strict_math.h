/* Every operation as it is written: sums that know what they lost, NaN and zeros with a sign need
 * that. setup.py's flags come last, so only a compiler that adds flags of its own after them can
 * have another mind. */
#ifndef PRELU_STRICT_MATH_H
#define PRELU_STRICT_MATH_H

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) ||   \
    defined(__NO_SIGNED_ZEROS__) || defined(_M_FP_FAST) ||                                       \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "prelu_array cannot be built with fast math: take -ffast-math, -Ofast, \
-funsafe-math-optimizations or /fp:fast out of the compiler's wrapper or configuration file"
#endif

#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ % 16 != 0
#error "prelu_array needs float and double computed as such: add -msse2 -mfpmath=sse to CFLAGS"
#endif

#if defined(__clang__) /* which has no macro for parts of fast math */
#pragma clang fp reassociate(off) contract(off)
#endif

#endif
