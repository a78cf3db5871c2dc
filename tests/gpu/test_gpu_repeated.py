"""What a call gives does not depend on the calls before it, which prepared it or one like it.

Memory orders, gaps, offsets and outputs are drawn from a seed; each call is made three times, with
new numbers in the same arrays, and after calls whose arrays look alike but lie elsewhere.
"""

from __future__ import annotations

import gpu_proof
import ml_dtypes
import numpy as np
import pytest

import prelu_array
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

gpu_proof.needed()

import cupy
from gpu_proof import device
from test_gpu_kernels import assert_same_bits, proof  # noqa: F401

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def backward_partial(dy, x, alpha, **options):
    """Return dx and dalpha by way of a state, which is a result of its own."""
    dx, state = prelu_array.prelu_backward_partial(dy, x, alpha, **options)
    return dx, prelu_array.dalpha_from_partial(state, x.dtype.name)


def with_need(name):
    """Return the backward and its reference, of which one result is not wanted."""

    def call(*operands, out=None, **options):
        given = None if out is None else (out, None) if name == "need_dalpha" else (None, out)
        pair = prelu_array.prelu_backward(*operands, out=given, **{name: False}, **options)
        return pair[name == "need_dx"]

    def reference(*operands, **options):
        return reference_prelu_backward(*operands, **options)[name == "need_dx"]

    return call, reference


# name: the function, its reference, operands in order, and of what shape each result is
FUNCTIONS = {
    "prelu": (prelu_array.prelu, reference_prelu, "x alpha", "x"),
    "prelu_jvp": (
        prelu_array.prelu_jvp, reference_prelu_jvp, "x alpha x_dot alpha_dot", "x"
    ),
    "prelu_backward": (
        prelu_array.prelu_backward, reference_prelu_backward, "dy x alpha", "x alpha"
    ),
    "dx alone": (*with_need("need_dalpha"), "dy x alpha", "x"),
    "dalpha alone": (*with_need("need_dx"), "dy x alpha", "alpha"),
    "prelu_double_backward": (
        prelu_array.prelu_double_backward, reference_prelu_double_backward,
        "ddx alpha_dot dy x alpha", "x x alpha",
    ),
    "prelu_backward_partial": (backward_partial, reference_prelu_backward, "dy x alpha", ""),
}  # fmt: skip


def drawn(rng, shape, dtype):
    """Return an array of zeros on the device, laid out in a drawn way."""
    order = rng.permutation(len(shape))
    steps = [int(s) for s in rng.choice([1, 1, 1, 1, 2, -1], len(shape))]
    lengths = [shape[k] * abs(s) for k, s in zip(order, steps, strict=True)]
    offset = int(rng.choice([0, 0, 1, 3]))
    memory = cupy.zeros(offset + int(np.prod(lengths)), dtype)[offset:].reshape(lengths)
    view = memory[tuple(slice(None, None, s) for s in steps)]
    return view.transpose(*np.argsort(order).tolist()) if shape else view


def filled(rng, a):
    """Return new numbers, which are also in `a`."""
    numbers = rng.standard_normal(a.shape).astype(a.dtype)
    a[...] = device.place(numbers)
    return numbers


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_after_others(proof, name):  # noqa: F811
    function, reference, operands, results = FUNCTIONS[name]
    rng = np.random.default_rng(list(name.encode()))
    for _ in range(12):
        dtype = np.dtype(DTYPES[rng.integers(4)])
        shape = tuple(int(n) for n in rng.choice([1, 2, 3, 4, 8], rng.integers(1, 4)))
        axis = [None, int(rng.integers(len(shape)))][rng.integers(2)]
        of_alpha = () if axis is None else (shape[axis],)
        for _ in range(3):
            given, out = (
                [drawn(rng, of_alpha if k.startswith("alpha") else shape, dtype) for k in names]
                for names in (operands.split(), results.split())
            )
            options = {"axis": axis}
            if out and rng.integers(2):
                options["out"] = out[0] if len(out) == 1 else tuple(out)
            for _ in range(3):
                numbers = [filled(rng, a) for a in given]
                expected = reference(*numbers, axis=axis)
                got = function(*given, **options)
                if not isinstance(expected, tuple):
                    expected, got = (expected,), (got,)
                for right, result in zip(expected, got, strict=True):
                    assert_same_bits(result, right, f"{name} {axis=}")
