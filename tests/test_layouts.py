"""How alpha broadcasts: the contract's table, what is refused, and the hint in the message."""

import itertools
import math
import re

import numpy as np
import pytest
from arrays import DTYPES, alphas, assert_same_bits, check_backward, check_forward, name, numbers

from prelu_array import prelu, prelu_backward
from prelu_array.testing import cases

SHAPE = (2, 3, 4, 5)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2, -3, -4])
def test_one_alpha_per_channel_written_out(backend, axis, dtype):
    """Against NumPy's own indexing: each channel is a call with one alpha."""
    rng = np.random.default_rng(1)
    x, dy = numbers(rng, SHAPE, dtype), numbers(rng, SHAPE, dtype)
    alpha = alphas((SHAPE[axis],), dtype)
    x_, alpha_, dy_ = map(backend.asarray, (x, alpha, dy))
    y = backend.asnumpy(prelu(x_, alpha_, axis=axis))
    dx, dalpha = map(backend.asnumpy, prelu_backward(dy_, x_, alpha_, axis=axis))
    for channel in range(SHAPE[axis]):
        one = [np.take(a, channel, axis) for a in (dy, x)]
        assert_same_bits(np.take(y, channel, axis), prelu(one[1], alpha[channel]))
        right = prelu_backward(*one, alpha[channel])
        assert_same_bits(np.take(dx, channel, axis), right[0])
        assert_same_bits(dalpha[channel], right[1])


@pytest.mark.parametrize("backward", [False, True])
def test_every_shape_that_broadcasts(backend, backward):
    """All trailing parts of x.shape with 1s in all places."""
    rng = np.random.default_rng(2)
    x, dy = numbers(rng, SHAPE, np.float32), numbers(rng, SHAPE, np.float32)
    for start in range(5):
        for ones in itertools.product([False, True], repeat=4 - start):
            shape = tuple(1 if one else n for one, n in zip(ones, SHAPE[start:], strict=True))
            x_, alpha, dy_ = map(backend.asarray, (x, alphas(shape, np.float32), dy))
            if backward:
                check_backward(x_, alpha, dy_, None, f"{shape}")
            else:
                check_forward(x_, alpha, None, f"{shape}")


