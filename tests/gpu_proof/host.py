"""The CUDA text compiled by g++ and run on the CPU: for large shapes, not for inline PTX."""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from .device import Proof, forget

_FOLDER = tempfile.TemporaryDirectory()
_FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-frounding-math", "-w", "-mfma", "-mf16c")


def compiler():
    """Where g++ is, or None."""
    return shutil.which("g++")


@cache
def _library(text, name):
    """Compile one kernel with a launcher that takes its argument's bytes."""
    kind = re.search(rf"{name}\(const (\w+) w\)", text)[1]
    launcher = f"""
static {kind} argument;
static void run_kernel() {{ {name}(argument); }}
extern "C" const size_t size = sizeof argument;
extern "C" void run(unsigned grid, unsigned block, const void *bytes) {{
    memcpy((void *)&argument, bytes, sizeof argument);
    host::launch(grid, block, run_kernel);
}}
"""
    head = (Path(__file__).parent / "host.h").read_text()
    stem = Path(_FOLDER.name) / hashlib.sha256(text.encode()).hexdigest()[:16]
    stem.with_suffix(".cpp").write_text(head + text.replace('extern "C" ', "") + launcher)
    subprocess.run(
        [compiler(), *_FLAGS, "-shared", "-fPIC", "-o", f"{stem}.so", f"{stem}.cpp"], check=True
    )
    return ctypes.CDLL(f"{stem}.so")


class HostProof(Proof):
    """Runs our kernels as C++; CuPy's own still go through the interpreter."""

    def install(self, monkeypatch):
        from prelu_array._gpu import launches

        super().install(monkeypatch)
        forget(monkeypatch)
        monkeypatch.setattr(launches, "_kernel", self.kernel)
        monkeypatch.setattr(launches, "CPointer", ctypes.c_void_p)

    def kernel(self, kernel, head):
        from prelu_array._gpu import launches

        name = f"prelu_{kernel}_kernel"
        library = _library(launches.source(kernel, head), name)

        def run(grid, block, arguments, *_):
            self.ran.append(name)
            library.run(ctypes.c_uint(grid[0]), ctypes.c_uint(block[0]), arguments[0])

        return SimpleNamespace(kernel=run)
