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
from . import launches
from . import plan as _plan
from .arguments import as_alpha, check_array, check_out, outputs, refuse, with_direction
from .known import ALPHA, DDALPHA, DDX, DY, OF_X, OUT, RESULT, X, again, remember
from .memory import keep, overlap
from .run import Operands, along, scale, sums
from .walk import LIMBS, rounding

_GRADIENTS = {OUT: "dx", RESULT: "dalpha"}
_SECOND = {OUT: "of_dy", OF_X: "of_x", RESULT: "of_alpha"}
_STATES = {OUT: "dx", RESULT: "state"}


def forward(x: Any, alpha: Any, axis: Any, out: Any = None) -> Any:
    """Y. See `prelu_array.prelu`."""
    return _one("forward", {OUT: out, X: x, ALPHA: alpha}, axis, False)


def jvp(
    x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool, out: Any = None
) -> Any:
    """Y_dot. See `prelu_array.prelu_jvp`."""
    slots = {OUT: out, X: x, DDX: x_dot, ALPHA: alpha, DDALPHA: alpha_dot}
    return _one("jvp", slots, axis, at_one)


def backward(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool,
    out: Any = None,
) -> Any:  # fmt: skip
    """(dx, dalpha). See `prelu_array.prelu_backward`."""
    slots = {OUT: None, X: x, DY: dy, ALPHA: alpha, RESULT: None}
    return _several("sums", slots, axis, at_one, _GRADIENTS, out, need_dx, need_dalpha)


def double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, out: Any = None
) -> Any:
    """Cotangents of dy, x and alpha. See `prelu_array.prelu_double_backward`."""
    slots = {OUT: None, OF_X: None, DDX: ddx, X: x, DY: dy}
    slots |= {ALPHA: alpha, DDALPHA: ddalpha, RESULT: None}
    return _several("second", slots, axis, at_one, _SECOND, out)


def backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, out: Any = None
) -> Any:
    """(dx, state). See `prelu_array.prelu_backward_partial`."""
    slots = {OUT: None, X: x, DY: dy, ALPHA: alpha, RESULT: None}
    return _several("states", slots, axis, at_one, _STATES, out, need_dx)


def _one(kind: str, slots: dict[int, Any], axis: Any, at_one: bool) -> Any:
    """Y or y_dot."""
    key, found = again((kind, at_one), axis, slots)
    if found is not None:
        return found[OUT]
    x, out = slots[X], slots[OUT]
    _arguments.check_dtype(x.dtype, "x", integers=DDX not in slots)
    with x.device:
        o = _operands(slots, axis, "x_dot", "alpha_dot")
        if out is None:
            out = cupy.empty_like(x)
        else:
            check_out(out, "out", x, x.shape, x.dtype, "x")
            o = o.apart(out, may_be_same=True)
        if x.size:
            o = o.in_order()._replace(out=out)
            remember(key, scale(o, at_one), slots, o.slots())
    return out


def _several(
    kind: str, slots: dict[int, Any], axis: Any, at_one: bool, names: dict[int, str], out: Any,
    need_dx: bool = True, need_sums: bool = True,
) -> Any:  # fmt: skip
    """Sums or states, and the arrays like x that go with them."""
    key = found = None
    if out is None or (type(out) is tuple and len(out) == len(names)):
        if out is not None:
            slots.update(zip(names, out, strict=True))
        key, found = again((kind, at_one, need_dx, need_sums), axis, slots)
    if found is not None:
        return tuple([found[k] for k in names])
    x = slots[X]
    _arguments.check_dtype(x.dtype, "x")
    with x.device:
        o = _operands(slots, axis, "ddx", "ddalpha")
        form = o.alpha
        if kind == "states":
            shape = *form.shape, LIMBS[_plan.code(x.dtype)]
            form = form._replace(shape=shape, dtype=np.dtype(np.int64))
        if out is not None:
            needs = {"need_dx": need_dx, "need_dalpha": need_sums}
            out = _arguments.outputs(out, tuple(names.values()), **needs)
        given = outputs(out, x, form, "xxa" if kind == "second" else "xa")
        made = dict(zip(names, given, strict=True))
        for k, a in made.items():
            # dx may be written last, what else there is before dx has read its inputs
            o = o.apart(a, may_be_same=kind == "sums" and k == OUT)
            if a is None and (need_sums if k == RESULT else need_dx):
                like_x = k != RESULT
                made[k] = cupy.empty_like(x) if like_x else cupy.empty(form.shape, form.dtype)
        dx, result = made[OUT], made[RESULT]
        if x.size == 0:
            if result is not None:
                result.fill(0)
        else:
            o = o.in_order()._replace(out=dx, of_x=made.get(OF_X))
            into = result
            if kind == "states" and not result.flags.c_contiguous:
                into = cupy.empty(form.shape, form.dtype)
                keep(into)
            remember(key, _run(kind, o, into, at_one), slots, o.slots(into))
            if into is not result:
                result[...] = into
    return tuple(made.values())


def _run(kind: str, o: Operands, result: Any, at_one: bool) -> Any:
    """Run what `_several` has checked; return the call if one did it all."""
    done, call = False, None
    if result is not None:
        # a term is needed until its alpha's rounding is settled: dx must not overwrite it
        over = overlap(o.out, o.x) or overlap(o.out, o.dy)
        done, call = sums(result, o._replace(out=None) if over else o, at_one, kind)
    if done or o.out is None:
        return call
    if kind != "second":
        call = scale(o, at_one)
        return call if result is None else None
    scale(o._replace(dy=None, of_x=None), at_one)
    codes = _plan.code(o.x.dtype), _plan.code(o.alpha.dtype)
    x, dy, out = map(launches.as_bits, (o.x, o.dy, o.of_x))
    edge = _plan.edge(*codes, at_one)
    launches.strided("of_x", *codes)(x, dy, along(o.ddalpha, o.x), edge, out)
    return None


def _operands(slots: dict[int, Any], axis: Any, dot: str, alpha_dot: str) -> Operands:
    """Check what a call reads."""
    x, dd = slots[X], None
    for k, name in ((DDX, dot), (DY, "dy")):
        if k in slots:
            check_array(slots[k], name, x)
            _arguments.check_like(slots[k], name, x, "x")
    a = as_alpha(slots[ALPHA], x, axis)
    if DDALPHA in slots:
        a, dd = with_direction(a, slots[DDALPHA], alpha_dot, x)
    return Operands(x, a, dy=slots.get(DY), ddx=slots.get(DDX), ddalpha=dd)


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
