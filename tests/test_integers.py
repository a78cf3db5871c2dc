"""`prelu` of integers, which is all they have: against NumPy's own products, that wrap."""

import numpy as np
import pytest
from arrays import (
    MEMORIES,
    PLACEMENTS,
    assert_same_bits,
    byte_swapped,
    read_only,
    unaligned,
)

from prelu_array import prelu

DTYPES = ("int32", "int64", "uint32", "uint64")
PREPARE = {
    "native": np.copy,
    "swapped": byte_swapped,
    "unaligned": unaligned,
    "constant": read_only,
}


def drawn(rng, placement, dtype):
    """Draw x, alpha and axis; all bit patterns, and small numbers with zeros."""
    shape, alpha_shape, axis = PLACEMENTS[placement]
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    x = np.where(rng.random(shape) < 0.5, x, rng.integers(0, 3, shape)).astype(dtype)
    return x, rng.integers(info.min, info.max, alpha_shape, dtype, endpoint=True), axis


def expected(x, alpha, axis):
    """NumPy's answer, with alpha's axes moved to where they lie along x."""
    if axis is not None and alpha.size > 1:
        axes = [k % x.ndim for k in (axis if isinstance(axis, tuple) else (axis,))]
        shape = [1] * x.ndim
        for k, n in zip(axes, alpha.shape, strict=True):
            shape[k] = n
        alpha = alpha.transpose(np.argsort(axes)).reshape(shape)
    if alpha.size == 1:
        alpha = alpha.reshape(())
    return np.where(x > 0, x, alpha * x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_in_every_instruction_set(instruction_set, placement, dtype):
    x, alpha, axis = drawn(np.random.default_rng(1), placement, dtype)
    right = expected(x, alpha, axis)
    assert_same_bits(prelu(x, alpha, axis=axis), right)
    assert prelu(x, alpha, axis=axis, out=x) is x
    assert_same_bits(x, right)


@pytest.mark.parametrize("prepare", PREPARE)
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_memory(dtype, memory, prepare):
    x, alpha, axis = drawn(np.random.default_rng(2), "axis 1, NCHW", dtype)
    larger, look = MEMORIES[memory]
    x_ = look(np.zeros(larger(x.shape), dtype))
    x_[...] = x
    y = prelu(x_, PREPARE[prepare](alpha), axis=axis)
    assert_same_bits(y, expected(x, alpha, axis))
    assert y.strides == np.empty_like(x_).strides
    assert_same_bits(prelu(PREPARE[prepare](x), alpha, axis=axis), y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0, 1, 3, -2, 2**31 - 1])
def test_a_python_int_takes_the_dtype_of_x(dtype, alpha):
    if alpha < 0 and dtype.startswith("u"):
        pytest.skip("does not fit, see test_errors.py")
    x = drawn(np.random.default_rng(3), "1-d", dtype)[0]
    assert_same_bits(prelu(x, alpha), expected(x, np.array(alpha, dtype), None))
    assert_same_bits(prelu(x[()], np.dtype(dtype).type(alpha)), prelu(x, alpha))


def test_products_wrap():
    x = np.array([-(2**31), -1, 0, 7], np.int32)
    assert prelu(x, -1).tolist() == [-(2**31), 1, 0, 7]
    assert prelu(x, 2**31 - 1).tolist() == [-(2**31), -(2**31) + 1, 0, 7]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha_shape", [(), (3, 1), (1 << 21,), (3, 1 << 21)], ids=str)
def test_large_arrays_in_several_threads(threads, dtype, alpha_shape):
    """Also non-temporal stores."""
    rng = np.random.default_rng(4)
    x = rng.integers(-1000 if dtype.startswith("i") else 0, 1000, (3, 1 << 21)).astype(dtype)
    alpha = rng.integers(0, 1000, alpha_shape).astype(dtype)
    for n in (1, 3):
        threads(n)
        assert_same_bits(prelu(x, alpha), expected(x, alpha, None))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_empty_and_0d(dtype, shape):
    x = np.zeros(shape, dtype)
    assert_same_bits(prelu(x, 3), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("placement", ["0-d", "axis 1, NCHW", "per element", "axes out of order"])
def test_dask(dtype, placement):
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    x, alpha, axis = drawn(np.random.default_rng(5), placement, dtype)
    lazy = da.from_array(x, chunks=2)
    for same in (alpha, da.from_array(alpha, chunks=2 if alpha.ndim else -1)):
        y = prelu(lazy, same, axis=axis)
        assert y.dtype == dtype
        assert_same_bits(y.compute(scheduler="synchronous"), expected(x, alpha, axis))
    y = prelu(lazy, 3).compute(scheduler="synchronous")
    assert_same_bits(y, expected(x, np.array(3, dtype), None))
