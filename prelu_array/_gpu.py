"""The GPU backend: CuPy arrays to plans and launches.

`_plan` decides what runs, the .cu files hold what it does, and `launch` is the only line that
starts a kernel of ours. Nothing here waits for the device. Imported by whoever has a CuPy array,
so it is the only module that imports CuPy.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import cupy
import numpy as np

from . import _arguments, _plan
from ._cpu import fit_alpha

# No contraction: a product and a sum are two roundings.
OPTIONS = ("-std=c++17", "-fmad=false")

END = np.dtype(
    [
        ("partials", "u8"),
        ("dalpha", "u8"),
        ("dalpha_stride", "i8"),
        ("doubtful", "u8"),
        ("bound", "f8"),
        ("tiny", "f8"),
    ]
)

# What kernels in a captured CUDA graph write to beside the results. A graph may run at any time
# later, so this memory never goes back to CuPy's pool.
_captured: list[tuple[Any, ...]] = []


class Alpha(NamedTuple):
    """alpha as kernels take it: an array, or a number and no array."""

    array: Any
    number: float
    dtype: Any
    shape: tuple[int, ...]
    where: tuple[int, ...]  # the axis of x of each axis of alpha, or -1

    def strides(self, array: Any, ndim: int) -> tuple[int, ...]:
        """Return those of alpha, or of an array of its shape, along the axes of x."""
        given = (0,) * len(self.where) if array is None else array.strides
        return _plan.placed(given, self.where, ndim)


# ---- kernels ----


@lru_cache(maxsize=8)
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def source(kernel: str, defines: tuple[tuple[str, str | int], ...]) -> str:
    """Return the CUDA source of a kernel. It includes nothing: CuPy's cache keys on the text."""
    files = ["numbers.cu", "prelu_scalar.h", "sums.cu"]
    if kernel == "exact":
        files = ["numbers.cu", "prelu_scalar.h", "exact.cu"]
    elif kernel:
        files.append("kernels.cu")
    head = [f"#define {name} {value}" for name, value in defines]
    if kernel:
        head.append(f"#define KERNEL_{kernel.upper()}")
    return "\n".join(head + [_text(name) for name in files])


@cache
def _kernel(kernel: str, defines: tuple[tuple[str, str | int], ...]) -> Any:
    return cupy.RawKernel(source(kernel, defines), f"prelu_{kernel}_kernel", OPTIONS)


def launch(plan: _plan.Launch, args: tuple[Any, ...]) -> None:
    """Start a kernel on the current stream."""
    try:
        _kernel(plan.kernel, plan.defines)((plan.grid,), (plan.block,), args)
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


def _bits(code: str) -> str:
    """Return the type that CuPy's kernels see: 16-bit numbers travel as their bits."""
    return {"f32": "float32", "f64": "float64"}.get(code, "uint16")


def as_bits(a: Any) -> Any:
    """Return an array as CuPy's kernels see it."""
    return a.view(np.uint16) if a.dtype.itemsize == 2 else a


@cache
def strided_scale(x: str, alpha: str) -> Any:
    """Y or dx over memory of any strides."""
    return cupy.ElementwiseKernel(
        f"{_bits(x)} x, {_bits(x)} g, {_bits(alpha)} alpha, float64 edge",
        f"{_bits(x)} y",
        "const X x_ = {x}, g_ = {g}; const A alpha_ = {alpha};"
        "const int identity = prelu_identity(widen(x_), rounded<real>(edge));"
        "y = passed(rounded<X>(prelu_scale(identity, widen(g_), widen(alpha_))))",
        f"prelu_strided_scale_{x}_{alpha}",
        preamble=source("", _plan.dtype_defines(x, alpha)),
        options=OPTIONS,
    )


@cache
def strided_terms(x: str, alpha: str) -> Any:
    """Dalpha where each alpha has one term, over memory of any strides."""
    return cupy.ElementwiseKernel(
        f"{_bits(x)} x, {_bits(x)} dy, float64 edge",
        f"{_bits(alpha)} dalpha",
        "const X x_ = {x}, dy_ = {dy};dalpha = passed(rounded_term(x_, dy_, rounded<real>(edge)))",
        f"prelu_strided_terms_{x}_{alpha}",
        preamble=source("", _plan.dtype_defines(x, alpha)),
        options=OPTIONS,
    )


