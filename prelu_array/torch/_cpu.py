"""What the operators do on the CPU: tensors to addresses, shapes and strides."""

from __future__ import annotations

from typing import Any

from torch import empty_like, get_num_threads

from .._cpu import start
from .._pages import FROM, ask_for_huge
from ._checks import NUMBERS

_NO = None


def new_like(t: Any) -> Any:
    """Return what torch.empty_like does; if it is large, in huge pages."""
    result = empty_like(t)
    size = result.nbytes
    if size >= FROM:
        ask_for_huge(result.data_ptr(), size)
    return result


def prelu(x: Any, alpha: Any, axis: Any, at_one: bool) -> Any:
    """Y. `at_one` is for its derivatives."""
    y = new_like(x)
    start(
        NUMBERS[x.dtype], NUMBERS[alpha.dtype], False, x.shape, alpha.shape, placed(axis),
        (y.data_ptr(), x.data_ptr(), 0, alpha.data_ptr(), 0, 0, 0, 0),
        (y.stride(), x.stride(), _NO, alpha.stride(), _NO, _NO, _NO, _NO),
        get_num_threads(),
    )  # fmt: skip
    return y


def backward(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool
) -> tuple[Any, Any]:
    """(dx, dalpha); what is not needed is empty."""
    dx = new_like(x) if need_dx else x.new_empty(0)
    dalpha = new_like(alpha) if need_dalpha else alpha.new_empty(0)
    if x.numel() == 0:
        dalpha.zero_()
    start(
        NUMBERS[x.dtype], NUMBERS[alpha.dtype], at_one, x.shape, alpha.shape, placed(axis),
        (dx.data_ptr(), x.data_ptr(), dy.data_ptr(), alpha.data_ptr(), dalpha.data_ptr(), 0, 0, 0),
        (dx.stride(), x.stride(), dy.stride(), alpha.stride(), dalpha.stride(), _NO, _NO, _NO),
        get_num_threads(),
    )  # fmt: skip
    return dx, dalpha


def second(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool
) -> tuple[Any, Any, Any]:
    """Return the cotangents of dy, x and alpha."""
    of_dy, of_x, of_alpha = new_like(x), new_like(x), new_like(alpha)
    if x.numel() == 0:
        of_alpha.zero_()
    operands = of_dy, x, ddx, alpha, of_alpha, ddalpha, dy, of_x
    start(
        NUMBERS[x.dtype], NUMBERS[alpha.dtype], at_one, x.shape, alpha.shape, placed(axis),
        tuple([t.data_ptr() for t in operands]), tuple([t.stride() for t in operands]),
        get_num_threads(),
    )  # fmt: skip
    return of_dy, of_x, of_alpha


def placed(axis: Any) -> Any:
    """Return an operator's list of axes as the other functions take it."""
    return axis if axis is None else axis[0] if len(axis) == 1 else tuple(axis)
