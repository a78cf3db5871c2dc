"""The GPU backend's ways with arguments: outputs, overlap, what is not needed, errors.

Kernels are interpreted, as in test_gpu_kernels.
"""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import gpu_proof
import numpy as np
import pytest

import prelu_array
from prelu_array.testing import reference_prelu, reference_prelu_backward

gpu_proof.needed()

import cupy
from cupy.lib.stride_tricks import as_strided
from gpu_proof import device
from test_gpu_kernels import assert_same_bits, in_doubt, numbers, proof  # noqa: F401

from prelu_array import _gpu
from prelu_array._gpu import doorway, known, launches, memory, plan

RNG = np.random.default_rng(5)
X, DY = numbers(RNG, (6, 4, 8), np.float32), numbers(RNG, (6, 4, 8), np.float32)
ALPHA = numbers(RNG, (4,), np.float32)
Y = reference_prelu(X, ALPHA, axis=1)
DX, DALPHA = reference_prelu_backward(DY, X, ALPHA, axis=1)


@pytest.fixture
def there(proof):  # noqa: F811
    return SimpleNamespace(
        x=device.place(X), dy=device.place(DY), alpha=device.place(ALPHA), proof=proof
    )


def test_signatures_are_those_of_the_cpu():
    counts = {
        "forward": 4,
        "backward": 8,
        "jvp": 7,
        "double_backward": 8,
        "backward_partial": 7,
        "round_partial": 2,
    }
    for name, count in counts.items():
        assert getattr(_gpu, name).__code__.co_argcount == count


def test_out_is_returned_and_may_be_x(there):
    out = cupy.empty(X.shape, X.dtype)
    assert prelu_array.prelu(there.x, there.alpha, axis=1, out=out) is out
    assert_same_bits(out, Y, "out")
    prelu_array.prelu(there.x, there.alpha, axis=1, out=there.x)
    assert_same_bits(there.x, Y, "in place")


def test_out_of_other_strides(there):
    out = cupy.empty((8, 4, 6), X.dtype).transpose(2, 1, 0)
    prelu_array.prelu(there.x, there.alpha, axis=1, out=out)
    assert_same_bits(out, Y, "out")
    dx = cupy.empty((8, 4, 6), X.dtype).transpose(2, 1, 0)
    dalpha = cupy.empty((8,), X.dtype)[::2]
    got = prelu_array.prelu_backward(there.dy, there.x, there.alpha, axis=1, out=(dx, dalpha))
    assert got[0] is dx
    assert got[1] is dalpha
    assert_same_bits(dx, DX, "dx")
    assert_same_bits(dalpha, DALPHA, "dalpha")


@pytest.mark.parametrize("which", ["x", "dy"])
def test_dx_may_overwrite_an_input_even_if_dalpha_is_in_doubt(there, which, monkeypatch):
    device.Proof(change=in_doubt).install(monkeypatch)
    written = getattr(there, which)
    _, dalpha = prelu_array.prelu_backward(
        there.dy, there.x, there.alpha, axis=1, out=(written, None)
    )
    assert_same_bits(written, DX, "dx")
    assert_same_bits(dalpha, DALPHA, "dalpha")


def test_partial_overlap_gives_the_result_of_none(proof):  # noqa: F811
    memory = device.place(RNG.standard_normal(70).astype(np.float32))
    x, out = memory[:64], memory[3:67]
    expected = reference_prelu(x.get(), 0.25)
    prelu_array.prelu(x, 0.25, out=out)
    assert_same_bits(out, expected, "y")


def test_alpha_may_be_overwritten_by_dalpha(there):
    prelu_array.prelu_backward(there.dy, there.x, there.alpha, axis=1, out=(None, there.alpha))
    assert_same_bits(there.alpha, DALPHA, "dalpha")


def test_everything_in_place(there):
    prelu_array.prelu_backward(there.dy, there.x, there.alpha, axis=1, out=(there.x, there.alpha))
    assert_same_bits(there.x, DX, "dx")
    assert_same_bits(there.alpha, DALPHA, "dalpha")


def test_dalpha_may_overwrite_x_of_any_strides(there):
    x, dy, each = X[:, ::2], DY[:, ::2], np.full((6, 2, 8), 0.5, np.float32)
    expected = reference_prelu_backward(dy, x, each)
    x_ = there.x[:, ::2]
    dx, _ = prelu_array.prelu_backward(there.dy[:, ::2], x_, device.place(each), out=(None, x_))
    assert_same_bits(dx, expected[0], "dx")
    assert_same_bits(x_, expected[1], "dalpha")


