"""What the operators do on CUDA devices: prepared calls, started by addresses.

`_gpu.doorway` prepares a call from dtypes, shapes and strides; no array of CuPy is made but for
integers, and all memory, workspaces too, is torch's. A call like one before is looked up and
started. Memory with gaps, or in another order than x's, is copied first.
"""

from __future__ import annotations

from operator import is_
from threading import get_ident
from typing import Any, NamedTuple

import cupy
import torch

from .. import _arguments
from .._cpu import fit_alpha
from .._gpu import doorway, launches
from .._gpu.plan import ALPHA, RESULT, Case, X, code, placed, same_strides
from ._checks import FLOATS


class Stream(NamedTuple):
    """A stream as CuPy takes it."""

    ptr: int


_known: dict[Any, doorway.Call] = {}
_streams: dict[int, Stream] = {}
_workspaces: dict[tuple[int, int, int], tuple[Any, Any]] = {}
MOST_CALLS = 4096
MOST_WORKSPACES = 256

# ---- torch's side: what tests replace ----

_like = torch.empty_like
_index = torch.Tensor.get_device
_stream: Any = getattr(torch._C, "_cuda_getCurrentRawStream", None)  # not in a CPU build
_current_device = torch.cuda.current_device
_on_device = torch.cuda.device
_capturing = torch.cuda.is_current_stream_capturing


def _words(zeros: int, scratch: int, device: Any) -> tuple[Any, Any]:
    options = {"dtype": torch.int64, "device": device}
    return torch.zeros(zeros, **options), torch.empty(scratch, **options)


# ---- the operators ----


def prelu(x: Any, alpha: Any, axis: Any, at_one: bool) -> Any:
    """Y. `at_one` is for its derivatives."""
    y = _like(x)
    at_x, at_y, at_alpha = x.data_ptr(), y.data_ptr(), alpha.data_ptr()
    key: Any = (
        x.dtype, alpha.dtype, x.shape, x.stride(), alpha.shape, alpha.stride(), _hashed(axis),
        (at_x | at_y) & 15, at_alpha & 15, _index(x),
    )  # fmt: skip
    call = _known.get(key)
    if call is not None:
        _start(call, x, (at_y, 0, at_x, 0, 0, at_alpha, 0, 0))
        return y
    where = _place(x, alpha, axis)
    if x.numel():
        with _on_device(x.device):
            if x.dtype in FLOATS:
                _scale((y, None, x, None, None, alpha, None, None), where, False, key)
            else:
                arrays = map(_as_cupy, (x, _along(alpha, where, x), y))
                launches.integers()(*arrays, stream=Stream(_stream(_index(x))))
    return y


def backward(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool
) -> tuple[Any, Any]:
    """(dx, dalpha); what is not needed is empty."""
    dx = _like(x) if need_dx else x.new_empty(0)
    dalpha = _like(alpha) if need_dalpha else alpha.new_empty(0)
    at_x, at_dy, at_dx = x.data_ptr(), dy.data_ptr(), dx.data_ptr()
    at_alpha, at_dalpha = alpha.data_ptr(), dalpha.data_ptr()
    key: Any = (
        x.dtype, alpha.dtype, x.shape, x.stride(), dy.stride(), alpha.shape, alpha.stride(),
        _hashed(axis), (at_x | at_dy | at_dx) & 15, (at_alpha | at_dalpha) & 15, _index(x),
        at_one, need_dx, need_dalpha,
    )  # fmt: skip
    call = _known.get(key)
    if call is not None:
        _start(call, x, (at_dx, 0, at_x, at_dy, 0, at_alpha, 0, at_dalpha))
        return dx, dalpha
    where = _place(x, alpha, axis)
    if x.numel() == 0:
        return dx, dalpha.zero_()
    with _on_device(x.device):
        slots = dx if need_dx else None, None, x, dy, None, alpha, None, dalpha
        done = need_dalpha and _sums(slots, where, at_one, key)
        if need_dx and not done:
            key = None if need_dalpha else key  # what one call does is remembered
            _scale((*slots[:RESULT], None), where, at_one, key)
    return dx, dalpha


