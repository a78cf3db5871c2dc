"""What adapters build on: calls by addresses, a number rounded once, huge pages."""

from __future__ import annotations

import mmap
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from arrays import DTYPES, PLACEMENTS, assert_same_bits, drawn, name, numbers

from prelu_array import _pages
from prelu_array._cpu import start
from prelu_array._rounding import rounded
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

ORDER = ("out", "x", "g", "alpha", "dalpha", "alpha_dot", "dy", "of_x")


def called(axis, at_one=False, threads=0, c_order=False, **operands):
    """Run a call on NumPy's memory."""
    given = [operands.get(operand) for operand in ORDER]
    x, alpha = operands["x"], operands["alpha"]
    strides = [
        None if a is None or c_order else tuple([s // a.itemsize for s in a.strides])
        for a in given
    ]
    start(
        DTYPES.index(x.dtype), DTYPES.index(alpha.dtype), at_one, x.shape, alpha.shape, axis,
        tuple([0 if a is None else a.ctypes.data for a in given]), tuple(strides), threads,
    )  # fmt: skip


@pytest.mark.parametrize("c_order", [False, True])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_function(placement, c_order):
    x, alpha, dy, axis = drawn(placement, np.float32, np.float64)
    rng = np.random.default_rng(1)
    ddx, ddalpha = numbers(rng, x.shape, x.dtype), numbers(rng, alpha.shape, alpha.dtype)
    out, of_x, result = np.empty_like(x), np.empty_like(x), np.empty_like(alpha)
    options = {"c_order": c_order, "x": x, "alpha": alpha, "out": out}
    called(axis, **options)
    assert_same_bits(out, reference_prelu(x, alpha, axis=axis))
    called(axis, True, **options, g=dy, dalpha=result)
    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero="one")
    assert_same_bits(out, expected[0])
    assert_same_bits(result, expected[1])
    called(axis, **options, g=ddx, alpha_dot=ddalpha)
    assert_same_bits(out, reference_prelu_jvp(x, alpha, ddx, ddalpha, axis=axis))
    called(axis, **options, g=ddx, alpha_dot=ddalpha, dalpha=result, dy=dy, of_x=of_x)
    expected = reference_prelu_double_backward(ddx, ddalpha, dy, x, alpha, axis=axis)
    for got, right in zip((out, of_x, result), expected, strict=True):
        assert_same_bits(got, right)


def test_strides():
    rng = np.random.default_rng(2)
    x = numbers(rng, (4, 6, 5), np.float32)[::2, ::-1].transpose(2, 0, 1)
    alpha, out = numbers(rng, (12,), np.float32)[::2], np.empty((5, 2, 12), np.float32)[..., ::2]
    called(-1, x=x, alpha=alpha, out=out)
    assert_same_bits(out, reference_prelu(x, alpha, axis=-1))
    dy, dalpha = np.broadcast_to(np.float32(0.5), x.shape), np.empty(6, np.float32)
    called((2,), x=x, alpha=alpha, g=dy, dalpha=dalpha)
    assert_same_bits(dalpha, reference_prelu_backward(dy, x, alpha, axis=2)[1])


@pytest.mark.parametrize("most", [0, 1, 2])
def test_threads(threads, most):
    threads(2)
    x = np.linspace(-3, 1, 1 << 22, dtype=np.float32).reshape(64, 16, -1)
    alpha, dalpha = np.linspace(0, 1, 16, dtype=np.float32), np.empty(16, np.float32)
    called(1, threads=most, x=x, alpha=alpha, g=x, dalpha=dalpha)
    wide = np.where(x > 0, 0, x).astype(np.float64) ** 2
    assert_same_bits(dalpha, wide.sum((0, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "alpha_shape", "axis", "error", "message"),
    [
        ((2, 3), (2,), 1, ValueError, r"alpha\.shape must be \(3,\)"),
        ((2, 3), (2,), None, ValueError, "axis=0 would fit"),
        ((2, 3), (3,), 2, ValueError, "axis must lie between"),
        ((2, 3), (3,), 1.0, TypeError, "axis must be None"),
        ((1,) * 65, (), None, ValueError, "64 dimensions at most, got 65 and 0"),
        ((1,), (1,) * 65, None, ValueError, "64 dimensions at most, got 1 and 65"),
    ],
)
def test_errors(shape, alpha_shape, axis, error, message):
    """Before any memory is read."""
    with pytest.raises(error, match=message):
        start(2, 2, False, shape, alpha_shape, axis, (8,) * 8, (None,) * 8, 0)


def test_no_elements():
    start(2, 2, False, (0, 3), (3,), 1, (8,) * 8, (None,) * 8, 0)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_a_number_is_rounded_once(dtype):
    """To the nearest of the neighbours, which are exact fractions; a tie to the even one."""
    rng = np.random.default_rng(3)
    info = ml_dtypes.finfo(dtype)
    near = numbers(rng, 200, dtype).astype(np.float64)
    spread = rng.standard_normal(200) * 2.0 ** rng.integers(-160, 100, 200)
    steps = np.abs(near) * float(info.eps) / 2
    largest = float(info.max)
    for value in (*near, *(near + steps), *(near + steps * 1.0000001), *spread, 0.0, -0.0, 1e-400):
        value = float(value)
        if abs(value) > largest:
            continue
        got = rounded(value, np.dtype(dtype).name)
        there = np.asarray(got).astype(dtype)
        assert float(there) == got
        assert np.signbit(there) == np.signbit(value)
        bits = there.view(f"i{there.itemsize}")
        error = abs(Fraction(got) - Fraction(value))
        for step in (-1, 1):
            other = float((bits + step).astype(bits.dtype).view(dtype))
            if np.isfinite(other):
                distance = abs(Fraction(other) - Fraction(value))
                assert error < distance or (error == distance and int(bits) % 2 == 0)
    assert rounded(float("-inf"), np.dtype(dtype).name) == float("-inf")
    assert rounded(float("nan"), np.dtype(dtype).name) != 0


def test_huge_pages(monkeypatch):
    """Asked for within the memory only, and only where it is large."""
    asked = []
    monkeypatch.setattr(_pages, "_function", lambda *args: asked.append(args))
    page = mmap.PAGESIZE
    _pages.ask_for_huge(5 * page + 7, _pages.FROM - 1)
    assert not asked
    _pages.ask_for_huge(5 * page + 7, _pages.FROM + page)
    _pages.ask_for_huge(5 * page, _pages.FROM)
    assert [(first, size) for first, size, _ in asked] == [
        (6 * page, _pages.FROM), (5 * page, _pages.FROM),
    ]  # fmt: skip
    monkeypatch.setattr(_pages, "_function", None)
    _pages.ask_for_huge(5 * page, _pages.FROM)
