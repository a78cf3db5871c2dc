"""Dask arrays: lazy, in x's chunks, and dalpha with the bits of one call on the whole array.

The file runs again with the other way of Dask to build graphs, `array.query-planning`, which can
only be chosen before `dask.array` is imported.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dask.array", reason="Dask is not installed")

import dask
import dask.array as da
from arrays import (
    AT_ZERO,
    DTYPES,
    PAIRS,
    PLACEMENTS,
    alphas,
    assert_same_bits,
    drawn,
    name,
    numbers,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_partial import KINDS, hard

from prelu_array import (
    _cpu,
    _dask,
    dalpha_from_partial,
    prelu,
    prelu_backward,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
)
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

PLANNING = bool(dask.config.get("array.query-planning"))
classic_only = pytest.mark.skipif(PLANNING, reason="Dask has no such function in this mode")


def cut(rng, n, most=4):
    """Chunk sizes along an axis of length n, some of them 0."""
    cuts = np.sort(rng.integers(0, n + 1, rng.integers(0, most)))
    return tuple(np.diff([0, *cuts, n]).tolist())


def lazy(a, rng=None, chunks=None):
    """A Dask array of the values, in random chunks where none are given."""
    return da.from_array(a, chunks=chunks or tuple(cut(rng, n) for n in a.shape))


def lazy_otherwise(a, rng):
    """In other chunks than x. With query planning, Dask 2026.8 fails to do it in several steps."""
    return lazy(a, rng, a.shape if PLANNING else None)


def compute(*arrays, workers=2):
    return dask.compute(*arrays, scheduler="threads", num_workers=workers)


def assert_looks_like(a, right, chunks):
    """What Dask knows before it computes is what comes."""
    assert isinstance(a, da.Array)
    assert (a.shape, a.dtype, a.chunks) == (right.shape, right.dtype, chunks)
    assert (type(a._meta), a._meta.dtype, a._meta.ndim) == (np.ndarray, right.dtype, right.ndim)


@pytest.fixture
def calls(monkeypatch):
    """The calls of the CPU backend on blocks: (function, need_dx, need_dalpha)."""
    seen = []

    def count(function, needs):
        original = getattr(_cpu, function)

        def counting(*args):
            if np.size(args[0]):  # Dask itself may try functions on nothing
                seen.append((function, *needs(args)))
            return original(*args)

        monkeypatch.setattr(_cpu, function, counting)

    count("forward", lambda args: ())
    count("backward", lambda args: args[5:7])
    count("backward_partial", lambda args: args[5:6])
    return seen


# ---- the same bits ----


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # abs of a NaN
def test_same_bits_for_any_chunks_and_workers(dtype):
    """20 ways to chunk hard data, with one worker and with two."""
    rng = np.random.default_rng(0)
    alpha = alphas((3,), dtype)
    for trial in range(20):
        kind = KINDS[trial % 4]
        x, dy = (a.reshape(5, 8, 3).transpose(0, 2, 1) for a in hard(kind, rng, 40, dtype))
        whole = prelu(x, alpha, axis=1), *prelu_backward(dy, x, alpha, axis=1)
        right = reference_prelu_backward(dy, x, alpha, axis=1)
        for a, b in zip(whole[1:], right, strict=True):
            assert_same_bits(a, b)
        lazy_x, lazy_dy, lazy_alpha = lazy(x, rng), lazy_otherwise(dy, rng), lazy(alpha, rng)
        results = (
            prelu(lazy_x, lazy_alpha, axis=1),
            *prelu_backward(lazy_dy, lazy_x, lazy_alpha, axis=1),
        )
        for workers in (1, 2):
            for got, expected in zip(compute(*results, workers=workers), whole, strict=True):
                assert_same_bits(got, expected, f"{kind}, {lazy_x.chunks}")


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_placements(placement):
    """Alpha lazy or not, in x's chunks or others; dy in others."""
    x, alpha, dy, axis = drawn(placement, np.float32, np.float64)
    rng = np.random.default_rng(1)
    right = (
        reference_prelu(x, alpha, axis=axis),
        *reference_prelu_backward(dy, x, alpha, axis=axis),
    )
    for k in range(3):
        lazy_x = lazy(x, rng, tuple((n,) for n in x.shape) if k == 2 else None)
        a = alpha if k == 1 else lazy(alpha, rng)
        results = (
            prelu(lazy_x, a, axis=axis),
            *prelu_backward(lazy_otherwise(dy, rng), lazy_x, a, axis=axis),
        )
        for got, expected, lazy_one in zip(compute(*results), right, results, strict=True):
            assert_same_bits(got, expected)
            like_x = lazy_one is not results[2]
            chunks = lazy_x.chunks if like_x else lazy_one.chunks if k == 1 else a.chunks
            assert_looks_like(lazy_one, expected, chunks)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
