"""The GPU kernels in figures.

``python bench/gpu.py sass``   instructions per element and the roofs they imply; needs no GPU
``python bench/gpu.py time``   bandwidth beside a copy, CuPy's expression and PyTorch; needs one
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

# name: multiprocessors, GHz, GB/s, instructions a clock and multiprocessor can issue (in lanes),
# double additions, conversions to double; from NVIDIA's data sheets and programming guide
DEVICES = {
    "A100 80GB": (108, 1.41, 2039, 128, 32, 16),
    "H100 SXM": (132, 1.83, 3350, 128, 64, 16),
    "RTX 4090": (128, 2.52, 1008, 128, 2, 2),
}
ITEM = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}


def sass() -> None:
    """Print what the innermost loop of the fused backward costs, and what that allows."""
    from gpu_proof import nvrtc, variants

    print("fused backward, alpha of x's dtype, sm_80: instructions per element in the loop")
    print(f"{'dtype':6}{'layout':8}{'all':>7}{'double':>8}{'convert':>9}   share of the copy roof")
    for x in ITEM:
        for layout in ("nchw", "nhwc"):
            launch = variants.launches(x, x, layout)[2]
            code = variants.Machine(variants.cubin(launch, 80))
            body = code.loop_of("LDG.E.128", "STG.E.128")
            vector = dict(launch.defines)["VECTOR"]
            double = sum(o.startswith(("DADD", "DMUL", "DFMA", "DSETP")) for o in body) / vector
            convert = sum(o.startswith("F2F") and "64" in o for o in body) / vector
            every = len(body) / vector
            shares = []
            for name, (sms, ghz, bandwidth, issue, adds, converts) in DEVICES.items():
                memory = bandwidth / (3 * ITEM[x])  # elements in a nanosecond
                if adds == converts:  # one pipe does both
                    pipes = [every / issue, (double + convert) / adds]
                else:
                    pipes = [every / issue, double / adds, convert / converts]
                shares.append(f"{name} {min(1.0, sms * ghz / max(pipes) / memory):.2f}")
            print(f"{x:6}{layout:8}{every:7.1f}{double:8.1f}{convert:9.1f}   {', '.join(shares)}")
    print("\nregisters, at most, over all dtypes and vector paths; local memory")
    for architecture in nvrtc.ARCHITECTURES:
        most, local = 0, 0
        seen = set()
        for pair in variants.PAIRS:
            for layout in variants.VECTORS:
                for launch in variants.launches(*pair, layout):
                    if (launch.kernel, launch.defines) in seen:
                        continue
                    seen.add((launch.kernel, launch.defines))
                    code = variants.Machine(variants.cubin(launch, architecture))
                    most, local = max(most, code.registers), max(local, code.local)
        print(f"sm_{architecture}: {most} registers, {local} bytes, {len(seen)} kernels")


def _milliseconds(calls, repeat=7):
    """Median time of a call on the device; the calls take different arrays in turn."""
    import cupy

    for call in calls:
        call()
    times = []
    for _ in range(repeat):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        for call in calls:
            call()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end) / len(calls))
    return statistics.median(times)


def _host_microseconds(call, repeat=2000):
    import cupy

    call()
    cupy.cuda.get_current_stream().synchronize()
    start = time.perf_counter()
    for _ in range(repeat):
        call()
    took = time.perf_counter() - start
    cupy.cuda.get_current_stream().synchronize()
    return took / repeat * 1e6


def measure(mebibytes: int = 256) -> None:
    """Print bandwidths of forward and backward beside those of others."""
    import cupy
    import ml_dtypes
    import numpy as np

    import prelu_array

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, CuPy {cupy.__version__}, {date.today()}, {mebibytes} MiB per array")
    print(
        f"{'dtype':10}{'layout':12}{'forward':>9}{'of copy':>9}{'backward':>10}{'of copy':>9}  ms"
    )
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64):
        item = np.dtype(dtype).itemsize
        n = (mebibytes << 20) // item
        for layout, shape, alpha_shape, axis in (
            ("shared", (n,), (), None),
            ("nchw", (n // (64 * 4096), 64, 4096), (64,), 1),
            ("nhwc", (n // 256, 256), (256,), -1),
            ("per element", (64, n // 64), (n // 64,), -1),
        ):
            sets = [
                [cupy.random.standard_normal(shape, np.float32).astype(dtype) for _ in range(3)]
                for _ in range(2)
            ]
            alpha = cupy.full(alpha_shape, 0.25, dtype)
            y = partial(prelu_array.prelu, alpha=alpha, axis=axis)
            gradients = partial(prelu_array.prelu_backward, alpha=alpha, axis=axis)
            forward = _milliseconds([partial(y, x, out=out) for x, _, out in sets])
            backward = _milliseconds(
                [partial(gradients, dy, x, out=(dx, None)) for x, dy, dx in sets]
            )
            copy = _milliseconds([lambda x=x, out=out: cupy.copyto(out, x) for x, _, out in sets])
            print(
                f"{np.dtype(dtype).name:10}{layout:12}{forward:9.3f}{copy / forward:9.2f}"
                f"{backward:10.3f}{1.5 * copy / backward:9.2f}"
            )
            if layout == "nchw":
                _others(sets, alpha, dtype, forward, backward)
    _host(cupy, prelu_array, np)


def _others(sets, alpha, dtype, forward, backward) -> None:
    import cupy

    if cupy.dtype(dtype).name != "bfloat16":
        a = alpha.reshape(-1, 1)
        plain = _milliseconds([lambda x=x: cupy.where(x > 0, x, a * x) for x, _, _ in sets])
        print(
            f"    CuPy's where(x > 0, x, a * x): forward takes {plain / forward:.1f} times as long"
        )
    try:
        import torch
    except ImportError:
        print("    PyTorch: not installed")
        return
    given = [[torch.from_dlpack(v) for v in (x, dy)] for x, dy, _ in sets]
    weight = torch.from_dlpack(alpha)
    stream = torch.cuda.ExternalStream(cupy.cuda.get_current_stream().ptr)
    with torch.cuda.stream(stream):
        f = _milliseconds([lambda x=x: torch.nn.functional.prelu(x, weight) for x, _ in given])
        b = _milliseconds(
            [lambda x=x, dy=dy: torch.ops.aten._prelu_kernel_backward(dy, x, weight.view(1, -1, 1))
             for x, dy in given]
        )  # fmt: skip
    print(f"    PyTorch: forward {f / forward:.1f}, backward without its sum {b / backward:.1f}")
    leaf = [(x.detach().requires_grad_(), dy) for x, dy in given]
    slope = weight.detach().requires_grad_()

    def both(x, dy):
        return torch.autograd.grad(torch.nn.functional.prelu(x, slope), (x, slope), dy)

    with torch.cuda.stream(stream):
        whole = _milliseconds([lambda x=x, dy=dy: both(x, dy) for x, dy in leaf])
    print(f"    PyTorch: its whole backward {(whole - f) / backward:.1f} times as long")


def _host(cupy, prelu_array, np) -> None:
    x, out = cupy.ones(64, np.float32), cupy.empty(64, np.float32)
    dy, alpha = cupy.ones_like(x), cupy.full((), 0.25, np.float32)
    bare = cupy.RawKernel('extern "C" __global__ void bare(float *y) {}', "bare")
    calls = {
        "a bare RawKernel": lambda: bare((1,), (64,), (out,)),
        "prelu(out=)": lambda: prelu_array.prelu(x, alpha, out=out),
        "prelu": lambda: prelu_array.prelu(x, alpha),
        "prelu_backward": lambda: prelu_array.prelu_backward(dy, x, alpha),
        "CuPy's where(x > 0, x, a * x)": lambda: cupy.where(x > 0, x, alpha * x),
    }
    print("host time of a call on 64 elements, microseconds")
    for name, call in calls.items():
        print(f"  {name:32}{_host_microseconds(call):8.1f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["sass"]:
        sass()
    elif sys.argv[1:] == ["time"]:
        measure()
    else:
        sys.exit(__doc__)
