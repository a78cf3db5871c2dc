"""Zeros, infinities, NaN and subnormals: the contract's table, and every place in a loop."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import math
import platform
import sys
from contextlib import contextmanager

import ml_dtypes
import numpy as np
import pytest
from arrays import (
    AT_ZERO,
    DTYPES,
    PAIRS,
    assert_same_bits,
    check_backward,
    check_forward,
    name,
    numbers,
    word,
)

from prelu_array import prelu, prelu_backward, prelu_double_backward, prelu_jvp
from prelu_array.testing import cases, reference_prelu, reference_prelu_backward
from prelu_array.testing._cases import specials

SIZES = (*range(66), 255, 256, 257)  # every vector width with every tail
INF, NAN = float("inf"), float("nan")

# x, alpha, y, dx for dy = 1, and the term of dalpha for dy = 1, as the contract writes them
TABLE = (
    (0.0, 0.25, 0.0, 0.25, 0.0),
    (-0.0, 0.25, -0.0, 0.25, 0.0),
    (0.0, -0.5, -0.0, -0.5, 0.0),
    (-0.0, -0.5, 0.0, -0.5, 0.0),
    (NAN, 0.25, NAN, 0.25, NAN),
    (INF, 0.25, INF, 1, 0.0),
    (INF, NAN, INF, 1, 0.0),
    (INF, INF, INF, 1, 0.0),
    (INF, -INF, INF, 1, 0.0),
    (-INF, 0.25, -INF, 0.25, -INF),
    (-INF, 0.0, NAN, 0.0, -INF),
    (1.0, NAN, 1.0, 1, 0.0),
    (1.0, INF, 1.0, 1, 0.0),
    (0.0, NAN, NAN, NAN, 0.0),
    (0.0, INF, NAN, INF, 0.0),
    (0.0, -INF, NAN, -INF, 0.0),
)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"x={row[0]},alpha={row[1]}")
def test_table_of_the_contract(backend, row, dtype, alpha_dtype):
    x, y, dx = (np.array([value], dtype) for value in (row[0], row[2], row[3]))
    alpha, dalpha = (np.array([value], alpha_dtype) for value in (row[1], row[4]))
    x_, alpha_, dy_ = map(backend.asarray, (x, alpha, np.ones(1, dtype)))
    assert_same_bits(prelu(x_, alpha_), y)
    got = prelu_backward(dy_, x_, alpha_)
    assert_same_bits(got[0], dx)
    assert_same_bits(got[1], dalpha)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"x={row[0]},alpha={row[1]}")
def test_table_of_the_contract_beside_other_elements(way, row):
    """In a sum and in a vector, not alone."""
    for n in (2, 16, 40, 300):
        x, dy = np.full(n, -2.0, np.float32), np.full(n, 3.0, np.float32)
        x[n // 2], dy[n // 2] = row[0], 1
        alpha = np.float32(row[1])
        x, dy = way.asarray(x), way.asarray(dy)
        y = way.asnumpy(prelu(x, alpha))
        dx, dalpha = map(way.asnumpy, prelu_backward(dy, x, alpha))
        assert_same_bits(y[n // 2], np.float32(row[2]))
        assert_same_bits(dx[n // 2], np.float32(row[3]))
        assert_same_bits(dalpha, np.array(row[4] - 6 * (n - 1), np.float32))


@functools.cache
def rotations(dtype, n):
    """Rows in which every special value stands at every place once, and what is right for them."""
    values = specials(dtype)
    turned = np.array([np.resize(np.roll(values, k), n) for k in range(values.size)], values.dtype)
    dy = turned[::-1].copy()
    alpha = np.resize(values[::-1], values.size).reshape(-1, 1)
    dx = [reference_prelu_backward(dy, turned, alpha, at_zero=at_zero)[0] for at_zero in AT_ZERO]
    return turned, dy, alpha, reference_prelu(turned, alpha), dx


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_special_values_at_every_place(way, dtype):
    for n in SIZES:
        x, dy, alpha, y, dx = rotations(dtype, n)
        x, dy, alpha = map(way.asarray, (x, dy, alpha))
        rows = range(len(x))
        got = np.array([way.asnumpy(prelu(x[k], alpha[k])) for k in rows], y.dtype)
        assert_same_bits(got, y, f"y of {n}")
        for at_zero, right in zip(AT_ZERO, dx, strict=True):
            got = [
                way.asnumpy(prelu_backward(dy[k], x[k], alpha[k], at_zero=at_zero)[0])
                for k in rows
            ]
            assert_same_bits(np.array(got, y.dtype), right, f"dx of {n}, at_zero={at_zero!r}")


@functools.cache
def intruders(dtype, n):
    """Rows of ordinary numbers with one special value each, and their dalpha."""
    info = ml_dtypes.finfo(dtype)
    values = [NAN, INF, -INF, -float(info.max), -float(info.smallest_subnormal)]
    rng = np.random.default_rng(n)
    shape = (len(values) * n, n)
    x, dy = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
    for place in range(n):
        for k, value in enumerate(values):
            row = x if (place + k) % 2 else dy
            row[place * len(values) + k, place] = value
    alpha = np.full((shape[0], 1), 0.25, dtype)
    return x, dy, reference_prelu_backward(dy, x, alpha)[1]


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_one_special_value_in_a_sum_at_every_place(way, dtype):
    for n in SIZES:
        x, dy, right = intruders(dtype, n)
        x, dy = way.asarray(x), way.asarray(dy)
        got = way.asarray(np.empty_like(right))
        for k in range(len(right)):
            prelu_backward(dy[k], x[k], 0.25, need_dx=False, out=(None, got[k, 0:1].reshape(())))
        assert_same_bits(got, right, f"dalpha of {n}")


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_pairs_of_special_values(backend, dtype, alpha_dtype):
    layouts = ("channel", "element")
    for case in cases(dtype=dtype, alpha_dtype=alpha_dtype, kind="specials", layouts=layouts):
        x, alpha, dy = map(backend.asarray, (case.x, case.alpha, case.dy))
        check_forward(x, alpha, case.axis, case.name)
        check_backward(x, alpha, dy, case.axis, case.name)


def any_nans(dtype, n):
    """NaNs of both signs, quiet and signalling, with the smallest and largest payloads."""
    inf, one = np.array(INF, dtype).view(word(dtype)), word(dtype).type(1)
    sign = one << (8 * one.itemsize - 1)
    largest = sign - one - inf
    random = np.random.default_rng(0).integers(1, largest, n, word(dtype), endpoint=True)
    random[:4] = [largest, one, largest - one, largest >> one][:n]
    return (random | inf | np.where(np.arange(n) % 3 == 0, sign, 0)).view(dtype)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
@pytest.mark.parametrize("n", [1, 37, 64, 1100])
def test_a_nan_of_any_bits_stays_one(way, n, dtype, alpha_dtype):
    """Rounding to bfloat16 adds to the bits, and a NaN's could become those of -0."""
    alpha, of_alpha = np.full(n, 0.5, alpha_dtype), any_nans(alpha_dtype, n)
    x, dy = np.full((3, n), -1, dtype), np.ones((3, n), dtype)
    of_x = any_nans(dtype, 3 * n).reshape(3, n)
    x, dy, of_x, alpha, of_alpha = map(way.asarray, (x, dy, of_x, alpha, of_alpha))
    results = [
        prelu(x, of_alpha, axis=1),
        prelu(x[0], of_alpha),
        prelu(x, of_alpha[0]),
        prelu(of_x, alpha, axis=1),
        prelu(of_x, alpha[0]),
        prelu_backward(dy, x, of_alpha, axis=1)[0],
        prelu_backward(dy[0], x[0], of_alpha)[0],
        *prelu_backward(of_x, x, alpha, axis=1),
        *prelu_backward(of_x, x, alpha[0]),
        *prelu_backward(of_x[0], x[0], alpha),
        prelu_backward(dy, of_x, alpha, axis=1)[1],
        prelu_backward(dy[0], of_x[0], alpha)[1],
        prelu_jvp(x, of_alpha, dy, alpha, axis=1),
        prelu_jvp(x, alpha, dy, of_alpha, axis=1),
        prelu_jvp(x, alpha, of_x, alpha, axis=1),
        prelu_double_backward(dy, of_alpha, dy, x, alpha, axis=1)[1],
        prelu_double_backward(of_x, alpha, dy, x, alpha, axis=1)[2],
    ]
    assert all(np.isnan(way.asnumpy(result).astype(np.float64)).all() for result in results)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_terms_about_the_smallest_subnormal(way, dtype):
    rng = np.random.default_rng(6)
    bottom = round(math.log2(ml_dtypes.finfo(dtype).smallest_subnormal) / 2)
    n = 3000
    x, dy, alpha = (
        np.ldexp(rng.standard_normal(n), rng.integers(bottom - 4, bottom + 8, n)).astype(dtype)
        for _ in range(3)
    )
    dx, dalpha = reference_prelu_backward(dy, x, alpha)
    got = prelu_backward(*map(way.asarray, (dy, x, alpha)))
    assert_same_bits(way.asnumpy(got[0]), dx, "dx")
    assert_same_bits(way.asnumpy(got[1]), dalpha, "dalpha")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_shared_alpha_and_special_values(backend, dtype):
    for case in cases(dtype=dtype, kind="specials", layouts=["shared"]):
        x, alpha, dy = map(backend.asarray, (case.x, case.alpha, case.dy))
        check_forward(x, alpha, None, case.name)
        check_backward(x, alpha, dy, None, case.name)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_tails_of_every_layout(way, dtype):
    for case in cases(dtype=dtype, kind="tail"):
        axis = None if case.alpha.size == 1 else case.axis
        x, alpha, dy = map(way.asarray, (case.x, case.alpha, case.dy))
        check_forward(x, alpha, axis, case.name)
        check_backward(x, alpha, dy, axis, case.name)


