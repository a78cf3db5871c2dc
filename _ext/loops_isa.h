/* The loops of every dtype for one instruction set. Included by one small .c file per set, which
 * selects the set and defines ISA_TABLE, the name of the table that is built here. */
#include "dot.h"
#include "loops.h"

#if defined(__clang__)
#define PRELU_FN static inline __attribute__((always_inline))
#define PRELU_ASIDE static __attribute__((noinline))
#elif defined(__GNUC__)
#define PRELU_FN static inline __attribute__((always_inline))
/* gcc 12 loses stores to what a clone's pointers point to */
#define PRELU_ASIDE static __attribute__((noinline, noclone))
#else
#define PRELU_FN static __forceinline
#define PRELU_ASIDE static __declspec(noinline)
#endif

/* A loop over one group is a few vector operations. Unrolled before it is vectorised, gcc 12 makes
 * branches of it; never unrolled, the 4 or 8 vectors of a group go through the stack. 8 is less than
 * LANES, and enough for those. */
#if defined(__clang__)
#define PRELU_VECTOR _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define PRELU_VECTOR _Pragma("GCC unroll 8") _Pragma("GCC ivdep")
#else
#define PRELU_VECTOR
#endif

/* An array whose elements are all taken for used. gcc sees that in a fold ever fewer lanes count, and
 * computes those one by one, which takes twice as long. */
#if defined(__GNUC__)
#define PRELU_IN_MEMORY(array) __asm__("" : "+m"(array))
#else
#define PRELU_IN_MEMORY(array) (void)0
#endif

/* Whether a group writes `out`, and how. STREAM, a non-temporal store, is an instruction without a
 * memory clobber, because no loop reads what it has written: gcc assumes that the intrinsic may change
 * any memory, and would store and load every accumulator around it. */
enum { NO_OUT, STORE, STREAM };

/* ---- groups of LANES stored elements to and from float or double ---- */

/* Only what gcc 12 does not vectorise by itself: the float16 conversions, 16-bit integers to and
 * from whole vectors of 32-bit ones, and non-temporal stores. */
#if defined(PRELU_USE_AVX512)
enum { STREAMED = 64 };
PRELU_FN void load_f16(const f16 *p, float *v) {
    _mm512_storeu_ps(v, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)));
}
PRELU_FN void store_f16(f16 *p, const float *v) {
    _mm256_storeu_si256((__m256i *)p,
                        _mm512_cvtps_ph(_mm512_loadu_ps(v), _MM_FROUND_TO_NEAREST_INT));
}
PRELU_FN void widen_16(const uint16_t *p, uint32_t *v) {
    _mm512_storeu_si512(v, _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)));
}
PRELU_FN void upper_16(uint16_t *p, const uint32_t *v) {
    static const uint16_t upper[32] = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
    const __m512i u = _mm512_permutexvar_epi16(_mm512_loadu_si512(upper), _mm512_loadu_si512(v));
    _mm256_storeu_si256((__m256i *)p, _mm512_castsi512_si256(u));
}
PRELU_FN void stream_some(void *to, const void *from) {
    __asm__ volatile("vmovntdq %1, (%0)" : : "r"(to), "v"(_mm512_loadu_si512(from)));
}
#elif defined(PRELU_USE_AVX2)
enum { STREAMED = 32 };
PRELU_FN void load_f16(const f16 *p, float *v) {
    for (int i = 0; i < LANES; i += 8)
        _mm256_storeu_ps(v + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + i))));
}
PRELU_FN void store_f16(f16 *p, const float *v) {
    for (int i = 0; i < LANES; i += 8)
        _mm_storeu_si128((__m128i *)(p + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(v + i), _MM_FROUND_TO_NEAREST_INT));
}
PRELU_FN void widen_16(const uint16_t *p, uint32_t *v) {
    for (int i = 0; i < LANES; i += 8)
        _mm256_storeu_si256((__m256i *)(v + i),
                            _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + i))));
}
PRELU_FN void upper_16(uint16_t *p, const uint32_t *v) {
    const __m256i a = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i *)v), 16);
    const __m256i b = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i *)(v + 8)), 16);
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8));
}
PRELU_FN void stream_some(void *to, const void *from) {
    __asm__ volatile("vmovntdq %1, (%0)" : : "r"(to), "x"(_mm256_loadu_si256(from)));
}
#else
PRELU_FN void load_f16(const f16 *p, float *v) {
    PRELU_VECTOR
    for (int i = 0; i < LANES; i++) v[i] = f16_to_float(p[i]);
}
PRELU_FN void store_f16(f16 *p, const float *v) {
    PRELU_VECTOR
    for (int i = 0; i < LANES; i++) p[i] = float_to_f16(v[i]);
}
PRELU_FN void widen_16(const uint16_t *p, uint32_t *v) {
    for (int i = 0; i < LANES; i++) v[i] = p[i];
}
PRELU_FN void upper_16(uint16_t *p, const uint32_t *v) {
    PRELU_VECTOR
    for (int i = 0; i < LANES; i++) p[i] = (uint16_t)(v[i] >> 16);
}
#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
enum { STREAMED = 16 };
PRELU_FN void stream_some(void *to, const void *from) {
    _mm_stream_si128(to, _mm_loadu_si128(from));
}
#else
enum { STREAMED = 64 };
PRELU_FN void stream_some(void *to, const void *from) {
    memcpy(to, from, STREAMED);
}
#endif
#endif
PRELU_FN void load_bf16(const bf16 *p, float *v) {
    uint32_t u[LANES];
    widen_16(p, u);
    PRELU_VECTOR
    for (int i = 0; i < LANES; i++) v[i] = bits_float(u[i] << 16);
}
PRELU_FN void store_bf16(bf16 *p, const float *v) {
    uint32_t u[LANES];
    PRELU_VECTOR
    for (int i = 0; i < LANES; i++) u[i] = float_to_bf16(v[i]);
    upper_16(p, u);
}
/* ---- the arithmetic, in both compute types, and again with the slow sums of two products ---- */