@cache
def strided_sums(x: str, alpha: str, edge: float) -> Any:
    """One partial sum for each alpha, over any axes and memory of any strides."""
    return cupy.ReductionKernel(
        f"{_bits(x)} x, {_bits(x)} dy",
        "float64 s, float64 size, float64 low",
        f"one_term(X{{x}}, X{{dy}}, {edge!r})",
        "both(a, b)",
        "s = a.s, size = a.size, low = a.low",
        "sum_of_nothing()",
        f"prelu_strided_sums_{x}_{alpha}_{int(edge != 0)}",
        reduce_type="prelu_sum",
        preamble=source("", _plan.dtype_defines(x, alpha)),
        options=OPTIONS,
    )


# ---- arguments ----


def _refuse(value: Any, name: str) -> NoReturn:
    kind = type(value)
    raise TypeError(
        f"{name} must be a CuPy array as x is, got {kind.__module__}.{kind.__qualname__}; "
        f"nothing is copied to the device unasked: use cupy.asarray({name})"
    )


def _check_array(a: Any, name: str, x: Any) -> None:
    if not isinstance(a, cupy.ndarray):
        _refuse(a, name)
    if a.device.id != x.device.id:
        raise ValueError(
            f"{name} must be on x's device {x.device.id}, got device {a.device.id}; copy it "
            f"there: with cupy.cuda.Device({x.device.id}): {name} = cupy.array({name})"
        )
    _arguments.check_dtype(a.dtype, name)


def _rounded(number: float, dtype: Any) -> Any:
    """Return a number rounded once to a dtype; ml_dtypes would round to float32 before."""
    if not _arguments.is_bfloat16(dtype):
        return np.asarray(number).astype(dtype)
    cut = np.float32(number)
    if abs(float(cut)) > abs(number):
        cut = np.nextafter(cut, np.float32(0))
    odd = cut.view(np.uint32) | np.uint32(float(cut) != number)
    return np.asarray(odd).view(np.float32).astype(dtype)


def _as_alpha(alpha: Any, x: Any, axis: Any) -> Alpha:
    """Check alpha and find its place. A Python number takes x's dtype."""
    if isinstance(alpha, cupy.ndarray):
        _check_array(alpha, "alpha", x)
        array, number, dtype, shape = alpha, 0.0, alpha.dtype, alpha.shape
    elif type(alpha) in (float, int):
        value = _rounded(_arguments.number(alpha, x.dtype), x.dtype)
        array, number, dtype, shape = None, float(value), x.dtype, ()
    elif isinstance(alpha, np.generic | bool | complex):
        value = np.asarray(alpha)
        _arguments.check_dtype(value.dtype, "alpha")
        array, number, dtype, shape = None, float(value), value.dtype, ()
    else:
        _refuse(alpha, "alpha")
    where = fit_alpha(x.shape, shape, axis)
    if where is None:
        raise _arguments.misfit(x.shape, shape, axis)
    return Alpha(array, number, dtype, shape, where)


def _check_out(out: Any, name: str, x: Any, shape: tuple[int, ...], dtype: Any, like: str) -> None:
    _check_array(out, name, x)
    if out.shape != shape or out.dtype != dtype or 0 in out.strides:
        # a NumPy array of the same form, of which nothing but the form is looked at
        form = np.lib.stride_tricks.as_strided(np.empty(1, out.dtype), out.shape, out.strides)
        _arguments.check_out(form, name, shape, dtype, like)


def _extent(a: Any) -> tuple[int, int]:
    first = end = a.data.ptr
    for n, s in zip(a.shape, a.strides, strict=True):
        if s < 0:
            first += (n - 1) * s
        else:
            end += (n - 1) * s
    return first, end + a.itemsize


def _overlap(a: Any, b: Any) -> bool:
    """Whether the memory between their ends overlaps."""
    if a is None or b is None or a.size == 0 or b.size == 0:
        return False
    (a_first, a_end), (b_first, b_end) = _extent(a), _extent(b)
    return a_first < b_end and b_first < a_end


def _same_memory(a: Any, b: Any) -> bool:
    """Whether element for element they are the same memory."""
    return (
        a.data.ptr == b.data.ptr
        and a.shape == b.shape
        and a.itemsize == b.itemsize
        and all(n == 1 or s == t for n, s, t in zip(a.shape, a.strides, b.strides, strict=True))
    )


def _apart(a: Any, written: Any, may_be_same: bool = True) -> Any:
    """Return `a`, or a copy if writing to `written` would change an element not yet read.

    Alpha's axes may be in another order than x's, so it never may be the same.
    """
    if not _overlap(a, written) or (may_be_same and _same_memory(a, written)):
        return a
    copy = a.copy(order="K")
    _keep(copy)
    return copy


def _keep(*arrays: Any) -> None:
    if cupy.cuda.get_current_stream().is_capturing():
        _captured.append(arrays)


