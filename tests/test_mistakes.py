"""The mistakes of docs/mistakes.md: what goes wrong, and what is right."""

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from prelu_array import prelu, prelu_backward
from prelu_array.testing import reference_prelu, reference_prelu_backward

X = np.array([-8.0, -2.0, -0.5, 0.0, 0.5, 2.0, 8.0])
INF = math.inf


def test_each_mistake_of_the_page_has_its_test():
    page = (Path(__file__).parents[1] / "docs" / "mistakes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!mistake|-)", page, re.MULTILINE)
    tests = [name for name in globals() if name.startswith("test_") and "of_the_page" not in name]
    assert len(tests) == len(rows)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.25, 1.0, 1.5, 4.0])
def test_the_larger_of_x_and_alpha_x(alpha):
    same = np.array_equal(np.maximum(X, alpha * X), prelu(X, alpha))
    chord = (prelu(X[:, None], alpha) + prelu(X, alpha)) / 2  # exact: small powers of two
    convex = bool(np.all(prelu((X[:, None] + X) / 2, alpha) <= chord))
    assert same == convex == (alpha <= 1)


@pytest.mark.parametrize("alpha", [-1.0, -0.25, 0.0, 0.25, 1.5])
def test_monotone_and_invertible(alpha):
    y = prelu(X, alpha)
    assert bool(np.all(np.diff(y) >= 0)) == (alpha >= 0)
    assert (len(np.unique(y)) == len(X)) == (alpha > 0)
    if alpha == -1:
        np.testing.assert_array_equal(y, np.abs(X))


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.25, 0.5, 1.0])
def test_subgradient_at_zero(alpha):
    def is_subgradient(g):  # the line through the origin with slope g lies nowhere above y
        return all(
            Fraction(y) >= Fraction(g) * Fraction(x) for x, y in zip(X, y_of_x, strict=True)
        )

    y_of_x = reference_prelu(X, alpha)
    zero, one = np.zeros(1), np.ones(1)
    for at_zero in ("alpha", "one"):
        (value,), _ = prelu_backward(one, zero, alpha, at_zero=at_zero)
        assert is_subgradient(value)
        assert value == (alpha if at_zero == "alpha" else 1)
    assert is_subgradient((alpha + 1) / 2)
    assert not is_subgradient(alpha - 0.125)
    assert not is_subgradient(1.125)
    assert is_subgradient(0) == (alpha <= 0)
    assert is_subgradient(1 + alpha) == (alpha <= 0)


def test_masks_at_infinity():
    x = np.array([INF, -INF])
    with np.errstate(invalid="ignore"):
        assert np.isnan(x * (x > 0) + 0.25 * x * (x <= 0)).all()
    np.testing.assert_array_equal(prelu(x, 0.25), x)


@pytest.mark.parametrize("alpha", [INF, -INF, math.nan])
def test_parts_beside_an_infinite_alpha(alpha):
    x = np.array([1.0, 2.0])
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.maximum(x, 0) + alpha * np.minimum(x, 0)).all()
    np.testing.assert_array_equal(prelu(x, alpha), x)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.5])
def test_branch_from_the_sign_of_y(alpha):
    y = prelu(X, alpha)
    branch = np.array_equal(y > 0, X > 0)
    assert branch == (alpha >= 0)
    x_again = np.where(y > 0, y, y / alpha) if alpha else y
    assert np.array_equal(x_again, X) == (alpha > 0)
    dy = np.ones_like(X)
    for at_y, at_x in zip(
        prelu_backward(dy, x_again, alpha), reference_prelu_backward(dy, X, alpha), strict=True
    ):
        assert np.array_equal(at_y, at_x) == (alpha > 0 or (alpha == 0 and at_x.ndim == 1))


@pytest.mark.parametrize("alpha", [-0.5, 0.25, 0.5])
def test_in_place_before_a_backward(alpha):
    x, dy = X.copy(), np.ones_like(X)
    right = prelu_backward(dy, x.copy(), alpha)
    prelu(x, alpha, out=x)
    got = prelu_backward(dy, x, alpha)
    assert np.array_equal(got[0], right[0]) == (alpha > 0)
    assert alpha < 0 or got[1] == alpha * right[1] != right[1]


