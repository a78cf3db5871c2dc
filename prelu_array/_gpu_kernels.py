"""The CUDA text and what runs it: our kernels by their plans, CuPy's own for any strides."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from struct import Struct
from typing import Any

import cupy
import numpy as np

from ._plan import Launch, head

# No contraction: a product and a sum are two roundings.
OPTIONS = ("-std=c++17", "-fmad=false")


class ByValue:
    """A struct of the .cu files. A call makes an argument of its fields, in their order."""

    def __init__(self, form: str) -> None:
        self._struct = Struct(form)
        self._dtype = np.dtype([("words", np.uint64, (self._struct.size // 8,))])

    def __call__(self, *fields: Any) -> Any:
        """Return an array of size one, which CuPy passes by value."""
        return np.frombuffer(self._struct.pack(*fields), self._dtype)


# out, of_x, x, dy, ddx, alpha, ddalpha; number, ddnumber
prelu_operands = ByValue("7Q2d")
# partials, dalpha; dalpha_stride; doubtful; bound, tiny
prelu_end_of_sums = ByValue("2QqQ2d")
# states; stride
prelu_end_of_states = ByValue("Qq")


@lru_cache(maxsize=8)
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def source(kernel: str, head: str) -> str:
    """Return the CUDA source of a kernel. It includes nothing: CuPy's cache keys on the text."""
    exact = kernel in ("exact", "carry", "round")
    files = ["numbers.cu", "products.cu", "prelu_scalar.h"]
    files.append("exact_sum.cu" if exact or "#define STATES 1\n" in head else "sums.cu")
    if kernel:
        head += f"#define KERNEL_{kernel.upper()}\n"
        files.append("exact.cu" if exact else "kernels.cu")
    return head + "\n".join(_text(name) for name in files)


@cache
def _kernel(kernel: str, head: str) -> Any:
    return cupy.RawKernel(source(kernel, head), f"prelu_{kernel}_kernel", OPTIONS)


def launch(plan: Launch, args: tuple[Any, ...]) -> None:
    """Start a kernel on the current stream."""
    try:
        _kernel(plan.kernel, plan.head)((plan.grid,), (plan.block,), args)
    except (ImportError, OSError, RuntimeError) as error:
        _explain(error)
        raise


def _explain(error: Exception) -> None:
    """Raise what to install, if the error is that CuPy cannot load its compiler."""
    if "libnvrtc" in str(error) or "nvrtc64" in str(error):
        release = cupy.cuda.runtime.runtimeGetVersion() // 1000
        raise RuntimeError(
            f"CuPy found no NVRTC to compile the kernels with: "
            f"pip install cupy-cuda{release}x[ctk], or install the CUDA toolkit"
        ) from error


# ---- any strides ----


def _bits(code: str) -> str:
    """Return the type that CuPy's kernels see: 16-bit numbers travel as their bits."""
    return {"f32": "float32", "f64": "float64"}.get(code, "uint16")


def as_bits(a: Any) -> Any:
    """Return an array as CuPy's kernels see it."""
    return a.view(np.uint16) if a.dtype.itemsize == 2 else a


# What one element of x gives: parameters (X of x's dtype, A of alpha's), the result's, the result.
_STRIDED = {
    "scale": (
        ("X x", "X g", "A alpha"),
        "X",
        "rounded<X>(prelu_scale(identity, widen(g_), widen(alpha_)))",
    ),
    "jvp": (
        ("X x", "X g", "A alpha", "A dot"),
        "X",
        "rounded<X>(prelu_jvp(identity, widen(x_), widen(alpha_), widen(g_), widen(dot_)))",
    ),
    "of_x": (
        ("X x", "X dy", "A dot"),
        "X",
        "rounded<X>(prelu_short_term(identity, widen(dot_), widen(dy_)))",
    ),
    "terms": (("X x", "X factor", "X dy"), "A", "rounded_term(identity, factor_, dy_)"),
}


@cache
def strided(name: str, x: str, alpha: str) -> Any:
    """Return what computes one element from one, over memory of any strides."""
    params, result, expression = _STRIDED[name]
    kinds = {"X": _bits(x), "A": _bits(alpha)}
    return cupy.ElementwiseKernel(
        ", ".join(f"{kinds[p[0]]} {p[2:]}" for p in params) + ", float64 edge",
        f"{kinds[result]} out",
        "".join(f"const {p}_ = {{{p[2:]}}};" for p in params)
        + "const int identity = prelu_identity(widen(x_), rounded<real>(edge));"
        + f"out = passed({expression})",
        f"prelu_strided_{name}_{x}_{alpha}",
        preamble=source("", head(x, alpha)),
        options=OPTIONS,
    )


@cache
def strided_sums(x: str, alpha: str, edge: float) -> Any:
    """Return what makes a partial sum for each alpha, over any axes and any strides."""
    identity = f"prelu_identity(widen(X{{x}}), rounded<real>({edge!r}))"
    return cupy.ReductionKernel(
        ", ".join(f"{_bits(x)} {name}" for name in ("x", "factor", "dy")),
        "float64 s, float64 size, float64 low",
        f"one_term({identity}, X{{factor}}, X{{dy}})",
        "both(a, b)",
        "s = a.s, size = a.size, low = a.low",
        "sum_of_nothing()",
        f"prelu_strided_sums_{x}_{alpha}_{int(edge != 0)}",
        reduce_type="prelu_sum",
        preamble=source("", head(x, alpha)),
        options=OPTIONS,
    )
