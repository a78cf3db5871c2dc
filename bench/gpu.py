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

# name: multiprocessors, GHz, GB/s, lanes that issue, double additions, conversions to double, each
# in a clock and multiprocessor. The first three are of NVIDIA's data sheets of A100 (SXM, 80 GB)
# and H100 (SXM), and of its white paper on Ada; double additions follow from the FP64 peaks there
# (9.7, 33.5 and 1.3 Tflop/s). Conversions are from the table of arithmetic throughput in the CUDA
# C++ programming guide.
DEVICES = {
    "A100 80GB": (108, 1.41, 2039, 128, 32, 16),
    "H100 SXM": (132, 1.98, 3350, 128, 64, 16),
    "RTX 4090": (128, 2.52, 1008, 128, 2, 2),
}
ITEM = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}


def _share(body, vector, streams, item):
    """Return instructions for each element, and the share of a copy's speed that they allow."""
    double = sum(o.startswith(("DADD", "DMUL", "DFMA", "DSETP")) for o in body) / vector
    convert = sum(o.startswith("F2F") and "64" in o for o in body) / vector
    every = len(body) / vector
    shares = []
    for name, (sms, ghz, bandwidth, issue, adds, converts) in DEVICES.items():
        memory = bandwidth / (streams * item)  # elements in a nanosecond
        if adds == converts:  # one pipe does both
            pipes = [every / issue, (double + convert) / adds]
        else:
            pipes = [every / issue, double / adds, convert / converts]
        shares.append(f"{name} {min(1.0, sms * ghz / max(pipes) / memory):.2f}")
    return f"{every:7.1f}{double:8.1f}{convert:9.1f}   {', '.join(shares)}"


def sass() -> None:
    """Print what the innermost loops cost, and what that allows."""
    from gpu_proof import nvrtc, variants

    print("alpha of x's dtype, sm_80: instructions per element in the text of the loop; in the")
    print("double backward of float64 and in partial sums most of that runs seldom")
    print(f"{'':34}{'all':>7}{'double':>8}{'convert':>9}   share of a copy's speed, at most")
    kinds = {  # the definitions that tell a fused backward from the others, streams
        "backward": ({"SECOND": 0, "STATES": 0, "WANT_DX": 1}, 3),
        "double backward": ({"SECOND": 1}, 5),
        "partial, exact": ({"STATES": 1}, 3),
    }
    for kind, (wanted, streams) in kinds.items():
        for x in ITEM:
            for layout in ("nchw", "nhwc"):
                launch = next(
                    one
                    for one in variants.launches(x, x, layout)
                    if one.kernel in ("rows", "cols")
                    and all(variants.defined(one, name) == v for name, v in wanted.items())
                )
                code = variants.Machine(variants.cubin(launch, 80))
                body = code.loop_of("LDG.E", "STG.E")
                share = _share(body, variants.defined(launch, "VECTOR"), streams, ITEM[x])
                print(f"{kind:18}{x:6}{layout:10}{share}")
    print("\nregisters, at most, over all dtypes and vector paths; local memory")
    for architecture in nvrtc.ARCHITECTURES:
        most, local = 0, 0
        seen = set()
        for pair in variants.PAIRS:
            for layout in variants.VECTORS:
                for launch in variants.launches(*pair, layout):
                    if (launch.kernel, launch.head) in seen:
                        continue
                    seen.add((launch.kernel, launch.head))
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


