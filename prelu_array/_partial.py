"""The public functions for parts of a batch: exact sums that are not yet rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from . import _arguments
from ._backend import backend_of

if TYPE_CHECKING:
    from numpy import dtype as dtype_of
    from numpy import int64
    from numpy.typing import DTypeLike, NDArray

    from ._typing import (
        AnyArray,
        Array,
        ArrayLike,
        AtZero,
        Axis,
        Named,
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
def prelu_backward_partial(
    dy: Other, x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: Yes = True, out: OtherPair[Other] = None,
) -> tuple[Other, Other]: ...  # fmt: skip
@overload
def prelu_backward_partial(
    dy: Other, x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: No, out: OtherPair[Other] = None,
) -> tuple[None, Other]: ...  # fmt: skip
@overload
def prelu_backward_partial(
    dy: Other, x: Other, alpha: Other | ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: bool = True, out: OtherPair[Other] = None,
) -> tuple[Other | None, Other]: ...  # fmt: skip
@overload
def prelu_backward_partial(
    dy: ArrayLike, x: X[S, T], alpha: ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: Yes = True, out: Pair = None,
) -> tuple[Array[S, T], NDArray[int64]]: ...  # fmt: skip
@overload
def prelu_backward_partial(
    dy: ArrayLike, x: X[S, T], alpha: ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: No, out: Pair = None,
) -> tuple[None, NDArray[int64]]: ...  # fmt: skip
@overload
def prelu_backward_partial(
    dy: ArrayLike, x: X[S, T], alpha: ArrayLike, *, axis: Axis = None, at_zero: AtZero = "alpha",
    need_dx: bool = True, out: Pair = None,
) -> tuple[Array[S, T] | None, NDArray[int64]]: ...  # fmt: skip
def prelu_backward_partial(
    dy: Any,
    x: Any,
    alpha: Any,
    *,
    axis: int | tuple[int, ...] | None = None,
    at_zero: Literal["alpha", "one"] = "alpha",
    need_dx: bool = True,
    out: Any = None,
) -> tuple[Any, Any]:
    """Gradients of `prelu` for a part of a batch: dalpha exact and not yet rounded.

    The states of the parts of a batch add with ``+``, in any order, to the state of the whole;
    `dalpha_from_partial` rounds it to the bits that `prelu_backward` gives for the whole.

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
    need_dx : bool, optional
        Whether to compute dx; if not, it is returned as None and costs nothing.
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

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing
       Human-Level Performance on ImageNet Classification", 2015, arXiv:1502.01852.

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


@overload
def dalpha_from_partial(state: Other, dtype: DTypeLike) -> Other: ...
@overload
def dalpha_from_partial(
    state: AnyArray, dtype: type[Named] | dtype_of[Named] | type[float] | str,
) -> NDArray[Named]: ...  # fmt: skip
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
