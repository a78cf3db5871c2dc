"""What runs for checked operands: a prepared call, on copies of what it cannot read or write.

For memory with gaps y, dx and y_dot alone come from CuPy's own kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from operator import is_
from typing import Any

import cupy
import numpy as np

from . import doorway, launches
from . import plan as _plan
from .arguments import Operands
from .memory import apart, copied, keep, overlap, workspace
from .plan import ALPHA, DDX, DY, OF_X, OUT, RESULT, Case, X

OUTPUTS = OUT, OF_X, RESULT
ALPHAS = range(ALPHA, RESULT)


def run(kind: str, given: Operands, at_one: bool) -> doorway.Call | None:
    """Run a call; return what is prepared, if that did all on the operands as they are."""
    if given.arrays[OUT] is None and given.arrays[RESULT] is None:
        return None
    o = _apart(kind, given)
    out, _, x, dy, *_, result = o.arrays
    if kind == "sums" and result is not None and (overlap(out, x) or overlap(out, dy)):
        # a term is needed until its alpha's rounding is settled: dx must not overwrite it
        for k in (OUT, RESULT):
            run(kind, _changed(o, (k,), lambda *_: None), at_one)
        return None
    for ready in _ways(o):
        call = _prepared(kind, ready, at_one)
        if call is None:
            continue
        space = workspace(x.device.id, call.zeros, call.scratch) if call.scratch else (0, 0)
        call.run((*_addresses(ready), *space, *o.numbers, call.edge))
        for k in OUTPUTS:
            if ready.arrays[k] is not o.arrays[k]:
                o.arrays[k][...] = ready.arrays[k]
        return call if ready is given else None
    _strided(o, at_one)
    return None


def _changed(o: Operands, slots: Collection[int], change: Callable[[int, Any], Any]) -> Operands:
    """Return operands of which some arrays are what `change` makes of a slot and its array."""
    arrays = tuple([
        change(k, a) if k in slots and a is not None else a for k, a in enumerate(o.arrays)
    ])  # fmt: skip
    return o if all(map(is_, arrays, o.arrays)) else o._replace(arrays=arrays)


def _apart(kind: str, o: Operands) -> Operands:
    """Return operands of which no output overwrites one before it is read."""

    def free(k: int, a: Any) -> Any:
        for j in OUTPUTS:
            # dx may be written last, what else there is before dx has read its inputs; and alpha's
            # axes may be in another order than x's
            same = j == OUT and k < ALPHA and kind not in ("second", "states")
            a = apart(a, o.arrays[j], same)
        return a

    return _changed(o, range(X, RESULT), free)


def _ways(o: Operands) -> Iterator[Operands]:
    """Yield the operands as they are; with copies, where no kernel takes these."""
    alpha, direction = o.arrays[ALPHA:RESULT]
    if alpha is not None and direction is not None and alpha.strides != direction.strides:
        o = _changed(o, ALPHAS, lambda _, a: copied(a, "C"))
    yield o
    x, result = o.arrays[X], o.arrays[RESULT]
    block = _plan.is_block(x.shape, x.strides, x.itemsize)
    if result is None:
        if block:
            yield _lie_as(o, x, (DY, DDX))
        return

    def contiguous(k: int, a: Any) -> Any:
        if a.flags.c_contiguous:
            return a
        return keep(cupy.empty(a.shape, a.dtype)) if k == RESULT else copied(a, "C")

    o = _changed(o, (*ALPHAS, RESULT), contiguous)
    yield _lie_as(o, x if block else copied(x), range(ALPHA))
    # alpha along more than two runs of axes: they come first
    kept = tuple(k for k in o.where if k >= 0)
    order = kept + tuple(k for k in range(x.ndim) if k not in kept)
    first = copied(x.transpose(order), "C")
    yield _lie_as(o, first.transpose(np.argsort(order)), range(ALPHA))


def _lie_as(o: Operands, x: Any, slots: Collection[int]) -> Operands:
    """Return operands of which those in slots lie in memory as `x`, which is x or a copy of it."""

    def there(k: int, a: Any) -> Any:
        if k == X or _plan.same_strides(x.shape, x.strides, a.strides):
            return x if k == X else a
        new = keep(cupy.empty_like(x))
        if k > X:
            new[...] = a
        return new

    return _changed(o, slots, there)


def _addresses(o: Operands) -> tuple[int, ...]:
    return tuple([0 if a is None else a.data.ptr for a in o.arrays])


def _prepared(kind: str, o: Operands, at_one: bool) -> doorway.Call | None:
    """Return the call for operands as they are, if there is a kernel for them."""
    x, result = o.arrays[X], o.arrays[RESULT]
    strides = [None if a is None else a.strides for a in o.arrays]
    if kind == "states":  # those of a dalpha that lies as the states do
        words = 8 * result.shape[-1]
        strides[RESULT] = [s // words * o.dtype.itemsize for s in result.strides[:-1]]
    if x.dtype.kind in "iu" or (kind == "states" and not result.flags.c_contiguous):
        return None
    alphas = [None if s is None else _plan.placed(s, o.where, x.ndim) for s in strides[ALPHA:]]
    case = Case(
        _plan.code(x.dtype), _plan.code(o.dtype), x.shape, (*strides[:ALPHA], *alphas),
        doorway.low_bits(_addresses(o)), kind == "states", at_one,
    )  # fmt: skip
    return doorway.prepared(case, x.device.id)


def _strided(o: Operands, at_one: bool) -> None:
    """Y, dx or y_dot from CuPy's own kernels."""
    out, _, x, dy, ddx, *alphas = o.arrays

    def along(a: Any, number: float) -> Any:
        if a is None:
            return launches.as_bits(np.asarray(number).astype(o.dtype))[()]
        strides = _plan.placed(a.strides, o.where, x.ndim)
        return launches.as_bits(cupy.lib.stride_tricks.as_strided(a, x.shape, strides))

    slopes = list(map(along, alphas[: 1 if ddx is None else 2], o.numbers))
    if x.dtype.kind in "iu":
        launches.integers()(x, *slopes, out)
        return
    codes = _plan.code(x.dtype), _plan.code(o.dtype)
    g = next(a for a in (ddx, dy, x) if a is not None)
    x, g, out = map(launches.as_bits, (x, g, out))
    launches.strided(*codes, ddx is not None)(x, g, *slopes, _plan.edge(*codes, at_one), out)
