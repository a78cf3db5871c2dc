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
typedef unsigned __int128 u128;
typedef __int128 i128;

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

/* A function of one instruction; `to` and the last parameters are the asm statement's operands. */
#define PTX(volatile_, type, to, name, parameters, instruction, ...)  \
    DEVICE type name parameters {                                     \
        type result;                                                  \
        asm volatile_(instruction : to(result) : __VA_ARGS__);        \
        return result;                                                \
    }

#ifndef PRELU_ON_HOST
PTX(, float, "=f", f16_to_float, (unsigned short v), "cvt.f32.f16 %0, %1;", "h"(v))
PTX(, unsigned short, "=h", float_to_f16, (float v), "cvt.rn.f16.f32 %0, %1;", "f"(v))
PTX(, double, "=d", as_double, (float v), "cvt.f64.f32 %0, %1;", "f"(v))
PTX(, float, "=f", double_to_float, (double v), "cvt.rn.f32.f64 %0, %1;", "d"(v))
PTX(, float, "=f", double_to_float_down, (double v), "cvt.rz.f32.f64 %0, %1;", "d"(v))
PTX(, float, "=f", multiply, (float a, float b), "mul.rn.f32 %0, %1, %2;", "f"(a), "f"(b))
PTX(, float, "=f", multiply_add, (float a, float b, float c), "fma.rn.f32 %0, %1, %2, %3;",
    "f"(a), "f"(b), "f"(c))
PTX(, int, "=r", above, (float a, float b),
    "{.reg .pred p; setp.gt.f32 p, %1, %2; selp.s32 %0, 1, 0, p;}", "f"(a), "f"(b))
/* Rounded upwards: |x * dy|, 0 only if exact, and size + |x * dy|. */
PTX(, float, "=f", size_of, (float x, float dy),
    "{.reg .f32 a, b; abs.f32 a, %1; abs.f32 b, %2; mul.rp.f32 %0, a, b;}", "f"(x), "f"(dy))
PTX(, float, "=f", add_size, (float size, float x, float dy),
    "{.reg .f32 a, b; abs.f32 a, %1; abs.f32 b, %2; fma.rp.f32 %0, a, b, %3;}",
    "f"(x), "f"(dy), "f"(size))
/* What follows from it is computed here, not kept from before a loop. */
PTX(volatile, float, "=f", anew, (float v), "mov.b32 %0, %1;", "f"(v))
/* Asked once more, where blockIdx.x and threadIdx.x would be kept in registers. */
PTX(volatile, int, "=r", block_index, (), "mov.u32 %0, %%ctaid.x;")
PTX(volatile, int, "=r", thread_index, (), "mov.u32 %0, %%tid.x;")
DEVICE void fence() { /* what this block has stored is seen before what it stores next */
    asm volatile("fence.acq_rel.gpu;" ::: "memory");
}
#endif

DEVICE double multiply(double a, double b) { return __dmul_rn(a, b); }
DEVICE int above(double a, double b) { return a > b; }
DEVICE double anew(double v) { return v; }
DEVICE double as_double(double v) { return v; }

/* ---- any dtype to and from float and double ---- */

DEVICE float native(f16 v) { return f16_to_float(v.bits); }
DEVICE float native(bf16 v) { return __uint_as_float((unsigned)v.bits << 16); }
DEVICE float native(float v) { return v; }
DEVICE double native(double v) { return v; }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
PTX(, unsigned short, "=h", float_to_bf16, (float v), "cvt.rn.bf16.f32 %0, %1;", "f"(v))
#else
DEVICE unsigned short float_to_bf16(float v) {
    const unsigned u = __float_as_uint(v);
    if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (unsigned short)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
#endif
DEVICE float double_to_float_odd(double v) {
    const float cut = double_to_float_down(v);
    return __uint_as_float(__float_as_uint(cut) | (as_double(cut) != v));
}

DEVICE void convert(float v, f16 *to) { to->bits = float_to_f16(v); }
DEVICE void convert(float v, bf16 *to) { to->bits = float_to_bf16(v); }
DEVICE void convert(float v, float *to) { *to = v; }
DEVICE void convert(float v, double *to) { *to = as_double(v); }
DEVICE void convert(double v, f16 *to) { to->bits = float_to_f16(double_to_float_odd(v)); }
DEVICE void convert(double v, bf16 *to) { to->bits = float_to_bf16(double_to_float_odd(v)); }
DEVICE void convert(double v, float *to) { *to = double_to_float(v); }
DEVICE void convert(double v, double *to) { *to = v; }

/* A float or a double rounded once to a dtype. */
template <class S, class R>
DEVICE S rounded(R v) {
    S result;
    convert(v, &result);
    return result;
}

/* Any dtype as `real`, exactly. */
template <class S>
DEVICE real widen(S v) {
    return rounded<real>(native(v));
}

/* The bits of one type as another; the lowest are kept, or filled up with zeros. */
template <class To, class From>
DEVICE To bits_as(From v) {
    To to = To();
    memcpy(&to, &v, sizeof to < sizeof v ? sizeof to : sizeof v);
    return to;
}

/* precision: bits of a significand; all numbers are below 2^limit; smallest: exponent of the least
 * subnormal; digits: of 32 bits, for the exact sum of 2^63 products, as in the CPU's exact_sum.h;
 * hidden: the uppermost bit of a significand; infinity: its bits. */
template <class S, int bits = sizeof(S) == 8 ? 53 : 24>
struct format {
    enum { precision = bits, size = 8 * sizeof(S), limit = 1 << (size - bits - 1) };
    enum { smallest = 3 - limit - bits, digits = (2 * limit - 2 * smallest + 64 + 31) / 32 };
    static constexpr u64 hidden = 1ull << (bits - 1), infinity = (2 * limit - 1) * hidden;
};
template <>
struct format<f16> : format<f16, 11> {};
template <>
struct format<bf16> : format<bf16, 8> {};

template <class S>
DEVICE int is_finite(S v) {
    return (bits_as<u64>(v) & format<S>::infinity) != format<S>::infinity;
}

/* ---- the arithmetic of PReLU: prelu_scalar.h is pasted in after this file ---- */

#define PRELU_FN DEVICE
#define PRELU_GT(a, b) above(a, b)
#define PRELU_MUL(a, b) multiply(a, b)
#define PRELU_ALPHA real
#define PRELU_DOT(a, b, c, d) sum_of_products(a, b, c, d)
#define PRELU(name) prelu_##name
