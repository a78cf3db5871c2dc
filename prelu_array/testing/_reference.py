"""PReLU and its derivatives in exact arithmetic, rounded once: the contract, slowly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._mode import ieee_mode
from ._numbers import (
    FORMATS,
    Exact,
    add,
    add_groups,
    format_of,
    multiply,
    native,
    round_to,
    round_to_dtype,
    take_apart,
)
from ._placement import Axis, alpha_index

Array = NDArray[Any]


@ieee_mode()
def reference_prelu(x: ArrayLike, alpha: ArrayLike, *, axis: Axis = None) -> Array:
    """PReLU, exact and then rounded: ``y = x where x > 0, alpha * x elsewhere``.

    The product is rounded to float64 if x or alpha is float64, else to float32, and from there
    to x's dtype.  The bits of a positive x are copied.

    Parameters
    ----------
    x : array_like
        float16, bfloat16 (`ml_dtypes`), float32 or float64; any shape and strides.
    alpha : array_like
        One of the same dtypes, or a Python number (which takes x's dtype).
    axis : int, tuple of int or None
        The axis of x for each axis of alpha; None broadcasts as NumPy does.

    Returns
    -------
    ndarray
        y, with x's shape and dtype, in C order.

    Raises
    ------
    TypeError
        If a dtype is none of the four.
    ValueError
        If alpha does not fit x.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import reference_prelu
    >>> reference_prelu(np.array([1.0, -2.0, -0.0]), 0.25)
    array([ 1. , -0.5, -0. ])
    """
    x, alpha = operands(x, alpha)
    index = alpha_index(x.shape, alpha.shape, axis)
    product = multiply(take_apart(alpha.reshape(-1)[index]), take_apart(x))
    return _select(above(x, "alpha"), x, _round_twice(product, x, alpha))


@ieee_mode()
def reference_prelu_backward(
    dy: ArrayLike,
    x: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = None,
    at_zero: str = "alpha",
    reduced: bool = True,
) -> tuple[Array, Array]:
    """Gradients of `reference_prelu`: each a real number rounded once.

    ``dx = dy`` where x is on the identity branch, ``alpha * dy`` elsewhere.  ``dalpha`` is the
    sum of ``x * dy`` over the elements that share one alpha and are not on the identity branch,
    computed without any error and then rounded once to alpha's dtype.

    Parameters
    ----------
    dy : array_like
        Gradient of y; x's shape and dtype.
    x, alpha, axis
        As in `reference_prelu`.
    at_zero : {"alpha", "one"}
        The identity branch is ``x > 0`` ("alpha") or ``x >= 0`` ("one").
    reduced : bool
        If False, return the terms of dalpha before the sum: float64, x's shape, +0 on the
        identity branch.  A term of 16-bit or float32 data is exact, one of float64 data rounded.

    Returns
    -------
    dx : ndarray
        x's shape and dtype.
    dalpha : ndarray
        alpha's shape and dtype (with ``reduced=False`` the terms).

    Raises
    ------
    TypeError
        If a dtype is none of the four, or dy's differs from x's.
    ValueError
        If alpha does not fit x, dy's shape differs from x's, or at_zero is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import reference_prelu_backward
    >>> x = np.full(100, -300, np.float16)
    >>> dy = np.tile(np.array([300, -300], np.float16), 50)
    >>> reference_prelu_backward(dy, x, 0.25)[1]
    array(0., dtype=float16)
    """
    x, alpha = operands(x, alpha)
    dy = like(dy, x, "dy")
    dx = only_dx(dy, x, alpha, axis, at_zero)
    if reduced:
        return dx, only_dalpha(dy, x, alpha, axis, at_zero)
    terms = round_to(multiply(take_apart(x), take_apart(dy)), FORMATS["float64"]).view(np.float64)
    return dx, _select(above(x, at_zero), np.zeros_like(terms), terms)


def only_dx(dy: Array, x: Array, alpha: Array, axis: Axis, at_zero: str) -> Array:
    """First half of `reference_prelu_backward`, for checked arrays."""
    index = alpha_index(x.shape, alpha.shape, axis)
    product = multiply(take_apart(alpha.reshape(-1)[index]), take_apart(dy))
    return _select(above(x, at_zero), dy, _round_twice(product, x, alpha))


def only_dalpha(dy: Array, x: Array, alpha: Array, axis: Axis, at_zero: str) -> Array:
    """Second half of `reference_prelu_backward`, for checked arrays."""
    index = alpha_index(x.shape, alpha.shape, axis)
    terms = multiply(take_apart(x), take_apart(dy))
    return _sum_per_alpha(terms, ~above(x, at_zero), index, alpha)


@ieee_mode()
def reference_prelu_jvp(
    x: ArrayLike,
    alpha: ArrayLike,
    x_dot: ArrayLike,
    alpha_dot: ArrayLike,
    *,
    axis: Axis = None,
    at_zero: str = "alpha",
) -> Array:
    """Directional derivative of PReLU.

    ``y_dot = x_dot`` on the identity branch, ``alpha * x_dot + alpha_dot * x`` elsewhere: the
    exact value, rounded to float64 if x or alpha is float64, else to float32, and from there to
    x's dtype.  A sum that is exactly zero is -0 only if both products are.

    Parameters
    ----------
    x, alpha, axis
        As in `reference_prelu`.
    x_dot, alpha_dot : array_like
        Directions; shape and dtype of x and of alpha.
    at_zero : {"alpha", "one"}
        As in `reference_prelu_backward`.

    Returns
    -------
    ndarray
        y_dot, with x's shape and dtype.

    Raises
    ------
    TypeError, ValueError
        As in `reference_prelu_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import reference_prelu_jvp
    >>> reference_prelu_jvp(np.array([1.0, -2.0]), 0.25, np.array([3.0, 4.0]), 1.0)
    array([ 3., -1.])
    """
    x, alpha = operands(x, alpha)
    x_dot = like(x_dot, x, "x_dot")
    alpha_dot = like(alpha_dot, alpha, "alpha_dot")
    index = alpha_index(x.shape, alpha.shape, axis)
    total = add(
        multiply(take_apart(alpha.reshape(-1)[index]), take_apart(x_dot)),
        multiply(take_apart(alpha_dot.reshape(-1)[index]), take_apart(x)),
    )
    return _select(above(x, at_zero), x_dot, _round_twice(total, x, alpha))


@ieee_mode()
def reference_prelu_double_backward(
    ddx: ArrayLike,
    ddalpha: ArrayLike,
    dy: ArrayLike,
    x: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = None,
    at_zero: str = "alpha",
) -> tuple[Array, Array, Array]:
    """Gradients of `reference_prelu_backward`, for cotangents ddx of dx and ddalpha of dalpha.

    On the identity branch the cotangents of (dy, x) are ``(ddx, 0)``, elsewhere
    ``(alpha * ddx + ddalpha * x, ddalpha * dy)``; the cotangent of alpha is the correctly
    rounded sum of ``ddx * dy`` over the elements not on the identity branch.

    Parameters
    ----------
    ddx, ddalpha : array_like
        Shape and dtype of x and of alpha.
    dy, x, alpha, axis, at_zero
        As in `reference_prelu_backward`.

    Returns
    -------
    tuple of ndarray
        The cotangents of dy, x and alpha, each with the shape and dtype of its name.

    Raises
    ------
    TypeError, ValueError
        As in `reference_prelu_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import reference_prelu_double_backward
    >>> one = np.ones(2)
    >>> reference_prelu_double_backward(one, 1.0, one, np.array([1.0, -2.0]), 0.25)
    (array([ 1.  , -1.75]), array([0., 1.]), array(1.))
    """
    x, alpha = operands(x, alpha)
    dy, ddx = like(dy, x, "dy"), like(ddx, x, "ddx")
    ddalpha = like(ddalpha, alpha, "ddalpha")
    index = alpha_index(x.shape, alpha.shape, axis)
    identity = above(x, at_zero)
    ddalpha_parts = take_apart(ddalpha.reshape(-1)[index])
    ddx_parts, dy_parts = take_apart(ddx), take_apart(dy)
    of_dy = add(
        multiply(take_apart(alpha.reshape(-1)[index]), ddx_parts),
        multiply(ddalpha_parts, take_apart(x)),
    )
    of_x = multiply(ddalpha_parts, dy_parts)
    return (
        _select(identity, ddx, _round_twice(of_dy, x, alpha)),
        _select(identity, np.zeros_like(x), _round_twice(of_x, x, alpha)),
        _sum_per_alpha(multiply(ddx_parts, dy_parts), ~identity, index, alpha),
    )


def operands(x: ArrayLike, alpha: ArrayLike) -> tuple[Array, Array]:
    """Check the dtypes of x and alpha; a Python number as alpha takes x's."""
    x = _float_array(x, "x")
    return x, like(alpha, x, None) if _is_number(alpha) else _float_array(alpha, "alpha")


def _is_number(value: Any) -> bool:
    # np.float64 is a Python float too, yet has a dtype of its own.
    return type(value) in (int, float)


def _float_array(value: ArrayLike, name: str) -> Array:
    array = np.asarray(value)
    if array.dtype.name not in FORMATS:
        raise TypeError(
            f"{name}.dtype must be one of {', '.join(FORMATS)}, got {array.dtype}; "
            f"convert with {name}.astype(...)"
        )
    return native(array)


def like(value: ArrayLike, model: Array, name: str | None) -> Array:
    """Value as an array of the model's dtype; with a name also of its shape."""
    if _is_number(value) or (name is not None and isinstance(value, list | tuple)):
        parts = take_apart(np.asarray(value, dtype=np.float64))
        array = round_to_dtype(parts, model.dtype)
    else:
        array = _float_array(value, name or "alpha")
    if name is None:
        return array
    if array.dtype != model.dtype:
        raise TypeError(f"{name}.dtype must be {model.dtype}, got {array.dtype}")
    if array.shape != model.shape:
        raise ValueError(f"{name}.shape must be {model.shape}, got {array.shape}")
    return array


def above(x: Array, at_zero: str) -> Array:
    """The identity branch, from the sign and the digits."""
    if at_zero not in ("alpha", "one"):
        raise ValueError(f"at_zero must be 'alpha' or 'one', got {at_zero!r}")
    parts = take_apart(x)
    positive = ~parts.negative & ~parts.nan & ~parts.zero
    return positive if at_zero == "alpha" else positive | parts.zero


def _select(identity: Array, kept: Array, other: Array) -> Array:
    """Choose bits, so that a copy is a copy down to the payload of a NaN."""
    bits = format_of(kept.dtype).bits_dtype
    return np.where(identity, kept.view(bits), other.view(bits)).view(kept.dtype)


def _round_twice(value: Exact, x: Array, alpha: Array) -> Array:
    """Round to the compute type, then to x's dtype."""
    wide = "float64" in (x.dtype.name, alpha.dtype.name)
    compute = np.dtype(np.float64 if wide else np.float32)
    rounded = round_to_dtype(value, compute)
    return rounded if x.dtype == compute else round_to_dtype(take_apart(rounded), x.dtype)


def _sum_per_alpha(terms: Exact, counted: Array, index: Array, alpha: Array) -> Array:
    chosen = Exact(*(part[counted] for part in terms))
    total = add_groups(chosen, index[counted], alpha.size)
    return round_to_dtype(total, alpha.dtype).reshape(alpha.shape)
