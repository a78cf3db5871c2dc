/* The four dtypes on the device: how they are stored, widened and rounded.
 *
 * Design:
 * (a) CuPy compiles every kernel with -ftz=true, after the user's options. It changes what plain
 *     float expressions mean, and leaves alone inline PTX, integers and doubles. So no line
 *     outside the first block below adds, multiplies, compares or converts a float.
 * (b) 16-bit numbers are their bits; no CUDA header is needed.
 * (c) A double goes to a 16-bit format by way of a float rounded to odd: a float has more than
 *     two bits to spare there, so the second rounding is the only one that shows.
 *
 * The source begins with these definitions: X and A, the types of x and alpha (f16, bf16, f32 or
 * f64); real, the compute type; X_SIZE and A_SIZE, their bytes.
 */
typedef unsigned long long u64;
typedef long long i64;

struct f16 {
    unsigned short bits;
};
struct bf16 {
    unsigned short bits;
};
typedef float f32;
typedef double f64;

/* At least so many blocks run beside each other, so that a thread has 64 registers: fewer would
 * have to go through memory, more would leave too few threads to hide its latency. */
#define BLOCKS_PER_SM 4

#define DEVICE __device__ __forceinline__

#ifndef PRELU_ON_HOST
DEVICE float f16_to_float(unsigned short bits) {
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
    return v;
}
DEVICE unsigned short float_to_f16(float v) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
}
DEVICE double float_to_double(float v) {
    double wide;
    asm("cvt.f64.f32 %0, %1;" : "=d"(wide) : "f"(v));
    return wide;
}
DEVICE float double_to_float(double v) {
    float nearest;
    asm("cvt.rn.f32.f64 %0, %1;" : "=f"(nearest) : "d"(v));
    return nearest;
}
DEVICE float double_to_float_down(double v) { /* toward zero */
    float cut;
    asm("cvt.rz.f32.f64 %0, %1;" : "=f"(cut) : "d"(v));
    return cut;
}
DEVICE float multiply(float a, float b) {
    float product;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(product) : "f"(a), "f"(b));
    return product;
}
DEVICE float add_size(float size, float x, float dy) { /* size + |x * dy|, rounded upwards */
    float sum;
    asm("{\n\t.reg .f32 a, b;\n\tabs.f32 a, %1;\n\tabs.f32 b, %2;\n\t"
        "fma.rp.f32 %0, a, b, %3;\n\t}"
        : "=f"(sum)
        : "f"(x), "f"(dy), "f"(size));
    return sum;
}
DEVICE unsigned size_bits(float x, float dy) { /* of |x * dy|, rounded upwards: 0 only if exact */
    float product;
    asm("{\n\t.reg .f32 a, b;\n\tabs.f32 a, %1;\n\tabs.f32 b, %2;\n\t"
        "mul.rp.f32 %0, a, b;\n\t}"
        : "=f"(product)
        : "f"(x), "f"(dy));
    return __float_as_uint(product);
}
DEVICE float multiply_add(float a, float b, float c) {
    float sum;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(sum) : "f"(a), "f"(b), "f"(c));
    return sum;
}
DEVICE void fence() { /* what this block has stored is seen before what it stores next */
    asm volatile("fence.acq_rel.gpu;" ::: "memory");
}
/* Asked once more, where blockIdx.x and threadIdx.x would be kept in registers. */
DEVICE int block_index() {
    int index;
    asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(index));
    return index;
}
DEVICE int thread_index() {
    int index;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
    return index;
}
DEVICE float anew(float v) { /* what follows from it is computed here, not kept from before a loop */
    float same;
    asm volatile("mov.b32 %0, %1;" : "=f"(same) : "f"(v));
    return same;
}
DEVICE int above(float a, float b) {
    int answer;
    asm("{\n\t.reg .pred p;\n\tsetp.gt.f32 p, %1, %2;\n\tselp.s32 %0, 1, 0, p;\n\t}"
        : "=r"(answer)
        : "f"(a), "f"(b));
    return answer;
}
#endif

