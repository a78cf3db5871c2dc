"""Measure the CPU library: GB/s, against the roof of the memory and against plain NumPy.

    python bench/cpu.py                    the table of 64 MiB arrays, one thread: two minutes
    python bench/cpu.py --mib 0.25         arrays in the cache
    python bench/cpu.py --dtypes float32   its first quarter
    python bench/cpu.py --instruction-set avx2   with the loops of an older processor
    python bench/cpu.py --more             also threads, fresh outputs, hard sums, small calls
    python bench/cpu.py --json FILE        adds a JSON line for each row, with machine and commit
    python bench/cpu.py --markdown FILE    the README's table: medians of the runs in such a file

The roof is np.copyto for the forward and np.add(x, dy, out=dx) for the backward (16-bit dtypes:
bitwise_xor) on arrays of the same size, scaled to the bytes the call moves. "of roof" is the speed
relative to the roof's: more is better. "of where" is relative to np.where(x > 0, x, a * x), in the
backward to np.where for dx and a sum; "of max" to np.maximum(x, 0) + a * np.minimum(x, 0).
All that a row compares runs interleaved in one process on the same random data; medians.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import prelu_array
from prelu_array import _cpu, prelu, prelu_backward, prelu_double_backward, prelu_jvp
from prelu_array._self_check import medians

LAYOUTS = ("shared", "NCHW", "NCHW 14x14", "NHWC 64", "NHWC 3", "per element")
DTYPES = ("float32", "float64", "float16", "bfloat16")


def dtype_of(name):
    """Return the dtype of this name, bfloat16 too."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def shapes(layout, n):
    """Return x's shape, alpha's and the axis, for about n elements."""
    return {
        "shared": ((n,), (1,), None),
        "NCHW": ((16, 64, max(n // 1024, 1)), (64,), 1),
        "NCHW 14x14": ((max(n // (64 * 196), 1), 64, 196), (64,), 1),
        "NHWC 64": ((n // 64, 64), (64,), -1),
        "NHWC 3": ((n // 3, 3), (3,), -1),
        "per element": ((n,), (n,), None),
    }[layout]


def random_array(rng, shape, dtype):
    """Return normal random numbers."""
    return rng.standard_normal(shape, dtype=np.float32).astype(dtype)


class Work:
    """Arrays of one dtype and layout, and the calls on them."""

    def __init__(self, dtype, layout, mib):
        self.dtype, self.layout = dtype, layout
        rng = np.random.default_rng(0)
        shape, alpha_shape, self.axis = shapes(layout, int(mib * 2**20 / dtype.itemsize))
        self.x, self.dy = (random_array(rng, shape, dtype) for _ in range(2))
        self.alpha = random_array(rng, alpha_shape, dtype)
        self.y, self.dx, spare = (np.zeros_like(self.x) for _ in range(3))
        self.dalpha = np.zeros_like(self.alpha)
        if dtype.itemsize == 2:  # NumPy's 16-bit arithmetic is no measure of the memory
            words = [a.view("u2") for a in (self.x, self.dy, spare)]
            self.add = lambda: np.bitwise_xor(words[0], words[1], out=words[2])
        else:
            self.add = lambda: np.add(self.x, self.dy, out=spare)
        copied = spare.view(f"u{dtype.itemsize}"), self.x.view(f"u{dtype.itemsize}")
        self.copy = lambda: np.copyto(*copied)
        moved = self.alpha.nbytes / self.x.nbytes
        self.forward_streams, self.backward_streams = 2 + moved, 3 + 2 * moved
        ones = [1] * self.x.ndim
        if self.axis is not None:
            ones[self.axis] = -1
        self.broadcast = self.alpha.reshape(ones) if self.axis is not None else self.alpha

    def forward(self):
        """Run ours."""
        prelu(self.x, self.alpha, axis=self.axis, out=self.y)

    def backward(self):
        """Run ours."""
        prelu_backward(self.dy, self.x, self.alpha, axis=self.axis, out=(self.dx, self.dalpha))

    def plain_forward(self):
        """Run NumPy's expression with the same results."""
        return np.where(self.x > 0, self.x, self.broadcast * self.x)

    def maximum_forward(self):
        """Run the expression that many write, which gives NaN where alpha is not finite."""
        return np.maximum(self.x, 0) + self.broadcast * np.minimum(self.x, 0)

    def plain_backward(self):
        """Run NumPy's expressions."""
        dx = np.where(self.x > 0, self.dy, self.broadcast * self.dy)
        terms = np.where(self.x > 0, 0, self.x * self.dy)
        if self.alpha.shape == self.x.shape:
            return dx, terms
        kept = () if self.axis is None else (self.axis % self.x.ndim,)
        return dx, terms.sum(tuple(k for k in range(self.x.ndim) if k not in kept))


def table(dtypes, layouts, mib, repeats):
    """Yield a row for each op, dtype and layout."""
    for name in dtypes:
        for layout in layouts:
            w = Work(dtype_of(name), layout, mib)
            copy, forward, add, backward = medians(repeats, w.copy, w.forward, w.add, w.backward)
            with np.errstate(all="ignore"):
                plain = medians(3, w.plain_forward, w.plain_backward, w.maximum_forward)
            for op, own, roof, streams, roof_streams, where, maximum in (
                ("forward", forward, copy, w.forward_streams, 2, plain[0], plain[2]),
                ("backward", backward, add, w.backward_streams, 3, plain[1], np.nan),
            ):
                yield {
                    "op": op,
                    "dtype": name,
                    "layout": layout,
                    "bytes": w.x.nbytes,
                    "ms": own * 1e3,
                    "GB/s": streams * w.x.nbytes / own / 1e9,
                    "roof_ms": roof * 1e3,
                    "times_roof_speed": roof / roof_streams * streams / own,
                    "times_roof_time": own / roof * roof_streams / streams,
                    "times_numpy_speed": where / own,
                    "times_maximum_speed": maximum / own,
                }


def second_order(w, ddx, repeats):
    """Yield the other derivatives' time over np.add's, all with new outputs, by stream."""
    x, dy, alpha = w.x, w.dy, w.alpha
    add, jvp, double = medians(
        repeats,
        lambda: np.add(x, dy),
        lambda: prelu_jvp(x, alpha, ddx, alpha, axis=w.axis),
        lambda: prelu_double_backward(ddx, alpha, dy, x, alpha, axis=w.axis),
    )
    yield {"what": f"prelu_jvp {w.layout} / np.add(x, dy)", "ratio": jvp / add}
    ratio = double / add * 3 / 5
    yield {"what": f"prelu_double_backward {w.layout} / np.add, 5 streams", "ratio": ratio}


def more(mib, repeats):
    """Yield the other figures, each with what it is compared to."""
    f32 = np.dtype("float32")
    for layout in ("shared", "NCHW", "NHWC 64"):
        w = Work(f32, layout, mib)

        def with_threads(n, call):
            def run():
                prelu_array.set_num_threads(n)
                call()

            return run

        one, two = medians(repeats, with_threads(1, w.backward), with_threads(2, w.backward))
        prelu_array.set_num_threads(1)
        yield {"what": f"backward {layout}: 1 thread / 2 threads", "ratio": one / two}
    for layout in ("shared", "NCHW", "NHWC 64"):
        w = Work(f32, layout, mib)
        ddx = np.roll(w.dy, 1)
        yield from second_order(w, ddx, repeats)
    w = Work(f32, "shared", mib)
    fresh, given, copy = medians(
        repeats, lambda: prelu(w.x, w.alpha), lambda: prelu(w.x, w.alpha, out=w.y), w.x.copy
    )
    yield {"what": "fresh forward / x.copy()", "ratio": fresh / copy}
    yield {"what": "fresh forward / with out=", "ratio": fresh / given}
    for name in ("float32", "float64", "float16"):
        for layout in ("shared", "NCHW", "NHWC 64"):
            w = Work(dtype_of(name), layout, mib)
            easy = medians(repeats, w.backward)[0]
            half = w.x.shape[0] // 2 * 2 // 2
            w.x[half : 2 * half] = w.x[:half]  # all terms cancel, so each alpha is undecided
            w.dy[half : 2 * half] = -w.dy[:half]
            hard = medians(repeats, w.backward)[0]
            yield {"what": f"hard / easy backward, {name} {layout}", "ratio": hard / easy}
    rng = np.random.default_rng(0)
    x, dy = (random_array(rng, (8, 16), f32) for _ in range(2))
    y, one, sixteen = np.empty_like(x), np.full(1, 0.25, f32), np.full(16, 0.25, f32)
    dalpha_one, dalpha_sixteen = np.empty_like(one), np.empty_like(sixteen)
    calls = {
        "np.add(x, x, out=y)": lambda: np.add(x, x, out=y),
        "prelu(x, alpha, out=y)": lambda: prelu(x, one, out=y),
        "prelu(x, alpha, axis=1, out=y)": lambda: prelu(x, sixteen, axis=1, out=y),
        "prelu_backward(dy, x, alpha, out=...)": lambda: prelu_backward(
            dy, x, one, out=(y, dalpha_one)
        ),
        "prelu_backward(dy, x, alpha, axis=1, out=...)": lambda: prelu_backward(
            dy, x, sixteen, axis=1, out=(y, dalpha_sixteen)
        ),
    }

    def thousand(call):
        def run():
            for _ in range(1000):
                call()

        return run

    times = medians(31, *(thousand(call) for call in calls.values()))
    for what, seconds in zip(calls, times, strict=True):
        yield {"what": f"8 x 16 float32: {what}, us", "ratio": seconds * 1e3}
        if seconds is not times[0]:
            yield {"what": "    of np.add's time", "ratio": seconds / times[0]}
    code = (
        "import time, numpy; t = time.perf_counter(); import prelu_array; "
        "print(time.perf_counter() - t)"
    )
    costs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(9)]
    yield {"what": "import, ms over NumPy's", "ratio": statistics.median(costs) * 1e3}


def machine():
    """Return what every result must be reported with."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "machine": f"{model}, {os.cpu_count()} cores",
        "instruction_set": _cpu.instruction_set(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "prelu_array": prelu_array.__version__,
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def markdown(path, mib, threads):
    """Return the table of the arrays of one size in a file of results: medians of its runs."""
    pairs = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row["threads"] == threads and abs(row.get("bytes", 0) / (mib * 2**20) - 1) < 1e-2:
            ops = pairs.setdefault((row["dtype"], row["layout"]), {"forward": [], "backward": []})
            ops[row["op"]].append(row)
    lines = [
        f"| {mib:g} MiB arrays | forward, relative to `np.copyto` "
        "| backward, relative to `np.add` "
        "| forward, backward, relative to `np.where(x > 0, x, a * x)` "
        "| forward, relative to `np.maximum(x, 0) + a * np.minimum(x, 0)` |",
        "|---|---|---|---|---|",
    ]
    for (dtype, layout), ops in pairs.items():
        if not (ops["forward"] and ops["backward"]):  # of a run that was interrupted
            continue
        own, where, maximum = (
            [statistics.median(row[key] for row in rows) for rows in ops.values()]
            for key in ("times_roof_speed", "times_numpy_speed", "times_maximum_speed")
        )
        lines.append(
            f"| {dtype}, {layout} | {own[0]:.2f} | {own[1]:.2f} "
            f"| {where[0]:.0f}, {where[1]:.0f} | {maximum[0]:.0f} |"
        )
    if not pairs:
        raise SystemExit(f"{path} has no arrays of {mib:g} MiB with {threads} threads")
    return "\n".join(lines)


def chosen(names):
    """Return a reader of some of these names, with commas between them."""

    def read(text):
        given = tuple(text.split(","))
        for name in given:
            if name not in names:
                raise argparse.ArgumentTypeError(f"must be among {', '.join(names)}, got {name!r}")
        return given

    return read


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=float, default=64, help="of one array (%(default)s)")
    parser.add_argument("--dtypes", type=chosen(DTYPES), default=DTYPES, help=",".join(DTYPES))
    parser.add_argument("--layouts", type=chosen(LAYOUTS), default=LAYOUTS, help=",".join(LAYOUTS))
    parser.add_argument("--repeats", type=int, default=15, help="of each call (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="%(default)s")
    parser.add_argument("--instruction-set", default=_cpu.instruction_set(), help="%(default)s")
    parser.add_argument("--more", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.mib * 2**20 < 8 * 1024:
        parser.error("--mib must be at least 0.0079")
    if options.markdown:
        print(markdown(options.markdown, options.mib, options.threads))
        return
    if not _cpu.select_instruction_set(options.instruction_set):
        parser.error(f"--instruction-set: {options.instruction_set!r} cannot run here")
    prelu_array.set_num_threads(options.threads)
    here = machine() | {"threads": options.threads}
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    dtypes = options.dtypes
    if "bfloat16" in dtypes and importlib.util.find_spec("ml_dtypes") is None:
        print("bfloat16 is left out: ml_dtypes is not installed")
        dtypes = tuple(name for name in dtypes if name != "bfloat16")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)

    def keep(row):
        if options.json:
            with options.json.open("a") as file:
                file.write(json.dumps(here | row) + "\n")

    print(
        f"\n{'op':9} {'dtype':9} {'layout':12} {'MiB':>7} {'ms':>8} {'GB/s':>6}"
        f" {'roof, ms':>9} {'of roof':>8} {'of where':>9} {'of max':>7}"
    )
    for row in table(dtypes, options.layouts, options.mib, options.repeats):
        keep(row)
        print(
            f"{row['op']:9} {row['dtype']:9} {row['layout']:12} {row['bytes'] / 2**20:7.2f}"
            f" {row['ms']:8.3f} {row['GB/s']:6.1f} {row['roof_ms']:9.3f}"
            f" {row['times_roof_speed']:8.2f} {row['times_numpy_speed']:9.1f}"
            f" {row['times_maximum_speed']:7.1f}",
            flush=True,
        )
    if options.more:
        print("\nTimes as a multiple of another's: less is better, but of one thread's.")
        for row in more(options.mib, options.repeats):
            keep(row)
            print(f"{row['what']:60} {row['ratio']:8.2f}", flush=True)


if __name__ == "__main__":
    main()