@pytest.mark.parametrize("backward", [False, True])
def test_every_tuple_of_axes(backend, backward):
    """In any order, counted from either end, with 1s in places."""
    rng = np.random.default_rng(3)
    x, dy = numbers(rng, SHAPE, np.float32), numbers(rng, SHAPE, np.float32)
    for count in range(5):
        for axis in itertools.permutations(range(4), count):
            signed = tuple(k - 4 if (k + count) % 2 else k for k in axis)
            for one in (None, *range(count)):
                shape = tuple(1 if i == one else SHAPE[k] for i, k in enumerate(axis))
                x_, alpha, dy_ = map(backend.asarray, (x, alphas(shape, np.float32), dy))
                if backward:
                    check_backward(x_, alpha, dy_, signed, f"{shape} along {signed}")
                else:
                    check_forward(x_, alpha, signed, f"{shape} along {signed}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("shift", [0, 1, 5])
def test_images_of_every_size(backend, dtype, shift):
    """Runs of one alpha around every length at which they are walked in another way, from any
    address, also with a gap after each image or after each sample."""
    rng = np.random.default_rng(5)
    for pixels in (15, 16, 17, 31, 32, 33, 48, 49, 64, 95, 96, 97, 196, 257, 4079, 4080, 4081):
        for channels, gap in ((2, (0, 0)), (3, (0, 1)), (70, (0, 0)), (65, (1, 0))):
            if pixels > 64 and channels > 64:
                continue
            samples = 10 if pixels < 300 and channels < 64 else 2  # many or few to share lanes
            shape = (samples, channels + gap[0], pixels + gap[1])
            x, dy = (
                backend.asarray(np.full(np.prod(shape) + shift, np.nan, dtype))[shift:].reshape(
                    shape
                )[:, :channels, :pixels]
                for _ in range(2)
            )
            x[...], dy[...] = (backend.asarray(numbers(rng, x.shape, dtype)) for _ in range(2))
            x[0, 1, -1] = dy[-1, 0, 0] = np.inf  # of one alpha each, next to another's
            alpha = backend.asarray(alphas((channels,), dtype))
            check_forward(x, alpha, 1, f"{shape}")
            check_backward(x, alpha, dy, 1, f"{shape}")
            alpha = backend.asarray(alphas((channels,), np.float64))
            check_backward(x, alpha, dy, 1, f"{shape}, alpha float64")


def test_axis_may_be_any_integer(backend):
    x, alpha = backend.asarray(-np.ones((2, 3))), backend.asarray(np.array([2.0, 3.0]))
    expected = [[-2, -2, -2], [-3, -3, -3]]
    for axis in (0, np.int8(0), np.int64(-2), (0,), (np.uint8(0),), (-2,)):
        assert backend.asnumpy(prelu(x, alpha, axis=axis)).tolist() == expected


@pytest.mark.parametrize("axis", [None, 0, -1, 2, (0, 1), (2,), ()], ids=str)
def test_one_alpha_fits_any_axis(backend, axis):
    x = backend.asarray(-np.ones((2, 3, 4)))
    for alpha in (np.array(2.0), np.array([2.0]), np.array([[2.0]]), np.full((1,) * 6, 2.0)):
        y = prelu(x, backend.asarray(alpha), axis=axis)
        assert_same_bits(y, np.full((2, 3, 4), -2.0))
        dx, dalpha = prelu_backward(x, x, backend.asarray(alpha), axis=axis)
        assert_same_bits(dx, np.full((2, 3, 4), -2.0))
        assert_same_bits(dalpha, np.full(alpha.shape, 24.0))
    assert_same_bits(prelu(x, 2.0, axis=axis), np.full((2, 3, 4), -2.0))


def test_as_many_axes_as_numpy_has(backend):
    if backend.name == "cupy":
        pytest.skip("CuPy has fewer axes than NumPy")
    shape = (1, 2) * 4 + (1,) * 56
    x, dy = np.arange(-8.0, 8).reshape(shape), np.arange(16.0).reshape(shape)
    for kept in (0, 1, 3, 7):
        alpha = alphas((*(n if k == kept else 1 for k, n in enumerate(shape)),), np.float64)
        check_forward(x, alpha)
        check_backward(x, alpha, dy)
        check_backward(x, alpha, dy, tuple(range(64)))


@pytest.mark.parametrize(
    ("x_shape", "alpha_shape", "axis", "hint"),
    [
        ((2, 3, 4), (3,), None, 1),
        ((2, 3, 4), (3,), 0, 1),
        ((2, 3, 4), (3,), (2,), 1),
        ((2, 3, 4), (2, 3), None, (0, 1)),
        ((2, 3, 4), (2, 4), None, (0, 2)),
        ((2, 3, 4), (2, 4), (0, 1), (0, 2)),
        ((3, 3, 4), (3,), None, "ambiguous"),
        ((2, 3, 4), (5,), None, "none"),
        ((2, 3, 4), (4, 3), None, "none"),
        ((2, 3, 4), (1, 2, 3, 4), None, "none"),
        ((2, 3, 4), (2, 2, 3, 4), None, "none"),
        ((2, 3, 4), (0,), None, "none"),
        ((1, 3), (2, 3), None, "none"),
        ((3,), (3, 3), None, "none"),
        ((), (2,), None, "none"),
        ((0, 3), (2,), 1, "none"),
    ],
)
def test_alpha_that_does_not_fit(backend, x_shape, alpha_shape, axis, hint):
    """The message has both shapes, the axis, and the axis that fits if there is just one."""
    x, alpha = backend.asarray(np.ones(x_shape)), backend.asarray(np.ones(alpha_shape))
    shapes = rf"alpha\.shape must .*{re.escape(str(alpha_shape))}.*{re.escape(str(x_shape))}"
    for call in (
        lambda: prelu(x, alpha, axis=axis),
        lambda: prelu_backward(x, x, alpha, axis=axis),
    ):
        with pytest.raises(ValueError, match=shapes) as caught:
            call()
        message = str(caught.value)
        assert f"axis={axis}" in message
        if hint in ("ambiguous", "none"):
            assert "would fit" not in message
        else:
            assert f"axis={hint} would fit" in message
            prelu(x, alpha, axis=hint)


def test_lengths_are_never_matched_by_guessing(backend):
    """(3,) along the last axis of length 4 is an error, though axis 1 has length 3."""
    x = backend.asarray(np.ones((2, 3, 4)))
    for axis in (None, 0, 2, -1):
        with pytest.raises(ValueError, match=r"must"):
            prelu(x, backend.asarray(np.ones(3)), axis=axis)


def test_an_integer_axis_takes_no_1_in_place_of_the_length(backend):
    """Unless alpha has one element in all."""
    x = backend.asarray(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"alpha\.shape must"):
        prelu(x, backend.asarray(np.ones((1, 3))), axis=1)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_empty_arrays(backend, dtype):
    """Empty y and dx, and dalpha all +0, whatever was in its memory."""
    for shape, alpha_shape, axis in (
        ((0, 3, 4), (3,), 1),
        ((0, 3, 4), (), None),
        ((0, 3, 4), (3, 4), None),
        ((2, 0), (2,), 0),
        ((2, 0), (0,), 1),
        ((2, 0), (2, 1), None),
        ((0,), (0,), None),
        ((0,), (1,), 0),
        ((3, 0, 2), (2, 3), (2, 0)),
    ):
        x, alpha = (backend.asarray(np.ones(s, dtype)) for s in (shape, alpha_shape))
        assert_same_bits(prelu(x, alpha, axis=axis), np.ones(shape, dtype))
        expected = np.zeros(alpha_shape, dtype)
        dx, dalpha = prelu_backward(x, x, alpha, axis=axis)
        assert_same_bits(dx, np.ones(shape, dtype))
        assert_same_bits(dalpha, expected)
        out = backend.asarray(np.full(alpha_shape, np.nan, dtype))
        assert prelu_backward(x, x, alpha, axis=axis, out=(None, out))[1] is out
        assert_same_bits(out, expected)


def test_empty_case_of_every_layout(backend):
    for case in cases(kind="empty"):
        x, alpha, dy = map(backend.asarray, (case.x, case.alpha, case.dy))
        check_forward(x, alpha, case.axis, case.name)
        check_backward(x, alpha, dy, case.axis, case.name)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_0_d(backend, dtype):
    """A 0-d array comes back as a 0-d array, not as a scalar."""
    x, dy = np.array(-2, dtype), np.array(3, dtype)
    for alpha in (0.5, np.array(0.5, dtype), np.array([0.5], dtype), np.full((1, 1), 0.5, dtype)):
        alpha_ = alpha if isinstance(alpha, float) else backend.asarray(alpha)
        x_, dy_ = backend.asarray(x), backend.asarray(dy)
        assert_same_bits(prelu(x_, alpha_), np.array(-1, dtype))
        dx, dalpha = prelu_backward(dy_, x_, alpha_)
        assert_same_bits(dx, np.array(1.5, dtype))
        assert_same_bits(dalpha, np.full(np.shape(alpha), -6, dtype))


def test_more_alphas_than_are_summed_at_once():
    """So many that a call works through them in parts."""
    rng = np.random.default_rng(4)
    for shape, alpha_shape, axis in (
        ((2, 300_000), (300_000,), -1),
        ((2, 700, 2, 150), (1, 700, 1, 150), None),
        ((100_000, 3), (100_000,), 0),
    ):
        x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
        assert math.prod(alpha_shape) >= 100_000
        check_backward(x, alphas(alpha_shape, np.float32), dy, axis, f"{shape}")
