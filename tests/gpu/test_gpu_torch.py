"""`prelu_array.torch` on CUDA without a device: real tensors whose memory is the stand-in's.

What torch does on a device is replaced (allocation, streams, the current device); the rest is what
runs there, down to the interpreted kernels.
"""

from __future__ import annotations

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace

import gpu_proof
import numpy as np
import pytest

gpu_proof.needed()
torch = pytest.importorskip("torch", reason="torch is not installed")

from arrays import assert_same_bits, drawn, numbers
from frameworks import at_zeros, pairs
from gpu_proof import device
from tensors import array, tensor
from test_gpu_kernels import LAYOUTS, proof  # noqa: F401

import prelu_array.torch
from prelu_array._gpu import doorway
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
)
from prelu_array.torch import _cuda


def like(t, **options):
    """`torch.empty_like` on the stand-in: memory of its own, whose ends are checked."""
    form = torch.empty_like(t, device="meta", **options)
    size = max(form.itemsize, form.nbytes)
    room = (ctypes.c_char * size).from_address(device.memory.allocate(size))
    flat = torch.frombuffer(room, dtype=form.dtype, count=size // form.itemsize)
    return flat.as_strided(form.shape, form.stride())


def place(a, strides=None):
    """Return a tensor on the stand-in."""
    a = np.asarray(a)
    t = tensor(a)
    if strides is not None:
        last = sum((n - 1) * s for n, s in zip(t.shape, strides, strict=True))
        room = like(torch.empty(last + 1, dtype=t.dtype))
        view = room.as_strided(t.shape, strides)
        return view.copy_(t) if any(strides) else room.copy_(t.ravel()[:1]).expand(t.shape)
    return like(t).copy_(t)


@pytest.fixture
def here(proof, monkeypatch):  # noqa: F811
    """The device of host memory, under torch's side."""
    state = SimpleNamespace(capturing=False, made=[], proof=proof, stream=0)

    def words(zeros, scratch, _):
        one, other = (like(torch.empty(n, dtype=torch.int64)) for n in (zeros, scratch))
        state.made.append((one.zero_(), other))
        return one, other

    for name, value in {
        "_like": like, "_index": lambda t: 0, "_stream": lambda k: state.stream,
        "_current_device": lambda: 0, "_on_device": lambda d: nullcontext(),
        "_capturing": lambda: state.capturing, "_words": words, "_known": {}, "_workspaces": {},
    }.items():  # fmt: skip
        monkeypatch.setattr(_cuda, name, value)
    return state


def check(x, alpha, dy, axis, at_zero="alpha", x_strides=None, dy_strides=None):
    """Forward and backward, with the bits of the reference; twice, as calls are remembered."""
    at_one = at_zero == "one"
    x_, alpha_, dy_ = place(x, x_strides), place(alpha), place(dy, dy_strides)
    axis_ = [axis] if isinstance(axis, int) else axis
    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    for _ in range(2):
        y = _cuda.prelu(x_, alpha_, axis_, at_one)
        assert_same_bits(array(y), reference_prelu(x, alpha, axis=axis), "y")
        dx, dalpha = _cuda.backward(dy_, x_, alpha_, axis_, at_one, True, True)
        assert_same_bits(array(dx), expected[0], "dx")
        assert_same_bits(array(dalpha), expected[1], "dalpha")
        for k, needs in enumerate(((True, False), (False, True))):
            result = _cuda.backward(dy_, x_, alpha_, axis_, at_one, *needs)
            assert_same_bits(array(result[k]), expected[k], "alone")
            assert result[1 - k].numel() == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(here, layout):
    shape, alpha_shape, axis = LAYOUTS[layout]
    rng = np.random.default_rng(1)
    x, dy = numbers(rng, shape, np.float32), numbers(rng, shape, np.float32)
    axis = None if int(np.prod(alpha_shape)) == 1 else axis
    check(x, numbers(rng, alpha_shape, np.float32), dy, axis)


@pairs
@at_zeros
def test_dtypes(here, dtype, alpha_dtype, at_zero):
    x, alpha, dy, axis = drawn("axis 1, NCHW", dtype, alpha_dtype)
    check(x, alpha, dy, axis, at_zero)


@pytest.mark.parametrize(
    ("x_strides", "dy_strides"),
    [
        ((48, 1, 12, 3), (48, 1, 12, 3)),
        ((200, 50, 9, 2), None),
        (None, (0, 0, 0, 0)),
        (None, (48, 1, 12, 3)),
    ],
    ids=["channels last", "gaps", "expanded dy", "another order"],
)
def test_strides(here, x_strides, dy_strides):
    rng = np.random.default_rng(1)
    x, dy = (numbers(rng, (2, 3, 4, 4), np.float32) for _ in range(2))
    if dy_strides == (0, 0, 0, 0):
        dy = np.full_like(dy, 0.5)
    check(x, numbers(rng, (3,), np.float32), dy, 1, x_strides=x_strides, dy_strides=dy_strides)


@pytest.mark.parametrize("layout", ["nchw", "nhwc-odd", "per-element", "three-runs", "shared"])
@at_zeros
def test_second_order(here, layout, at_zero):
    shape, alpha_shape, axis = LAYOUTS[layout]
    rng = np.random.default_rng(2)
    ddx, dy, x = (numbers(rng, shape, np.float32) for _ in range(3))
    ddalpha, alpha = (numbers(rng, alpha_shape, np.float32) for _ in range(2))
    arrays = ddx, ddalpha, dy, x, alpha
    axis_ = [axis] if isinstance(axis, int) else axis
    expected = reference_prelu_double_backward(*arrays, axis=axis, at_zero=at_zero)
    tensors = [place(a) for a in arrays]
    broadcast = [*tensors]
    broadcast[1] = place(np.zeros((), np.float32)).expand(alpha_shape)
    for _ in range(2):  # calls are remembered
        got = _cuda.second(*tensors, axis_, at_zero == "one")
        for a, right, name in zip(got, expected, ("of dy", "of x", "of alpha"), strict=True):
            assert_same_bits(array(a), right, name)
    expected = reference_prelu_double_backward(
        ddx, np.zeros_like(ddalpha), dy, x, alpha, axis=axis, at_zero=at_zero
    )
    for a, right in zip(_cuda.second(*broadcast, axis_, at_zero == "one"), expected, strict=True):
        assert_same_bits(array(a), right)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("strides", [None, (1, 2), (6, 2)], ids=["dense", "transposed", "gaps"])
def test_integers(here, dtype, strides):
    """Products wrap; of memory in any order, and on torch's stream."""
    dtype = np.dtype(dtype)
    info = np.iinfo(dtype)
    x = np.array([[info.max, info.min, 0], [info.min + 1, 2, 5]], dtype)
    alpha = np.array([2, -3, 4], np.int64).astype(dtype)
    expected = [
        [v if v > 0 else int(a) * v for v, a in zip(row, alpha, strict=True)] for row in x.tolist()
    ]
    y = _cuda.prelu(place(x, strides), place(alpha), [1], False)
    size = 8 * dtype.itemsize
    wrapped = [[v % 2**size for v in row] for row in expected]
    assert_same_bits(array(y), np.array(wrapped, f"u{dtype.itemsize}").view(dtype), "y")


def test_nothing_to_do(here):
    x, alpha = place(np.zeros((0, 3), np.float32)), place(np.ones(3, np.float32))
    assert _cuda.prelu(x, alpha, [1], False).shape == (0, 3)
    _, dalpha = _cuda.backward(x, x, alpha, [1], False, True, True)
    assert dalpha.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"alpha\.shape must be"):
        _cuda.prelu(place(np.ones((2, 4), np.float32)), alpha, [1], False)


