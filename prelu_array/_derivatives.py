"""The public functions of forward mode and of the second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from . import _arguments
from ._backend import backend_of

if TYPE_CHECKING:
    from ._typing import (
        S2,
        T2,
        Alpha,
        AnyArray,
        Array,
        ArrayLike,
        AtZero,
        Axis,
        Float64,
        Other,
        OtherTriple,
        S,
        T,
        Triple,
        X,
    )


@overload
def prelu_jvp(
    x: Other, alpha: Other | ArrayLike, x_dot: Other, alpha_dot: Other | ArrayLike, *,
    axis: Axis = None, at_zero: AtZero = "alpha", out: Other | None = None,
) -> Other: ...  # fmt: skip
@overload
def prelu_jvp(
    x: X[S, T], alpha: ArrayLike, x_dot: ArrayLike, alpha_dot: ArrayLike, *, axis: Axis = None,
    at_zero: AtZero = "alpha", out: AnyArray | None = None,
) -> Array[S, T]: ...  # fmt: skip
def prelu_jvp(
    x: Any,
    alpha: Any,
    x_dot: Any,
    alpha_dot: Any,
    *,
    axis: int | tuple[int, ...] | None = None,
    at_zero: Literal["alpha", "one"] = "alpha",
    out: Any = None,
) -> Any:
    """Directional derivative of `prelu`: forward mode.

    ``y_dot = x_dot if x > 0 else alpha * x_dot + alpha_dot * x``

    Parameters
    ----------
    x : array_like
        Values of any shape, strides and memory order; float16, bfloat16, float32 or float64. An
        array of NumPy, CuPy or Dask decides where the work is done, and what comes back; a Python
        number or list becomes a NumPy array of float64.
    alpha : float or array_like
        Slope for x that is not positive. A Python number takes x's dtype; any other alpha has one
        of the four dtypes of its own. One alpha (a number, 0-d or of size 1) is shared by all of
        x; other shapes lie along x as `axis` says.
    x_dot : array_like
        Direction of x, of x's shape and dtype.
    alpha_dot : float or array_like
        Direction of alpha, of its shape and dtype; a number only if alpha is one.
    axis : None, int or tuple of int, optional
        None: alpha broadcasts to ``x.shape`` as in NumPy, and never enlarges it. An integer or
        a tuple: alpha's axes lie along these axes of x, with their lengths, or 1 in places.
        ``axis=1`` with alpha of shape ``(x.shape[1],)`` is one alpha per channel of NCHW data.
    at_zero : {"alpha", "one"}, optional
        The subgradient at x = 0: "alpha" takes the left derivative, as PyTorch and oneDNN do,
        "one" the right one, as Chainer and Flax do.
    out : ndarray, optional
        Where to write y_dot, of x's shape and dtype. May be x or x_dot.

    Returns
    -------
    ndarray
        y_dot, of x's shape, dtype and memory order; `out` if that was given. The sum of the two
        products is exact, then rounded once to float64 if x or alpha is float64, else to
        float32, and then to x's dtype. A sum of zero is -0 only if both products are.

    Raises
    ------
    TypeError, ValueError
        As in `prelu_backward`.

    See Also
    --------
    prelu_backward : Reverse mode.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing
       Human-Level Performance on ImageNet Classification", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array import prelu_jvp
    >>> x = np.array([-2.0, 3.0])
    >>> prelu_jvp(x, 0.25, np.array([1.0, 1.0]), 1.0)
    array([-1.75,  1.  ])
    """
    at_one = _arguments.at_one(at_zero)
    return backend_of(x).jvp(x, alpha, x_dot, alpha_dot, axis, at_one, out)


@overload
def prelu_double_backward(
    ddx: Other, ddalpha: Other | ArrayLike, dy: Other, x: Other, alpha: Other | ArrayLike, *,
    axis: Axis = None, at_zero: AtZero = "alpha", out: OtherTriple[Other] = None,
) -> tuple[Other, Other, Other]: ...  # fmt: skip
@overload
def prelu_double_backward(
    ddx: ArrayLike, ddalpha: ArrayLike, dy: ArrayLike, x: X[S, T], alpha: Float64, *,
    axis: Axis = None, at_zero: AtZero = "alpha", out: Triple = None,
) -> tuple[Array[S, T], Array[S, T], Array]: ...  # fmt: skip
@overload
def prelu_double_backward(
    ddx: ArrayLike, ddalpha: ArrayLike, dy: ArrayLike, x: X[S, T], alpha: Alpha[S2, T2], *,
    axis: Axis = None, at_zero: AtZero = "alpha", out: Triple = None,
) -> tuple[Array[S, T], Array[S, T], Array[S2, T2]]: ...  # fmt: skip
def prelu_double_backward(
    ddx: Any,
    ddalpha: Any,
    dy: Any,
    x: Any,
    alpha: Any,
    *,
    axis: int | tuple[int, ...] | None = None,
    at_zero: Literal["alpha", "one"] = "alpha",
    out: Any = None,
) -> tuple[Any, Any, Any]:
    """Gradients of `prelu_backward` with respect to dy, x and alpha: the second order.

    For a loss that depends on dx and dalpha, with gradients ddx and ddalpha there:

    - of dy: ``ddx if x > 0 else alpha * ddx + ddalpha * x``;
    - of x: ``0 if x > 0 else ddalpha * dy``;
    - of alpha: ``sum(0 if x > 0 else ddx * dy)`` over the elements that share one alpha.

    Parameters
    ----------
    ddx : array_like
        Gradient with respect to dx, of x's shape and dtype.
    ddalpha : float or array_like
        Gradient with respect to dalpha, of alpha's shape and dtype; a number only if alpha is
        one.
    dy : array_like
        Gradient with respect to y, of x's shape and dtype.
    x : array_like
        Values of any shape, strides and memory order; float16, bfloat16, float32 or float64. An
        array of NumPy, CuPy or Dask decides where the work is done, and what comes back; a Python
        number or list becomes a NumPy array of float64.
    alpha : float or array_like
        Slope for x that is not positive. A Python number takes x's dtype; any other alpha has one
        of the four dtypes of its own. One alpha (a number, 0-d or of size 1) is shared by all of
        x; other shapes lie along x as `axis` says.
    axis : None, int or tuple of int, optional
        None: alpha broadcasts to ``x.shape`` as in NumPy, and never enlarges it. An integer or
        a tuple: alpha's axes lie along these axes of x, with their lengths, or 1 in places.
        ``axis=1`` with alpha of shape ``(x.shape[1],)`` is one alpha per channel of NCHW data.
    at_zero : {"alpha", "one"}, optional
        The subgradient at x = 0: "alpha" takes the left derivative, as PyTorch and oneDNN do,
        "one" the right one, as Chainer and Flax do.
    out : tuple of (ndarray or None, ndarray or None, ndarray or None), optional
        Where to write of_dy, of_x and of_alpha. Each may be or overlap any input.

    Returns
    -------
    of_dy, of_x : ndarray
        Of x's shape, dtype and memory order, rounded as y_dot is in `prelu_jvp`.
    of_alpha : ndarray
        Of alpha's shape and dtype: the exact sum, rounded once, as dalpha in `prelu_backward`.

    Raises
    ------
    TypeError, ValueError
        As in `prelu_backward`.

    See Also
    --------
    prelu_backward : The first order.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing
       Human-Level Performance on ImageNet Classification", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array import prelu_double_backward
    >>> x, one = np.array([-2.0, 3.0]), np.ones(2)
    >>> prelu_double_backward(one, 1.0, one, x, 0.25)
    (array([-1.75,  1.  ]), array([1., 0.]), array(1.))
    >>> of_dy = np.empty(2)
    >>> got = prelu_double_backward(one, 1.0, one, x, 0.25, out=(of_dy, None, None))
    >>> got[0] is of_dy
    True
    """
    at_one = _arguments.at_one(at_zero)
    cotangents: tuple[Any, Any, Any] = backend_of(x).double_backward(
        ddx, ddalpha, dy, x, alpha, axis, at_one, out
    )
    return cotangents
