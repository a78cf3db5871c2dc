"""dalpha is the exact sum rounded once: cancellation, overflow, ties, long sums, any order."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from arrays import (
    DTYPES,
    MEMORIES,
    PAIRS,
    alphas,
    assert_same_bits,
    check_backward,
    in_memory,
    name,
    numbers,
)

from prelu_array import prelu_backward
from prelu_array.testing import cases, reference_prelu_backward

HARD = ("ties", "cancellation", "overflow", "subnormals", "large")


def dalpha_of(dy, x, alpha=0.25, **options):
    dx, dalpha = prelu_backward(dy, x, alpha, need_dx=False, **options)
    assert dx is None
    return dalpha


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_hard_cases(way, dtype, alpha_dtype):
    """What a float64 sum gets wrong, where alpha is shared, per channel and per element."""
    for case in cases(dtype=dtype, alpha_dtype=alpha_dtype, kind=HARD[:-1]):
        axis = None if case.alpha.size == 1 else case.axis
        check_backward(*map(way.asarray, (case.x, case.alpha, case.dy)), axis, case.name)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_hard_cases_in_other_libraries(backend, dtype):
    for case in cases(dtype=dtype, kind=HARD):
        axis = None if case.alpha.size == 1 else case.axis
        arrays = map(backend.asarray, (case.x, case.alpha, case.dy))
        check_backward(*arrays, axis, case.name)


def wide(rng, shape, dtype):
    """Numbers from one end of the dtype's range to the other, and so few that most cancel."""
    info = ml_dtypes.finfo(dtype)
    low, high = int(info.minexp) - int(info.nmant), int(info.maxexp)
    exponent = rng.integers(low, high, shape)
    digits = 1 + rng.integers(0, 8, shape) / 8
    return (np.ldexp(digits, exponent) * rng.choice([-1.0, 1.0], shape)).astype(dtype)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_terms_of_all_sizes(way, dtype, alpha_dtype):
    """From the square of the smallest to the square of the largest number, in one sum."""
    rng = np.random.default_rng(1)
    for shape, alpha_shape, axis in (((7, 301), (7,), 0), ((301, 7), (7,), 1), ((997,), (), None)):
        x, dy = -abs(wide(rng, shape, dtype)), wide(rng, shape, dtype)
        arrays = x, alphas(alpha_shape, alpha_dtype), dy
        check_backward(*map(way.asarray, arrays), axis, f"{shape}")


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_all_but_the_smallest_cancels(way, dtype, alpha_dtype):
    """Terms of all sizes and their negatives, shuffled, leave one small term."""
    rng = np.random.default_rng(2)
    info = ml_dtypes.finfo(dtype)
    for n in (5, 70, 1500):
        x, dy = -abs(wide(rng, n, dtype)), wide(rng, n, dtype)
        x = np.concatenate([x, x, [-1.5 * float(info.smallest_normal)]]).astype(dtype)
        dy = np.concatenate([dy, -dy, [0.75]]).astype(dtype)
        order = rng.permutation(x.size)
        exact = Fraction(float(x[-1])) * Fraction(float(dy[-1]))
        arrays = dy[order], x[order], np.array(2, alpha_dtype)
        dalpha = way.asnumpy(dalpha_of(*map(way.asarray, arrays)))
        right = reference_prelu_backward(dy[-1:], x[-1:], np.array(2, alpha_dtype))[1]
        assert_same_bits(dalpha, right, f"{n}")
        if alpha_dtype is np.float64 or dtype is alpha_dtype is np.float32:
            assert Fraction(float(dalpha)) == exact


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_sums_at_a_tie_and_beside_it(way, dtype, alpha_dtype):
    """4096 and half a unit round to even; one smallest term decides, wherever it is."""
    unit = 4096 * float(ml_dtypes.finfo(alpha_dtype).eps)
    a = 2.0 ** (int(math.log2(unit / 2)) // 2)
    b = unit / 2 / a
    least = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    for odd in (0, 1):
        for nudge in (0, 1, -1):
            x, dy = np.full(333, -0.0, dtype), np.ones(333, dtype)
            places = [3, 100, 101, 331]
            x[places] = [-64, -2 * a, -a, -least]
            dy[places] = [-64, -b * odd, -b, -least * nudge]
            exact = sum(Fraction(float(x[k])) * Fraction(float(dy[k])) for k in places)
            tie = 4096 + Fraction(unit) * odd + Fraction(unit) / 2
            assert exact == tie + nudge * Fraction(least) ** 2
            up = nudge > 0 or (nudge == 0 and odd)
            right = np.array(4096 + unit * odd + unit * up, alpha_dtype)
            for sign in (1, -1):
                arrays = dy * dtype(sign), x, np.array(0.5, alpha_dtype)
                assert_same_bits(dalpha_of(*map(way.asarray, arrays)), right * alpha_dtype(sign))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_a_sum_at_the_largest_number(way, dtype):
    """It becomes infinite at half a unit beyond, though every term is finite."""
    largest = float(ml_dtypes.finfo(dtype).max)
    half = 2.0 ** (math.frexp(largest)[1] - int(ml_dtypes.finfo(dtype).nmant) - 2)
    least = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    for extra, expected in (
        ([], largest),
        ([half], math.inf),
        ([half, -least], largest),
        ([half, half, -half, -least], largest),
        ([largest, largest, -largest, -largest], largest),
        ([largest], math.inf),
    ):
        dy = np.array([largest, *extra], dtype)
        x = np.full(dy.size, -1, dtype)
        for sign in (1, -1):
            dalpha = dalpha_of(way.asarray(dy * dtype(sign)), way.asarray(x))
            assert_same_bits(dalpha, np.array(-sign * expected, dtype), f"{extra}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_sums_below_the_smallest_number(way, dtype):
    """Half of the smallest subnormal, made of terms that are all far smaller."""
    least = ml_dtypes.finfo(dtype).smallest_subnormal
    for pieces in (2, 3, 4, 5, 6, 7):
        x, dy = np.full(pieces, -least, dtype), np.full(pieces, 0.25, dtype)
        right = reference_prelu_backward(dy, x, 0.25)[1]
        assert_same_bits(right, np.array(-least * (pieces > 2) * (1 + (pieces > 5)), dtype))
        assert_same_bits(dalpha_of(way.asarray(dy), way.asarray(x)), right)
        assert_same_bits(dalpha_of(way.asarray(-dy), way.asarray(x)), -right)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("alpha_dtype", [np.float32, np.float64], ids=name)
def test_sum_of_a_million_ones(backend, dtype, alpha_dtype):
    """A plain sum in x's dtype stands still at 2**precision."""
    n = (1 << 20) + 3
    x, dy = backend.asarray(np.full(n, -1, dtype)), backend.asarray(np.ones(n, dtype))
    alpha = backend.asarray(np.array(0.25, alpha_dtype))
    assert_same_bits(dalpha_of(dy, x, alpha), np.array(-n, alpha_dtype))


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_two_million_terms_that_cancel(backend, dtype, alpha_dtype):
    """Real numbers and their negatives in another order: what is left is known."""
    n = 1 << 20
    rng = np.random.default_rng(3)
    x, dy = -abs(numbers(rng, n, dtype)), numbers(rng, n, dtype)
    order = rng.permutation(n)
    x = np.concatenate([x, np.array([-3], dtype), x[order]])
    dy = np.concatenate([dy, np.array([0.375], dtype), -dy[order]])
    dalpha = dalpha_of(*map(backend.asarray, (dy, x, np.array(0.5, alpha_dtype))))
    assert_same_bits(dalpha, np.array(-1.125, alpha_dtype))


def test_what_compensates_a_sum_of_segments_loses_bits(way):
    """1, then numbers below half a unit of that, one in each segment of 128 elements of an alpha.

    Their sum is rounded down at each addition, and the exact one is just above a tie.
    """
    runs = 1 << 15
    small = float(np.nextafter(2.0**-53, 0)) - 2.0**-106 * 0x400F
    others = (runs - 2) * Fraction(small)
    tie = Fraction(math.floor(others * 2**52) + 1, 2**52) + Fraction(1, 2**53)
    last = float(tie + Fraction(1, 2**80) - others)
    dy = np.zeros((runs, 2, 128))
    dy[:, 0, -1] = [1, *[small] * (runs - 2), last]
    x = np.broadcast_to(1.0, dy.shape)
    exact = 1 + others + Fraction(last)
    assert Fraction(last) == tie + Fraction(1, 2**80) - others
    dalpha = dalpha_of(way.asarray(-dy), way.asarray(-x), way.asarray(np.ones(2)), axis=1)
    assert_same_bits(dalpha, np.array([float(exact), 0]))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("layout", ["shared", "channel", "last"])
def test_long_sums_of_a_repeated_block(backend, dtype, layout):
    """2**k times the same terms have 2**k times the sum, and rounding keeps powers of two."""
    rng = np.random.default_rng(4)
    x, dy = numbers(rng, (3, 8192), dtype), numbers(rng, (3, 8192), dtype)
    alpha = alphas((3,), dtype)
    if layout == "shared":
        x, dy, alpha = x.reshape(-1), dy.reshape(-1), alpha[:1]
    axis = {"shared": None, "channel": 0, "last": -1}[layout]
    if layout == "last":
        x, dy = x.T.copy(), dy.T.copy()
    right = reference_prelu_backward(dy, x, alpha, axis=axis)[1]
    times, along = 64, 1 if layout == "channel" else 0
    long = [np.concatenate([a] * times, axis=along) for a in (dy, x)]
    got = dalpha_of(*map(backend.asarray, (*long, alpha)), axis=axis)
    assert_same_bits(got, (right * dtype(times)).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_terms_that_are_not_finite(way, dtype):
    large = float(ml_dtypes.finfo(dtype).max)
    inf, nan = math.inf, math.nan
    for terms, expected in (
        ([inf], inf),
        ([-inf, 3], -inf),
        ([inf, inf, -large, -large], inf),
        ([inf, -inf], nan),
        ([nan], nan),
        ([nan, inf, 1], nan),
        ([large, large, large], inf),
        ([large, large, -large, -large], 0.0),
    ):
        for n in (len(terms), 50, 3000):
            dy = np.zeros(n, dtype)
            dy[:: n // len(terms)][: len(terms)] = terms
            x = np.full(n, -1, dtype)
            got = dalpha_of(*map(way.asarray, (dy, x)))
            assert_same_bits(got, np.array(0.0 - expected, dtype), f"{terms} among {n}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_zero_times_infinity_is_nan(backend, dtype):
    for x, dy in ((0.0, math.inf), (-0.0, -math.inf), (-math.inf, 0.0)):
        got = dalpha_of(*(backend.asarray(np.array([a], dtype)) for a in (dy, x)))
        assert_same_bits(got, np.array(math.nan, dtype))


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_exact_zero_is_positive(backend, dtype, alpha_dtype):
    """No term, terms of -0, products of -0, and terms that cancel."""
    alpha = backend.asarray(np.array(-2, alpha_dtype))
    zero = np.zeros((), alpha_dtype)
    for x, dy in (
        ([1.0, 2.0], [1.0, -1.0]),
        ([-0.0, 0.0], [1.0, -1.0]),
        ([-1.0, -2.0], [0.0, 0.0]),
        ([-1.0, -2.0], [-2.0, 1.0]),
        ([0.0], [-1.0]),
        ([-1.0], [0.0]),
        ([1.0], [-1.0]),
        ([], []),
    ):
        for times in (1, 50, 700):
            arrays = (backend.asarray(np.array(a * times, dtype)) for a in (dy, x))
            assert_same_bits(dalpha_of(*arrays, alpha), zero, f"x={x}, dy={dy}, {times} times")


# ---- the same number, however it is computed ----


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("memory", MEMORIES)
def test_same_bits_in_every_memory_order(backend, dtype, memory):
    rng = np.random.default_rng(5)
    x, dy = -abs(wide(rng, (5, 7, 33), dtype)), wide(rng, (5, 7, 33), dtype)
    for axis, length in ((0, 5), (1, 7), (2, 33)):
        right = reference_prelu_backward(dy, x, alphas((length,), dtype), axis=axis)[1]
        alpha = backend.asarray(alphas((length,), dtype))
        for there in (backend.asarray(x), in_memory(memory, x, backend.module)):
            for upstream in (backend.asarray(dy), in_memory(memory, dy, backend.module)):
                got = dalpha_of(upstream, there, alpha, axis=axis)
                assert_same_bits(got, right, f"axis {axis}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_same_bits_in_every_order_of_terms(backend, dtype):
    rng = np.random.default_rng(6)
    x, dy = -abs(wide(rng, 4000, dtype)), wide(rng, 4000, dtype)
    right = reference_prelu_backward(dy, x, 0.25)[1]
    for _ in range(20):
        order = rng.permutation(x.size)
        shuffled = [backend.asarray(a[order]) for a in (dy, x)]
        assert_same_bits(dalpha_of(*shuffled), right)
        assert_same_bits(dalpha_of(*(a.reshape(8, 500) for a in shuffled)), right)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("channels", [1, 2, 3, 16, 47, 48, 64, 65, 300, 511, 513, 5000, 9000])
def test_every_number_of_channels(way, dtype, channels):
    """Along the memory and across it, more and fewer than the loops hold at once."""
    rng = np.random.default_rng(channels)
    alpha = alphas((channels,), dtype)
    for shape, axis in (((5, channels), 1), ((channels, 5), 0), ((3, channels, 2), 1)):
        arrays = numbers(rng, shape, dtype), alpha, numbers(rng, shape, dtype)
        check_backward(*map(way.asarray, arrays), axis)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("run", [1, 2, 15, 16, 17, 191, 192, 193, 2047, 2048, 2049, 9000])
def test_every_length_of_a_run(way, dtype, run):
    """An alpha for each run: runs that are laid out and runs that have their own loop."""
    rng = np.random.default_rng(run)
    for shape in ((2, 3, run), (3, run)):
        x, dy = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
        check_backward(*map(way.asarray, (x, alphas((3,), dtype), dy)), len(shape) - 2)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_few_hard_sums_among_many(backend, dtype):
    """Only some alphas are undecided: they are summed again, and the others stay."""
    rng = np.random.default_rng(7)
    for shape, axis in (((200, 300), 1), ((300, 200), 0), ((40, 300, 5), 1)):
        x, dy = -abs(numbers(rng, shape, dtype)), numbers(rng, shape, dtype)
        for channel in (0, 17, 299):
            hard = np.moveaxis(dy, axis, 0)[channel].reshape(-1)
            values = wide(rng, hard.size, dtype)
            np.moveaxis(dy, axis, 0)[channel] = values.reshape(np.moveaxis(dy, axis, 0)[0].shape)
        check_backward(*map(backend.asarray, (x, alphas((300,), dtype), dy)), axis)


@pytest.mark.parametrize("alpha_dtype", ["float16", "float32"])
def test_sum_just_below_a_tie(way, alpha_dtype):
    """An interval's end that is first rounded to double must not reach the tie from below."""
    bits = {"float16": 11, "float32": 24}[alpha_dtype]
    tie = 1 + 3 * 2.0**-bits
    x, dy = np.zeros(32, np.float64), np.zeros(32, np.float64)
    x[16], dy[16] = -tie, -1
    x[0], dy[0] = -(2.0**-27), 0.45 * 2.0**-25
    x[1], dy[1] = -(2.0**-27), -0.3 * 2.0**-25
    for dtype in ("float32", "float64"):
        if np.dtype(dtype).type(tie) != tie:
            continue
        a, b = x.astype(dtype), dy.astype(dtype)
        alpha = np.array(0.25, alpha_dtype)
        expected = reference_prelu_backward(b, a, alpha)[1]
        assert_same_bits(dalpha_of(*map(way.asarray, (b, a, alpha))), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_single_terms_near_the_bottom(instruction_set, dtype):
    """Each alpha has one term, a product near the least subnormal: rounded once."""
    rng = np.random.default_rng(16)
    least = int(np.log2(float(ml_dtypes.finfo(dtype).smallest_subnormal)))
    x, dy = (
        np.ldexp(rng.standard_normal(4001), rng.integers(least // 2 - 6, least // 2 + 9, 4001))
        for _ in range(2)
    )
    x, dy = x.astype(dtype), dy.astype(dtype)
    x[::50], dy[::50] = 0, np.inf
    x[1::50], dy[1::50] = 0, ml_dtypes.finfo(dtype).max
    alpha = np.full(4001, 0.25, dtype)
    got = prelu_backward(dy, x, alpha)
    for result, right in zip(got, reference_prelu_backward(dy, x, alpha), strict=True):
        assert_same_bits(result, right)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_memory_that_does_not_begin_with_a_line(instruction_set, dtype):
    """Wide panels begin with the elements before a cache line; all offsets are tried."""
    rng = np.random.default_rng(17)
    for rows, lanes in ((900, 24), (9, 1500), (130, 64)):
        alpha = rng.standard_normal(lanes).astype(dtype)
        store = rng.standard_normal((2, rows * lanes + 40)).astype(dtype)
        for start in (0, 1, 5, 31):
            x, dy = store[:, start : start + rows * lanes].reshape(2, rows, lanes)
            got = prelu_backward(dy, x, alpha, axis=1)
            right = reference_prelu_backward(dy, x, alpha, axis=1)
            for result, expected in zip(got, right, strict=True):
                assert_same_bits(result, expected, f"{rows} x {lanes} from {start}")
            dy[: rows // 2], x[: rows // 2] = -dy[-(rows // 2) :], x[-(rows // 2) :]
            got = prelu_backward(dy, x, alpha, axis=1)[1]  # undecided: the sums cancel
            assert_same_bits(got, reference_prelu_backward(dy, x, alpha, axis=1)[1])
