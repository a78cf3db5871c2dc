"""``python -m prelu_array``: check this installation, or apply PReLU to a file."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, _cpu, get_num_threads, prelu, prelu_backward

_REPEATS = 15
_COPIES = 64  # of the activations, for the timing: 16 MiB of float32

_HELP = """\
Without a file: run forward and backward on real activations (a PReLU layer of a small network
over scikit-learn's digits), with every backend that is usable here, compare each bit with the
exact reference and print a table. The exit status is 1 if anything differs.

With a file: y = x if x > 0 else alpha * x, from one .npy file to another. A file that is written
is overwritten; without -o the result is printed.

  python -m prelu_array
  python -m prelu_array x.npy --alpha 0.25 -o y.npy
  python -m prelu_array x.npy --alpha alpha.npy --axis 1 -o y.npy
  python -m prelu_array x.npy --alpha 0.25 --dy dy.npy -o dx.npy --dalpha dalpha.npy

Two more commands judge other PReLU kernels; each has a --help of its own:

  python -m prelu_array vectors      write golden vectors for a kernel that is not in Python
  python -m prelu_array check        score what such a kernel computed
"""


_COMMANDS = ("vectors", "check")
_CLOSED_PIPE = 141  # what a shell reports of a program that SIGPIPE ended: no verdict's status


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # what is left in the buffer must not raise again at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED_PIPE


def _run(argv: list[str]) -> int:
    from .testing._files import main_check, main_vectors, with_values

    if argv and argv[0] in _COMMANDS:
        return (main_vectors if argv[0] == "vectors" else main_check)(argv[1:])
    parser = argparse.ArgumentParser(
        prog="python -m prelu_array",
        description="Parametric ReLU and its gradients, exact to the last bit.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("x", nargs="?", help="a .npy file to apply PReLU to")
    parser.add_argument("--alpha", default="0.25", help="a number or a .npy file (default 0.25)")
    parser.add_argument(
        "--axis", help="an axis of x, or several with commas, that alpha lies along"
    )
    parser.add_argument("--dy", help="a .npy file: compute the gradients instead of y")
    parser.add_argument(
        "--at-zero", choices=("alpha", "one"), default="alpha", help="dx / dy where x is 0"
    )
    parser.add_argument("-o", "--out", help="where to write y, or dx with --dy")
    parser.add_argument("--dalpha", help="where to write dalpha, with --dy")
    parser.add_argument("--version", action="version", version=f"prelu_array {__version__}")
    arguments, rest = parser.parse_known_args(with_values(argv))
    if arguments.x is not None and not Path(arguments.x).exists():
        # before its options, which the command that is meant may have
        close = difflib.get_close_matches(arguments.x, _COMMANDS, n=1)
        meant = f"; {close[0]} is" if close else f"; {' and '.join(_COMMANDS)} are"
        print(
            f"prelu_array: {arguments.x} is neither a file nor a command{meant}", file=sys.stderr
        )
        return 2
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.x is None:
        if argv:
            parser.error("the options are for a file: give x, too")
        return _check()
    if arguments.dy is None and (arguments.dalpha or arguments.at_zero != "alpha"):
        parser.error("--dalpha and --at-zero are for the gradients: give --dy, too")
    if arguments.out is not None and arguments.out == arguments.dalpha:
        parser.error("dx and dalpha need a file each: --out and --dalpha are the same")
    try:
        return _apply(arguments)
    except (OSError, TypeError, ValueError) as error:
        print(f"prelu_array: {error}", file=sys.stderr)
        return 2


def _load(path: str) -> Any:
    from .testing._files import with_bfloat16

    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError(f"{path} is not a .npy file")
        file.seek(0)
        try:
            return with_bfloat16(np.load(file, allow_pickle=False))
        except Exception as error:  # cut short, of Python objects, of a shape that no memory holds
            raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _number_or_file(text: str) -> Any:
    for number in (int, float):  # x of integers takes no 2.0
        try:
            return number(text)
        except ValueError:
            pass
    if not Path(text).exists() and not text.endswith(".npy"):
        raise ValueError(f"--alpha must be a number or a .npy file, got {text!r}")
    return _load(text)


def _axis(text: str | None) -> Any:
    if text is None:
        return None
    try:
        axes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--axis must be integers separated by commas, got {text!r}") from None
    return axes[0] if len(axes) == 1 else axes


def _apply(arguments: argparse.Namespace) -> int:
    x, alpha = _load(arguments.x), _number_or_file(arguments.alpha)
    axis = _axis(arguments.axis)
    results: dict[str, tuple[str | None, Any]]
    if arguments.dy is None:
        results = {"y": (arguments.out, prelu(x, alpha, axis=axis))}
    else:
        dx, dalpha = prelu_backward(
            _load(arguments.dy), x, alpha, axis=axis, at_zero=arguments.at_zero
        )
        results = {"dx": (arguments.out, dx), "dalpha": (arguments.dalpha, dalpha)}
    for name, (path, array) in results.items():
        if path is None:
            with np.printoptions(threshold=20):
                print(f"{name} = {array!r}")
        else:
            with open(path, "wb") as file:  # np.save would add .npy to the name
                np.save(file, array)
            print(f"{name}: {array.dtype} {array.shape} -> {path}")
    return 0


# ---- the check ----


def _backends() -> tuple[dict[str, Callable[[Any], Any]], list[str]]:
    """Return how to make each usable backend's arrays, and why the others are not usable."""
    usable: dict[str, Callable[[Any], Any]] = {"numpy": np.asarray}
    unusable = []
    if importlib.util.find_spec("cupy") is None:
        unusable.append("cupy: not usable: CuPy is not installed")
        return usable, unusable
    try:
        from . import _gpu
    except ImportError as error:  # of CuPy, which misses a library
        unusable.append(f"cupy: not usable: {error}")
        return usable, unusable
    if _gpu.device_count():
        usable["cupy"] = _gpu.asarray
    else:
        unusable.append(f"cupy: not usable: {_gpu.description()}")
    return usable, unusable


def medians(repeats: int, *calls: Callable[[], Any]) -> list[float]:
    """Return the median seconds of each call, all of them interleaved.

    Each round has another order, or a call would always pay for what the one before it left:
    threads that still spin, memory to be freed.
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


def _dtypes() -> list[Any]:
    dtypes: list[Any] = [np.dtype(name) for name in ("float16", "float32", "float64")]
    try:
        import ml_dtypes
    except ImportError:
        return dtypes
    return [np.dtype(ml_dtypes.bfloat16), *dtypes]


def _check() -> int:
    from .testing import reference_prelu, reference_prelu_backward
    from .testing._judge import ulp_distance
    from .testing._numbers import bits_of, native

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
    head = ("backend", "op", "dtype", "elements", "differ", "worst ULP", "GB/s", "of a copy")
    widths = (8, 9, 9, 9, 7, 10, 7, 9)
    print("  ".join(name.rjust(width) for name, width in zip(head, widths, strict=True)))

    wrong = 0
    for dtype in _dtypes():
        x, dy, alpha = (real[name].astype(dtype) for name in ("x", "dy", "alpha"))
        expected_y = reference_prelu(x, alpha, axis=1)
        expected = reference_prelu_backward(dy, x, alpha, axis=1)
        for backend, asarray in usable.items():
            ours = [asarray(a) for a in (x, dy, alpha)]
            y = prelu(ours[0], ours[2], axis=1)
            pair = prelu_backward(ours[1], ours[0], ours[2], axis=1)
            speeds = _speeds(dtype, real) if backend == "numpy" else [("", ""), ("", "")]
            for op, got, want, speed in (
                ("forward", [y], [expected_y], speeds[0]),
                ("backward", pair, expected, speeds[1]),
            ):
                differ, worst = 0, 0.0
                for ours_, exact in zip(got, want, strict=True):
                    array = native(ours_ if backend == "numpy" else ours_.get())
                    differ += int(np.count_nonzero(bits_of(array) != bits_of(exact)))
                    worst = max(worst, float(ulp_distance(array, exact).max()))
                wrong += differ
                cells = (backend, op, dtype.name, x.size, differ, f"{worst:g}", *speed)
                print(
                    "  ".join(
                        str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True)
                    )
                )
    print(
        "\ndiffer: elements of y, or of dx and dalpha, with other bits than the exact result's\n"
        f"GB/s: x is repeated {_COPIES} times, to {real['x'].size * _COPIES:,} elements\n"
        "of a copy: of the speed of NumPy's copy (forward) or addition (backward)\n"
        "How fast large arrays are: bench/cpu.py of the repository\n"
    )
    for line in unusable:
        print(line)
    print("Every bit is right." if wrong == 0 else f"{wrong} elements differ: please report this.")
    return int(wrong > 0)


def _speeds(dtype: Any, real: dict[str, Any]) -> list[tuple[str, str]]:
    """GB/s, and as a share of NumPy's copy (forward) or addition (backward) of the same bytes."""
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
    return [
        (f"{streams * x.nbytes / own / 1e9:.1f}", f"{roof / own:.2f}")
        for streams, roof, own in ((2, times[0], times[1]), (3, times[2], times[3]))
    ]


if __name__ == "__main__":
    sys.exit(main())
