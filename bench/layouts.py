"""Measure the CPU library on many layouts: time over NumPy moving the same bytes.

    python bench/layouts.py                        every kind of layout, 64 and 1 MiB: 20 minutes
    python bench/layouts.py --mib 64 --kinds rows,gaps --dtypes float32 --seed 7
    python bench/layouts.py --second               forward mode, second order, exact states
    python bench/layouts.py --data                 hard data in the place of random numbers
    python bench/layouts.py --json FILE            adds a JSON line for each row
    python bench/layouts.py --markdown FILE        a table of such a file

The shapes are drawn from a seed. NumPy's time is np.copyto's for the forward and np.add's for the
rest (16-bit dtypes: bitwise_xor), on contiguous arrays, scaled to the bytes the call moves, those
of alpha too. "own" is over NumPy's copy and add of the same layout, where memory has gaps, orders
differ or dy is broadcast. A limit is what the library means to keep with 64 MiB and one thread
(with a narrower instruction set 1.3 times that): "over" marks a row above it, "(over)" one of
another size. All that a row compares runs interleaved in one process, medians, random signs;
every page has been written before.
"""

import argparse
import inspect
import json
import subprocess
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
from cpu import DTYPES, chosen, dtype_of, machine
from layout_data import DATA, TERMS
from layout_kinds import KINDS, Layout, Operand, between

import prelu_array
from prelu_array import (
    _cpu,
    prelu,
    prelu_backward,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
)
from prelu_array._self_check import medians

LIMITS = {  # forward and backward of float32 and float64; of 16 bits. None: there is none
    "flat": (1.05, 1.1, 1.2, 1.7),
    "rows": (1.05, 1.1, 1.2, 1.7),
    "wide rows": (1.3, 1.5, 1.5, 2.2),
    "NCHW": (1.05, 1.1, 1.2, 1.7),
    "small images": (1.5, 1.6, 2.0, 2.6),
    "per feature": (1.3, 1.6, 1.6, 2.4),
    "two axes": (1.3, 1.6, 1.5, 2.4),
    "long samples": (1.05, 1.1, 1.2, 1.7),
    "short samples": (1.2, 1.4, 1.3, 2.2),
    "heads": (1.05, 1.1, 1.2, 1.7),
    "order": (1.3, 1.4, 1.6, 2.0),
    "mixed order": (None, None, None, None),
    "gaps": (1.3, 1.5, 2.0, 2.2),  # over NumPy's own
    "broadcast dy": (None, None, None, None),
}
MORE_FOR_ROWS_FROM_ANYWHERE = (0.3, 0.6)  # in wide rows and per feature
FEW_TERMS, DOUBLE_BACKWARD, STATES = 6, 1.3, 3
LARGEST_STATES = 2**30  # bytes; states of more alphas are left out


def limit_of(kind, layout, dtype, op):
    """Return what the time over NumPy's is meant to keep, or None."""
    backward = op == "backward"
    limit = LIMITS[kind][backward + 2 * (dtype.itemsize == 2)]
    if 0 < layout.batch < 3:
        return FEW_TERMS if backward else None
    if layout.row * dtype.itemsize % 64:
        limit += MORE_FOR_ROWS_FROM_ANYWHERE[backward]
    return limit


