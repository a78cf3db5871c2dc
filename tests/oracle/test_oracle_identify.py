"""The card: each convention is distinguished from the others."""

import conforming_kernels
import numpy as np
import pytest
import wrong_kernels as wrong

from prelu_array.testing import identify, reference_prelu_backward


@pytest.mark.parametrize(
    ("kernel", "word"),
    [
        (wrong.backward, "alpha"),
        (wrong.dx_zero_at_zero, "zero"),
        (wrong.dx_both_at_zero, "1 + alpha"),
        (lambda dy, x, alpha: (wrong.gradient(dy, x, alpha, x >= 0), None), "one"),
    ],
)
def test_predicate_at_zero(kernel, word):
    assert identify(backward=kernel).dx_at_zero == word


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_accumulators(dtype):
    assert identify(backward=wrong.adds_in_float16, dtype=dtype).accumulator == "float16"
    assert identify(backward=conforming_kernels.in_float64, dtype=dtype).accumulator == "float64"
    if dtype != "float64":
        assert (
            identify(backward=conforming_kernels.sequential, dtype=dtype).accumulator == "float32"
        )
    exact = identify(backward=reference_prelu_backward, dtype=dtype)
    assert (exact.accumulator, exact.products) == ("exact", "exact")
    assert (exact.repeats, exact.permutations) == ("same", "same")


def test_products_and_determinism():
    card = identify(backward=wrong.products_in_float16, dtype="float16")
    assert card.products == "rounded"
    rng = np.random.default_rng(0)

    def racing(dy, x, alpha):
        order = rng.permutation(x.size)
        dy, x = (part.ravel()[order].reshape(1, -1) for part in (dy, x))
        return None, conforming_kernels.sequential(dy, x, alpha)[1]

    assert identify(backward=racing).repeats == "differ"
    sequential = identify(backward=conforming_kernels.sequential)
    assert (sequential.repeats, sequential.permutations) == ("same", "differ")


def test_forward_conventions():
    conforming = identify(wrong.forward)
    assert (conforming.y_at_minus_zero, conforming.y_at_nan, conforming.y_at_minus_inf) == (
        "-0",
        "NaN",
        "-inf",
    )
    assert (conforming.inactive_y, conforming.subnormals, conforming.alpha_axis) == (
        "kept",
        "kept",
        "1",
    )
    assert conforming.dx_at_zero == "-"
    assert identify(wrong.max_min).inactive_y == "NaN"
    assert identify(wrong.fmax_fmin).y_at_nan == "zero"
    assert identify(wrong.flush_results).subnormals == "flushed"
    assert identify(wrong.last_axis).alpha_axis == "-1"


def test_subnormal_products_and_inputs_have_a_word_each():
    def flushed_products(x, alpha):
        return np.where(x > 0, x, wrong.flush_results(x, alpha))

    def flushed_positives(x, alpha):
        return np.where(x < 0, wrong.forward(x, alpha), wrong.flush_results(x, alpha))

    assert identify(flushed_products).subnormals == "flushed/kept"
    assert identify(flushed_positives).subnormals == "kept/flushed"


def test_backward_leaks():
    assert identify(backward=wrong.dx_mask_sum).inactive_dx == "NaN"
    assert identify(backward=wrong.mask_on_terms).inactive_dalpha == "NaN"
    assert identify(backward=wrong.mask_drops_nan).dalpha_at_nan == "zero"
    assert identify(backward=wrong.dx_nan_is_zero).dx_at_nan == "zero"


def test_a_kernel_that_raises_gives_no_answer():
    def broken(x, alpha):
        raise RuntimeError("no device")

    assert set(identify(broken).as_dict().values()) == {"-"}


def test_a_card_prints_as_a_table():
    lines = str(identify(wrong.forward)).splitlines()
    assert "alpha_axis        1" in lines
    with pytest.raises(ValueError, match="must not both be None"):
        identify()
