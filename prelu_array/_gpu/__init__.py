"""The GPU backend: CuPy arrays to prepared calls.

`arguments` checks what comes in, `plan` and `walk` decide what runs, the .cu files hold what it
does, `doorway` prepares and starts it; `run` takes arrays there, or to CuPy's own kernels. A call
on arrays that look like those of a call before, but for their addresses, goes to its prepared
call at once (`known`). Nothing here waits for the device. Imported by whoever has a CuPy array, so
that only this package imports CuPy.
"""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from .. import _arguments
from . import known, launches
from . import plan as _plan
from .arguments import (
    as_alpha,
    check_array,
    check_out,
    outputs,
    refuse,
    with_direction,
    with_strides_of,
)
from .memory import apart, keep, overlap
from .run import Operands, along, scale, sums
from .walk import LIMBS, rounding


def forward(x: Any, alpha: Any, axis: Any, out: Any = None) -> Any:
    """Y. See `prelu_array.prelu`."""
    slots = {known.OUT: out, known.X: x, known.ALPHA: alpha}
    key, found = known.again("forward", axis, slots)
    if found is not None:
        return found[known.OUT]
    _arguments.check_dtype(x.dtype, "x", integers=True)
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
            operands = Operands(x, a, out)
            known.remember(key, scale(operands, False), slots, operands.slots())
    return out


def jvp(
    x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool, out: Any = None
) -> Any:
    """Y_dot. See `prelu_array.prelu_jvp`."""
    slots = {known.OUT: out, known.X: x, known.DDX: x_dot}
    slots |= {known.ALPHA: alpha, known.DDALPHA: alpha_dot}
    key, found = known.again(("jvp", at_one), axis, slots)
    if found is not None:
        return found[known.OUT]
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        _check_like((x_dot, "x_dot"), x=x)
        a, dot = with_direction(as_alpha(alpha, x, axis), alpha_dot, "alpha_dot", x)
        if out is None:
            out = cupy.empty_like(x)
        else:
            check_out(out, "out", x, x.shape, x.dtype, "x")
            x, x_dot = apart(x, out), apart(x_dot, out)
            a, dot = (v._replace(array=apart(v.array, out, False)) for v in (a, dot))
        if x.size:
            operands = Operands(x, a, out, ddx=with_strides_of(x, x_dot), ddalpha=dot)
            known.remember(key, scale(operands, at_one), slots, operands.slots())
    return out


def backward(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool,
    out: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    """(dx, dalpha). See `prelu_array.prelu_backward`."""
    kind = "backward", at_one, need_dx, need_dalpha
    slots = {known.OUT: None, known.X: x, known.DY: dy, known.ALPHA: alpha, known.RESULT: None}
    key, found = _again(kind, axis, slots, out, (known.OUT, known.RESULT))
    if found is not None:
        return found[known.OUT], found[known.RESULT]
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        _check_like((dy, "dy"), x=x)
        a = as_alpha(alpha, x, axis)
        dx, dalpha = (None, None) if out is None else _arguments.pair(out, need_dx, need_dalpha)
        outputs((dx, dalpha), x, a, "xa")
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
            if dalpha is not None:
                dalpha.fill(0)
            return dx, dalpha
        operands = Operands(x, a, dx if fused else None, with_strides_of(x, dy))
        have_dx, call = False, None
        if need_dalpha:
            have_dx, call = sums(dalpha, operands, at_one, "sums")
        if need_dx and not have_dx:
            call = scale(Operands(x, a, dx, dy), at_one)
        if have_dx or need_dx != need_dalpha:
            known.remember(key, call, slots, operands.slots(dalpha))
    return dx, dalpha


def double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, out: Any = None
) -> tuple[Any, Any, Any]:
    """Cotangents of dy, x and alpha. See `prelu_array.prelu_double_backward`."""
    slots = {known.OUT: None, known.OF_X: None, known.X: x, known.DY: dy, known.DDX: ddx}
    slots |= {known.ALPHA: alpha, known.DDALPHA: ddalpha, known.RESULT: None}
    places = known.OUT, known.OF_X, known.RESULT
    key, found = _again(("second", at_one), axis, slots, out, places)
    if found is not None:
        return found[known.OUT], found[known.OF_X], found[known.RESULT]
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        _check_like((ddx, "ddx"), (dy, "dy"), x=x)
        a, dd = with_direction(as_alpha(alpha, x, axis), ddalpha, "ddalpha", x)
        if out is not None:
            out = _arguments.outputs(out, ("of_dy", "of_x", "of_alpha"))
        of_dy, of_x, of_alpha = outputs(out, x, a, "xxa")
        for written in (of_dy, of_x, of_alpha):
            x, dy, ddx = (apart(v, written, False) for v in (x, dy, ddx))
            a, dd = (v._replace(array=apart(v.array, written, False)) for v in (a, dd))
        of_dy = cupy.empty_like(x) if of_dy is None else of_dy
        of_x = cupy.empty_like(x) if of_x is None else of_x
        result: Any = cupy.empty(a.shape, a.dtype) if of_alpha is None else of_alpha
        if x.size == 0:
            result.fill(0)
            return of_dy, of_x, result
        dy, ddx = with_strides_of(x, dy), with_strides_of(x, ddx)
        operands = Operands(x, a, of_dy, dy, ddx, dd, of_x)
        fused, call = sums(result, operands, at_one, "second")
        if fused:
            known.remember(key, call, slots, operands.slots(result))
        else:
            scale(operands._replace(dy=None, of_x=None), at_one)
            codes = _plan.code(x.dtype), _plan.code(a.dtype)
            bits_of, edge = launches.as_bits, _plan.edge(*codes, at_one)
            launches.strided("of_x", *codes)(
                bits_of(x), bits_of(dy), along(dd, x), edge, bits_of(of_x)
            )
    return of_dy, of_x, result


def backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, out: Any = None
) -> tuple[Any, Any]:
    """(dx, state). See `prelu_array.prelu_backward_partial`."""
    kind = "partial", at_one, need_dx
    slots = {known.OUT: None, known.X: x, known.DY: dy, known.ALPHA: alpha, known.RESULT: None}
    key, found = _again(kind, axis, slots, out, (known.OUT, known.RESULT))
    if found is not None:
        return found[known.OUT], found[known.RESULT]
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        _check_like((dy, "dy"), x=x)
        a = as_alpha(alpha, x, axis)
        form = a._replace(shape=(*a.shape, LIMBS[_plan.code(x.dtype)]), dtype=np.dtype(np.int64))
        dx = state = None
        if out is not None:
            dx, state = _arguments.outputs(out, ("dx", "state"), need_dx=need_dx)
        outputs((dx, state), x, form, "xa")
        for written in (dx, state):
            x, dy = apart(x, written, False), apart(dy, written, False)
            a = a._replace(array=apart(a.array, written, False))
        if need_dx and dx is None:
            dx = cupy.empty_like(x)
        whole = state is not None and state.flags.c_contiguous
        result: Any = state if whole else cupy.empty(form.shape, form.dtype)
        if x.size == 0:
            result.fill(0)
        else:
            operands = Operands(x, a, dx, with_strides_of(x, dy))
            fused, call = sums(result, operands, at_one, "states")
            if fused == need_dx:
                known.remember(key, call, slots, operands.slots(result))
            elif need_dx:
                scale(Operands(x, a, dx, dy), at_one)
        if state is not None and not whole:
            keep(result)
            state[...] = result
            result = state
    return dx, result


def round_partial(state: Any, dtype: Any) -> Any:
    """Dalpha. See `prelu_array.dalpha_from_partial`."""
    dtype = _arguments.as_dtype(dtype)
    if not isinstance(state, cupy.ndarray):
        refuse(state, "state")
    if state.dtype != np.int64:
        raise TypeError(f"state must be int64, as it was handed out, got {state.dtype.name}")
    kinds = {limbs: x for x, limbs in LIMBS.items()}
    if state.ndim == 0 or state.shape[-1] not in kinds:
        raise _arguments.not_a_state(state.shape, list(kinds))
    with state.device:
        dalpha = cupy.empty(state.shape[:-1], dtype)
        if dalpha.size:
            if not state.flags.c_contiguous:
                state = state.copy()
                keep(state)
            plan = rounding(kinds[state.shape[-1]], _plan.code(dtype), dalpha.size)
            launches.prepare(plan, "2Q")((state.data.ptr, dalpha.data.ptr))
    return dalpha


def _again(kind: Any, axis: Any, slots: dict[int, Any], out: Any, places: tuple[int, ...]) -> Any:
    """Start a call like one before, with a tuple of outputs; see `known.again`."""
    if out is not None:
        if type(out) is not tuple or len(out) != len(places):
            return None, None
        for k, a in zip(places, out, strict=True):
            slots[k] = a
    return known.again(kind, axis, slots)


def _check_like(*named: tuple[Any, str], x: Any) -> None:
    for a, name in named:
        check_array(a, name, x)
        _arguments.check_like(a, name, x, "x")


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
