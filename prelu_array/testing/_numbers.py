"""Binary floating point as exact integers: take apart, multiply, add, round once.

The oracle must not share code, formulas or rounding with what it checks, so nothing here
computes in floating point.  A number is ``(-1)**negative * digits * 2**exponent`` with an integer
``digits``; products and sums of such numbers are exact, and the only rounding is `round_to`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The widest integers `round_to` can take without help: two bits below int64's range.
_MAX_BITS = 62


class Format(NamedTuple):
    """An IEEE-like binary format."""

    name: str
    bits: int
    precision: int  # significant bits, the hidden one included

    @property
    def bits_dtype(self) -> np.dtype[Any]:
        """Unsigned integer dtype of the same width."""
        return np.dtype(f"u{self.bits // 8}")

    @property
    def field_max(self) -> int:
        """Exponent field of inf and NaN."""
        return (1 << (self.bits - self.precision)) - 1

    @property
    def last_exponent(self) -> int:
        """Exponent of the last bit of a subnormal: the smallest number is 2**last_exponent."""
        bias = self.field_max >> 1
        return 2 - bias - self.precision

    @property
    def inf_bits(self) -> int:
        """Bits of +inf."""
        return self.field_max << (self.precision - 1)


FORMATS = {
    "float16": Format("float16", 16, 11),
    "bfloat16": Format("bfloat16", 16, 8),
    "float32": Format("float32", 32, 24),
    "float64": Format("float64", 64, 53),
}


class Exact(NamedTuple):
    """Arrays of exact numbers; where ``nan`` or ``inf`` is set, ``digits`` is 0."""

    negative: Array  # bool
    digits: Array  # int64, or Python ints in an object array; never below 0
    exponent: Array  # int64
    nan: Array  # bool
    inf: Array  # bool

    @property
    def zero(self) -> Array:
        """Where the number is +0 or -0."""
        zeros: Array = (self.digits == 0).astype(bool)
        return zeros & ~self.nan & ~self.inf

    def signed_digits(self) -> Array:
        """Digits with their sign, as Python ints."""
        digits = self.digits.astype(object)
        return np.where(self.negative, -digits, digits)


@cache
def format_of(dtype: np.dtype[Any]) -> Format:
    """Look up the format of a dtype (`ml_dtypes` need not be imported to know bfloat16)."""
    try:
        return FORMATS[dtype.name]
    except KeyError:
        raise TypeError(
            f"dtype must be one of {', '.join(FORMATS)}, got {dtype}; convert with .astype(...)"
        ) from None


def native(array: Array) -> Array:
    """Return the array C-contiguous and in the machine's byte order, bits unchanged."""
    if array.dtype.byteorder in "<>":
        array = array.astype(array.dtype.newbyteorder("="))
    # ascontiguousarray would turn a 0-d array into a 1-d one.
    return np.array(array, order="C", copy=None)


def bits_of(array: Array) -> Array:
    """Return the bit patterns as unsigned integers."""
    return native(array).view(format_of(array.dtype).bits_dtype)


def take_apart(array: Array) -> Exact:
    """Turn a float array into exact integers."""
    fmt = format_of(array.dtype)
    bits = bits_of(array).astype(np.uint64)
    fraction_bits = fmt.precision - 1
    fraction = (bits & np.uint64((1 << fraction_bits) - 1)).astype(np.int64)
    field = ((bits >> np.uint64(fraction_bits)) & np.uint64(fmt.field_max)).astype(np.int64)
    negative = (bits >> np.uint64(fmt.bits - 1)).astype(bool)
    special = field == fmt.field_max
    normal = (field > 0) & ~special
    digits = np.where(special, 0, np.where(normal, fraction + (1 << fraction_bits), fraction))
    # A subnormal has the exponent of the smallest normal number: field 1 instead of 0.
    exponent = fmt.last_exponent + np.maximum(field, 1) - 1
    return Exact(negative, digits, exponent, special & (fraction != 0), special & (fraction == 0))