def _aligned(*arrays: Any) -> bool:
    return all(a is None or a.data.ptr % 16 == 0 for a in arrays)


@cache
def _multiprocessors(device: int) -> int:
    count: int = cupy.cuda.Device(device).attributes["MultiProcessorCount"]
    return count


# ---- calls ----


def forward(x: Any, alpha: Any, axis: Any, out: Any) -> Any:
    """Y. See `prelu_array.prelu`."""
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        a = _as_alpha(alpha, x, axis)
        if out is None:
            out = cupy.empty_like(x)
        else:
            _check_out(out, "out", x, x.shape, x.dtype, "x")
            x = _apart(x, out)
            a = a._replace(array=_apart(a.array, out, False))
        if x.size:
            _scale(out, None, x, a, False)
    return out


def _scale(out: Any, dy: Any, x: Any, a: Alpha, at_one: bool) -> None:
    """Out = x (or dy) on the identity branch, alpha times it elsewhere."""
    codes = _plan.code(x.dtype), _plan.code(a.dtype)
    edge = _plan.edge(*codes, at_one)
    operands = (out, x) if dy is None else (out, x, dy)
    strides = tuple(operand.strides for operand in operands)
    alpha_strides = a.strides(a.array, x.ndim)
    plan = _plan.scale(
        *codes, x.shape, strides, alpha_strides, _aligned(*operands), _aligned(a.array),
        dy is not None,
    )  # fmt: skip
    if plan is not None:
        pointers = (out, x if dy is None else dy, x, 0 if a.array is None else a.array)
        launch(plan, (*pointers, a.number, edge, *plan.scalars))
        return
    if a.array is None:
        along = as_bits(np.asarray(a.number).astype(a.dtype))[()]
    else:
        along = as_bits(cupy.lib.stride_tricks.as_strided(a.array, x.shape, alpha_strides))
    bits = as_bits(x)
    strided_scale(*codes)(bits, bits if dy is None else as_bits(dy), along, edge, as_bits(out))


def backward(
    dy: Any,
    x: Any,
    alpha: Any,
    axis: Any,
    at_one: bool,
    need_dx: bool,
    need_dalpha: bool,
    out: Any,
) -> tuple[Any, Any]:
    """(dx, dalpha). See `prelu_array.prelu_backward`."""
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        _check_array(dy, "dy", x)
        _arguments.check_like(dy, "dy", x, "x")
        a = _as_alpha(alpha, x, axis)
        dx: Any = None
        dalpha: Any = None
        if out is not None:
            dx, dalpha = _arguments.pair(out, need_dx, need_dalpha)
            if dx is not None:
                _check_out(dx, "out[0]", x, x.shape, x.dtype, "x")
            if dalpha is not None:
                _check_out(dalpha, "out[1]", x, a.shape, a.dtype, "alpha")
            if _overlap(dx, dalpha):
                raise ValueError("out[0] and out[1] must not share memory")
            # dalpha may be done before dx, which then still needs every input
            for written, may_be_same in ((dx, True), (dalpha, False)):
                x, dy = _apart(x, written, may_be_same), _apart(dy, written, may_be_same)
                a = a._replace(array=_apart(a.array, written, False))
        # A term is needed until its alpha's rounding is settled, so dx must not overwrite it.
        fused = need_dx and not _overlap(dx, x) and not _overlap(dx, dy)
        if need_dx and dx is None:
            dx = cupy.empty_like(x)
        if need_dalpha and dalpha is None:
            dalpha = cupy.empty(a.shape, a.dtype)
        if x.size == 0:
            if need_dalpha:
                dalpha.fill(0)
            return dx, dalpha
        have_dx = need_dalpha and _dalpha(dalpha, dx if fused else None, dy, x, a, at_one)
        if need_dx and not have_dx:
            _scale(dx, dy, x, a, at_one)
    return dx, dalpha


def _dalpha(dalpha: Any, dx: Any, dy: Any, x: Any, a: Alpha, at_one: bool) -> bool:
    """Compute dalpha; True if dx came with it, which takes dense memory."""
    codes = _plan.code(x.dtype), _plan.code(a.dtype)
    edge = _plan.edge(*codes, at_one)
    sms = _multiprocessors(x.device.id)
    along = a.strides(a.array, x.ndim), a.strides(dalpha, x.ndim)
    if not _plan.same_strides(x.shape, x.strides, dy.strides) and _plan.is_block(
        x.shape, x.strides, x.itemsize
    ):
        there = cupy.empty_like(x)  # in x's memory order
        there[...] = dy
        _keep(there)
        dy = there
    if dx is not None and not _plan.same_strides(x.shape, x.strides, dx.strides):
        dx = None
    operands = (x, dy) if dx is None else (x, dy, dx)
    plan = _plan.sums(
        *codes, x.shape, tuple(o.strides for o in operands), *along, _aligned(*operands),
        _aligned(a.array, dalpha), dx is not None, sms,
    )  # fmt: skip
    if plan is None:
        _reduced(dalpha, dy, x, a, codes, edge, sms)
        return False
    _fused(plan, dalpha, dx, dy, x, a, edge)
    return dx is not None


