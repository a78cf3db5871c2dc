"""The GPU kernels in figures.

``python bench/gpu.py sass``            what the loops cost, and the roofs that implies; no GPU
``python bench/gpu.py WHAT... [FILE]``  on a GPU; JSON lines are added to FILE (.jsonl)

WHAT: table (each function and layout as a share of a copy's speed), sizes (16 KiB to 256 MiB in
CUDA graphs, so without the host), data (that cancels, ties or is integer), host (microseconds of
a call, also without a GPU: on a device of host memory where a launch does nothing, of
`pip install -e ".[test,gpu-proof]"`), peers (CuPy's expressions, PyTorch eager and compiled).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import date
from functools import cache, partial
from importlib import import_module
from math import prod
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

# name: multiprocessors, GHz, GB/s, double additions, conversions to double, each in a clock and
# multiprocessor. The first three are of NVIDIA's data sheets of A100 (SXM, 80 GB), H100 (SXM) and
# of its white paper on Ada; double additions follow from the FP64 peaks there (9.7, 33.5 and 1.3
# Tflop/s). Conversions are from the CUDA C++ programming guide's table.
DEVICES = {
    "A100 80GB": (108, 1.41, 2039, 32, 16),
    "H100 SXM": (132, 1.98, 3350, 64, 16),
    "RTX 4090": (128, 2.52, 1008, 2, 2),
}
ITEM = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}
STREAMS = {"forward": 2, "backward": 3, "dalpha": 2, "jvp": 3, "double": 5, "partial": 3}


# ---- without a GPU ----


def _share(body, vector, streams, item):
    """Return instructions for each element, and the share of a copy's speed that they allow."""
    double = sum(o.startswith(("DADD", "DMUL", "DFMA", "DSETP")) for o in body) / vector
    convert = sum(o.startswith("F2F") and "64" in o for o in body) / vector
    every = len(body) / vector
    shares = []
    for name, (sms, ghz, bandwidth, adds, converts) in DEVICES.items():
        memory = bandwidth / (streams * item)  # elements in a nanosecond
        pipes = [every / 128, double / adds, convert / converts]
        if adds == converts:  # one pipe does both
            pipes[1] += pipes.pop()
        shares.append(f"{name} {min(1.0, sms * ghz / max(pipes) / memory):.2f}")
    return f"{every:7.1f}{double:8.1f}{convert:9.1f}   {', '.join(shares)}"


def sass() -> None:
    """Print what the innermost loops cost, and what that allows."""
    from gpu_proof import variants

    print("alpha of x's dtype, sm_80: instructions per element in the text of the loop; in the")
    print("double backward of float64 most of that runs seldom. Scarce: where a device has few")
    print("units for double (RTX 4090), sizes are summed in the place of roundings")
    print(f"{'':38}{'all':>7}{'double':>8}{'convert':>9}   share of a copy's speed, at most")
    for kind, streams in (("sums", 3), ("second", 5), ("states", 3)):
        for x in ITEM:
            for layout in ("nchw", "nhwc"):
                for scarce in (False, True) if kind == "sums" and x == "f32" else (False,):
                    launch = variants.walk(x, x, layout, kind, scarce)[0]
                    code = variants.Machine(variants.cubin(launch, 80))
                    vector = variants.defined(launch, "VECTOR")
                    width = {16: ".128", 8: ".64"}[vector * ITEM[x]]
                    body = code.loop_of(f"LDG.E{width}", f"STG.E{width}")
                    share = _share(body, vector, streams, ITEM[x])
                    print(f"{kind:10}{x:6}{layout:8}{'scarce' * scarce:14}{share}")


# ---- on a GPU ----


@cache
def _dtypes():
    import ml_dtypes

    every = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
    return dict(zip(ITEM, map(np.dtype, every), strict=True))


