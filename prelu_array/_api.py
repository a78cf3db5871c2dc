"""The public functions. Each chooses the backend of its arrays and calls it."""

from __future__ import annotations

from typing import Any

from . import _arguments
from ._backend import backend_of


def prelu(x: Any, alpha: Any, *, axis: Any = None, out: Any = None) -> Any:
    """Parametric rectified linear unit: ``y = x if x > 0 else alpha * x``.

    Parameters
    ----------
    x : array_like
        Values of any shape, strides and memory order; float16, bfloat16, float32 or float64, or
        an array of int32, int64, uint32 or uint64. An array of NumPy, CuPy or Dask decides where
        the work is done, and what comes back.
    alpha : float or array_like
        Slope for x that is not positive. A Python number takes x's dtype; an array has one of
        the floats' dtypes, not necessarily x's; a list is a float64 array. For x of integers it
        is a Python int or an array of x's dtype. One alpha (a number, 0-d or of size 1) is
        shared by all of x; other shapes lie along x as `axis` says.
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
        then to x's dtype. Products of integers wrap as NumPy's do.

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
    return backend_of(x).forward(x, alpha, axis, out)


def prelu_backward(
    dy: Any,
    x: Any,
    alpha: Any,
    *,
    axis: Any = None,
    at_zero: str = "alpha",
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
    x, alpha, axis
        As in `prelu`.
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
    at_one = _arguments.at_one(at_zero)
    gradients: tuple[Any, Any] = backend_of(x).backward(
        dy, x, alpha, axis, at_one, need_dx, need_dalpha, out
    )
    return gradients


def prelu_jvp(
    x: Any,
    alpha: Any,
    x_dot: Any,
    alpha_dot: Any,
    *,
    axis: Any = None,
    at_zero: str = "alpha",
    out: Any = None,
) -> Any:
    """Directional derivative of `prelu`: forward mode.

    ``y_dot = x_dot if x > 0 else alpha * x_dot + alpha_dot * x``

    Parameters
    ----------
    x, alpha, axis
        As in `prelu`.
    x_dot : array_like
        Direction of x, of x's shape and dtype.
    alpha_dot : float or array_like
        Direction of alpha, of its shape and dtype; a number only if alpha is one.
    at_zero : {"alpha", "one"}, optional
        As in `prelu_backward`.
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


def prelu_double_backward(
    ddx: Any,
    ddalpha: Any,
    dy: Any,
    x: Any,
    alpha: Any,
    *,
    axis: Any = None,
    at_zero: str = "alpha",
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
    dy, x, alpha, axis, at_zero
        As in `prelu_backward`. x = 0 is on the same branch as there.
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


def prelu_backward_partial(
    dy: Any,
    x: Any,
    alpha: Any,
    *,
    axis: Any = None,
    at_zero: str = "alpha",
    need_dx: bool = True,
    out: Any = None,
) -> tuple[Any, Any]:
    """Gradients of `prelu` for a part of a batch: dalpha exact and not yet rounded.

    The states of the parts of a batch add with ``+``, in any order, to the state of the whole;
    `dalpha_from_partial` rounds it to the bits that `prelu_backward` gives for the whole.

    Parameters
    ----------
    dy, x, alpha, axis, at_zero, need_dx
        As in `prelu_backward`.
    out : tuple of (ndarray or None, ndarray or None), optional
        Where to write dx and the state. dx may be x or dy itself.

    Returns
    -------
    dx : ndarray or None
        As in `prelu_backward`.
    state : ndarray
        int64, of shape ``alpha.shape + (n,)`` with n = 8, 22, 23 or 137 for float16, bfloat16,
        float32 or float64 x: the exact sum of ``x * dy`` in limbs of 32 bits, then how many
        terms are NaN, +inf and -inf. It depends on the sum alone. 2^31 states add without
        overflow.

    Raises
    ------
    TypeError, ValueError
        As in `prelu_backward`.

    See Also
    --------
    dalpha_from_partial : Rounds the sum of states.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array import dalpha_from_partial, prelu_backward_partial
    >>> x, dy = np.array([-1.0, -1.0, -1.0]), np.array([1e30, 1.0, -1e30])
    >>> states = [prelu_backward_partial(dy[k:], x[k:], 0.25)[1] for k in (0, 1)]
    >>> dalpha_from_partial(states[0], np.float64), dalpha_from_partial(states[1], np.float64)
    (array(-1.), array(1.e+30))
    >>> dalpha_from_partial(states[0] + states[1], np.float64)
    array(1.e+30)
    """
    at_one = _arguments.at_one(at_zero)
    partial: tuple[Any, Any] = backend_of(x).backward_partial(
        dy, x, alpha, axis, at_one, need_dx, out
    )
    return partial


def dalpha_from_partial(state: Any, dtype: Any) -> Any:
    """Round the exact state of a dalpha, or a sum of such states.

    Parameters
    ----------
    state : ndarray
        int64, from `prelu_backward_partial` or a sum of such arrays.
    dtype : data-type
        alpha's dtype: float16, bfloat16, float32 or float64.

    Returns
    -------
    ndarray
        dalpha, of the state's shape without its last axis: the exact sum, rounded once.

    Raises
    ------
    TypeError
        If the state is not an array of int64, or the dtype is none of the four.
    ValueError
        If the state's last axis has none of the lengths a state has.

    See Also
    --------
    prelu_backward_partial : Has an example.
    """
    return backend_of(state).round_partial(state, dtype)
