"""PReLU for JAX; the gradient of alpha is the exact sum, rounded once.

Needs jax (extra ``jax``). Nothing else of `prelu_array` imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .. import _arguments
from .._cpu import fit_alpha
from .._rounding import rounded
from . import _primitives

__all__ = ["prelu"]


def prelu(
    x: ArrayLike,
    alpha: ArrayLike,
    axis: int | Sequence[int] | None = None,
    at_zero: Literal["alpha", "one"] = "alpha",
) -> jax.Array:
    """Parametric rectified linear unit of a JAX array: ``y = x if x > 0 else alpha * x``.

    Differentiable any number of times, in reverse and in forward mode, under ``jax.jit``,
    ``jax.vmap`` and ``jax.shard_map``. The gradient of alpha is the exact sum of the products
    ``x * dy`` over the elements that share one alpha, rounded once to alpha's dtype: the same bits
    for any number of threads and device.

    Parameters
    ----------
    x : jax.Array
        Of any shape; float16, bfloat16, float32 or float64, or for the forward alone int32,
        int64, uint32 or uint64.
    alpha : jax.Array or float
        Slope for x that is not positive. A Python number takes x's dtype; any other alpha has one
        of the four dtypes of its own. One alpha (a number, 0-d or of size 1) is shared by all of
        x; other shapes lie along x as `axis` says.
    axis : None, int or sequence of int, optional
        None: alpha broadcasts to ``x.shape`` as in NumPy, and never enlarges it. An integer or
        a tuple: alpha's axes lie along these axes of x, with their lengths, or 1 in places.
        ``axis=1`` with alpha of shape ``(x.shape[1],)`` is one alpha per channel of NCHW data.
    at_zero : {"alpha", "one"}, optional
        The subgradient at x = 0: "alpha" takes the left derivative, as PyTorch and oneDNN do,
        "one" the right one, as Chainer and Flax do.

    Returns
    -------
    jax.Array
        y, of x's shape and dtype, with the bits of `prelu_array.prelu`.

    Raises
    ------
    TypeError
        If x or alpha is of another dtype.
    ValueError
        If alpha does not fit x, or `at_zero` is neither word.

    See Also
    --------
    prelu_array.prelu : The same on NumPy's arrays, with the contract of y.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing
       Human-Level Performance on ImageNet Classification", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from prelu_array.jax import prelu
    >>> x = jnp.array([[-2.0, 0.0, 3.0], [-4.0, 5.0, -6.0]])
    >>> alpha = jnp.array([0.5, 0.25])
    >>> prelu(x, alpha, axis=0).tolist()
    [[-1.0, 0.0, 3.0], [-1.0, 5.0, -1.5]]
    >>> jax.grad(lambda alpha: prelu(x, alpha, axis=0).sum())(alpha).tolist()
    [-2.0, -10.0]
    """
    at_one = _arguments.at_one(at_zero)
    x = x if isinstance(x, jax.Array) else jnp.asarray(x)
    _arguments.check_dtype(x.dtype, "x", integers=True)
    if type(alpha) in (int, float):
        alpha = _number(alpha, x.dtype)
    alpha = alpha if isinstance(alpha, jax.Array) else jnp.asarray(alpha)
    if _arguments.is_integer(x.dtype):
        _arguments.check_alpha_of_integers(alpha, x.dtype)
    else:
        _arguments.check_dtype(alpha.dtype, "alpha")
    axis = tuple(axis) if isinstance(axis, list) else axis
    if axis is not None:
        _arguments.axes(axis, None)
    return _prelu(x, alpha, axis, at_one)


@partial(jax.jit, static_argnums=(2, 3), inline=True)
def _prelu(x: Any, alpha: Any, axis: Any, at_one: bool) -> Any:
    where = fit_alpha(x.shape, alpha.shape, axis)
    if where is None:
        raise _arguments.misfit(x.shape, alpha.shape, axis)
    x, alpha = _varying_alike(x, _along(alpha, where, x.ndim))
    return _primitives.prelu(x, alpha, at_one)


def _number(value: float, dtype: Any) -> Any:
    """Return a Python number as an array of x's dtype, which it must fit, rounded once."""
    if _arguments.is_integer(dtype):
        _arguments.check_alpha_of_integers(value, dtype)
        return np.asarray(value, dtype)
    return np.asarray(rounded(_arguments.number(value, dtype), dtype.name), dtype)


def _along(alpha: Any, where: tuple[int, ...], ndim: int) -> Any:
    """Return alpha with as many axes as x, each where it belongs."""
    lengths = dict(zip(where, alpha.shape, strict=True))
    kept = [k for k in where if k >= 0]
    alpha = alpha.reshape([lengths[k] for k in kept]).transpose(np.argsort(kept))
    return jnp.expand_dims(alpha, [k for k in range(ndim) if k not in kept])


def _varying_alike(*arrays: Any) -> Any:
    """Return arrays that vary over the same axes of a mesh, within `jax.shard_map`."""
    over = [_varying(a) for a in arrays]
    every = frozenset[Any]().union(*over)
    return [
        jax.lax.pcast(a, tuple(every - own), to="varying") if every - own else a
        for a, own in zip(arrays, over, strict=True)
    ]


def _varying(a: Any) -> frozenset[Any]:
    """Return the axes of a mesh that an array varies over, as releases of JAX name them."""
    if not hasattr(jax, "typeof"):
        return frozenset()
    kind = jax.typeof(a)
    kind = getattr(kind, "mat", kind)
    return frozenset(getattr(kind, "varying", getattr(kind, "vma", ())))
