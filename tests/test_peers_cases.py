"""Inputs on which released PReLUs were wrong, each with its report."""

import math

import numpy as np
import pytest
from arrays import alphas, assert_same_bits, check_backward, check_forward, numbers

from prelu_array import prelu, prelu_backward
from prelu_array.testing import reference_prelu, reference_prelu_backward

INF, NAN = math.inf, math.nan


def f32(values):
    return np.array(values, np.float32)


def test_three_channels_beside_three_columns(backend):
    """openvino#35958: axis 1 and axis -1 differ."""
    x = backend.asarray(-np.arange(1, 19, dtype=np.float32).reshape(1, 3, 2, 3))
    alpha = backend.asarray(f32([0.5, 1.5, 2.5]))
    per_channel = [-0.5, -1, -1.5, -2, -2.5, -3, -10.5, -12, -13.5, -15, -16.5, -18]
    per_channel += [-32.5, -35, -37.5, -40, -42.5, -45]
    per_column = [-0.5, -3, -7.5, -2, -7.5, -15, -3.5, -12, -22.5, -5, -16.5, -30]
    per_column += [-6.5, -21, -37.5, -8, -25.5, -45]
    assert backend.asnumpy(prelu(x, alpha, axis=1)).ravel().tolist() == per_channel
    assert backend.asnumpy(prelu(x, alpha, axis=-1)).ravel().tolist() == per_column
    assert backend.asnumpy(prelu(x, alpha)).ravel().tolist() == per_column
    ones = backend.module.ones_like(x)
    for axis, sums in ((1, [-21, -57, -93]), (-1, [-51, -57, -63])):
        dalpha = prelu_backward(ones, x, alpha, axis=axis)[1]
        assert backend.asnumpy(dalpha).tolist() == sums


def test_alpha_along_the_middle_axis(backend):
    """tfjs#7458."""
    x = backend.asarray(f32([1, -1, 2, -2, 3, -3]).reshape(1, 2, 3))
    alpha = backend.asarray(f32([0.1, -0.2]).reshape(1, 2, 1))
    y = f32([1, -0.1, 2, 0.4, 3, 0.6]).reshape(1, 2, 3)
    y[0, 1, [0, 2]] = f32(-0.2) * f32([-2, -3])
    assert_same_bits(prelu(x, alpha), y)
    np.testing.assert_allclose(y.ravel(), [1, -0.1, 2, 0.4, 3, 0.6], rtol=1e-7)


def test_infinities(backend):
    """onnxruntime#28489."""
    x = backend.asarray(f32([INF, -INF, 5e30, -2.5]))
    alpha = backend.asarray(f32([0.25, 0.5, 0.25, 0.25]))
    assert_same_bits(prelu(x, alpha), f32([INF, -INF, 5e30, -0.625]))


def test_infinite_alpha_beside_positive_x(backend):
    """tensorflow#63823."""
    x = backend.asarray(f32([1.234]))
    for alpha in (INF, backend.asarray(f32([INF]))):
        assert_same_bits(prelu(x, alpha), f32([1.234]))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4, 8, 16), (2, 4, 5, 4), (2, 4, 4, 4)])
def test_distinct_alphas_along_every_axis(backend, shape):
    """FlagGems#4992: channels that are as many as the last axis is long."""
    rng = np.random.default_rng(1)
    x, dy = numbers(rng, shape, np.float32), numbers(rng, shape, np.float32)
    for axis in range(-len(shape), len(shape)):
        alpha = alphas((shape[axis],), np.float32)
        arrays = [backend.asarray(a) for a in (x, alpha, dy)]
        check_forward(*arrays[:2], axis)
        check_backward(*arrays, axis)
    along_1 = prelu(backend.asarray(x), backend.asarray(alphas((shape[1],), np.float32)), axis=1)
    right = [prelu(x[:, k], alphas((shape[1],), np.float32)[k]) for k in range(shape[1])]
    assert_same_bits(along_1, np.stack(right, axis=1))


@pytest.mark.parametrize("n", [2, 100, 1000, 1 << 17])
def test_float16_products_beyond_65504_that_cancel(backend, n):
    """PyTorch gives NaN."""
    x = backend.asarray(np.full(n, -300, np.float16))
    dy = backend.asarray(np.resize(np.array([300, -300], np.float16), n))
    dx, dalpha = prelu_backward(dy, x, 0.25)
    assert_same_bits(dalpha, np.zeros((), np.float16))
    assert_same_bits(dx, np.resize(np.array([75, -75], np.float16), n))


@pytest.mark.parametrize("n", [2, 33, 1000])
def test_overflow_on_the_identity_branch(backend, n):
    """oneDNN multiplies by a mask of 0, and inf * 0 is NaN."""
    x = backend.asarray(np.full(n, 1e30, np.float32))
    dy = backend.asarray(np.resize(f32([1e30, -1e30]), n))
    dx, dalpha = prelu_backward(dy, x, 0.25)
    assert_same_bits(dalpha, f32(0))
    assert_same_bits(dx, np.resize(f32([1e30, -1e30]), n))


