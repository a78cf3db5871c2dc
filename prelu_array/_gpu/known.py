"""Calls like one before: looked up by what their arrays look like, started by their addresses.

What decides which kernel runs is in the key, or compared: dtypes, shapes, strides, axis, options,
the device, the addresses' bits below 16, and whether memory overlaps. So a call that is found has
passed every check before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cupy
import numpy as np
from cupy import ndarray

from .. import _arguments
from .doorway import Call
from .memory import extent, workspace


class Known(NamedTuple):
    """A prepared call. Slots are those of `Call`'s arguments."""

    call: Call
    in_place: bool  # out may be x
    spans: dict[int, int]  # bytes between the ends of each slot's array
    fresh: dict[int, tuple[Any, Any]]  # shape and dtype of each output that is made


_known: dict[Any, Known] = {}
MOST = 4096

OUT, OF_X, X, DY, DDX, ALPHA, DDALPHA, RESULT = range(8)
_NUMBERS = {ALPHA: 10, DDALPHA: 11}  # where a Python number goes


def again(kind: Any, axis: Any, slots: dict[int, Any]) -> tuple[Any, dict[int, Any] | None]:
    """Start a call like one before; return its key, and the arrays if there was one."""
    plain = axis is None or type(axis) is int
    if not plain and not (type(axis) is tuple and all(type(k) is int for k in axis)):
        return None, None
    parts = [kind, axis]
    for a in slots.values():
        if type(a) is ndarray:
            parts += a.dtype, a.shape, a.strides
        elif a is None or type(a) is float:
            parts.append(type(a))
        else:
            return None, None
    key = tuple(parts)
    known = _known.get(key)
    if known is None:
        return key, None
    call, spans = known.call, known.spans
    device = slots[X].data.device_id
    if device != cupy.cuda.runtime.getDevice():
        return key, None
    fields: list[Any] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, call.edge]
    bits = alpha_bits = 0
    written = []
    for k, a in slots.items():
        if a is None:
            made = known.fresh.get(k)
            if made is None:
                continue
            slots[k] = a = ndarray(*made)
        elif type(a) is float:
            if not -65504 <= a <= 65504:
                return key, None
            fields[_NUMBERS[k]] = rounded(a, slots[X].dtype)
            continue
        elif k < X or k == RESULT:
            written.append(k)
        memory = a.data
        if memory.device_id != device:
            return key, None
        fields[k] = pointer = memory.ptr
        if k < ALPHA:
            bits |= pointer
        else:
            alpha_bits |= pointer
    if bits & 15 != call.low_bits[0] or alpha_bits & 15 != call.low_bits[1]:
        return key, None
    for k in written:
        first = fields[k]
        end = first + spans[k]
        for other, span in spans.items():
            at = fields[other]
            if other == k or at >= end or first >= at + span:
                continue
            if not (known.in_place and other == X and at == first):
                return key, None
    if call.scratch:
        fields[8], fields[9] = workspace(device, call.zeros, call.scratch)
    call.run(fields)
    return key, slots


def remember(key: Any, call: Call | None, given: dict[int, Any], used: tuple[Any, ...]) -> None:
    """Remember a call if its arrays are those that were given, or made as others can be."""
    if key is None or call is None:
        return
    spans, fresh = {}, {}
    for k, a in enumerate(used):
        if a is None:
            continue
        if given.get(k) is None:
            if not a.flags.c_contiguous:
                return
            fresh[k] = a.shape, a.dtype
        elif given[k] is not a:
            return
        first, end = extent(a)
        if first != a.data.ptr:
            return
        spans[k] = end - first
    in_place = key[0] == "forward" and used[OUT].strides == used[X].strides
    if len(_known) >= MOST:
        _known.clear()
    _known[key] = Known(call, in_place, spans, fresh)


def rounded(number: float, dtype: Any) -> float:
    """Return a number rounded once to a dtype; ml_dtypes would round to float32 before."""
    if not _arguments.is_bfloat16(dtype):
        return float(dtype.type(number))
    cut = np.float32(number)
    if abs(float(cut)) > abs(number):
        cut = np.nextafter(cut, np.float32(0))
    odd = cut.view(np.uint32) | np.uint32(float(cut) != number)
    return float(np.asarray(odd).view(np.float32).astype(dtype))