# ---- the floating-point environment of someone else ----

# Where glibc's fenv_t has the control word, and the bits of it that flush subnormals.
_CONTROL = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}
_UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}


@pytest.fixture
def fenv():
    """Functions that switch something in this thread; what they switch is undone afterwards."""
    machine = platform.machine()
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or machine not in _CONTROL:
        pytest.skip("knows fenv_t of glibc on x86-64 and aarch64 only")
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    offset, flush = _CONTROL[machine]

    @contextmanager
    def flushing():
        before, changed = (ctypes.create_string_buffer(64) for _ in range(2))
        libm.fegetenv(before)
        libm.fegetenv(changed)
        control = ctypes.c_uint32.from_buffer(changed, offset)
        control.value |= flush
        libm.fesetenv(changed)
        try:
            yield
        finally:
            libm.fesetenv(before)

    @contextmanager
    def rounding_upward():
        libm.fesetround(_UPWARD[machine])
        try:
            yield
        finally:
            libm.fesetround(0)

    return {"flush to zero": flushing, "round upward": rounding_upward}


def flushes_subnormals():
    return float(np.multiply(np.full(64, 1e-310), 1.0)[5]) == 0


@pytest.mark.parametrize("switch", ["flush to zero", "round upward"])
@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_arrays_under_other_modes(fenv, instruction_set, dtype, alpha_dtype, switch):
    picked = list(
        cases(dtype=dtype, alpha_dtype=alpha_dtype, kind=("subnormals", "ties", "random"))
    )
    results = []
    with fenv[switch]():
        assert flushes_subnormals() == (switch == "flush to zero")
        for case in picked:
            axis = None if case.alpha.size == 1 else case.axis
            y = prelu(case.x, case.alpha, axis=axis)
            results.append((y, *prelu_backward(case.dy, case.x, case.alpha, axis=axis)))
        assert flushes_subnormals() == (switch == "flush to zero"), "a call must put it back"
    for case, got in zip(picked, results, strict=True):
        axis = None if case.alpha.size == 1 else case.axis
        right = (
            reference_prelu(case.x, case.alpha, axis=axis),
            *reference_prelu_backward(case.dy, case.x, case.alpha, axis=axis),
        )
        for a, b in zip(got, right, strict=True):
            assert_same_bits(a, b, case.name)


@pytest.mark.parametrize("switch", ["flush to zero", "round upward"])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_number_under_other_modes(fenv, dtype, switch):
    x = np.array([-1.0, -3.0, 2.0], dtype)
    for number in (3 * float(ml_dtypes.finfo(dtype).smallest_subnormal), 0.1, 0.7):
        with fenv[switch]():
            y = prelu(x, number)
        assert_same_bits(y, reference_prelu(x, number), f"alpha={number!r}")
