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
from .arguments import as_alpha, check_array, outputs, refuse, with_direction
from .known import ALPHA, DDALPHA, DDX, DY, OF_X, OUT, RESULT, X, again, remember
from .memory import copied
from .run import Operands, run
from .walk import LIMBS, rounding

# The results of a function, by the slot of a call.
_ONE = {OUT: "out"}
_GRADIENTS = {OUT: "dx", RESULT: "dalpha"}
_SECOND = {OUT: "of_dy", OF_X: "of_x", RESULT: "of_alpha"}
_STATES = {OUT: "dx", RESULT: "state"}


def forward(x: Any, alpha: Any, axis: Any, out: Any = None) -> Any:
    """Y. See `prelu_array.prelu`."""
    return _call("forward", _ONE, {OUT: out, X: x, ALPHA: alpha}, axis, False)[0]


def jvp(
    x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool, out: Any = None
) -> Any:
    """Y_dot. See `prelu_array.prelu_jvp`."""
    slots = {OUT: out, X: x, DDX: x_dot, ALPHA: alpha, DDALPHA: alpha_dot}
    return _call("jvp", _ONE, slots, axis, at_one)[0]


def backward(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool,
    out: Any = None,
) -> Any:  # fmt: skip
    """(dx, dalpha). See `prelu_array.prelu_backward`."""
    slots = {OUT: None, X: x, DY: dy, ALPHA: alpha, RESULT: None}
    return _call("sums", _GRADIENTS, slots, axis, at_one, out, need_dx, need_dalpha)


def double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, out: Any = None
) -> Any:
    """Cotangents of dy, x and alpha. See `prelu_array.prelu_double_backward`."""
    slots = {OUT: None, OF_X: None, DDX: ddx, X: x, DY: dy}
    slots |= {ALPHA: alpha, DDALPHA: ddalpha, RESULT: None}
    return _call("second", _SECOND, slots, axis, at_one, out)


def backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, out: Any = None
) -> Any:
    """(dx, state). See `prelu_array.prelu_backward_partial`."""
    slots = {OUT: None, X: x, DY: dy, ALPHA: alpha, RESULT: None}
    return _call("states", _STATES, slots, axis, at_one, out, need_dx)


def _call(
    kind: str, names: dict[int, str], slots: dict[int, Any], axis: Any, at_one: bool,
    out: Any = None, need_dx: bool = True, need_sums: bool = True,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the results that `names` says; `out` holds those of several that are given."""
    key = found = None
    if out is None or (type(out) is tuple and len(out) == len(names)):
        if out is not None:
            slots.update(zip(names, out, strict=True))
        key, found = again((kind, at_one, need_dx, need_sums), axis, slots)
    if found is not None:
        return tuple([found[k] for k in names])
    x = slots[X]
    _arguments.check_dtype(x.dtype, "x", integers=kind == "forward")
    with x.device:
        o = _operands(slots, axis)
        form = o.alpha
        if kind == "states":
            shape = *form.shape, LIMBS[_plan.code(x.dtype)]
            form = form._replace(shape=shape, dtype=np.dtype(np.int64))
        if out is not None:
            needs = {"need_dx": need_dx, "need_dalpha": need_sums}
            out = _arguments.outputs(out, tuple(names.values()), **needs)
            slots.update(zip(names, out, strict=True))
        made = {k: slots[k] for k in names}
        likes = {k: form if k == RESULT else x for k in names}
        outputs(made, x, likes)
        for k, a in made.items():
            # dx may be written last, what else there is before dx has read its inputs
            o = o.apart(a, may_be_same=k == OUT and kind != "second" and kind != "states")
            if a is None and (need_sums if k == RESULT else need_dx):
                made[k] = cupy.empty(form.shape, form.dtype) if k == RESULT else cupy.empty_like(x)
        o = o._replace(out=made[OUT], of_x=made.get(OF_X), result=made.get(RESULT))
        if x.size:
            remember(key, run(kind, o, at_one), slots, o.slots)
        elif o.result is not None:
            o.result.fill(0)
    return tuple(made.values())


def _operands(slots: dict[int, Any], axis: Any) -> Operands:
    """Check what a call reads."""
    x, dd = slots[X], None
    dot, alpha_dot = ("ddx", "ddalpha") if DY in slots else ("x_dot", "alpha_dot")
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
        raise TypeError(
            f"state must be int64, as prelu_backward_partial returns it, got {state.dtype.name}"
        )
    kinds = {limbs: x for x, limbs in LIMBS.items()}
    if state.ndim == 0 or state.shape[-1] not in kinds:
        raise _arguments.not_a_state(state.shape, list(kinds))
    with state.device:
        dalpha = cupy.empty(state.shape[:-1], dtype)
        if dalpha.size:
            if not state.flags.c_contiguous:
                state = copied(state, "C")
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
