"""`prelu_jvp` and `prelu_double_backward` against the reference, each other and differences."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from arrays import (
    AT_ZERO,
    DTYPES,
    MEMORIES,
    PAIRS,
    PLACEMENTS,
    any_bits,
    assert_same_bits,
    drawn,
    in_memory,
    name,
    numbers,
    to_numpy,
)

from prelu_array import prelu, prelu_backward, prelu_double_backward, prelu_jvp
from prelu_array.testing import (
    reference_prelu_double_backward,
    reference_prelu_jvp,
)


def directions(rng, x, alpha):
    """Draw ddx (or x_dot) and ddalpha (or alpha_dot)."""
    return numbers(rng, x.shape, x.dtype), numbers(rng, alpha.shape, alpha.dtype)


def check(x, alpha, dy, u, v, axis=None, what=""):
    before = [to_numpy(a) for a in (x, alpha, dy, u, v)]
    nx, nalpha, ndy, nu, nv = before
    for at_zero in AT_ZERO:
        options = {"axis": axis, "at_zero": at_zero}
        y_dot = prelu_jvp(x, alpha, u, v, **options)
        assert_same_bits(
            y_dot, reference_prelu_jvp(nx, nalpha, nu, nv, **options), f"y_dot {what} {at_zero}"
        )
        got = prelu_double_backward(u, v, dy, x, alpha, **options)
        expected = reference_prelu_double_backward(nu, nv, ndy, nx, nalpha, **options)
        for result, right, of in zip(got, expected, ("dy", "x", "alpha"), strict=True):
            assert_same_bits(result, right, f"of {of} {what} {at_zero}")
    for a, copy in zip((x, alpha, dy, u, v), before, strict=True):
        assert to_numpy(a).tobytes() == copy.tobytes(), f"an input changed {what}"


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_every_placement_of_every_pair_of_dtypes(backend, dtype, alpha_dtype):
    rng = np.random.default_rng(7)
    for placement in PLACEMENTS:
        x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)
        arrays = (x, alpha, dy, *directions(rng, x, alpha))
        check(*map(backend.asarray, arrays), axis, placement)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_loops_of_every_instruction_set_on_any_bits(instruction_set, dtype, alpha_dtype):
    rng = np.random.default_rng(8)
    for shape, alpha_shape in (((3, 67), (3, 1)), ((5, 33), (33,)), ((300,), (300,)), ((1,), ())):
        x, dy, u = (any_bits(rng, shape, dtype) for _ in range(3))
        alpha, v = (any_bits(rng, alpha_shape, alpha_dtype) for _ in range(2))
        check(x, alpha, dy, u, v, None, shape)


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_memory(backend, memory):
    rng = np.random.default_rng(9)
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float64)
    arrays = (x, alpha, dy, *directions(rng, x, alpha))
    check(*(in_memory(memory, a, backend.module) for a in arrays), axis, memory)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_two_products_that_cancel(instruction_set, dtype):
    """alpha * x_dot + alpha_dot * x, where the sum is far smaller than either product."""
    rng = np.random.default_rng(10)
    x = -np.abs(numbers(rng, 4000, dtype))
    alpha = numbers(rng, 4000, dtype)
    u = x.copy()  # alpha * x - alpha * x, and neighbours of it
    v = np.negative(alpha)
    bits = v.view(f"u{v.itemsize}")
    bits[1000:3000] += rng.integers(0, 3, 2000).astype(bits.dtype)
    check(x, alpha, u.copy(), u, v, None, "cancelled")


@pytest.mark.parametrize("bits", [2, 11, 24, 27, 40])
def test_two_products_whose_sum_is_often_a_tie(instruction_set, bits):
    """Numbers of few bits, as float64 arrays of float32 data have."""
    rng = np.random.default_rng(bits)

    def few_bits(shape):
        exponents = rng.integers(-3, 4, shape)
        return np.ldexp(rng.integers(-(2**bits), 2**bits, shape).astype(np.float64), exponents)

    x, dy, u = (few_bits((40, 50)) for _ in range(3))
    check(x, few_bits(50), dy, u, few_bits(50), 1, bits)


def test_ties_that_an_underflowing_error_decides(instruction_set):
    """(1 + d) (1 - d) is below 1 by less than any float64 where it is scaled far down."""
    rng = np.random.default_rng(11)
    n = 500
    first, d = rng.integers(-1000, -950, n), np.ldexp(1.0, -rng.integers(40, 53, n))
    alpha = np.ldexp(1 + rng.integers(0, 4, n) * 2.0**-52, first // 2)
    u = np.ldexp(rng.choice([-1.0, 1.0], n), first - first // 2)
    second = first - rng.integers(52, 55, n)
    v = np.ldexp(rng.choice([-1.0, 1.0], n) * (1 + d), second // 2)
    x = np.ldexp(d - 1, second - second // 2)
    expected = reference_prelu_jvp(x, alpha, u, v)
    for i in range(n):  # one by one: a tile with another sum in doubt is computed again
        assert prelu_jvp(x[i], alpha[i], u[i], v[i]) == expected[i], i


def test_products_out_of_range():
    """The sum of two products is exact also where they overflow or underflow."""
    big, small = 1e300, 1e-300
    x = np.array([-big, -big, -small, -small, -big, -5e-324])
    alpha = np.array([big, big, small, -small, small, 5e-324])
    u = np.array([big, big * (1 - 2**-53), -small, small, big, 5e-324])
    v = np.array([big, big, -small, small, big, 5e-324])
    check(x, alpha, u, u, v)
    y_dot = prelu_jvp(np.array([-big]), big, np.array([big]), big)
    assert y_dot[0] == 0
    assert not np.signbit(y_dot[0])


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_empty_and_0d(backend, shape, dtype):
    x = backend.asarray(np.full(shape, -2, dtype))
    alpha = backend.asarray(np.asarray(3, dtype))
    check(x, alpha, x, x, alpha)


def test_sizes_around_a_group(instruction_set):
    rng = np.random.default_rng(11)
    for n in (*range(66), 191, 192, 193, 1023, 1025, 4097):
        x, dy, u = (numbers(rng, n, np.float32) for _ in range(3))
        check(x, np.float32(0.25), dy, u, np.float32(-3), None, n)


def test_alpha_broadcast_by_strides_with_a_full_alpha_dot():
    """alpha has zero strides where alpha_dot has none."""
    rng = np.random.default_rng(12)
    x, dy, u = (numbers(rng, (4, 5, 6), np.float32) for _ in range(3))
    whole = numbers(rng, (4, 5, 6), np.float32)
    one = np.broadcast_to(np.float32(0.5), (4, 5, 6))
    check(x, one, dy, u, whole)
    check(x, whole, dy, u, one)


@pytest.mark.parametrize("alpha_shape", [(), (6, 1, 1), (500, 700)])
def test_threads_change_nothing(threads, alpha_shape):
    rng = np.random.default_rng(13)
    x, dy, u = (rng.standard_normal((6, 500, 700), np.float32) for _ in range(3))
    alpha, v = (rng.standard_normal(alpha_shape, np.float32) for _ in range(2))
    results = []
    for n in (1, 2, 3):
        threads(n)
        results.append((prelu_jvp(x, alpha, u, v), *prelu_double_backward(u, v, dy, x, alpha)))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("at_zero", AT_ZERO)
def test_first_and_second_order_are_adjoint(at_zero):
    """<ddx, J v> = <J^T ddx, v>, exactly: small integers, sums in rationals."""
    rng = np.random.default_rng(14)
    x, dy, ddx, x_dot = (rng.integers(-8, 9, (6, 5, 4)).astype(np.float64) for _ in range(4))
    alpha, ddalpha, alpha_dot = (rng.integers(-8, 9, 5).astype(np.float64) for _ in range(3))
    options = {"axis": 1, "at_zero": at_zero}

    def inner(*pairs):
        return sum(
            (
                Fraction(p) * Fraction(q)
                for a, b in pairs
                for p, q in zip(a.flat, b.flat, strict=True)
            ),
            Fraction(0),
        )

    y_dot = prelu_jvp(x, alpha, x_dot, alpha_dot, **options)
    dx, dalpha = prelu_backward(dy, x, alpha, **options)
    assert inner((dy, y_dot)) == inner((dx, x_dot), (dalpha, alpha_dot))

    # the derivative of (dx, dalpha) along (dy_dot, x_dot, alpha_dot), away from the branches' edge
    dy_dot = rng.integers(-8, 9, x.shape).astype(np.float64)
    identity = x > 0 if at_zero == "alpha" else x >= 0
    a, a_dot = alpha[:, None], alpha_dot[:, None]
    dx_dot = np.where(identity, dy_dot, a * dy_dot + a_dot * dy)
    dalpha_dot = np.where(identity, 0, x * dy_dot + x_dot * dy).sum(axis=(0, 2))
    of_dy, of_x, of_alpha = prelu_double_backward(ddx, ddalpha, dy, x, alpha, **options)
    assert inner((ddx, dx_dot), (ddalpha, dalpha_dot)) == inner(
        (of_dy, dy_dot), (of_x, x_dot), (of_alpha, alpha_dot)
    )


def test_finite_differences():
    """Away from zero prelu is linear in x and in alpha: small steps err by rounding alone."""
    rng = np.random.default_rng(15)
    x = rng.choice([-1.0, 1.0], (50, 4)) * rng.uniform(0.5, 2, (50, 4))
    alpha, alpha_dot = rng.standard_normal(4), rng.standard_normal(4)
    x_dot, dy, ddx = (rng.standard_normal((50, 4)) for _ in range(3))
    ddalpha = rng.standard_normal(4)
    h = 2.0**-20

    def along(f, *with_steps):
        ahead = f(*(a + h * d for a, d in with_steps))
        behind = f(*(a - h * d for a, d in with_steps))
        return (ahead - behind) / (2 * h)

    y_dot = along(lambda x, a: prelu(x, a, axis=1), (x, x_dot), (alpha, alpha_dot))
    np.testing.assert_allclose(
        prelu_jvp(x, alpha, x_dot, alpha_dot, axis=1), y_dot, rtol=1e-8, atol=1e-8
    )

    def loss(dy, x, alpha):
        dx, dalpha = prelu_backward(dy, x, alpha, axis=1)
        return float(np.sum(ddx * dx) + np.sum(ddalpha * dalpha))

    got = prelu_double_backward(ddx, ddalpha, dy, x, alpha, axis=1)
    dy_dot = rng.standard_normal(x.shape)
    expected = along(loss, (dy, dy_dot), (x, x_dot), (alpha, alpha_dot))
    slope = sum(float(np.sum(a * b)) for a, b in zip(got, (dy_dot, x_dot, alpha_dot), strict=True))
    assert slope == pytest.approx(expected, rel=1e-6)


def test_same_branch_at_zero_as_the_first_order():
    """PyTorch takes another branch in its double backward than in its backward."""
    x, one = np.array([0.0, -0.0]), np.ones(2)
    for at_zero, of_dy, of_x in (("alpha", 0.25, 3.0), ("one", 1.0, 0.0)):
        got = prelu_double_backward(one, 3.0, one, x, 0.25, at_zero=at_zero)
        dx, _ = prelu_backward(one, x, 0.25, at_zero=at_zero)
        assert got[0].tolist() == [of_dy] * 2 == dx.tolist()
        assert got[1].tolist() == [of_x] * 2
        assert prelu_jvp(x, 0.25, one, 0.0, at_zero=at_zero).tolist() == [of_dy] * 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"x_dot": np.ones(3, np.float32)},
            ValueError,
            r"x_dot must have x's shape \(2,\), got \(3,\)",
        ),
        ({"x_dot": np.ones(2)}, TypeError, "x_dot must have x's dtype float32, got float64"),
        (
            {"alpha_dot": np.ones(1, np.float32)},
            ValueError,
            r"alpha_dot must have alpha's shape \(\)",
        ),
        ({"alpha_dot": np.float64(1)}, TypeError, "alpha_dot must have alpha's dtype float32"),
        ({"alpha_dot": 1e300}, ValueError, "alpha_dot must fit alpha's dtype float32, got 1e"),
        ({"at_zero": "one "}, ValueError, "at_zero must be 'alpha' or 'one', got 'one '"),
        ({"x_dot": "12"}, TypeError, "x_dot must be a number, a list or an array of"),
        ({"axis": 1.5}, TypeError, "axis must be None, an integer or a tuple"),
    ],
)
def test_errors_of_jvp(change, error, message):
    x = np.ones(2, np.float32)
    arguments = {"x": x, "alpha": 0.25, "x_dot": x, "alpha_dot": 1.0} | change
    with pytest.raises(error, match=message):
        prelu_jvp(**arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ddx": np.ones(3)}, ValueError, r"ddx must have x's shape \(2,\), got \(3,\)"),
        ({"dy": np.ones(2, np.float32)}, TypeError, "dy must have x's dtype float64, got float32"),
        ({"ddalpha": np.ones(2)}, ValueError, r"ddalpha must have alpha's shape \(\), got \(2,\)"),
        ({"ddalpha": np.ma.ones(())}, TypeError, "ddalpha must be .* its mask would be lost"),
        ({"alpha": np.ones(3)}, ValueError, "alpha.shape must broadcast"),
    ],
)
def test_errors_of_double_backward(change, error, message):
    x = np.ones(2)
    arguments = {"ddx": x, "ddalpha": 1.0, "dy": x, "x": x, "alpha": 0.25} | change
    if "alpha" in change:
        arguments["ddalpha"] = np.ones(3)
    with pytest.raises(error, match=message):
        prelu_double_backward(**arguments)


def test_bfloat16_rounds_by_way_of_float32():
    """The one sum where two roundings show is the definition, as in the forward."""
    b = ml_dtypes.bfloat16
    x, u = np.array([-1.0], b), np.array([1.0], b)
    for alpha, v in ((1.0, 2.0**-9), (1.0, -(2.0**-9)), (1.0078125, 2.0**-8)):
        check(x, np.asarray(alpha, b), x, u, np.asarray(v, b))