@pytest.mark.parametrize("at_zero", AT_ZERO)
def test_dtypes(dtype, alpha_dtype, at_zero):
    x, alpha, dy, axis = drawn("axis 1, NCHW", dtype, alpha_dtype)
    right = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    for chunks in ((1, 2, 3, 7), x.shape):
        results = prelu_backward(
            lazy(dy, chunks=x.shape), lazy(x, chunks=chunks), alpha, axis=axis, at_zero=at_zero
        )
        for got, expected, like in zip(compute(*results), right, results, strict=True):
            assert_same_bits(got, expected)
            assert like.dtype == like._meta.dtype == expected.dtype


@pytest.mark.parametrize(
    "value", [0.25, 3, np.float64(0.3), np.float16(0.3), [0.3], np.ones((1, 1))]
)
def test_one_alpha_is_part_of_the_call(value):
    """It is no task of its own."""
    x, dy = (numbers(np.random.default_rng(2), (6, 5), np.float32) for _ in range(2))
    lazy_x = lazy(x, chunks=(3, 5))
    y = prelu(lazy_x, value)
    assert len(dict(y.__dask_graph__())) <= 2 * 2 + 1  # a lazy array may have a task of its own
    results = y, *prelu_backward(lazy(dy, chunks=(6, 5)), lazy_x, value)
    right = reference_prelu(x, value), *reference_prelu_backward(dy, x, value)
    for got, expected in zip(compute(*results), right, strict=True):
        assert_same_bits(got, expected)


def test_0_d_and_empty():
    for shape, alpha_shape, axis in (((), (), None), ((), (1, 1), None), ((0, 3), (3,), 1),
                                     ((2, 0), (2,), 0), ((3, 0), (3, 0), None)):  # fmt: skip
        x, alpha = np.full(shape, -2, np.float32), np.full(alpha_shape, 0.5, np.float32)
        lazy_x = da.from_array(x, chunks=2) if shape else da.from_array(x)
        results = (
            prelu(lazy_x, alpha, axis=axis),
            *prelu_backward(lazy_x, lazy_x, alpha, axis=axis),
        )
        right = (
            reference_prelu(x, alpha, axis=axis),
            *reference_prelu_backward(x, x, alpha, axis=axis),
        )
        for got, expected in zip(compute(*results), right, strict=True):
            assert_same_bits(got, expected)