def second(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool
) -> tuple[Any, Any, Any]:
    """Return the cotangents of dy, x and alpha."""
    of_dy, of_x, of_alpha = _like(x), _like(x), _like(alpha)
    slots = of_dy, of_x, x, dy, ddx, alpha, ddalpha, of_alpha
    addresses = tuple([t.data_ptr() for t in slots])
    key: Any = (
        x.dtype, alpha.dtype, x.shape, x.stride(), dy.stride(), ddx.stride(), alpha.shape,
        alpha.stride(), ddalpha.stride(), _hashed(axis), _index(x), at_one,
        *[address & 15 for address in addresses],
    )  # fmt: skip
    call = _known.get(key)
    if call is not None:
        _start(call, x, addresses)
        return of_dy, of_x, of_alpha
    where = _place(x, alpha, axis)
    if x.numel() == 0:
        return of_dy, of_x, of_alpha.zero_()
    if alpha.stride() != ddalpha.stride():
        alpha, ddalpha, key = _dense(alpha), _like(alpha).copy_(ddalpha), None
    with _on_device(x.device):
        slots = of_dy, of_x, x, dy, ddx, alpha, ddalpha, of_alpha
        if not _sums(slots, where, at_one, key):
            _scale((of_dy, None, x, None, ddx, alpha, ddalpha, None), where, at_one)
            _scale((of_x, None, x, dy, None, ddalpha, None, None), where, at_one)
            of_x.masked_fill_(x >= 0 if at_one else x > 0, 0)
    return of_dy, of_x, of_alpha


# ---- one call, or several ----


def _scale(slots: Any, where: Any, at_one: bool, key: Any = None) -> None:
    """Y, dx or y_dot, of operands in the order of `_gpu.plan`."""
    if _ran(slots, where, at_one, key):
        return
    out, _, *given, alpha, ddalpha, _ = slots
    x, dy, ddx = (None if t is None else _as_lies(t, out) for t in given)
    if all(map(is_, given, (x, dy, ddx))):  # alpha has too many runs
        alpha, ddalpha = (
            None if a is None else _like(out, dtype=a.dtype).copy_(_along(a, where, x))
            for a in (alpha, ddalpha)
        )
        where = tuple(range(out.ndim))
    _scale((out, None, x, dy, ddx, alpha, ddalpha, None), where, at_one)


def _sums(slots: Any, where: Any, at_one: bool, key: Any = None) -> bool:
    """Dalpha; whether what else there is came with it."""
    if _ran(slots, where, at_one, key):
        return True
    out, of_x, x, dy, ddx, *alphas = slots
    like = x if out is None else out
    given = [None if t is None else _as_lies(t, like) for t in (x, dy, ddx)]
    if _ran((out, of_x, *given, *alphas), where, at_one):
        return True
    # sums alone, alpha's axes first
    kept = tuple(k for k in where if k >= 0)
    order = kept + tuple(k for k in range(x.ndim) if k not in kept)
    given = [None if t is None else _dense(t.permute(order), True) for t in given]
    where = tuple(order.index(k) if k >= 0 else k for k in where)
    done = _ran((None, None, *given, None, None, slots[RESULT]), where, at_one)
    assert done, "alpha's axes come first, and all is dense"
    return False


def _ran(slots: Any, where: Any, at_one: bool, key: Any = None) -> bool:
    """Start the call of operands as they are, if there is a kernel for it, and remember it."""
    x, alpha, result = (slots[k] for k in (X, ALPHA, RESULT))
    addresses = tuple([0 if t is None else t.data_ptr() for t in slots])
    along = [
        None if t is None else _bytes(t) if k < ALPHA else _placed(t, where, x)
        for k, t in enumerate(slots)
    ]
    case = Case(
        code(x.dtype), code((result if alpha is None else alpha).dtype), tuple(x.shape),
        tuple(along), doorway.low_bits(addresses), at_one=at_one,
    )  # fmt: skip
    call = doorway.prepared(case, _index(x))
    if call is None:
        return False
    if key is not None:
        if len(_known) >= MOST_CALLS:
            _known.clear()
        _known[key] = call
    _start(call, x, addresses)
    return True


