"""Measure what threads bring: 0.25 to 256 MiB, one thread to as many as there are CPUs.

    python bench/threads.py                        some three minutes on two CPUs
    python bench/threads.py --dtypes float32 --mib 8,64 --counts 1,2,16
    python bench/threads.py --callers 16           callers at once beside one after the other
    python bench/threads.py --json FILE            adds a JSON line for each row
    python bench/threads.py --markdown FILE        a table of such a file

One alpha for each channel of NCHW, `out` given, random signs; all calls of a row run interleaved,
medians. "default" is without set_num_threads. Times are in microseconds, beside np.copyto's.
"""

import argparse
import json
import os
import threading
from pathlib import Path

import numpy as np
from cpu import machine

import prelu_array
from prelu_array import _cpu, _cpus, _threads, prelu, prelu_backward
from prelu_array._self_check import medians

SIZES = (0.25, 1, 4, 8, 16, 64, 256)
DTYPES = ("float16", "float32", "float64")
IMAGE = (64, 32, 32)


class Work:
    """Arrays of a size, and calls on them."""

    def __init__(self, dtype, mib):
        rng = np.random.default_rng(0)
        images = max(int(mib * 2**20) // np.dtype(dtype).itemsize // int(np.prod(IMAGE)), 1)
        shape = (images, *IMAGE)
        self.x, self.dy = (rng.standard_normal(shape, np.float32).astype(dtype) for _ in range(2))
        self.alpha, self.dalpha = np.full(IMAGE[0], 0.25, dtype), np.empty(IMAGE[0], dtype)
        self.out = np.ones_like(self.x)

    def copy(self):
        """NumPy's copy of the same bytes."""
        np.copyto(self.out, self.x)

    def forward(self):
        """Compute y."""
        prelu(self.x, self.alpha, axis=1, out=self.out)

    def backward(self):
        """Compute dx and dalpha."""
        prelu_backward(self.dy, self.x, self.alpha, axis=1, out=(self.out, self.dalpha))


def with_threads(count, call):
    """Return the call with so many threads allowed; None: by default."""

    def run():
        _threads._count = count
        call()

    return run


def table(dtypes, sizes, counts, seconds):
    """Yield a row for each dtype, size and function."""
    for dtype in dtypes:
        for mib in sizes:
            w = Work(dtype, mib)
            calls = [w.copy]
            for call in (w.forward, w.backward):
                calls += [with_threads(count, call) for count in (*counts, None)]
            round_ = sum(medians(1, *calls))
            times = [t * 1e6 for t in medians(max(5, min(301, int(seconds / round_))), *calls)]
            of_one = len(counts) + 1
            for k, op in enumerate(("forward", "backward")):
                own = times[1 + k * of_one : 1 + (k + 1) * of_one]
                names = [*map(str, counts), "default"]
                yield {
                    "op": op,
                    "dtype": dtype,
                    "mib": mib,
                    "copy": times[0],
                    "us": dict(zip(names, own, strict=True)),
                }


def callers(count, mib, repeats):
    """Return the seconds of `count` callers one after the other, and of all at once."""
    works = [Work("float32", mib) for _ in range(count)]
    _threads._count = None

    def one_after_the_other():
        for w in works:
            w.backward()

    def at_once():
        threads = [threading.Thread(target=w.backward) for w in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return medians(repeats, one_after_the_other, at_once)


def markdown(path):
    """Return a table of such a file: speeds over one thread's."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    names = [name for name in rows[0]["us"] if name != "1"]
    lines = ["| MiB of x | worth | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for mib in sorted({row["mib"] for row in rows}):
        own = [row for row in rows if row["mib"] == mib]
        cells = []
        for name in names:
            speeds = [row["us"]["1"] / row["us"][name] for row in own]
            cells.append(f"{min(speeds):.2f} to {max(speeds):.2f}")
        lines.append(f"| {mib:g} | {own[0]['worth']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def numbers(kind):
    """Return a parser of a list with commas."""
    return lambda text: tuple(kind(part) for part in text.split(","))


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    powers = tuple(2**k for k in range(9) if 2**k <= max(most, 2))
    parser.add_argument("--mib", type=numbers(float), default=SIZES, help="of one array")
    parser.add_argument("--dtypes", type=numbers(str), default=DTYPES)
    parser.add_argument("--counts", type=numbers(int), default=powers, help="of threads")
    parser.add_argument("--seconds", type=float, default=3, help="for each row (%(default)s)")
    parser.add_argument("--callers", type=int, help="so many at once, 16 MiB each, instead")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.markdown:
        print(markdown(options.markdown))
        return
    prelu_array.set_num_threads(1)
    here = machine() | {"cpus": most, "default": _cpus.usable()}
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    if options.callers:
        apart, at_once = callers(options.callers, 16, 15)
        print(
            f"{options.callers} callers, 16 MiB each: one after the other {apart * 1e3:.1f} ms, "
            f"at once {at_once * 1e3:.1f} ms, {at_once / apart:.2f} times that"
        )
        return
    for row in table(options.dtypes, options.mib, options.counts, options.seconds):
        row["worth"] = _cpu.threads_worth(int(row["mib"] * 2**20))
        times = "  ".join(f"{name}: {us:.0f}" for name, us in row["us"].items())
        print(
            f"{row['op']:9} {row['dtype']:8} {row['mib']:7.2f} MiB  copy: {row['copy']:.0f}  "
            f"{times}  (worth {row['worth']})",
            flush=True,
        )
        if options.json:
            with options.json.open("a") as file:
                file.write(json.dumps(here | row) + "\n")


if __name__ == "__main__":
    main()
