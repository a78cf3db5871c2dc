"""The assertions: what passes and what fails, up to the boundary between them."""

import numpy as np
import pytest

from prelu_array.testing import (
    assert_dalpha,
    assert_dx,
    assert_forward,
    reference_prelu_backward,
)

F32 = np.float32
TINY = np.finfo(F32).smallest_subnormal


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    x, dy = rng.standard_normal((2, n)).astype(F32)
    return -np.abs(x), dy


def test_one_ulp_fails_unless_allowed():
    x = -np.linspace(1, 2, 9, dtype=F32)
    y = F32(0.3) * x
    assert_forward(y, x, F32(0.3))
    y[4] = np.nextafter(y[4], F32(0))
    with pytest.raises(AssertionError, match=r"y is wrong in 1 of 9 elements, first y\[4\]"):
        assert_forward(y, x, F32(0.3))
    assert_forward(y, x, F32(0.3), ulps=1)


def test_the_message_shows_decimal_hexadecimal_and_bits():
    with pytest.raises(AssertionError) as caught:
        assert_forward(F32([-1]), F32([-2]), F32(0.25))
    message = str(caught.value)
    for part in ("-0.5", "-0x1p-1", "bf000000", "x        -2.0", "alpha    0.25", "8388608 ULP"):
        assert part in message


def test_zeros_have_signs_unless_told_otherwise():
    with pytest.raises(AssertionError):
        assert_forward(F32([0]), F32([-0.0]), F32(0.25))
    assert_forward(F32([0]), F32([-0.0]), F32(0.25), signed_zeros=False)


def test_a_nan_is_missed_unless_told_otherwise():
    with pytest.raises(AssertionError):
        assert_forward(F32([0]), F32([np.nan]), F32(0.25))
    assert_forward(F32([0]), F32([np.nan]), F32(0.25), nans=False)
    with pytest.raises(AssertionError):
        assert_forward(F32([np.nan]), F32([1]), F32(0.25), nans=False)


def test_subnormals_are_kept_unless_told_otherwise():
    x = F32([-4 * TINY, 4 * TINY, -1])
    y = F32([0, 0, -0.25])
    with pytest.raises(AssertionError, match="2 of 3"):
        assert_forward(y, x, F32(0.25))
    assert_forward(y, x, F32(0.25), subnormals=False)
    with pytest.raises(AssertionError, match="1 of 3"):
        assert_forward(F32([0, 0, 0]), x, F32(0.25), subnormals=False)


def test_shape_and_dtype_belong_to_the_result():
    with pytest.raises(AssertionError, match=r"y has shape \(2, 1\), expected \(2,\)"):
        assert_forward(np.ones((2, 1), F32), np.ones(2, F32), F32(0.25))
    with pytest.raises(AssertionError, match="y has dtype float64, expected float32"):
        assert_forward(np.ones(2), np.ones(2, F32), F32(0.25))


def test_any_derivative_at_zero_but_the_same_throughout():
    x, dy = np.zeros(2, F32), np.ones(2, F32)
    for dx in (F32([1, 1]), F32([0.25, 0.25])):
        assert_dx(dx, dy, x, F32(0.25), at_zero="any")
    with pytest.raises(AssertionError):
        assert_dx(F32([1, 0.25]), dy, x, F32(0.25), at_zero="any")
    with pytest.raises(AssertionError):
        assert_dx(F32([1, 1]), dy, x, F32(0.25))