def test_a_call_like_one_before_is_started_alone(here, monkeypatch):
    """One launch, nothing of CuPy's: no array, no allocation, no wait; on torch's stream."""
    x, alpha = place(np.ones((6, 4, 8), np.float32)), place(np.ones(4, np.float32))

    def both():
        _cuda.prelu(x, alpha, [1], False)
        _cuda.backward(x, x, alpha, [1], False, True, True)

    both()
    streams = []
    run = doorway.Call.run

    def spy(self, fields, stream=None):
        streams.append(stream.ptr)
        run(self, fields, stream)

    monkeypatch.setattr(doorway.Call, "run", spy)
    monkeypatch.setattr(_cuda, "_place", None)  # what is found is not planned again
    before, ran = device.counts(), len(here.proof.ran)
    both()
    here.stream = 1234
    both()
    after = device.counts()
    assert {k: after[k] - before[k] for k in after if after[k] != before[k]} == {"launch": 4}
    assert here.proof.ran[ran:] == ["prelu_scale_kernel", "prelu_walk_kernel"] * 2
    assert streams == [0, 0, 1234, 1234]


def test_workspaces(here):
    """One for each stream; in a graph that is being captured one for each call."""
    x, alpha = place(np.ones((6, 4, 8), np.float32)), place(np.ones(4, np.float32))

    def backward():
        return _cuda.backward(x, x, alpha, [1], False, True, True)

    backward()
    backward()
    assert len(here.made) == 1
    here.stream = 77
    backward()
    assert len(here.made) == 2
    here.capturing = True
    backward()
    backward()
    assert len(here.made) == 4
    assert len(_cuda._workspaces) == 2
    for zeros, _ in here.made:
        assert not zeros.any()


def test_without_cupy(monkeypatch):
    from prelu_array.torch import _operators

    monkeypatch.setitem(__import__("sys").modules, "prelu_array.torch._cuda", None)
    _operators._on_cuda.cache_clear()
    monkeypatch.delattr(prelu_array.torch, "_cuda")
    with pytest.raises(ImportError, match=r"tensors on CUDA need CuPy.*pip install \"cupy-cuda"):
        _operators._on_cuda()
