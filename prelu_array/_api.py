"""The public functions. Each chooses the backend of its arrays and calls it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

import prelu_array._cpu as _cpu

from . import _arguments


def _backend(x: Any) -> ModuleType:
    """Return the backend for x; it refuses arrays of any other library."""
    if type(x) is np.ndarray:
        return _cpu
    cupy = sys.modules.get("cupy")  # whoever has a CuPy array has imported CuPy
    if cupy is not None and isinstance(x, cupy.ndarray):
        from . import _gpu

        return _gpu
    return _cpu


def prelu(x: Any, alpha: Any, *, axis: Any = None, out: Any = None) -> Any:
    r"""Parametric rectified linear unit.

    .. math:: y = x \text{ if } x > 0 \text{ else } \alpha x

    Parameters
    ----------
    x : array_like
        Values of any shape, strides and memory order; float16, bfloat16, float32 or float64.
    alpha : float or array_like
        Slope for x that is not positive. A Python number takes x's dtype; an array has one of
        the same dtypes, not necessarily x's. One alpha (a number, 0-d or of size 1) is shared
        by all of x; other shapes lie along x as `axis` says.
    axis : None, int or tuple of int, optional
        None: alpha broadcasts to ``x.shape`` as in NumPy, and never enlarges it. An integer or
        a tuple: alpha's axes lie along these axes of x, with their lengths, or 1 in places.
        ``axis=1`` with alpha of shape ``(x.shape[1],)`` is one alpha per channel of NCHW data.
    out : ndarray, optional
        Where to write y, of x's shape and dtype. May be x itself.

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
    """
    return _backend(x).forward(x, alpha, axis, out)


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
    r"""Gradients of `prelu` with respect to x and alpha.

    .. math::
        dx = dy \text{ if } x > 0 \text{ else } \alpha\,dy, \qquad
        d\alpha = \sum_{x \le 0} x\,dy

    The sum is over the elements that share one alpha. It is the exact sum of the exact products,
    rounded once: the same bits for any number of threads, memory order or device.

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
        Where to write dx and dalpha. dx may be x or dy itself.

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
        If a dtype or a kind of array is not one of those `prelu` takes, or dy's dtype is not x's.
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
    gradients: tuple[Any, Any] = _backend(x).backward(
        dy, x, alpha, axis, at_one, need_dx, need_dalpha, out
    )
    return gradients
