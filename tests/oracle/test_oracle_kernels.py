"""The oracle's own figures: no wrong kernel passes, no conforming one fails."""

import re

import conforming_kernels
import numpy as np
import pytest
import wrong_kernels
from conforming_kernels import CONFORMING
from wrong_kernels import BACKWARD, FORWARD, collect, forward, gradient, products

from prelu_array.testing import CASE_KINDS, check_kernel, reference_prelu, reference_prelu_backward

SMALL = [kind for kind in CASE_KINDS if kind not in ("size", "reversed")]
# The kinds whose sums round, and differ from seed to seed.
RANDOM = ["cancellation", "sums", "subnormals", "random"]


@pytest.mark.parametrize(
    ("kernel", "suspicion"), FORWARD, ids=lambda v: getattr(v, "__name__", "")
)
def test_wrong_forward(kernel, suspicion):
    report = check_kernel(kernel, kinds=SMALL)
    assert not report.ok
    assert suspicion in report.suspicions[0], report.suspicions


@pytest.mark.parametrize(
    ("kernel", "dtype", "suspicion"), BACKWARD, ids=lambda v: getattr(v, "__name__", "")
)
def test_wrong_backward(kernel, dtype, suspicion):
    report = check_kernel(backward=kernel, dtype=dtype, kinds=SMALL)
    assert not report.ok
    assert suspicion in report.suspicions[0], report.suspicions


@pytest.mark.parametrize("kernel", CONFORMING, ids=lambda kernel: kernel.__name__)
def test_conforming_at_ten_seeds(kernel):
    for seed in range(10):
        report = check_kernel(backward=kernel, seed=seed, kinds=None if seed == 0 else RANDOM)
        assert report.ok, str(report)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_conforming_in_other_dtypes(dtype):
    report = check_kernel(forward, wrong_kernels.backward, dtype=dtype)
    assert report.ok, str(report)
    report = check_kernel(None, conforming_kernels.in_float64, dtype=dtype, accumulate="float64")
    assert report.ok, str(report)


@pytest.mark.parametrize("at_zero", ["alpha", "one"])
@pytest.mark.parametrize("axis", [0, -1])
def test_the_reference_passes_as_exact(at_zero, axis):
    report = check_kernel(
        lambda x, alpha: reference_prelu(x, alpha, axis=axis),
        lambda dy, x, alpha: reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero),
        accumulate="exact",
        axis=axis,
        kinds=[*RANDOM, "specials", "tail", "strides", "overflow", "reversed", "empty"],
    )
    assert report.ok, str(report)
    assert report.settings["at_zero"] == at_zero


EVERYDAY = [
    (wrong_kernels.fixed_slope, None, "y: alpha has no effect: a fixed slope of 0.01"),
    (wrong_kernels.min_max, None, "y: inactive branch leaks: max(x, 0) + alpha * min(x, 0)"),
    (None, wrong_kernels.dx_fixed_slope, "dx: alpha has no effect: a fixed slope of 0.01"),
    (None, wrong_kernels.dx_without_dy, "dx: dy has no effect: the derivative alone"),
    (None, wrong_kernels.dalpha_without_dy, "dalpha: dy has no effect: sums x"),
    (None, wrong_kernels.dalpha_of_alpha, "dalpha: inputs swapped: x and alpha"),
    (None, wrong_kernels.outputs_swapped, "backward: outputs swapped: returns (dalpha, dx)"),
]