def test_byte_order():
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    results = prelu_backward(lazy(dy, chunks=x.shape), lazy(x.astype(">f4"), chunks=2),
                             alpha.astype(">f4"), axis=axis)  # fmt: skip
    right = reference_prelu_backward(dy, x, alpha, axis=axis)
    for got, expected, like in zip(compute(*results), right, results, strict=True):
        assert_same_bits(got, expected)
        assert like.dtype.isnative


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.data())
def test_fuzz(data):
    placement = data.draw(st.sampled_from(list(PLACEMENTS)))
    dtype, alpha_dtype = data.draw(st.sampled_from(PAIRS))
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype, data.draw(st.integers(0, 99)))

    def chunked(a):
        def lengths(n):
            cuts = data.draw(st.lists(st.integers(0, n), max_size=4).map(sorted))
            return tuple(np.diff([0, *cuts, n]).tolist())

        return da.from_array(a, chunks=tuple(lengths(n) for n in a.shape))

    lazy_dy = da.from_array(dy, chunks=dy.shape) if PLANNING else chunked(dy)
    a = data.draw(st.sampled_from([alpha, chunked(alpha)]))
    at_zero = data.draw(st.sampled_from(AT_ZERO))
    got = prelu_backward(lazy_dy, chunked(x), a, axis=axis, at_zero=at_zero)
    right = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    for one, expected in zip(compute(*got), right, strict=True):
        assert_same_bits(one, expected, placement)


# ---- partial sums ----


@pytest.mark.parametrize("placement", ["axis 1, NCHW", "per element", "axes out of order"])
def test_states_are_lazy_too_and_add_to_those_of_numpy(placement):
    x, alpha, dy, axis = drawn(placement, np.float32, np.float32)
    rng = np.random.default_rng(3)
    lazy_alpha = lazy(alpha, rng)
    args = lazy_otherwise(dy, rng), lazy(x, rng), lazy_alpha
    dx, state = prelu_backward_partial(*args, axis=axis)
    none, same = prelu_backward_partial(*args, axis=axis, need_dx=False)
    assert none is None
    whole = prelu_backward_partial(dy, x, alpha, axis=axis)[1]
    assert_looks_like(state, whole, (*lazy_alpha.chunks, (whole.shape[-1],)))
    right = reference_prelu_backward(dy, x, alpha, axis=axis)
    dalpha = dalpha_from_partial(state, np.float32)
    assert_looks_like(dalpha, right[1], lazy_alpha.chunks)
    for got, expected in zip(compute(dx, dalpha), right, strict=True):
        assert_same_bits(got, expected)
    again = dalpha_from_partial(same.rechunk(-1).rechunk({same.ndim - 1: 2}), "float32")
    assert_same_bits(compute(again)[0], right[1])
    twice = compute(state)[0] + whole
    assert_same_bits(dalpha_from_partial(twice, "f4"), dalpha_from_partial(2 * whole, "f4"))


# ---- lazy, and each block once ----


def raises_if_computed(block):
    raise AssertionError("a block was computed")


def test_nothing_is_computed_before_it_is_asked_for():
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float32)

    def never(a):
        return da.from_array(a, chunks=1).map_blocks(
            raises_if_computed, dtype=a.dtype, meta=np.empty((0,) * a.ndim, a.dtype)
        )

    arrays = never(dy), never(x), never(alpha)
    prelu(*arrays[1:], axis=axis)
    prelu_backward(*arrays, axis=axis)
    dalpha_from_partial(prelu_backward_partial(*arrays, axis=axis)[1], np.float32)


@pytest.mark.parametrize("alpha_axis", [1, None], ids=["blocks share alphas", "they do not"])
def test_each_block_is_computed_once(calls, alpha_axis):
    x, dy = (numbers(np.random.default_rng(4), (4, 6, 10), np.float32) for _ in range(2))
    alpha = alphas((6,) if alpha_axis else x.shape, np.float32)
    lazy_x, lazy_dy = lazy(x, chunks=(2, 3, 5)), lazy(dy, chunks=(4, 6, 1))
    y = prelu(lazy_x, alpha, axis=alpha_axis)
    dx, dalpha = prelu_backward(lazy_dy, lazy_x, alpha, axis=alpha_axis)
    assert not calls
    compute(y, dx, dalpha, (dx * 2).sum(), dalpha + 1)
    backward = ("backward_partial", True) if alpha_axis else ("backward", True, True)
    assert sorted(calls) == sorted([("forward",)] * 8 + [backward] * 8)


