"""The CUDA text and what runs it: our kernels by their plans, CuPy's own for any strides."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from functools import cache, lru_cache
from pathlib import Path
from struct import Struct
from typing import Any

import cupy
import numpy as np
from cupy.cuda.function import CPointer

from .plan import BLOCK, Launch, head

# No contraction: a product and a sum are two roundings.
OPTIONS = ("-std=c++17", "-fmad=false", "--device-int128")

_ARITHMETIC = ("numbers.cu", "products.cu", "../prelu_scalar.h")
_SUMS = (*_ARITHMETIC, "sums.cu", "exact_sum.cu", "operands.cu", "exact.cu")
FILES = {
    "scale": (*_ARITHMETIC, "operands.cu", "scale.cu"),
    "walk": (*_SUMS, "totals.cu", "walk.cu"),
    "exact": _SUMS,
    "round": (*_ARITHMETIC, "exact_sum.cu"),
    "strided": (*_ARITHMETIC, "sums.cu"),
}


@lru_cache(maxsize=16)
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def source(kernel: str, head: str) -> str:
    """Return the CUDA source of a kernel. It includes nothing: CuPy's cache keys on the text."""
    head += f"#define KERNEL_{kernel.upper()}\n"
    return head + "\n".join(_text(name) for name in FILES[kernel])


@cache
def _kernel(kernel: str, head: str) -> Any:
    return cupy.RawKernel(source(kernel, head), f"prelu_{kernel}_kernel", OPTIONS)


def prepare(launch: Launch, form: str) -> Callable[..., None]:
    """Compile a kernel for the current device; return what starts it.

    That takes fields as `form` has them, and a stream or None. They and the plan's words are the
    kernel's one argument, by value. CuPy gets it by its address: it looks into arrays by value,
    which takes as long as the launch. A call in another thread needs memory of its own.
    """
    try:
        kernel = _kernel(launch.kernel, launch.head).kernel
    except (ImportError, OSError, RuntimeError) as error:
        _explain(error)
        raise
    struct, words = Struct(form), launch.words
    pack_into = struct.pack_into
    grid, block = (launch.grid, 1, 1), (BLOCK, 1, 1)
    free: list[tuple[Any, Any]] = []

    def start(fields: Any, stream: Any = None) -> None:
        try:
            memory, arguments = free.pop()
        except IndexError:
            memory = create_string_buffer(bytes(struct.size) + words, struct.size + len(words))
            arguments = (CPointer(addressof(memory)),)
        pack_into(memory, 0, *fields)
        kernel(grid, block, arguments, 0, stream)
        free.append((memory, arguments))

    return start


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


@cache
def strided(x: str, alpha: str, second: bool) -> Any:
    """Return y or dx, or with `second` y_dot, of one element, over memory of any strides."""
    inputs = {"x": x, "g": x, "alpha": alpha} | ({"dot": alpha} if second else {})
    kernel, given = (
        ("jvp", "widen(x_), widen(alpha_), widen(g_), widen(dot_)")
        if second
        else ("scale", "widen(g_), widen(alpha_)")
    )
    return cupy.ElementwiseKernel(
        ", ".join(f"{_bits(code)} {name}" for name, code in inputs.items()) + ", float64 edge",
        f"{_bits(x)} out",
        "".join(f"const {code} {name}_ = {{{name}}};" for name, code in inputs.items())
        + "const int identity = prelu_identity(widen(x_), rounded<real>(edge));"
        + f"reinterpret_cast<X &>(out) = rounded<X>(prelu_{kernel}(identity, {given}));",
        f"prelu_strided_{kernel}_{x}_{alpha}",
        preamble=source("strided", head(x, alpha, LEVELS=1, SIZES=0)),
        options=OPTIONS,
    )


@cache
def integers() -> Any:
    """Return the forward of integers over memory of any strides: products wrap, as NumPy's."""
    return cupy.ElementwiseKernel(
        "T x, T alpha", "T out",
        "typedef unsigned long long u64; out = x > 0 ? x : (T)((u64)alpha * (u64)x)",
        "prelu_integers",
    )  # fmt: skip


@cache
def strided_sums(x: str, edge: float) -> Any:
    """Return what sums the terms of dalpha by CuPy's reduction, over any axes and any strides.

    It gives the sum's two parts and by how much they may be wrong: a readable reduction, which
    checks the fused one.
    """
    identity = f"prelu_identity(widen(X{{x}}), rounded<real>({edge!r}))"
    return cupy.ReductionKernel(
        f"{_bits(x)} x, {_bits(x)} dy",
        "float64 high, float64 low, float64 rest",
        f"one_term({identity}, X{{x}}, X{{dy}})",
        "both(a, b)",
        "high = a.v[0], low = a.v[1], rest = a.rest",
        "prelu_sum()",
        f"prelu_strided_sums_{x}_{int(edge != 0)}",
        reduce_type="prelu_sum",
        preamble=source("strided", head(x, "f64", LEVELS=2, SIZES=0)),
        options=OPTIONS,
    )
