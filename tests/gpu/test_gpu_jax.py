"""`prelu_array.jax` on CUDA without a device: its callback on buffers that stand in for JAX's."""

from __future__ import annotations

from types import SimpleNamespace

import gpu_proof
import numpy as np
import pytest

gpu_proof.needed()
pytest.importorskip("jax", reason="jax is not installed")

from frameworks import pairs, second_order
from gpu_proof import device
from test_gpu_kernels import assert_same_bits, proof  # noqa: F401

from prelu_array.jax import _host
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)


class Buffer:
    """An array on the stand-in as JAX hands it out: by an interface that has no bfloat16."""

    def __init__(self, a):
        self.array = device.place(a)
        self.shape, self.dtype = a.shape, a.dtype

    @property
    def __cuda_array_interface__(self):
        if self.dtype.kind != "f":
            raise ValueError("unsupported dtype")
        return {"data": (self.array.data.ptr, False), "version": 3}

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.fixture(autouse=True)
def _one_device(monkeypatch):
    import cupy

    monkeypatch.setattr(
        cupy.cuda.runtime, "pointerGetAttributes", lambda _: SimpleNamespace(device=0)
    )


def called(name, given, outs, need=(True, True)):
    """Return what a callback writes to buffers like `outs`."""
    outs = [Buffer(np.zeros_like(a)) for a in outs]
    context = SimpleNamespace(stream=0)
    _host.on_cuda(name, True, need)(context, outs, *map(Buffer, given))
    return [out.array for out in outs]


@pairs
def test_every_function(proof, dtype, alpha_dtype):  # noqa: F811
    ddx, ddalpha, dy, x, alpha, axis = second_order("axis 1, NCHW", dtype, alpha_dtype)
    options = {"axis": axis, "at_zero": "one"}
    y = reference_prelu(x, alpha, axis=axis)
    y_dot = reference_prelu_jvp(x, alpha, ddx, ddalpha, **options)
    gradients = reference_prelu_backward(dy, x, alpha, **options)
    cotangents = reference_prelu_double_backward(ddx, ddalpha, dy, x, alpha, **options)
    alpha, ddalpha = alpha[:, None, None], ddalpha[:, None, None]
    shaped = [gradients[0], gradients[1][:, None, None]]
    for need in ((True, True), (True, False), (False, True)):
        expected = [g for g, needed in zip(shaped, need, strict=True) if needed]
        for got, right in zip(
            called("backward", (dy, x, alpha), expected, need), expected, strict=True
        ):
            assert_same_bits(got, right, "backward")
    assert_same_bits(called("prelu", (x, alpha), [y])[0], y, "y")
    assert_same_bits(called("jvp", (x, alpha, ddx, ddalpha), [y_dot])[0], y_dot, "y_dot")
    expected = [*cotangents[:2], cotangents[2][:, None, None]]
    for got, right in zip(
        called("second", (ddx, ddalpha, dy, x, alpha), expected), expected, strict=True
    ):
        assert_same_bits(got, right, "second")


def test_on_jaxs_stream(proof, monkeypatch):  # noqa: F811
    import cupy

    from prelu_array import _gpu

    seen = []
    monkeypatch.setattr(
        _gpu, "forward", lambda *args: seen.append(cupy.cuda.get_current_stream().ptr)
    )
    x = Buffer(np.zeros((2, 3), np.float32))
    _host.on_cuda("prelu", False, (True, True))(SimpleNamespace(stream=1234), [x], x, x)
    assert seen == [1234]