def multiply(a: Exact, b: Exact) -> Exact:
    """Exact product; 0 * inf is NaN, a finite product is never inf."""
    nan = a.nan | b.nan | (a.zero & b.inf) | (a.inf & b.zero)
    if _bits_needed(a.digits) + _bits_needed(b.digits) > _MAX_BITS:
        a, b = _without_trailing_zeros(a), _without_trailing_zeros(b)
    if _bits_needed(a.digits) + _bits_needed(b.digits) <= _MAX_BITS:
        digits = a.digits * b.digits
    else:
        digits = np.asarray(a.digits.astype(object) * b.digits.astype(object), dtype=object)
    inf = (a.inf | b.inf) & ~nan
    return Exact(a.negative ^ b.negative, digits, a.exponent + b.exponent, nan, inf)


def add(a: Exact, b: Exact) -> Exact:
    """Exact sum of two arrays; an exact zero is -0 only if both terms are -0."""
    nan = a.nan | b.nan | (a.inf & b.inf & (a.negative != b.negative))
    inf = (a.inf | b.inf) & ~nan
    exponent = np.minimum(a.exponent, b.exponent)
    total = np.asarray(
        (a.signed_digits() << (a.exponent - exponent).astype(object))
        + (b.signed_digits() << (b.exponent - exponent).astype(object)),
        dtype=object,
    )
    cancelled = (total == 0).astype(bool)
    negative = np.where(cancelled, a.negative & b.negative, (total < 0).astype(bool))
    # The sign of an infinite sum is that of its infinite term.
    negative = np.where(inf, np.where(a.inf, a.negative, b.negative), negative)
    return Exact(negative, np.asarray(abs(total), dtype=object), exponent, nan, inf)


def add_groups(terms: Exact, group: Array, count: int) -> Exact:
    """Exact sum of the terms (1-d arrays) of each group; an exact zero or an empty sum is +0."""
    nan = np.zeros(count, dtype=bool)
    plus = np.zeros(count, dtype=bool)
    minus = np.zeros(count, dtype=bool)
    nan[group[terms.nan]] = True
    plus[group[terms.inf & ~terms.negative]] = True
    minus[group[terms.inf & terms.negative]] = True
    nan |= plus & minus

    special = nan | plus | minus
    infinite = (plus | minus) & ~nan
    small = _sums_of_int64(terms, group, count)
    if small is not None:
        sums, exponent = small
        negative = np.where(plus | minus, minus, sums < 0)
        exponents_alike = np.full(count, exponent, dtype=np.int64)
        return Exact(negative, np.where(special, 0, np.abs(sums)), exponents_alike, nan, infinite)

    totals = [0] * count
    exponents = [0] * count
    used = np.flatnonzero((terms.digits != 0).astype(bool))
    if used.size:
        # Terms of one group and one exponent add as plain integers; few segments remain.
        used = used[np.lexsort((terms.exponent[used], group[used]))]
        groups, exps = group[used], terms.exponent[used]
        starts = np.flatnonzero(np.r_[True, (groups[1:] != groups[:-1]) | (exps[1:] != exps[:-1])])
        digits = terms.signed_digits()[used]
        sums = np.add.reduceat(digits, starts)
        previous = -1
        runs = zip(groups[starts].tolist(), exps[starts].tolist(), sums.tolist(), strict=True)
        for g, exponent, total in runs:
            if g != previous:  # segments are sorted: the first has the group's least exponent
                exponents[g], previous = exponent, g
            totals[g] += total << (exponent - exponents[g])

    total_digits = np.empty(count, dtype=object)
    total_digits[:] = [abs(t) for t in totals]
    negative = np.where(plus | minus, minus, np.array([t < 0 for t in totals], dtype=bool))
    total_digits[special] = 0
    exponent_array = np.array(exponents, dtype=np.int64)
    return Exact(negative, total_digits, exponent_array, nan, infinite)