def test_a_number_is_rounded_to_bfloat16_once(proof):  # noqa: F811
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    number = 1 + 2**-8 + 2**-40  # float32 would lose what decides the tie
    y = prelu_array.prelu(device.place(np.full(3, -1, bfloat16)), number)
    assert float(y[0]) == -(1 + 2**-7)


def test_what_is_not_needed_costs_nothing(there):
    call = (there.dy, there.x, there.alpha)
    dx, dalpha = prelu_array.prelu_backward(*call, axis=1, need_dalpha=False)
    assert dalpha is None
    assert there.proof.ran == ["prelu_scale_kernel"]
    assert_same_bits(dx, DX, "dx")
    dx, dalpha = prelu_array.prelu_backward(*call, axis=1, need_dx=False)
    assert dx is None
    assert_same_bits(dalpha, DALPHA, "dalpha")
    there.proof.ran.clear()
    assert prelu_array.prelu_backward(*call, axis=1, need_dx=False, need_dalpha=False) == (
        None,
        None,
    )
    assert there.proof.ran == []


@pytest.mark.parametrize("alpha", [0.25, -3, float("nan"), np.float64(0.1), np.float16(-2)])
def test_alpha_as_a_number(there, alpha):
    like = alpha if isinstance(alpha, np.generic) else np.float32(alpha)
    for x, dy, x_, dy_ in (
        (X, DY, there.x, there.dy),
        (X[:, ::2], DY[:, ::2], there.x[:, ::2], there.dy[:, ::2]),
    ):
        assert_same_bits(prelu_array.prelu(x_, alpha), reference_prelu(x, like), "y")
        dx, dalpha = prelu_array.prelu_backward(dy_, x_, alpha)
        expected = reference_prelu_backward(dy, x, like)
        assert_same_bits(dx, expected[0], "dx")
        assert_same_bits(dalpha, expected[1], "dalpha")


VIEWS = {
    "reversed": lambda a: a[::-1, :, ::-1],
    "steps": lambda a: a[::2, :, 1::3],
    "fortran": lambda a: a.transpose(2, 1, 0),
    "one": lambda a: a[:1, :, :1],
    "empty": lambda a: a[:, :, :0],
}


