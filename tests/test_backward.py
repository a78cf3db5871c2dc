"""`prelu_backward` against the reference: dtypes, placements of alpha, at_zero, what is needed."""

import numpy as np
import pytest
from arrays import (
    AT_ZERO,
    DTYPES,
    PAIRS,
    PLACEMENTS,
    any_bits,
    assert_same_bits,
    check_backward,
    drawn,
    name,
    numbers,
)

from prelu_array import prelu_backward
from prelu_array.testing import cases, reference_prelu_backward

KINDS = ("alpha", "layout", "ties", "overflow", "subnormals", "random", "empty", "reported")


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_of_every_pair_of_dtypes(backend, placement, dtype, alpha_dtype):
    *arrays, axis = drawn(placement, dtype, alpha_dtype)
    check_backward(*map(backend.asarray, arrays), axis)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_loops_of_every_instruction_set(instruction_set, dtype, alpha_dtype):
    for placement in PLACEMENTS:
        check_backward(*drawn(placement, dtype, alpha_dtype, seed=1), placement)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_every_kind_of_case(backend, dtype, alpha_dtype):
    for case in cases(dtype=dtype, alpha_dtype=alpha_dtype, kind=KINDS):
        arrays = map(backend.asarray, (case.x, case.alpha, case.dy))
        check_backward(*arrays, None if case.alpha.size == 1 else case.axis, case.name)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_million_elements_of_any_bits(backend, dtype):
    """Each alpha has one term, so that no NaN hides another."""
    rng = np.random.default_rng(3)
    x, alpha, dy = (any_bits(rng, (1000, 1000), dtype) for _ in range(3))
    got = prelu_backward(*map(backend.asarray, (dy, x, alpha)))
    for result, right in zip(got, reference_prelu_backward(dy, x, alpha), strict=True):
        assert_same_bits(result, right)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_million_elements_in_sums(backend, dtype):
    rng = np.random.default_rng(4)
    x, dy = numbers(rng, (50, 20, 1000), dtype), numbers(rng, (50, 20, 1000), dtype)
    alpha = rng.standard_normal(20).astype(dtype)
    got = prelu_backward(*map(backend.asarray, (dy, x, alpha)), axis=1)
    for result, right in zip(got, reference_prelu_backward(dy, x, alpha, axis=1), strict=True):
        assert_same_bits(result, right)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("number", [0.25, 3, -0.0, float("inf"), float("nan")])
def test_number_takes_the_dtype_of_x(backend, dtype, number):
    rng = np.random.default_rng(5)
    x, dy = numbers(rng, 37, dtype), numbers(rng, 37, dtype)
    got = prelu_backward(backend.asarray(dy), backend.asarray(x), number)
    for result, right in zip(got, reference_prelu_backward(dy, x, number), strict=True):
        assert_same_bits(result, right)


@pytest.mark.parametrize("at_zero", AT_ZERO)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_at_zero(backend, dtype, at_zero):
    """Both zeros, and the numbers next to them, which are none."""
    tiny = np.array(np.nextafter(dtype(0), dtype(1)), dtype)
    x = np.array([0.0, -0.0, tiny, -tiny], dtype)
    dy = np.array([np.inf, 1, 3, 5], dtype)
    dx, dalpha = (
        backend.asnumpy(a)
        for a in prelu_backward(*map(backend.asarray, (dy, x)), 0.5, at_zero=at_zero)
    )
    if at_zero == "alpha":
        assert dx.tolist() == [np.inf, 0.5, 3, 2.5]
        assert np.isnan(dalpha)  # 0 * inf
    else:
        assert dx.tolist() == [np.inf, 1, 3, 2.5]
        assert_same_bits(dalpha, np.array(-5 * tiny, dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("placement", ["0-d", "axis 1, NCHW", "axis -1, NHWC", "per element"])
@pytest.mark.parametrize("give_out", [False, True])
def test_what_is_not_needed_is_none(backend, placement, dtype, give_out):
    *arrays, axis = drawn(placement, dtype, np.float32)
    x, alpha, dy = map(backend.asarray, arrays)
    expected = reference_prelu_backward(arrays[2], arrays[0], arrays[1], axis=axis)
    for need in ((True, True), (True, False), (False, True), (False, False)):
        out = None
        if give_out:
            make = backend.module.empty_like
            out = tuple(
                make(a) if needed else None for a, needed in zip((x, alpha), need, strict=True)
            )
        got = prelu_backward(
            dy, x, alpha, axis=axis, need_dx=need[0], need_dalpha=need[1], out=out
        )
        for k in range(2):
            if need[k]:
                assert_same_bits(got[k], expected[k])
                assert not give_out or got[k] is out[k]
            else:
                assert got[k] is None
