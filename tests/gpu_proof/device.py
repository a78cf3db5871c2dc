"""A device made of NumPy memory, which stands in for CuPy's under `prelu_array._gpu`.

The public functions then run from their arguments to their results: plans, arguments by value,
workspaces and launches are the real ones, only that a kernel is interpreted from its PTX.
"""

from __future__ import annotations

import math
from functools import cache
from types import SimpleNamespace

import numpy as np

from prelu_array import _api, _gpu, _gpu_arguments, _gpu_kernels

from . import cupy_source, nvrtc
from .memory import DeviceError, Memory
from .ptx_machine import Machine
from .ptx_text import parse

MULTIPROCESSORS = 2  # few, so that small arrays have several chunks
memory = Memory()


class _Pointer:
    def __init__(self, ptr):
        self.ptr = ptr

    def memset_async(self, value, size):
        memory.store(
            np.uint64(self.ptr) + np.arange(size, dtype=np.uint64), np.full(size, value, np.uint8)
        )


class _Device:
    id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class HostArray(np.ndarray):
    """Has what `_gpu` asks of a cupy.ndarray."""

    device = _Device()

    @property
    def data(self):
        return _Pointer(self.ctypes.data)

    def copy(self, order="C"):
        result = empty_like(self) if order == "K" else empty(self.shape, self.dtype)
        result[...] = self
        return result

    def get(self):
        return np.array(self, subok=False)


def place(a, offset=0):
    """Return a copy on the device with a's strides, `offset` bytes after a multiple of 256."""
    a = np.asarray(a)
    low = sum(min(0, (n - 1) * s) for n, s in zip(a.shape, a.strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(a.shape, a.strides, strict=True))
    size = high - low + a.itemsize if a.size else 0
    buffer = memory.allocate(size + offset)
    result = HostArray(a.shape, a.dtype, buffer, offset - low if a.size else 0, a.strides)
    result[...] = a
    return result


def empty(shape, dtype=np.float64):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    return HostArray(shape, dtype, memory.allocate(math.prod(shape) * dtype.itemsize))


def empty_like(a):
    form = np.empty_like(a, subok=False)  # in the order of a
    return HostArray(a.shape, a.dtype, memory.allocate(form.nbytes), 0, form.strides)


@cache
def compiled(text, options, architecture=80):
    return parse(nvrtc.compile_text(text, options, architecture))


class Proof:
    """How kernels run: in which order of warps, from which architecture's PTX, after what change.

    `change` maps a source text to another, to break kernels on purpose. `ran` collects names.
    """

    def __init__(self, schedule="together", architecture=80, change=None):
        self.schedule, self.architecture = schedule, architecture
        self.change = change or (lambda text: text)
        self.ran: list[str] = []
        self.counts: dict[str, int] = {}
        self.capturing = False

    def run(self, text, options, name, grid, block, args):
        kernel = compiled(self.change(text), tuple(options), self.architecture)[name]
        params = _pack(kernel, args)
        self.ran.append(name)
        Machine(kernel, grid, block, params, memory, self.counts).run(self.schedule)

    def namespace(self):
        """Return a module to put in CuPy's place."""
        stream = SimpleNamespace(is_capturing=lambda: self.capturing)
        device = SimpleNamespace(attributes={"MultiProcessorCount": MULTIPROCESSORS})
        return SimpleNamespace(
            ndarray=HostArray,
            empty=empty,
            empty_like=empty_like,
            asarray=lambda a: a if isinstance(a, HostArray) else place(a),
            asnumpy=lambda a: a.get(),
            full=lambda shape, value, dtype=None: place(np.full(shape, value, dtype)),
            ones=lambda shape, dtype=np.float64: place(np.ones(shape, dtype)),
            ones_like=lambda a: place(np.ones_like(a, subok=False)),
            broadcast_to=lambda a, shape: np.broadcast_to(a, shape, subok=True),
            RawKernel=lambda text, name, options: (
                lambda grid, block, args: self.run(text, options, name, grid[0], block[0], args)
            ),
            ElementwiseKernel=lambda *a, **k: cupy_source.Elementwise(self, *a, **k),
            ReductionKernel=lambda *a, **k: cupy_source.Reduction(self, *a, **k),
            cuda=SimpleNamespace(
                get_current_stream=lambda: stream,
                Device=lambda _: device,
                runtime=SimpleNamespace(runtimeGetVersion=lambda: 13000),
            ),
            lib=SimpleNamespace(
                stride_tricks=SimpleNamespace(
                    as_strided=lambda a, shape, strides: np.lib.stride_tricks.as_strided(
                        a, shape, strides, subok=True
                    )
                )
            ),
        )

    def install(self, monkeypatch):
        """Let `prelu_array` take HostArrays for CuPy's arrays, and run their kernels here.

        Returns the module in CuPy's place.
        """
        module = self.namespace()
        for user in (_gpu, _gpu_arguments, _gpu_kernels):
            monkeypatch.setattr(user, "cupy", module)
        # CuPy itself must go on finding itself in the real sys.modules
        monkeypatch.setattr(_api, "sys", SimpleNamespace(modules={"cupy": module}))
        for cached in (_gpu_kernels._kernel, _gpu_kernels.strided, _gpu_kernels.strided_sums):
            cached.cache_clear()
        return module


def _pack(kernel, args):
    """Lay arguments out as the driver does; their sizes must be those of the parameters."""
    if len(args) != len(kernel.params):
        raise DeviceError(f"{kernel.name} takes {len(kernel.params)} arguments, got {len(args)}")
    packed = bytearray(kernel.param_bytes)
    for (name, (offset, size)), value in zip(kernel.params.items(), args, strict=True):
        form = _by_value(value)
        if len(form) != size:
            raise DeviceError(f"{name} takes {size} bytes, got {len(form)}")
        packed[offset : offset + size] = form
    return bytes(packed)


def _by_value(value):
    if isinstance(value, HostArray):
        return np.uint64(value.ctypes.data).tobytes()
    if isinstance(value, np.ndarray):
        if value.size != 1:
            raise DeviceError("CuPy passes only arrays of size one by value")
        return value.tobytes()
    if isinstance(value, np.generic):
        return value.tobytes()
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DeviceError(f"CuPy passes no {type(value).__name__}")
    return (np.int64 if isinstance(value, int) else np.float64)(value).tobytes()
