"""The inputs: what they promise to contain."""

import numpy as np
import pytest
from hypothesis import given, settings

from prelu_array.testing import (
    CASE_KINDS,
    assert_dx,
    assert_forward,
    cases,
    prelu_inputs,
    reference_prelu,
    reference_prelu_backward,
)


@pytest.mark.parametrize("case", cases(kind="empty"))
def test_a_case_is_its_own_id(case, request):
    assert f"[{case.name}]" in request.node.name


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_kind_fits_its_axis(axis, dtype):
    small = [kind for kind in CASE_KINDS if kind != "large"]
    found = cases(dtype=dtype, axis=axis, kind=small)
    assert {case.kind for case in found} == set(small)
    assert len({case.name for case in found}) == len(found)
    for case in found:
        assert case.x.dtype == case.dy.dtype == case.alpha.dtype
        assert case.x.shape == case.dy.shape
        assert reference_prelu(case.x, case.alpha, axis=case.axis).shape == case.x.shape


def test_same_arguments_same_cases():
    kind = ["random", "tail"]
    for a, b in zip(cases(kind=kind, seed=3), cases(kind=kind, seed=3), strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.dy, b.dy)
    first, second = cases(kind="random", seed=3)[0], cases(kind="random", seed=4)[0]
    assert not np.array_equal(first.x, second.x)


@pytest.mark.parametrize("layout", ["channel", "element"])
def test_every_ordered_pair_of_special_values(layout):
    (case,) = cases(kind="specials", layouts=[layout])
    x, dy, alpha = (
        part.view(np.uint32).ravel().tolist() for part in (case.x, case.dy, case.alpha)
    )
    values = set(x)
    assert len(values) == 17
    assert len(set(zip(x, dy, strict=True))) == 17**2
    assert len(set(zip(x, alpha, strict=True))) == 17 * len(set(alpha))


@pytest.mark.parametrize(("dtype", "precision"), [("float16", 11), ("float32", 24)])
def test_ties_are_ties(dtype, precision):
    (case,) = cases(dtype=dtype, kind="ties", layouts=["channel"])
    products = [int(a) * int(b) for a, b in zip(case.x.ravel(), case.alpha, strict=True)]
    assert len(products) > 10
    assert all(p % 2 and abs(p).bit_length() == precision + 1 for p in products)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"kind must be one of specials, .* got 'special'"):
        cases(kind="special")
    with pytest.raises(ValueError, match=r"layouts must be among .* got 'nhwc'"):
        cases(layouts=["nhwc"])
    with pytest.raises(TypeError, match=r"dtype must be one of .* got int32"):
        cases(dtype="int32")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(prelu_inputs(dtype="float16", alpha_dtype="float32", axis=-1))
def test_the_strategy_draws_inputs_that_fit(case):
    y = reference_prelu(case.x, case.alpha, axis=case.axis)
    assert_forward(y, case.x, case.alpha, axis=case.axis)
    dx, dalpha = reference_prelu_backward(case.dy, case.x, case.alpha, axis=case.axis)
    assert_dx(dx, case.dy, case.x, case.alpha, axis=case.axis)
    assert dalpha.shape == case.alpha.shape
