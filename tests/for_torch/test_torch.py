"""`prelu_array.torch` on the CPU: the bits of the reference, and torch's own checks.

Extra `torch`; install a CPU build of torch first, or it brings CUDA.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from arrays import assert_same_bits, drawn
from frameworks import at_zeros, compare, pairs, placements, second_order, smooth

from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

torch = pytest.importorskip("torch", reason="torch is not installed")

from tensors import array, tensor, with_gradients  # noqa: E402
from torch import func  # noqa: E402

from prelu_array.torch import prelu  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns of
OPERATORS = torch.ops.prelu_array


@placements
@pairs
@at_zeros
def test_gradients(placement, dtype, alpha_dtype, at_zero):
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)
    t, a = with_gradients(x, alpha)
    y = prelu(t, a, axis, at_zero)
    y.backward(tensor(dy))
    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    compare(map(array, (y, t.grad, a.grad)), (reference_prelu(x, alpha, axis=axis), *expected),
            ("y", "dx", "dalpha"))  # fmt: skip
    with torch.no_grad():
        assert_same_bits(array(prelu(t, a, axis)), array(y))


@placements
@pairs
@at_zeros
def test_second_order_and_forward_mode(placement, dtype, alpha_dtype, at_zero):
    *arrays, axis = second_order(placement, dtype, alpha_dtype)
    ddx, ddalpha = map(tensor, arrays[:2])
    dy, x, alpha = with_gradients(*arrays[2:])
    y = prelu(x, alpha, axis, at_zero)
    first = torch.autograd.grad(y, (x, alpha), dy, create_graph=True)
    of = torch.autograd.grad(first, (dy, x, alpha), (ddx, ddalpha))
    expected = reference_prelu_double_backward(*arrays, axis=axis, at_zero=at_zero)
    compare(map(array, of), expected, ("of dy", "of x", "of alpha"))

    x, alpha = x.detach(), alpha.detach()
    y, y_dot = func.jvp(lambda x, a: prelu(x, a, axis, at_zero), (x, alpha), (ddx, ddalpha))
    expected = reference_prelu_jvp(*map(array, (x, alpha, ddx, ddalpha)), axis=axis,
                                   at_zero=at_zero)  # fmt: skip
    assert_same_bits(array(y_dot), expected)


@pytest.mark.parametrize("needed", ["x", "alpha"])
def test_it_computes_what_is_needed(monkeypatch, needed):
    from prelu_array.torch import _cpu

    *arrays, axis = second_order("axis 1, NCHW", np.float32, np.float32)
    ddx, ddalpha, dy, x, alpha = arrays
    t, a = (tensor(v, requires_grad=name == needed) for v, name in ((x, "x"), (alpha, "alpha")))
    backward, needs = _cpu.backward, []

    def spy(*args):
        needs.append(args[-2:])
        return backward(*args)

    monkeypatch.setattr(_cpu, "backward", spy)
    wanted, index = (t, 0) if needed == "x" else (a, 1)
    g = tensor(dy, requires_grad=True)
    (gradient,) = torch.autograd.grad(prelu(t, a, axis), wanted, g, create_graph=True)
    expected = reference_prelu_backward(dy, x, alpha, axis=axis)[index]
    assert_same_bits(array(gradient), expected)
    assert needs == [(needed == "x", needed == "alpha")]

    (of_dy,) = torch.autograd.grad(gradient, g, tensor((ddx, ddalpha)[index]))
    zeros = [np.zeros_like(ddx), np.zeros_like(ddalpha)]
    zeros[index] = (ddx, ddalpha)[index]
    expected = reference_prelu_double_backward(*zeros, dy, x, alpha, axis=axis)[0]
    assert_same_bits(array(of_dy), expected)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_strides(dtype):
    """Channels last, every second element, an expanded dy; y and dx lie in memory as x does."""
    x, alpha, dy, axis = drawn("axis 1, NCHW", dtype, dtype)
    spread = tensor(np.repeat(x, 2, axis=3))[..., ::2]
    last = tensor(x.transpose(0, 2, 3, 1).copy()).permute(0, 3, 1, 2)
    for t in (spread, last):
        t.requires_grad_()
        (a,) = with_gradients(alpha)
        y = prelu(t, a, axis)
        y.backward(tensor(dy[:1, :1, :1, :1]).expand(x.shape))
        one = np.broadcast_to(dy[:1, :1, :1, :1], x.shape)
        expected = reference_prelu_backward(one, x, alpha, axis=axis)
        compare(map(array, (t.grad, a.grad)), expected, ("dx", "dalpha"))
    assert y.stride() == last.stride()


def test_cancellation():
    """Terms beyond float16's largest number that cancel."""
    alpha = torch.tensor(0.25, dtype=torch.float16, requires_grad=True)
    x = torch.full((100,), -300, dtype=torch.float16)
    prelu(x, alpha).backward(torch.tensor([300, -300], dtype=torch.float16).repeat(50))
    assert alpha.grad.item() == 0


# ---- torch's own checks ----


def test_difference_quotients():
    x, alpha = with_gradients(*smooth())

    def function(x, alpha):
        return prelu(x, alpha, axis=1)

    assert torch.autograd.gradcheck(
        function, (x, alpha), check_forward_ad=True, check_batched_grad=True,
        check_batched_forward_grad=True, check_undefined_grad=True,
    )  # fmt: skip
    assert torch.autograd.gradgradcheck(
        function, (x, alpha), check_fwd_over_rev=True, check_rev_over_rev=True
    )


@pytest.mark.parametrize("operator", ["prelu", "backward", "backward for dx", "second"])
def test_opcheck(operator):
    """torch's own checks of schema, fake tensors, autograd and tracing."""
    ddx, ddalpha, dy, x, alpha, _ = second_order("axis 1, NCHW", np.float32, np.float32)
    ddx, ddalpha, dy, x, alpha = with_gradients(ddx, ddalpha, dy, x, alpha)
    function, args = {
        "prelu": (OPERATORS.prelu, (x, alpha, [1], False)),
        "backward": (OPERATORS.backward, (dy, x, alpha, [1], True, True, True)),
        "backward for dx": (OPERATORS.backward, (dy, x, alpha, [1], True, True, False)),
        "second": (OPERATORS.second, (ddx, ddalpha, dy, x, alpha, [1], False)),
    }[operator]
    result = torch.library.opcheck(function.default, args)
    assert set(result.values()) == {"SUCCESS"}
