"""Memory of arrays: where it begins and ends, what overlaps, what a stream works in."""

from __future__ import annotations

from threading import get_ident
from typing import Any

import cupy
import numpy as np

from .plan import same_strides

# What kernels in a captured CUDA graph write to beside the results. A graph may run at any time
# later, so this memory never goes back to CuPy's pool.
captured: list[tuple[Any, ...]] = []


def overlap(a: Any, b: Any) -> bool:
    """Whether the memory between their ends overlaps."""
    if a is None or b is None or a.size == 0 or b.size == 0:
        return False
    (a_first, a_end), (b_first, b_end) = cupy.byte_bounds(a), cupy.byte_bounds(b)
    return bool(a_first < b_end and b_first < a_end)


class _Form:
    """The addresses of an array for NumPy, which must not look at what is there."""

    def __init__(self, a: Any) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (a.data.ptr, True),
            "shape": a.shape,
            "strides": a.strides,
            "typestr": f"|V{a.itemsize}",
        }


def share_memory(a: Any, b: Any) -> bool:
    """Whether an element of one is an element of the other."""
    return overlap(a, b) and np.shares_memory(np.asarray(_Form(a)), np.asarray(_Form(b)))


def apart(a: Any, written: Any, may_be_same: bool = True) -> Any:
    """Return `a`, or a copy if writing to `written` would change an element not yet read."""
    if not overlap(a, written):
        return a
    same = a.data.ptr == written.data.ptr and a.shape == written.shape and a.dtype == written.dtype
    if may_be_same and same and same_strides(a.shape, a.strides, written.strides):
        return a
    return copied(a)


def low_bits(*arrays: Any) -> int:
    """Return the bits below 16 of the arrays' addresses."""
    bits = 0
    for a in arrays:
        if a is not None:
            bits |= a.data.ptr
    return bits & 15


def keep(array: Any) -> Any:
    """Return an array, kept for ever if it is used in a CUDA graph that is being captured."""
    if cupy.cuda.get_current_stream().is_capturing():
        captured.append((array,))
    return array


def copied(a: Any, order: str = "K") -> Any:
    """Return a copy for the kernels of this call."""
    return keep(a.copy(order=order))


# Of each device and stream (and thread, for the stream that every thread has its own of).
_workspaces: dict[tuple[int, int, int], tuple[Any, Any, int, int, int, int]] = {}


def workspace(device: int, zeros: int, scratch: int) -> tuple[int, int]:
    """Return addresses of the current stream's workspace, of as many words or more.

    What runs on one stream runs one after the other, so it shares it. A captured graph may run
    beside anything, so it gets its own.
    """
    stream = cupy.cuda.get_current_stream()
    if stream.is_capturing():
        own = cupy.zeros(zeros, np.uint64), cupy.empty(scratch, np.uint64)
        captured.append(own)
        return own[0].data.ptr, own[1].data.ptr
    pointer = stream.ptr
    key = device, pointer, get_ident() if pointer == 2 else 0
    found = _workspaces.get(key)
    if found is None or found[2] < zeros or found[3] < scratch:
        if found is not None:
            zeros, scratch = max(zeros, 2 * found[2]), max(scratch, 2 * found[3])
        one, other = cupy.zeros(zeros, np.uint64), cupy.empty(scratch, np.uint64)
        found = one, other, zeros, scratch, one.data.ptr, other.data.ptr
        _workspaces[key] = found
    return found[4], found[5]