def _sums_of_int64(terms: Exact, group: Array, count: int) -> tuple[Array, int] | None:
    """Sums in units of one power of two, if none can overflow int64, as in large arrays."""
    if terms.digits.dtype == object:
        return None
    terms = _without_trailing_zeros(terms)
    used = terms.digits != 0
    if not used.any():
        return np.zeros(count, dtype=np.int64), 0
    exponent = int(terms.exponent[used].min())
    up = np.where(used, terms.exponent - exponent, 0)
    widest = int((_bit_length(terms.digits) + up).max())
    if widest + len(terms.digits).bit_length() > _MAX_BITS:
        return None
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, group, np.where(terms.negative, -terms.digits, terms.digits) << up)
    return sums, exponent


def round_to(value: Exact, fmt: Format) -> Array:
    """Round once, to nearest, ties to even, subnormals kept; returns the bit patterns."""
    digits, exponent = value.digits, value.exponent
    if _bits_needed(digits) > _MAX_BITS:
        narrowed = _narrow(digits, exponent)
        digits, exponent = np.asarray(narrowed[0]), np.asarray(narrowed[1])
    digits, exponent = digits.astype(np.int64), exponent.astype(np.int64)
    # `last` is the exponent of the last bit that the format can keep.
    last = np.maximum(exponent + _bit_length(digits) - fmt.precision, fmt.last_exponent)
    last = np.where(digits == 0, fmt.last_exponent, last)
    drop = last - exponent
    up = np.maximum(-drop, 0)
    down = np.clip(drop, 0, _MAX_BITS + 1)  # beyond that no bit is left
    kept = (digits << np.where(digits == 0, 0, up)) >> down
    rest = np.where(drop > 0, digits - (kept << down), 0)
    half = np.int64(1) << np.maximum(down - 1, 0)
    half = np.where(drop > 0, half, 1)
    kept = kept + ((rest > half) | ((rest == half) & (kept % 2 == 1)))
    # The hidden bit of `kept` adds one to the exponent field, a carry adds another.
    steps = last - fmt.last_exponent
    overflow = steps > fmt.field_max - 2
    bits = (np.where(overflow, 0, steps) << (fmt.precision - 1)) + kept
    bits = np.where(overflow | value.inf, fmt.inf_bits, bits)
    bits = np.where(value.nan, fmt.inf_bits | (1 << (fmt.precision - 2)), bits)
    bits = bits.astype(np.uint64) | (value.negative.astype(np.uint64) << np.uint64(fmt.bits - 1))
    return bits.astype(fmt.bits_dtype)


def round_to_dtype(value: Exact, dtype: np.dtype[Any]) -> Array:
    """`round_to`, as an array of the dtype: the caller has it, so bfloat16 needs no import."""
    return round_to(value, format_of(dtype)).view(dtype.newbyteorder("="))


def _without_trailing_zeros(value: Exact) -> Exact:
    """Return the same numbers with odd digits, if they are int64."""
    if value.digits.dtype == object:
        return value
    low = value.digits & -value.digits
    zeros = np.maximum(_bit_length(low) - 1, 0)
    return value._replace(digits=value.digits >> zeros, exponent=value.exponent + zeros)


def _bits_needed(digits: Array) -> int:
    return int(digits.max(initial=0)).bit_length()


def _bit_length(digits: Array) -> Array:
    """Bit length of integers below 2**62; each half converts to float64 without rounding."""
    high = digits >> 31
    _, high_length = np.frexp(high.astype(np.float64))
    _, low_length = np.frexp(digits.astype(np.float64))
    return np.where(high > 0, high_length + 31, low_length).astype(np.int64)


def _narrow_one(digits: int, exponent: int) -> tuple[int, int]:
    extra = int(digits).bit_length() - _MAX_BITS
    if extra <= 0:
        return digits, exponent
    kept = digits >> extra
    # Bits that are dropped set the last bit to 1 (sticky), so that a later rounding is right.
    return kept | (kept << extra != digits), exponent + extra


_narrow = np.frompyfunc(_narrow_one, 2, 2)
