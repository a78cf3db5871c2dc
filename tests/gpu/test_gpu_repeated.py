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
# name: the operands of x's shape in order, and how many results are of that shape
FUNCTIONS = {
    "prelu": ("x", 1),
    "prelu_jvp": ("x x_dot", 1),
    "prelu_backward": ("dy x", 1),
    "dx alone": ("dy x", 1),
    "dalpha alone": ("dy x", 0),
    "prelu_double_backward": ("ddx dy x", 2),
}


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


def check(name, operands, alpha, alpha_dot, axis, out, rng):
    """Call a function on new numbers, and compare every result with the reference."""
    arrays = {k: filled(rng, a) for k, a in operands.items()}
    numbers = [filled(rng, a) for a in (alpha, alpha_dot)]
    values = list(arrays.values())
    given = list(operands.values())
    options = {"axis": axis}
    if name == "prelu":
        expected = reference_prelu(*values, numbers[0], axis=axis)
        got = prelu_array.prelu(*given, alpha, out=out and out[0], **options)
    elif name == "prelu_jvp":
        expected = reference_prelu_jvp(values[0], numbers[0], values[1], numbers[1], axis=axis)
        got = prelu_array.prelu_jvp(
            given[0], alpha, given[1], alpha_dot, out=out and out[0], **options
        )
    elif name == "prelu_double_backward":
        ddx, *others = values
        expected = reference_prelu_double_backward(ddx, numbers[1], *others, numbers[0], axis=axis)
        ddx, *others = given
        got = prelu_array.prelu_double_backward(ddx, alpha_dot, *others, alpha, out=out, **options)
    else:
        need = {"need_dx": name != "dalpha alone", "need_dalpha": name != "dx alone"}
        pair = reference_prelu_backward(*values, numbers[0], axis=axis)
        expected = [r if n else None for r, n in zip(pair, need.values(), strict=True)]
        if out is not None:
            out = tuple(
                r if n else None for r, n in zip((out[0], out[-1]), need.values(), strict=True)
            )
        got = prelu_array.prelu_backward(*given, alpha, out=out, **need, **options)
    expected, got = ([r] if not isinstance(r, list | tuple) else r for r in (expected, got))
    for right, result in zip(expected, got, strict=True):
        assert (right is None) == (result is None)
        if right is not None:
            assert_same_bits(result, right, f"{name} {axis=}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_after_others(proof, name):  # noqa: F811
    rng = np.random.default_rng(list(name.encode()))
    for _ in range(12):
        dtype = np.dtype(DTYPES[rng.integers(4)])
        shape = tuple(int(n) for n in rng.choice([1, 2, 3, 4, 8], rng.integers(1, 4)))
        axis = [None, int(rng.integers(len(shape)))][rng.integers(2)]
        of_alpha = () if axis is None else (shape[axis],)
        for _ in range(3):
            names, results = FUNCTIONS[name]
            operands = {k: drawn(rng, shape, dtype) for k in names.split()}
            alphas = [drawn(rng, of_alpha, dtype) for _ in range(2)]
            shapes = [shape] * max(results, 1) + [of_alpha]
            out = tuple(drawn(rng, s, dtype) for s in shapes) if rng.integers(2) else None
            for _ in range(3):
                check(name, operands, *alphas, axis, out, rng)
