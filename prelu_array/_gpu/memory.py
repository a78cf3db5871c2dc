"""Memory of arrays: where it begins and ends, what overlaps, what a stream works in."""

from __future__ import annotations

from threading import get_ident
from types import SimpleNamespace
from typing import Any

import cupy
import numpy as np

from .plan import same_strides

# What kernels in a captured CUDA graph write to beside the results. A graph may run at any time
# later, so this memory never goes back to CuPy's pool.
captured: list[Any] = []


def overlap(a: Any, b: Any) -> bool:
    """Whether the memory between their ends overlaps."""
    if a is None or b is None or a.size == 0 or b.size == 0:
        return False
    (a_first, a_end), (b_first, b_end) = cupy.byte_bounds(a), cupy.byte_bounds(b)
    return bool(a_first < b_end and b_first < a_end)


def as_numpy(a: Any) -> Any:
    """Return the array for NumPy, which must look at its form and addresses alone."""
    form = {
        "version": 3,
        "data": (a.data.ptr, False),
        "shape": a.shape,
        "strides": a.strides,
        "typestr": f"|V{a.itemsize}",
    }
    return np.asarray(SimpleNamespace(__array_interface__=form)).view(a.dtype)


def apart(a: Any, written: Any, may_be_same: bool = True) -> Any:
    """Return `a`, or a copy if writing to `written` would change an element not yet read."""
    if not overlap(a, written):
        return a
    same = a.data.ptr == written.data.ptr and a.shape == written.shape and a.dtype == written.dtype
    if may_be_same and same and same_strides(a.shape, a.strides, written.strides):
        return a
    return copied(a)


def keep(memory: Any) -> Any:
    """Return arrays, kept for ever if they are used in a CUDA graph that is being captured."""
    if cupy.cuda.get_current_stream().is_capturing():
        captured.append(memory)
    return memory


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
    own, pointer = stream.is_capturing(), stream.ptr
    key = device, pointer, get_ident() if pointer == 2 else 0
    found = None if own else _workspaces.get(key)
    if found is None or found[2] < zeros or found[3] < scratch:
        if found is not None:
            zeros, scratch = max(zeros, 2 * found[2]), max(scratch, 2 * found[3])
        one, other = keep((cupy.zeros(zeros, np.uint64), cupy.empty(scratch, np.uint64)))
        found = one, other, zeros, scratch, one.data.ptr, other.data.ptr
        if not own:
            _workspaces[key] = found
    return found[4], found[5]
