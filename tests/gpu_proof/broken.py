"""Kernels broken on purpose, one realistic mistake each: (file's text, what it becomes)."""

from __future__ import annotations

BROKEN = {
    "missing barrier": (
        "    __syncthreads();\n    if (threadIdx.x < 32) {",
        "    if (threadIdx.x < 32) {",
    ),
    "greater or equal": (
        "setp.gt.f32 p, %1, %2",
        "setp.ge.f32 p, %1, %2",
    ),
    "dropped tail": (
        "first < tail) {",
        "first < tail - 1) {",
    ),
    "wrong channel": (
        "slope_at(o, channel * alpha_stride)",
        "slope_at(o, k * alpha_stride)",
    ),
    "off-by-one chunk": (
        "const I from = k * chunk, to = stream - from > chunk ? from + chunk : stream;",
        "const I from = k * chunk, to = stream - from > chunk ? from + chunk - 1 : stream;",
    ),
    "missing NaN": (
        "return !X_IS_F64 && !(fabs(sum.s) < infinity);",
        "*result = rounded<A>(sum.s == sum.s ? sum.s : 0.0); return 1;",
    ),
    "flushed multiplication": (
        "mul.rn.f32 %0, %1, %2;",
        "mul.rn.ftz.f32 %0, %1, %2;",
    ),
    "sum without a rounding test": (
        "return bits_of(*result) == bits_of(",
        "return 1 || bits_of(*result) == bits_of(",
    ),
    "swapped strides": (
        "(outer * channels + channel) * inner",
        "(channel * channels + outer) * inner",
    ),
    "overflow of 32 bits": (
        "for (I i = first; i < vectors; i += (I)gridDim.x * BLOCK) {",
        "for (I i = (int)first; (int)i < (int)vectors; i += (int)(gridDim.x * BLOCK)) {",
    ),
    "window moved without emptying it": (
        "        empty(w);\n        w->position = p.place < 64",
        "        w->used = 0;\n        w->position = p.place < 64",
    ),
    "derivative rounded twice": (
        "double_to_float(rounded_to_odd(s, addition_error(p, q, s)))",
        "double_to_float(s)",
    ),
    "sum of two products without a test": (
        "    return integer_sum_of_products(a, b, c, d);",
        "    return high;",
    ),
    "state that is not carried": (
        "carry(states + c * LIMBS);",
        "(void)states;",
    ),
    "state without its count of NaN": (
        "atomicAdd(&w->limbs[p.irregular], 1ull);",
        "if (p.irregular != A_NAN) atomicAdd(&w->limbs[p.irregular], 1ull);",
    ),
    "windows joined at different places": (
        "other.position != w->position || other.used",
        "other.used",
    ),
}


def breaker(name):
    """Return a change of source texts that makes this mistake, wherever it can be made."""
    right, wrong = BROKEN[name]
    return lambda text: text.replace(right, wrong)
