"""The kernels' CUDA text compiled by g++: random calls and shapes too large to interpret."""

from __future__ import annotations

import gpu_proof
import numpy as np
import pytest

gpu_proof.needed()

from gpu_proof import device, host
from test_gpu_kernels import DTYPES, check, name, numbers

pytestmark = [
    pytest.mark.skipif(host.compiler() is None, reason="needs g++"),
    pytest.mark.skipif(not device.installed, reason="there is a GPU"),
]


@pytest.fixture
def on_host(monkeypatch):
    chosen = host.HostProof()
    chosen.install(monkeypatch)
    return chosen


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize(
    ("shape", "alpha_shape", "axis"),
    [((8, 16, 1000), (16,), 1), ((4000, 64), (64,), -1), ((200001,), (), None)],
    ids=["nchw", "nhwc", "shared"],
)
def test_large(on_host, dtype, shape, alpha_shape, axis):
    rng = np.random.default_rng(3)
    x, dy = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
    check(x, numbers(rng, alpha_shape, dtype), dy, axis, what=name(dtype))


@pytest.mark.parametrize("seed", range(6))
def test_fuzz(on_host, seed):
    """Exponents over the whole range, terms that cancel, any place of alpha."""
    rng = np.random.default_rng(seed)
    dtype, alpha_dtype = DTYPES[seed % 4], DTYPES[(seed // 2) % 4]
    shape = tuple(int(n) for n in rng.integers(1, 40, 3))
    kept = int(rng.integers(0, 3))
    reach = {2: 7, 4: 60, 8: 500}[np.dtype(dtype).itemsize]
    x, dy = (
        (rng.standard_normal(shape) * 2.0 ** rng.integers(-reach, reach, shape)).astype(dtype)
        for _ in range(2)
    )
    half = shape[0] // 2
    if half:
        x[:half], dy[:half] = x[-half:], -dy[-half:]
    check(x, numbers(rng, (shape[kept],), alpha_dtype), dy, kept, what=f"seed {seed}")
