"""The GPU backend: CuPy arrays to plans and launches.

`_gpu_arguments` checks what comes in, `_plan` and `_plan_sums` decide what runs, the .cu files
hold what it does, `_gpu_kernels.launch` starts it. Nothing here waits for the device. Imported by
whoever has a CuPy array, so that only the modules named `_gpu...` import CuPy.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any, NamedTuple

import cupy
import numpy as np

from . import _arguments, _plan, _plan_sums
from ._gpu_arguments import (
    Alpha,
    aligned,
    apart,
    as_alpha,
    check_array,
    check_out,
    keep,
    overlap,
    refuse,
    share_memory,
    with_direction,
    with_strides_of,
)
from ._gpu_kernels import (
    as_bits,
    launch,
    prelu_end_of_states,
    prelu_end_of_sums,
    prelu_operands,
    strided,
    strided_sums,
)

# Elements of x from which on operands that no fused kernel takes are copied for one that does.
# CuPy's reduction copies nothing, but has few blocks where there are few alphas.
COPIES_FROM = 1 << 16


class Operands(NamedTuple):
    """What a call reads and writes. None: it has no use for it."""

    x: Any
    alpha: Alpha
    out: Any = None  # y, dx, y_dot or the cotangent of dy
    dy: Any = None
    ddx: Any = None  # also x_dot
    ddalpha: Alpha | None = None  # also alpha_dot
    of_x: Any = None  # the cotangent of x

    @property
    def codes(self) -> tuple[str, str]:
        """The dtypes as plans name them."""
        return _plan.code(self.x.dtype), _plan.code(self.alpha.dtype)

    @property
    def given(self) -> list[Any]:
        """The arrays of x's shape."""
        every = (self.x, self.dy, self.ddx, self.out, self.of_x)
        return [a for a in every if a is not None]

    @property
    def factor(self) -> Any:
        """What dy is multiplied with in dalpha's terms."""
        return self.x if self.ddx is None else self.ddx

    def by_value(self) -> Any:
        """Return them as kernels take them."""
        a, dd = self.alpha, self.ddalpha or _NO_ALPHA
        arrays = (self.out, self.of_x, self.x, self.dy, self.ddx, a.array, dd.array)
        pointers = [0 if array is None else array.data.ptr for array in arrays]
        return prelu_operands(*pointers, a.number, dd.number)


_NO_ALPHA = Alpha(None, 0.0, None, (), ())


@cache
def _multiprocessors(device: int) -> int:
    count: int = cupy.cuda.Device(device).attributes["MultiProcessorCount"]
    return count


# ---- calls ----


def forward(x: Any, alpha: Any, axis: Any, out: Any) -> Any:
    """Y. See `prelu_array.prelu`."""
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        a = as_alpha(alpha, x, axis)
        if out is None:
            out = cupy.empty_like(x)
        else:
            check_out(out, "out", x, x.shape, x.dtype, "x")
            x = apart(x, out)
            if overlap(a.array, out):
                a = a._replace(array=apart(a.array, out, False))
        if x.size:
            _scale(Operands(x, a, out), False)
    return out


def jvp(x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool) -> Any:
    """Y_dot. See `prelu_array.prelu_jvp`."""
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        check_array(x_dot, "x_dot", x)
        _arguments.check_like(x_dot, "x_dot", x, "x")
        a, dot = with_direction(as_alpha(alpha, x, axis), alpha_dot, "alpha_dot", x)
        y_dot = cupy.empty_like(x)
        if x.size:
            x_dot = with_strides_of(x, x_dot)
            _scale(Operands(x, a, y_dot, ddx=x_dot, ddalpha=dot), at_one)
    return y_dot


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
        check_array(dy, "dy", x)
        _arguments.check_like(dy, "dy", x, "x")
        a = as_alpha(alpha, x, axis)
        dx: Any = None
        dalpha: Any = None
        if out is not None:
            dx, dalpha = _arguments.pair(out, need_dx, need_dalpha)
            if dx is not None:
                check_out(dx, "out[0]", x, x.shape, x.dtype, "x")
            if dalpha is not None:
                check_out(dalpha, "out[1]", x, a.shape, a.dtype, "alpha")
            if share_memory(dx, dalpha):
                raise ValueError("out[0] and out[1] must not share memory")
            # dalpha may be done before dx, which then still needs every input
            for written, may_be_same in ((dx, True), (dalpha, False)):
                x, dy = apart(x, written, may_be_same), apart(dy, written, may_be_same)
                a = a._replace(array=apart(a.array, written, False))
        # A term is needed until its alpha's rounding is settled, so dx must not overwrite it.
        fused = need_dx and not overlap(dx, x) and not overlap(dx, dy)
        if need_dx and dx is None:
            dx = cupy.empty_like(x)
        if need_dalpha and dalpha is None:
            dalpha = cupy.empty(a.shape, a.dtype)
        if x.size == 0:
            if need_dalpha:
                dalpha.fill(0)
            return dx, dalpha
        have_dx = need_dalpha and _dalpha(
            dalpha, Operands(x, a, dx if fused else None, with_strides_of(x, dy)), at_one
        )
        if need_dx and not have_dx:
            _scale(Operands(x, a, dx, dy), at_one)
    return dx, dalpha


