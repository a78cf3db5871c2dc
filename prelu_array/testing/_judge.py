"""When is a result wrong: bits and ULPs for y and dx, an interval of allowed values for dalpha."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._numbers import (
    FORMATS,
    Exact,
    Format,
    add,
    add_groups,
    bits_of,
    format_of,
    multiply,
    round_to,
    round_to_dtype,
    take_apart,
)

Array = NDArray[Any]

ACCUMULATORS = (*FORMATS, "exact")
ORDERS = ("any", "tree", "sequential")


@dataclass(frozen=True)
class Rules:
    """What counts as equal."""

    ulps: int = 0
    signed_zeros: bool = True
    nans: bool = True
    subnormals: bool = True

    def __post_init__(self) -> None:
        given: Any = self.ulps
        if not isinstance(given, int | np.integer) or not 0 <= given < 2**62:
            raise ValueError(f"ulps must be an integer of at least 0, got {self.ulps!r}")


def require(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise ValueError unless the value is one of those allowed."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def order_keys(array: Array) -> Array:
    """Unsigned integers in the order of the numbers, neighbours differ by 1; -0 as +0."""
    bits = bits_of(array)
    sign = bits.dtype.type(1 << (bits.dtype.itemsize * 8 - 1))
    keys = np.where((bits & sign) != 0, sign - (bits & ~sign), bits | sign)
    return np.asarray(keys, dtype=np.uint64)


def ulp_distance(a: Array, b: Array) -> Array:
    """How many numbers of the format there are from a to b (uint64; meaningless for NaN)."""
    ka, kb = order_keys(a), order_keys(b)
    return np.where(ka > kb, ka - kb, kb - ka)


def is_subnormal(array: Array) -> Array:
    """Nonzero and below the smallest normal number."""
    fmt = format_of(array.dtype)
    magnitude = bits_of(array) & bits_of(array).dtype.type((1 << (fmt.bits - 1)) - 1)
    subnormal: Array = (magnitude > 0) & (magnitude < (1 << (fmt.precision - 1)))
    return subnormal


def flush(array: Array) -> Array:
    """Subnormals as zeros of the same sign."""
    bits = bits_of(array)
    sign = bits.dtype.type(1 << (bits.dtype.itemsize * 8 - 1))
    flushed: Array = np.where(is_subnormal(array), bits & sign, bits).view(array.dtype)
    return flushed


def equal(got: Array, expected: Array, rules: Rules) -> Array:
    """Where got agrees with expected."""
    parts, wanted = take_apart(got), take_apart(expected)
    agree = ulp_distance(got, expected) <= np.uint64(rules.ulps)
    if rules.signed_zeros:
        agree &= ~(parts.zero & wanted.zero & (parts.negative != wanted.negative))
    agree = np.where(parts.nan | wanted.nan, parts.nan & wanted.nan, agree)
    return agree if rules.nans else agree | wanted.nan


def largest_number(dtype: np.dtype[Any]) -> Array:
    """Return the largest finite number of the dtype."""
    fmt = format_of(dtype)
    return np.array([fmt.inf_bits - 1], dtype=fmt.bits_dtype).view(dtype)


def smallest_normal(dtype: np.dtype[Any]) -> Array:
    """Return the smallest normal number of the dtype."""
    fmt = format_of(dtype)
    return np.array([1 << (fmt.precision - 1)], dtype=fmt.bits_dtype).view(dtype)


class Interval(NamedTuple):
    """Allowed values of dalpha, one pair for each alpha."""

    total: Exact
    low: Exact
    high: Exact
    judged: Array  # False where the accumulator of a conforming kernel may overflow

    def wrong(self, got: Array, rules: Rules, *, exact: bool) -> Array:
        """Where got is outside; the bounds are rounded, because rounding keeps the order."""
        dtype = got.dtype
        flat = np.ascontiguousarray(got).reshape(-1)
        keys = order_keys(flat)
        slack = np.uint64(rules.ulps)
        # keys end far below 2**64, so sums do not wrap around; differences might, at 0
        inside = keys + slack >= order_keys(round_to_dtype(self.low, dtype))
        inside &= keys <= order_keys(round_to_dtype(self.high, dtype)) + slack
        parts = take_apart(flat)
        expected = round_to_dtype(self.total, dtype)
        special = self.total.inf | self.total.nan
        inside = np.where(special, equal(flat, expected, Rules()), inside & ~parts.nan)
        if exact and rules.signed_zeros:
            inside &= ~(parts.zero & parts.negative & self.total.zero)
        if not rules.nans:
            inside |= self.total.nan
        return (self.judged & ~inside).reshape(got.shape)


class Terms(NamedTuple):
    """The terms of dalpha, each x * dy exact, with the alpha that each belongs to."""

    values: Exact
    group: Array
    alphas: int
    x: Array
    dy: Array

    def pick(self, chosen: Array) -> Terms:
        """The chosen terms only, by a mask or by positions."""
        values = Exact(*(part[chosen] for part in self.values))
        return Terms(values, self.group[chosen], self.alphas, self.x[chosen], self.dy[chosen])


def make_terms(dy: Array, x: Array, index: Array, alphas: int) -> Terms:
    """All products x * dy, those of the identity branch included, in C order."""
    flat_x, flat_dy = np.ravel(x), np.ravel(dy)
    values = multiply(take_apart(flat_x), take_apart(flat_dy))
    return Terms(values, np.ravel(index), alphas, flat_x, flat_dy)


def check_accumulator(accumulate: str | None, dtype: np.dtype[Any]) -> Format | None:
    """Return the accumulator's format, None for "exact"; it must hold each number of dtype."""
    data = format_of(dtype)
    if accumulate is None:
        return FORMATS["float64" if data.name == "float64" else "float32"]
    require("accumulate", accumulate, ACCUMULATORS)
    if accumulate == "exact":
        return None
    held = FORMATS[accumulate]
    if held.precision < data.precision or held.field_max < data.field_max:
        raise ValueError(
            f"accumulate must hold every {data.name} (the dtype of x), got {accumulate!r}"
        )
    return held


