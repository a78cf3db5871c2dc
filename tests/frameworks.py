"""What the tests of frameworks share: dtypes, placements, numbers, comparison."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from arrays import assert_same_bits, drawn, numbers

PAIRS = [
    (np.float16, np.float16),
    (ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    (np.float32, np.float32),
    (np.float64, np.float64),
    (np.float16, np.float32),
    (np.float32, np.float64),
]
pairs = pytest.mark.parametrize(
    ("dtype", "alpha_dtype"), PAIRS, ids=lambda dtype: np.dtype(dtype).name
)
placements = pytest.mark.parametrize(
    "placement",
    [
        "0-d",
        "size 1",
        "size 1 of more axes than x",
        "trailing",
        "per element",
        "per sample",
        "axis 1, NCHW",
        "axis -1, NHWC",
        "Keras, some axes shared",
        "axes out of order",
    ],
)
at_zeros = pytest.mark.parametrize("at_zero", ["alpha", "one"])


def second_order(placement, dtype, alpha_dtype):
    """Draw ddx, ddalpha, dy, x, alpha and the axis."""
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)
    rng = np.random.default_rng(1)
    return numbers(rng, x.shape, dtype), numbers(rng, alpha.shape, alpha_dtype), dy, x, alpha, axis


def smooth(dtype=np.float64):
    """Draw x without a zero nearby, and alpha, for difference quotients."""
    rng = np.random.default_rng(2)
    x = rng.choice([-1, 1], (2, 3, 4)) * rng.uniform(0.5, 2, (2, 3, 4))
    return x.astype(dtype), np.array([0.5, -0.25, 1.5], dtype)


def compare(got, expected, names):
    for a, right, name in zip(got, expected, names, strict=True):
        assert_same_bits(np.asarray(a), right, name)