def double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool
) -> tuple[Any, Any, Any]:
    """Cotangents of dy, x and alpha. See `prelu_array.prelu_double_backward`."""
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        for given, name in ((ddx, "ddx"), (dy, "dy")):
            check_array(given, name, x)
            _arguments.check_like(given, name, x, "x")
        a, dd = with_direction(as_alpha(alpha, x, axis), ddalpha, "ddalpha", x)
        of_dy, of_x = cupy.empty_like(x), cupy.empty_like(x)
        of_alpha = cupy.empty(a.shape, a.dtype)
        if x.size == 0:
            of_alpha.fill(0)
            return of_dy, of_x, of_alpha
        dy, ddx = with_strides_of(x, dy), with_strides_of(x, ddx)
        operands = Operands(x, a, of_dy, dy, ddx, dd, of_x)
        if not _dalpha(of_alpha, operands, at_one):
            _scale(operands._replace(dy=None, of_x=None), at_one)
            edge = _plan.edge(*operands.codes, at_one)
            arrays = (as_bits(x), as_bits(dy), _along(dd, x), edge, as_bits(of_x))
            strided("of_x", *operands.codes)(*arrays)
    return of_dy, of_x, of_alpha


def backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool
) -> tuple[Any, Any]:
    """(dx, state). See `prelu_array.prelu_backward_partial`."""
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        check_array(dy, "dy", x)
        _arguments.check_like(dy, "dy", x, "x")
        a = as_alpha(alpha, x, axis)
        dx = cupy.empty_like(x) if need_dx else None
        state = cupy.empty((*a.shape, _plan_sums.LIMBS[_plan.code(x.dtype)]), np.int64)
        state.data.memset_async(0, state.nbytes)
        if x.size:
            operands = Operands(x, a, dx, with_strides_of(x, dy))
            if not _states(state, operands, at_one) and need_dx:
                _scale(operands, at_one)
            carry = _plan_sums.carry_launch(operands.codes[0], prod(a.shape))
            launch(carry, (state, *carry.scalars))
    return dx, state


def round_partial(state: Any, dtype: Any) -> Any:
    """Dalpha. See `prelu_array.dalpha_from_partial`."""
    dtype = _arguments.as_dtype(dtype)
    if not isinstance(state, cupy.ndarray):
        refuse(state, "state")
    if state.dtype != np.int64:
        raise TypeError(f"state must be int64, as it was handed out, got {state.dtype.name}")
    kinds = {limbs: x for x, limbs in _plan_sums.LIMBS.items()}
    if state.ndim == 0 or state.shape[-1] not in kinds:
        raise _arguments.not_a_state(state.shape, list(kinds))
    with state.device:
        dalpha = cupy.empty(state.shape[:-1], dtype)
        if dalpha.size:
            if not state.flags.c_contiguous:
                state = state.copy()
                keep(state)
            plan = _plan_sums.round_launch(kinds[state.shape[-1]], _plan.code(dtype), dalpha.size)
            launch(plan, (state, dalpha, *plan.scalars))
    return dalpha


# ---- without sums ----


def _along(a: Alpha, x: Any) -> Any:
    """Return alpha for CuPy's kernels, along x."""
    if a.array is None:
        return as_bits(np.asarray(a.number).astype(a.dtype))[()]
    strides = a.strides(a.array, x.ndim)
    return as_bits(cupy.lib.stride_tricks.as_strided(a.array, x.shape, strides))


