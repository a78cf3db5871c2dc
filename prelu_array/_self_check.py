"""``python -m prelu_array`` without a file: a check of this installation."""

from __future__ import annotations

import importlib.util
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, _cpu, get_num_threads, prelu, prelu_backward

_REPEATS = 15
_COPIES = 64  # of the activations, for the timing: 16 MiB of float32

# The oracle's kinds of inputs that a wrong compiler flag breaks.
_HARD = ("specials", "alpha", "ties", "cancellation", "overflow", "sums", "subnormals")
_INSTRUCTION_SETS = ("avx512", "avx2", "baseline")

# Run in a new process, whose floating-point mode only this package may have changed.
_MODE = """
import numpy
flushes = lambda: numpy.float32(1e-40) * numpy.float32(0.5) == 0
before = flushes()
import prelu_array
print(int(flushes() and not before))
"""


def self_check() -> int:
    """Check this installation and print what was found; return the exit status."""
    with np.load(Path(__file__).with_name("activations.npz")) as file:
        real = {name: file[name] for name in file.files}
    usable, unusable = _backends()
    if len(_dtypes()) == 3:
        unusable.append("bfloat16: not usable: ml_dtypes is not installed")
    print(
        f"prelu_array {__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}, {_cpu.instruction_set()}, {get_num_threads()} threads"
    )
    print(f"x: {real['x'].shape}, a PReLU layer's input; one alpha per channel\n")
    wrong = _check_activations(real, usable)
    print(
        "\ndiffer: elements of y, or of dx and dalpha, with other bits than the exact result's\n"
        f"GB/s: x is repeated {_COPIES} times, to {real['x'].size * _COPIES:,} elements\n"
        "of a copy: speed relative to NumPy's copy (forward) or addition (backward)\n"
        "threads: how many such a call may use\n"
    )
    wrong += _check_hard(usable)
    for line in unusable:
        print(line)
    changed = _changes_the_mode()
    if changed:
        print(
            "Importing prelu_array makes the process flush subnormals: it was linked with fast "
            "math.\nBuild it again without -ffast-math, -Ofast and -funsafe-math-optimizations "
            "in the linker's wrapper."
        )
    if wrong:
        print(f"{wrong} elements differ: please report this, with what --report prints.")
    elif not changed:
        print("Every bit is right.")
    return int(bool(wrong or changed))


def _changes_the_mode() -> bool:
    """Whether a process that imports the package flushes subnormals from then on."""
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}){_MODE}"],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() == "1"


def _backends() -> tuple[dict[str, Callable[[Any], Any]], list[str]]:
    """Return how to make each usable backend's arrays, and why the others are not usable."""
    usable: dict[str, Callable[[Any], Any]] = {"numpy": np.asarray}
    unusable = []
    if importlib.util.find_spec("cupy") is None:
        unusable.append("cupy: not usable: CuPy is not installed")
        return usable, unusable
    try:
        import cupy

        from . import _gpu
    except ImportError as error:  # of CuPy, which misses a library
        unusable.append(f"cupy: not usable: {error}")
        return usable, unusable
    if missing := _gpu.missing():
        unusable.append(f"cupy: not usable: {missing}")
    else:
        usable["cupy"] = cupy.asarray
    return usable, unusable


def _dtypes() -> list[Any]:
    dtypes: list[Any] = [np.dtype(name) for name in ("float16", "float32", "float64")]
    try:
        import ml_dtypes
    except ImportError:
        return dtypes
    return [np.dtype(ml_dtypes.bfloat16), *dtypes]


def _rows(head: Iterable[Any], *rows: Iterable[Any]) -> None:
    for row in (head, *rows):
        print("  ".join(str(cell).rjust(width) for cell, width in zip(row, _WIDTHS, strict=False)))


_WIDTHS = (8, 9, 9, 9, 7, 10, 7, 9, 7)


def _host(array: Any) -> Any:
    return array if isinstance(array, np.ndarray) else array.get()


def _differ(got: Any, exact: Any) -> Any:
    """Where the bits differ; a NaN is a NaN."""
    from .testing._numbers import bits_of, native

    got, exact = native(_host(got)), native(exact)
    return (bits_of(got) != bits_of(exact)) & ~(np.isnan(got) & np.isnan(exact))


# ---- a layer's numbers ----


