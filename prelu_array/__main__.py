"""``python -m prelu_array``: check this installation, or apply PReLU to a file."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, prelu, prelu_backward
from ._npy import is_one_file, load, save_all
from ._report import report
from ._self_check import self_check

_HELP = """\
Without a file: run forward and backward on real activations (a PReLU layer of a small network
over scikit-learn's digits) and on hard inputs, with every backend and instruction set that is
usable here, compare each bit with the exact reference and print a table. The exit status is 1 if
anything differs.

With a file: y = x if x > 0 else alpha * x, from one .npy file to another. A file is written whole
or not at all, over what was there; without -o the result is printed. /dev/stdin, /dev/stdout and
pipes are files, too.

  python -m prelu_array
  python -m prelu_array x.npy --alpha 0.25 -o y.npy
  python -m prelu_array x.npy --alpha alpha.npy --axis 1 -o y.npy
  python -m prelu_array x.npy --alpha 0.25 --dy dy.npy -o dx.npy --dalpha dalpha.npy

A bug report is complete with what this prints: versions, processor, threads, GPU.

  python -m prelu_array --report

Two more commands check other PReLU kernels; each has a --help of its own:

  python -m prelu_array vectors      write golden vectors for a kernel that is not in Python
  python -m prelu_array check        score what such a kernel computed
"""


_COMMANDS = ("vectors", "check")
_CLOSED_PIPE = 141  # as a shell reports a program that SIGPIPE ended; no verdict has it


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # for file names that it cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        status = _CLOSED_PIPE
    except OSError as error:  # a full disk behind it
        print(f"prelu_array: {error}", file=sys.stderr)
        status = 2
    # the rest of the buffer must not raise again at the exit
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


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
    parser.add_argument("--report", action="store_true", help="print what a bug report needs")
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
    if arguments.report:
        if len(argv) > 1:
            parser.error("--report stands alone")
        return report()
    if arguments.x is None:
        if argv:
            parser.error("the options are for a file: give x, too")
        return self_check()
    if arguments.dy is None and (arguments.dalpha or arguments.at_zero != "alpha"):
        parser.error("--dalpha and --at-zero are for the gradients: give --dy, too")
    if arguments.out and arguments.dalpha and is_one_file(arguments.out, arguments.dalpha):
        parser.error("dx and dalpha need a file each: --out and --dalpha are the same")
    try:
        return _apply(arguments)
    except BrokenPipeError:
        raise
    except (OSError, TypeError, ValueError, MemoryError) as error:
        print(f"prelu_array: {str(error) or 'out of memory'}", file=sys.stderr)
        return 2


def _number_or_file(text: str) -> Any:
    for number in (int, float):  # x of integers takes no 2.0
        try:
            return number(text)
        except ValueError:
            pass
    if not Path(text).exists() and not text.endswith(".npy"):
        raise ValueError(f"--alpha must be a number or a .npy file, got {text!r}")
    return load(text)


def _axis(text: str | None) -> Any:
    if text is None:
        return None
    try:
        axes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--axis must be integers separated by commas, got {text!r}") from None
    return axes[0] if len(axes) == 1 else axes


def _apply(arguments: argparse.Namespace) -> int:
    x, alpha = load(arguments.x), _number_or_file(arguments.alpha)
    axis = _axis(arguments.axis)
    results: dict[str, tuple[str | None, Any]]
    if arguments.dy is None:
        results = {"y": (arguments.out, prelu(x, alpha, axis=axis))}
    else:
        dx, dalpha = prelu_backward(
            load(arguments.dy), x, alpha, axis=axis, at_zero=arguments.at_zero
        )
        results = {"dx": (arguments.out, dx), "dalpha": (arguments.dalpha, dalpha)}
    save_all({path: array for path, array in results.values() if path is not None})
    for name, (path, array) in results.items():
        if path is None:
            with np.printoptions(threshold=20):
                print(f"{name} = {array!r}")
        elif os.path.isfile(path):  # a pipe may be where this is printed, too
            print(f"{name}: {array.dtype} {array.shape} -> {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