def _scale(o: Operands, at_one: bool) -> None:
    """Y, dx or y_dot."""
    codes, given = o.codes, o.given
    edge = _plan.edge(*codes, at_one)
    second = o.ddalpha is not None
    plan = _plan.scale(
        *codes, o.x.shape, tuple([a.strides for a in given]),
        o.alpha.strides(o.alpha.array, o.x.ndim), aligned(*given),
        aligned(o.alpha.array, o.ddalpha.array if o.ddalpha else None), o.dy is not None, second,
    )  # fmt: skip
    if plan is not None:
        launch(plan, (o.by_value(), edge, *plan.scalars))
        return
    g = next(a for a in (o.ddx, o.dy, o.x) if a is not None)
    slopes = [_along(a, o.x) for a in (o.alpha, o.ddalpha) if a is not None]
    kernel = strided("jvp" if second else "scale", *codes)
    kernel(as_bits(o.x), as_bits(g), *slopes, edge, as_bits(o.out))


# ---- with sums ----


def _first(
    o: Operands, along: tuple[int, ...], ends: Any, kind: str = "sums"
) -> _plan_sums.Sums | None:
    """Plan the fused pass; dalpha, or states, have the strides `along` the axes of x."""
    if o.ddalpha is not None:
        kind = "second"
    return _plan_sums.sums(
        *o.codes, o.x.shape, tuple(a.strides for a in o.given),
        o.alpha.strides(o.alpha.array, o.x.ndim), along, aligned(*o.given),
        aligned(o.alpha.array, o.ddalpha.array if o.ddalpha else None, ends), o.out is not None,
        _multiprocessors(o.x.device.id), kind,
    )  # fmt: skip


def _dalpha(dalpha: Any, o: Operands, at_one: bool) -> bool:
    """Compute dalpha; True if what else there is came with it, which takes dense memory."""
    edge = _plan.edge(*o.codes, at_one)
    if o.out is not None and not _plan.same_strides(o.x.shape, o.x.strides, o.out.strides):
        o = o._replace(out=None, of_x=None)
    plan = _first(o, o.alpha.strides(dalpha, o.x.ndim), dalpha)
    result = dalpha
    if plan is None:
        o = o._replace(out=None, of_x=None)
        if not dalpha.flags.c_contiguous:
            result = cupy.empty(dalpha.shape, dalpha.dtype)
            keep(result)
        if o.x.size < COPIES_FROM:
            _reduced(result, o, edge)
        else:
            o = _rearranged(o)
            plan = _first(o, o.alpha.strides(result, o.x.ndim), result)
            assert plan is not None
    if plan is not None:
        workspace = _workspace(plan, result)
        assert plan.first is not None
        launch(plan.first, (o.by_value(), edge, *plan.first.scalars, workspace[-1]))
        _finish(plan, workspace, result, (o.x, o.factor, o.dy), edge)
    if result is not dalpha:
        dalpha[...] = result
    return o.out is not None


def _rearranged(o: Operands) -> Operands:
    """Return copies in one block of memory, alpha's axes first, for sums alone: without alpha."""
    kept = tuple(k for k in o.alpha.where if k >= 0)
    order = kept + tuple(k for k in range(o.x.ndim) if k not in kept)

    def copied(a: Any) -> Any:
        a = a.transpose(order)
        there = cupy.empty(a.shape, a.dtype)
        there[...] = a
        keep(there)
        return there

    x = copied(o.x)
    where = tuple(order.index(k) if k >= 0 else k for k in o.alpha.where)
    alpha = o.alpha._replace(array=None, number=0.0, where=where)
    if o.ddx is None:
        return Operands(x, alpha, dy=copied(o.dy))
    return Operands(x, alpha, dy=copied(o.dy), ddx=copied(o.ddx), ddalpha=alpha)


