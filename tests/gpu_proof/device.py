"""A device of host memory under CuPy itself; each launch goes to an interpreter of PTX.

Import this before CuPy. Everything but the driver is real: CuPy's arrays, streams and kernels,
NVRTC, the packing of arguments. Only a kernel is executed by `ptx_machine` or, compiled as C++,
by `host`. Where there is a GPU nothing is replaced, and `installed` is False.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np

from .memory import Memory
from .ptx_machine import Machine
from .ptx_text import parse

MULTIPROCESSORS = 2  # few, so that small arrays have several chunks
ATTRIBUTES = {16: MULTIPROCESSORS, 75: 9, 76: 0, 87: 2, 10: 32, 1: 1024, 8: 49152, 39: 2048}
memory = Memory()
installed = False


class Proof:
    """How kernels run: in which order of warps, after what change of the source.

    `change` maps a source text to another, to break kernels on purpose. `ran` collects names.
    """

    def __init__(self, schedule="together", change=None):
        self.schedule, self.change = schedule, change
        self.ran: list[str] = []
        self.counts: dict[str, int] = {}

    def run(self, kernel, grid, block, params):
        """Execute one launch, of a grid of one axis."""
        Machine(kernel, grid, block, params, memory, self.counts).run(self.schedule)

    def install(self, monkeypatch):
        """Let kernels run so, for as long as monkeypatch says."""
        from prelu_array._gpu import launches

        monkeypatch.setitem(_state, "proof", self)
        if self.change is not None:
            right = launches._text
            monkeypatch.setattr(launches, "_text", lambda name: self.change(right(name)))
            forget(monkeypatch)


def forget(monkeypatch):
    """Let calls be planned, prepared and compiled anew; also those before, afterwards."""
    from prelu_array._gpu import doorway, known, launches

    monkeypatch.setattr(known, "_known", {})
    for module, name in (
        (launches, "_kernel"), (launches, "strided"), (launches, "strided_sums"),
        (doorway, "prepared"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, cache(getattr(module, name).__wrapped__))


_state = {"proof": Proof()}
_modules: dict[int, dict] = {}
_functions: dict[int, object] = {}


_parsed = cache(parse)


def _load(image):
    text = image.decode() if isinstance(image, bytes) else image
    _modules[len(_modules) + 1] = _parsed(text)
    return len(_modules)


def _function(module, name):
    _functions[len(_functions) + 1] = _modules[module][name]
    return len(_functions)


def _launch(function, grid, block, arguments):
    kernel = _functions[function]
    packed = bytearray(kernel.param_bytes)
    pointers = (ctypes.c_void_p * len(kernel.params)).from_address(arguments)
    for pointer, (offset, size) in zip(pointers, kernel.params.values(), strict=True):
        packed[offset : offset + size] = ctypes.string_at(pointer, size)
    proof = _state["proof"]
    proof.ran.append(kernel.name)
    proof.run(kernel, grid, block, bytes(packed))


def _build():
    """Compile stand_in.c once for all processes, as a module of its own."""
    source = Path(__file__).parent / "stand_in.c"
    key = hashlib.sha256(source.read_bytes() + sys.version.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir(), f"prelu_stand_in_{os.getuid()}_{key}.so")
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder, "stand_in.so")
            compiler = shlex.split(os.environ.get("CC", "cc"))
            include = sysconfig.get_paths()["include"]
            command = [*compiler, "-O1", "-w", "-shared", "-fPIC", f"-I{include}"]
            subprocess.run([*command, source, "-o", built], check=True)
            os.replace(built, path)
    spec = spec_from_file_location("stand_in", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _has_gpu():
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return driver.cuInit(0) == 0


def _install():
    """Put the device under CuPy, which must not have been imported yet."""
    global installed, stand_in
    if "cupy" in sys.modules:
        raise ImportError("CuPy was imported before the device that stands in for one")
    os.environ["CUPY_COMPILE_WITH_PTX"] = "1"
    from cupy_backends.cuda.api import driver, runtime

    stand_in = _build()
    hooks = memory.allocate, memory.release, _load, _function, _launch
    stand_in.install(runtime, driver, *hooks)
    for which in range(256):
        stand_in.set_attribute(which, ATTRIBUTES.get(which, 1))
    for name, value in {  # what CuPy's Python code calls
        "getDeviceCount": 1, "getDevice": 0, "setDevice": None, "runtimeGetVersion": 13000,
        "driverGetVersion": 13000, "deviceSynchronize": None, "streamSynchronize": None,
        "eventSynchronize": None, "eventRecord": None, "eventElapsedTime": 1.0,
        "getDeviceProperties": {"name": b"a device of host memory", "warpSize": 32},
    }.items():  # fmt: skip
        setattr(runtime, name, lambda *_, value=value: value)
    runtime.deviceGetAttribute = lambda which, _: ATTRIBUTES.get(which, 1)
    import cupy

    cupy.cuda.set_allocator(None)  # every array is memory of its own, whose ends are checked
    installed = True


if not _has_gpu():
    _install()


def counts():
    """How often CuPy has launched, copied, allocated and so on, since the start."""
    return stand_in.counts()


def place(a, offset=0):
    """Return a copy on the device with a's strides, `offset` bytes after a multiple of 512."""
    import cupy

    a = np.asarray(a)
    low = sum(min(0, (n - 1) * s) for n, s in zip(a.shape, a.strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(a.shape, a.strides, strict=True))
    size = high - low + a.itemsize if a.size else 0
    room = cupy.cuda.alloc(max(1, size + offset))
    result = cupy.ndarray(a.shape, a.dtype, room + (offset - low if a.size else 0), a.strides)
    view(result)[...] = a
    return result


def view(a):
    """Return a CuPy array's memory as a NumPy array; nothing but the device may hold it."""
    if a.size == 0:
        return np.empty(a.shape, a.dtype)
    low = sum(min(0, (n - 1) * s) for n, s in zip(a.shape, a.strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(a.shape, a.strides, strict=True))
    room = (ctypes.c_char * (high - low + a.itemsize)).from_address(a.data.ptr + low)
    return np.ndarray(a.shape, a.dtype, room, -low, a.strides)
