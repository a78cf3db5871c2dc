"""The recipe for PyTensor: exact bits, and PyTensor's own check of gradients."""

import sys
from pathlib import Path

import numpy as np
import pytest
from arrays import assert_same_bits

from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

pytensor = pytest.importorskip("pytensor", reason="pytensor is not installed")
pytest.importorskip("pytensor.tensor")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "frameworks"))

pytestmark = pytest.mark.filterwarnings("ignore")  # what PyTensor warns of


@pytest.fixture(scope="module")
def prelu():
    from pytensor_prelu import prelu

    with pytensor.config.change_flags(cxx="", mode="FAST_COMPILE"):
        yield prelu


CASES = [((), None), ((3,), 1), ((2, 4), (0, 2)), ((2, 3, 4), None)]


def drawn(alpha_shape, dtype):
    rng = np.random.default_rng(3)
    shape = (2, 3, 4)
    arrays = [rng.standard_normal(s) for s in (shape, alpha_shape, shape, alpha_shape, shape)]
    arrays[0][0, 0, 0] = 0
    return [a.astype(dtype) for a in arrays]


def symbols(*arrays):
    return [pytensor.tensor.tensor(dtype=a.dtype, shape=(None,) * a.ndim) for a in arrays]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at_zero", ["alpha", "one"])
@pytest.mark.parametrize(("alpha_shape", "axis"), CASES)
def test_every_derivative(prelu, alpha_shape, axis, at_zero, dtype):
    x, alpha, dy, dot, ddx = drawn(alpha_shape, dtype)
    xs, alphas, dys, dots, ddxs = inputs = symbols(x, alpha, dy, dot, ddx)
    y = prelu(xs, alphas, axis=axis, at_zero=at_zero)
    dx, dalpha = pytensor.grad(None, [xs, alphas], known_grads={y: dys})
    second = pytensor.grad(None, [dys, xs, alphas], known_grads={dx: ddxs, dalpha: dots})
    y_dot = pytensor.gradient.pushforward(y, [xs, alphas], [ddxs, dots])
    function = pytensor.function(inputs, [y, dx, dalpha, y_dot, *second], on_unused_input="ignore")
    got = function(x, alpha, dy, dot, ddx)
    options = {"axis": axis, "at_zero": at_zero}
    right = [
        reference_prelu(x, alpha, axis=axis),
        *reference_prelu_backward(dy, x, alpha, **options),
        reference_prelu_jvp(x, alpha, ddx, dot, **options),
        *reference_prelu_double_backward(ddx, dot, dy, x, alpha, **options),
    ]
    for array, exact in zip(got, right, strict=True):
        assert_same_bits(array, exact)


@pytest.mark.parametrize(("alpha_shape", "axis"), CASES)
def test_verify_grad(prelu, alpha_shape, axis):
    x, alpha, dy, *_ = drawn(alpha_shape, "float64")
    x = np.where(abs(x) < 0.1, 0.5, x)
    verify = pytensor.gradient.verify_grad
    rng = np.random.default_rng(0)
    verify(lambda x, alpha: prelu(x, alpha, axis=axis), [x, alpha], rng=rng)

    def gradient(k):
        def of(dys, xs, alphas):
            y = prelu(xs, alphas, axis=axis)
            return pytensor.grad(None, [xs, alphas], known_grads={y: dys})[k]

        return of

    for k in range(2):
        verify(gradient(k), [dy, x, alpha], rng=rng)


def test_shape_without_computing(prelu):
    xs, alphas = symbols(np.ones((2, 3)), np.ones(()))
    shape = pytensor.function([xs, alphas], prelu(xs, alphas).shape, on_unused_input="ignore")
    assert shape(np.ones((5, 7)), 0.5).tolist() == [5, 7]
