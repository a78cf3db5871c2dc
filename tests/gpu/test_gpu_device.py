"""The GPU backend on a real device. Skips with the reason where there is none."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

import prelu_array
from prelu_array.testing import (
    CASE_KINDS,
    cases,
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
)

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")


def devices():
    stand_in = sys.modules.get("gpu_proof.device")
    if stand_in is not None and stand_in.installed:
        return 0
    try:
        return cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


pytestmark = pytest.mark.skipif(devices() == 0, reason="needs a GPU")

DTYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)


def assert_same_bits(got, expected, what):
    got = got.get()
    assert got.shape == expected.shape, what
    assert got.dtype == expected.dtype, what
    integer = f"u{got.dtype.itemsize}"
    wrong = got.view(integer) != expected.view(integer)
    assert not (wrong & ~(np.isnan(got) & np.isnan(expected))).any(), what


def check(x, alpha, dy, axis, what):
    axis = None if alpha.size == 1 else axis
    x_, alpha_, dy_ = cupy.asarray(x), cupy.asarray(alpha), cupy.asarray(dy)
    y = prelu_array.prelu(x_, alpha_, axis=axis)
    assert_same_bits(y, reference_prelu(x, alpha, axis=axis), f"y {what}")
    dx, dalpha = prelu_array.prelu_backward(dy_, x_, alpha_, axis=axis)
    expected = reference_prelu_backward(dy, x, alpha, axis=axis)
    assert_same_bits(dx, expected[0], f"dx {what}")
    assert_same_bits(dalpha, expected[1], f"dalpha {what}")


@pytest.mark.parametrize(
    ("dtype", "alpha_dtype"),
    list(itertools.product(DTYPES, DTYPES)),
    ids=lambda d: np.dtype(d).name,
)
def test_every_case(dtype, alpha_dtype):
    kinds = [kind for kind in CASE_KINDS if kind != "size"]  # many elements, added on the host
    for case in cases(dtype=dtype, alpha_dtype=alpha_dtype, kind=kinds):
        check(case.x, case.alpha, case.dy, case.axis, case.name)


LAYOUTS = {
    "shared": ((1000003,), (), None),
    "nchw": ((32, 64, 56, 56), (64,), 1),
    "nchw-odd": ((32, 64, 7, 7), (64,), 1),
    "nhwc": ((50176, 64), (64,), -1),
    "per-element": ((64, 1000), (64, 1000), None),
    "two-runs": ((64, 9, 50), (64, 1, 50), None),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sanitizer_and_cpu(dtype, layout):
    """The same bits as the CPU's loops; small enough for compute-sanitizer."""
    shape, alpha_shape, axis = LAYOUTS[layout]
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    alpha = rng.standard_normal(alpha_shape).astype(dtype)
    x_, dy_, alpha_ = cupy.asarray(x), cupy.asarray(dy), cupy.asarray(alpha)
    assert_same_bits(
        prelu_array.prelu(x_, alpha_, axis=axis), prelu_array.prelu(x, alpha, axis=axis), "y"
    )
    got = prelu_array.prelu_backward(dy_, x_, alpha_, axis=axis)
    expected = prelu_array.prelu_backward(dy, x, alpha, axis=axis)
    assert_same_bits(got[0], expected[0], "dx")
    assert_same_bits(got[1], expected[1], "dalpha")


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sanitizer_and_cpu_of_other_derivatives(dtype, layout):
    shape, alpha_shape, axis = LAYOUTS[layout]
    rng = np.random.default_rng(2)
    x, dy, ddx = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    alpha, ddalpha = (rng.standard_normal(alpha_shape).astype(dtype) for _ in range(2))
    results = []
    for asarray in (cupy.asarray, np.asarray):
        u, v, w, a, d = map(asarray, (ddx, dy, x, alpha, ddalpha))
        dx, state = prelu_array.prelu_backward_partial(v, w, a, axis=axis)
        results.append(
            (
                prelu_array.prelu_jvp(w, a, u, d, axis=axis),
                *prelu_array.prelu_double_backward(u, d, v, w, a, axis=axis),
                dx,
                state,
                prelu_array.dalpha_from_partial(state, np.float64),
            )
        )
    names = ("y_dot", "of_dy", "of_x", "of_alpha", "dx", "state", "dalpha")
    for got, expected, what in zip(*results, names, strict=True):
        assert_same_bits(got, expected, what)


def test_a_graph_gives_the_same_bits_again():
    rng = np.random.default_rng(1)
    x, dy = (cupy.asarray(rng.standard_normal((64, 32), np.float32)) for _ in range(2))
    alpha = cupy.full(32, 0.25, np.float32)
    expected = [a.get() for a in prelu_array.prelu_backward(dy, x, alpha)]  # compiled
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        prelu_array.prelu_backward(dy, x, alpha)  # this stream's memory pool has blocks now
        stream.begin_capture()
        dx, dalpha = prelu_array.prelu_backward(dy, x, alpha)
        graph = stream.end_capture()
        for _ in range(3):
            cupy.full(1 << 16, 7, np.uint64)  # whoever takes freed memory
            graph.launch()
        stream.synchronize()
    assert_same_bits(dx, expected[0], "dx")
    assert_same_bits(dalpha, expected[1], "dalpha")


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_dask_blocks_that_share_an_alpha_keep_subnormals(dtype):
    """CuPy's own float operations would flush them."""
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    tiny = ml_dtypes.finfo(dtype).smallest_subnormal
    x, dy = np.array([-1, -2, 3, -1, 0, -3], dtype), np.array([1, -2, 1, -1, 4, 2], dtype)
    ddx = np.array([3, -5, 7, 1, -2, 0], dtype) * tiny
    alpha = np.array(0.5, dtype)
    expected = reference_prelu_double_backward(ddx, alpha, dy, x, alpha)
    u, v, w = (da.from_array(cupy.asarray(a), chunks=2, asarray=False) for a in (ddx, dy, x))
    got = prelu_array.prelu_double_backward(u, dtype(0.5), v, w, dtype(0.5))
    for one, right, what in zip(got, expected, ("of_dy", "of_x", "of_alpha"), strict=True):
        assert_same_bits(one.compute(scheduler="sync"), right, what)


def test_two_devices_are_named():
    if devices() < 2:
        pytest.skip("needs two GPUs")
    x = cupy.ones(4, np.float32)
    with cupy.cuda.Device(1):
        alpha = cupy.ones(4, np.float32)
    with pytest.raises(ValueError, match="alpha must be on x's device 0, got device 1"):
        prelu_array.prelu(x, alpha)
