"""Any memory: strides, orders, alignment, byte order, and things that only become arrays."""

import array

import numpy as np
import pytest
from arrays import (
    AT_ZERO,
    DTYPES,
    MEMORIES,
    PAIRS,
    alphas,
    assert_same_bits,
    byte_swapped,
    check_backward,
    check_forward,
    drawn,
    in_memory,
    name,
    numbers,
    read_only,
    unaligned,
)

from prelu_array import prelu, prelu_backward
from prelu_array.testing import cases, reference_prelu, reference_prelu_backward

PLACES = ("0-d", "axis 1, NCHW", "axis 1, long segments", "axis -1, NHWC", "shared in the middle")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("placement", [*PLACES, "axes out of order", "per element"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_every_memory_of_x_dy_and_out(backend, memory, placement, dtype):
    """x in one memory, dy and the outputs in every other."""
    *arrays, axis = drawn(placement, dtype, np.float32)
    x, alpha, dy = (in_memory(memory, a, backend.module) for a in arrays)
    y = reference_prelu(arrays[0], arrays[1], axis=axis)
    dx, dalpha = reference_prelu_backward(arrays[2], arrays[0], arrays[1], axis=axis)
    assert_same_bits(prelu(x, alpha, axis=axis), y)
    for other in MEMORIES:
        out = in_memory(other, np.full_like(y, np.nan), backend.module)
        assert prelu(x, alpha, axis=axis, out=out) is out
        assert_same_bits(out, y, f"y into {other}")
        out_dalpha = in_memory(other, np.full_like(dalpha, np.nan), backend.module)
        dy = in_memory(other, arrays[2], backend.module)
        prelu_backward(dy, x, alpha, axis=axis, out=(out, out_dalpha))
        assert_same_bits(out, dx, f"dx into {other}")
        assert_same_bits(out_dalpha, dalpha, f"dalpha into {other}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_memory_between_the_elements_of_out_stays(backend, dtype):
    x = numbers(np.random.default_rng(1), (6, 9), dtype)
    for memory in ("every second", "every third backwards", "padded rows", "after the first"):
        out = in_memory(memory, x, backend.module)  # NaN in between
        prelu(backend.asarray(x), 0.5, out=out)
        prelu_backward(*[backend.asarray(x)] * 2, 0.5, out=(out, None))
        assert np.isnan(backend.asnumpy(out.base)).sum() == out.base.size - out.size


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("memory", MEMORIES)
def test_outputs_keep_the_memory_order_of_x(backend, memory, dtype):
    x = in_memory(memory, numbers(np.random.default_rng(2), (3, 4, 5), dtype), backend.module)
    dy = backend.asarray(numbers(np.random.default_rng(3), (3, 4, 5), dtype))
    for alpha in (backend.asarray(np.array(0.5, dtype)), backend.asarray(alphas((5,), dtype))):
        expected = backend.module.empty_like(x).strides
        assert prelu(x, alpha).strides == expected
        assert prelu_backward(dy, x, alpha)[0].strides == expected


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_dalpha_keeps_the_memory_order_of_alpha(backend, dtype):
    """A backend may choose; the CPU does as for y."""
    x = backend.asarray(numbers(np.random.default_rng(2), (3, 4, 5), dtype))
    alpha = in_memory("Fortran", alphas((4, 5), dtype), backend.module)
    dalpha = prelu_backward(x, x, alpha)[1]
    assert_same_bits(
        dalpha, reference_prelu_backward(*[backend.asnumpy(x)] * 2, alphas((4, 5), dtype))[1]
    )
    if backend.name == "numpy":
        assert dalpha.strides == alpha.strides


@pytest.mark.parametrize("at_zero", AT_ZERO)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_dy_that_is_expanded(backend, dtype, at_zero):
    """The gradient of a sum or a mean is one number with stride 0."""
    rng = np.random.default_rng(4)
    for shape, alpha_shape, axis in (((3, 4, 50), (4,), 1), ((50, 3), (3,), 1), ((99,), (), None)):
        x, alpha = numbers(rng, shape, dtype), alphas(alpha_shape, dtype)
        for small in (
            np.array(0.75, dtype),
            numbers(rng, shape[-1:], dtype),
            numbers(rng, (shape[0], *[1] * (len(shape) - 1)), dtype),
        ):
            dy = np.broadcast_to(small, shape)
            x_, alpha_ = backend.asarray(x), backend.asarray(alpha)
            expanded = backend.module.broadcast_to(backend.asarray(small), shape)
            got = prelu_backward(expanded, x_, alpha_, axis=axis, at_zero=at_zero)
            right = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
            for a, b in zip(got, right, strict=True):
                assert_same_bits(a, b, f"{shape}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_x_and_alpha_that_are_expanded(backend, dtype):
    rng = np.random.default_rng(5)
    small = backend.asarray(numbers(rng, (4, 1), dtype))
    dy = backend.asarray(numbers(rng, (3, 4, 70), dtype))
    x = backend.module.broadcast_to(small, (3, 4, 70))
    for alpha_shape in ((4, 70), (3, 1, 70), (3, 4, 70)):
        alpha = backend.module.broadcast_to(backend.asarray(alphas((70,), dtype)), alpha_shape)
        check_forward(x, alpha)
        check_backward(x, alpha, dy)


def test_windows_that_overlap_themselves(backend):
    """Reading needs no place of its own for each element."""
    buffer = backend.asarray(np.random.default_rng(6).standard_normal(60))
    stride_tricks = backend.module.lib.stride_tricks
    x = stride_tricks.as_strided(buffer, (20, 30), (8, 8))
    dy = stride_tricks.as_strided(buffer, (20, 30), (8, 16))[:1]
    check_forward(x, backend.asarray(alphas((30,), np.float64)))
    check_backward(x[:1], backend.asarray(alphas((30,), np.float64)), dy)


def test_cases_of_the_oracle():
    for case in cases(kind=("strides", "reversed")):
        axis = None if case.alpha.size == 1 else case.axis
        check_forward(case.x, case.alpha, axis, case.name)
        check_backward(case.x, case.alpha, case.dy, axis, case.name)


# ---- NumPy's own kinds of array ----


@pytest.mark.parametrize("prepare", [read_only, unaligned, byte_swapped])
@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_unusual_inputs(prepare, dtype, alpha_dtype):
    for placement in PLACES:
        *arrays, axis = drawn(placement, dtype, alpha_dtype)
        x, alpha, dy = map(prepare, arrays)
        assert_same_bits(prelu(x, alpha, axis=axis), reference_prelu(*arrays[:2], axis=axis))
        check_backward(x, alpha, dy, axis, placement)
        check_backward(x, arrays[1], arrays[2], axis, placement)
        check_backward(arrays[0], arrays[1], dy, axis, placement)


@pytest.mark.parametrize("prepare", [unaligned, byte_swapped])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_unusual_outputs(prepare, dtype):
    """They are written as they are: with their byte order, at their address."""
    x, alpha, dy, axis = drawn("axis 1, NCHW", dtype, dtype)
    y = prepare(np.full_like(x, np.nan))
    out = prepare(np.full_like(x, np.nan)), prepare(np.full_like(alpha, np.nan))
    assert prelu(x, alpha, axis=axis, out=y) is y
    assert_same_bits(y, reference_prelu(x, alpha, axis=axis))
    got = prelu_backward(dy, x, alpha, axis=axis, out=out)
    right = reference_prelu_backward(dy, x, alpha, axis=axis)
    for k in range(2):
        assert got[k] is out[k]
        assert_same_bits(got[k], right[k])


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_outputs_of_byte_swapped_x_are_native(dtype):
    x = byte_swapped(np.ones((2, 3), dtype))
    assert prelu(x, 0.5).dtype == np.dtype(dtype)
    assert prelu_backward(x, x, 0.5)[0].dtype == np.dtype(dtype)


def test_byte_swapped_keeps_its_memory_order():
    x = byte_swapped(np.asfortranarray(np.ones((4, 5), np.float32)))
    assert prelu(x, 0.5).flags.f_contiguous
    assert prelu_backward(x, x, 0.5)[0].flags.f_contiguous


def test_memmap(tmp_path):
    rng = np.random.default_rng(7)
    values = rng.standard_normal((3, 5, 7)).astype(np.float32)
    path = tmp_path / "x"
    values.tofile(path)
    x = np.memmap(path, np.float32, "r", shape=values.shape)
    y = np.memmap(tmp_path / "y", np.float32, "w+", shape=values.shape)
    alpha = alphas((5,), np.float32)
    right = reference_prelu(values, alpha, axis=1)
    assert_same_bits(prelu(x, alpha, axis=1), right)
    assert prelu(x, alpha, axis=1, out=y) is y
    y.flush()
    assert_same_bits(np.fromfile(tmp_path / "y", np.float32).reshape(values.shape), right)
    for a, b in zip(
        prelu_backward(x, x, alpha, axis=1, out=(y, None)),
        reference_prelu_backward(values, values, alpha, axis=1),
        strict=True,
    ):
        assert_same_bits(np.asarray(a), b)


def test_lists_and_other_sequences():
    """Lists become float64 arrays, as numpy.asarray makes them."""
    x, alpha, dy = [[1.0, -2.0], [-3.0, 4.0]], [0.5, 0.25], [[1.0, 2.0], [3.0, 4.0]]
    arrays = [np.array(a) for a in (dy, x, alpha)]
    for convert in (list, tuple, memoryview_of, array_of):
        got = prelu_backward(convert(dy), convert(x), convert(alpha), axis=0)
        for a, b in zip(got, reference_prelu_backward(*arrays, axis=0), strict=True):
            assert_same_bits(np.ravel(a), np.ravel(b))
        assert prelu(convert(x), convert(alpha), axis=0).dtype == np.float64


def memoryview_of(values):
    return memoryview(np.array(values))


def array_of(values):
    """`array.array` has one dimension, so rows become a list of them."""
    if isinstance(values[0], list):
        return [array.array("d", row) for row in values]
    return array.array("d", values)


@pytest.mark.parametrize(("code", "dtype"), [("f", np.float32), ("d", np.float64)])
def test_buffers_keep_their_dtype(code, dtype):
    x = array.array(code, [-2, 3])
    for buffer in (x, memoryview(x)):
        assert_same_bits(prelu(buffer, 0.5), np.array([-1, 3], dtype))
        dx, dalpha = prelu_backward(buffer, buffer, 0.5)
        assert_same_bits(dx, np.array([-1, 3], dtype))
        assert_same_bits(dalpha, np.array(4, dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_scalars(dtype):
    """NumPy scalars and Python floats become 0-d arrays."""
    assert_same_bits(prelu(dtype(-2), dtype(0.5)), np.array(-1, dtype))
    dx, dalpha = prelu_backward(dtype(3), dtype(-2), dtype(0.5))
    assert_same_bits(dx, np.array(1.5, dtype))
    assert_same_bits(dalpha, np.array(-6, dtype))
    assert_same_bits(prelu(-2.0, 0.5), np.array(-1.0))
    assert_same_bits(prelu(-2.0, dtype(0.5)), np.array(-1.0))