LAYOUTS = {  # of n elements: x's shape, alpha's, axis
    "shared": lambda n: ((n,), (), None),
    "nchw": lambda n: ((n // (64 * 4096), 64, 4096), (64,), 1),
    "nhwc": lambda n: ((n // 256, 256), (256,), -1),
    "per feature": lambda n: ((64, n // 64), (n // 64,), -1),
    "two runs": lambda n: ((64, n // 4096, 64), (64, 1, 64), None),
}


def measure(mebibytes: int = 256) -> None:
    """Print times beside a copy's of as many bytes: 1 is the speed of the memory."""
    import cupy
    import numpy as np

    import prelu_array

    try:
        from ml_dtypes import bfloat16
    except ImportError:
        bfloat16 = None
        print("ml_dtypes is not installed: no bfloat16")
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, CuPy {cupy.__version__}, {date.today()}, {mebibytes} MiB per array")
    print("ms, and in brackets the share of a copy's speed")
    calls = ("forward", "backward", "jvp", "double", "partial")
    print(f"{'dtype':10}{'layout':12}" + "".join(f"{call:>16}" for call in calls))
    for dtype in filter(None, (np.float16, bfloat16, np.float32, np.float64)):
        for layout, form in LAYOUTS.items():
            shape, alpha_shape, axis = form((mebibytes << 20) // np.dtype(dtype).itemsize)
            rng = cupy.random.RandomState(0)
            sets = [
                [rng.standard_normal(shape, np.float32).astype(dtype) for _ in range(3)]
                for _ in range(2)
            ]
            alpha = cupy.asarray(np.full(alpha_shape, 0.25, dtype))
            copy = _milliseconds([partial(cupy.copyto, out, x) for x, _, out in sets])
            times = _times(prelu_array, sets, alpha, axis)
            cells = (
                f"{ms:9.3f} ({streams / 2 * copy / ms:4.2f})"
                for ms, streams in zip(times, (2, 3, 3, 5, 3), strict=True)
            )
            print(f"{np.dtype(dtype).name:10}{layout:12}" + "".join(cells), flush=True)
            if layout == "nchw":
                _others(sets, alpha, dtype, *times[:2])
            del sets
    _host(cupy, prelu_array, np)


def _times(prelu_array, sets, alpha, axis):
    """Milliseconds of each function; outputs are given where a function takes them."""
    options = {"axis": axis}
    every = (
        lambda x, dy, out: prelu_array.prelu(x, alpha, out=out, **options),
        lambda x, dy, out: prelu_array.prelu_backward(dy, x, alpha, out=(out, None), **options),
        lambda x, dy, out: prelu_array.prelu_jvp(x, alpha, dy, alpha, **options),
        lambda x, dy, out: prelu_array.prelu_double_backward(dy, alpha, dy, x, alpha, **options),
        lambda x, dy, out: prelu_array.prelu_backward_partial(dy, x, alpha, **options),
    )
    return [_milliseconds([partial(call, *arrays) for arrays in sets]) for call in every]


def _others(sets, alpha, dtype, forward, backward) -> None:
    """Print how long CuPy's expression and PyTorch take for NCHW."""
    import cupy
    import numpy as np

    if np.dtype(dtype).name != "bfloat16":
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
    # both libraries use the default stream, so the events around the calls time either
    given = [[torch.from_dlpack(v) for v in (x, dy)] for x, dy, _ in sets]
    weight = torch.from_dlpack(alpha)
    f = _milliseconds([lambda x=x: torch.nn.functional.prelu(x, weight) for x, _ in given])
    print(f"    PyTorch: forward {f / forward:.1f} times as long")
    leaf = [(x.detach().requires_grad_(), dy) for x, dy in given]
    slope = weight.detach().requires_grad_()

    def both(x, dy):
        return torch.autograd.grad(torch.nn.functional.prelu(x, slope), (x, slope), dy)

    whole = _milliseconds([lambda x=x, dy=dy: both(x, dy) for x, dy in leaf])
    print(f"    PyTorch: backward {(whole - f) / backward:.1f} times as long")
    del given, leaf
    torch.cuda.empty_cache()


def _host(cupy, prelu_array, np) -> None:
    x, out = cupy.ones(64, np.float32), cupy.empty(64, np.float32)
    dy, alpha = cupy.ones_like(x), cupy.full((), 0.25, np.float32)
    bare = cupy.RawKernel('extern "C" __global__ void bare(float *y) {}', "bare")
    calls = {
        "a bare RawKernel": lambda: bare((1,), (64,), (out,)),
        "prelu(out=)": lambda: prelu_array.prelu(x, alpha, out=out),
        "prelu": lambda: prelu_array.prelu(x, alpha),
        "prelu_backward": lambda: prelu_array.prelu_backward(dy, x, alpha),
        "prelu_jvp": lambda: prelu_array.prelu_jvp(x, alpha, dy, alpha),
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
