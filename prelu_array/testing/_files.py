"""Golden vectors and dumps, for kernels that are not in Python."""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._cases import CASE_KINDS, LAYOUTS, Case, cases, dtype_named
from ._judge import ACCUMULATORS, ORDERS, Rules, check_accumulator
from ._mode import ieee_mode
from ._numbers import FORMATS, bits_of
from ._placement import Axis, alpha_index
from ._reference import reference_prelu, reference_prelu_backward
from ._report import Report
from ._suspect import Observation, suspicions
from ._trial import Judge, Result, convention
from ._verdict import Inputs

Array = NDArray[Any]

_NAMES = ("x", "alpha", "dy", "y", "dx", "dalpha")


class FileError(Exception):
    """A file that cannot be checked, with the reason."""


@ieee_mode()
def main_vectors(argv: list[str]) -> int:
    """Write golden vectors: ``python -m prelu_array vectors``; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m prelu_array vectors",
        description="Write inputs that break PReLU kernels, and the exact results.",
        epilog="npz: one file a case with x, alpha, dy, y, dx, dalpha, axis (an array of axes, "
        "empty where alpha broadcasts). csv: CASE.csv with "
        "a row for each element and CASE.dalpha.csv with a row for each alpha; numbers in "
        "decimals that read back to the same bits. hex: CASE.NAME.hex, one word a "
        "line in C order, for $readmemh. manifest.csv lists the cases, their axis and shapes.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--dtype", choices=FORMATS, default="float32", help="of x, dy, y and dx")
    parser.add_argument("--alpha-dtype", choices=FORMATS, help="of alpha and dalpha (as x's)")
    parser.add_argument("--format", choices=("npz", "csv", "hex"), default="npz")
    parser.add_argument(
        "--kind", choices=CASE_KINDS, action="append", help="repeatable (all but the long size)"
    )
    parser.add_argument("--layout", choices=LAYOUTS, action="append", help="repeatable (all)")
    parser.add_argument("--axis", type=int, default=1, help="channel axis (1)")
    parser.add_argument("--at-zero", choices=("alpha", "one"), default="alpha", help="dx at 0")
    parser.add_argument("--seed", type=_natural, default=0, help="of the random cases (0)")
    args = parser.parse_args(with_values(argv))
    chosen = cases(
        dtype=args.dtype,
        alpha_dtype=args.alpha_dtype,
        kind=args.kind or [kind for kind in CASE_KINDS if kind != "size"],
        layouts=args.layout or LAYOUTS,
        axis=args.axis,
        seed=args.seed,
    )
    if (args.output / "manifest.csv").exists():
        # vectors that other options wrote would be checked together with these
        print(f"error: {args.output} has vectors: name another folder", file=sys.stderr)
        return 2
    try:
        _write(args.output, chosen, args.format, args.at_zero)
    except OSError as error:
        reason = "a file, not a folder" if args.output.is_file() else error.strerror
        print(f"error: cannot write into {args.output}: {reason}", file=sys.stderr)
        return 2
    print(f"{len(chosen)} cases in {args.output}")
    return 0


def _write(folder: Path, chosen: list[Case], form: str, at_zero: str) -> None:
    writer: Callable[[Path, dict[str, Array], Axis], None]
    writer = {"npz": _write_npz, "csv": _write_csv, "hex": _write_hex}[form]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        manifest = csv.writer(file)
        manifest.writerow(["name", "kind", "layout", "axis", "x_shape", "alpha_shape"])
        for case in chosen:
            writer(folder / case.name, _solved(case, at_zero), case.axis)
            shapes = ("x".join(map(str, part.shape)) for part in (case.x, case.alpha))
            axis = "" if case.axis is None else case.axis
            manifest.writerow([case.name, case.kind, case.layout, axis, *shapes])


def _solved(case: Case, at_zero: str) -> dict[str, Array]:
    y = reference_prelu(case.x, case.alpha, axis=case.axis)
    dx, dalpha = reference_prelu_backward(
        case.dy, case.x, case.alpha, axis=case.axis, at_zero=at_zero
    )
    return dict(zip(_NAMES, (case.x, case.alpha, case.dy, y, dx, dalpha), strict=True))


def _write_npz(stem: Path, arrays: dict[str, Array], axis: Axis) -> None:
    saved: dict[str, Any] = dict(arrays)
    saved["axis"] = np.array(() if axis is None else axis, dtype=np.int64, ndmin=1)
    np.savez(stem.with_name(stem.name + ".npz"), **saved)


def _write_csv(stem: Path, arrays: dict[str, Array], axis: Axis) -> None:
    alpha_at = Inputs(arrays["x"], arrays["alpha"], axis).alpha_at
    columns = {"x": arrays["x"], "alpha": alpha_at}
    columns |= {name: arrays[name] for name in ("dy", "y", "dx")}
    _write_table(stem.with_name(stem.name + ".csv"), columns)
    sums = {name: arrays[name] for name in ("alpha", "dalpha")}
    _write_table(stem.with_name(stem.name + ".dalpha.csv"), sums)


def _write_table(path: Path, columns: dict[str, Array]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        texts = [
            [repr(v) for v in a.astype(np.float64).ravel().tolist()] for a in columns.values()
        ]
        table.writerows(zip(*texts, strict=True))


def _write_hex(stem: Path, arrays: dict[str, Array], axis: Axis) -> None:
    for name, array in arrays.items():
        digits = array.dtype.itemsize * 2
        words = "".join(f"{word:0{digits}x}\n" for word in bits_of(array).ravel().tolist())
        stem.with_name(f"{stem.name}.{name}.hex").write_text(words)


@ieee_mode()
def main_check(argv: list[str]) -> int:
    """Score dumps: ``python -m prelu_array check``; returns 0 if all is right, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m prelu_array check",
        description="Judge what a PReLU kernel wrote: x, alpha, dy and any of y, dx, dalpha.",
        epilog="Exit status: 0 all right, 1 something is wrong, 2 a file cannot be checked.",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="dump.npz")
    parser.add_argument("--axis", type=_axis, help="of alpha in x: 1, -1, or 1,2,3 (the file's)")
    parser.add_argument("--at-zero", choices=("any", "alpha", "one"), default="any")
    parser.add_argument("--accumulate", choices=ACCUMULATORS, help="what dalpha was added in")
    parser.add_argument("--order", choices=ORDERS, default="any", help="of that sum (any)")
    parser.add_argument("--ulps", type=_natural, default=0, help="allowed distance (0)")
    for name, text in (
        ("signed-zeros", "let +0 stand for -0"),
        ("nans", "let anything stand for NaN"),
        ("subnormals", "let 0 stand for subnormals"),
    ):
        dest = name.replace("-", "_")
        parser.add_argument(f"--no-{name}", dest=dest, action="store_false", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(with_values(argv))
    rules = Rules(args.ulps, args.signed_zeros, args.nans, args.subnormals)
    try:
        dumps = [(str(path), *_read(path, args.axis)) for path in args.files]
        report = _score(dumps, rules, args.at_zero, args.accumulate, args.order)
    except FileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report.as_dict(), indent=2) if args.json else report)
    return 0 if report.ok else 1


