"""Flush-to-zero: hardware that flushes is not accused, a process that flushes changes nothing."""

import ctypes
import platform
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import wrong_kernels
from conforming_kernels import CONFORMING
from wrong_kernels import BACKWARD, FORWARD

from prelu_array.testing import (
    assert_forward,
    cases,
    check_kernel,
    identify,
    reference_prelu,
    reference_prelu_backward,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="flush-to-zero is set through MXCSR as glibc keeps it",
)
KINDS = ["specials", "subnormals", "reported"]


@contextmanager
def flushing():
    """Flush results and inputs to zero in this thread: MXCSR is at byte 28 of glibc's fenv_t."""
    libm = ctypes.CDLL("libm.so.6")
    before, now = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    libm.fegetenv(before)
    libm.fegetenv(now)
    ctypes.c_uint32.from_buffer(now, 28).value |= 0x8040
    libm.fesetenv(now)
    try:
        yield
    finally:
        libm.fesetenv(before)


def flushes():
    return bool((np.full(4, 1e-40, np.float32) * np.float32(1) == 0).all())


def on_flushing_hardware(kernel):
    def call(*inputs):
        with flushing(), np.errstate(all="ignore"):
            return kernel(*inputs)

    return call


def one_side(dy, x, alpha):
    return wrong_kernels.one_side(dy, x, alpha)


def copies_first(dy, x, alpha):
    """A copied dy keeps its bits where the comparison flushes x."""
    dx = dy.copy()
    below = ~(x > 0)
    dx[below] = wrong_kernels.gradient(dy, x, alpha, np.zeros(x.shape, bool))[below]
    return dx, wrong_kernels.backward(dy, x, alpha)[1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("backward", [wrong_kernels.backward, one_side, copies_first])
def test_flushing_hardware_is_not_accused(backward, dtype):
    forward, backward = map(on_flushing_hardware, (wrong_kernels.forward, backward))
    report = check_kernel(forward, backward, dtype=dtype, kinds=KINDS, subnormals=False)
    assert report.ok, str(report)
    if dtype in ("float32", "float64"):
        assert not check_kernel(forward, backward, dtype=dtype, kinds=KINDS).ok


def test_a_wrong_kernel_on_flushing_hardware_is_still_wrong():
    options = {"kinds": ["alpha", "tail"], "subnormals": False}
    assert not check_kernel(on_flushing_hardware(wrong_kernels.uses_ge), **options).ok
    report = check_kernel(backward=on_flushing_hardware(wrong_kernels.drops_tail), **options)
    assert report.suspicions == ["dalpha: drops the last n % 8 elements"]


def test_a_process_that_flushes_has_the_same_cases_and_references():
    plain = cases(kind=["specials", "subnormals"])
    with flushing():
        flushed = cases(kind=["specials", "subnormals"])
        for a, b in zip(plain, flushed, strict=True):
            one, other = (
                [c.x, c.dy, c.alpha, *reference_prelu_backward(c.dy, c.x, c.alpha, axis=c.axis)]
                for c in (a, b)
            )
            assert [part.tobytes() for part in one] == [part.tobytes() for part in other]
        x = -np.full(4, 3, np.uint32).view(np.float32)
        assert_forward(reference_prelu(x, 1.0), x, 1.0)
        assert flushes()  # the mode is as it was


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_process_that_flushes_has_the_same_verdicts_names_and_cards(dtype):
    forwards = [kernel for kernel, _ in FORWARD][::8]
    backwards = [*CONFORMING[::3], *(kernel for kernel, of, _ in BACKWARD if of == dtype)][::9]
    for pair in [*((f, None) for f in forwards), *((None, b) for b in backwards)]:
        plain = check_kernel(*pair, dtype=dtype, kinds=KINDS)
        card = identify(*pair, dtype=dtype)
        with flushing():
            again = check_kernel(*pair, dtype=dtype, kinds=KINDS)
            assert again.as_dict() == plain.as_dict()
            assert identify(*pair, dtype=dtype) == card
