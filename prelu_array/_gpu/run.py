"""What runs for checked operands: a prepared call, on copies of what it cannot read or write.

For memory with gaps y, dx and y_dot alone come from CuPy's own kernels.
"""

from __future__ import annotations

from operator import is_
from typing import Any, NamedTuple

import cupy
import numpy as np

from . import doorway, launches
from . import plan as _plan
from .arguments import Alpha
from .memory import apart, copied, keep, low_bits, overlap, workspace


class Operands(NamedTuple):
    """What a call reads and writes. None: it has no use for it."""

    x: Any
    alpha: Any  # an Alpha
    out: Any = None  # y, dx, y_dot or the cotangent of dy
    dy: Any = None
    ddx: Any = None  # also x_dot
    ddalpha: Alpha | None = None  # also alpha_dot
    of_x: Any = None  # the cotangent of x
    result: Any = None  # dalpha, or states

    @property
    def dtypes(self) -> tuple[Any, Any]:
        """Of x and of alpha."""
        return self.x.dtype, self.alpha.dtype

    @property
    def given(self) -> list[Any]:
        """The arrays of x's shape."""
        every = (self.x, self.dy, self.ddx, self.out, self.of_x)
        return [a for a in every if a is not None]

    @property
    def slots(self) -> tuple[Any, ...]:
        """The arrays as a call takes them."""
        dd = self.ddalpha or _NO_ALPHA
        alphas = self.alpha.array, dd.array, self.result
        return (self.out, self.of_x, self.x, self.dy, self.ddx, *alphas)

    def with_alphas(self, changed: Any) -> Operands:
        """Return operands with other arrays for alpha and its direction."""
        alpha, dd = (
            a and a._replace(array=None if a.array is None else changed(a.array))
            for a in (self.alpha, self.ddalpha)
        )
        return self._replace(alpha=alpha, ddalpha=dd)

    def apart(self, written: Any, may_be_same: bool) -> Operands:
        """Return operands of which writing to `written` changes none too early."""
        x, dy, ddx = (apart(v, written, may_be_same) for v in (self.x, self.dy, self.ddx))
        # alpha's axes may be in another order than x's, so it never may be the same
        o = self.with_alphas(lambda array: apart(array, written, False))
        return o._replace(x=x, dy=dy, ddx=ddx)

    def lie_as(self, x: Any, outputs: bool = True) -> Operands:
        """Return operands of x's shape that lie in memory as `x`, which is x or a copy of it."""

        def there(a: Any, is_read: bool) -> Any:
            if a is None or _plan.same_strides(x.shape, x.strides, a.strides):
                return a
            new = keep(cupy.empty_like(x))
            if is_read:
                new[...] = a
            return new

        o = self._replace(x=x, dy=there(self.dy, True), ddx=there(self.ddx, True))
        if outputs:
            o = o._replace(out=there(self.out, False), of_x=there(self.of_x, False))
        return o

    def start(self, call: doorway.Call) -> None:
        """Start a prepared call."""
        pointers = [0 if a is None else a.data.ptr for a in self.slots]
        dd = self.ddalpha or _NO_ALPHA
        zeros = scratch = 0
        if call.scratch:
            zeros, scratch = workspace(self.x.device.id, call.zeros, call.scratch)
        call.run((*pointers, zeros, scratch, self.alpha.number, dd.number, call.edge))


_NO_ALPHA = Alpha(None, 0.0, None, (), ())


def run(kind: str, o: Operands, at_one: bool) -> doorway.Call | None:
    """Run a call; return what is prepared, if that did all on the operands as they are."""
    if o.result is None:
        return None if o.out is None else _scale(o, at_one)
    if kind == "sums" and (overlap(o.out, o.x) or overlap(o.out, o.dy)):
        # a term is needed until its alpha's rounding is settled: dx must not overwrite it
        _sums(kind, o._replace(out=None), at_one)
        _scale(o._replace(result=None), at_one)
        return None
    return _sums(kind, o, at_one)


