"""Measure prelu_array and other PReLUs on the CPU, each if it is installed.

    python bench/peers.py --json FILE                 the whole measurement, one thread
    python bench/peers.py --json FILE --cpus 0        the same with all CPUs of the process
    python bench/peers.py --json FILE --minutes 4     some of it; the next call goes on from there
    python bench/peers.py --markdown FILE             the table of the 64 MiB arrays

The exit status is 1 while --minutes has left cases to measure. Cases that FILE has are skipped.

All peers of a case run interleaved, in another order each round, in one process on the same random
numbers, signs random; medians. `--cpus N` lets the process run on N CPUs alone, before any library
is imported, so that every thread pool is as large. GB/s count what must move: x and y; dy, x and
dx; all five. Outputs that can be given are (numexpr, numba, ONNX Runtime, prelu_array, the copy);
NumPy's expression, PyTorch and JAX return new arrays, and that is in their time, as it is in their
users'.
Conversions (to tensors, to oneDNN's layout) are not. Every peer's y is compared with ours once.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

OPS = ("forward", "backward", "both")
LAYOUTS = ("shared", "NCHW", "NHWC")
DTYPES = ("float32", "float16", "bfloat16")
SIZES = "4K,32K,256K,2M,16M,64M,256M"
STREAMS = {"forward": 2, "backward": 3, "both": 5}


class Case:
    """Inputs of a dtype, layout and size. Alpha is for axis 1 of 3 (NCHW) or of 2 (NHWC)."""

    def __init__(self, dtype, layout, size):
        import numpy as np
        from cpu import dtype_of, random_array

        self.name, self.dtype, self.layout = dtype, dtype_of(dtype), layout
        n = size // self.dtype.itemsize
        batch, channels = (16, 64) if n >= 1 << 16 else (4, 16)
        shape = {
            "shared": (n,),
            "NCHW": (batch, channels, n // (batch * channels)),
            "NHWC": (n // 64, 64),
        }[layout]
        rng = np.random.default_rng(0)
        self.x, self.dy = (random_array(rng, shape, self.dtype) for _ in range(2))
        self.alpha = random_array(rng, shape[1:2] or (1,), self.dtype)
        self.axis = 1 if len(shape) > 1 else None
        self.bytes = self.x.nbytes
        self.summed = tuple(k for k in range(len(shape)) if k != self.axis)
        self.broadcast = self.alpha.reshape(
            [-1 if k == self.axis else 1 for k in range(len(shape))]
        )


# ---- the peers: a case -> {op: call}; a call returns y, where it is "forward" ----


def ours(case):
    """prelu_array, with outputs given."""
    import numpy as np

    from prelu_array import prelu, prelu_backward

    y, dx, dalpha = (np.zeros_like(a) for a in (case.x, case.x, case.alpha))

    def forward():
        return prelu(case.x, case.alpha, axis=case.axis, out=y)

    def backward():
        prelu_backward(case.dy, case.x, case.alpha, axis=case.axis, out=(dx, dalpha))

    return {"forward": forward, "backward": backward}


def numpy_where(case):
    """What one writes in NumPy."""
    import numpy as np

    x, dy, alpha = case.x, case.dy, case.broadcast

    def forward():
        return np.where(x > 0, x, alpha * x)

    def backward():
        np.where(x > 0, dy, alpha * dy)
        np.where(x > 0, 0, x * dy).sum(case.summed)

    return {"forward": forward, "backward": backward}


def numpy_maximum(case):
    """What many write for the forward, in NumPy."""
    import numpy as np

    return {
        "forward": lambda: np.maximum(case.x, 0) + case.broadcast * np.minimum(case.x, 0),
    }


def numexpr_expression(case):
    """The same by numexpr, which has no sum over some axes that is faster than NumPy's."""
    import numexpr
    import numpy as np

    if case.dtype != np.float32:
        raise NotImplementedError("numexpr has no 16-bit floats")
    numexpr.set_num_threads(len(os.sched_getaffinity(0)))
    names = {"x": case.x, "dy": case.dy, "a": case.broadcast, "zero": np.float32(0)}
    y, dx, terms = (np.zeros_like(case.x) for _ in range(3))

    def forward():
        return numexpr.evaluate("where(x > zero, x, a * x)", names, out=y)

    def backward():
        numexpr.evaluate("where(x > zero, dy, a * dy)", names, out=dx)
        numexpr.evaluate("where(x > zero, zero, x * dy)", names, out=terms).sum(case.summed)

    return {"forward": forward, "backward": backward}


