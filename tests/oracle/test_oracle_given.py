"""What a kernel gives: nothing, no arrays, another thing each time; and what the report shows."""

import ml_dtypes
import numpy as np
import pytest
from wrong_kernels import backward, forward

from prelu_array.testing import (
    assert_dalpha,
    assert_dx,
    assert_forward,
    cases,
    check_kernel,
    identify,
    reference_prelu_backward,
)

FEW = ["alpha", "tail"]


@pytest.mark.parametrize("kinds", [[], ()])
def test_an_empty_selection_is_refused(kinds):
    with pytest.raises(ValueError, match=r"kind must be among specials, .* got none"):
        check_kernel(forward, kinds=kinds)
    with pytest.raises(ValueError, match=r"layouts must be among shared, .* got none"):
        check_kernel(forward, layouts=kinds)


def nothing_from(call, position):
    """Make a backward that gives less from some call on; position None: all of it."""
    calls = 0

    def kernel(dy, x, alpha):
        nonlocal calls
        calls += 1
        pair = list(backward(dy, x, alpha))
        if calls <= call:
            return pair
        if position is None:
            return None
        pair[position] = None
        return pair

    return kernel


@pytest.mark.parametrize("call", [1, 4, 30, 70])
@pytest.mark.parametrize("position", [None, 0, 1])
def test_what_is_promised_must_be_given(call, position):
    report = check_kernel(backward=nothing_from(call, position), kinds=FEW)
    assert not report.ok
    output = "dalpha" if position == 1 else "dx"
    assert report.suspicions[0].startswith(f"{output}: is missing: got None (")


@pytest.mark.parametrize("result", [None, (None, None)])
def test_nothing_judged_is_not_ok(result):
    assert not check_kernel(lambda x, alpha: None, kinds="alpha").ok
    report = check_kernel(backward=lambda dy, x, alpha: result, kinds="alpha")
    assert [text.partition(" (")[0] for text in report.suspicions] == [
        "dx: is missing: got None",
        "dalpha: is missing: got None",
    ]
    with pytest.raises(AssertionError, match="y is missing: got None"):
        assert_forward(None, np.ones(2), 0.25)


def test_one_of_the_two_gradients_is_enough():
    report = check_kernel(backward=lambda dy, x, alpha: (None, backward(dy, x, alpha)[1]))
    assert report.ok
    assert {output for output, _ in report.counts} == {"dalpha"}


class NeedsGradient:
    requires_grad = True

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


class OfBfloat16:
    dtype = "torch.bfloat16"

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Got unsupported ScalarType BFloat16")


NO_ARRAYS = [
    (NeedsGradient(), "`.detach()`"),
    (OfBfloat16(), "ml_dtypes.bfloat16"),
    ([[1.0], [2.0, 3.0]], "must be an array, got list"),
    ({"y": 1.0}, "must be an array of numbers, got dict"),
    (np.array([None, 1.0]), "must be an array of numbers, got ndarray"),
    ("y", "must be an array of numbers, got str"),
]


@pytest.mark.parametrize(("result", "cure"), NO_ARRAYS, ids=lambda v: type(v).__name__)
def test_what_is_no_array_is_a_finding_with_the_cure(result, cure):
    report = check_kernel(lambda x, alpha: result, kinds="alpha")
    assert cure in report.suspicions[0]
    card = identify(lambda x, alpha: result, lambda dy, x, alpha: (result, result))
    assert set(card.as_dict().values()) == {"-"}
    assert cure in str(card)
    with pytest.raises(AssertionError):
        assert_forward(result, np.ones(2), 0.25)


def test_inputs_that_cannot_be_made_are_a_finding():
    def as_input(array):
        raise TypeError("can't convert np.ndarray of type ml_dtypes.bfloat16")

    report = check_kernel(forward, dtype="bfloat16", as_input=as_input, kinds="alpha")
    assert "as_input: TypeError" in report.suspicions[0]
    assert "torch.from_numpy(a.view(numpy.int16)).view(torch.bfloat16)" in report.suspicions[0]


def test_numbers_and_lists_take_the_dtype():
    x, alpha = np.float32([-1, -2]), np.float32(0.25)
    assert_forward([-0.25, -0.5], x, alpha)
    assert_dalpha(-3.0, [1.0, 1.0], x, alpha)
    assert check_kernel(lambda x, alpha: forward(x, alpha).tolist(), kinds=["random"]).ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ulps": -1}, "ulps must be an integer of at least 0, got -1"),
        ({"ulps": 0.5}, "ulps must be an integer of at least 0, got 0.5"),
        ({"order": "random"}, "order must be one of any, tree, sequential, got 'random'"),
        ({"at_zero": "half"}, "at_zero must be one of alpha, one, any, got 'half'"),
    ],
)
def test_a_bad_option_lists_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        assert_dalpha(1.0, np.ones(1), -np.ones(1), 0.25, **options)


def test_a_bad_dtype_lists_the_four():
    with pytest.raises(TypeError, match=r"dtype must be one of .* got 'float31'"):
        check_kernel(forward, dtype="float31")


def assert_unlike(text):
    """What a report shows is an element that failed: its bits are not those expected."""
    lines = [line.split("bits ")[1] for line in text.splitlines() if "got  " in line]
    expected = [line.split("bits ")[1] for line in text.splitlines() if "expected " in line]
    assert lines
    assert all(got != right for got, right in zip(lines, expected, strict=True)), text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the kernel, outside of the oracle
@pytest.mark.parametrize("fault", ["zero sign", "nan", "infinity", "value"])
@pytest.mark.parametrize("output", ["y", "dx", "dalpha"])
def test_first_and_worst_are_failures(output, fault):
    def spoiled(right, where):
        wrong = {"nan": np.nan, "infinity": np.inf, "value": 1.5}.get(fault)
        if fault == "zero sign":
            return np.where(right == 0, -right, right)
        return np.where(where & (right != wrong), wrong, right).astype(right.dtype)

    def wrong_forward(x, alpha):
        return spoiled(forward(x, alpha), x == -3)

    def wrong_backward(dy, x, alpha):
        axis = None if alpha.size == 1 else 1
        dx, dalpha = reference_prelu_backward(dy, x, alpha, axis=axis)
        if output == "dx":
            return spoiled(dx, x == -3), None
        return None, spoiled(dalpha, np.arange(dalpha.size) % 3 == 0)

    kernel = (wrong_forward, None) if output == "y" else (None, wrong_backward)
    kinds = ["layout", "alpha", "specials"]
    report = check_kernel(*kernel, kinds=kinds, accumulate="exact", at_zero="alpha")
    assert report.failures
    for text in report.failures:
        assert_unlike(text)
    judge = {"y": assert_forward, "dx": assert_dx, "dalpha": assert_dalpha}[output]
    exact = {"accumulate": "exact"} if output == "dalpha" else {}
    seen = 0
    for case in cases(kind=kinds, layouts=["shared", "channel"]):
        if output == "y":
            given = wrong_forward(case.x, case.alpha), case.x
        else:
            pair = wrong_backward(case.dy, case.x, case.alpha)
            given = pair[output == "dalpha"], case.dy, case.x
        try:
            judge(*given, case.alpha, axis=case.axis, **exact)
        except AssertionError as error:
            seen += 1
            assert_unlike(str(error))
    assert seen


def test_bfloat16_results_pass():
    def kernel(x, alpha):
        return forward(x, alpha).view(np.uint16).view(ml_dtypes.bfloat16)

    assert check_kernel(kernel, dtype="bfloat16", kinds="alpha").ok