def dalpha_interval(
    terms: Terms,
    alpha_dtype: np.dtype[Any],
    accumulator: Format | None,
    order: str = "any",
    *,
    flushed: Terms | None = None,
) -> Interval:
    """Which values of dalpha a conforming sum of these terms in this accumulator may have.

    With u = 2**-p the unit roundoff of the accumulator, n the number of nonzero terms and
    S the sum of abs(x * dy):

    * no error if S and every term are integer multiples of one power of two g with
      S <= 2**p * g: then every partial sum, in any order, is a number of the accumulator;
    * else, in any order, n * u * S (Jeannerod and Rump, SIAM J. Matrix Anal. Appl. 34, 2013;
      the rounding of the products is counted in, and FMA or blocks only lessen it);
    * order="tree": (ceil(log2 n) + 1) * u * S (Rump, BIT 52, 2012), for a balanced tree;
    * order="sequential": u * (1 + 2 n u) * (sum of abs(partial sums) + S), the running error
      bound (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.3),
      never more than in any order;
    * and half the smallest subnormal for each product.

    Where (1 + n u) S overflows the accumulator, a conforming kernel may return anything.

    If `flushed` is given, subnormals may be flushed anywhere; it holds the terms of the identity
    branch whose x is subnormal, for a comparison that flushes x puts them on the other branch.
    """
    require("order", order, ORDERS)
    values, group, count = terms.values, terms.group, terms.alphas
    total = add_groups(values, group, count)
    judged = np.ones(count, dtype=bool)
    if accumulator is None and flushed is None:
        return Interval(total, total, total, judged)
    fmt = accumulator or FORMATS["float64"]
    finite = ~(values.nan | values.inf)
    nonzero = finite & ~values.zero
    n = np.bincount(group[nonzero], minlength=count)
    size = add_groups(_sizes(values), group, count)
    if accumulator is None:
        error = _scaled(size, np.zeros(count, dtype=object), 0)
    else:
        u = -fmt.precision
        factor = n.astype(object)
        if order == "tree":
            depth = [int(k - 1).bit_length() + 1 if k else 0 for k in n.tolist()]
            factor = np.minimum(factor, np.array(depth, dtype=object))
        error = _scaled(size, factor, u)
        if order == "sequential":
            error = _least(error, _running_bound(values, group, count, n, fmt))
        error = add(error, _scaled(_ones(count), n.astype(object), fmt.last_exponent - 1))
        grid = _lowest_bits(values, nonzero, group, count)
        # S <= 2**p * g, in the grid's own units so that no power of two is formed
        room = fmt.precision + grid
        fits = (_top_exponent(size) <= room) & (grid >= fmt.last_exponent)
        overflow = round_to(_scaled(size, 2**fmt.precision + factor, u), fmt) == fmt.inf_bits
        overflow &= ~fits | (round_to(size, fmt) == fmt.inf_bits)
        judged &= ~overflow
        error = _where(fits, _scaled(size, np.zeros(count, dtype=object), 0), error)
    if flushed is not None:
        lost = terms.pick(is_subnormal(terms.x) | is_subnormal(terms.dy))
        for some in (lost, flushed):
            error = add(error, add_groups(_sizes(some.values), some.group, count))
            # inf times a flushed number is NaN for such a kernel
            judged[some.group[some.values.nan | some.values.inf]] = False
        for each, times in ((fmt, 2 * n), (format_of(alpha_dtype), np.ones_like(n))):
            first_normal = each.last_exponent + each.precision - 1
            error = add(error, _scaled(_ones(count), times.astype(object), first_normal))
    return Interval(total, add(total, _minus(error)), add(total, error), judged)


