"""The kernels' CUDA text compiled by g++: random calls and shapes too large to interpret."""

from __future__ import annotations

import sys
from pathlib import Path

import gpu_proof
import numpy as np
import pytest

gpu_proof.needed()

from gpu_proof import device, host
from test_gpu_kernels import DTYPES, check, name, numbers

from prelu_array._gpu import walk

sys.path.append(str(Path(__file__).parents[2] / "bench"))
from layout_kinds import KINDS

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


def hard(rng, shape, dtype, like=None):
    """Exponents over the whole range; with `like` terms that cancel."""
    reach = {2: 7, 4: 60, 8: 500}[np.dtype(dtype).itemsize]
    values = (rng.standard_normal(shape) * 2.0 ** rng.integers(-reach, reach, shape)).astype(dtype)
    if like is not None and shape and shape[0] > 1:
        half = shape[0] // 2
        like[:half], values[:half] = like[-half:], -values[-half:]
    return values


@pytest.mark.parametrize("seed", range(6))
def test_fuzz(on_host, seed):
    """Exponents over the whole range, terms that cancel, any place of alpha."""
    rng = np.random.default_rng(seed)
    dtype, alpha_dtype = DTYPES[seed % 4], DTYPES[(seed // 2) % 4]
    shape = tuple(int(n) for n in rng.integers(1, 40, 3))
    kept = int(rng.integers(0, 3))
    x = hard(rng, shape, dtype)
    dy = hard(rng, shape, dtype, x)
    check(x, numbers(rng, (shape[kept],), alpha_dtype), dy, kept, what=f"seed {seed}")


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_every_kind_of_layout(on_host, monkeypatch, dtype):
    """Ten million elements of each dtype, in the layouts that are also measured."""
    rng, size, number = np.random.default_rng(7), 1 << 18, 10**7
    elements = draw = 0
    while elements < number:
        kind = list(KINDS)[draw % len(KINDS)]
        layout = KINDS[kind](draw // len(KINDS), rng, size)
        make = hard if draw % 2 else numbers
        x, dy = (o.view(make(rng, o.memory, dtype)) for o in (layout.x, layout.dy or layout.x))
        alpha_dtype = dtype if draw % 3 else DTYPES[draw // 3 % 4]
        alpha = numbers(rng, layout.alpha, alpha_dtype)
        # doubts are summed by the same block, or by a launch of their own
        monkeypatch.setattr(walk, "HERE_BELOW", size << 1 if draw % 2 else 1)
        what = f"draw {draw}: {kind}, {layout.text}, {x.shape}, alpha {name(alpha_dtype)}"
        check(x, alpha, dy, layout.axis, offset=8 * (draw % 5 == 4), what=what)
        elements, draw = elements + x.size, draw + 1
    print(f"{elements} elements in {draw} calls")
