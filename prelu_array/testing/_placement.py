"""How alpha broadcasts: which alpha belongs to which element of x, by the contract's rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Axis = int | tuple[int, ...] | None


def alpha_index(
    x_shape: tuple[int, ...], alpha_shape: tuple[int, ...], axis: Axis = None
) -> Array:
    """For each element of x, the flat index of its alpha.

    Parameters
    ----------
    x_shape, alpha_shape : tuple of int
        Shapes of x and alpha.
    axis : int, tuple of int or None
        As in `prelu_array.prelu`.

    Returns
    -------
    ndarray of int64, shape ``x_shape``
        A read-only broadcast view.

    Raises
    ------
    ValueError
        If alpha does not fit; the message quotes the shapes and the axis.
    """
    count = math.prod(alpha_shape)
    if count == 1:
        return np.broadcast_to(np.zeros((), dtype=np.int64), x_shape)
    placed = _placed_shape(x_shape, alpha_shape, axis)
    order = np.arange(count, dtype=np.int64).reshape(alpha_shape)
    if isinstance(axis, tuple):
        # alpha's axes in the order that they have in x
        order = order.transpose(np.argsort([a % len(x_shape) for a in axis]))
    return np.broadcast_to(order.reshape(placed), x_shape)


def place_channel(rest: tuple[int, ...], channels: int, axis: int) -> tuple[int, ...]:
    """Shape with `channels` at `axis` among the other lengths, padded with ones to fit."""
    missing = (axis if axis >= 0 else -axis - 1) - len(rest)
    rest = (1,) * missing + rest if axis < 0 else rest + (1,) * missing
    at = axis if axis >= 0 else len(rest) + 1 + axis
    return (*rest[:at], channels, *rest[at:])


def _placed_shape(
    x_shape: tuple[int, ...], alpha_shape: tuple[int, ...], axis: Axis
) -> tuple[int, ...]:
    def misfit(rule: str) -> ValueError:
        return ValueError(
            f"alpha must {rule}, got x.shape={x_shape}, alpha.shape={alpha_shape}, axis={axis}"
        )

    ndim = len(x_shape)
    if axis is None:
        padded = (1,) * (ndim - len(alpha_shape)) + alpha_shape
        if len(padded) > ndim or any(
            a not in (1, n) for a, n in zip(padded, x_shape, strict=True)
        ):
            raise misfit("broadcast to x.shape without enlarging it")
        return padded
    axes = axis if isinstance(axis, tuple) else (axis,)
    if any(not -ndim <= a < ndim for a in axes):
        raise misfit(f"have axes in the range of x's {ndim} dimensions")
    axes = tuple(a % ndim for a in axes)
    if len(set(axes)) != len(axes):
        raise misfit("name each axis of x once")
    if len(alpha_shape) != len(axes):
        raise misfit(f"have {len(axes)} dimension(s), one for each axis named")
    placed = [1] * ndim
    for a, length in zip(axes, alpha_shape, strict=True):
        if length != x_shape[a] and not (length == 1 and isinstance(axis, tuple)):
            raise misfit(f"match axis {a} of x ({x_shape[a]})")
        placed[a] = length
    return tuple(placed)
