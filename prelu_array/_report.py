"""What ``python -m prelu_array --report`` prints: what a bug report should say of the machine."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

from . import __version__, _cpu, get_num_threads

_LIBRARIES = ("ml_dtypes", "cupy", "dask", "torch", "jax")


def report() -> int:
    """Print versions, processor, threads and GPU, a line for each; return the exit status."""
    for name, value in _lines():
        print(f"{name + ':':17}{value}", flush=True)  # a driver may end the process
    return 0


def _lines() -> Iterator[tuple[str, str]]:
    yield "prelu_array", __version__
    yield "Python", f"{platform.python_implementation()} {' '.join(sys.version.split())}"
    yield "NumPy", np.__version__
    distributions = metadata.packages_distributions()  # CuPy's is named after the CUDA release
    for name in _LIBRARIES:
        found = [f"{d} {metadata.version(d)}" for d in sorted(set(distributions.get(name, ())))]
        yield name, ", ".join(found) or "not installed"
    yield "system", platform.platform()
    yield "processor", _processor()
    yield "instruction set", _cpu.instruction_set()
    yield "CPUs", f"{_allowed()} allowed of {os.cpu_count()}"
    limit = os.environ.get("OMP_NUM_THREADS")
    yield "threads", f"{get_num_threads()}" + (f" (OMP_NUM_THREADS={limit})" if limit else "")
    yield "compiler", _compiler()
    if "cupy" in distributions:
        yield "GPU", _gpu()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        text = ""
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    name = model[1] if model else platform.processor()
    return f"{platform.machine()}, {name}" if name else platform.machine()


def _allowed() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _compiler() -> str:
    """Return what compiled the module, which ELF files name in a section of their own."""
    path = Path(_cpu.__file__)
    found = re.findall(rb"clang version [\w.]+|GCC: \([^)\0]*\) [\w.]+", path.read_bytes())
    names = sorted({name.decode() for name in found})  # of C's startup code, too
    return ", ".join(names) or f"unknown; Python's is {platform.python_compiler()}"


def _gpu() -> str:
    """Return each device's name, with the CUDA releases of driver and runtime."""
    try:
        from cupy.cuda import runtime

        names = [
            runtime.getDeviceProperties(i)["name"].decode()
            for i in range(runtime.getDeviceCount())
        ]
        driver, own = (
            f"{version // 1000}.{version % 1000 // 10}"
            for version in (runtime.driverGetVersion(), runtime.runtimeGetVersion())
        )
    except Exception as error:  # no driver, no device, a library that is missing
        return f"not usable: {' '.join(str(error).split())}"
    return f"{', '.join(names) or 'none'}; CUDA {driver} (driver), {own} (runtime)"
