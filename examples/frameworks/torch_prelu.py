"""PReLU for PyTorch on the CPU, whose gradient of alpha is the exact sum, rounded once.

Copy this file beside your code; it needs torch, prelu_array and ml_dtypes (for bfloat16):

    from torch_prelu import PReLU, prelu

    y = prelu(x, alpha, axis=1)  # tensors; alpha (x.shape[1],): one for each channel of NCHW
    layer = PReLU(64)            # in place of torch.nn.PReLU(64)

float16, bfloat16, float32 and float64 tensors, x and alpha independently; any strides; `backward`
and the backward of it (create_graph=True); to torch.compile and torch.export it is one operator.
`axis` and `at_zero` are those of prelu_array.prelu_backward.
"""

import ml_dtypes
import torch
from torch.autograd.forward_ad import unpack_dual

import prelu_array


def _operator(name, schema):
    schema = schema.replace("...", "Tensor x, Tensor alpha, int[]? axis, str at_zero")
    return torch.library.custom_op(
        f"prelu_array::{name}", mutates_args=(), device_types="cpu", schema=schema
    )


def _array(t):
    """Return a tensor as a NumPy array of the same memory."""
    t = t.detach()
    if t.dtype == torch.bfloat16:  # which NumPy has from ml_dtypes
        return t.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return t.numpy()


def _tuple(axis):
    return None if axis is None else tuple(axis)


@_operator("prelu", "(...) -> Tensor")
def _prelu(x, alpha, axis, at_zero):
    y = torch.empty_like(x)
    prelu_array.prelu(_array(x), _array(alpha), axis=_tuple(axis), out=_array(y))
    return y


@_operator("backward", "(Tensor dy, ..., bool need_dx, bool need_dalpha) -> (Tensor, Tensor)")
def _backward(dy, x, alpha, axis, at_zero, need_dx, need_dalpha):
    """What is not needed comes back empty, for an operator cannot return None."""
    gradients = _new_gradients(dy, x, alpha, axis, at_zero, need_dx, need_dalpha)
    need = {"need_dx": need_dx, "need_dalpha": need_dalpha}
    out = [_array(g) if n else None for g, n in zip(gradients, need.values(), strict=True)]
    options = {"axis": _tuple(axis), "at_zero": at_zero, "out": out}
    prelu_array.prelu_backward(*map(_array, (dy, x, alpha)), **options, **need)
    return gradients


@_operator("second", "(Tensor ddx, Tensor ddalpha, Tensor dy, ...) -> (Tensor, Tensor, Tensor)")
def _double_backward(ddx, ddalpha, dy, x, alpha, axis, at_zero):
    arrays = map(_array, (ddx, ddalpha, dy, x, alpha))
    of = prelu_array.prelu_double_backward(*arrays, axis=_tuple(axis), at_zero=at_zero)
    tensors = _new_cotangents(ddx, ddalpha, dy, x, alpha, axis, at_zero)
    for tensor, values in zip(tensors, of, strict=True):
        _array(tensor)[...] = values
    return tensors


@_backward.register_fake
def _new_gradients(dy, x, alpha, axis, at_zero, need_dx, need_dalpha):
    dx = torch.empty_like(x) if need_dx else x.new_empty(0)
    return dx, torch.empty_like(alpha) if need_dalpha else alpha.new_empty(0)


@_double_backward.register_fake
def _new_cotangents(ddx, ddalpha, dy, x, alpha, axis, at_zero):
    return torch.empty_like(dy), torch.empty_like(x), torch.empty_like(alpha)


def _save(ctx, inputs, output):
    n = sum(isinstance(value, torch.Tensor) for value in inputs)
    ctx.save_for_backward(*inputs[:n])
    ctx.options = inputs[n : n + 2]


def _vjp(ctx, dy):
    need = ctx.needs_input_grad[:2]
    dx, dalpha = _backward(dy, *ctx.saved_tensors, *ctx.options, *need)
    return dx if need[0] else None, dalpha if need[1] else None, None, None


def _vjp_of_backward(ctx, ddx, ddalpha):
    _, x, alpha = ctx.saved_tensors
    ddx = ddx if ddx.shape == x.shape else torch.zeros_like(x)  # empty: dx was not needed
    ddalpha = ddalpha if ddalpha.shape == alpha.shape else torch.zeros_like(alpha)
    return *_double_backward(ddx, ddalpha, *ctx.saved_tensors, *ctx.options), *[None] * 4


_prelu.register_fake(lambda x, alpha, axis, at_zero: torch.empty_like(x))
_prelu.register_autograd(_vjp, setup_context=_save)
_backward.register_autograd(_vjp_of_backward, setup_context=_save)


def prelu(x, alpha, axis=None, at_zero="alpha"):
    """Return x where x > 0, alpha * x elsewhere."""
    if any(unpack_dual(t).tangent is not None for t in (x, alpha)):
        # torch.library has no hook for it, and would give zeros
        raise NotImplementedError("no forward mode: use torch.autograd.functional.jvp")
    return _prelu(x, alpha, [axis] if isinstance(axis, int) else axis, at_zero)


class PReLU(torch.nn.PReLU):
    """As torch.nn.PReLU: one alpha for all, or one for each channel (axis 1)."""

    def forward(self, x):
        """Return PReLU of x."""
        return prelu(x, self.weight, axis=1)
