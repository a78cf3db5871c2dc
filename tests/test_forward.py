"""`prelu` against the reference: dtypes, placements of alpha, Python numbers."""

import math

import ml_dtypes
import numpy as np
import pytest
from arrays import (
    DTYPES,
    PAIRS,
    PLACEMENTS,
    any_bits,
    assert_same_bits,
    check_forward,
    drawn,
    name,
    numbers,
)

from prelu_array import prelu
from prelu_array.testing import cases, reference_prelu

KINDS = ("alpha", "layout", "ties", "overflow", "subnormals", "random", "empty", "reported")


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_of_every_pair_of_dtypes(backend, placement, dtype, alpha_dtype):
    x, alpha, _, axis = drawn(placement, dtype, alpha_dtype)
    check_forward(backend.asarray(x), backend.asarray(alpha), axis)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_loops_of_every_instruction_set(instruction_set, dtype, alpha_dtype):
    for placement in PLACEMENTS:
        x, alpha, _, axis = drawn(placement, dtype, alpha_dtype, seed=1)
        check_forward(x, alpha, axis, placement)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_every_kind_of_case(backend, dtype, alpha_dtype):
    for case in cases(dtype=dtype, alpha_dtype=alpha_dtype, kind=KINDS):
        arrays = backend.asarray(case.x), backend.asarray(case.alpha)
        check_forward(*arrays, None if case.alpha.size == 1 else case.axis, case.name)


@pytest.mark.parametrize("alpha_dtype", DTYPES, ids=name)
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=name)
def test_every_16_bit_number(way, dtype, alpha_dtype):
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    alpha = np.random.default_rng(2).standard_normal(x.size).astype(alpha_dtype)
    x, alpha = way.asarray(x), way.asarray(alpha)
    check_forward(x, alpha)
    check_forward(x, alpha[7:8])


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_million_elements_of_any_bits(backend, dtype):
    rng = np.random.default_rng(3)
    x = any_bits(rng, (1000, 1000), dtype)
    alpha = any_bits(rng, (1000,), dtype)
    check_forward(backend.asarray(x), backend.asarray(alpha), axis=-1)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_y_is_copied_bit_for_bit_where_x_is_positive(backend, dtype, alpha_dtype):
    bits = np.abs(numbers(np.random.default_rng(4), 999, dtype))
    x = np.append(bits[bits > 0], np.array(np.inf, dtype))
    for number in (np.nan, np.inf, -np.inf, -3.0):
        alpha = np.array(number, alpha_dtype)
        assert_same_bits(prelu(backend.asarray(x), backend.asarray(alpha)), x)


# ---- alpha as a Python number ----

NUMBERS = (0.25, 1, 0, -3, 0.1, 1 / 3, -0.0, 1e-7, math.inf, -math.inf, math.nan, 60000, -65504.0)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("number", NUMBERS)
def test_number_takes_the_dtype_of_x(backend, dtype, number):
    x = numbers(np.random.default_rng(5), 37, dtype)
    assert_same_bits(prelu(backend.asarray(x), number), reference_prelu(x, number))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_number_is_rounded_once(backend, dtype):
    """Numbers between two of the dtype, at the tie and next to it."""
    info = ml_dtypes.finfo(dtype)
    x = np.array([-1.0], dtype)
    x_ = backend.asarray(x)
    for low in (1.0, float(info.max) / 2, float(info.smallest_normal)):
        low = np.array(low, dtype)
        high = np.nextafter(low, np.array(np.inf, dtype))
        tie = (float(low) + float(high)) / 2
        for number in (tie, math.nextafter(tie, 0), math.nextafter(tie, math.inf)):
            for signed in (number, -number):
                assert_same_bits(prelu(x_, signed), reference_prelu(x, signed), f"{signed!r}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_largest_number_that_fits(backend, dtype):
    """Half a unit beyond the largest finite number is the first that becomes infinite."""
    largest = float(ml_dtypes.finfo(dtype).max)
    x = backend.asarray(np.array([-1.0, 2.0], dtype))
    assert backend.asnumpy(prelu(x, largest)).tolist() == [-largest, 2]
    if dtype is not np.float64:
        bound = largest + (largest - float(np.nextafter(np.array(largest, dtype), dtype(0)))) / 2
        assert backend.asnumpy(prelu(x, math.nextafter(bound, 0))).tolist() == [-largest, 2]
        with pytest.raises(ValueError, match=r"alpha must fit x's dtype \w+, got"):
            prelu(x, bound)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("number", [10**400, -(10**400)], ids=["1e400", "-1e400"])
def test_number_that_no_dtype_holds(backend, dtype, number):
    x = backend.asarray(np.ones(2, dtype))
    with pytest.raises(ValueError, match=f"alpha must fit x's dtype {np.dtype(dtype).name}, got"):
        prelu(x, number)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_scalar_of_numpy_keeps_its_dtype(backend, dtype):
    """Unlike a Python number: the product is computed in float64."""
    x = np.array([-3.0, -7.0], dtype)
    y = prelu(backend.asarray(x), np.float64(1 / 3))
    assert_same_bits(y, reference_prelu(x, np.float64(1 / 3)))
