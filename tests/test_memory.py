"""Memory that runs out: a call raises MemoryError and `out` is as it was, or it does the work."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

CALLS = """
import ctypes, numpy as np, ml_dtypes
from prelu_array import *

rng = np.random.default_rng(0)
swapped = lambda a: a.astype(a.dtype.newbyteorder())
unaligned = lambda a: np.ndarray(a.shape, a.dtype, np.zeros(a.nbytes + 1, "u1").data, 1)

def calls(function, dtype, alpha_dtype, shape):
    # of an input and an output each, in every form that takes memory
    x, dy, other = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    if shape[0] == 3:  # sums that cancel, and are taken again
        x[1], dy[1], dy[2] = x[0], -dy[0], 0
    alpha, dot = (rng.standard_normal(shape[1]).astype(alpha_dtype) for _ in range(2))
    limbs = prelu_backward_partial(dy, x, alpha, axis=1)[1]
    inputs = {{
        "prelu": (x, alpha),
        "prelu_backward": (dy, x, alpha),
        "prelu_backward_partial": (dy, x, alpha),
        "prelu_jvp": (x, alpha, other, dot),
        "prelu_double_backward": (other, dot, dy, x, alpha),
    }}[function]
    outs = {{
        "prelu": (x,), "prelu_backward": (x, alpha), "prelu_backward_partial": (x, limbs),
        "prelu_jvp": (x,), "prelu_double_backward": (x, x, alpha),
    }}[function]
    yield inputs, [np.empty_like(a) for a in outs]
    if x.size < 1000:
        yield inputs, [swapped(np.empty_like(a)) for a in outs]
        yield inputs, [unaligned(a) for a in outs]
        if dtype.kind != "f":  # NumPy's own copies of bfloat16 crash without memory
            return
        yield [swapped(a) for a in inputs], [np.empty_like(a) for a in outs]
        same = [a.copy() for a in inputs]
        place = next(a for a in same if a.shape == x.shape)
        yield same, [place, *[np.empty_like(a) for a in outs[1:]]]  # overlaps what is read
        last = next(a for a in same[::-1] if a.shape == x.shape)
        yield same, [last[:, ::-1], *[np.empty_like(a) for a in outs[1:]]]
"""

FAILING = (
    CALLS
    + """
library = ctypes.CDLL({library!r})
set_num_threads({threads})
function = globals()[{function!r}]
failures = 0
for dtype, alpha_dtype in {dtypes!r}:
    for inputs, outs in calls({function!r}, np.dtype(dtype), np.dtype(alpha_dtype), {shape!r}):
        kept_inputs = [a.copy() for a in inputs]
        right = function(*kept_inputs, axis=1)
        right = right if isinstance(right, tuple) else (right,)
        right = [np.asarray(a).tobytes() for a in right]
        kept = [a.copy() for a in (*inputs, *outs)]
        before = [a.tobytes() for a in kept]
        out = tuple(outs) if len(outs) > 1 else outs[0]
        for every in (0, 1) if inputs[0].size < 1000 else (0,):
            for after in range(10_000):
                raised = False
                library.arm(after, every)
                try:
                    function(*inputs, axis=1, out=out)
                except MemoryError:
                    raised = True
                failed = library.disarm()
                if raised:
                    assert [a.tobytes() for a in (*inputs, *outs)] == before, (dtype, after)
                    failures += 1
                else:
                    got = [a.astype(a.dtype.newbyteorder("=")).tobytes() for a in outs]
                    assert got == right, (dtype, alpha_dtype, after, failed)
                    for a, b in zip((*inputs, *outs), kept):
                        a[...] = b
                if not failed:
                    break
print(failures > 0)
"""
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if platform.libc_ver()[0] != "glibc" or compiler is None:
        pytest.skip("takes a compiler and glibc")
    path = tmp_path_factory.mktemp("library") / "failing_malloc.so"
    command = [compiler, "-shared", "-fPIC", "-O1", HERE / "failing_malloc.c", "-o", path]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(done.stderr)
    return str(path)


@pytest.mark.parametrize(
    ("threads", "shape", "dtypes"),
    [
        (1, (3, 5), [(d, "float32") for d in ("float16", "bfloat16", "float32", "float64")]),
        (1, (3, 5), [("float32", "float64")]),
        (1, (3, 5000), [("bfloat16", "bfloat16"), ("float64", "float64")]),
        (3, (2049, 1024), [("float32", "float32")]),
    ],
    ids=["small", "float64 alpha", "many alphas", "threads"],
)
@pytest.mark.parametrize(
    "function",
    [
        "prelu",
        "prelu_backward",
        "prelu_backward_partial",
        "prelu_jvp",
        "prelu_double_backward",
    ],
)
def test_allocations_that_fail(library, function, threads, shape, dtypes):
    code = FAILING.format(
        library=library, function=function, threads=threads, shape=shape, dtypes=dtypes
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "LD_PRELOAD": library,
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