def _check_activations(real: dict[str, Any], usable: dict[str, Callable[[Any], Any]]) -> int:
    from .testing import reference_prelu, reference_prelu_backward
    from .testing._judge import ulp_distance
    from .testing._numbers import native

    _rows(
        (
            "backend",
            "op",
            "dtype",
            "elements",
            "differ",
            "worst ULP",
            "GB/s",
            "of a copy",
            "threads",
        )
    )
    wrong = 0
    for dtype in _dtypes():
        x, dy, alpha = (real[name].astype(dtype) for name in ("x", "dy", "alpha"))
        expected_y = reference_prelu(x, alpha, axis=1)
        expected = reference_prelu_backward(dy, x, alpha, axis=1)
        for backend, asarray in usable.items():
            ours = [asarray(a) for a in (x, dy, alpha)]
            y = prelu(ours[0], ours[2], axis=1)
            pair = prelu_backward(ours[1], ours[0], ours[2], axis=1)
            speeds = _speeds(dtype, real) if backend == "numpy" else [("", "", "")] * 2
            for op, got, want, speed in (
                ("forward", [y], [expected_y], speeds[0]),
                ("backward", pair, expected, speeds[1]),
            ):
                differ, worst = 0, 0.0
                for array, exact in zip(got, want, strict=True):
                    differ += int(np.count_nonzero(_differ(array, exact)))
                    worst = max(worst, float(ulp_distance(native(_host(array)), exact).max()))
                wrong += differ
                _rows((backend, op, dtype.name, x.size, differ, f"{worst:g}", *speed))
    return wrong


def medians(repeats: int, *calls: Callable[[], Any]) -> list[float]:
    """Return the median seconds of each call, all of them interleaved.

    Each round has another order: otherwise a call would always pay for what the same call before
    it left, such as threads that still spin, or memory to be freed.
    """
    times: list[list[float]] = [[] for _ in calls]
    turns, order = list(zip(calls, times, strict=True)), random.Random(0)
    for call in calls:
        call()
    for _ in range(repeats):
        order.shuffle(turns)
        for call, own in turns:
            start = time.perf_counter()
            call()
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def _speeds(dtype: Any, real: dict[str, Any]) -> list[tuple[str, str, int]]:
    """GB/s, as a share of NumPy's copy (forward) or addition (backward), and threads."""
    x, dy = (np.concatenate([real[name].astype(dtype)] * _COPIES) for name in ("x", "dy"))
    alpha = real["alpha"].astype(dtype)
    y, dx, dalpha = np.empty_like(x), np.empty_like(x), np.empty_like(alpha)
    # integers of the same size: NumPy's float16 addition is no measure of the memory
    words = [a.view(f"u{dtype.itemsize}") for a in (x, dy, dx)]
    times = medians(
        _REPEATS,
        lambda: np.copyto(words[2], words[0]),
        lambda: prelu(x, alpha, axis=1, out=y),
        lambda: np.add(words[0], words[1], out=words[2]),
        lambda: prelu_backward(dy, x, alpha, axis=1, out=(dx, dalpha)),
    )
    threads = min(get_num_threads(), _cpu.threads_worth(x.nbytes))
    return [
        (f"{streams * x.nbytes / own / 1e9:.1f}", f"{roof / own:.2f}", threads)
        for streams, roof, own in ((2, times[0], times[1]), (3, times[2], times[3]))
    ]


# ---- hard inputs ----


def _check_hard(usable: dict[str, Callable[[Any], Any]]) -> int:
    """Count the wrong elements of hard inputs, on each instruction set and backend."""
    from .testing import cases, reference_prelu, reference_prelu_backward

    best = _cpu.instruction_set()
    differ: dict[tuple[str, str], int] = {}
    elements = 0
    for dtype in _dtypes():
        for case in cases(dtype=dtype, kind=_HARD):
            right = [
                reference_prelu(case.x, case.alpha, axis=case.axis),
                *reference_prelu_backward(case.dy, case.x, case.alpha, axis=case.axis),
            ]
            elements += sum(exact.size for exact in right)
            for way in (*_INSTRUCTION_SETS, *usable):
                if way in _INSTRUCTION_SETS and not _cpu.select_instruction_set(way):
                    continue
                if way == "numpy":  # all of its ways
                    continue
                asarray = usable.get(way, np.asarray)
                dy, x, alpha = (asarray(a) for a in (case.dy, case.x, case.alpha))
                got = [
                    prelu(x, alpha, axis=case.axis),
                    *prelu_backward(dy, x, alpha, axis=case.axis),
                ]
                count = sum(
                    int(np.count_nonzero(_differ(a, b))) for a, b in zip(got, right, strict=True)
                )
                key = way, dtype.name
                differ[key] = differ.get(key, 0) + count
            _cpu.select_instruction_set(best)
    print(
        f"Special values, subnormals, ties, overflow and sums that cancel, {elements:,} elements; "
        "how many differ:"
    )
    names = [dtype.name for dtype in _dtypes()]
    ways = list(dict.fromkeys(way for way, _ in differ))
    _rows(("", *names), *((way, *(differ[way, name] for name in names)) for way in ways))
    print()
    return sum(differ.values())