@pytest.mark.parametrize("axis", [None, 1])
def test_empty_batch(backend, axis):
    """oneDNN leaves dalpha as the memory was."""
    x = backend.asarray(np.empty((0, 3, 4, 4), np.float32))
    alpha = backend.asarray(f32([0.1, 0.2, 0.3]) if axis == 1 else f32([0.1]))
    for _ in range(5):
        used = backend.asarray(np.full(alpha.shape, NAN, np.float32))
        del used  # the next array may get its memory
        dx, dalpha = prelu_backward(x, x, alpha, axis=axis)
        assert_same_bits(dalpha, np.zeros(alpha.shape, np.float32))
        assert dx.shape == (0, 3, 4, 4)


@pytest.mark.parametrize("alpha", [-0.5, -2.0, 0.0, -0.0])
def test_negative_and_zero_alpha_in_place(backend, alpha):
    """caffe#2413, mxnet#2856: the sign of y does not tell the sign of x."""
    x = f32([-3, -0.0, 0.0, 2, -1e-40, INF])
    dy = f32([1, 2, -3, 4, 5, -6])
    x_, dy_ = backend.asarray(x.copy()), backend.asarray(dy.copy())
    assert prelu(x_, alpha, out=x_) is x_
    assert_same_bits(x_, reference_prelu(x, alpha))
    for place in ("x", "dy"):
        x_, dy_ = backend.asarray(x.copy()), backend.asarray(dy.copy())
        got = prelu_backward(dy_, x_, alpha, out=(x_ if place == "x" else dy_, None))
        for a, b in zip(got, reference_prelu_backward(dy, x, alpha), strict=True):
            assert_same_bits(a, b)


def test_0_d_x_and_alpha_of_one_element(backend):
    """ONNX Runtime and MLX enlarge the output to alpha's shape."""
    x = backend.asarray(f32(-2))
    for shape in ((), (1,), (1, 1)):
        alpha = backend.asarray(np.full(shape, 0.25, np.float32))
        assert_same_bits(prelu(x, alpha), f32(-0.5))
        dx, dalpha = prelu_backward(x, x, alpha)
        assert_same_bits(dx, f32(-0.5))
        assert_same_bits(dalpha, np.full(shape, 4, np.float32))


@pytest.mark.parametrize(
    ("x_shape", "alpha_shape"), [((), (2,)), ((1,), (3,)), ((3,), (2, 3)), ((2, 1), (2, 3))]
)
def test_alpha_larger_than_x(backend, x_shape, alpha_shape):
    x, alpha = (backend.asarray(np.ones(s, np.float32)) for s in (x_shape, alpha_shape))
    with pytest.raises(ValueError, match=r"alpha\.shape must broadcast to x\.shape without enl"):
        prelu(x, alpha)
    with pytest.raises(ValueError, match=r"alpha\.shape must broadcast to x\.shape without enl"):
        prelu_backward(x, x, alpha)


def test_x_and_dy_of_different_strides(backend):
    """pytorch#68760."""
    rng = np.random.default_rng(2)
    x, dy = numbers(rng, (2, 3, 8, 8), np.float32), numbers(rng, (2, 3, 8, 8), np.float32)
    alpha = alphas((3,), np.float32)
    right = reference_prelu_backward(dy, x, alpha, axis=1)
    module = backend.module
    channels_last = module.asarray(x.transpose(0, 2, 3, 1).copy()).transpose(0, 3, 1, 2)
    got = prelu_backward(module.asarray(dy), channels_last, module.asarray(alpha), axis=1)
    for a, b in zip(got, right, strict=True):
        assert_same_bits(a, b)
    expanded = module.broadcast_to(module.asarray(f32(0.5)), x.shape)
    right = reference_prelu_backward(np.full_like(x, 0.5), x, alpha, axis=1)
    got = prelu_backward(expanded, channels_last, module.asarray(alpha), axis=1)
    for a, b in zip(got, right, strict=True):
        assert_same_bits(a, b)


def test_nan_and_minus_zero(backend):
    x = backend.asarray(f32([NAN, -0.0, 0.0, -0.0]))
    alpha = backend.asarray(f32([0.25, -0.5, -0.5, 0.5]))
    dy = backend.asarray(f32([1, 1, 1, 1]))
    assert_same_bits(prelu(x, alpha), f32([NAN, 0.0, -0.0, -0.0]))
    dx, dalpha = prelu_backward(dy, x, alpha)
    assert_same_bits(dx, f32([0.25, -0.5, -0.5, 0.5]))
    assert_same_bits(dalpha, f32([NAN, 0, 0, 0]))