def numba_loops(case):
    """Compiled loops, with sums in float64."""
    import numpy as np

    if case.dtype != np.float32:
        raise NotImplementedError("numba has no 16-bit floats on the CPU")
    forward_runs, backward_runs, forward_rows, backward_rows = numba_functions()
    y, dx = np.zeros_like(case.x), np.zeros_like(case.x)
    if case.layout == "NHWC":
        forward_loop, backward_loop, lines = forward_rows, backward_rows, case.x.shape
    else:
        forward_loop, backward_loop = forward_runs, backward_runs
        # one alpha: rows of their own, so that there is something to share among threads
        lines = (-1, 1, min(4096, case.x.size)) if case.axis is None else case.x.shape
    x, dy, y_, dx_ = (a.reshape(lines) for a in (case.x, case.dy, y, dx))

    def forward():
        forward_loop(x, case.alpha, y_)
        return y

    def backward():
        backward_loop(dy, x, case.alpha, dx_).astype(case.dtype)

    return {"forward": forward, "backward": backward}


def numba_functions(kept=[]):  # noqa: B006  compiled once
    """Loops over segments of one alpha, and over rows of all alphas."""
    if kept:
        return kept
    import numpy as np
    from numba import njit, prange

    @njit(parallel=True)
    def forward_runs(x, alpha, y):
        for line in prange(x.shape[0] * x.shape[1]):
            n, c = line // x.shape[1], line % x.shape[1]
            for i in range(x.shape[2]):
                v = x[n, c, i]
                y[n, c, i] = v if v > 0 else alpha[c] * v

    @njit(parallel=True)
    def backward_runs(dy, x, alpha, dx):
        sums = np.zeros((x.shape[0], x.shape[1]))
        for line in prange(x.shape[0] * x.shape[1]):
            n, c = line // x.shape[1], line % x.shape[1]
            total = 0.0
            for i in range(x.shape[2]):
                v, g = x[n, c, i], dy[n, c, i]
                dx[n, c, i] = g if v > 0 else alpha[c] * g
                total += 0.0 if v > 0 else np.float64(v) * g
            sums[n, c] = total
        return sums.sum(0)

    @njit(parallel=True)
    def forward_rows(x, alpha, y):
        for n in prange(x.shape[0]):
            for c in range(x.shape[1]):
                v = x[n, c]
                y[n, c] = v if v > 0 else alpha[c] * v

    @njit(parallel=True)
    def backward_rows(dy, x, alpha, dx):
        blocks = min(64, x.shape[0])
        sums = np.zeros((blocks, x.shape[1]))
        for block in prange(blocks):
            for n in range(block * x.shape[0] // blocks, (block + 1) * x.shape[0] // blocks):
                for c in range(x.shape[1]):
                    v, g = x[n, c], dy[n, c]
                    dx[n, c] = g if v > 0 else alpha[c] * g
                    sums[block, c] += 0.0 if v > 0 else np.float64(v) * g
        return sums.sum(0)

    kept[:] = forward_runs, backward_runs, forward_rows, backward_rows
    return kept


def torch_tensors(case):
    """Return x, dy and alpha as tensors that share the arrays' memory."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if case.name == "bfloat16":
        return [
            torch.from_numpy(a.view("i2")).view(torch.bfloat16)
            for a in (case.x, case.dy, case.alpha)
        ]
    return [torch.from_numpy(a) for a in (case.x, case.dy, case.alpha)]


def torch_eager(case, convert=lambda t: t):
    """F.prelu and its gradient by autograd; rows of channels are its 2-D input."""
    import torch

    x, dy, alpha = torch_tensors(case)
    x, dy = convert(x), convert(dy)
    leaves = x.detach().requires_grad_(), alpha.clone().requires_grad_()
    kept = torch.nn.functional.prelu(*leaves)

    def forward():
        with torch.no_grad():
            return torch.nn.functional.prelu(x, alpha)

    def backward():
        torch.autograd.grad(kept, leaves, dy, retain_graph=True)

    def both():
        torch.autograd.grad(torch.nn.functional.prelu(*leaves), leaves, dy)

    return {"forward": forward, "backward": backward, "both": both}


def torch_onednn(case):
    """The same on tensors in oneDNN's layout."""
    return torch_eager(case, lambda t: t.to_mkldnn())


def jax_jit(case):
    """The expression and its derivative, compiled by XLA."""
    import jax

    x, dy, alpha = (jax.numpy.asarray(a) for a in (case.x, case.dy, case.broadcast))

    def prelu(x, alpha):
        return jax.numpy.where(x > 0, x, alpha * x)

    def gradients(x, alpha, dy):
        return jax.vjp(prelu, x, alpha)[1](dy)

    def with_y(x, alpha, dy):
        y, pull = jax.vjp(prelu, x, alpha)
        return y, pull(dy)

    compiled = [jax.jit(f) for f in (prelu, gradients, with_y)]

    return {
        "forward": lambda: compiled[0](x, alpha).block_until_ready(),
        "backward": lambda: jax.block_until_ready(compiled[1](x, alpha, dy)),
        "both": lambda: jax.block_until_ready(compiled[2](x, alpha, dy)),
    }


def onnxruntime_node(case):
    """A model of one PRelu node, with its output bound; it has no gradient."""
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    kind = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}.get(case.name)
    if kind is None:
        raise NotImplementedError("no bfloat16 arrays in ONNX Runtime's Python")
    values = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, shape in (
            ("x", case.x.shape),
            ("slope", case.broadcast.shape),
            ("y", case.x.shape),
        )
    ]
    graph = helper.make_graph(
        [helper.make_node("PRelu", ["x", "slope"], ["y"])], "prelu", values[:2], values[2:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    y = np.zeros_like(case.x)
    binding = session.io_binding()
    for name, array in (("x", case.x), ("slope", case.broadcast)):
        binding.bind_cpu_input(name, array)
    binding.bind_output("y", "cpu", 0, case.dtype, y.shape, y.ctypes.data)

    def forward():
        session.run_with_iobinding(binding)
        return y

    return {"forward": forward}


# name: (what makes the calls, the module whose version counts, whether outputs are given)
PEERS = {
    "prelu_array": (ours, "prelu_array", True),
    "NumPy": (numpy_where, "numpy", False),
    "NumPy maximum": (numpy_maximum, "numpy", False),
    "numexpr": (numexpr_expression, "numexpr", True),
    "numba": (numba_loops, "numba", True),
    "PyTorch": (torch_eager, "torch", False),
    "oneDNN": (torch_onednn, "torch", False),
    "JAX": (jax_jit, "jax", False),
    "ONNX Runtime": (onnxruntime_node, "onnxruntime", True),
}


# ---- measuring ----


def as_float64(y):
    """Return any peer's y as a NumPy array."""
    import numpy as np

    if hasattr(y, "to_dense") and getattr(y, "is_mkldnn", False):
        y = y.to_dense()
    if type(y).__module__ == "torch":
        y = y.double().numpy()
    return np.asarray(y).astype(np.float64)


def calls_of(case, wanted, silent):
    """Return the calls of each peer that is here and can: {peer: {op: call}}."""
    import numpy as np

    found = {}
    for name in wanted:
        try:
            calls = PEERS[name][0](case)
            y = as_float64(calls["forward"]())
        except Exception as error:
            why = f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:90]}"
            if why not in silent:
                silent.add(why)
                print(f"    without {why}", flush=True)
            continue
        exact = np.where(case.x > 0, case.x, case.broadcast * case.x).astype(np.float64)
        assert np.allclose(y.reshape(exact.shape), exact, rtol=2**-7), f"{name} computes otherwise"
        if "both" not in calls and "backward" in calls:
            calls["both"] = one_after_the_other(calls["forward"], calls["backward"])
        found[name] = calls
    return found