LAYOUTS = {  # of n elements: x's shape, alpha's, axis
    "one alpha": lambda n: ((n,), (), None),
    "NCHW 64x64": lambda n: ((n // (64 * 4096), 64, 4096), (64,), 1),
    "NCHW 56x56": lambda n: ((n // (64 * 3136), 64, 3136), (64,), 1),
    "NCHW 28x28": lambda n: ((n // (128 * 784), 128, 784), (128,), 1),
    "NCHW 14x14": lambda n: ((n // (256 * 196), 256, 196), (256,), 1),
    "NCHW 7x7": lambda n: ((n // (512 * 49), 512, 49), (512,), 1),
    "NHWC 64": lambda n: ((n // 64, 64), (64,), -1),
    "NHWC 256": lambda n: ((n // 256, 256), (256,), -1),
    "NHWC 2048": lambda n: ((n // 2048, 2048), (2048,), -1),
    "NHWC 3": lambda n: ((n // 3, 3), (3,), -1),
    "per feature": lambda n: ((64, n // 64), (n // 64,), -1),
    "64 terms": lambda n: ((n // 64, 64), (n // 64,), 0),
    "200 terms": lambda n: ((n // 200, 200), (n // 200,), 0),
    "10 terms": lambda n: ((n // 10, 10), (n // 10,), 0),
    "two runs": lambda n: ((64, n // 4096, 64), (64, 1, 64), None),
    "two runs, batch": lambda n: ((32, 56, n // (32 * 56 * 64), 64), (56, 1, 64), None),
    "per element": lambda n: ((n,), (n,), None),
    "odd runs": lambda n: ((n // (64 * 1001), 64, 1001), (64,), 1),
}


def _drawn(number, seed=0):
    """Yield layouts of any axes and lengths, alpha along any one or two runs of them."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        axes = int(rng.integers(2, 5))
        short = [int(2 ** rng.uniform(1, 9)) for _ in range(axes - 1)]
        kept = rng.random(axes) < 0.4
        long = int(rng.integers(axes))

        def form(n, short=short, kept=kept, long=long):
            shape = [*short[:long], max(1, n // prod(short)), *short[long:]]
            return (
                tuple(shape),
                tuple(s if k else 1 for s, k in zip(shape, kept, strict=True)),
                None,
            )

        yield f"drawn {short} {long} {[int(k) for k in kept]}", form


def milliseconds(calls, number=20, repeat=5):
    """Median time of a call on the device; the stream is busy before the first event."""
    import cupy

    a, b = (cupy.empty(1 << 28, np.uint8) for _ in range(2))
    for call in calls:
        call()
    times = []
    for _ in range(repeat):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        for _ in range(12):
            cupy.copyto(a, b)
        start.record()
        for k in range(number):
            calls[k % len(calls)]()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end) / number)
    return statistics.median(times)


def arrays(dtype, form, mebibytes, sets=2):
    """Draw sets of x, dy and an output, and alpha."""
    import cupy

    shape, alpha_shape, axis = form((mebibytes << 20) // dtype.itemsize)
    rng = cupy.random.RandomState(0)
    drawn = [
        [rng.standard_normal(shape, np.float32).astype(dtype) for _ in range(2)]
        + [cupy.empty(shape, dtype)]
        for _ in range(sets)
    ]
    return drawn, cupy.full(alpha_shape, 0.25, np.float32).astype(dtype), axis


def functions(sets, alpha, axis):
    """Return the calls of each function, one for each set."""
    import cupy

    import prelu_array as p

    dalpha = cupy.empty(alpha.shape, alpha.dtype)
    return {
        "forward": [partial(p.prelu, x, alpha, axis=axis, out=o) for x, _, o in sets],
        "backward": [
            partial(p.prelu_backward, dy, x, alpha, axis=axis, out=(o, dalpha))
            for x, dy, o in sets
        ],
        "dalpha": [
            partial(p.prelu_backward, dy, x, alpha, axis=axis, need_dx=False) for x, dy, _ in sets
        ],
        "jvp": [partial(p.prelu_jvp, x, alpha, dy, alpha, axis=axis) for x, dy, _ in sets],
        "double": [
            partial(p.prelu_double_backward, dy, alpha, dy, x, alpha, axis=axis)
            for x, dy, _ in sets
        ],
        "partial": [
            partial(p.prelu_backward_partial, dy, x, alpha, axis=axis) for x, dy, _ in sets
        ],
    }


def table(emit, mebibytes=256, number=12):
    """Measure each function and layout as a share of a copy's speed."""
    import cupy

    for name, dtype in _dtypes().items():
        whole = [cupy.empty(mebibytes << 20, np.uint8) for _ in range(4)]
        copy = milliseconds([partial(cupy.copyto, whole[k], whole[k + 2]) for k in (0, 1)])
        emit(what="copy", dtype=name, ms=copy, tb_per_s=2 * (mebibytes << 20) / copy / 1e9)
        layouts = list(LAYOUTS.items()) + (list(_drawn(8)) if name in ("f16", "f32") else [])
        for layout, form in layouts:
            sets, alpha, axis = arrays(dtype, form, mebibytes)
            part = sets[0][0].nbytes / (mebibytes << 20)
            shares = {}
            for function, calls in functions(sets, alpha, axis).items():
                if name == "bf16" and function not in ("forward", "backward"):
                    continue
                ms = milliseconds(calls, number, 3)
                shares[function] = round(STREAMS[function] / 2 * copy * part / ms, 3)
            emit(what="table", dtype=name, layout=layout, mib=mebibytes, **shares)
            del sets, alpha, calls


def _same(form, _):
    return form


def sizes(emit):
    """Measure small arrays inside CUDA graphs."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    for name in ("f32", "f16", "f64"):
        for kib in (16, 64, 256, 1024, 4096, 16384, 65536):
            dtype, each = _dtypes()[name], 20
            row = {}
            for layout in ("NCHW 14x14", "one alpha", "NHWC 64"):
                n = (kib << 10) // dtype.itemsize
                shape, alpha_shape, axis = LAYOUTS[layout](n)
                if layout == "NCHW 14x14":
                    shape, alpha_shape = (max(1, n // (16 * 196)), 16, 196), (16,)
                with stream:
                    given = shape, alpha_shape, axis
                    sets, alpha, axis = arrays(dtype, partial(_same, given), 1, 1)
                    calls = functions(sets, alpha, axis)
                    x, _, out = sets[0]
                    calls["copy"] = [partial(cupy.copyto, out, x)]
                    for function in ("copy", "forward", "backward"):
                        call = calls[function][0]
                        call()
                        stream.begin_capture()
                        for _ in range(each):
                            call()
                        graph = stream.end_capture()
                        us = _graph_microseconds(graph, stream) / each
                        row[f"{layout} {function}"] = round(us, 2)
            emit(what="sizes", dtype=name, kib=kib, **row)


def _graph_microseconds(graph, stream, repeat=9):
    import cupy

    times = []
    for _ in range(repeat):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        graph.launch()
        start.record()
        graph.launch()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end) * 1e3)
    return statistics.median(times)


def data(emit, mebibytes=256):
    """Measure the backward on data that may leave a rounding in doubt, over random numbers."""
    import cupy

    for name, dtype in _dtypes().items():
        for layout in ("one alpha", "NCHW 14x14", "NHWC 256", "per feature", "64 terms"):
            sets, alpha, axis = arrays(dtype, LAYOUTS[layout], mebibytes, 1)
            x, dy, out = sets[0]
            time_of = partial(_backward_of, out, alpha, axis)
            random = time_of(dy, x)
            wide = cupy.random.RandomState(1).standard_normal(x.shape, np.float64).astype(dtype)
            row = {"random_ms": random}
            if name == "f64":
                row["wide numbers"] = time_of(wide, wide) / random
            # x stays the same, dy's sign alternates along the terms of each alpha
            terms = x.shape[0] if axis == -1 else x.shape[-1]
            sign = cupy.where(cupy.arange(terms) % 2, np.float32(-0.7), np.float32(0.7))
            sign = sign.reshape(-1, 1) if axis == -1 else sign
            zero = cupy.ascontiguousarray(cupy.broadcast_to(sign, x.shape)).astype(dtype)
            same = cupy.full(x.shape, -1.5, np.float32).astype(dtype)
            row["zero sums"] = time_of(zero, same) / random
            draw = cupy.random.RandomState(2)
            whole = [draw.randint(-4, 5, x.shape).astype(dtype) for _ in range(2)]
            row["integers"] = time_of(*whole) / random
            large = dtype.type(2.0 ** (14 if name == "f16" else 60))
            some = cupy.where(cupy.arange(terms) % 16, dtype.type(1), large)
            some = some.reshape(-1, 1) if axis == -1 else some
            row["cancelling"] = time_of((zero * some).astype(dtype), same) / random
            emit(
                what="data", dtype=name, layout=layout, **{k: round(v, 3) for k, v in row.items()}
            )


def _backward_of(out, alpha, axis, dy, x):
    import cupy

    import prelu_array

    dalpha = cupy.empty(alpha.shape, alpha.dtype)
    call = partial(prelu_array.prelu_backward, dy, x, alpha, axis=axis, out=(out, dalpha))
    return milliseconds([call], 8, 3)


def host(emit, number=400, repeat=50):
    """Measure the host's time of calls on 64 elements, and what it is over a bare launch."""
    import cupy

    import prelu_array as p

    x, out, dy = (cupy.full(64, v, np.float32) for v in (1, 0, 1))
    alpha, dalpha = cupy.full((), 0.25, np.float32), cupy.empty((), np.float32)
    features = cupy.full((64,), 0.25, np.float32)
    bare = cupy.RawKernel('extern "C" __global__ void bare(float *y) {}', "bare")
    calls = {
        "a bare RawKernel": lambda: bare((1,), (64,), (out,)),
        "cupy.add(out=)": lambda: cupy.add(x, dy, out=out),
        "prelu(out=)": lambda: p.prelu(x, alpha, out=out),
        "prelu(out=), per channel": lambda: p.prelu(x, features, axis=0, out=out),
        "prelu(out=), a number": lambda: p.prelu(x, 0.25, out=out),
        "prelu": lambda: p.prelu(x, alpha),
        "prelu_backward(out=)": lambda: p.prelu_backward(dy, x, alpha, out=(out, dalpha)),
        "prelu_backward": lambda: p.prelu_backward(dy, x, alpha),
        "prelu_jvp": lambda: p.prelu_jvp(x, alpha, dy, alpha),
        "prelu_double_backward": lambda: p.prelu_double_backward(dy, alpha, dy, x, alpha),
        "prelu_backward_partial": lambda: p.prelu_backward_partial(dy, x, alpha),
    }
    launch = None
    for name, call in calls.items():
        for _ in range(20):
            call()
        best = float("inf")
        for _ in range(repeat):
            cupy.cuda.Device().synchronize()
            start = time.perf_counter()
            for _ in range(number):
                call()
            best = min(best, (time.perf_counter() - start) / number * 1e6)
        launch = best if launch is None else launch
        emit(what="host", call=name, us=round(best, 2), over_bare_us=round(best - launch, 2))


def peers(emit, mebibytes=256):
    """Measure what else does it: how many times as long the others take."""
    import cupy

    try:
        import torch
    except ImportError:
        torch = None
    for name, dtype in _dtypes().items():
        for layout in ("NCHW 64x64", "NCHW 14x14", "NCHW 7x7"):
            sets, alpha, axis = arrays(dtype, LAYOUTS[layout], mebibytes)
            own = functions(sets, alpha, axis)
            forward, backward = (milliseconds(own[f], 10, 3) for f in ("forward", "backward"))
            row = {"forward_ms": round(forward, 4), "backward_ms": round(backward, 4)}
            a = alpha.reshape(-1, 1)
            if name != "bf16":
                calls = [lambda x=x, a=a: cupy.where(x > 0, x, a * x) for x, _, _ in sets]
                row["cupy.where"] = round(milliseconds(calls, 4, 3) / forward, 2)
            if torch is not None:
                row |= _of_torch(torch, sets, alpha, forward, backward, layout == "NCHW 64x64")
            emit(what="peers", dtype=name, layout=layout, **row)
            del sets, own


def _of_torch(torch, sets, alpha, forward, backward, compiled):
    given = [[torch.from_dlpack(v) for v in (x, dy)] for x, dy, _ in sets]
    slope = torch.from_dlpack(alpha).clone().requires_grad_()
    row = {}
    ways = {"torch": torch.nn.functional.prelu}
    if compiled:
        ways["compiled"] = torch.compile(torch.nn.functional.prelu)
    for name, prelu in ways.items():
        try:
            with torch.no_grad():
                calls = [lambda x=x, f=prelu: f(x, slope) for x, _ in given]
                row[f"{name} forward"] = round(milliseconds(calls, 10, 3) / forward, 2)
            leaf = [(x.detach().requires_grad_(), dy) for x, dy in given]
            ys = [(prelu(x, slope), x, dy) for x, dy in leaf]
            calls = [
                partial(torch.autograd.grad, y, (x, slope), dy, retain_graph=True)
                for y, x, dy in ys
            ]
            row[f"{name} backward"] = round(milliseconds(calls, 10, 3) / backward, 2)
        except Exception as error:  # a compiler that is not there
            row[f"{name} error"] = repr(error)[:80]
    return row


def main(what, path):
    """Run measurements, and print and keep their rows."""
    device = import_module("gpu_proof.device")  # before CuPy
    import cupy

    if device.installed:
        if what != ["host"]:
            sys.exit("there is no GPU: only sass and host run")
        device.stand_in.set_idle(True)
        cupy.cuda.set_allocator(cupy.get_default_memory_pool().malloc)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    machine = {
        "machine": name, "cupy": cupy.__version__, "date": str(date.today()),
        "driver": cupy.cuda.runtime.driverGetVersion(), "numpy": np.__version__,
    }  # fmt: skip

    def emit(**row):
        print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    emit(**machine)
    for each in what:
        {"table": table, "sizes": sizes, "data": data, "host": host, "peers": peers}[each](emit)


if __name__ == "__main__":
    given = [a for a in sys.argv[1:] if not a.endswith(".jsonl")]
    files = [a for a in sys.argv[1:] if a.endswith(".jsonl")]
    if given == ["sass"]:
        sass()
    elif given and set(given) <= {"table", "sizes", "data", "host", "peers"}:
        main(given, files[0] if files else None)
    else:
        sys.exit(__doc__)