def with_values(argv: list[str]) -> list[str]:
    """Join a negative number to its option: argparse mistakes -1e-3 and -1,-2 for options."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in ("--alpha", "--axis") and re.match(r"-[\d.,inf]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _natural(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return number


def _axis(text: str) -> int | tuple[int, ...]:
    try:
        axes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be integers separated by commas, got {text!r}"
        ) from None
    return axes if len(axes) > 1 else axes[0]


def _read(path: Path, axis: Axis) -> tuple[Inputs, dict[str, Array]]:
    """Read a dump; each complaint names the file."""
    if not path.is_file():
        raise FileError(f"{path}: must be an npz file, got no file")
    if not zipfile.is_zipfile(path):
        raise FileError(f"{path}: must be an npz file, got something that is no zip archive")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: with_bfloat16(file[name]) for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise FileError(f"{path}: must be an npz file of plain arrays, got: {error}") from error
    missing = [name for name in ("x", "alpha") if name not in arrays]
    results = [name for name in ("y", "dx", "dalpha") if name in arrays]
    if {"dx", "dalpha"} & set(results) and "dy" not in arrays:
        missing.append("dy")
    found = ", ".join(arrays) or "nothing"
    if missing:
        raise FileError(f"{path}: must hold {', '.join(missing)}, got {found}")
    if not results:
        raise FileError(f"{path}: must hold y, dx or dalpha, got {found}")
    for name in _NAMES:
        if name in arrays and arrays[name].dtype.name not in FORMATS:
            raise FileError(
                f"{path}: {name}.dtype must be one of {', '.join(FORMATS)}, "
                f"got {arrays[name].dtype}"
            )
    if axis is None and "axis" in arrays:
        if arrays["axis"].dtype.kind not in "iu":
            raise FileError(f"{path}: axis must be integers, got {arrays['axis'].dtype}")
        values = arrays["axis"].ravel().tolist()
        axis = int(values[0]) if len(values) == 1 else tuple(map(int, values)) or None
    inputs = Inputs(arrays["x"], arrays["alpha"], axis, arrays.get("dy"))
    dy = inputs.dy
    if dy is not None and (dy.shape, dy.dtype) != (inputs.x.shape, inputs.x.dtype):
        raise FileError(
            f"{path}: dy must be as x ({inputs.x.dtype} {inputs.x.shape}), "
            f"got {dy.dtype} {dy.shape}"
        )
    try:
        _ = inputs.index
    except ValueError as error:
        raise FileError(f"{path}: {error}{_fitting(inputs)}") from error
    return inputs, {name: arrays[name] for name in results}


def _fitting(inputs: Inputs) -> str:
    """Name the axes by which alpha would fit."""
    x, alpha = inputs.x.shape, inputs.alpha.shape
    fit = []
    for axes in combinations(range(len(x)), len(alpha)):
        with suppress(ValueError):
            alpha_index(x, alpha, axes if len(axes) > 1 else axes[0])
            fit.append(",".join(map(str, axes)))
    return f"; --axis {' or --axis '.join(fit)} would fit" if fit else ""


def with_bfloat16(array: Array) -> Array:
    """Return the array, or its two raw bytes as bfloat16, which NumPy's files do not know."""
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:
        return array.view(dtype_named("bfloat16"))
    return array