def one_after_the_other(first, second):
    """Return a call of both."""

    def both():
        first()
        second()

    return both


def repeated(call, times):
    """Return a call that is long enough for the clock."""

    def several():
        for _ in range(times):
            call()

    return several


def measure(case, op, calls, seconds):
    """Return {peer: median seconds}, a copy's among them, in about so many seconds in all."""
    import numpy as np

    from prelu_array._self_check import medians

    words = case.x.view(f"u{case.dtype.itemsize}")
    spare = np.zeros_like(words)
    chosen = {"copy": lambda: np.copyto(spare, words)}
    chosen |= {name: own[op] for name, own in calls.items() if op in own}
    once = medians(3, *chosen.values())
    times = [max(1, int(5e-5 / t)) for t in once]
    turn = sum(t * n for t, n in zip(once, times, strict=True))
    repeats = min(101, max(5, int(seconds / turn)))
    again = medians(
        repeats, *(repeated(c, n) for c, n in zip(chosen.values(), times, strict=True))
    )
    return {name: t / n for name, t, n in zip(chosen, again, times, strict=True)}


def run(options, here):
    """Measure what the file does not have yet; return whether all is there."""
    started, silent, done = time.perf_counter(), set(), set()
    if options.json and options.json.exists():
        rows = map(json.loads, options.json.read_text().splitlines())
        done = {(r["cpus"], r["dtype"], r["layout"], r["size"], r["op"]) for r in rows}
    for dtype in options.dtypes.split(","):
        for layout in options.layouts.split(","):
            for size in options.sizes.split(","):
                ops = [
                    op
                    for op in options.ops.split(",")
                    if (here["cpus"], dtype, layout, size, op) not in done
                ]
                if not ops:
                    continue
                if options.minutes and time.perf_counter() - started > 60 * options.minutes:
                    return False
                case = Case(dtype, layout, bytes_of(size))
                calls = calls_of(case, options.peers.split(","), silent)
                for op in ops:
                    seconds = measure(case, op, calls, options.seconds)
                    rates = {
                        name: (2 if name == "copy" else STREAMS[op]) * case.bytes / t / 1e9
                        for name, t in seconds.items()
                    }
                    about = {"op": op, "dtype": dtype, "layout": layout, "size": size}
                    text = "  ".join(f"{name} {rate:.2f}" for name, rate in rates.items())
                    print(f"{' '.join(about.values()):32} GB/s  {text}", flush=True)
                    if not options.json:
                        continue
                    rows = (
                        here
                        | about
                        | {
                            "bytes": case.bytes,
                            "peer": name,
                            "version": version_of(name),
                            "out": name == "copy" or PEERS[name][2],
                            "us": t * 1e6,
                            "GB/s": rates[name],
                        }
                        for name, t in seconds.items()
                    )
                    options.json.parent.mkdir(parents=True, exist_ok=True)
                    with options.json.open("a") as file:
                        file.writelines(json.dumps(row) + "\n" for row in rows)
    return True