DEVICE double multiply(double a, double b) { return __dmul_rn(a, b); }
DEVICE int above(double a, double b) { return a > b; }
DEVICE double anew(double v) { return v; }

DEVICE float bf16_to_float(unsigned short bits) {
    return __uint_as_float((unsigned)bits << 16);
}
DEVICE unsigned short float_to_bf16(float v) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
#else
    const unsigned u = __float_as_uint(v);
    if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (unsigned short)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
#endif
}
DEVICE float double_to_float_odd(double v) {
    const float cut = double_to_float_down(v);
    return __uint_as_float(__float_as_uint(cut) | (float_to_double(cut) != v));
}

/* ---- any dtype to and from float and double ---- */

DEVICE float native(f16 v) { return f16_to_float(v.bits); }
DEVICE float native(bf16 v) { return bf16_to_float(v.bits); }
DEVICE float native(float v) { return v; }
DEVICE double native(double v) { return v; }

DEVICE double as_double(float v) { return float_to_double(v); }
DEVICE double as_double(double v) { return v; }

DEVICE void convert(float v, f16 *to) { to->bits = float_to_f16(v); }
DEVICE void convert(float v, bf16 *to) { to->bits = float_to_bf16(v); }
DEVICE void convert(float v, float *to) { *to = v; }
DEVICE void convert(double v, f16 *to) { to->bits = float_to_f16(double_to_float_odd(v)); }
DEVICE void convert(double v, bf16 *to) { to->bits = float_to_bf16(double_to_float_odd(v)); }
DEVICE void convert(double v, float *to) { *to = double_to_float(v); }
DEVICE void convert(double v, double *to) { *to = v; }
DEVICE void convert(float v, double *to) { *to = float_to_double(v); }

/* Any dtype as `real`, exactly. */
template <class S>
DEVICE real widen(S v) {
    real wide;
    convert(native(v), &wide);
    return wide;
}

/* A real or a double rounded once to a dtype. */
template <class S, class R>
DEVICE S rounded(R v) {
    S result;
    convert(v, &result);
    return result;
}

/* ---- bits, as CuPy passes elements and as the exact sum reads them ---- */

DEVICE unsigned short bits_of(f16 v) { return v.bits; }
DEVICE unsigned short bits_of(bf16 v) { return v.bits; }
DEVICE unsigned bits_of(float v) { return __float_as_uint(v); }
DEVICE u64 bits_of(double v) { return (u64)__double_as_longlong(v); }

DEVICE unsigned short passed(f16 v) { return v.bits; }
DEVICE unsigned short passed(bf16 v) { return v.bits; }
DEVICE float passed(float v) { return v; }
DEVICE double passed(double v) { return v; }

DEVICE void from_bits(u64 bits, f16 *to) { to->bits = (unsigned short)bits; }
DEVICE void from_bits(u64 bits, bf16 *to) { to->bits = (unsigned short)bits; }
DEVICE void from_bits(u64 bits, float *to) { *to = __uint_as_float((unsigned)bits); }
DEVICE void from_bits(u64 bits, double *to) { *to = __longlong_as_double((i64)bits); }

/* precision: bits of a significand; smallest: exponent of the least subnormal; digits: of 32 bits,
 * for the exact sum of 2^63 products, as in the CPU's exact_sum.h. */
template <class S>
struct format;
template <>
struct format<f16> {
    enum { precision = 11, smallest = -24, size = 16, digits = 5 };
};
template <>
struct format<bf16> {
    enum { precision = 8, smallest = -133, size = 16, digits = 19 };
};
template <>
struct format<float> {
    enum { precision = 24, smallest = -149, size = 32, digits = 20 };
};
template <>
struct format<double> {
    enum { precision = 53, smallest = -1074, size = 64, digits = 134 };
};

/* ---- the arithmetic of PReLU: prelu_scalar.h is pasted in after this file ---- */

#define PRELU_FN DEVICE
#define PRELU_GT(a, b) above(a, b)
#define PRELU_MUL(a, b) multiply(a, b)
#define PRELU_ALPHA real
#define PRELU_DOT(a, b, c, d) sum_of_products(a, b, c, d)
#define PRELU(name) prelu_##name