def _score(
    dumps: Iterable[tuple[str, Inputs, dict[str, Array]]],
    rules: Rules,
    at_zero: str,
    accumulate: str | None,
    order: str,
) -> Report:
    dumps = list(dumps)
    if at_zero == "any":
        at_zero = convention([(inputs, arrays.get("dx")) for _, inputs, arrays in dumps], rules)
    seen: list[Observation] = []
    for name, inputs, arrays in dumps:
        try:
            held = check_accumulator(accumulate, inputs.x.dtype)
        except ValueError as error:
            raise FileError(f"{name}: {error}") from error
        asked = "dx" in arrays, "dalpha" in arrays
        pair: Any = (arrays.get("dx"), arrays.get("dalpha")) if any(asked) else None
        dy: Any = inputs.dy  # None if neither was asked for
        case = Case(name, "dump", "", inputs.x, inputs.alpha, dy, inputs.axis)
        with np.errstate(all="ignore"):
            judge = Judge(at_zero, rules, accumulate, order, asked)
            seen += judge.observe(Result(case, arrays.get("y"), pair))
    found = []
    for output in ("y", "dx", "dalpha"):
        found += suspicions(seen, output, at_zero, held, rules)
    settings = {"files": str(len(dumps)), "accumulate": held.name if held else "exact"}
    settings["at_zero"] = at_zero
    return Report.of(seen, found, settings)
