"""Calls below CuPy's arrays: prepared once from dtypes, shapes and strides, started by addresses.

For adapters, too: nothing here looks at an array. A call is prepared under the device that it
shall run on, and starts on the current stream or on the one it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import cupy

from .launches import prepare
from .plan import RESULT, Case, edge, scale
from .walk import Device, walk

# What a call takes, as prelu_operands has it: addresses, or 0 for what it has no use for, of the
# operands in the order of `plan`, and of its workspace, zeros and scratch; then alpha and its
# direction as numbers, if they have no address, and the call's edge.
OPERANDS = "10Q3d"


class Call(NamedTuple):
    """A prepared call.

    The workspace is memory for `zeros` words of 64 bits that are 0, and are 0 again afterwards,
    and for `scratch` ones of any content. Calls that may run at the same time need one each.
    """

    starts: tuple[Callable[..., None], ...]
    edge: float
    low_bits: tuple[int, int]  # of the addresses that it takes, as `Case` has them
    zeros: int = 0
    scratch: int = 0

    def run(self, fields: Any, stream: Any = None) -> None:
        """Start it; `fields` are as `OPERANDS` says."""
        for start in self.starts:
            start(fields, stream)


@cache
def device(number: int) -> Device:
    """Return what plans ask of a device."""
    attributes = cupy.cuda.Device(number).attributes
    return Device(
        attributes["MultiProcessorCount"], attributes["SingleToDoublePrecisionPerfRatio"] > 8
    )


def low_bits(addresses: Sequence[int]) -> tuple[int, int]:
    """Return the bits below 16 of the operands' addresses, as `Case` has them."""
    out, of_x, x, dy, ddx, alpha, ddalpha, result = addresses
    return (out | of_x | x | dy | ddx) & 15, (alpha | ddalpha | result) & 15


@lru_cache(maxsize=1024)
def prepared(case: Case, number: int) -> Call | None:
    """Return the call of a case on a device; None where no kernel takes its strides."""
    plan = scale(case) if case.strides[RESULT] is None else walk(case, device(number))
    if plan is None:
        return None
    starts = tuple([prepare(launch, OPERANDS) for launch in plan.launches])
    own = edge(case.x, case.alpha, case.at_one)
    return Call(starts, own, case.low_bits, plan.zeros, plan.scratch)
