"""`prelu_array.jax`: the bits of the reference under JAX's transforms, and its own checks."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from arrays import PLACEMENTS, alphas, assert_same_bits, drawn, numbers
from frameworks import at_zeros, compare, pairs, placements, second_order, smooth

import prelu_array
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

jax = pytest.importorskip("jax", reason="jax is not installed")

import jax.numpy as jnp  # noqa: E402

from prelu_array.jax import prelu  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what JAX warns of


@pytest.fixture(autouse=True)
def _float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@placements
@pairs
@at_zeros
def test_gradients(placement, dtype, alpha_dtype, at_zero):
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)

    @jax.jit
    def both(x, alpha, dy):
        y, vjp = jax.vjp(lambda x, a: prelu(x, a, axis, at_zero), x, alpha)
        return y, *vjp(dy)

    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    compare(both(x, alpha, dy), (reference_prelu(x, alpha, axis=axis), *expected),
            ("y", "dx", "dalpha"))  # fmt: skip


@placements
@pairs
def test_second_order(placement, dtype, alpha_dtype):
    *arrays, axis = second_order(placement, dtype, alpha_dtype)

    @jax.jit
    def cotangents(ddx, ddalpha, dy, x, alpha):
        def backward(dy, x, alpha):
            return jax.vjp(lambda x, a: prelu(x, a, axis), x, alpha)[1](dy)

        return jax.vjp(backward, dy, x, alpha)[1]((ddx, ddalpha))

    expected = reference_prelu_double_backward(*arrays, axis=axis)
    compare(cotangents(*arrays), expected, ("of dy", "of x", "of alpha"))


@placements
@pairs
@at_zeros
def test_forward_mode(placement, dtype, alpha_dtype, at_zero):
    x_dot, alpha_dot, _, x, alpha, axis = second_order(placement, dtype, alpha_dtype)

    @jax.jit
    def jvp(*primals):
        return jax.jvp(lambda x, a: prelu(x, a, axis, at_zero), primals, (x_dot, alpha_dot))

    expected = reference_prelu_jvp(x, alpha, x_dot, alpha_dot, axis=axis, at_zero=at_zero)
    compare(jvp(x, alpha), (reference_prelu(x, alpha, axis=axis), expected), ("y", "y_dot"))


@pytest.mark.parametrize("batched", ["x", "alpha", "both"])
@placements
def test_vmap(placement, batched):
    """Each element of a batch as if it came alone; its own dalpha, too."""
    shape, alpha_shape, axis = PLACEMENTS[placement]
    rng = np.random.default_rng(3)
    x, dy = (numbers(rng, (5, *shape), np.float32) for _ in range(2))
    alpha = rng.permutation(alphas((5, *alpha_shape), np.float32).ravel())
    alpha = alpha.reshape(5, *alpha_shape)
    axes = {"x": (0, None, 0), "alpha": (None, 0, None), "both": (0, 0, 0)}[batched]
    args = [a if k == 0 else a[0] for a, k in zip((x, alpha, dy), axes, strict=True)]

    def both(x, alpha, dy):
        y, vjp = jax.vjp(lambda x, a: prelu(x, a, axis), x, alpha)
        return y, *vjp(dy)

    got = jax.jit(jax.vmap(both, axes))(*args)
    for k in range(5):
        one = [a[k] if n == 0 else a for a, n in zip(args, axes, strict=True)]
        expected = reference_prelu_backward(one[2], *one[:2], axis=axis)
        compare(
            (a[k] for a in got),
            (reference_prelu(*one[:2], axis=axis), *expected),
            ("y", "dx", "dalpha"),
        )


def test_difference_quotients():
    from jax.test_util import check_grads

    x, alpha = smooth()
    check_grads(lambda x, a: prelu(x, a, 1), (x, alpha), order=3, modes=["fwd", "rev"])


def plainly(x, alpha):
    """PReLU of JAX's own operations, along axis 1."""
    return jnp.where(x > 0, x, alpha[:, None] * x)