@pytest.mark.parametrize("layout", ["shared", "channel"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    ("forward", "backward", "name"), EVERYDAY, ids=lambda v: getattr(v, "__name__", str(v)[:30])
)
def test_an_everyday_fault_is_named_alone(forward, backward, name, dtype, layout):
    kinds = ["specials", "tail", "random", "subnormals"]
    report = check_kernel(forward, backward, dtype=dtype, layouts=layout, kinds=kinds)
    assert report.suspicions == [name]


def test_what_flushes_and_takes_the_other_side_is_not_called_left_at_zero():
    def flushed(v):
        return np.where(np.abs(v) < np.finfo(v.dtype).tiny, np.copysign(0, v), v).astype(v.dtype)

    report = check_kernel(lambda x, alpha: wrong_kernels.uses_ge(flushed(x), flushed(alpha)))
    named = [text.partition(" (")[0] for text in report.suspicions]
    assert named == [
        "y: subnormals flushed to zero",
        "y: all failures at x == 0: uses >= instead of >",
    ]


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.25, 1.0])
def test_a_fixed_slope_is_named_whatever_it_is(slope):
    def fixed(x, alpha):
        return np.where(x > 0, x, x.dtype.type(slope) * x)

    report = check_kernel(fixed, kinds=SMALL)
    assert report.suspicions == [f"y: alpha has no effect: a fixed slope of {slope:g}"]


@pytest.mark.parametrize("factor", [2, 1.1, 0.5])
def test_a_fault_is_not_named_for_the_few_failures_it_fits_by_chance(factor):
    def backward(dy, x, alpha):
        dy = dy * np.float32(factor)
        return reference_prelu_backward(dy, x, alpha, axis=None if alpha.size == 1 else 1)[0], None

    (suspicion,) = check_kernel(None, backward, kinds=["random", "specials"]).suspicions
    assert suspicion == "dx: the failures fit no known fault"


def faults(report):
    """Texts of the faults of dalpha, and how many failures each explains (0: all)."""
    found = [re.fullmatch(r"dalpha: (.*?)( \((\d+) of \d+ .*\))?", t) for t in report.suspicions]
    return {match[1]: int(match[3] or 0) for match in found}


@pytest.mark.parametrize("accumulate", ["exact", "float64"])
@pytest.mark.parametrize("kernel", [conforming_kernels.sequential, conforming_kernels.pairwise])
def test_a_float32_sum_is_named_by_its_format(kernel, accumulate):
    report = check_kernel(backward=kernel, accumulate=accumulate)
    named = [fault for fault in faults(report) if fault.startswith("accumulates")]
    assert named == ["accumulates in float32"], report.suspicions


def test_a_second_fault_is_held_against_what_the_first_leaves():
    # cumsum begins with the first term, which may be -0
    report = check_kernel(
        backward=conforming_kernels.sequential, accumulate="exact", layouts=["channel"]
    )
    found = faults(report)
    assert sorted(found) == ["-0 for an exact zero", "accumulates in float32"]
    looked_at = int(re.search(r"of (\d+) failures looked at", report.suspicions[0])[1])
    assert sum(found.values()) == looked_at


def test_a_narrower_sum_is_not_taken_for_a_wide_one():
    def in_float16(dy, x, alpha):
        return None, wrong_kernels.adds_in_float16(dy, x, alpha)[1].astype(alpha.dtype)

    report = check_kernel(backward=in_float16, accumulate="exact", kinds=["large", "random"])
    assert list(faults(report)) == ["accumulates in float16"]


def test_a_float32_sum_is_named_beside_a_failure_that_only_a_narrower_one_explains():
    def backward(dy, x, alpha):
        dx, dalpha = conforming_kernels.pairwise(dy, x, alpha)
        one_case = alpha.size == 1 and x.shape == (3, 4, 11)
        return dx, dalpha * np.float32(1 + one_case * 2**-12)

    report = check_kernel(backward=backward, accumulate="exact", kinds="random")
    named, unknown = report.suspicions
    assert re.match(r"dalpha: accumulates in float32 \(\d+ of", named)
    assert re.fullmatch(r"dalpha: 1 of \d+ failures fit no known fault", unknown)


def zero_on_identity(dy, x):
    return np.where(x >= 0, np.zeros((), x.dtype), x * dy)


