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

import numpy as np

from .device import Proof, _by_value

_FOLDER = tempfile.TemporaryDirectory()
_FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-frounding-math", "-w", "-mfma", "-mf16c")


def compiler():
    """Where g++ is, or None."""
    return shutil.which("g++")


def _signature(text, name):
    declared = re.search(rf"{name}\(([^)]*)\)", text)[1]
    return [part.strip() for part in declared.split(",")]


@cache
def _library(text, name):
    """Compile one kernel with a launcher that takes pointers to its arguments."""
    types = [
        re.sub(r"\b\w+$", "", part).replace("__restrict__", "") for part in _signature(text, name)
    ]
    statics = "\n".join(f"static {t.replace('const ', '')} a{k};" for k, t in enumerate(types))
    reads = "\n".join(
        f"    memcpy((void *)&a{k}, args[{k}], sizeof a{k});" for k in range(len(types))
    )
    call = ", ".join(f"a{k}" for k in range(len(types)))
    sizes = ", ".join(f"sizeof a{k}" for k in range(len(types)))
    launcher = f"""
{statics}
static void run_kernel() {{ {name}({call}); }}
extern "C" const size_t sizes[] = {{{sizes}}};
extern "C" void run(unsigned grid, unsigned block, const void **args) {{
{reads}
    host::launch(grid, block, run_kernel);
}}
"""
    head = (Path(__file__).parent / "host.h").read_text()
    stem = Path(_FOLDER.name) / hashlib.sha256(text.encode()).hexdigest()[:16]
    stem.with_suffix(".cpp").write_text(head + text.replace('extern "C" ', "") + launcher)
    subprocess.run(
        [compiler(), *_FLAGS, "-shared", "-fPIC", "-o", f"{stem}.so", f"{stem}.cpp"], check=True
    )
    return ctypes.CDLL(f"{stem}.so"), len(types)


class HostProof(Proof):
    """Runs RawKernels as C++; CuPy's own kernels still go through the interpreter."""

    def run(self, text, options, name, grid, block, args):
        if not name.endswith("_kernel"):
            super().run(text, options, name, grid, block, args)
            return
        library, count = _library(self.change(text), name)
        assert len(args) == count
        sizes = (ctypes.c_size_t * count).in_dll(library, "sizes")
        forms = [_by_value(a) for a in args]
        assert [len(f) for f in forms] == list(sizes)
        buffers = [np.frombuffer(f, np.uint8).copy() for f in forms]
        pointers = (ctypes.c_void_p * count)(*(b.ctypes.data for b in buffers))
        self.ran.append(name)
        library.run(ctypes.c_uint(grid), ctypes.c_uint(block), pointers)
