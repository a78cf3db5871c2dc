"""Declared accumulators and long arrays: right and wrong sums are told apart."""

import math

import numpy as np
import pytest
import wrong_kernels
from conforming_kernels import in_float64, kernel, pairwise, rows_in_float64
from wrong_kernels import backward, collect, forward, gradient, products

from prelu_array.testing import check_kernel, reference_prelu_backward

SUMS = ["sums", "cancellation", "random"]


def summed(add):
    """Make a backward that adds the products, formed in float64, by Python."""

    def kernel(dy, x, alpha):
        with np.errstate(all="ignore"):
            totals = [add(row) for row in rows_in_float64(dy, x, alpha)]
        dalpha = np.array(totals, dtype=np.float64).astype(alpha.dtype).reshape(alpha.shape)
        return gradient(dy, x, alpha), dalpha

    return kernel


def neumaier(terms):
    total = rest = 0.0
    for term in terms.tolist():
        new = total + term
        rest += (total - new) + term if abs(total) >= abs(term) else (term - new) + total
        total = new
    return total + rest


def exact_then_rounded_to_float64(terms):
    return math.fsum(terms.tolist())


REJECTED = [
    (in_float64, "exact", ("float16", "bfloat16", "float32"), "accumulates in float64"),
    (summed(neumaier), "exact", ("float32", "float64"), "not an exact sum"),
    (
        summed(exact_then_rounded_to_float64),
        "exact",
        ("float16", "bfloat16", "float32"),
        "an exact sum rounded twice: to float64 first",
    ),
    (backward, "float64", ("float16", "bfloat16", "float32"), "accumulates in float32"),
    (pairwise, "exact", ("float16", "bfloat16", "float32"), "accumulates in float32"),
]


@pytest.mark.parametrize(
    ("kernel", "accumulate", "dtype", "name"),
    [(kernel, how, dtype, name) for kernel, how, dtypes, name in REJECTED for dtype in dtypes],
)
def test_a_declared_accumulator_is_tested(kernel, accumulate, dtype, name):
    for seed in range(3):
        report = check_kernel(
            backward=kernel, dtype=dtype, accumulate=accumulate, kinds=SUMS, seed=seed
        )
        assert report.suspicions[0].startswith(f"dalpha: {name}"), report.suspicions


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_is_declared_and_true_passes(dtype):
    def exact(dy, x, alpha):
        axis = None if alpha.size == 1 else 1
        return reference_prelu_backward(dy, x, alpha, axis=axis)

    for how, conforming in (("exact", exact), ("float64", in_float64)):
        report = check_kernel(
            backward=conforming, dtype=dtype, accumulate=how, kinds=[*SUMS, "size"]
        )
        assert report.ok, str(report)


def beyond(axis, start):
    def y(x, alpha):
        result = forward(x, alpha).copy()
        if axis is None:
            result.reshape(-1)[start:] = 0
        elif x.ndim > axis:
            np.moveaxis(result, axis, 0)[start:] = 0
        return result

    def dalpha(dy, x, alpha):
        terms = products(dy, x)
        if axis is None:
            terms.reshape(-1)[start:] = 0
        elif x.ndim > axis:
            np.moveaxis(terms, axis, 0)[start:] = 0
        return None, collect(terms, alpha)

    return y, dalpha


@pytest.mark.parametrize(("axis", "start"), [(None, 1 << 16), (0, 65535), (1, 65535)])
def test_an_index_of_16_bits_shows(axis, start):
    y, dalpha = beyond(axis, start)
    report = check_kernel(y, dalpha)
    assert {output for output, _ in report.counts if report.counts[output, "size"][2]} == {
        "y",
        "dalpha",
    }
    assert report.suspicions[0].startswith("y: only from element 6553")
    assert re_names_size(report.suspicions[1])


def re_names_size(text):
    return text.startswith("dalpha: only in arrays of more than 2**16")


@pytest.mark.parametrize("block", [256, 1024])
def test_a_last_block_dropped_shows(block):
    @wrong_kernels.with_terms
    def drops_block(terms, dy, x, alpha):
        start = x.size // block * block if x.size > 4096 else x.size
        return np.where((np.arange(x.size) >= start).reshape(x.shape), 0, terms)

    assert not check_kernel(backward=drops_block, kinds="size").ok


@pytest.mark.parametrize("add", [np.sum, np.cumsum], ids=lambda v: v.__name__)
def test_conforming_sums_of_long_arrays_pass(add):
    @kernel
    def conforming(terms):
        return np.atleast_2d(add(terms, axis=1, dtype=terms.dtype).T).T[:, -1]

    assert check_kernel(backward=conforming, kinds="size").ok