def _workspace(plan: _plan.Sums, dalpha: Any) -> tuple[Any, Any]:
    """Return memory for doubts and partial sums, and where kernels find both and dalpha."""
    end = np.zeros((), END)
    end["dalpha"], end["dalpha_stride"] = dalpha.data.ptr, plan.dalpha_stride
    end["bound"], end["tiny"] = plan.bound, plan.tiny
    if plan.exact is None:
        return None, end
    words = cupy.empty(plan.zeros + 1 + plan.alphas + 3 * plan.partials, np.uint64)
    words.data.memset_async(0, 8 * (plan.zeros + 1))
    _keep(words)
    end["doubtful"] = words.data.ptr + 8 * plan.zeros
    end["partials"] = end["doubtful"] + 8 * (1 + plan.alphas)
    return words, end


def _fused(plan: _plan.Sums, dalpha: Any, dx: Any, dy: Any, x: Any, a: Alpha, edge: float) -> None:
    words, end = _workspace(plan, dalpha)
    first = plan.first
    assert first is not None
    alpha: tuple[Any, ...] = (0 if a.array is None else a.array,)
    if first.kernel == "rows":
        alpha = (*alpha, a.number)
    launch(first, (0 if dx is None else dx, dy, x, *alpha, edge, *first.scalars, end))
    _finish(plan, words, end, dalpha, dy, x, edge)


def _finish(
    plan: _plan.Sums, words: Any, end: Any, dalpha: Any, dy: Any, x: Any, edge: float
) -> None:
    if plan.finish is not None:
        launch(plan.finish, (*plan.finish.scalars, end))
    if plan.exact is not None:
        states = words.data.ptr + 8 * plan.exact.grid
        launch(
            plan.exact,
            (dy, x, edge, dalpha, np.int64(plan.dalpha_stride), end["doubtful"][()],
             np.uint64(states), words, plan.terms),
        )  # fmt: skip


def _reduced(
    dalpha: Any, dy: Any, x: Any, a: Alpha, codes: tuple[str, str], edge: float, sms: int
) -> None:
    """Dalpha by CuPy's reduction: any axes, any strides, the same bits."""
    kept = tuple(k for k in a.where if k >= 0)
    summed = tuple(k for k in range(x.ndim) if k not in kept)
    x, dy = x.transpose(kept + summed), dy.transpose(kept + summed)
    result = dalpha if dalpha.flags.c_contiguous else cupy.empty(a.shape, a.dtype)
    parts = [(s[: len(kept)], s[len(kept) :]) for s in (x.shape, x.strides, dy.strides)]
    alphas = parts[0][0]
    if all(n == 1 for n in parts[0][1]):
        at = (slice(None),) * len(kept) + (0,) * len(summed)
        flat = as_bits(result).reshape(alphas)
        strided_terms(*codes)(as_bits(x[at]), as_bits(dy[at]), edge, flat)
    else:
        plan = _plan.reduction(*codes, tuple(p[0] for p in parts), tuple(p[1] for p in parts), sms)
        words, end = _workspace(plan, result)
        partials = words[-3 * plan.partials :].view(np.float64).reshape(*alphas, 3)
        strided_sums(*codes, edge)(
            as_bits(x), as_bits(dy), *(partials[..., i] for i in range(3)),
            axis=tuple(range(len(kept), x.ndim)),
        )  # fmt: skip
        _finish(plan, words, end, result, dy, x, edge)
    if result is not dalpha:
        _keep(result)
        dalpha[...] = result


def asarray(a: Any) -> Any:
    """Return a NumPy array on the current device, bfloat16 too."""
    return cupy.asarray(a)


def device_count() -> int:
    """Return how many GPUs there are."""
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def description() -> str:
    """Return the GPU that would be used, or why there is none."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy {cupy.__version__}, no GPU: {error}"
    if count == 0:
        return f"CuPy {cupy.__version__}, no GPU"
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return f"CuPy {cupy.__version__}, {count} GPU(s), the first {name}"
