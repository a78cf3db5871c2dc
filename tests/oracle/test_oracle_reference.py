"""The reference against fractions and NumPy, which share no code with it."""

import ast
import math
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import prelu_array.testing
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def any_bits(rng, dtype, shape):
    word = np.dtype(f"u{np.dtype(dtype).itemsize}")
    return rng.integers(0, np.iinfo(word).max, shape, dtype=word, endpoint=True).view(dtype)


def same(a, b):
    word = np.dtype(f"u{a.dtype.itemsize}")
    with np.errstate(invalid="ignore"):  # a signalling NaN raises the flag when it is converted
        nan = np.isnan(a.astype(np.float64)) & np.isnan(b.astype(np.float64))
    return a.dtype == b.dtype and bool((nan | (a.view(word) == b.view(word))).all())


def select(identity, kept, other):
    """Choose without a conversion, which would raise flags."""
    result = other.copy()
    result[identity] = kept[identity]
    return result


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("alpha_dtype", DTYPES, ids=lambda d: d.__name__)
def test_products_are_those_of_the_hardware(dtype, alpha_dtype):
    rng = np.random.default_rng(1)
    x, alpha, dy = (any_bits(rng, d, 5000) for d in (dtype, alpha_dtype, dtype))
    compute = np.float64 if np.float64 in (dtype, alpha_dtype) else np.float32
    with np.errstate(all="ignore"):
        y = (x.astype(compute) * alpha.astype(compute)).astype(dtype)
        dx = (dy.astype(compute) * alpha.astype(compute)).astype(dtype)
        positive = x > 0
    assert same(reference_prelu(x, alpha), select(positive, x, y))
    assert same(reference_prelu_backward(dy, x, alpha)[0], select(positive, dy, dx))


def rounded(value):
    try:
        return value.numerator / value.denominator  # Python rounds integer division once
    except OverflowError:
        return math.copysign(math.inf, value.numerator)


def fractions(array):
    return [Fraction(v) for v in array.tolist()]


