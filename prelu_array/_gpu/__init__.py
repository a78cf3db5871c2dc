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
from .arguments import operands, refuse, with_outputs
from .known import again, remember
from .memory import copied
from .plan import ALPHA, DDALPHA, DDX, DY, OF_X, OUT, RESULT, X, code
from .run import run
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
    slots = {
        OUT: None, OF_X: None, DDX: ddx, X: x, DY: dy, ALPHA: alpha, DDALPHA: ddalpha, RESULT: None
    }  # fmt: skip
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
        o = operands(slots, axis)
        if out is not None:
            needs = {"need_dx": need_dx, "need_dalpha": need_sums}
            out = _arguments.outputs(out, tuple(names.values()), **needs)
            slots.update(zip(names, out, strict=True))
        form = o.shape, o.dtype
        if kind == "states":
            form = (*o.shape, LIMBS[code(x.dtype)]), np.dtype(np.int64)
        o = with_outputs(o, {k: slots[k] for k in names}, (need_dx, need_sums), form)
        if x.size:
            remember(key, run(kind, o, at_one), slots, o.arrays)
        elif o.arrays[RESULT] is not None:
            o.arrays[RESULT].fill(0)
    return tuple([o.arrays[k] for k in names])


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
            plan = rounding(kinds[state.shape[-1]], code(dtype), dalpha.size)
            launches.prepare(plan, "2Q")((state.data.ptr, dalpha.data.ptr))
    return dalpha


def missing() -> str:
    """Return why there is no GPU to use, or nothing if there is one."""
    try:
        cupy.cuda.runtime.getDeviceProperties(0)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy {cupy.__version__}, no GPU: {error}"
    return ""