def _workspace(plan: _plan_sums.Sums, dalpha: Any) -> tuple[Any, int, Any]:
    """Return memory for doubts and partial sums, where the doubts are, and an end of sums."""
    doubtful = partials = 0
    words = None
    if plan.exact is not None:
        words = cupy.empty(plan.zeros + 1 + plan.alphas + 3 * plan.partials, np.uint64)
        words.data.memset_async(0, 8 * (plan.zeros + 1))
        keep(words)
        doubtful = words.data.ptr + 8 * plan.zeros
        partials = doubtful + 8 * (1 + plan.alphas)
    end = prelu_end_of_sums(
        partials, dalpha.data.ptr, plan.dalpha_stride, doubtful, plan.bound, plan.tiny
    )
    return words, doubtful, end


def _finish(
    plan: _plan_sums.Sums, workspace: tuple[Any, int, Any], dalpha: Any, arrays: Any, edge: float
) -> None:
    """Add the partial sums and settle the doubts; arrays are x, factor and dy."""
    words, doubtful, end = workspace
    if plan.finish is not None:
        launch(plan.finish, (*plan.finish.scalars, end))
    if plan.exact is not None:
        states = words.data.ptr + 8 * plan.exact.grid
        launch(
            plan.exact,
            (*arrays, edge, dalpha, np.int64(plan.dalpha_stride), np.uint64(doubtful),
             np.uint64(states), words, plan.terms),
        )  # fmt: skip


def _by_alpha(o: Operands) -> tuple[list[Any], tuple[Any, Any], int]:
    """Return x, factor and dy with alpha's axes first, what plans ask of them, and how many."""
    kept = tuple(k for k in o.alpha.where if k >= 0)
    summed = tuple(k for k in range(o.x.ndim) if k not in kept)
    arrays = [a.transpose(kept + summed) for a in (o.x, o.factor, o.dy)]
    forms = [arrays[0].shape, *(a.strides for a in arrays)]
    parts = tuple(f[: len(kept)] for f in forms), tuple(f[len(kept) :] for f in forms)
    return arrays, parts, len(kept)


def _reduced(dalpha: Any, o: Operands, edge: float) -> None:
    """Dalpha by CuPy's reduction: any axes, any strides, the same bits; dalpha is contiguous."""
    arrays, (kept, summed), n = _by_alpha(o)
    if all(length == 1 for length in summed[0]):
        at = (slice(None),) * n + (0,) * len(summed[0])
        flat = as_bits(dalpha).reshape(kept[0])
        strided("terms", *o.codes)(*(as_bits(a[at]) for a in arrays), edge, flat)
        return
    plan = _plan_sums.reduction(*o.codes, kept, summed, _multiprocessors(o.x.device.id))
    workspace = _workspace(plan, dalpha)
    words = workspace[0]
    partials = words[-3 * plan.partials :].view(np.float64).reshape(*kept[0], 3)
    strided_sums(*o.codes, edge)(
        *(as_bits(a) for a in arrays), *(partials[..., i] for i in range(3)),
        axis=tuple(range(n, o.x.ndim)),
    )  # fmt: skip
    _finish(plan, workspace, dalpha, arrays, edge)


def _states(state: Any, o: Operands, at_one: bool) -> bool:
    """Add to states, which are 0; True if dx came with them."""
    edge = _plan.edge(*o.codes, at_one)
    plan = _first(o, _along_states(state, o), None, "states")
    if plan is None and o.x.size >= COPIES_FROM:
        o = _rearranged(o._replace(out=None))
        plan = _first(o, _along_states(state, o), None, "states")
    if plan is None:
        arrays, (kept, summed), _ = _by_alpha(o)
        sms, nothing = _multiprocessors(o.x.device.id), np.uint64(0)
        exact, terms = _plan_sums.all_states(*o.codes, kept, summed, sms)
        launch(exact, (*arrays, edge, nothing, np.int64(0), nothing, state, nothing, terms))
        return False
    assert plan.first is not None
    end = prelu_end_of_states(state.data.ptr, plan.dalpha_stride * state.shape[-1])
    launch(plan.first, (o.by_value(), edge, *plan.first.scalars, end))
    return o.out is not None


def _along_states(state: Any, o: Operands) -> tuple[int, ...]:
    """Return the strides along x's axes of a dalpha that lies as the states do."""
    words = 8 * state.shape[-1]
    item = _plan.SIZES[o.codes[1]]
    strides = tuple(s // words * item for s in state.strides[:-1])
    return _plan.placed(strides, o.alpha.where, o.x.ndim)


# ---- the device ----


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
