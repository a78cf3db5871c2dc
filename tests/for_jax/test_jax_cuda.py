"""`prelu_array.jax` on a CUDA device: the CPU's bits."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import assert_same_bits, drawn
from frameworks import at_zeros, pairs, placements

jax = pytest.importorskip("jax", reason="jax is not installed")
if jax.default_backend() not in ("gpu", "cuda"):
    pytest.skip("JAX finds no CUDA device", allow_module_level=True)
pytest.importorskip("cupy", reason="arrays on CUDA need CuPy", exc_type=ImportError)

from prelu_array.jax import prelu  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what JAX warns of


@pytest.fixture(autouse=True)
def _float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def everything(device, axis, at_zero, *arrays):
    """Return y, the gradients, and the cotangents of the second order, of one jitted function."""
    arrays = [jax.device_put(a, device) for a in arrays]

    @jax.jit
    def function(x, alpha, dy):
        def backward(dy, x, alpha):
            return jax.vjp(lambda x, a: prelu(x, a, axis, at_zero), x, alpha)[1](dy)

        gradients, vjp = jax.vjp(backward, dy, x, alpha)
        return prelu(x, alpha, axis), *gradients, *vjp(gradients)

    return [np.asarray(a) for a in function(*arrays)]


@placements
@pairs
@at_zeros
def test_the_bits_of_the_cpu(placement, dtype, alpha_dtype, at_zero):
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)
    cpu, gpu = (
        everything(jax.devices(kind)[0], axis, at_zero, x, alpha, dy) for kind in ("cpu", "gpu")
    )
    for got, expected in zip(gpu, cpu, strict=True):
        assert_same_bits(got, expected)
