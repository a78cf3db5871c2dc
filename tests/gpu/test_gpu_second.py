"""The GPU backend's derivatives of other kinds: along a direction, second order, in parts."""

from __future__ import annotations

import math
from fractions import Fraction

import gpu_proof
import numpy as np
import pytest

from prelu_array import (
    dalpha_from_partial,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
)
from prelu_array.testing import (
    cases,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)
from prelu_array.testing._placement import alpha_index

gpu_proof.needed()

from gpu_proof import device
from test_gpu_kernels import (
    DTYPES,
    EVERY_PAIR,
    LAYOUTS,
    MANY_BLOCKS,
    PAIRS,
    assert_same_bits,
    check,
    name,
    numbers,
    proof,  # noqa: F401
    rules,
)

from prelu_array import _gpu

SMALLEST = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}


def reference_state(dy, x, alpha, axis, at_one):
    """Add integers and cut the sums into limbs: the contract's words, slowly."""
    kind = np.dtype(x.dtype).name
    limbs = {"float16": 8, "bfloat16": 22, "float32": 23, "float64": 137}[kind]
    unit = Fraction(2) ** (-2 * SMALLEST[kind])
    sums, counts = [0] * alpha.size, np.zeros((alpha.size, 3), np.int64)
    along = alpha_index(x.shape, alpha.shape, axis).ravel().tolist()
    for c, a, b in zip(along, *(v.astype(float).ravel().tolist() for v in (x, dy)), strict=True):
        if a > 0 or (at_one and a == 0):
            continue
        if math.isfinite(a) and math.isfinite(b):
            sums[c] += int(Fraction(a) * Fraction(b) * unit)
        else:
            counts[c, 0 if math.isnan(a * b) else 1 if a * b > 0 else 2] += 1
    state = np.zeros((alpha.size, limbs), np.int64)
    for c, total in enumerate(sums):
        for i in range(limbs - 4):
            state[c, i] = total & 0xFFFFFFFF
            total >>= 32
        state[c, limbs - 4] = total
    state[:, -3:] = counts
    return state.reshape(*alpha.shape, limbs)


def check_jvp(x, alpha, x_dot, alpha_dot, axis=None, offset=0, at_zero="alpha", what=""):
    axis = None if alpha.size == 1 else axis
    there = [device.place(a, offset) for a in (x, alpha, x_dot, alpha_dot)]
    got = prelu_jvp(*there, axis=axis, at_zero=at_zero)
    expected = reference_prelu_jvp(x, alpha, x_dot, alpha_dot, axis=axis, at_zero=at_zero)
    assert_same_bits(got, expected, f"y_dot {what}")


def check_second(ddx, ddalpha, dy, x, alpha, axis=None, offset=0, at_zero="alpha", what=""):
    axis = None if alpha.size == 1 else axis
    given = (ddx, ddalpha, dy, x, alpha)
    there = [device.place(a, offset) for a in given]
    got = prelu_double_backward(*there, axis=axis, at_zero=at_zero)
    expected = reference_prelu_double_backward(*given, axis=axis, at_zero=at_zero)
    for a, b, of in zip(got, expected, ("dy", "x", "alpha"), strict=True):
        assert_same_bits(a, b, f"cotangent of {of} {what}")


def check_partial(dy, x, alpha, axis=None, offset=0, at_zero="alpha", what=""):
    axis = None if alpha.size == 1 else axis
    there = [device.place(a, offset) for a in (dy, x, alpha)]
    dx, state = prelu_backward_partial(*there, axis=axis, at_zero=at_zero)
    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    assert_same_bits(dx, expected[0], f"dx {what}")
    right = reference_state(dy, x, alpha, axis, at_zero == "one")
    assert_same_bits(state, right, f"state {what}")
    assert_same_bits(dalpha_from_partial(state, alpha.dtype), expected[1], f"dalpha {what}")


def check_all(ddx, ddalpha, dy, x, alpha, axis=None, **options):
    check_jvp(x, alpha, ddx, ddalpha, axis, **options)
    check_second(ddx, ddalpha, dy, x, alpha, axis, **options)
    check_partial(dy, x, alpha, axis, **options)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), EVERY_PAIR, ids=name)
