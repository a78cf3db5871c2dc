"""Assertions on one output of one call, for the test-suite of a kernel."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from ._judge import ORDERS, Rules, require
from ._mode import ieee_mode
from ._placement import Axis
from ._reference import like, operands
from ._verdict import Inputs, Verdict, judge_dalpha, judge_dx, judge_forward

_SIDES = ("alpha", "one", "any")


@ieee_mode()
def assert_forward(
    y: Any,
    x: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = None,
    ulps: int = 0,
    signed_zeros: bool = True,
    nans: bool = True,
    subnormals: bool = True,
) -> None:
    """Fail unless y is PReLU of x, bit for bit.

    The bound is `ulps`, 0 by default: the forward is one product, which IEEE 754 rounds in one
    way only.

    Parameters
    ----------
    y : array
        The result to check: NumPy, CuPy or DLPack.
    x, alpha, axis
        As in `reference_prelu`.
    ulps : int
        Largest allowed distance, in numbers of the format.
    signed_zeros : bool
        Whether -0 and +0 are different.
    nans : bool
        Whether a NaN must be there where one is expected.
    subnormals : bool
        If False, subnormal inputs and results may be flushed to zero.

    Raises
    ------
    AssertionError
        With the first and the worst wrong element in decimal, hexadecimal and bits.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import assert_forward
    >>> x = np.array([1.0, -2.0])
    >>> assert_forward(np.where(x > 0, x, 0.25 * x), x, 0.25)
    """
    rules = Rules(ulps, signed_zeros, nans, subnormals)
    _require(judge_forward(y, _inputs(x, alpha, axis), rules))


@ieee_mode()
def assert_dx(
    dx: Any,
    dy: ArrayLike,
    x: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = None,
    at_zero: str = "alpha",
    ulps: int = 0,
    signed_zeros: bool = True,
    nans: bool = True,
    subnormals: bool = True,
) -> None:
    """Fail unless dx is the gradient by x, bit for bit.

    Parameters
    ----------
    dx : array
        The result to check: NumPy, CuPy or DLPack.
    dy, x, alpha, axis
        As in `reference_prelu_backward`.
    at_zero : {"alpha", "one", "any"}
        As in `reference_prelu_backward`; "any" allows either, the same for all of x.
    ulps, signed_zeros, nans, subnormals
        As in `assert_forward`.

    Raises
    ------
    AssertionError
        With the first and the worst wrong element in decimal, hexadecimal and bits.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import assert_dx
    >>> assert_dx(np.array([1.0, 0.25]), np.ones(2), np.array([1.0, -2.0]), 0.25)
    """
    rules = Rules(ulps, signed_zeros, nans, subnormals)
    require("at_zero", at_zero, _SIDES)
    _require(judge_dx(dx, _inputs(x, alpha, axis, dy), at_zero, rules))


@ieee_mode()
def assert_dalpha(
    dalpha: Any,
    dy: ArrayLike,
    x: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = None,
    at_zero: str = "alpha",
    accumulate: str | None = None,
    order: str = "any",
    ulps: int = 0,
    signed_zeros: bool = True,
    nans: bool = True,
    subnormals: bool = True,
) -> None:
    """Fail unless dalpha is a sum that a conforming kernel could return.

    The tolerance comes from the data.  With n nonzero terms, ``S = sum(abs(x * dy))`` and u the
    unit roundoff of the accumulator (2**-24 for float32), it is

    * 0, if the terms are multiples of a power of two g with ``S <= g / u``, as for small
      integers: then no order of summation rounds at all;
    * else ``n * u * S`` in any order (Jeannerod and Rump 2013), blocks and FMA included,
      ``(ceil(log2 n) + 1) * u * S`` for a balanced tree (Rump 2012), or, in C order, the running
      error bound ``u * (1 + 2 * n * u) * (sum(abs(partial sums)) + S)`` (Higham 2002).

    Both endpoints are then rounded to alpha's dtype; there is no other allowance.  A dropped
    element of ordinary size shows while ``n * n * u < 1`` (about 4000 terms for float32), and
    with integers as data, as in ``cases(kind="large")``, at any n.  Where ``S * (1 + n * u)``
    overflows the accumulator nothing is checked; ``accumulate="exact"`` checks it.

    Parameters
    ----------
    dalpha : array
        The result to check: NumPy, CuPy or DLPack; alpha's shape and dtype.
    dy, x, alpha, axis
        As in `reference_prelu_backward`.
    at_zero : {"alpha", "one", "any"}
        As in `assert_dx`.
    accumulate : {"float16", "bfloat16", "float32", "float64", "exact"}, optional
        The dtype that the kernel claims to add in; it must hold every number of x's dtype.
        "exact" asks for the correctly rounded sum.  Default: float64 for float64, else float32.
    order : {"any", "tree", "sequential"}
        The order that the kernel claims to add in.
    ulps, signed_zeros, nans, subnormals
        As in `assert_forward`; ulps widens the rounded interval, and the sign of a zero counts
        for "exact" only.

    Raises
    ------
    AssertionError
        With the first and the worst wrong element in decimal, hexadecimal and bits.
    ValueError
        If accumulate or order is unknown, or the accumulator too narrow for x.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import assert_dalpha
    >>> x, dy = np.float32([-1, -2, 3]), np.float32([10, 10, 10])
    >>> assert_dalpha(np.float32(-30), dy, x, np.float32(0.25))
    >>> assert_dalpha(np.float32(-10), dy, x, np.float32(0.25))
    Traceback (most recent call last):
        ...
    AssertionError: dalpha is wrong in 1 of 1 elements, first dalpha[]:
        got      -10.0                    -0x1.4p+3                bits c1200000
        expected -30.0                    -0x1.ep+4                bits c1f00000
        distance 13631488 ULP
    """
    rules = Rules(ulps, signed_zeros, nans, subnormals)
    require("at_zero", at_zero, _SIDES)
    require("order", order, ORDERS)
    inputs = _inputs(x, alpha, axis, dy)
    _require(judge_dalpha(dalpha, inputs, at_zero, rules, accumulate, order))


def _inputs(x: ArrayLike, alpha: ArrayLike, axis: Axis, dy: ArrayLike | None = None) -> Inputs:
    x_array, alpha_array = operands(x, alpha)
    return Inputs(x_array, alpha_array, axis, None if dy is None else like(dy, x_array, "dy"))


def _require(verdict: Verdict) -> None:
    if not verdict.ok:
        raise AssertionError(verdict.explain())