#define PRELU_ALPHA double
#define PRELU_GT(a, b) ((a) > (b))
#define PRELU_MUL(a, b) ((a) * (b))
#define real float
#define PRELU(name) prelu_##name##_float
#define PRELU_DOT dot_float
#include "prelu_scalar.h"
#undef PRELU
#undef PRELU_DOT
#define PRELU(name) prelu_##name##_slow_float
#define PRELU_DOT dot_slow_float
#include "prelu_scalar.h"
#undef real
#undef PRELU
#undef PRELU_DOT
#define real double
#define PRELU(name) prelu_##name##_double
#define PRELU_DOT dot_double
#include "prelu_scalar.h"
#undef PRELU
#undef PRELU_DOT
#define PRELU(name) prelu_##name##_slow_double
#define PRELU_DOT dot_slow_double
#include "prelu_scalar.h"
#undef real
#undef PRELU
#undef PRELU_DOT

/* ---- what a loop does ---- */

/* Beside the jobs of loops.h: SCALE where g is x, which is widened once; JVP again, for `out` alone,
 * with the slow sums of two products; EACH for `out` alone. */
enum { FORWARD = JOBS, SLOW, EACH_SCALE };
#define IS_SUMS(job) ((job) == SUMS || (job) == CAREFUL)
#define SUMMING(job) (IS_SUMS(job) || (job) == EXACT || (job) == DOUBLE)
#define SECOND(job) ((job) == JVP || (job) == DOUBLE || (job) == SLOW)
#define IS_EACH(job) ((job) == EACH || (job) == EACH_SCALE)
#define HAS_OF_X(job) ((job) == DOUBLE || (job) == EACH)

/* From the sum of |term| of 16 bits, that a float holds to 2^-15, the bound after `adds` additions to
 * a lane, and those that add up the lanes. */
enum { GROUPS_MOST = 4 };
enum { GROUP_ADDS_MOST = ADDS_MOST + 3 };
PRELU_FN double bound_of_size(ptrdiff_t adds) { return (double)adds * (1 + 0x1p-14); }

/* ---- one inclusion per dtype of x ---- */

#define PASTE3(a, b, c) a##_##b##_##c
#define JOIN3(a, b, c) PASTE3(a, b, c)
#define PASTE2(a, b) a##_##b
#define JOIN2(a, b) PASTE2(a, b)

#define PRELU_FLOAT 1
#define REAL float
#define PRELU_SHORT 1
#define PRELU_BFLOAT 0
#define X f16
#include "loops_of_dtype.h"
#undef X
#undef PRELU_BFLOAT
#define PRELU_BFLOAT 1
#define X bf16
#include "loops_of_dtype.h"
#undef X
#undef PRELU_BFLOAT
#undef PRELU_SHORT
#define PRELU_BFLOAT 0
#define PRELU_SHORT 0
#define X f32
#include "loops_of_dtype.h"
#undef X
#undef REAL
#define X f64
#define REAL double
#include "loops_of_dtype.h"
#undef X
#undef REAL
#undef PRELU_FLOAT

#define PRELU_FLOAT 0
#define X i32
#include "loops_of_integer.h"
#undef X
#define X i64
#include "loops_of_integer.h"
#undef X
#define X u32
#include "loops_of_integer.h"
#undef X
#define X u64
#include "loops_of_integer.h"
#undef X

#define ENTRY(x, careful) \
    {{segments_scale_##x, segments_sums_##x, segments_##careful##_##x, segments_exact_##x, \
      segments_jvp_##x, segments_double_##x, segments_each_##x}, \
     {lanes_scale_##x, lanes_sums_##x, lanes_##careful##_##x, lanes_exact_##x, lanes_jvp_##x, \
      lanes_double_##x}, \
     widen_##x, widen_double_##x, narrow_##x, add_##x, round_##x}
#define INTEGER(x) \
    {.segments = {[SCALE] = segments_scale_##x, [EACH] = segments_each_##x}, \
     .lanes = {lanes_scale_##x}, .widen = widen_##x}
const prelu_loop_table ISA_TABLE = {
    [PRELU_F16] = ENTRY(f16, careful), [PRELU_BF16] = ENTRY(bf16, careful),
    [PRELU_F32] = ENTRY(f32, sums),    [PRELU_F64] = ENTRY(f64, careful),
    [PRELU_I32] = INTEGER(i32),        [PRELU_I64] = INTEGER(i64),
    [PRELU_U32] = INTEGER(u32),        [PRELU_U64] = INTEGER(u64)};