@classic_only
def test_each_block_is_computed_once_where_results_are_stored(calls):
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    dx, dalpha = prelu_backward(lazy(dy, chunks=1), lazy(x, chunks=2), alpha, axis=axis)
    targets = np.empty_like(x), np.empty_like(alpha)
    da.store([dx, dalpha], targets)
    assert calls == [("backward_partial", True)] * dx.npartitions
    for got, expected in zip(targets, prelu_backward(dy, x, alpha, axis=axis), strict=True):
        assert_same_bits(got, expected)


def test_what_is_not_needed_is_not_computed(calls):
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    args = lazy(dy, chunks=x.shape), lazy(x, chunks=(1, 3, 5, 7)), alpha
    right = reference_prelu_backward(dy, x, alpha, axis=axis)
    dx, none = prelu_backward(*args, axis=axis, need_dalpha=False)
    assert none is None
    assert_same_bits(compute(dx)[0], right[0])
    assert calls == [("backward", True, False)] * 2
    calls.clear()
    none, dalpha = prelu_backward(*args, axis=axis, need_dx=False)
    assert none is None
    assert_same_bits(compute(dalpha)[0], right[1])
    assert calls == [("backward_partial", False)] * 2
    assert prelu_backward(*args, axis=axis, need_dx=False, need_dalpha=False) == (None, None)


def test_the_same_call_has_the_same_name():
    """Dask knows results again by their names."""
    x, alpha, _, axis = drawn("axis 1, NCHW", np.float32, np.float32)

    def results():
        lazy_x = lazy(x, chunks=2)
        return prelu(lazy_x, alpha, axis=axis), *prelu_backward(lazy_x, lazy_x, alpha, axis=axis)

    names = [[a.name for a in results()] for _ in range(2)]
    assert names[0] == names[1]
    assert len(set(names[0])) == 3


@pytest.mark.parametrize("shape", [(3,), (1,)])
def test_alpha_is_that_of_the_time_of_the_call(shape):
    x, alpha = drawn("axis 1, NCHW", np.float32, np.float32)[0], alphas(shape, np.float32)
    right = reference_prelu(x, alpha, axis=1)
    y = prelu(lazy(x, chunks=2), alpha, axis=1)
    alpha -= 7
    assert_same_bits(compute(y)[0], right)


# ---- forward mode and the second order ----


@pytest.mark.parametrize(
    "placement",
    ["size 1", "per element", "axis 1, NCHW", "Keras, some axes shared", "axes out of order"],
)
def test_forward_mode_and_second_order(placement):
    """In many blocks, and in one."""
    x, alpha, dy, axis = drawn(placement, np.float32, np.float64)
    rng = np.random.default_rng(6)
    u, v = numbers(rng, x.shape, np.float32), numbers(rng, alpha.shape, np.float64)
    for lazy_x, lazy_v in ((lazy(x, rng), lazy(v, rng)), (lazy(x, rng, x.shape), v)):
        lazy_u, lazy_dy = lazy_otherwise(u, rng), lazy_otherwise(dy, rng)
        for at_zero in AT_ZERO:
            options = {"axis": axis, "at_zero": at_zero}
            results = (
                prelu_jvp(lazy_x, alpha, lazy_u, lazy_v, **options),
                *prelu_double_backward(lazy_u, lazy_v, lazy_dy, lazy_x, alpha, **options),
            )
            right = (
                reference_prelu_jvp(x, alpha, u, v, **options),
                *reference_prelu_double_backward(u, v, dy, x, alpha, **options),
            )
            for got, expected in zip(compute(*results), right, strict=True):
                assert_same_bits(got, expected)
            assert [a.chunks for a in results[:3]] == [lazy_x.chunks] * 3


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_second_order_of_hard_sums(dtype):
    rng = np.random.default_rng(7)
    for kind in KINDS:
        for at_zero in AT_ZERO:
            u, dy = hard(kind, rng, 40, dtype)
            x, v, alpha = numbers(rng, u.shape, dtype), alphas((3,), dtype), alphas((3,), dtype)
            options = {"axis": 1, "at_zero": at_zero}
            lazy_x = lazy(x, chunks=(9, 2))
            got = prelu_double_backward(
                lazy(u, chunks=(9, 2)), v, lazy(dy, chunks=(9, 2)), lazy_x, alpha, **options
            )
            right = reference_prelu_double_backward(u, v, dy, x, alpha, **options)
            for one, expected in zip(compute(*got), right, strict=True):
                assert_same_bits(one, expected, kind)