def test_axis_of_the_same_length():
    x = -np.arange(1.0, 10).reshape(1, 3, 3)
    alpha, equal = np.array([0.5, 1.5, 2.5]), np.full(3, 0.5)
    np.testing.assert_array_equal(prelu(x, alpha, axis=1)[0, :, 0], [-0.5, -6, -17.5])
    np.testing.assert_array_equal(prelu(x, alpha, axis=2)[0, :, 0], [-0.5, -2, -3.5])
    np.testing.assert_array_equal(prelu(x, equal, axis=1), prelu(x, equal, axis=2))


def test_dalpha_summed_in_float16():
    x = np.full(2, -300, np.float16)
    dy = np.array([300, -300], np.float16)
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan((x * dy).sum())
    assert prelu_backward(dy, x, 0.25)[1] == 0


@pytest.mark.parametrize("h", [2.0**-3, 2.0**-20])
def test_differences_across_zero(h):
    alpha = 0.25
    steps = prelu(np.array([h, -h]), alpha)
    difference = (steps[0] - steps[1]) / (2 * h)
    assert difference == (1 + alpha) / 2
    for at_zero in ("alpha", "one"):
        (dx,), _ = prelu_backward(np.ones(1), np.zeros(1), alpha, at_zero=at_zero)
        assert dx != difference


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_gain_of_relu(alpha):
    """The second moment of PReLU of a symmetric x: with each x there is -x."""
    x = np.concatenate([X, -X])
    growth = np.mean(prelu(x, alpha) ** 2) / np.mean(x**2)
    assert growth * 2 == 1 + alpha**2  # the gain's square times growth; 1 with the right gain
    assert growth * 2 / (1 + alpha**2) == 1


def test_variance_between_inputs():
    """Two inputs at an angle, a large layer: mean x^2 is kept, their distance is not."""
    rng = np.random.default_rng(0)
    inputs, alpha = np.array([[1.0, 0.0], [0.0, 1.0]]) * np.sqrt(2), 0.25
    x = inputs @ rng.normal(size=(2, 100_000)) / np.sqrt(2)  # mean x^2 is 1
    y = prelu(x, alpha) * np.sqrt(2 / (1 + alpha**2))  # the next layer's x is like it
    second, between = np.mean(y**2), np.mean((y[0] - y[1]) ** 2) / np.mean((x[0] - x[1]) ** 2)
    # the next layer's covariance for independent normal x: mean(y)^2, from E|x| = sqrt(2 / pi)
    right = 1 - (1 - alpha) ** 2 / np.pi / (1 + alpha**2)
    error = 0.03  # more than five standard errors of both
    assert abs(second - 1) < error
    assert abs(between - right) < error
    assert right + error < 1


def test_weight_decay_on_alpha():
    x, alpha = np.abs(X), 0.25  # no x < 0: the loss says nothing about alpha
    for _ in range(100):
        _, dalpha = prelu_backward(np.ones_like(x), x, alpha)
        assert dalpha == 0
        alpha = float(alpha - 0.1 * (dalpha + 0.5 * alpha))
    assert 0 < alpha < 0.002


def test_a_python_float_as_alpha_of_float16():
    """It takes x's dtype, so a step that is less than half a unit of float16 is lost."""
    x, dy = np.full(4, -0.25, np.float16), np.ones(4, np.float16)
    for alpha, learns in ((0.5, False), (np.array(0.5, np.float32), True)):
        start = alpha
        for _ in range(1000):
            _, dalpha = prelu_backward(dy, x, alpha)
            assert dalpha == -1
            alpha = alpha - 1e-4 * dalpha
        assert (alpha > start) == learns


def test_dy_and_x_swapped():
    dy = np.array([1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0])
    right = prelu_backward(dy=dy, x=X, alpha=0.25)
    for got, swapped in zip(right, prelu_backward(X, dy, 0.25), strict=True):
        assert got.shape == swapped.shape
        assert got.dtype == swapped.dtype
        assert not np.array_equal(got, swapped)