@pytest.mark.parametrize(
    ("identity", "terms", "sides"),
    [
        (np.greater_equal, products, ("one", "alpha")),
        (np.greater, zero_on_identity, ("alpha", "one")),
    ],
    ids=["dx-one", "dx-alpha"],
)
def test_two_sides_at_zero_are_named(identity, terms, sides):
    def backward(dy, x, alpha):
        return gradient(dy, x, alpha, identity(x, 0)), collect(terms(dy, x), alpha)

    dx, dalpha = (f'at_zero="{side}"' for side in sides)
    expected = f"dx and dalpha take different sides at x == 0: dx as {dx}, dalpha as {dalpha}"
    assert check_kernel(backward=backward).suspicions == [f"dalpha: {expected}"]
    only = check_kernel(
        backward=lambda *inputs: (None, backward(*inputs)[1]), at_zero=sides[0], kinds="specials"
    )
    assert only.suspicions == [f'dalpha: at x == 0 as {dalpha}, not "{sides[0]}"']


def test_the_report_is_for_people_and_programs():
    report = check_kernel(wrong_kernels.uses_ge, layouts=["shared"], kinds=["alpha", "tail"])
    text = str(report)
    assert text.startswith("PReLU kernel: WRONG (dtype float32")
    for part in ("first, in alpha-shared--1.5: y[", "bits 80000000"):
        assert part in text
    titles = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    assert titles == ["suspicions", "judged", "wrong in", "failures"]
    facts = report.as_dict()
    assert facts["ok"] is False
    assert facts["counts"][0]["wrong"] > 0


def test_the_table_has_a_row_for_each_kind_with_something_wrong():
    def last_dx_wrong(dy, x, alpha):
        dx, dalpha = wrong_kernels.backward(dy, x, alpha)
        if x.size == 257:  # one case, of kind "tail"
            dx[..., -1] += 1
        return dx, dalpha

    report = check_kernel(forward, last_dx_wrong, layouts="shared")
    _, _, table = str(report).partition("judged:\n")
    rows = [line.split() for line in table.partition("\n\n")[0].splitlines()]
    assert rows[0] == ["y", "dx", "dalpha"]
    assert [row[0] for row in rows[1:]] == ["calls", "elements", "wrong", "tail"]
    assert rows[3:] == [["wrong", "-", "1", "-"], ["tail", "-", "1", "-"]]
    assert report.wrong_in == ["tail-shared-257"]
    conforming = str(check_kernel(forward, wrong_kernels.backward, layouts="shared")).splitlines()
    assert [line.split()[0] for line in conforming[3:]] == ["y", "calls", "elements", "wrong"]


def test_one_layout_or_kind_may_be_a_string():
    report = check_kernel(forward, layouts="shared", kinds="alpha")
    assert list(report.counts) == [("y", "alpha")]
    assert report.counts == check_kernel(forward, layouts=["shared"], kinds=["alpha"]).counts


def test_inputs_are_restored_after_a_kernel_that_writes():
    report = check_kernel(wrong_kernels.overwrites_x, kinds=["alpha"])
    assert report.suspicions == ["writes into its input x (7 calls)"]


def test_arrays_go_through_as_input():
    seen = set()

    class Tagged:
        def __init__(self, array):
            self.array = array

    def tagged(x, alpha):
        seen.add(type(x))
        return forward(x.array, alpha.array)

    assert check_kernel(tagged, as_input=Tagged, kinds=["alpha"]).ok
    assert seen == {Tagged}


def test_options_are_checked():
    with pytest.raises(ValueError, match="forward and backward must not both be None"):
        check_kernel()
    with pytest.raises(ValueError, match="at_zero must be one of any, alpha, one, got 'half'"):
        check_kernel(forward, at_zero="half")
    with pytest.raises(ValueError, match="kind must be one of"):
        check_kernel(forward, kinds=["everything"])


def test_a_backward_must_return_a_pair():
    report = check_kernel(backward=lambda dy, x, alpha: np.zeros_like(x), kinds=["alpha"])
    assert "backward must return (dx, dalpha), got ndarray" in report.suspicions[0]