@pytest.mark.parametrize("seed", range(20))
def test_dalpha_is_the_rounded_sum(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    x, dy = (rng.standard_normal(n) * 2.0 ** rng.integers(-540, 505, n) for _ in range(2))
    pairs = zip(fractions(x), fractions(dy), strict=True)
    expected = rounded(sum((a * b for a, b in pairs if a <= 0), Fraction(0)))
    assert reference_prelu_backward(dy, x, 0.25)[1] == expected


def test_dalpha_of_narrow_dtypes_is_rounded_once():
    rng = np.random.default_rng(5)
    for _ in range(30):
        x = -np.abs(rng.standard_normal(50)).astype(np.float16)
        dy = rng.standard_normal(50).astype(np.float16)
        exact = math.fsum((x.astype(float) * dy.astype(float)).tolist())
        for dtype in (np.float16, np.float32):
            # 50 products of 22 bits are exact in float64, and so is their sum
            got = reference_prelu_backward(dy, x, dtype(0.25))[1]
            assert got == dtype(exact)


def test_second_order_against_fractions():
    rng = np.random.default_rng(3)
    x, dy, ddx, x_dot = (rng.standard_normal(60) for _ in range(4))
    alpha, ddalpha = rng.standard_normal((2, 60))
    values = {"x": x, "dy": dy, "ddx": ddx, "xd": x_dot, "a": alpha, "da": ddalpha}
    f = {name: fractions(array) for name, array in values.items()}

    def mixed(v):
        quadruples = zip(f["a"], f[v], f["da"], f["x"], strict=True)
        return [rounded(a * b + c * d) for a, b, c, d in quadruples]

    up = x > 0
    got = reference_prelu_jvp(x, alpha, x_dot, ddalpha)
    np.testing.assert_array_equal(got, np.where(up, x_dot, mixed("xd")))
    of_dy, of_x, of_alpha = reference_prelu_double_backward(ddx, ddalpha, dy, x, alpha)
    np.testing.assert_array_equal(of_dy, np.where(up, ddx, mixed("ddx")))
    np.testing.assert_array_equal(of_x, np.where(up, 0, ddalpha * dy))
    np.testing.assert_array_equal(of_alpha, np.where(up, 0, ddx * dy))
    of_shared = reference_prelu_double_backward(ddx, 1.5, dy, x, 0.25)[2]
    pairs = zip(f["ddx"], f["dy"], up, strict=True)
    assert of_shared == rounded(sum((v * w for v, w, keep in pairs if not keep), Fraction(0)))


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("x", "alpha", "y", "dx", "term"),
    [
        (0.0, 0.25, 0.0, 0.25, 0.0),
        (-0.0, 0.25, -0.0, 0.25, 0.0),
        (0.0, -0.5, -0.0, -0.5, 0.0),
        (NAN, 0.25, NAN, 0.25, NAN),
        (INF, 0.25, INF, 1.0, 0.0),
        (INF, NAN, INF, 1.0, 0.0),
        (INF, INF, INF, 1.0, 0.0),
        (-INF, 0.25, -INF, 0.25, -INF),
        (-INF, 0.0, NAN, 0.0, -INF),
        (1.0, NAN, 1.0, 1.0, 0.0),
        (1.0, INF, 1.0, 1.0, 0.0),
        (0.0, NAN, NAN, NAN, 0.0),
        (0.0, INF, NAN, INF, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
def test_special_values(x, alpha, y, dx, term, dtype):
    x, alpha, y, dx, term = (np.array([v]).astype(dtype) for v in (x, alpha, y, dx, term))
    assert same(reference_prelu(x, alpha), y)
    got = reference_prelu_backward(np.ones(1).astype(dtype), x, alpha)
    assert same(got[0], dx)
    assert same(got[1], term)


def test_at_zero_one_keeps_dy_at_both_zeros():
    x, dy = np.array([0.0, -0.0, -1.0]), np.array([INF, 3.0, 5.0])
    dx, dalpha = reference_prelu_backward(dy, x, 0.25, at_zero="one")
    np.testing.assert_array_equal(dx, [INF, 3.0, 1.25])
    assert dalpha == -5
    assert np.isnan(reference_prelu_backward(dy, x, 0.25)[1])


def test_placement_by_hand():
    x = -np.arange(1.0, 25.0).reshape(2, 3, 4)
    alpha = np.arange(1.0, 13.0).reshape(4, 3)
    np.testing.assert_array_equal(reference_prelu(x, alpha, axis=(2, 1)), x * alpha.T)
    np.testing.assert_array_equal(reference_prelu(x, alpha[:, :1], axis=(-1, 1)), x * alpha[:, 0])
    np.testing.assert_array_equal(
        reference_prelu(x, alpha[0], axis=1), x * alpha[0][:, np.newaxis]
    )
    dalpha = reference_prelu_backward(np.ones_like(x), x, alpha, axis=(2, 1))[1]
    np.testing.assert_array_equal(dalpha, x.sum(axis=0).T)
    shared = reference_prelu_backward(np.ones_like(x), x, np.ones((1, 1, 1, 1)))[1]
    np.testing.assert_array_equal(shared, np.full((1, 1, 1, 1), -300.0))


def test_strides_and_byte_order_do_not_matter():
    x = np.linspace(-2, 2, 24).reshape(2, 3, 4)
    alpha = np.array([0.25, -1.5, 3.0])
    plain = reference_prelu(x, alpha, axis=1)
    for other in (np.asfortranarray(x), x.astype(">f8"), np.repeat(x, 2, -1)[..., ::2]):
        np.testing.assert_array_equal(reference_prelu(other, alpha, axis=1), plain)


@pytest.mark.parametrize(
    ("alpha", "axis", "message"),
    [
        (np.ones(4), None, "without enlarging"),
        (np.ones((1, 2, 2, 3)), None, "without enlarging"),
        (np.ones(2), 2, r"match axis 2 of x \(3\)"),
        (np.ones(3), 3, "range of x's 3"),
        (np.ones((2, 3)), 1, "have 1 dimension"),
        (np.ones((2, 2)), (1, 1), "name each axis of x once"),
    ],
)
def test_misfits_are_refused(alpha, axis, message):
    with pytest.raises(ValueError, match=message):
        reference_prelu(np.ones((2, 2, 3)), alpha, axis=axis)


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match=r"x.dtype must be one of .* got int64"):
        reference_prelu(np.arange(3), 0.25)
    with pytest.raises(TypeError, match=r"dy.dtype must be float32, got float64"):
        reference_prelu_backward(np.ones(3), np.ones(3, np.float32), 0.25)
    with pytest.raises(ValueError, match="at_zero must be 'alpha' or 'one', got 'zero'"):
        reference_prelu_backward(np.ones(3), np.ones(3), 0.25, at_zero="zero")


def test_the_judge_imports_nothing_of_what_it_judges():
    folder = Path(prelu_array.testing.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, path.name
                assert not (node.module or "").startswith(("prelu_array", "cupy")), path.name
            elif isinstance(node, ast.Import):
                assert not any(a.name.startswith(("prelu_array", "cupy")) for a in node.names)
