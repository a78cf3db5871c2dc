"""Python's own numbers, alone and in lists: float64, whether they are integers or not."""

import numpy as np
import pytest
from arrays import assert_same_bits

from prelu_array import (
    prelu,
    prelu_backward,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
)
from prelu_array.testing import reference_prelu, reference_prelu_backward

VALUES = {
    "list": [-2, -1, 0, 1, 2],
    "tuple": (-2, -1, 0, 1, 2),
    "nested": [[-2, 3], (4, -5)],
    "mixed": [-2, 1.5, 0, -1, 7],
    "large": [-(2**63), -(2**53) - 1, 2**64 + 1, -(10**300), 3],
    "number": -3,
    "large number": -(10**30),
}


def float64(value):
    """Each number rounded by Python itself."""
    if isinstance(value, list | tuple):
        return np.array([float64(item) for item in value])
    return np.float64(float(value))


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_as_every_argument(value):
    numbers = np.asarray(float64(value))
    ones = np.ones_like(numbers)
    assert_same_bits(prelu(value, 0.01), reference_prelu(numbers, 0.01))
    for dy, x, alpha in ((value, numbers, 0.5), (numbers, value, 0.5), (ones, -ones, value)):
        given = [float64(a) if a is value else a for a in (dy, x, alpha)]
        if numbers.ndim == 0 and alpha is value:  # a number as alpha takes x's dtype
            given[2] = numbers
        right = reference_prelu_backward(*given)
        for got, exact in zip(prelu_backward(dy, x, alpha), right, strict=True):
            assert_same_bits(got, exact)
    state = prelu_backward_partial(ones, numbers, 0.5)[1]
    assert_same_bits(prelu_backward_partial(ones.tolist(), value, 0.5)[1], state)
    y_dot = prelu_jvp(numbers, 0.5, ones, 1.0)
    assert_same_bits(prelu_jvp(value, 0.5, ones.astype(int).tolist(), 1), y_dot)
    second = prelu_double_backward(ones, 1.0, ones, numbers, 0.5)
    for got, exact in zip(prelu_double_backward(ones, 1, ones, value, 0.5), second, strict=True):
        assert_same_bits(got, exact)


def test_alpha_beside_another_dtype():
    x = np.array([[-2, 3, -4]], np.float32)
    alpha = [0, 1, 2]
    y, (dx, dalpha) = prelu(x, alpha, axis=1), prelu_backward(x, x, alpha, axis=1)
    assert (y.dtype, dx.dtype, dalpha.dtype) == (np.float32, np.float32, np.float64)
    assert y.tolist() == [[0, 3, -8]]
    assert dalpha.tolist() == [4, 0, 16]


def test_arrays_of_integers_stay_integers():
    assert prelu(np.array([-2, 3]), 2).dtype == np.int64
    assert prelu(memoryview(np.array([-2, 3])), 2).tolist() == [-4, 3]
