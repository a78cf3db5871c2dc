/* The loops of every dtype for one instruction set. Included by one small .c file per set, which
 * selects the set and defines ISA_TABLE, the name of the table that is built here. */
#include "loops.h"

#if defined(__clang__) || defined(__GNUC__)
#define PRELU_FN static inline __attribute__((always_inline))
#else
#define PRELU_FN static __forceinline
#endif

/* One group as one vector loop: unrolled first, gcc 12 would make branches of it. */
#if defined(__clang__)
#define PRELU_VECTOR _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define PRELU_VECTOR _Pragma("GCC unroll 1") _Pragma("GCC ivdep")
#else
#define PRELU_VECTOR
#endif

/* ---- groups of LANES stored elements to and from float or double ---- */

#if defined(PRELU_USE_AVX512)
PRELU_FN void load_f16(const f16 *p, float *v) {
    _mm512_storeu_ps(v, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)));
}
PRELU_FN void store_f16(f16 *p, const float *v) {
    _mm256_storeu_si256((__m256i *)p,
                        _mm512_cvtps_ph(_mm512_loadu_ps(v), _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(PRELU_USE_AVX2)
PRELU_FN void load_f16(const f16 *p, float *v) {
    for (int i = 0; i < LANES; i += 8)
        _mm256_storeu_ps(v + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + i))));
}
PRELU_FN void store_f16(f16 *p, const float *v) {
    for (int i = 0; i < LANES; i += 8)
        _mm_storeu_si128((__m128i *)(p + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(v + i), _MM_FROUND_TO_NEAREST_INT));
}
#else
PRELU_FN void load_f16(const f16 *p, float *v) {
    for (int i = 0; i < LANES; i++) v[i] = f16_to_float(p[i]);
}
PRELU_FN void store_f16(f16 *p, const float *v) {
    for (int i = 0; i < LANES; i++) p[i] = float_to_f16(v[i]);
}
#endif
PRELU_FN void load_bf16(const bf16 *p, float *v) {
    for (int i = 0; i < LANES; i++) v[i] = bf16_to_float(p[i]);
}
PRELU_FN void store_bf16(bf16 *p, const float *v) {
    for (int i = 0; i < LANES; i++) p[i] = float_to_bf16(v[i]);
}
PRELU_FN void load_f32(const f32 *p, float *v) { memcpy(v, p, LANES * sizeof *p); }
PRELU_FN void store_f32(f32 *p, const float *v) { memcpy(p, v, LANES * sizeof *p); }
PRELU_FN void load_f64(const f64 *p, double *v) { memcpy(v, p, LANES * sizeof *p); }
PRELU_FN void store_f64(f64 *p, const double *v) { memcpy(p, v, LANES * sizeof *p); }

/* ---- the arithmetic, in both compute types ---- */

#define PRELU_GT(a, b) ((a) > (b))
#define PRELU_MUL(a, b) ((a) * (b))
#define real float
#define PRELU(name) prelu_##name##_float
#include "prelu_scalar.h"
#undef real
#undef PRELU
#define real double
#define PRELU(name) prelu_##name##_double
#include "prelu_scalar.h"
#undef real
#undef PRELU

static const float edge_float[2] = {0.0f, -0x1p-149f};
static const double edge_double[2] = {0.0, -0x1p-1074};

/* ---- exact slices, for every dtype ---- */

static int split(double *v, size_t n, int exponent, double *const slices[EXACT_SLICES]) {
    /* adding and subtracting 1.5 * 2^(52 + e) rounds to a multiple of 2^e */
    double ruler[EXACT_SLICES], left[LANES] = {0};
    for (int k = 0; k < EXACT_SLICES; k++) ruler[k] = ldexp(1.5, 52 + exponent - EXACT_SLICE_BITS * k);
    for (size_t i = 0; i < n; i += LANES) {
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            double rest = v[i + l];
            for (int k = 0; k < EXACT_SLICES; k++) {
                const double bits = (rest + ruler[k]) - ruler[k];
                slices[k][i + l] += bits;
                rest -= bits;
            }
            v[i + l] = rest;
            left[l] = rest != 0 ? 1.0 : left[l];
        }
    }
    for (int l = 1; l < LANES; l++) left[0] += left[l];
    return left[0] > 0;
}

/* ---- one inclusion per dtype of x (WIDE: alpha is float64) ---- */

#define PASTE3(a, b, c) a##_##b##_##c
#define JOIN3(a, b, c) PASTE3(a, b, c)
#define PASTE2(a, b) a##_##b
#define JOIN2(a, b) PASTE2(a, b)

#define X f16
#define NATIVE float
#include "loops_of_dtype.h"
#undef X
#define X bf16
#include "loops_of_dtype.h"
#undef X
#define X f32
#include "loops_of_dtype.h"
#undef X
#undef NATIVE
#define X f64
#define NATIVE double
#include "loops_of_dtype.h"
#undef X
#undef NATIVE

#define ENTRY(x, wide) \
    { scale_##x##_##wide, backward_run_##x##_##wide, backward_along_##x##_##wide, terms_##x, \
      widen_##x##_##wide, narrow_##x, split }
const prelu_loop_table ISA_TABLE = {
    [PRELU_F16] = {ENTRY(f16, 0), ENTRY(f16, 1)},
    [PRELU_BF16] = {ENTRY(bf16, 0), ENTRY(bf16, 1)},
    [PRELU_F32] = {ENTRY(f32, 0), ENTRY(f32, 1)},
    [PRELU_F64] = {ENTRY(f64, 0), ENTRY(f64, 1)},
};