class Roof:
    """NumPy on contiguous arrays of one dtype, each of so many bytes."""

    def __init__(self, dtype, mib):
        rng = np.random.default_rng(0)
        self.numbers = rng.standard_normal(2**22 + 77, dtype=np.float32).astype(dtype)
        self.bytes = int(mib * 2**20)
        self.dtype = dtype
        words = np.dtype("u2") if dtype.itemsize == 2 else dtype
        self.arrays = [np.resize(self.numbers, self.bytes // dtype.itemsize) for _ in range(3)]
        self.arrays = [a.view(words) for a in self.arrays]
        self.ufunc = np.bitwise_xor if dtype.itemsize == 2 else np.add

    def copy(self):
        """Move two streams."""
        np.copyto(self.arrays[2], self.arrays[0])

    def add(self):
        """Move three streams."""
        self.ufunc(*self.arrays[:2], out=self.arrays[2])

    def fresh(self):
        """Move three streams, the last one to fresh memory."""
        self.ufunc(*self.arrays[:2])


class Work:
    """Arrays of one dtype and layout, and the calls on them."""

    def __init__(self, layout, dtype, roof):
        self.layout, self.roof, self.used = layout, roof, 0
        self.x, self.dy, self.out = (
            self.fill(operand or layout.x, dtype) for operand in (layout.x, layout.dy, layout.out)
        )
        self.alpha, self.dalpha = (self.fill(Operand(layout.alpha), dtype) for _ in range(2))
        # of two orders, the forward's y has the one of dy
        self.mixed = layout.dy is not None and 0 not in self.dy.strides
        self.y = self.dy if self.mixed else self.out
        dy_bytes = prod(layout.dy.memory) * dtype.itemsize if layout.dy else self.x.nbytes
        self.bytes = {
            "forward": 2 * self.x.nbytes + self.alpha.nbytes,
            "backward": 2 * self.x.nbytes + dy_bytes + 2 * self.alpha.nbytes,
        }
        self.words = [a.view(roof.arrays[0].dtype) for a in (self.x, self.dy, self.out, self.y)]
        self.place = {"axis": layout.axis}

    def fill(self, operand, dtype):
        """Return an array of random numbers, others each time."""
        self.used += 12345
        numbers = np.roll(self.roof.numbers, self.used)
        memory = np.empty(prod(operand.memory), dtype)
        for start in range(0, memory.size, numbers.size):
            part = memory[start : start + numbers.size]
            part[...] = numbers[: part.size]
        return operand.view(memory.reshape(operand.memory))

    def forward(self):
        """Run ours."""
        prelu(self.x, self.alpha, out=self.y, **self.place)

    def backward(self):
        """Run ours."""
        prelu_backward(self.dy, self.x, self.alpha, out=(self.out, self.dalpha), **self.place)

    def own_copy(self):
        """Run NumPy's copy of this layout."""
        np.copyto(self.words[3], self.words[0])

    def own_add(self):
        """Run NumPy's addition of this layout."""
        self.roof.ufunc(self.words[0], self.words[1], out=self.words[2])


def row(op, work, seconds, roof, moved, limit, own=None):
    """Return a row; roof is the seconds for moved bytes."""
    size = work.bytes.get(op, moved)
    return {
        "op": op,
        "what": work.layout.text,
        "shape": work.x.shape,
        "alpha": work.alpha.shape,
        "axis": work.layout.axis,
        "bytes": work.x.nbytes,
        "ms": seconds * 1e3,
        "GB/s": size / seconds / 1e9 if op in work.bytes else None,
        "ratio": seconds / roof * moved / size,
        "own": own and seconds / own,
        "limit": limit,
    }


def layouts(options, kind, dtype, roof):
    """Yield a row for the forward and one for the backward of each draw."""
    for layout in drawn(options, kind, dtype, roof):
        w = Work(layout, dtype, roof)
        calls = [roof.copy, w.forward, roof.add, w.backward]
        if kind in ("gaps", "mixed order", "broadcast dy"):
            calls += [w.own_copy, w.own_add]
        copy, forward, add, backward, *own = medians(options.rounds, *calls)
        own = own or (None, None)
        limits = [limit_of(kind, layout, dtype, op) for op in ("forward", "backward")]
        if kind != "broadcast dy":
            yield row("forward", w, forward, copy, 2 * roof.bytes, limits[0], own[0])
        yield row("backward", w, backward, add, 3 * roof.bytes, limits[1], own[1])


def drawn(options, kind, dtype, roof):
    """Yield the layouts of a kind; other options do not change which they are."""
    for draw in range(options.draws):
        rng = np.random.default_rng((options.seed, list(KINDS).index(kind), draw))
        yield KINDS[kind](draw, rng, roof.bytes // dtype.itemsize)


def second(options, kind, dtype, roof):
    """Yield rows of the other derivatives: over np.add, but the states over the backward."""
    for layout in drawn(options, kind, dtype, roof):
        w = Work(layout, dtype, roof)
        ddx, other = (w.fill(operand or layout.x, dtype) for operand in (layout.dy, layout.out))
        ddalpha = w.fill(Operand(layout.alpha), dtype)
        moved = 3 * w.x.nbytes + 2 * w.alpha.nbytes
        w.bytes |= {
            "jvp": moved,
            "double backward": w.x.nbytes + w.bytes["backward"] + moved - w.alpha.nbytes,
        }
        first = w.dy, w.x, w.alpha
        calls = {
            "backward": (prelu_backward, first, (w.out, w.dalpha)),
            "jvp": (prelu_jvp, (w.x, w.alpha, ddx, ddalpha), w.out),
            "double backward": (
                prelu_double_backward,
                (ddx, ddalpha, *first),
                (w.out, other, w.dalpha),
            ),
        }
        state = prelu_backward_partial(*(a[(slice(1),) * a.ndim] for a in (w.dy, w.x)), 0.5)[1]
        if w.alpha.size * state.nbytes <= LARGEST_STATES:
            state = np.zeros(w.alpha.shape + state.shape, state.dtype)
            calls["states"] = prelu_backward_partial, first, (w.out, state)
        timed = {"add": roof.add, "add, fresh": roof.fresh}
        for name, (function, arguments, out) in calls.items():
            call = partial(function, *arguments, **w.place)
            timed[f"{name}, fresh"] = call
            if "out" in inspect.signature(function).parameters:
                timed[name] = partial(call, out=out)
        seconds = dict(zip(timed, medians(options.rounds, *timed.values()), strict=True))
        for name in seconds:
            op, _, fresh = name.partition(", ")
            if op in ("jvp", "double backward"):
                limit = DOUBLE_BACKWARD if name == "double backward" else None
                against = seconds["add, fresh" if fresh else "add"], 3 * roof.bytes
                yield row(op, w, seconds[name], *against, limit) | {"op": name}
            elif op == "states":
                against = seconds["backward, fresh" if fresh else "backward"], 1
                yield row(op, w, seconds[name], *against, STATES) | {"op": name}


# ---- data ----


def data(options, kind, dtype, roof):
    """Yield a row for each kind of layout; kind is a key of DATA or a number of terms."""
    n, rng = roof.bytes // dtype.itemsize, np.random.default_rng(options.seed)
    c = between(rng, 16, 1024), between(rng, 16, 256)
    h, terms = between(rng, 7, 56), kind if kind in TERMS else 2 * between(rng, 10, 40)
    shapes = {f"{terms} terms": (terms, n // terms)}
    if kind in DATA:
        rest = max(n // (c[1] * h * h), 2)
        shapes |= {"rows": (n // c[0], c[0]), "images": (rest, c[1], h, h)}
    for text, shape in shapes.items():
        w = Work(Layout(text, Operand(shape), shape[1:2], 1), dtype, roof)
        limit = FEW_TERMS
        if kind in DATA:
            edit, limit = DATA[kind]
            edit(w.x, w.dy)
        add, backward = medians(options.rounds, roof.add, w.backward)
        yield row("backward", w, backward, add, 3 * roof.bytes, limit)


# ---- command line ----


def commit_of_library():
    """Return the commit of the library that is measured, if it is in a checkout."""
    where = Path(prelu_array.__file__).parent
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def markdown(path):
    """Return a table of such a file: the least and the most of each kind's time over NumPy."""
    kinds = {}
    for row in map(json.loads, path.read_text().splitlines()):
        ratio = row["own"] if row["kind"] == "gaps" else row["ratio"]
        found = kinds.setdefault(row["kind"], {})
        found.setdefault((row["dtype"], row["op"]), []).append(ratio)
    lines = ["| kind | " + " | ".join(DTYPES) + " |", "|---" * (1 + len(DTYPES)) + "|"]
    for kind, found in kinds.items():
        cells = (
            "; ".join(
                f"{min(ratios):.1f} to {max(ratios):.1f}"
                for op in ("forward", "backward")
                if (ratios := found.get((name, op)))
            )
            for name in DTYPES
        )
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", default="64,1", help="of x, with commas (%(default)s)")
    parser.add_argument("--dtypes", type=chosen(DTYPES), default=DTYPES, help=",".join(DTYPES))
    parser.add_argument("--kinds", type=chosen(KINDS), default=tuple(KINDS), help=",".join(KINDS))
    parser.add_argument("--draws", type=int, default=3, help="shapes a kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the shapes (%(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="of each call (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="%(default)s")
    parser.add_argument("--instruction-set", default=_cpu.instruction_set(), help="%(default)s")
    parser.add_argument("--second", action="store_true")
    parser.add_argument("--data", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.markdown:
        print(markdown(options.markdown))
        return
    slack = 1 if options.instruction_set == _cpu.instruction_set() else 1.3
    if not _cpu.select_instruction_set(options.instruction_set):
        parser.error(f"--instruction-set: {options.instruction_set!r} cannot run here")
    prelu_array.set_num_threads(options.threads)
    here = machine() | {"threads": options.threads, "seed": options.seed}
    here["commit"] = commit_of_library() or here["commit"]
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    rows, kinds = layouts, options.kinds
    if options.data:
        rows, kinds = data, (*TERMS, *DATA)
    elif options.second:
        rows = second
    head = ("kind", "op", "dtype", "MiB", "ms", "GB/s", "of NumPy", "own", "limit", "", "layout")
    line = "{:25} {:22} {:8} {:>6} {:>9} {:>6} {:>8} {:>6} {:>5} {:6} {}"
    for mib in map(float, options.mib.split(",")):
        options.rounds = options.repeats * (1 if mib >= 8 else 4)
        print("\n" + line.format(*head))
        for name in options.dtypes:
            roof = Roof(dtype_of(name), mib)
            for kind in kinds:
                if kind == "float32 values" and name != "float64":
                    continue
                for found in rows(options, kind, roof.dtype, roof):
                    limit = found["limit"] and found["limit"] * slack
                    ratio = (
                        found["own"] if kind == "gaps" and not options.second else found["ratio"]
                    )
                    over = bool(limit) and ratio > limit
                    result = {"kind": kind, "dtype": name, "mib": mib} | found
                    result |= {"limit": limit, "over": over}
                    if options.json:
                        with options.json.open("a") as file:
                            file.write(json.dumps(here | result) + "\n")
                    mark = ("over" if mib == 64 else "(over)") if over else ""
                    numbers = (found[key] for key in ("ms", "GB/s", "ratio", "own"))
                    cells = (f"{value:.2f}" if value else "" for value in (*numbers, limit))
                    layout = f"{found['shape']} / {found['alpha']} {found['what']}"
                    cells = (kind, found["op"], name, f"{mib:g}", *cells, mark, layout)
                    print(line.format(*map(str, cells)), flush=True)


if __name__ == "__main__":
    main()