def version_of(peer):
    """Return the version of a peer, "" for the copy."""
    return sys.modules[PEERS[peer][1]].__version__ if peer in PEERS else ""


def bytes_of(size):
    """Return 4096 for "4K"."""
    return int(size[:-1]) << {"K": 10, "M": 20}[size[-1]]


def caches():
    """Return the bytes of this CPU's data caches: {"L1": ...}."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / n).read_text().strip() for n in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = bytes_of(size)
    return found


# ---- showing ----


def load(path):
    """Return the rows of a file by (cpus, dtype, layout, size, op, peer), the last of each."""
    keys = ("cpus", "dtype", "layout", "size", "op", "peer")
    rows = map(json.loads, path.read_text().splitlines())
    return {tuple(row[key] for key in keys): row for row in rows}


def order(case):
    """Return where the row of a (dtype, layout, size, op) stands in a table."""
    dtype, layout, _, op = case
    return DTYPES.index(dtype), LAYOUTS.index(layout), OPS.index(op)


def places(rows, cpus):
    """Say in how many cases of 1 MiB and more we are first, and who else is."""
    cases = {key[1:5] for key, row in rows.items() if key[0] == cpus and row["bytes"] >= 2**20}
    others = []
    for case in sorted(cases, key=lambda case: (order(case), bytes_of(case[2]))):
        own = rows[(cpus, *case, "prelu_array")]["GB/s"]
        speeds = {peer: rows.get((cpus, *case, peer), {"GB/s": 0})["GB/s"] for peer in PEERS}
        best = max(speeds, key=speeds.get)
        if speeds[best] > own:
            others.append(f"{', '.join(case)}: {best} by {speeds[best] / own - 1:.0%}")
    count = f"{len(cases) - len(others)} of {len(cases)}"
    but = f"; not in {'; '.join(others)}" if others else ""
    return f"prelu_array is first in {count} rows of 1 MiB and more{but}."


def markdown(path, size):
    """Return a table of GB/s for each number of CPUs."""
    rows = load(path)
    peers = [peer for peer in ("copy", *PEERS) if any(key[5] == peer for key in rows)]
    given = {row["peer"] for row in rows.values() if row["out"]}
    lines = []
    for cpus in sorted({key[0] for key in rows}):
        heads = [f"{peer}{'' if peer in given else ' *'}" for peer in peers]
        lines += [f"| {size}iB arrays, {cpus} CPU{'s' * (cpus > 1)} | {' | '.join(heads)} |"]
        lines += ["|---" * (len(peers) + 1) + "|"]
        for key in sorted(
            {key[1:5] for key in rows if (key[0], key[3]) == (cpus, size)}, key=order
        ):
            cells = [rows.get((cpus, *key, peer)) for peer in peers]
            text = [f"{cell['GB/s']:.1f}" if cell else "" for cell in cells]
            lines.append(f"| {key[0]}, {key[1]}, {key[3]} | {' | '.join(text)} |")
        lines.append("")
        lines += [places(rows, cpus), ""]
    some = next(iter(rows.values()))
    versions = {row["peer"]: row["version"] for row in rows.values() if row["version"]}
    commits = " and ".join(dict.fromkeys(row["commit"] for row in rows.values()))
    lines += [
        "GB/s of what must move; more is better. * returns new arrays.",
        f"{some['machine']} ({some['instruction_set']}), Python {some['python']}, "
        + ", ".join(f"{peer} {version}" for peer, version in versions.items())
        + f"; commit {commits}, {some['date']}.",
    ]
    return "\n".join(lines)


def main():
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("ops", OPS),
        ("layouts", LAYOUTS),
        ("dtypes", DTYPES),
        ("peers", PEERS),
    ):
        parser.add_argument(f"--{name}", default=",".join(default))
    parser.add_argument("--sizes", default=SIZES, help="bytes of x")
    parser.add_argument("--cpus", type=int, default=1, help="0: all that the process may use")
    parser.add_argument("--seconds", type=float, default=1, help="for each row, about")
    parser.add_argument("--minutes", type=float, help="stop before the next case after so many")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.markdown:
        print(markdown(options.markdown, options.sizes if "," not in options.sizes else "64M"))
        return 0
    if options.cpus:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cpus])
    os.environ["JAX_PLATFORMS"] = "cpu"
    from cpu import machine

    here = machine() | {"cpus": len(os.sched_getaffinity(0)), "caches": caches()}
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    return int(not run(options, here))


if __name__ == "__main__":
    sys.exit(main())
