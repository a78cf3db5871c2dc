"""The GPU backend: CuPy arrays to prepared calls.

`arguments` checks what comes in, `plan` and `walk` decide what runs, the .cu files hold what it
does, `doorway` prepares and starts it. A call on arrays that look like those of a call before,
but for their addresses, goes to its prepared call at once. Nothing here waits for the device.
Imported by whoever has a CuPy array, so that only this package imports CuPy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cupy
import numpy as np

from .. import _arguments
from . import doorway, known, launches
from . import plan as _plan
from .arguments import (
    INTEGERS,
    Alpha,
    as_alpha,
    check_array,
    check_out,
    outputs,
    refuse,
    with_direction,
    with_strides_of,
)
from .memory import apart, keep, low_bits, overlap, workspace
from .walk import LIMBS, rounding


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
    def dtypes(self) -> tuple[Any, Any]:
        """Of x and of alpha."""
        return self.x.dtype, self.alpha.dtype

    @property
    def given(self) -> list[Any]:
        """The arrays of x's shape."""
        every = (self.x, self.dy, self.ddx, self.out, self.of_x)
        return [a for a in every if a is not None]

    def slots(self, result: Any = None) -> tuple[Any, ...]:
        """Return the arrays as a call takes them."""
        dd = self.ddalpha or _NO_ALPHA
        arrays = (self.out, self.of_x, self.x, self.dy, self.ddx, self.alpha.array, dd.array)
        return (*arrays, result)

    def start(self, call: doorway.Call, result: Any = None) -> None:
        """Start a prepared call."""
        pointers = [0 if a is None else a.data.ptr for a in self.slots(result)]
        dd = self.ddalpha or _NO_ALPHA
        zeros = scratch = 0
        if call.scratch:
            zeros, scratch = workspace(self.x.device.id, call.zeros, call.scratch)
        call.run((*pointers, zeros, scratch, self.alpha.number, dd.number, call.edge))


_NO_ALPHA = Alpha(None, 0.0, None, (), ())


# ---- calls ----


def forward(x: Any, alpha: Any, axis: Any, out: Any = None) -> Any:
    """Y. See `prelu_array.prelu`."""
    slots = {known.OUT: out, known.X: x, known.ALPHA: alpha}
    key, found = known.again("forward", axis, slots)
    if found is not None:
        return found[known.OUT]
    if x.dtype.name not in INTEGERS:
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
            operands = Operands(x, a, out)
            known.remember(key, _scale(operands, False), slots, operands.slots())
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
            known.remember(key, _scale(operands, at_one), slots, operands.slots())
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
            have_dx, call = _sums(dalpha, operands, at_one, "sums")
        if need_dx and not have_dx:
            call = _scale(Operands(x, a, dx, dy), at_one)
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
        of_dy, of_x, of_alpha = outputs(out, x, a, "xxa")
        for written in (of_dy, of_x, of_alpha):
            x, dy, ddx = (apart(v, written, False) for v in (x, dy, ddx))
            a, dd = (v._replace(array=apart(v.array, written, False)) for v in (a, dd))
        of_dy = cupy.empty_like(x) if of_dy is None else of_dy
        of_x = cupy.empty_like(x) if of_x is None else of_x
        if of_alpha is None:
            of_alpha = cupy.empty(a.shape, a.dtype)
        if x.size == 0:
            cupy.ndarray.fill(of_alpha, 0)
            return of_dy, of_x, of_alpha
        dy, ddx = with_strides_of(x, dy), with_strides_of(x, ddx)
        operands = Operands(x, a, of_dy, dy, ddx, dd, of_x)
        fused, call = _sums(of_alpha, operands, at_one, "second")
        if fused:
            known.remember(key, call, slots, operands.slots(of_alpha))
        else:
            _scale(operands._replace(dy=None, of_x=None), at_one)
            codes = _plan.code(x.dtype), _plan.code(a.dtype)
            bits_of, edge = launches.as_bits, _plan.edge(*codes, at_one)
            launches.strided("of_x", *codes)(
                bits_of(x), bits_of(dy), _along(dd, x), edge, bits_of(of_x)
            )
    return of_dy, of_x, of_alpha


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
        dx, state = (None, None) if out is None else _arguments.pair(out, need_dx, True)
        outputs((dx, state), x, form, "xa")
        for written in (dx, state):
            x, dy = apart(x, written, False), apart(dy, written, False)
            a = a._replace(array=apart(a.array, written, False))
        if need_dx and dx is None:
            dx = cupy.empty_like(x)
        whole = state is not None and state.flags.c_contiguous
        result = state if whole else cupy.empty(form.shape, form.dtype)
        if x.size == 0:
            result.fill(0)
        else:
            operands = Operands(x, a, dx, with_strides_of(x, dy))
            fused, call = _sums(result, operands, at_one, "states")
            if fused == need_dx:
                known.remember(key, call, slots, operands.slots(result))
            elif need_dx:
                _scale(Operands(x, a, dx, dy), at_one)
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