def test_directions_of_a_number():
    x = np.array([-2.0, 3.0], np.float32)
    lazy_x = lazy(x, chunks=1)
    y_dot = prelu_jvp(lazy_x, 0.25, lazy_x, 1.0)
    assert_same_bits(compute(y_dot)[0], reference_prelu_jvp(x, 0.25, x, 1.0))
    for wrong, error, pattern in (
        (lambda: prelu_jvp(lazy_x, np.ones(2, "f4"), lazy_x, 1.0), ValueError,
         r"^alpha_dot must have alpha's shape \(2,\), got \(\)$"),
        (lambda: prelu_jvp(lazy_x, 0.25, lazy_x, np.float64(1)), TypeError,
         "^alpha_dot must have alpha's dtype float32, got float64$"),
        (lambda: prelu_jvp(lazy_x, 0.25, lazy_x, 1e39), ValueError,
         "^alpha_dot must fit alpha's dtype float32, got 1e"),
        (lambda: prelu_jvp(lazy_x, 0.25, x, 1.0), TypeError, "^x_dot must be a Dask array"),
        (lambda: prelu_double_backward(lazy_x[:1], 1.0, lazy_x, lazy_x, 0.25), ValueError,
         r"^ddx must have x's shape \(2,\), got \(1,\)$"),
    ):  # fmt: skip
        with pytest.raises(error, match=pattern):
            wrong()


# ---- chunks of unknown size ----


@classic_only
def test_unknown_chunks_along_other_axes():
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    x, dy = np.concatenate([x, x[::-1]]), np.concatenate([dy, dy])
    keep = np.array([True, False, True, True])
    lazy_x, lazy_dy = (
        lazy(a, chunks=(3, 2, 5, 7))[da.from_array(keep, chunks=3)] for a in (x, dy)
    )
    x, dy = x[keep], dy[keep]
    for a, k in ((alpha, axis), (0.25, None)):
        results = prelu(lazy_x, a, axis=k), *prelu_backward(lazy_dy, lazy_x, a, axis=k)
        right = reference_prelu(x, a, axis=k), *reference_prelu_backward(dy, x, a, axis=k)
        for got, expected in zip(compute(*results), right, strict=True):
            assert_same_bits(got, expected)


