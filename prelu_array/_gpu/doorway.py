"""Calls below CuPy's arrays: prepared once from dtypes, shapes and strides, started by addresses.

For adapters, too: nothing here looks at an array. Strides are in bytes. A call is prepared under
the device that it shall run on, and starts on the current stream or on the one it is given.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple

import cupy

from . import plan as _plan
from .launches import prepare
from .plan import Ints
from .walk import Device, walk

# What a call takes, as prelu_operands has it: addresses, or 0 for what it has no use for, of `out`
# (y, dx, y_dot or the cotangent of dy), `of_x` (the cotangent of x), x, dy, `ddx` (also x_dot),
# alpha, ddalpha, `result` (dalpha or states), zeros, scratch; then alpha and ddalpha as numbers,
# if they have no address, and the call's edge.
OPERANDS = "10Q3d"


class Call(NamedTuple):
    """A prepared call.

    The workspace is memory for `zeros` words of 64 bits that are 0, and are 0 again afterwards,
    and for `scratch` ones of any content. Calls that may run at the same time need one each.
    """

    start: Any
    exact: Any  # None: one launch is enough
    edge: float
    low_bits: tuple[int, int]  # of the addresses that it takes: of x and its like, of alpha's
    zeros: int = 0
    scratch: int = 0

    def run(self, fields: Any, stream: Any = None) -> None:
        """Start it; `fields` are as `OPERANDS` says."""
        self.start(fields, stream)
        if self.exact is not None:
            self.exact(fields, stream)


@cache
def device(number: int) -> Device:
    """Return what plans ask of a device."""
    attributes = cupy.cuda.Device(number).attributes
    return Device(
        attributes["MultiProcessorCount"], attributes["SingleToDoublePrecisionPerfRatio"] > 8
    )


@lru_cache(maxsize=1024)
def scale(
    dtypes: tuple[Any, Any],
    shape: Ints,
    strides: tuple[Ints, ...],
    alpha_strides: Ints,
    low_bits: tuple[int, int],
    at_one: bool,
    backward: bool,
    second: bool,
    number: int,
) -> Call | None:
    """Prepare y, dx or y_dot on a device; None for memory with gaps. See `plan.scale`."""
    x, alpha = map(_plan.code, dtypes)
    found = _plan.scale(x, alpha, shape, strides, alpha_strides, *low_bits, backward, second)
    if found is None:
        return None
    return Call(prepare(found, OPERANDS), None, _plan.edge(x, alpha, at_one), low_bits)


@lru_cache(maxsize=1024)
def sums(
    dtypes: tuple[Any, Any],
    shape: Ints,
    strides: tuple[Ints, ...],
    alpha_strides: tuple[Ints, Ints],
    low_bits: tuple[int, int],
    at_one: bool,
    want_dx: bool,
    kind: str,
    number: int,
) -> Call | None:
    """Prepare dalpha or states, and what goes with them, on a device. See `walk.walk`."""
    x, alpha = map(_plan.code, dtypes)
    found = walk(
        x, alpha, shape, strides, *alpha_strides, *low_bits, want_dx, device(number), kind
    )
    if found is None:
        return None
    exact = None if found.exact is None else prepare(found.exact, OPERANDS)
    edge = _plan.edge(x, alpha, at_one)
    return Call(prepare(found.walk, OPERANDS), exact, edge, low_bits, found.zeros, found.scratch)