@pytest.mark.parametrize("at_zero", ["alpha", "one"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(there, view, at_zero):
    x, dy = view(X), view(DY)
    assert_same_bits(
        prelu_array.prelu(view(there.x), there.alpha, axis=1),
        reference_prelu(x, ALPHA, axis=1),
        "y",
    )
    for given in (view(there.dy), device.place(np.ascontiguousarray(dy))):
        got = prelu_array.prelu_backward(
            given, view(there.x), there.alpha, axis=1, at_zero=at_zero
        )
        expected = reference_prelu_backward(dy, x, ALPHA, axis=1, at_zero=at_zero)
        assert_same_bits(got[0], expected[0], "dx")
        assert_same_bits(got[1], expected[1], "dalpha")


def test_dy_of_one_broadcast_number(there):
    dy = np.broadcast_to(np.float32(1), X.shape)
    got = prelu_array.prelu_backward(device.place(dy), there.x, there.alpha, axis=1)
    expected = reference_prelu_backward(dy, X, ALPHA, axis=1)
    assert_same_bits(got[0], expected[0], "dx")
    assert_same_bits(got[1], expected[1], "dalpha")


def test_zero_dimensions_and_memory_order(proof):  # noqa: F811
    x = device.place(np.float32(-2))
    assert_same_bits(prelu_array.prelu(x, 0.5), np.array(-1, np.float32), "y")
    dx, dalpha = prelu_array.prelu_backward(x, x, 0.5)
    assert_same_bits(dx, np.array(-1, np.float32), "dx")
    assert_same_bits(dalpha, np.array(4, np.float32), "dalpha")
    fortran = device.place(np.asfortranarray(X[0]))
    assert prelu_array.prelu(fortran, 0.5).strides == fortran.strides


ERRORS = {
    "NumPy alpha": (
        lambda t: prelu_array.prelu(t.x, ALPHA, axis=1),
        TypeError,
        r"alpha must be a CuPy array as x is, got numpy.ndarray.*cupy.asarray\(alpha\)",
    ),
    "NumPy dy": (
        lambda t: prelu_array.prelu_backward(DY, t.x, t.alpha, axis=1),
        TypeError,
        "dy must be a CuPy array",
    ),
    "list alpha": (lambda t: prelu_array.prelu(t.x, [0.5]), TypeError, "got list"),
    "NumPy out": (lambda t: prelu_array.prelu(t.x, 0.5, out=X), TypeError, "out must be a CuPy"),
    "misfit": (lambda t: prelu_array.prelu(t.x, t.alpha), ValueError, "axis=1 would fit"),
    "dy's shape": (
        lambda t: prelu_array.prelu_backward(t.dy[1:], t.x, t.alpha, axis=1),
        ValueError,
        "dy must have x's shape",
    ),
    "dtype": (
        lambda t: prelu_array.prelu(t.x.view(np.int16), 0.5),
        TypeError,
        "x must be float16, bfloat16.*int32, int64, uint32 or uint64, got int16",
    ),
    "out's shape": (
        lambda t: prelu_array.prelu(t.x, 0.5, out=t.x[1:]),
        ValueError,
        "out must have x's shape",
    ),
    "out's dtype": (
        lambda t: prelu_array.prelu(t.x, 0.5, out=cupy.empty(X.shape, np.float64)),
        TypeError,
        "out must have x's dtype",
    ),
    "outs that overlap": (
        lambda t: prelu_array.prelu_backward(t.dy, t.x, t.alpha, axis=1, out=(t.x, t.x[0, :, 0])),
        ValueError,
        "must not share memory",
    ),
    "an out that overlaps itself": (
        lambda t: prelu_array.prelu(t.x, 0.5, out=as_strided(t.x, X.shape, (64, 32, 4))),
        ValueError,
        "out must not overlap itself",
    ),
}


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_errors(there, call, kind, message):
    with pytest.raises(kind, match=message):
        call(there)
    assert there.proof.ran == []


def test_arrays_of_two_devices(there):
    class Elsewhere(cupy.ndarray):
        device = SimpleNamespace(id=1)

    a = there.alpha
    alpha = Elsewhere(a.shape, a.dtype, a.data, a.strides)
    with pytest.raises(ValueError, match=r"alpha must be on x's device 0, got device 1"):
        prelu_array.prelu(there.x, alpha, axis=1)


def test_a_captured_call_keeps_its_workspace(there, monkeypatch):
    monkeypatch.setattr(memory, "captured", [])
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        prelu_array.prelu_backward(there.dy, there.x, there.alpha, axis=1)
        assert memory.captured == []
        stream.begin_capture()
        got = [
            prelu_array.prelu_backward(there.dy, there.x, there.alpha, axis=1) for _ in range(2)
        ]
        stream.end_capture()
    assert len(memory.captured) == 2
    for _, dalpha in got:
        assert_same_bits(dalpha, DALPHA, "dalpha")


def test_without_nvrtc_the_error_says_what_to_install(there, monkeypatch):
    class Fails:
        @property
        def kernel(self):
            raise RuntimeError("CuPy failed to load libnvrtc.so.13: OSError: not found")

    device.forget(monkeypatch)
    monkeypatch.setattr(launches.cupy, "RawKernel", lambda *_: Fails())
    with pytest.raises(RuntimeError, match=r"NVRTC.*pip install cupy-cuda13x\[ctk\]"):
        prelu_array.prelu(there.x, there.alpha, axis=1)


def counted(call):
    """What a call does on the device, the second time."""
    call()
    before = device.counts()
    call()
    return {k: n - before[k] for k, n in device.counts().items() if n != before[k]}


def test_what_a_call_costs(there):
    """One launch, and nothing else but memory for the results."""
    t, dx, dalpha = there, cupy.empty_like(there.x), cupy.empty_like(there.alpha)
    one = {"launch": 1}
    assert counted(lambda: prelu_array.prelu(t.x, t.alpha, axis=1, out=dx)) == one
    backward = prelu_array.prelu_backward
    assert counted(lambda: backward(t.dy, t.x, t.alpha, axis=1, out=(dx, dalpha))) == one
    made = {"launch": 1, "allocation": 2}
    assert counted(lambda: backward(t.dy, t.x, t.alpha, axis=1)) == made
    second = prelu_array.prelu_double_backward
    assert counted(lambda: second(t.dy, t.alpha, t.dy, t.x, t.alpha, axis=1)) == {
        "launch": 1,
        "allocation": 3,
    }
    partial = prelu_array.prelu_backward_partial
    assert counted(lambda: partial(t.dy, t.x, t.alpha, axis=1)) == made
    x = device.place(np.full(1 << 20, -1, np.float16))
    ways = {"launch": 2, "allocation": 2}  # the second for what is in doubt
    assert counted(lambda: None) == {}
    there.proof.run = lambda *_: None  # a million elements take the interpreter too long
    assert counted(lambda: backward(x, x, t.alpha[:1])) == ways


def test_a_call_like_one_before_looks_at_addresses(there):
    """The same forms, but overlapping, misaligned, or in place."""
    room = device.place(np.zeros(3 * X.size, np.float32))
    x = room[: X.size].reshape(X.shape)
    for at in (2 * X.size, X.size, 1, 0, 4, X.size + 1, 2 * X.size):
        out = room[at : at + X.size].reshape(X.shape)
        device.view(x)[...] = X
        assert prelu_array.prelu(x, there.alpha, axis=1, out=out) is out
        assert_same_bits(out, Y, f"out at {at}")
    for at in (2 * X.size, X.size, 3, 0):
        dx = room[at : at + X.size].reshape(X.shape)
        device.view(x)[...] = X
        got = prelu_array.prelu_backward(there.dy, x, there.alpha, axis=1, out=(dx, None))
        assert_same_bits(dx, DX, f"dx at {at}")
        assert_same_bits(got[1], DALPHA, f"dalpha at {at}")
    for at in (0, 1, 0, X.size, 4, 2 * X.size):
        dx = room[at : at + X.size].reshape(X.shape)
        device.view(x)[...] = X
        prelu_array.prelu_backward(
            there.dy, x, there.alpha, axis=1, need_dalpha=False, out=(dx, None)
        )
        assert_same_bits(dx, DX, f"dx alone at {at}")


@pytest.mark.parametrize("alpha", [ALPHA, ALPHA[0], 0.5], ids=["channels", "one", "a number"])
def test_a_call_like_one_before_in_another_memory_order(there, alpha):
    """What was done on copies is done on copies again."""
    dy = device.place(np.asfortranarray(DY))
    slope = alpha if isinstance(alpha, float) else device.place(alpha)
    axis = 1 if np.ndim(alpha) else None
    like = np.float32(alpha)
    dx, dalpha = reference_prelu_backward(DY, X, like, axis=axis)
    direction = device.place(np.zeros_like(like))
    for _ in range(3):
        got = prelu_array.prelu_backward(dy, there.x, slope, axis=axis, need_dalpha=False)
        assert_same_bits(got[0], dx, "dx alone")
        got = prelu_array.prelu_backward(dy, there.x, slope, axis=axis)
        assert_same_bits(got[0], dx, "dx")
        assert_same_bits(got[1], dalpha, "dalpha")
        y_dot = prelu_array.prelu_jvp(there.x, slope, dy, direction, axis=axis)
        assert_same_bits(y_dot, dx, "y_dot")


def test_a_call_like_one_before_looks_at_everything_else(there):
    x, dy = there.x, there.dy
    for axis in (1, 1):
        prelu_array.prelu(x, there.alpha, axis=axis)
    with pytest.raises(TypeError):
        prelu_array.prelu(x, there.alpha, axis=1.0)
    each = device.place(np.arange(8, dtype=np.float32))
    assert_same_bits(prelu_array.prelu(x, each), reference_prelu(X, each.get()), "y")
    for at_zero in ("one", "alpha", "one"):
        zero = np.zeros_like(X)
        got = prelu_array.prelu_backward(
            dy, device.place(zero), there.alpha, axis=1, at_zero=at_zero
        )
        expected = reference_prelu_backward(DY, zero, ALPHA, axis=1, at_zero=at_zero)
        assert_same_bits(got[0], expected[0], "dx")
    for number in (0.0, -0.0, 1.0, 1):
        y = prelu_array.prelu(x, number)
        assert_same_bits(y, reference_prelu(X, np.float32(number)), "y")


def test_the_doorway_takes_addresses_alone(there):
    """What an adapter does: no array of CuPy, a stream and a workspace of its own."""
    along, of_alpha = there.x.strides, (0, 4, 0)
    strides = along, None, along, along, None, of_alpha, None, of_alpha
    call = doorway.prepared(plan.Case("f32", "f32", X.shape, strides, (0, 0)), 0)
    dx, dalpha = cupy.empty_like(there.x), cupy.empty_like(there.alpha)
    zeros, scratch = cupy.zeros(call.zeros, np.uint64), cupy.empty(call.scratch, np.uint64)
    stream = cupy.cuda.Stream()
    for _ in range(2):
        arrays = dx, None, there.x, there.dy, None, there.alpha, None, dalpha, zeros, scratch
        addresses = [0 if a is None else a.data.ptr for a in arrays]
        call.run((*addresses, 0.0, 0.0, call.edge), stream)
        assert_same_bits(dx, DX, "dx")
        assert_same_bits(dalpha, DALPHA, "dalpha")
        assert not zeros.get().any()


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
def test_integers_forward(proof, dtype):  # noqa: F811
    dtype = np.dtype(dtype)
    info = np.iinfo(dtype)
    x = np.array([[info.min, info.min + 1, 0, 1, info.max], [3, 0, 7, 2, 9]], dtype)
    alpha = np.array([-3, 5], np.int64).astype(dtype)
    expected = [
        [v if v > 0 else int(a) * v for v in row] for a, row in zip(alpha, x.tolist(), strict=True)
    ]
    bits = 8 * dtype.itemsize
    expected = np.array([[v % 2**bits for v in row] for row in expected], np.uint64)
    for view in (lambda a: a, lambda a: a[:, ::2]):
        y = prelu_array.prelu(view(device.place(x)), device.place(alpha), axis=0)
        right = np.ascontiguousarray(view(expected).astype(f"u{dtype.itemsize}"))
        assert_same_bits(y, right.view(dtype), "y")
    assert_same_bits(prelu_array.prelu(device.place(x), 1), x, "a Python int")
    assert_same_bits(prelu_array.prelu(device.place(x), dtype.type(1)), x, "a NumPy integer")


INTEGERS = {
    "dx": (lambda x: prelu_array.prelu_backward(x, x, 1), TypeError, "no derivative: convert"),
    "y_dot": (lambda x: prelu_array.prelu_jvp(x, 1, x, 1), TypeError, "no derivative: convert"),
    "cotangents": (
        lambda x: prelu_array.prelu_double_backward(x, 1, x, x, 1),
        TypeError,
        "no derivative",
    ),
    "state": (lambda x: prelu_array.prelu_backward_partial(x, x, 1), TypeError, "no derivative"),
    "a float": (lambda x: prelu_array.prelu(x, 0.5), TypeError, "a Python int or have x's dtype"),
    "floats": (
        lambda x: prelu_array.prelu(x, cupy.ones(1, np.float32)),
        TypeError,
        "got float32: y is of",
    ),
    "another width": (lambda x: prelu_array.prelu(x, np.int64(1)), TypeError, "got int64: y is"),
    "too large": (lambda x: prelu_array.prelu(x, 2**31), ValueError, "fit x's dtype int32"),
    "a list": (lambda x: prelu_array.prelu(x, [1]), TypeError, "must be a CuPy array"),
}


@pytest.mark.parametrize(("call", "kind", "message"), INTEGERS.values(), ids=INTEGERS)
def test_errors_of_integers(proof, call, kind, message):  # noqa: F811
    with pytest.raises(kind, match=message):
        call(device.place(np.ones(4, np.int32)))
    assert "prelu_scale_kernel" not in proof.ran


def test_without_a_device_there_is_a_reason():
    try:
        count = _gpu.cupy.cuda.runtime.getDeviceCount()
    except _gpu.cupy.cuda.runtime.CUDARuntimeError:
        count = 0
    assert ("no GPU" in _gpu.missing()) == (count == 0)


def test_import_leaves_cupy_alone():
    code = (
        "import sys, prelu_array; prelu_array.prelu([1.0], 0.5); sys.exit('cupy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_call_on_another_device_is_another_call(there, monkeypatch):
    """A kernel belongs to the device that it was loaded on."""
    for _ in range(2):
        prelu_array.prelu(there.x, there.alpha, axis=1, out=there.x)
    asked = []
    nothing = doorway.Call((), 0.0, (0, 0))
    monkeypatch.setattr(doorway, "prepared", lambda _, device: asked.append(device) or nothing)
    monkeypatch.setattr(known, "getDevice", lambda: 1)
    x, alpha = (
        cupy.ndarray(
            a.shape, a.dtype,
            cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(a.data.ptr, a.nbytes, a, 1), 0),
        )
        for a in (there.x, there.alpha)
    )  # fmt: skip
    for _ in range(2):
        prelu_array.prelu(x, alpha, axis=1, out=x)
    assert asked == [1]