@classic_only
def test_unknown_chunks_along_alpha():
    x = np.ones((4, 3), np.float32)
    known = lazy(x, chunks=2)
    unknown = known[known[:, 0] > 0]
    pattern = (
        r"^{0} has chunks of unknown size along axis 0; "
        r"call {0}\.compute_chunk_sizes\(\) first, which computes them$"
    )
    for named, wrong in (
        ("x", lambda: prelu(unknown, np.ones(4, np.float32), axis=0)),
        ("alpha", lambda: prelu(known, unknown[:, 0], axis=0)),
        ("x", lambda: prelu_backward(known, unknown, 0.5)),
        ("dy", lambda: prelu_backward(unknown, known, 0.5)),
        ("x", lambda: prelu_backward(unknown.rechunk({1: 1})[unknown[:, 0] > 0].blocks[:1],
                                     unknown, 0.5)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=pattern.format(named)):
            wrong()


def test_signatures_are_those_of_the_cpu():
    stub = ast.parse(Path(_cpu.__file__).with_name("_cpu.pyi").read_text(encoding="utf-8"))
    functions = {f.name: f for f in stub.body if isinstance(f, ast.FunctionDef)}
    for function in ("forward", "backward", "jvp", "double_backward", "backward_partial",
                     "round_partial"):  # fmt: skip
        names = [argument.arg for argument in functions[function].args.args]
        assert list(inspect.signature(getattr(_dask, function)).parameters) == names


# ---- errors, all of them before anything is computed ----

X = np.ones((2, 3), np.float32)
LAZY = da.from_array(X, chunks=1)
ALPHA = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("wrong", "error", "pattern"),
    [
        (
            lambda: prelu(X, LAZY),
            TypeError,
            "alpha must be of the same library .*, got dask.*; use dask",
        ),
        (
            lambda: prelu_backward(LAZY, X, 0.5),
            TypeError,
            "dy must be of the same .*, got dask.*; use dask",
        ),
        (
            lambda: prelu_backward(X, LAZY, 0.5),
            TypeError,
            r"dy must be a Dask array as x is, got numpy\.ndarray; use dask\.array\.from_array",
        ),
        (lambda: prelu(LAZY, 0.5, out=LAZY), TypeError, "out must be None for Dask arrays"),
        (
            lambda: prelu_backward(LAZY, LAZY, 0.5, out=(X, None)),
            TypeError,
            "out must be None for Dask arrays",
        ),
        (
            lambda: prelu_jvp(LAZY, 0.5, LAZY, 1.0, out=X),
            TypeError,
            "out must be None for Dask arrays",
        ),
        (
            lambda: prelu_double_backward(LAZY, 1.0, LAZY, LAZY, 0.5, out=(X, None, None)),
            TypeError,
            "out must be None for Dask arrays",
        ),
        (
            lambda: prelu_backward_partial(LAZY, LAZY, 0.5, out=(X, None)),
            TypeError,
            "out must be None for Dask arrays",
        ),
        (lambda: prelu(LAZY.astype("i2"), 1), TypeError, "x must be float16, .* got int16"),
        (
            lambda: prelu(LAZY.astype(int), 0.5),
            TypeError,
            "alpha must be a Python int .*, got 0.5",
        ),
        (lambda: prelu(LAZY.astype(int), LAZY), TypeError, "alpha must be a .*, got float32"),
        (lambda: prelu(LAZY.astype("i4"), 1 << 31), ValueError, "alpha must fit x's dtype int32"),
        (
            lambda: prelu_backward(LAZY, LAZY.astype(int), 1),
            TypeError,
            "x must be float16, .* got int64; an integer has no derivative",
        ),
        (lambda: prelu(LAZY, LAZY.astype(int)), TypeError, "alpha must be float16, .* got int64"),
        (lambda: prelu(LAZY, True), TypeError, "alpha must be float16, .* got bool"),
        (lambda: prelu(LAZY, np.int8(1)), TypeError, "alpha must be float16, .* got int8"),
        (lambda: prelu(LAZY, None), TypeError, "alpha must be a number, a list or an array of"),
        (lambda: prelu(LAZY, np.ma.ones(3)), TypeError, "alpha must be .* mask would be lost"),
        (lambda: prelu(LAZY, 1e39), ValueError, "alpha must fit x's dtype float32, got 1e"),
        (lambda: prelu(LAZY, 0.5, axis=1.0), TypeError, "axis must be None, an integer"),
        (lambda: prelu(LAZY, ALPHA, axis=2), ValueError, "axis must lie between -2 and 1"),
        (
            lambda: prelu(LAZY, np.ones(2)),
            ValueError,
            r"alpha\.shape must broadcast .* alpha\.shape \(2,\), x\.shape \(2, 3\), axis=None; "
            "axis=0 would fit",
        ),
        (lambda: prelu(LAZY, da.ones(4), axis=1), ValueError, r"alpha\.shape must be \(3,\)"),
        (
            lambda: prelu_backward(LAZY[:1], LAZY, 0.5),
            ValueError,
            r"dy must have x's shape \(2, 3\), got \(1, 3\)",
        ),
        (lambda: prelu_backward(LAZY[0], LAZY, 0.5), ValueError, "dy must have x's shape"),
        (
            lambda: prelu_backward(LAZY.astype("f8"), LAZY, 0.5),
            TypeError,
            "dy must have x's dtype float32, got float64",
        ),
        (
            lambda: prelu_backward(LAZY, LAZY, 0.5, at_zero="zero"),
            ValueError,
            "at_zero must be 'alpha' or 'one'",
        ),
        (
            lambda: dalpha_from_partial(LAZY, np.float32),
            TypeError,
            "state must be .*int64.*, got float32",
        ),
        (
            lambda: dalpha_from_partial(da.ones((2, 3), dtype=np.int64), np.float32),
            ValueError,
            r"state.* 8, 22, 23 or 137 limbs .*\(3,\)",
        ),
        (
            lambda: dalpha_from_partial(da.ones((2, 23), dtype=np.int64), np.int32),
            TypeError,
            "dtype must be float16, .* got int32",
        ),
    ],
)
def test_errors(wrong, error, pattern):
    with pytest.raises(error, match=f"^{pattern}") as caught:
        wrong()
    assert caught.value.__context__ is None


