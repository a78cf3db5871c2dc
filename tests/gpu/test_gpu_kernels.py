"""The PTX of every kernel, executed on the CPU, against the exact reference: bit for bit."""

from __future__ import annotations

import itertools

import gpu_proof
import numpy as np
import pytest

import prelu_array
from prelu_array.testing import cases, reference_prelu, reference_prelu_backward

gpu_proof.needed()

import ml_dtypes
from gpu_proof import device

from prelu_array._gpu import launches, plan, walk

DTYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
PAIRS = list(itertools.product(DTYPES, DTYPES))
# equal dtypes, and for each dtype of x one other and for each alpha one other, are run always
EVERY_PAIR = [
    pytest.param(x, a, marks=() if (k // 4 + k) % 2 == 0 else pytest.mark.thorough)
    for k, (x, a) in enumerate(PAIRS)
]


def name(dtype):
    return np.dtype(dtype).name


def assert_same_bits(got, expected, what):
    got = got.get()
    assert got.shape == expected.shape, what
    assert got.dtype == expected.dtype, what
    integer = f"u{got.dtype.itemsize}"
    wrong = got.view(integer) != expected.view(integer)
    wrong &= ~(np.isnan(got) & np.isnan(expected))
    at = np.flatnonzero(wrong)
    assert at.size == 0, (
        f"{what}: {at.size} of {got.size} differ, first at {at[0]}: "
        f"{got.reshape(-1)[at[0]]!r}, expected {expected.reshape(-1)[at[0]]!r}"
    )


def check(x, alpha, dy, axis=None, offset=0, at_zero="alpha", what=""):
    """Forward and backward of arrays placed `offset` bytes off 256."""
    axis = None if alpha.size == 1 else axis
    there = [device.place(a, offset) for a in (x, alpha, dy)]
    x_, alpha_, dy_ = there
    y = prelu_array.prelu(x_, alpha_, axis=axis)
    assert_same_bits(y, reference_prelu(x, alpha, axis=axis), f"y {what}")
    dx, dalpha = prelu_array.prelu_backward(dy_, x_, alpha_, axis=axis, at_zero=at_zero)
    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    assert_same_bits(dx, expected[0], f"dx {what}")
    assert_same_bits(dalpha, expected[1], f"dalpha {what}")
    for before, after in zip((x, alpha, dy), there, strict=True):
        assert_same_bits(after, before, f"an input {what}")


@pytest.fixture
def proof(monkeypatch):
    if not device.installed:
        pytest.skip("there is a GPU: tests/gpu/test_gpu_device.py runs on it")
    chosen = device.Proof()
    chosen.install(monkeypatch)
    return chosen


def numbers(rng, shape, dtype):
    """Normal numbers with zeros of both signs and subnormals among them."""
    values = rng.standard_normal(shape).astype(dtype)
    tiny = ml_dtypes.finfo(dtype).smallest_subnormal
    some = np.array([0.0, -0.0, 3 * tiny, -5 * tiny]).astype(dtype)
    return np.where(rng.random(shape) < 0.1, rng.choice(some, shape), values).astype(dtype)


KINDS = ("specials", "ties", "cancellation", "overflow", "subnormals", "reported", "empty")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_hard_inputs(proof, dtype):
    for k, case in enumerate(cases(dtype=dtype, kind=KINDS)):
        if dtype == np.float64 and case.kind != "specials" and k % 2:
            continue  # an exact sum of float64 takes the interpreter a while
        if case.kind == "specials" and case.layout == "shared" and "pairs" not in case.name:
            continue  # one element each: the pairs hold them all
        for at_zero in ("alpha", "one") if case.kind == "specials" else ("alpha",):
            check(case.x, case.alpha, case.dy, case.axis, at_zero=at_zero, what=case.name)


@pytest.mark.parametrize(("dtype", "alpha_dtype"), EVERY_PAIR, ids=name)
def test_special_values_of_every_pair_of_dtypes(proof, dtype, alpha_dtype):
    for case in cases(
        dtype=dtype, alpha_dtype=alpha_dtype, kind="specials", layouts=("channel", "element")
    ):
        check(case.x, case.alpha, case.dy, case.axis, what=case.name)


LAYOUTS = {
    "shared": ((4, 3, 17), (), None),
    "number-like": ((31,), (1,), None),
    "nchw": ((3, 4, 16), (4,), 1),
    "nchw-odd": ((3, 4, 7), (4,), 1),
    "nhwc": ((30, 16), (16,), -1),
    "nhwc-odd": ((30, 5), (5,), -1),
    "per-sample": ((6, 40), (6, 1), None),
    "per-element": ((5, 16), (5, 16), None),
    "per-element-odd": ((5, 3), (5, 3), None),
    "per-feature": ((6, 2, 8), (2, 8), (1, 2)),
    "shared-in-the-middle": ((3, 5, 4), (3, 1, 4), None),
    "swapped": ((3, 2, 4), (4, 2), (2, 1)),
    "four-axes": ((2, 3, 2, 5), (2, 1, 2, 1), None),
    "other-four-axes": ((2, 3, 4, 5), (3, 1, 5), None),
    "runs-in-a-batch": ((2, 3, 4, 16), (2, 1, 4, 1), None),
    "three-runs": ((2, 3, 2, 3, 4), (2, 1, 2, 1, 4), None),
    "long-runs": ((3, 2, 544), (2,), 1),
    "wide": ((9, 544), (544,), -1),
}


@pytest.mark.parametrize(("dtype", "alpha_dtype"), EVERY_PAIR, ids=name)
def test_layouts_aligned_and_not(proof, dtype, alpha_dtype):
    rng = np.random.default_rng(1)
    pair = PAIRS.index((dtype, alpha_dtype))
    for k, (layout, (shape, alpha_shape, axis)) in enumerate(LAYOUTS.items()):
        if dtype != alpha_dtype and (k + pair) % 4:
            continue  # every pair sees some layouts, every dtype sees all
        x, dy = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
        alpha = numbers(rng, alpha_shape, alpha_dtype)
        for offset in (0, 8) if (k + pair) % 3 == 0 else (8 * ((k + pair) % 2),):
            check(x, alpha, dy, axis, offset, what=f"{layout} at {offset}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_64_bit_indices(proof, monkeypatch, dtype):
    device.forget(monkeypatch)
    for module in (plan, walk):
        monkeypatch.setattr(module, "index", lambda _: "long long")
    rng = np.random.default_rng(2)
    for layout in ("shared", "nchw", "nhwc-odd", "per-element", "per-feature", "long-runs"):
        shape, alpha_shape, axis = LAYOUTS[layout]
        x, dy = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
        check(x, numbers(rng, alpha_shape, dtype), dy, axis, what=layout)


def rules(monkeypatch, **changed):
    """Plan by other limits, so that small arrays take the ways of large ones."""
    device.forget(monkeypatch)
    for limit, value in changed.items():
        monkeypatch.setattr(walk, limit, value)


MANY_BLOCKS = {"HERE_BELOW": 0, "ONE_LEVEL": 4, "STEPS": 1, "BLOCKS_PER_SM": 8}


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize(
    "limits", [MANY_BLOCKS, {"BLOCKS_PER_SM": 1, "SHORT": 99}], ids=["many", "few"]
)
def test_ways_of_large_arrays(proof, monkeypatch, dtype, limits):
    """Many chunks, added in two levels, with doubts left; few, each of several spans."""
    rules(monkeypatch, **limits)
    rng = np.random.default_rng(6)
    for shape, alpha_shape, axis in (
        ((20011,), (), None),
        ((40, 3, 50), (3,), 1),
        ((7, 2, 600), (2,), 1),
        ((300, 24), (24,), 1),
        ((40, 700), (700,), 1),
        ((700, 40), (700,), 0),
        ((900, 10), (900,), 0),
        ((5, 60, 48), (5, 1, 48), None),
    ):
        x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
        for _ in range(2):  # the second time with counters as the first one left them
            check(x, numbers(rng, alpha_shape, dtype), dy, axis, what=f"{shape}")


def in_doubt(text):
    """Settle nothing by sums."""
    return text.replace("if (is_settled(sum, &result)) {", "if (0) {").replace(
        "if (sum.rest == 0.0) {\n        write_state", "if (0) {\n        write_state"
    )


@pytest.mark.parametrize("below", [0, 1 << 20], ids=["a launch for doubts", "here"])
@pytest.mark.parametrize(("dtype", "alpha_dtype"), EVERY_PAIR, ids=name)
def test_every_alpha_in_doubt(proof, monkeypatch, dtype, alpha_dtype, below):
    """Integers alone: alphas in pieces, and more alphas than blocks."""
    if dtype != alpha_dtype and below:
        pytest.skip("the same text as with equal dtypes")
    rules(monkeypatch, HERE_BELOW=below, STEPS=1)
    device.Proof(change=in_doubt).install(monkeypatch)
    rng = np.random.default_rng(4)
    reach = {2: 7, 4: 60, 8: 500}[np.dtype(dtype).itemsize]
    for shape, alpha_shape, axis in (((2500,), (), None), ((9, 11), (11,), 1)):
        x, dy = (
            (rng.standard_normal(shape) * 2.0 ** rng.integers(-reach, reach, shape)).astype(dtype)
            for _ in range(2)
        )
        half = shape[0] // 2
        x[:half], dy[:half] = x[-half:], -dy[-half:]
        x[0], dy[0] = -1, 1
        for _ in range(2):
            check(x, numbers(rng, alpha_shape, alpha_dtype), dy, axis, what=str(shape))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_a_readable_reduction_agrees(proof, dtype):
    """CuPy's ReductionKernel, with our arithmetic and any strides, checks the fused kernel."""
    rng = np.random.default_rng(7)
    x, dy = (device.place(numbers(rng, (6, 5, 14), dtype))[..., ::2] for _ in range(2))
    alpha = device.place(np.full(5, 0.5))
    dalpha = prelu_array.prelu_backward(dy, x, alpha, axis=1)[1].get()
    kernel = launches.strided_sums(plan.code(x.dtype), 0.0)
    parts = [device.place(np.empty(5)) for _ in range(3)]
    kernel(launches.as_bits(x), launches.as_bits(dy), *parts, axis=(0, 2))
    high, low, rest = (part.get() for part in parts)
    assert (abs((high - dalpha) + low) <= rest + np.spacing(abs(dalpha))).all()
    assert (rest == 0).any() or dtype == np.float64
    assert (((high + low) == dalpha) | (rest > 0)).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_sums_know_that_they_are_exact(proof, monkeypatch, dtype):
    """Ties, sums that are zero and small integers leave no alpha in doubt."""
    without = "list[atomicAdd(doubts, 1ull)] = slab * w.alphas + k;"
    device.Proof(change=lambda text: text.replace(without, "")).install(monkeypatch)
    rng = np.random.default_rng(8)
    x, dy = (rng.integers(-4, 5, (64, 32)).astype(dtype) for _ in range(2))
    check(x, np.ones(32, dtype), dy, 1, what="integers")
    sign = np.where(np.arange(64) % 2, -0.7, 0.7).astype(dtype)[:, None]
    check(np.full((64, 32), -1.5, dtype), np.ones(32, dtype), np.tile(sign, 32), 1, what="zero")
    if dtype == np.float64:
        few = [rng.standard_normal((64, 32)).astype(np.float32).astype(dtype) for _ in range(2)]
        check(*few[:1], np.ones(32, dtype), few[1], 1, what="float32 values")
