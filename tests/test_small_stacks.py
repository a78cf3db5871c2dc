"""Threads with little stack, as some servers and musl give them."""

import os
import subprocess
import sys

import pytest

CODE = """
import sys, threading, numpy as np, ml_dtypes
from prelu_array import *
set_num_threads({threads})
rng = np.random.default_rng(0)

def calls(dtype, alpha_dtype):
    for shape, alpha_shape, axis in (
        ((7, 5), (), None), ((64, 300), (300,), 1), ((3, 5, 40), (5,), 1), ((9, 8000), (8000,), 1),
        ((6, 200), (6, 200), None), ((4, 6, 7), (4, 7), (0, 2)), *{large}
    ):
        x, dy, ddx = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
        dy[..., ::2] = dy[..., :1]
        alpha, dot = (rng.standard_normal(alpha_shape).astype(alpha_dtype) for _ in range(2))
        for view in (lambda a: a, lambda a: np.repeat(a, 2, -1)[..., ::2]):
            x, dy, ddx = view(x), view(dy), view(ddx)
            yield prelu(x, alpha, axis=axis)
            yield from prelu_backward(dy, x, alpha, axis=axis)
            dx, dalpha = prelu_backward(dy, x, alpha, axis=axis, out=(dy.copy(), None))
            yield from (dx, dalpha)
            yield prelu_jvp(x, alpha, dy, dot, axis=axis)
            yield from prelu_double_backward(ddx, dot, dy, x, alpha, axis=axis)
            if x.size < 100_000:
                dx, state = prelu_backward_partial(dy, x, alpha, axis=axis)
                yield from (dx, state, dalpha_from_partial(state, alpha_dtype))

def all_calls():
    global rng
    rng = np.random.default_rng(0)
    for dtype, alpha_dtype in (("float32", "float32"), ("float64", "float64"),
                               ("float16", "float64"), ("bfloat16", "bfloat16")):
        for result in calls(dtype, alpha_dtype):
            got.append(result.tobytes())

got = []
all_calls()
right, got = got, []
threading.stack_size(256 << 10)
worker = threading.Thread(target=all_calls)
worker.start()
worker.join()
print(got == right, len(got) > 0)
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_a_thread_of_256_kib(threads):
    large = [((5, 1 << 19), (5,), 0)] if threads > 1 else []
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(threads=threads, large=large)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", "")
