"""What runs for checked operands: a prepared call, or for memory with gaps CuPy's own kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import cupy
import numpy as np

from . import doorway, launches
from . import plan as _plan
from .arguments import Alpha, with_strides_of
from .memory import apart, keep, low_bits, workspace


class Operands(NamedTuple):
    """What a call reads and writes. None: it has no use for it."""

    x: Any
    alpha: Any  # an Alpha
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

    def apart(self, written: Any, may_be_same: bool) -> Operands:
        """Return operands of which writing to `written` changes none too early."""
        x, dy, ddx = (apart(v, written, may_be_same) for v in (self.x, self.dy, self.ddx))
        alpha, dd = (
            None if a is None else a._replace(array=apart(a.array, written, False))
            for a in (self.alpha, self.ddalpha)
        )
        return Operands(x, alpha, self.out, dy, ddx, dd, self.of_x)

    def in_order(self) -> Operands:
        """Return operands in x's order, where x is one block of memory."""
        dy, ddx = (with_strides_of(self.x, a) for a in (self.dy, self.ddx))
        return self._replace(dy=dy, ddx=ddx)

    def start(self, call: doorway.Call, result: Any = None) -> None:
        """Start a prepared call."""
        pointers = [0 if a is None else a.data.ptr for a in self.slots(result)]
        dd = self.ddalpha or _NO_ALPHA
        zeros = scratch = 0
        if call.scratch:
            zeros, scratch = workspace(self.x.device.id, call.zeros, call.scratch)
        call.run((*pointers, zeros, scratch, self.alpha.number, dd.number, call.edge))


_NO_ALPHA = Alpha(None, 0.0, None, (), ())


def along(a: Any, x: Any) -> Any:
    """Return alpha for CuPy's kernels, along x."""
    if a.array is None:
        return launches.as_bits(np.asarray(a.number).astype(a.dtype))[()]
    strides = a.strides(a.array, x.ndim)
    along = cupy.lib.stride_tricks.as_strided(a.array, x.shape, strides)
    return launches.as_bits(along)


def scale(o: Operands, at_one: bool) -> doorway.Call | None:
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
    slopes = [along(a, o.x) for a in (o.alpha, o.ddalpha) if a is not None]
    if o.x.dtype.kind in "iu":
        launches.integers()(o.x, *slopes, o.out)
        return None
    codes = _plan.code(o.x.dtype), _plan.code(o.alpha.dtype)
    g = next(a for a in (o.ddx, o.dy, o.x) if a is not None)
    kernel = launches.strided("jvp" if second else "scale", *codes)
    bits_of = launches.as_bits
    kernel(bits_of(o.x), bits_of(g), *slopes, _plan.edge(*codes, at_one), bits_of(o.out))
    return None


def sums(result: Any, o: Operands, at_one: bool, kind: str) -> tuple[bool, doorway.Call | None]:
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
        sums(dense, o, at_one, kind)
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