def _sizes(values: Exact) -> Exact:
    """Absolute values, with 0 for NaN and inf."""
    no = np.zeros_like(values.negative)
    return values._replace(negative=no, nan=no, inf=no)


def _scaled(value: Exact, factor: Array, exponent: int) -> Exact:
    digits = np.asarray(value.digits.astype(object) * factor, dtype=object)
    return value._replace(digits=digits, exponent=value.exponent + exponent)


def _ones(count: int) -> Exact:
    no = np.zeros(count, dtype=bool)
    zeros = np.zeros(count, dtype=np.int64)
    return Exact(no, zeros + 1, zeros, no, no)


def _minus(value: Exact) -> Exact:
    return value._replace(negative=~value.negative)


def _where(choice: Array, a: Exact, b: Exact) -> Exact:
    pairs = zip(a, b, strict=True)
    return Exact(*(np.where(choice, one, other) for one, other in pairs))


def _least(a: Exact, b: Exact) -> Exact:
    difference = add(a, _minus(b))
    return _where(difference.negative, a, b)


def _bit_lengths(digits: Array) -> Array:
    return np.array([int(d).bit_length() for d in digits], dtype=np.int64)


def _top_exponent(value: Exact) -> Array:
    """The least k with value <= 2**k."""
    digits = value.digits.astype(object)
    less_one = np.maximum(digits - 1, 0) if digits.size else digits
    return _bit_lengths(less_one) + value.exponent


def _lowest_bits(values: Exact, nonzero: Array, group: Array, count: int) -> Array:
    """Exponent of the lowest bit set in any term of each group."""
    digits = values.digits[nonzero]
    low = digits & -digits
    if low.dtype == object:
        position = _bit_lengths(low) - 1
    else:
        position = np.frexp(low.astype(np.float64))[1].astype(np.int64) - 1
    grid = np.full(count, np.iinfo(np.int32).max, dtype=np.int64)
    np.minimum.at(grid, group[nonzero], values.exponent[nonzero] + position)
    return grid


def _running_bound(values: Exact, group: Array, count: int, n: Array, fmt: Format) -> Exact:
    """U (1 + 2 n u) (sum of abs(partial sums) + S) with exact partial sums, in C order."""
    finite = ~(values.nan | values.inf)
    base = int(values.exponent[finite].min()) if finite.any() else 0
    signed = values.signed_digits()
    partial = [0] * count
    spent = [0] * count
    for i in np.flatnonzero(finite).tolist():
        g = int(group[i])
        term = int(signed[i]) << (int(values.exponent[i]) - base)
        partial[g] += term
        spent[g] += abs(partial[g]) + abs(term)
    p = fmt.precision
    digits = np.empty(count, dtype=object)
    digits[:] = [s * (2**p + 2 * k) for s, k in zip(spent, n.tolist(), strict=True)]
    no = np.zeros(count, dtype=bool)
    return Exact(no, digits, np.full(count, base - 2 * p, dtype=np.int64), no, no)