def test_layouts_aligned_and_not(proof, dtype, alpha_dtype):  # noqa: F811
    rng = np.random.default_rng(11)
    pair = PAIRS.index((dtype, alpha_dtype))
    for k, (layout, (shape, alpha_shape, axis)) in enumerate(LAYOUTS.items()):
        if (k + pair) % (2 if dtype == alpha_dtype else 6):
            continue  # every pair sees some layouts, together they see all
        x, dy, ddx = (numbers(rng, shape, dtype) for _ in range(3))
        alpha, ddalpha = (numbers(rng, alpha_shape, alpha_dtype) for _ in range(2))
        offset = 8 * (k % 2)
        check_all(ddx, ddalpha, dy, x, alpha, axis, offset=offset, what=f"{layout} at {offset}")


@pytest.mark.parametrize(("dtype", "alpha_dtype"), EVERY_PAIR, ids=name)
def test_special_values(proof, dtype, alpha_dtype):  # noqa: F811
    every = cases(dtype=dtype, alpha_dtype=alpha_dtype, kind="specials", layouts=("element",))
    for case in every:
        ddx, ddalpha = np.roll(case.dy, 7), np.roll(case.alpha, 3)
        check_all(
            ddx, ddalpha, case.dy, case.x, case.alpha, case.axis, at_zero="one", what=case.name
        )


def hard_sums(dtype, alpha_dtype):
    """Yield x, alpha, x_dot, alpha_dot: cancellation, near ties, any exponents."""
    rng = np.random.default_rng(12)
    n, wide = 300, np.float64 in (dtype, alpha_dtype)

    def any_size(dtype):
        reach = {2: 12, 4: 120, 8: 1000}[np.dtype(dtype).itemsize]
        return (rng.standard_normal(n) * 2.0 ** rng.integers(-reach, reach, n)).astype(dtype)

    yield -np.abs(any_size(dtype)), any_size(alpha_dtype), any_size(dtype), any_size(alpha_dtype)
    x = -np.abs(rng.standard_normal(n)).astype(dtype)
    alpha = rng.standard_normal(n).astype(alpha_dtype)
    yield x, alpha, x, -alpha  # cancels to +0
    yield x, alpha, x, np.nextafter(-alpha, alpha_dtype(0))
    # the first product is half a unit beyond a number of the compute type, the second one tiny
    first, second = (2.0**-26, 2.0**-27) if wide else (2.0**-12, 2.0**-12)
    one, other = np.full(n, 1 + first).astype(dtype), np.full(n, 1 + second).astype(alpha_dtype)
    tiny = (2.0 ** -rng.integers(90, 130, n) * rng.choice([-1, 0, 1], n)).astype(alpha_dtype)
    yield -one, other, one, tiny
    three = np.full(n, 1 + 3 * first).astype(dtype)
    yield -one, other, three, tiny