@pytest.mark.parametrize("n", [3, 30, 300, 3000])
def test_a_dropped_element_fails_where_conforming_rounding_passes(n):
    x, dy = draw(n)
    terms = x * dy
    orders = [terms, terms[::-1], np.sort(terms), terms[np.argsort(-np.abs(terms))]]
    for ordered in orders:
        assert_dalpha(ordered.cumsum()[-1], dy, x, F32(0.25))
    drop = np.argsort(np.abs(terms))[n // 2]
    total = np.delete(terms, drop).sum(dtype=np.float64).astype(F32)
    with pytest.raises(AssertionError):
        assert_dalpha(total, dy, x, F32(0.25))


def test_integers_leave_no_tolerance_at_any_length():
    x, dy = -np.ones(100_000, F32), np.ones(100_000, F32)
    assert_dalpha(F32(-100_000), dy, x, F32(0.25))
    with pytest.raises(AssertionError):
        assert_dalpha(F32(-99_999), dy, x, F32(0.25))


def test_cancellation_is_judged_against_the_terms():
    x, dy = np.full(2, -3e4, F32), F32([3e4, -3e4 + 2**-9])
    exact = reference_prelu_backward(dy, x, F32(0.25))[1]
    assert_dalpha(exact, dy, x, F32(0.25), accumulate="exact")
    assert_dalpha(F32(0), dy, x, F32(0.25))
    with pytest.raises(AssertionError):
        assert_dalpha(F32(0), dy, x, F32(0.25), accumulate="float64")


def test_accumulators_differ():
    x, dy = np.full(3000, -1, np.float16), np.ones(3000, np.float16)
    stuck = np.float16(-2048)  # where a float16 sum of ones stands still
    assert_dalpha(stuck, dy, x, np.float16(0.25), accumulate="float16")
    with pytest.raises(AssertionError):
        assert_dalpha(stuck, dy, x, np.float16(0.25))


def test_a_fixed_order_leaves_less_room():
    x, dy = draw(3000, seed=1)
    total = (x * dy).cumsum()[-1]
    tree = (x * dy).astype(np.float64).sum()
    size = np.abs(x * dy).sum(dtype=np.float64)
    assert_dalpha(total, dy, x, F32(0.25), order="sequential")
    off = F32(tree + 0.5 * 3000 * 2.0**-24 * size)
    assert_dalpha(off, dy, x, F32(0.25))
    for order in ("sequential", "tree"):
        with pytest.raises(AssertionError):
            assert_dalpha(off, dy, x, F32(0.25), order=order)


def test_overflow_of_the_accumulator_is_not_judged_but_exact_is():
    x, dy = np.full(2, -3e30, F32), F32([3e30, -3e30])
    assert_dalpha(F32(np.nan), dy, x, F32(0.25))
    with pytest.raises(AssertionError):
        assert_dalpha(F32(np.nan), dy, x, F32(0.25), accumulate="exact")
    with pytest.raises(AssertionError):
        assert_dalpha(F32(np.nan), dy, x, F32(0.25), accumulate="float64")


def test_flushing_in_the_sum():
    x, dy = F32([-1, -1]), F32([4 * TINY, 3 * TINY])
    with pytest.raises(AssertionError):
        assert_dalpha(F32(0), dy, x, F32(0.25))
    assert_dalpha(F32(0), dy, x, F32(0.25), subnormals=False)


@pytest.mark.parametrize("ulps", [1, 200, 10**6])
def test_more_ulps_than_there_are_below_minus_infinity(ulps):
    """Numbers are counted from 128 on, -inf of bfloat16: a bound below must not wrap around."""
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    x, dy, alpha = F32([-3.4e38]), F32([1]), np.array(0.25, bfloat16)
    assert reference_prelu_backward(dy, x, alpha)[1] == -np.inf
    largest = np.nextafter(bfloat16(-np.inf), bfloat16(0))
    assert_dalpha(largest, dy, x, alpha, ulps=ulps)


def test_options_are_checked():
    x = np.ones(2)
    with pytest.raises(ValueError, match="accumulate must hold every float64"):
        assert_dalpha(np.float64(0), x, x, 0.25, accumulate="float32")
    with pytest.raises(ValueError, match=r"accumulate must be one of .* got 'double'"):
        assert_dalpha(np.float64(0), x, x, 0.25, accumulate="double")
    with pytest.raises(ValueError, match=r"order must be one of .* got 'random'"):
        assert_dalpha(np.float64(1), x, -x, 0.25, order="random")
