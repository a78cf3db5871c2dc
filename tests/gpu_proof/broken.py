"""Kernels broken on purpose, one realistic mistake each: (file's text, what it becomes)."""

from __future__ import annotations

BROKEN = {
    "missing barrier": (
        "    for (;;) {\n        __syncthreads();",
        "    for (;;) {",
    ),
    "greater or equal": ("setp.gt.f32 p, %1, %2", "setp.ge.f32 p, %1, %2"),
    "dropped tail": ("first < tail) {", "first < tail - 1) {"),
    "dropped tail of a slab": ("if (i >= end) continue;", "if (i >= end - 1) continue;"),
    "wrong alpha": ("first + span * w.count + k) * w.a_near", "first + k) * w.a_near"),
    "off-by-one chunk": ("> w.chunk ? w.chunk : steps", "> w.chunk ? w.chunk - 1 : steps"),
    "step beyond the slab": ("+ VECTOR > (I)w.total;", "> (I)w.total;"),
    "tail taken twice": (".chunk == w.chunks - 1) {", ".chunk >= 0) {"),
    "wrong row": ("at->e += (I)w.skip;", "at->e += (I)w.jump;"),
    "wrong entries": ("(row * beside + c - span", "(row * beside + c + 1 - span"),
    "missing fence": (
        "        fence();\n        __syncthreads();\n        if (thread == 0) last",
        "        __syncthreads();\n        if (thread == 0) last",
    ),
    "counter not cleared": ("if (thread == 0) counter[group] = 0;", ""),
    "wrong group": ("begin = group * w.fan", "begin = group"),
    "missing NaN": (
        "return X_SIZE < 8 && !is_finite(sum.v[0]);",
        "*result = rounded<A>(sum.v[0] == sum.v[0] ? sum.v[0] : 0.0); return 1;",
    ),
    "flushed multiplication": ("mul.rn.f32 %0, %1, %2;", "mul.rn.ftz.f32 %0, %1, %2;"),
    "sum without a rounding test": (
        "return bits_as<u64>(*result) == ",
        "return 1 || bits_as<u64>(*result) == ",
    ),
    "rounding of a sum forgotten": (
        "sum->rest = __dadd_ru(sum->rest, fabs(value));",
        "sum->rest += 0.0;",
    ),
    "sizes taken for exact": ("size < unit)) sum.rest", "size < 1e9 * unit)) sum.rest"),
    "product that underflows unseen": ("mul.rp.f32", "mul.rn.f32"),
    "overflow of 32 bits": (
        "for (I i = first; i < vectors; i += (I)gridDim.x * BLOCK) {",
        "for (I i = (int)first; (int)i < (int)vectors; i += (int)(gridDim.x * BLOCK)) {",
    ),
    "window moved without emptying it": (
        "        empty(w, limbs);\n        w->position = place < 64",
        "        w->used = 0;\n        w->position = place < 64",
    ),
    "derivative rounded twice": (
        "double_to_float(rounded_to_odd(s, addition_error(p, q, s)))",
        "double_to_float(s)",
    ),
    "product that may underflow": (
        "if (zero || bits - 0x00800000u < 0x7f000000u) return",
        "return",
    ),
    "sum of two products without a test": (
        "    return integer_sum_of_products(a, b, c, d);",
        "    return high;",
    ),
    "state that is not carried": (
        "carried = ends ? 0 : carried >> 32;",
        "carried = 0;",
    ),
    "state without its count of NaN": (
        "add_digit(limbs, v > 0.0 ?",
        "if (v == v) add_digit(limbs, v > 0.0 ?",
    ),
    "windows joined at different places": (
        "if (other.position != w->position) {",
        "if (other.used == 0) {",
    ),
    "piece not cleared": ("slot[i] = 0;", ""),
}


def breaker(name):
    """Return a change of source texts that makes this mistake, wherever it can be made."""
    right, wrong = BROKEN[name]
    return lambda text: text.replace(right, wrong)