@pytest.mark.parametrize(("dtype", "alpha_dtype"), EVERY_PAIR, ids=name)
def test_hard_sums_of_two_products(proof, dtype, alpha_dtype):  # noqa: F811
    for k, (x, alpha, x_dot, alpha_dot) in enumerate(hard_sums(dtype, alpha_dtype)):
        check_jvp(x, alpha, x_dot, alpha_dot, what=f"set {k}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_states_of_terms_of_any_size(proof, dtype):  # noqa: F811
    """Windows that move, lanes of one warp at different places, several blocks."""
    rng = np.random.default_rng(13)
    reach = {2: 7, 4: 60, 8: 500}[np.dtype(dtype).itemsize]
    for shape, alpha_shape, axis in (((2500,), (), None), ((70, 3), (3,), 1)):
        x, dy = (
            (rng.standard_normal(shape) * 2.0 ** rng.integers(-reach, reach, shape)).astype(dtype)
            for _ in range(2)
        )
        dy.reshape(-1)[::97] = np.inf
        check_partial(dy, x, numbers(rng, alpha_shape, dtype), axis, what=str(shape))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_ways_of_large_arrays(proof, monkeypatch, dtype):  # noqa: F811
    rules(monkeypatch, **MANY_BLOCKS)
    rng = np.random.default_rng(18)
    for shape, alpha_shape, axis in (
        ((5003,), (), None),
        ((20, 3, 50), (3,), 1),
        ((3, 2, 600), (2,), 1),
        ((100, 24), (24,), 1),
        ((300, 10), (300,), 0),
        ((5, 20, 48), (5, 1, 48), None),
    ):
        x, dy, ddx = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
        alpha, ddalpha = (numbers(rng, alpha_shape, dtype) for _ in range(2))
        check_all(ddx, ddalpha, dy, x, alpha, axis, what=f"{shape}")


@pytest.mark.parametrize("dtype", [np.float16, np.float64], ids=name)
def test_gaps_and_three_runs_are_copied(proof, dtype):  # noqa: F811
    rng = np.random.default_rng(18)
    for layout in ("shared-in-the-middle", "swapped", "four-axes", "nchw", "three-runs"):
        shape, alpha_shape, axis = LAYOUTS[layout]
        x, dy, ddx = (numbers(rng, shape, dtype)[..., ::2] for _ in range(3))
        if alpha_shape[-1] == shape[-1]:
            alpha_shape = (*alpha_shape[:-1], x.shape[-1])
        if layout == "swapped":
            alpha_shape = (x.shape[2], x.shape[1])
        alpha, ddalpha = (numbers(rng, alpha_shape, dtype) for _ in range(2))
        check(x, alpha, dy, axis, what=layout)
        check_all(ddx, ddalpha, dy, x, alpha, axis, what=layout)


@pytest.mark.parametrize("order", ["C", "F"])
def test_outputs_of_the_second_order(proof, order):  # noqa: F811
    rng = np.random.default_rng(19)
    x, dy, ddx = (numbers(rng, (6, 4, 8), np.float32) for _ in range(3))
    alpha, ddalpha = (numbers(rng, (4,), np.float32) for _ in range(2))
    there = [device.place(a) for a in (ddx, ddalpha, dy, x, alpha)]
    outs = [device.place(np.asarray(a, order=order)) for a in (x, x, alpha)]
    expected = reference_prelu_double_backward(ddx, ddalpha, dy, x, alpha, axis=1)
    for _ in range(2):
        got = _gpu.double_backward(*there, 1, False, (outs[0], None, outs[2]))
        assert got[0] is outs[0]
        assert got[2] is outs[2]
        for a, b, of in zip(got, expected, ("dy", "x", "alpha"), strict=True):
            assert_same_bits(a, b, f"cotangent of {of}")
        y_dot = _gpu.jvp(there[3], there[4], there[0], there[1], 1, False, outs[1])
        assert y_dot is outs[1]
        assert_same_bits(y_dot, expected[0], "y_dot")
    state = device.place(reference_state(dy, x, alpha, 1, False) * 0 - 1)
    dx, got = _gpu.backward_partial(there[2], there[3], there[4], 1, False, True, (outs[0], state))
    assert dx is outs[0]
    assert got is state
    assert_same_bits(state, reference_state(dy, x, alpha, 1, False), "state")
    # everything may overwrite an input
    _gpu.double_backward(*there, 1, False, (there[2], there[3], there[4]))
    for a, b, of in zip(there[2:], expected, ("dy", "x", "alpha"), strict=True):
        assert_same_bits(a, b, f"cotangent of {of}, in place")


VIEWS = {
    "reversed": lambda a: a[::-1, :, ::-1],
    "steps": lambda a: a[::2, :, 1::3],
    "fortran": lambda a: a.transpose(2, 1, 0),
    "empty": lambda a: a[:, :, :0],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(proof, view):  # noqa: F811
    rng = np.random.default_rng(14)
    x, dy, ddx = (numbers(rng, (6, 4, 8), np.float32) for _ in range(3))
    alpha, ddalpha = (numbers(rng, (4, 2), np.float64) for _ in range(2))
    x, dy, ddx = (view(device.place(a)) for a in (x, dy, ddx))
    slopes = [device.place(a)[:, k] for k, a in enumerate((alpha, np.asfortranarray(ddalpha)))]
    host = [a.get() for a in (ddx, slopes[1], dy, x, slopes[0])]
    expected = reference_prelu_double_backward(*host, axis=1)
    got = prelu_double_backward(ddx, slopes[1], dy, x, slopes[0], axis=1)
    for a, b, of in zip(got, expected, ("dy", "x", "alpha"), strict=True):
        assert_same_bits(a, b, f"cotangent of {of}")
    assert_same_bits(prelu_jvp(x, slopes[0], ddx, slopes[1], axis=1), expected[0], "y_dot")
    dx, state = prelu_backward_partial(dy, x, slopes[0], axis=1, need_dx=False)
    assert dx is None
    assert_same_bits(state, reference_state(host[2], host[3], host[4], 1, False), "state")


def test_orders_of_memory_that_differ(proof):  # noqa: F811
    rng = np.random.default_rng(15)
    x, dy, ddx = (numbers(rng, (5, 4, 6), np.float32) for _ in range(3))
    alpha, ddalpha = (numbers(rng, (4, 6), np.float32) for _ in range(2))
    check_all(ddx.copy("F"), ddalpha, dy, x.copy("F"), alpha.copy("F"), None)


@pytest.mark.parametrize("alpha", [0.25, np.float64(-3)])
def test_numbers_as_slopes(proof, alpha):  # noqa: F811
    rng = np.random.default_rng(16)
    x, dy, ddx = (numbers(rng, (3, 40), np.float32) for _ in range(3))
    like = np.float32(alpha) if type(alpha) is float else alpha
    direction = type(like)(1.5)
    for cut in (slice(None), slice(None, None, 3)):
        host = [a[:, cut] for a in (ddx, dy, x)]
        there = [device.place(a)[:, cut] for a in (ddx, dy, x)]
        got = prelu_double_backward(there[0], direction, there[1], there[2], alpha)
        expected = reference_prelu_double_backward(host[0], direction, host[1], host[2], like)
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b, "cotangents")


def test_states_add(proof):  # noqa: F811
    """Sums of states are not carried, and may have any strides."""
    rng = np.random.default_rng(17)
    x, dy = (numbers(rng, (6, 5, 7), np.float32) for _ in range(2))
    alpha = device.place(numbers(rng, (5,), np.float32))
    total = np.zeros((23, 5), np.int64).T
    for k in range(6):
        total += prelu_backward_partial(device.place(dy[k]), device.place(x[k]), alpha, axis=0)[
            1
        ].get()
    expected = reference_prelu_backward(dy, x, alpha.get(), axis=1)[1]
    assert_same_bits(dalpha_from_partial(device.place(total), np.float32), expected, "dalpha")
    for dtype in DTYPES:
        right = reference_prelu_backward(dy, x, alpha.get().astype(np.float64), axis=1)[1]
        got = dalpha_from_partial(device.place(total), dtype)
        assert got.dtype == dtype
        if dtype == np.float64:
            assert_same_bits(got, right, "dalpha")


ERRORS = {
    "NumPy x_dot": (lambda x: prelu_jvp(x, 0.5, np.ones(4), 1.0), TypeError, "x_dot must be a Cu"),
    "x_dot's shape": (
        lambda x: prelu_jvp(x, 0.5, x[1:], 1.0),
        ValueError,
        "x_dot must have x's s",
    ),
    "alpha_dot's dtype": (
        lambda x: prelu_jvp(x, 0.5, x, np.float64(1)),
        TypeError,
        "alpha_dot must have alpha's dtype float32",
    ),
    "ddalpha's shape": (
        lambda x: prelu_double_backward(x, x, x, x, 0.5),
        ValueError,
        r"ddalpha must have alpha's shape \(\), got \(4,\)",
    ),
    "no state": (lambda x: dalpha_from_partial(x, "f4"), TypeError, "state must be int64"),
    "another length": (
        lambda x: dalpha_from_partial(x.view(np.int64), "f4"),
        ValueError,
        r"state must have 8, 22, 23 or 137 limbs along its last axis, got shape \(2,\)",
    ),
}


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_errors(proof, call, kind, message):  # noqa: F811
    with pytest.raises(kind, match=message):
        call(device.place(np.ones(4, np.float32)))
    assert proof.ran == []