DERIVATIVES = {
    "grad": lambda f: jax.grad(f, (0, 1)),
    "jacrev": lambda f: jax.jacrev(f, (0, 1)),
    "jacfwd": lambda f: jax.jacfwd(f, (0, 1)),
    "hessian": lambda f: jax.hessian(f, (0, 1)),
    "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f, (0, 1)), (0, 1)),
    "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f, (0, 1)), (0, 1)),
    "forward over forward": lambda f: jax.jacfwd(jax.jacfwd(f, (0, 1)), (0, 1)),
    "third, in reverse": lambda f: jax.jacrev(jax.jacrev(jax.jacrev(f, 1), 0), 1),
    "third, mixed": lambda f: jax.jacfwd(jax.jacrev(jax.jacfwd(f, 0), 1), 1),
    "of a transpose": lambda f: jax.grad(
        lambda x, a: jax.linear_transpose(lambda t: jax.jvp(f, (x, a), (t, a))[1], x)(1.0)[0].sum()
    ),
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
def test_derivatives_of_any_order(derivative):
    x, alpha = smooth()
    got, expected = (
        jax.jit(derivative(lambda x, a, f=f: (f(x, a) ** 3).sum()))(x, alpha)
        for f in (lambda x, a: prelu(x, a, 1), plainly)
    )
    jax.tree.map(np.testing.assert_allclose, got, expected)


def test_without_jit():
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    y, vjp = jax.vjp(lambda x, a: prelu(x, a, axis), x, alpha)
    gradients = reference_prelu_backward(dy, x, alpha, axis=axis)
    expected = reference_prelu(x, alpha, axis=axis), *gradients
    compare((y, *vjp(dy)), expected, ("y", "dx", "dalpha"))


def test_it_computes_what_is_needed(monkeypatch):
    from prelu_array import _cpu

    x, alpha = smooth(np.float32)
    needs = []

    def spy(*args):
        needs.append(args[5:7])
        return backward(*args)

    backward = _cpu.backward
    monkeypatch.setattr(_cpu, "backward", spy)
    for k in (0, 1):
        jax.block_until_ready(jax.grad(lambda x, a: prelu(x, a, 1).sum(), k)(x, alpha))
    assert needs == [(True, False), (False, True)]


def test_checkpoint_scan_and_remat():
    x, alpha = smooth()

    def loss(x, alpha):
        def step(x, _):
            return jax.checkpoint(lambda x: prelu(x, alpha, 1))(x), None

        return jax.lax.scan(step, x, length=3)[0].sum()

    def plain(x, alpha):
        return plainly(plainly(plainly(x, alpha), alpha), alpha).sum()

    got, expected = (jax.jit(jax.grad(f, (0, 1)))(x, alpha) for f in (loss, plain))
    jax.tree.map(np.testing.assert_allclose, got, expected)


SHARDED = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from prelu_array.jax import prelu
import prelu_array
mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("data", "channel"))
rng = np.random.default_rng(0)
x, dy = (rng.standard_normal((4, 6, 5)).astype(np.float32) for _ in range(2))
alpha = rng.standard_normal(6).astype(np.float32)
for spec, alpha_spec in ((P("data"), P()), (P("data", "channel"), P("channel"))):
    def forward(x, alpha):
        return prelu(x, alpha, 1)
    sharded = jax.shard_map(forward, mesh=mesh, in_specs=(spec, alpha_spec), out_specs=spec)
    def loss(x, alpha):
        return (sharded(x, alpha) * dy).sum()
    y = jax.jit(sharded)(x, alpha)
    dx, dalpha = jax.jit(jax.grad(loss, (0, 1)))(x, alpha)
    expected = prelu_array.prelu_backward(dy, x, alpha, axis=1)
    assert np.array_equal(y, prelu_array.prelu(x, alpha, axis=1))
    assert np.array_equal(dx, expected[0])
    np.testing.assert_allclose(dalpha, expected[1], rtol=1e-5)
whole = jax.jit(lambda x, a: prelu(x, a, 1))
assert np.array_equal(whole(jax.device_put(x, NamedSharding(mesh, P("data"))), alpha), y)
print("done")
"""


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="this JAX has none")
def test_shard_map():
    """Over axes that alpha does not vary along, too; four devices want a process of their own."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True,
        timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_without_buffer_callback():
    """As in a release of JAX that does not have it."""
    code = """
import sys
sys.modules["jax.experimental.buffer_callback"] = None
import jax, numpy as np, prelu_array
from prelu_array.jax import prelu
x, alpha = np.array([[-1, 2], [3, -4]], np.float32), np.array([0.5, 0.25], np.float32)
y, vjp = jax.vjp(jax.jit(lambda x, a: prelu(x, a, 1)), x, alpha)
assert np.array_equal(y, prelu_array.prelu(x, alpha, axis=1))
for a, b in zip(vjp(x), prelu_array.prelu_backward(x, x, alpha, axis=1)):
    assert np.array_equal(a, b)
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


# ---- what may come in ----


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_a_number_is_rounded_once(dtype):
    x = np.full(2, -1, dtype)
    for number in (0.25, 1 + 2**-8 + 2**-40, 1 + 2**-11 + 2**-40, 1 + 2**-24 + 2**-50, -3):
        assert_same_bits(np.asarray(prelu(x, number)), prelu_array.prelu(x, number))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
def test_integers(dtype):
    x = np.array([[3, 1], [0, 7]], dtype)
    x = -x if np.dtype(dtype).kind == "i" else x
    alpha = np.array([2, 3], dtype)
    assert_same_bits(np.asarray(prelu(x, alpha, 1)), prelu_array.prelu(x, alpha, axis=1))
    assert_same_bits(np.asarray(prelu(x, 2)), prelu_array.prelu(x, 2))


X = np.zeros((2, 3), np.float32)
REFUSED = {
    "complex": (lambda: prelu(X.astype(complex), 0.5), "x must be float16"),
    "int16": (lambda: prelu(X.astype(np.int16), 0.5), "x must be float16"),
    "alpha of integers": (lambda: prelu(X, np.ones(3, int), 1), "alpha must be float16"),
    "fraction": (lambda: prelu(X.astype(int), 0.5), "alpha must be a Python int or have x's"),
    "too large": (lambda: prelu(X, 1e39), "alpha must fit x's dtype float32"),
    "shape": (lambda: prelu(X, np.ones(3), 0), "alpha.shape must be (2,), the length of axis 0"),
    "shapes": (lambda: prelu(X, np.ones(2)), "; axis=0 would fit"),
    "many axes": (lambda: prelu(X, np.ones(3), (0, 1)), "alpha.shape must be (2, 3)"),
    "axis": (lambda: prelu(X, np.ones(3), 5), "axis must lie between -2 and 1"),
    "at_zero": (lambda: prelu(X, 0.5, at_zero="left"), "at_zero must be 'alpha' or 'one'"),
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_errors(call, message, jit):
    """While it is traced, too."""
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        (jax.jit(call) if jit else call)()


def test_examples_of_the_docstring():
    (test,) = doctest.DocTestFinder(recurse=False).find(prelu, "prelu")
    report = []
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


def test_large_arrays():
    """A callback that waits for its own arguments would hang."""
    x = jax.numpy.full((1 << 20,), -1.0, np.float32)
    total = jax.jit(lambda x: prelu(jax.numpy.sin(x) * 0 + x, 0.5).sum())
    assert float(total(x)) == -(1 << 19)
