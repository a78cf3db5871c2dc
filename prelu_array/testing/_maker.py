"""Builds one case of a kind: shapes, axes of alpha, dtypes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._numbers import FORMATS, format_of
from ._placement import Axis, place_channel

Array = NDArray[Any]

LAYOUTS = ("shared", "channel", "element")


@dataclass(frozen=True, eq=False)
class Case:
    """One input of a PReLU kernel; `pytest.mark.parametrize` shows its name.

    Attributes
    ----------
    name, kind, layout : str
        What `cases` made it for; the name says all three.
    x, dy : ndarray
        Same shape and dtype; any strides.
    alpha : ndarray
        Of shape ``(1,)``, 1-D along axis, or ``x.shape[1:]``.
    axis : int, tuple of int or None
        The argument that goes with them.
    """

    name: str
    kind: str
    layout: str
    x: Array = field(repr=False)
    alpha: Array = field(repr=False)
    dy: Array = field(repr=False)
    axis: Axis

    @property
    def __name__(self) -> str:  # what pytest reads to make an id
        return self.name

    def __str__(self) -> str:
        return self.name


def dtype_named(dtype: DTypeLike) -> np.dtype[Any]:
    """`numpy.dtype`, where "bfloat16" needs `ml_dtypes`."""
    if isinstance(dtype, str) and dtype == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be one of {', '.join(FORMATS)}, got {dtype!r}") from None
    format_of(found)
    return found


class Maker:
    """Builds the cases of one kind and layout."""

    def __init__(
        self,
        kind: str,
        layout: str,
        dtype: np.dtype[Any],
        alpha_dtype: np.dtype[Any],
        axis: int,
        seed: int,
    ) -> None:
        self.kind, self.layout, self.axis = kind, layout, axis
        self.dtype, self.alpha_dtype = dtype, alpha_dtype
        self.rng = np.random.default_rng([seed, sum(map(ord, kind + layout))])

    def shape(self, rest: tuple[int, ...], channels: int) -> tuple[int, ...]:
        """Shape of x from the lengths of the axes other than the channels."""
        if self.layout == "channel":
            return place_channel(rest, channels, self.axis)
        return (*rest[:1], channels, *rest[1:])

    def alpha_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return {
            "shared": (1,),
            "channel": (shape[self.axis],) if self.layout == "channel" else (),
            "element": shape[1:],
        }[self.layout]

    def case(self, name: str, x: Any, dy: Any, alpha: Any = None) -> Case:
        x = x if isinstance(x, np.ndarray) else np.array(x)
        dy = dy if isinstance(dy, np.ndarray) else np.array(dy)
        missing = (self.axis + 1 if self.axis >= 0 else -self.axis) - x.ndim
        if missing > 0:  # so that a kernel which always names the channel axis can be called
            x, dy = (part.reshape((1,) * missing + part.shape) for part in (x, dy))
        shape = self.alpha_shape(x.shape)
        if alpha is None:
            alpha = [0.25] if self.layout == "shared" else distinct_alphas(math.prod(shape))
        alpha = np.resize(np.asarray(alpha), shape)
        return Case(
            f"{self.kind}-{self.layout}-{name}",
            self.kind,
            self.layout,
            x if x.dtype == self.dtype else x.astype(self.dtype),
            alpha.astype(self.alpha_dtype),
            dy if dy.dtype == self.dtype else dy.astype(self.dtype),
            # x.shape[1:] is NumPy's trailing alignment
            None if self.layout == "element" else self.axis,
        )

    def columns(self, values: Array) -> Array:
        """Arrange a row of values for each channel; a shared alpha has one row."""
        channels, n = values.shape
        shape = self.shape((n,), channels)
        first = self.layout == "channel" and self.axis % len(shape) == 0
        return np.ascontiguousarray((values if first else values.T).reshape(shape))

    def integers(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Small integers, whose sums are exact in any order; the last x are 0 and -3."""
        x = self.rng.integers(1, 8, shape)
        x[self.rng.random(shape) < 0.7] *= -1
        if x.size:
            x.reshape(-1)[-2:] = [0, -3][-x.size :]
        dy = self.rng.integers(1, 4, shape) * self.rng.choice([-1, 1], shape)
        return x, dy


def distinct_alphas(count: int) -> Array:
    """Alphas of all sorts, different among any 96: negative, -0, 0, below and above 1."""
    first = np.array([-1.5, 0.25, 3.0, 1.0, 0.0, 0.5, -0.75, -0.0])
    # Steps of 1/8 stay exact and distinct in every format up to a few hundred channels.
    more = 1.125 + np.arange(max(count - first.size, 0)) % 96 / 8
    return np.concatenate([first, more])[:count]
