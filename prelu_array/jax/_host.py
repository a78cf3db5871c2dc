"""What runs when JAX calls back: its buffers, or copies of them, to the backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import _cpu
from .._pages import FROM, ask_for_huge


def _run(
    backend: Any, name: str, outs: Any, arrays: Any, at_one: bool, need: tuple[bool, bool]
) -> None:
    if name == "prelu":
        backend.forward(*arrays, None, outs[0])
    elif name == "jvp":
        backend.jvp(*arrays, None, at_one, outs[0])
    elif name == "backward":
        places = iter(outs)
        pair = tuple([next(places) if needed else None for needed in need])
        backend.backward(*arrays, None, at_one, *need, pair)
    else:
        backend.double_backward(*arrays, None, at_one, tuple(outs))


@cache
def on_cpu(*options: Any) -> Callable[..., None]:
    """Return a callback that writes to JAX's own buffers on the CPU."""
    name, *others = options

    def callback(_: Any, outs: Any, *buffers: Any) -> None:
        outs = [out.__array__() for out in outs]
        for out in outs:
            if out.nbytes >= FROM:
                ask_for_huge(out.ctypes.data, out.nbytes)
        _run(_cpu, name, outs, [buffer.__array__() for buffer in buffers], *others)

    return callback


class _Stream:
    """A stream of JAX as CuPy asks for it."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer


@cache
def on_cuda(*options: Any) -> Callable[..., None]:
    """Return a callback that starts kernels on JAX's stream, on its own buffers."""
    name, *others = options
    try:
        import cupy

        from .. import _gpu
    except ImportError as error:
        raise ImportError(
            "arrays on CUDA need CuPy, which compiles and starts the kernels: "
            'pip install "cupy-cuda13x[ctk]", or cupy-cuda12x'
        ) from error

    def callback(context: Any, outs: Any, *buffers: Any) -> None:
        arrays = [_on_device(cupy, buffer) for buffer in (*outs, *buffers)]
        with arrays[0].device, cupy.cuda.Stream.from_external(_Stream(context.stream)):
            _run(_gpu, name, arrays[: len(outs)], arrays[len(outs) :], *others)

    return callback


def _on_device(cupy: Any, buffer: Any) -> Any:
    """Return a buffer of JAX as a CuPy array; its memory is there for as long as the callback."""
    shape, dtype = tuple(buffer.shape), np.dtype(buffer.dtype)
    try:
        address = buffer.__cuda_array_interface__["data"][0]
    except (AttributeError, TypeError, ValueError, RuntimeError):  # bfloat16 has no name there
        return cupy.from_dlpack(buffer)
    size = max(1, dtype.itemsize * int(np.prod(shape, dtype=np.int64)))
    number = cupy.cuda.runtime.pointerGetAttributes(address).device
    memory = cupy.cuda.UnownedMemory(address, size, buffer, number)
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, 0))


@cache
def on_host(*options: Any) -> Callable[..., Any]:
    """Return a function of arrays that JAX copies to the host, and back."""
    name, *others, shapes = options

    def function(*arrays: Any) -> Any:
        outs = [np.empty(shape, dtype) for shape, dtype in shapes]
        _run(_cpu, name, outs, [np.asarray(a) for a in arrays], *others)
        return outs

    return function