def _scale(o: Operands, at_one: bool) -> doorway.Call | None:
    """Y, dx or y_dot; return the call for dense memory."""
    ready = o
    if _is_block(o.x):
        o = o.lie_as(o.x, outputs=False)
    given, second = o.given, o.ddalpha is not None
    call = None
    if o.x.dtype.kind not in "iu":
        call = doorway.scale(
            o.dtypes, o.x.shape, tuple([a.strides for a in given]),
            o.alpha.strides(o.alpha.array, o.x.ndim),
            (low_bits(*given), low_bits(o.alpha.array, o.ddalpha and o.ddalpha.array)), at_one,
            o.dy is not None, second, o.x.device.id,
        )  # fmt: skip
    if call is not None:
        o.start(call)
        return call if all(map(is_, o.given, ready.given)) else None
    slopes = [_along(a, o.x) for a in (o.alpha, o.ddalpha) if a is not None]
    if o.x.dtype.kind in "iu":
        launches.integers()(o.x, *slopes, o.out)
        return None
    codes = _plan.code(o.x.dtype), _plan.code(o.alpha.dtype)
    g = next(a for a in (o.ddx, o.dy, o.x) if a is not None)
    x, g, out = map(launches.as_bits, (o.x, g, o.out))
    launches.strided(*codes, second)(x, g, *slopes, _plan.edge(*codes, at_one), out)
    return None


def _is_block(x: Any) -> bool:
    return _plan.is_block(x.shape, x.strides, x.itemsize)


def _along(a: Any, x: Any) -> Any:
    """Return alpha for CuPy's kernels, along x."""
    if a.array is None:
        return launches.as_bits(np.asarray(a.number).astype(a.dtype))[()]
    strides = a.strides(a.array, x.ndim)
    return launches.as_bits(cupy.lib.stride_tricks.as_strided(a.array, x.shape, strides))


def _sums(kind: str, o: Operands, at_one: bool) -> doorway.Call | None:
    """Dalpha or states, and what goes with them; return the call for operands as they are."""
    ready = o
    call = _prepared(kind, o, at_one)
    if call is None:
        ready = o.with_alphas(lambda a: a if a.flags.c_contiguous else copied(a, "C"))
        if not o.result.flags.c_contiguous:
            ready = ready._replace(result=keep(cupy.empty(o.result.shape, o.result.dtype)))
        ready = ready.lie_as(o.x if _is_block(o.x) else copied(o.x))
        call = _prepared(kind, ready, at_one)
    if call is None:  # alpha along more than two runs of axes: they come first
        kept = tuple(k for k in o.alpha.where if k >= 0)
        order = kept + tuple(k for k in range(o.x.ndim) if k not in kept)
        first = copied(ready.x.transpose(order), "C")
        ready = ready.lie_as(first.transpose(np.argsort(order)))
        call = _prepared(kind, ready, at_one)
    assert call is not None, "alpha's axes come first, and all is dense"
    ready.start(call)
    if ready is o:
        return call
    for given, there in ((o.out, ready.out), (o.of_x, ready.of_x), (o.result, ready.result)):
        if given is not there:
            given[...] = there
    return None


def _prepared(kind: str, o: Operands, at_one: bool) -> doorway.Call | None:
    given, a = o.given, o.alpha
    along = o.result.strides
    if kind == "states":  # of a dalpha that lies as the states do
        if not o.result.flags.c_contiguous:
            return None
        words, item = 8 * o.result.shape[-1], a.dtype.itemsize
        along = [s // words * item for s in along[:-1]]
    strides = _plan.placed(along, a.where, o.x.ndim)
    bits = low_bits(*given), low_bits(a.array, o.ddalpha and o.ddalpha.array, o.result)
    return doorway.sums(
        o.dtypes, o.x.shape, tuple([v.strides for v in given]),
        (a.strides(a.array, o.x.ndim), strides), bits, at_one, o.out is not None, kind,
        o.x.device.id,
    )  # fmt: skip