# ---- what runs ----


def _along(a: Alpha, x: Any) -> Any:
    """Return alpha for CuPy's kernels, along x."""
    if a.array is None:
        return launches.as_bits(np.asarray(a.number).astype(a.dtype))[()]
    strides = a.strides(a.array, x.ndim)
    along = cupy.lib.stride_tricks.as_strided(a.array, x.shape, strides)
    return launches.as_bits(along)


def _scale(o: Operands, at_one: bool) -> doorway.Call | None:
    """Y, dx or y_dot; return the call for dense memory."""
    given, second = o.given, o.ddalpha is not None
    bits = low_bits(*given), low_bits(o.alpha.array, o.ddalpha and o.ddalpha.array)
    strides = tuple([a.strides for a in given])
    call = None
    if o.x.dtype.kind not in "iu":
        call = doorway.scale(
            o.dtypes, o.x.shape, strides, o.alpha.strides(o.alpha.array, o.x.ndim), bits, at_one,
            o.dy is not None, second, o.x.device.id,
        )  # fmt: skip
    if call is not None:
        o.start(call)
        return call
    slopes = [_along(a, o.x) for a in (o.alpha, o.ddalpha) if a is not None]
    if o.x.dtype.kind in "iu":
        launches.integers()(o.x, *slopes, o.out)
        return None
    codes = _plan.code(o.x.dtype), _plan.code(o.alpha.dtype)
    g = next(a for a in (o.ddx, o.dy, o.x) if a is not None)
    kernel = launches.strided("jvp" if second else "scale", *codes)
    bits_of = launches.as_bits
    kernel(bits_of(o.x), bits_of(g), *slopes, _plan.edge(*codes, at_one), bits_of(o.out))
    return None


def _sums(result: Any, o: Operands, at_one: bool, kind: str) -> tuple[bool, doorway.Call | None]:
    """Dalpha, or states; whether what else there is came with it, which takes dense memory."""
    if o.out is not None and not _plan.same_strides(o.x.shape, o.x.strides, o.out.strides):
        o = o._replace(out=None, of_x=None)
    if o.of_x is not None and not _plan.same_strides(o.x.shape, o.x.strides, o.of_x.strides):
        o = o._replace(out=None, of_x=None)
    call = _prepared(result, o, at_one, kind)
    if call is not None:
        o.start(call, result)
        return o.out is not None, call
    o = _rearranged(o)
    call = _prepared(result, o, at_one, kind)
    if call is not None:
        o.start(call, result)
    else:  # dalpha has strides that are no multiples of its elements
        dense = cupy.empty(result.shape, result.dtype)
        keep(dense)
        _sums(dense, o, at_one, kind)
        result[...] = dense
    return False, None


def _prepared(result: Any, o: Operands, at_one: bool, kind: str) -> doorway.Call | None:
    given, a = o.given, o.alpha
    along = result.strides
    if kind == "states":  # of a dalpha that lies as the states do
        words, item = 8 * result.shape[-1], a.dtype.itemsize
        along = [s // words * item for s in along[:-1]]
    strides = _plan.placed(along, a.where, o.x.ndim)
    bits = low_bits(*given), low_bits(a.array, o.ddalpha and o.ddalpha.array, result)
    return doorway.sums(
        o.dtypes, o.x.shape, tuple([v.strides for v in given]),
        (a.strides(a.array, o.x.ndim), strides), bits, at_one, o.out is not None, kind,
        o.x.device.id,
    )  # fmt: skip


def _rearranged(o: Operands) -> Operands:
    """Return copies in one block of memory, alpha's axes first, for sums alone: without alpha."""
    kept = tuple(k for k in o.alpha.where if k >= 0)
    order = kept + tuple(k for k in range(o.x.ndim) if k not in kept)

    def copied(a: Any) -> Any:
        there = cupy.ascontiguousarray(a.transpose(order))
        keep(there)
        return there

    where = tuple(order.index(k) if k >= 0 else k for k in o.alpha.where)
    alpha = o.alpha._replace(array=None, number=0.0, where=where)
    ddx = None if o.ddx is None else copied(o.ddx)
    return Operands(
        copied(o.x), alpha, dy=copied(o.dy), ddx=ddx, ddalpha=None if ddx is None else alpha
    )


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
