"""The proof must notice a mistake: kernels broken on purpose, each caught."""

from __future__ import annotations

from pathlib import Path

import gpu_proof
import ml_dtypes
import numpy as np
import pytest

import prelu_array

gpu_proof.needed()

from gpu_proof import device
from gpu_proof.broken import BROKEN, breaker
from gpu_proof.memory import DeviceError
from test_gpu_kernels import MANY_BLOCKS, check, numbers, rules
from test_gpu_second import check_jvp, check_partial, hard_sums

from prelu_array._gpu import doorway, launches, memory, plan

pytestmark = pytest.mark.skipif(not device.installed, reason="there is a GPU")

RNG = np.random.default_rng(9)


def probe_second():
    """Of the derivatives of other kinds likewise."""
    for dtype in (np.float32, np.float64):
        for x, alpha, x_dot, alpha_dot in hard_sums(dtype, dtype):
            check_jvp(x[:64], alpha[:64], x_dot[:64], alpha_dot[:64], what="hard sums")
    x, dy = (RNG.standard_normal(300).astype(np.float32) * 2.0 ** RNG.integers(-60, 60, 300)
             for _ in range(2))  # fmt: skip
    x, dy = x.astype(np.float32), dy.astype(np.float32)
    check_partial(dy, x, np.float32([0.5]), what="state")
    dy[::50] = np.nan
    check_partial(dy, x, np.float32([0.5]), what="state with NaN")
    for _ in range(4):
        check_partial(*numbers(RNG, (2, 20), np.float32), np.float32([0.5]), what="small state")
    x, y = -np.full(3, 2.0**65 * (1 - 2.0**-7)), np.full(3, 2.0**65)
    check_jvp(*(a.astype(ml_dtypes.bfloat16) for a in (x, y, y, y)), what="beyond float")


def probe_all():
    """A few calls which together use every kernel hard enough."""
    tiny = np.float32(1e-39)
    many = numbers(RNG, (2, 3, 1200), np.float32), numbers(RNG, (2, 3, 1200), np.float32)
    alpha = np.array([0.5, -0.25, 3.0], np.float32)
    check(many[0], alpha, many[1], 1, what="nchw")
    check(many[0][:, 0, :1027], alpha[:1], many[1][:, 0, :1027], what="shared")
    long = numbers(RNG, (10007,), np.float32), numbers(RNG, (10007,), np.float32)
    for _ in range(2):
        check(long[0], alpha[:1], long[1], what="several chunks")
    each = [RNG.standard_normal((41, 21)).astype(np.float32) for _ in range(3)]
    check(*each, what="per element")
    x, dy = (RNG.standard_normal((1700, 20)).astype(np.float32) for _ in range(2))
    check(x, numbers(RNG, (1700,), np.float32), dy, 0, what="short samples")
    dy = -np.float32([1, 2.0**-24, 2.0**-80])  # a tie but for what the sum rounds
    for _ in range(2):
        check(np.full(3, -1, np.float32), alpha[:1], dy, what="nearly a tie")
    x, dy = np.float16([[-32, -1, -(2.0**-24)], [-32, -0.5, -(2.0**-24)]])
    check(x, np.float16([1]), dy, what="nearly a tie of float16")
    x, dy = (-np.array([1.0625, 2.0**-130]).astype(ml_dtypes.bfloat16) for _ in range(2))
    check(x, np.ones(1, x.dtype), dy, what="nearly a tie of bfloat16")
    dy = np.zeros(5000, np.float32)
    dy[[0, 2000, 4000]] = 1, 2.0**-24, 2.0**-80
    for _ in range(2):
        check(np.full(5000, -1, np.float32), alpha[:1], dy, what="nearly a tie, far apart")
    x, dy = (RNG.standard_normal((300, 5)).astype(np.float16) for _ in range(2))
    check(x, numbers(RNG, (5,), np.float16), dy, 1, what="lanes")
    x = np.full(4000, -1, np.float16)
    dy = np.float16([2.0**-14, 1, 2.0**15, -(2.0**15)] * 1000)
    check(x, np.ones(1, np.float16), dy, what="many sizes")
    x = np.array([-0.0, 0.0, tiny, -tiny, -2.0, np.nan, 3.0], np.float32)
    check(x, alpha[1:2], np.ones(7, np.float32), what="zeros and subnormals")
    check(x, alpha[1:2], np.ones(7, np.float32), at_zero="one", what="at zero")
    # terms over a wide range that cancel: integers, in pieces
    large = np.tile(np.array([-1.5, -(2.0**-60), 1.0, -3.0, -1.5], np.float32), 600)
    dy = np.tile(np.array([2.0**40, 1.0, 5.0, 7.0, -(2.0**40)], np.float32), 600)
    for _ in range(2):
        check(large, alpha[:1], dy, what="cancellation")
    probe_second()


