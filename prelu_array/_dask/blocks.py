"""What is computed of each block: the call of a public function, by the block's own backend.

The functions have the public ones' names, because Dask's dashboard shows them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._in_memory import backend_of


def prelu(x: Any, alpha: Any, axis: Any) -> Any:
    """Y."""
    return backend_of(x).forward(x, alpha, axis, None)


def prelu_backward(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool
) -> Any:
    """(dx, dalpha)."""
    return backend_of(x).backward(dy, x, alpha, axis, at_one, need_dx, need_dalpha, None)


def prelu_backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool
) -> tuple[Any, Any]:
    """(dx, state)."""
    partial: tuple[Any, Any] = backend_of(x).backward_partial(
        dy, x, alpha, axis, at_one, need_dx, None
    )
    return partial


def dalpha_from_partial(state: Any, dtype: Any) -> Any:
    """Dalpha."""
    return backend_of(state).round_partial(state, dtype)


def prelu_jvp(x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool) -> Any:
    """Y_dot."""
    return backend_of(x).jvp(x, alpha, x_dot, alpha_dot, axis, at_one, None)


def prelu_double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool
) -> Any:
    """Return the cotangents of dy, x and alpha."""
    return backend_of(x).double_backward(ddx, ddalpha, dy, x, alpha, axis, at_one, None)


def prelu_double_backward_partial(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool
) -> tuple[Any, Any, Any]:
    """Return the cotangents of a block, that of alpha as a state.

    The sum of ddx * dy is that of a backward whose factors have the same products. The first
    factor is positive exactly if x is on the identity branch. Signs are set on integers, because
    CuPy's minus and abs flush subnormal floats, and its `where` turns bfloat16 into float32.
    """
    of_dy, of_x, _ = prelu_double_backward(ddx, ddalpha, dy, x, alpha, axis, at_one)
    # 1 or +0
    derivative, _ = prelu_backward(np.ones_like(x), x, 0.0, None, at_one, True, False)
    dtype = derivative.dtype
    word = np.dtype(f"u{dtype.itemsize}")
    sign = word.type(1 << (8 * word.itemsize - 1))
    identity, u, v = (a.astype(dtype, copy=False).view(word) for a in (derivative, ddx, dy))
    first = np.where(identity != 0, identity, u | sign).view(dtype)
    second = (v ^ (~u & sign)).view(dtype)
    _, state = prelu_backward_partial(second, first, alpha, axis, False, False)
    return of_dy, of_x, state