def _start(call: Any, x: Any, addresses: tuple[int, ...]) -> None:
    """Start a prepared call on torch's current stream of x's device."""
    device = _index(x)
    if device != _current_device():
        with _on_device(device):
            return _start(call, x, addresses)
    raw = _stream(device)
    stream = _streams.get(raw)
    if stream is None:
        stream = _streams[raw] = Stream(raw)
    zeros = scratch = 0
    if call.scratch or call.zeros:
        own = _workspace(call, device, raw, x.device)
        zeros, scratch = own[0].data_ptr(), own[1].data_ptr()
    call.run((*addresses, zeros, scratch, 0.0, 0.0, call.edge), stream)


def _workspace(call: Any, device: int, raw: int, where: Any) -> tuple[Any, Any]:
    """Return the workspace of a stream, as large as the call needs or larger.

    Calls on one stream run one after the other, if one thread starts them. In a CUDA graph that
    is being captured a call gets its own, which is in the graph's memory and cleared by the graph.
    """
    if _capturing():
        return _words(call.zeros, call.scratch, where)
    key = device, raw, get_ident()
    found = _workspaces.get(key)
    if found is None or found[0].numel() < call.zeros or found[1].numel() < call.scratch:
        if len(_workspaces) >= MOST_WORKSPACES:
            _workspaces.clear()
        many = (0, 0) if found is None else (2 * t.numel() for t in found)
        zeros, scratch = map(max, (call.zeros, call.scratch), many)
        found = _workspaces[key] = _words(zeros, scratch, where)
    return found


# ---- memory ----


def _hashed(axis: Any) -> Any:
    return None if axis is None else tuple(axis)


def _place(x: Any, alpha: Any, axis: Any) -> Any:
    """Return the axis of x for each axis of alpha, or -1."""
    axis = axis if axis is None else axis[0] if len(axis) == 1 else tuple(axis)
    shapes = tuple(x.shape), tuple(alpha.shape)
    where = fit_alpha(*shapes, axis)
    if where is None:
        raise _arguments.misfit(*shapes, axis)
    return where


def _bytes(t: Any) -> tuple[int, ...]:
    return tuple([s * t.itemsize for s in t.stride()])


def _placed(alpha: Any, where: Any, x: Any) -> tuple[int, ...]:
    """Return alpha's strides along the axes of x, in bytes."""
    return placed(_bytes(alpha), where, x.ndim)


def _along(alpha: Any, where: Any, x: Any) -> Any:
    """Return alpha in x's shape, without a copy."""
    strides = [s // alpha.itemsize for s in _placed(alpha, where, x)]
    return alpha.as_strided(x.shape, strides)


def _as_cupy(t: Any) -> Any:
    """Return a tensor's memory as CuPy's array, for what takes no addresses."""
    memory = cupy.cuda.UnownedMemory(t.data_ptr(), t.untyped_storage().nbytes(), t, _index(t))
    pointer = cupy.cuda.MemoryPointer(memory, 0)
    return cupy.ndarray(tuple(t.shape), str(t.dtype).removeprefix("torch."), pointer, _bytes(t))


def _as_lies(t: Any, like: Any) -> Any:
    """Return `t`, or where it lies in memory in another way a copy that lies as `like` does."""
    if same_strides(t.shape, t.stride(), like.stride()):
        return t
    return _like(like).copy_(t)


def _dense(t: Any, in_order: bool = False) -> Any:
    options = {"memory_format": torch.contiguous_format} if in_order else {}
    return _like(t, **options).copy_(t)