@pytest.mark.parametrize("schedule", ["together", "forward", "reverse"])
@pytest.mark.parametrize("limits", [{}, MANY_BLOCKS], ids=["small", "large"])
def test_the_right_kernels_pass(monkeypatch, schedule, limits):
    rules(monkeypatch, **limits)
    device.Proof(schedule).install(monkeypatch)
    probe_all()


@pytest.mark.parametrize("name", [n for n in BROKEN if "32 bits" not in n])
def test_each_mistake_is_caught(monkeypatch, name):
    right, _ = BROKEN[name]
    folder = Path(prelu_array.__file__).parent / "_gpu"
    assert any(right in path.read_text() for path in folder.glob("*.cu")), "the text has changed"
    for schedule in ("together", "forward", "reverse"):
        for limits in ({}, MANY_BLOCKS):
            with monkeypatch.context() as patch:
                rules(patch, **limits)
                device.Proof(schedule, change=breaker(name)).install(patch)
                patch.setattr(memory, "_workspaces", {})
                try:
                    probe_all()
                except (AssertionError, DeviceError):
                    return
    pytest.fail("nobody noticed")


def shifted(text):
    """Let indices begin beyond 2^31, as late in an array of that size, over small memory."""
    for right, far in (
        ("blockIdx.x * BLOCK + threadIdx.x;", "blockIdx.x * BLOCK + threadIdx.x + 2147483640ll;"),
        ("const I e = i * VECTOR;", "const I e = (i - 2147483640ll) * VECTOR;"),
    ):
        text = text.replace(right, far, 1)
    return text


def plan_of_scale(n):
    """Plan the forward of n floats, whose alpha is a number."""
    strides = (4,), None, (4,), None, None, None, None, None
    return plan.scale(plan.Case("f32", "f32", (n,), strides, (0, 0))).launches[0]


def start_scale(n, grid, x, out):
    """Launch one block of the plan for n elements."""
    launch = plan_of_scale(n)
    start = launches.prepare(launch._replace(grid=grid), doorway.OPERANDS)
    start((out, 0, x, 0, 0, 0, 0, 0, 0, 0, 0.5, 0.0, 0.0))
    return launch


@pytest.mark.parametrize("broken", [False, True])
def test_an_overflow_of_32_bits_is_caught(monkeypatch, broken):
    mistake = breaker("overflow of 32 bits") if broken else (lambda text: text)
    device.Proof(change=lambda text: shifted(mistake(text))).install(monkeypatch)
    x = device.place(np.full(32, -1, np.float32))
    out = device.place(np.zeros(32, np.float32))
    launch = start_scale(2**33, 1, x.data.ptr, out.data.ptr)
    assert "#define I long long\n" in launch.head
    assert bool((out.get() == -0.5).all()) != broken


def test_the_last_block_of_almost_2_to_31_elements(monkeypatch):
    """With 32-bit indices, over the small memory that this block alone reaches."""
    n = 2**31 - 1088
    last = plan_of_scale(n).grid - 1

    def begun_late(text):
        return text.replace("blockIdx.x * BLOCK", f"(blockIdx.x + {last}) * BLOCK", 1)

    device.Proof(change=begun_late).install(monkeypatch)
    x = device.place(np.full(1024, -1, np.float32))
    out = device.place(np.zeros(1024, np.float32))
    before = last * plan.BLOCK * 16  # bytes that the other blocks see to
    # addresses wrap, as the kernel's do: a process may have its heap below 2^33
    addresses = ((a.data.ptr - before) % 2**64 for a in (x, out))
    launch = start_scale(n, 1, *addresses)
    assert "#define I int\n" in launch.head
    assert (out.get() == np.where(np.arange(1024) < n - last * 1024, -0.5, 0)).all()