@classic_only
def test_masked_blocks():
    with pytest.raises(TypeError, match=r"^x must be .* mask would be lost"):
        prelu(da.ma.masked_array(LAZY), 0.5)


def test_dask_is_not_imported_by_numpy_arrays():
    code = """
import sys, numpy as np, prelu_array
x = np.ones(3)
prelu_array.prelu_backward(x, x, 0.5)
print("dask" in sys.modules, "prelu_array._dask" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False False\n", "")


# ---- processes ----


def dies_once(block, marker):
    """Return the block; the first process that is asked to dies."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return block


@classic_only
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.filterwarnings("default")  # the cluster's own, of ports and of the dead worker
def test_a_worker_dies_and_the_bits_are_the_same(tmp_path):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    x, dy = (numbers(np.random.default_rng(5), (16, 8, 6, 7), np.float32) for _ in range(2))
    alpha = alphas((8,), np.float32)
    marker = tmp_path / "died"
    lazy_x = lazy(x, chunks=(2, 8, 6, 7))
    deadly = lazy_x[10:12].map_blocks(dies_once, marker, dtype=x.dtype, meta=lazy_x._meta)
    lazy_x = da.concatenate([lazy_x[:10], deadly, lazy_x[12:]])
    dx, dalpha = prelu_backward(lazy(dy, chunks=4), lazy_x, alpha, axis=1)
    y = prelu(lazy_x, alpha, axis=1)
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50,
            local_directory=tmp_path,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        got = client.gather(client.compute([y, dx, dalpha]))
    assert marker.exists()
    right = prelu(x, alpha, axis=1), *prelu_backward(dy, x, alpha, axis=1)
    for one, expected in zip(got, right, strict=True):
        assert_same_bits(one, expected)


@classic_only
def test_with_query_planning():
    """All of this file, with the other graphs."""
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", str(Path(__file__))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "DASK_ARRAY__QUERY_PLANNING": "True"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@classic_only
def test_the_page_runs():
    page = (Path(__file__).parent.parent / "docs" / "dask.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(block, "docs/dask.md", "exec"), names)
    x, y, dalpha = names["x"].compute(), names["y"].compute(), names["dalpha"]
    assert_same_bits(y, prelu(x, names["alpha"], axis=1))
    assert_same_bits(dalpha, prelu_backward(np.ones_like(x), x, names["alpha"], axis=1)[1])
