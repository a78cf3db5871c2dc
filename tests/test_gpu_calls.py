"""The GPU backend's ways with arguments: outputs, overlap, what is not needed, errors.

Kernels are interpreted, as in test_gpu_kernels.
"""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import prelu_array
from prelu_array import _plan_sums
from prelu_array.testing import reference_prelu, reference_prelu_backward

pytest.importorskip("cupy", reason="the GPU proof needs CuPy: pip install -e '.[gpu-proof]'")
pytest.importorskip("nvidia", reason="no NVRTC: pip install -e '.[gpu-proof]'")

from gpu_proof import device
from test_gpu_kernels import assert_same_bits, numbers, proof  # noqa: F401

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
    from prelu_array import _cpu, _gpu

    counts = {
        "forward": 4,
        "backward": 8,
        "jvp": 6,
        "double_backward": 7,
        "backward_partial": 6,
        "round_partial": 2,
    }
    for name, count in counts.items():
        assert getattr(_gpu, name).__code__.co_argcount == count
        with pytest.raises(TypeError, match="positional arguments"):
            getattr(_cpu, name)(*range(count + 1))


def test_out_is_returned_and_may_be_x(there):
    out = device.empty(X.shape, X.dtype)
    assert prelu_array.prelu(there.x, there.alpha, axis=1, out=out) is out
    assert_same_bits(out, Y, "out")
    prelu_array.prelu(there.x, there.alpha, axis=1, out=there.x)
    assert_same_bits(there.x, Y, "in place")


def test_out_of_other_strides(there):
    out = device.empty((8, 4, 6), X.dtype).transpose(2, 1, 0)
    prelu_array.prelu(there.x, there.alpha, axis=1, out=out)
    assert_same_bits(out, Y, "out")
    dx = device.empty((8, 4, 6), X.dtype).transpose(2, 1, 0)
    dalpha = device.empty((8,), X.dtype)[::2]
    got = prelu_array.prelu_backward(there.dy, there.x, there.alpha, axis=1, out=(dx, dalpha))
    assert got[0] is dx
    assert got[1] is dalpha
    assert_same_bits(dx, DX, "dx")
    assert_same_bits(dalpha, DALPHA, "dalpha")


@pytest.mark.parametrize("which", ["x", "dy"])
def test_dx_may_overwrite_an_input_even_if_dalpha_is_in_doubt(there, which, monkeypatch):
    monkeypatch.setattr(_plan_sums, "error_bound", lambda *_: (1.0, 0.0))  # doubt everything
    _plan_sums.sums.cache_clear()
    written = getattr(there, which)
    _, dalpha = prelu_array.prelu_backward(
        there.dy, there.x, there.alpha, axis=1, out=(written, None)
    )
    assert_same_bits(written, DX, "dx")
    assert_same_bits(dalpha, DALPHA, "dalpha")
    _plan_sums.sums.cache_clear()


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
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
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
        lambda t: prelu_array.prelu(t.x.astype(np.int32), 0.5),
        TypeError,
        "x must be float16, bfloat16",
    ),
    "out's shape": (
        lambda t: prelu_array.prelu(t.x, 0.5, out=t.x[1:]),
        ValueError,
        "out must have x's shape",
    ),
    "out's dtype": (
        lambda t: prelu_array.prelu(t.x, 0.5, out=device.empty(X.shape, np.float64)),
        TypeError,
        "out must have x's dtype",
    ),
    "outs that overlap": (
        lambda t: prelu_array.prelu_backward(t.dy, t.x, t.alpha, axis=1, out=(t.x, t.x[0, :, 0])),
        ValueError,
        "must not share memory",
    ),
}


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_errors(there, call, kind, message):
    with pytest.raises(kind, match=message):
        call(there)
    assert there.proof.ran == []


def test_arrays_of_two_devices(there, monkeypatch):
    there.alpha.device = SimpleNamespace(id=1)
    with pytest.raises(ValueError, match=r"alpha must be on x's device 0, got device 1"):
        prelu_array.prelu(there.x, there.alpha, axis=1)


def test_a_captured_call_keeps_its_workspace(there, monkeypatch):
    from prelu_array import _gpu_arguments

    monkeypatch.setattr(_gpu_arguments, "captured", [])
    there.proof.capturing = True
    prelu_array.prelu_backward(there.dy, there.x, there.alpha, axis=1)
    assert len(_gpu_arguments.captured) == 1


def test_without_nvrtc_the_error_says_what_to_install(there, monkeypatch):
    from prelu_array import _gpu_kernels

    def fail(*_):
        raise RuntimeError("CuPy failed to load libnvrtc.so.13: OSError: not found")

    monkeypatch.setattr(_gpu_kernels.cupy, "RawKernel", lambda *_: fail)
    _gpu_kernels._kernel.cache_clear()
    with pytest.raises(RuntimeError, match=r"NVRTC.*pip install cupy-cuda13x\[ctk\]"):
        prelu_array.prelu(there.x, there.alpha, axis=1)
    _gpu_kernels._kernel.cache_clear()


def test_without_a_device_the_description_says_why():
    from prelu_array import _gpu

    try:
        count = _gpu.cupy.cuda.runtime.getDeviceCount()
    except _gpu.cupy.cuda.runtime.CUDARuntimeError:
        count = 0
    assert ("no GPU" in _gpu.description()) == (count == 0)


def test_import_leaves_cupy_alone():
    code = (
        "import sys, prelu_array; prelu_array.prelu([1.0], 0.5); sys.exit('cupy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
