"""The operators prelu_array::prelu, backward and second: what torch.compile and export see.

Each has a kernel for each device, shapes alone for tracing, and a rule for torch.func.vmap.
`_derivatives` has their derivatives.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from .. import _arguments
from .._cpu import fit_alpha
from . import _cpu
from ._checks import rounded_to

library = torch.library.Library("prelu_array", "DEF")


@cache
def _on_cuda() -> Any:
    """Return the kernels for CUDA, which need CuPy."""
    try:
        from . import _cuda
    except ImportError as error:
        release = (torch.version.cuda or "13").partition(".")[0]
        raise ImportError(
            f"tensors on CUDA need CuPy, which compiles and starts the kernels: "
            f'pip install "cupy-cuda{release}x[ctk]"'
        ) from error
    return _cuda


def _define(name: str, arguments: str, options: str, results: str) -> Any:
    schema = f"{name}({arguments}, int[]? axis, bool at_one{options}) -> {results}"
    library.define(schema, tags=torch.Tag.pt2_compliant_tag)
    library.impl(name, getattr(_cpu, name), "CPU")
    library.impl(name, lambda *args: getattr(_on_cuda(), name)(*args), "CUDA")
    return getattr(torch.ops.prelu_array, name).default


prelu = _define("prelu", "Tensor x, Tensor alpha", "", "Tensor")
backward = _define(
    "backward",
    "Tensor dy, Tensor x, Tensor alpha",
    ", bool need_dx, bool need_dalpha",
    "(Tensor, Tensor)",
)
second = _define(
    "second",
    "Tensor ddx, Tensor ddalpha, Tensor dy, Tensor x, Tensor alpha",
    "",
    "(Tensor, Tensor, Tensor)",
)
library.define("number(float value, Tensor x) -> Tensor", tags=torch.Tag.pt2_compliant_tag)
library.impl(
    "number", lambda v, x: x.new_full((), rounded_to(v, x.dtype)), "CompositeExplicitAutograd"
)
_OPERATORS = {"prelu": prelu, "backward": backward, "second": second}
_TENSORS_OF = {"prelu": 2, "backward": 3, "second": 5}  # x and alpha are the last two


# ---- how they are called below autograd ----

transforming = torch._C._are_functorch_transforms_active  # whether torch.func is at work
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_tracing_state = torch._C._get_tracing_state
_profiled = torch.autograd._profiler_enabled
_has_storage = torch._C._has_storage
_below_autograd = torch._C._AutoDispatchBelowAutograd
_TENSORS = frozenset({torch.Tensor, torch.nn.Parameter})


def is_plain(t: Any) -> bool:
    """Whether a tensor is nothing but its memory."""
    return type(t) in _TENSORS and _has_storage(t) and not (t.is_neg() or t._is_zerotensor())


def is_seen() -> Any:
    """Whether something else wants to see calls: a transform, a mode, a tracer or a profiler."""
    return (
        transforming() or _dispatch_modes() or _function_modes() or _tracing_state() or _profiled()
    )


def kernels(t: Any) -> Any:
    """Return the module with the kernels for a tensor's device, or None."""
    return _cpu if t.is_cpu else _on_cuda() if t.is_cuda else None


def run(name: str, *args: Any) -> Any:
    """Call an operator without its derivatives; where only its kernel would see it, the kernel.

    torch's dispatcher takes longer than the kernel does for a few numbers.
    """
    if not is_seen() and all(map(is_plain, args[: _TENSORS_OF[name]])):
        own = kernels(args[0])
        if own is not None:
            return getattr(own, name)(*args)
    with _below_autograd():
        return _OPERATORS[name](*args)


# ---- shapes alone, for torch.compile and the device "meta" ----


def _fake(name: str) -> Any:
    return torch.library.register_fake(f"prelu_array::{name}", lib=library)


@_fake("prelu")
def _new_y(x: Any, alpha: Any, axis: Any, at_one: bool) -> Any:
    return torch.empty_like(x)


@_fake("number")
def _new_number(value: float, x: Any) -> Any:
    return x.new_empty(())


@_fake("backward")
def _new_gradients(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool
) -> Any:
    dx = torch.empty_like(x) if need_dx else x.new_empty(0)
    return dx, torch.empty_like(alpha) if need_dalpha else alpha.new_empty(0)


@_fake("second")
def _new_cotangents(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool
) -> Any:
    return torch.empty_like(x), torch.empty_like(x), torch.empty_like(alpha)


# ---- batches, for torch.func.vmap ----


def batched(name: str, call: Any) -> Any:
    """Return the rule of an operator, or of what has the same arguments, for batches."""
    count = _TENSORS_OF[name]

    def rule(info: Any, in_dims: Any, *args: Any) -> Any:
        axis, *options = args[count:]
        tensors = [
            t.unsqueeze(0).expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip(args[:count], in_dims, strict=False)
        ]
        x_shape, shape = (tuple(t.shape[1:]) for t in tensors[-2:])
        axis = _cpu.placed(axis)
        where = fit_alpha(x_shape, shape, axis)
        if where is None:
            raise _arguments.misfit(x_shape, shape, axis)
        kept = [n for n, k in zip(shape, where, strict=True) if k >= 0]
        for k in (1, 4) if name == "second" else (count - 1,):
            tensors[k] = tensors[k].reshape(info.batch_size, *kept)
        results = call(*tensors, [0, *(k + 1 for k in where if k >= 0)], *options)
        if name == "prelu":
            return results, 0
        *others, dalpha = results
        needs = options[1:] if name == "backward" else [True] * 3
        if needs[-1]:
            dalpha = dalpha.reshape(info.batch_size, *shape)
        return (*others, dalpha), tuple([0 if needed else None for needed in needs])

    return rule


for _name, _operator in _OPERATORS.items():
    torch.library.register_vmap(_operator._name, batched(_name, _operator), lib=library)
