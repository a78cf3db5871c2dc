"""The public functions of forward and backward. Each calls the backend of its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from numpy import ndarray

import prelu_array._cpu as _cpu

from . import _arguments
from ._arguments import ALPHA
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
        Nested,
        No,
        Other,
        OtherPair,
        Pair,
        S,
        T,
        X,
        Yes,
    )


@overload
def prelu(
    x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, out: Other | None = None,
) -> Other: ...  # fmt: skip
@overload
def prelu(
    x: X[S, T], alpha: ArrayLike, *, axis: Axis = None, out: AnyArray | None = None,
) -> Array[S, T]: ...  # fmt: skip
def prelu(
    x: Any, alpha: Any, *, axis: int | tuple[int, ...] | None = None, out: Any = None
) -> Any:
    """Parametric rectified linear unit: ``y = x if x > 0 else alpha * x``.

    Of integers (int32, int64, uint32 or uint64) there is a forward alone: alpha is a Python int or
    an array of x's dtype, and products wrap as NumPy's do.

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
    axis : None, int or tuple of int, optional
        None: alpha broadcasts to ``x.shape`` as in NumPy, and never enlarges it. An integer or
        a tuple: alpha's axes lie along these axes of x, with their lengths, or 1 in places.
        ``axis=1`` with alpha of shape ``(x.shape[1],)`` is one alpha per channel of NCHW data.
    out : ndarray, optional
        Where to write y, of x's shape and dtype. May be x itself where no backward follows:
        dalpha needs the x of before, and on y it is alpha times the right one, without an error.

    Returns
    -------
    ndarray
        y, of x's shape, dtype and memory order; `out` if that was given. x = -0.0 gives
        ``alpha * -0.0``, a NaN gives NaN, and x > 0 is copied bit for bit, whatever alpha is.
        The product is rounded once to float64 if x or alpha is float64, else to float32, and
        then to x's dtype.

    Raises
    ------
    TypeError
        If a dtype or a kind of array is not one of the above.
    ValueError
        If alpha does not fit x, or `out` cannot take y. `out` is then unchanged.

    See Also
    --------
    prelu_backward : The gradients.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing
       Human-Level Performance on ImageNet Classification", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array import prelu
    >>> x = np.array([[-2.0, 0.0, 3.0], [-4.0, 5.0, -6.0]])
    >>> prelu(x, 0.25)
    array([[-0.5,  0. ,  3. ],
           [-1. ,  5. , -1.5]])
    >>> prelu(x, np.array([0.5, 0.1]), axis=0)
    array([[-1. ,  0. ,  3. ],
           [-0.4,  5. , -0.6]])
    >>> prelu(np.array([-3, 5]), 2)
    array([-6,  5])
    """
    backend = _cpu if type(x) is ndarray else backend_of(x)  # a small array feels one call more
    return backend.forward(x, alpha, axis, out)


@overload
def prelu_backward(
    dy: Other, x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: Yes = True, need_dalpha: Yes = True, out: OtherPair[Other] = None,
) -> tuple[Other, Other]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: Other, x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: No, need_dalpha: Yes = True, out: OtherPair[Other] = None,
) -> tuple[None, Other]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: Other, x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: Yes = True, need_dalpha: No, out: OtherPair[Other] = None,
) -> tuple[Other, None]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: Other, x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: bool = True, need_dalpha: bool = True, out: OtherPair[Other] = None,
) -> tuple[Other | None, Other | None]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: ArrayLike, x: X[S, T], alpha: ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: Yes = True, need_dalpha: No, out: Pair = None,
) -> tuple[Array[S, T], None]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: ArrayLike, x: X[S, T], alpha: Float64, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: Yes = True, need_dalpha: Yes = True, out: Pair = None,
) -> tuple[Array[S, T], Array]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: ArrayLike, x: X[S, T], alpha: Alpha[S2, T2], *, axis: Axis = None,
    at_zero: AtZero = "alpha", need_dx: Yes = True, need_dalpha: Yes = True, out: Pair = None,
) -> tuple[Array[S, T], Array[S2, T2]]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: ArrayLike, x: X[S, T], alpha: Alpha[S2, T2], *, axis: Axis = None,
    at_zero: AtZero = "alpha", need_dx: No, need_dalpha: Yes = True, out: Pair = None,
) -> tuple[None, Array[S2, T2]]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: ArrayLike, x: X[S, T], alpha: Alpha[S2, T2], *, axis: Axis = None,
    at_zero: AtZero = "alpha", need_dx: bool = True, need_dalpha: bool = True, out: Pair = None,
) -> tuple[Array[S, T] | None, Array[S2, T2] | None]: ...  # fmt: skip
@overload
def prelu_backward(
    dy: ArrayLike, x: X[S, T], alpha: Nested[float], *, axis: Axis = None,
    at_zero: AtZero = "alpha", need_dx: bool = True, need_dalpha: bool = True, out: Pair = None,
) -> tuple[Array[S, T] | None, Array | None]: ...  # fmt: skip
def prelu_backward(
    dy: Any,
    x: Any,
    alpha: Any,
    *,
    axis: int | tuple[int, ...] | None = None,
    at_zero: Literal["alpha", "one"] = "alpha",
    need_dx: bool = True,
    need_dalpha: bool = True,
    out: Any = None,
) -> tuple[Any, Any]:
    """Gradients of `prelu` with respect to x and alpha.

    ``dx = dy if x > 0 else alpha * dy`` and ``dalpha = sum(0 if x > 0 else x * dy)`` over the
    elements that share one alpha. The latter is the exact sum of the exact products, rounded once:
    the same bits for any number of threads, memory order or device.

    Parameters
    ----------
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
    need_dx, need_dalpha : bool, optional
        Whether to compute each; what is not needed is returned as None and costs nothing.
    out : tuple of (ndarray or None, ndarray or None), optional
        Where to write dx and dalpha. dx may be x or dy itself. x must be the one that `prelu`
        read, not one that `out` wrote y to.

    Returns
    -------
    dx : ndarray or None
        Of x's shape, dtype and memory order, rounded as y is in `prelu`.
    dalpha : ndarray or None
        Of alpha's shape and dtype. An empty sum is +0. A NaN among the products, or infinities
        of both signs, give NaN; otherwise an infinite product gives that infinity. Finite
        products never overflow on the way, only the last rounding may give an infinity.

    Raises
    ------
    TypeError
        If a dtype or a kind of array is not one of those `prelu` takes, dy's dtype is not x's, or
        x is of integers, which have no derivative.
    ValueError
        If shapes do not fit, `at_zero` is neither word, or `out` cannot take the results; `out`
        is then unchanged.

    See Also
    --------
    prelu : The forward.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing
       Human-Level Performance on ImageNet Classification", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array import prelu_backward
    >>> x = np.array([[-2.0, 0.0, 3.0], [-4.0, 5.0, -6.0]])
    >>> dx, dalpha = prelu_backward(np.ones_like(x), x, np.array([0.5, 0.1]), axis=0)
    >>> dx
    array([[0.5, 0.5, 1. ],
           [0.1, 1. , 0.1]])
    >>> dalpha
    array([ -2., -10.])
    """
    at_one = at_zero is not ALPHA and _arguments.at_one(at_zero)
    backend = _cpu if type(x) is ndarray else backend_of(x)
    gradients: tuple[Any, Any] = backend.backward(
        dy, x, alpha, axis, at_one, need_dx, need_dalpha, out
    )
    return gradients
