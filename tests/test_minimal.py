"""One call of everything, in a second and with NumPy alone: the file to run on every wheel."""

import numpy as np
import pytest

import prelu_array
from prelu_array import _cpu, prelu, prelu_backward

X = np.array([[-2.0, -0.0, 3.0], [-4.0, 5.0, -6.0]])
DY = np.array([[1.0, 2.0, 3.0], [0.5, 7.0, -1.0]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("alpha_dtype", [np.float16, np.float32, np.float64])
def test_forward_and_backward(instruction_set, dtype, alpha_dtype):
    x, dy, alpha = X.astype(dtype), DY.astype(dtype), np.array([0.5, 0.25], alpha_dtype)
    y = prelu(x, alpha, axis=0)
    dx, dalpha = prelu_backward(dy, x, alpha, axis=0)
    assert y.dtype == dx.dtype == dtype
    assert dalpha.dtype == alpha_dtype
    assert y.tolist() == [[-1, 0, 3], [-1, 5, -1.5]]
    assert np.signbit(y[0, 1])
    assert dx.tolist() == [[0.5, 1, 3], [0.125, 7, -0.25]]
    assert dalpha.tolist() == [-2, 4]


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    x, dy = X.astype(ml_dtypes.bfloat16), DY.astype(ml_dtypes.bfloat16)
    assert prelu(x, 0.5).tolist() == [[-1, 0, 3], [-2, 5, -3]]
    dx, dalpha = prelu_backward(dy, x, 0.5)
    assert dx.tolist() == [[0.5, 1, 3], [0.25, 7, -0.5]]
    assert dalpha.tolist() == 2


def test_right_derivative_at_zero():
    dx, dalpha = prelu_backward(DY, X, 0.5, at_zero="one")
    assert dx.tolist() == [[0.5, 2, 3], [0.25, 7, -0.5]]
    assert dalpha.tolist() == 2


def test_out():
    x, dx, dalpha = X.copy(), np.empty_like(X), np.empty(())
    assert prelu(x, 0.5, out=x) is x
    assert x.tolist() == [[-1, 0, 3], [-2, 5, -3]]
    got = prelu_backward(DY, X, 0.5, out=(dx, dalpha))
    assert got[0] is dx
    assert got[1] is dalpha


def test_error():
    with pytest.raises(ValueError, match="axis=0 would fit"):
        prelu(X, np.ones(2))


def test_a_sum_that_float16_cannot_hold_on_the_way():
    x, dy = np.full(1000, -300, np.float16), np.resize([300, -300], 1000).astype(np.float16)
    assert prelu_backward(dy, x, 0.25)[1].tolist() == 0


def test_threads(threads):
    x = np.resize(X, (1 << 20, 3))
    dy = np.resize(DY, x.shape)
    for count in (1, 2):
        threads(count)
        assert prelu_array.get_num_threads() == count
        assert prelu_backward(dy, x, 0.5)[1] == (1 << 19) * 2


def test_instruction_set_is_one_of_those():
    assert _cpu.instruction_set() in ("avx512", "avx2", "baseline")
