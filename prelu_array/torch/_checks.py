"""What may come in, in torch's terms: dtypes, numbers, and every error message."""

from __future__ import annotations

import math
from typing import Any

import torch

from .. import _arguments, _foreign
from .._rounding import rounded

# In the order of _ext/dtypes.h. The floats come first; integers have a forward and nothing else.
DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.int32, torch.int64, torch.uint32, torch.uint64,
)  # fmt: skip
NUMBERS = {dtype: k for k, dtype in enumerate(DTYPES)}
FLOATS = frozenset(DTYPES[:4])

# Of the floats: the least number that rounds to infinity.
_TOO_LARGE = {
    torch.float16: 65520.0,
    torch.bfloat16: 2.0**128 - 2.0**119,
    torch.float32: 2.0**128 - 2.0**103,
    torch.float64: math.inf,
}


def check(x: Any, alpha: Any) -> None:
    """Raise unless x and alpha are tensors that go together."""
    _check_tensor(x, "x", "a tensor")
    _check_tensor(alpha, "alpha", "a number or a tensor")
    if x.dtype not in FLOATS:
        if alpha.dtype is not x.dtype:
            raise TypeError(
                f"alpha must be a Python int or have x's dtype {x.dtype}, got {alpha.dtype}: y is "
                "of integers as x is; for a fraction convert x, for example with x.double()"
            )
    elif alpha.dtype not in FLOATS:
        raise TypeError(f"alpha must be {_NAMES}, got {alpha.dtype}; use alpha.to(x.dtype)")
    if x.device != alpha.device:
        raise ValueError(
            f"alpha must be on x's device {x.device}, got {alpha.device}; use alpha.to(x.device)"
        )


_NAMES = "float16, bfloat16, float32 or float64"


def _check_tensor(t: Any, name: str, kind: str) -> None:
    if not isinstance(t, torch.Tensor):
        cure = f"; use torch.as_tensor({name})" if hasattr(type(t), "__array__") else ""
        raise TypeError(f"{name} must be {kind}, got {_foreign.kind_of(t)}{cure}")
    if t.layout is not torch.strided:
        raise TypeError(f"{name} must be dense, got layout {t.layout}; use {name}.to_dense()")
    if t.dtype in NUMBERS:
        return
    cure = f"convert it, for example with {name}.float()"
    if t.dtype.is_complex:
        cure = f"use {name}.real if that is meant"
    elif t.is_quantized:
        cure = f"use {name}.dequantize()"
    raise TypeError(f"{name} must be {_NAMES}, got {t.dtype}; {cure}")


def check_axis(axis: Any) -> None:
    """Raise unless a layer's axis is an integer."""
    if isinstance(axis, tuple):
        raise TypeError(f"axis must be an integer, got {axis}")
    _arguments.axes(axis, None)


def alpha_of_number(number: Any, x: Any) -> Any:
    """Return a Python number as a tensor of x's dtype, which it must fit, on x's device."""
    _check_tensor(x, "x", "a tensor")
    if isinstance(number, bool):
        raise TypeError(f"alpha must be a number or a tensor, got {number}")
    if x.dtype in FLOATS:
        if torch.compiler.is_compiling():  # it may be a number that is not known yet
            return torch.ops.prelu_array.number.default(float(number), x)
        number = rounded_to(number, x.dtype)
    else:
        info = torch.iinfo(x.dtype)
        if not isinstance(number, int):
            raise TypeError(
                f"alpha must be a Python int or have x's dtype {x.dtype}, got {number}: y is of "
                "integers as x is; for a fraction convert x, for example with x.double()"
            )
        if not info.min <= number <= info.max:
            raise _misfit(number, x.dtype)
        if x.dtype is torch.uint64:  # whose large numbers torch takes for negative ones
            number -= (number >> 63) << 64
            return x.new_full((), number, dtype=torch.int64).view(torch.uint64)
    return x.new_full((), number)


def rounded_to(number: float, dtype: Any) -> float:
    """Return a Python number rounded once to a float dtype, which it must fit."""
    try:
        value = float(number)
    except OverflowError:  # an integer beyond float64
        raise _misfit(number, dtype) from None
    if _TOO_LARGE[dtype] <= abs(value) < math.inf:
        raise _misfit(number, dtype)
    return rounded(value, str(dtype).removeprefix("torch."))


def _misfit(number: Any, dtype: Any) -> ValueError:
    return ValueError(f"alpha must fit x's dtype {dtype}, got {_foreign.short(number)}")
