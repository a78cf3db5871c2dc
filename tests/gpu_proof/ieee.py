"""Floating-point operations that NumPy does not have: fused, rounded up or down, flushed."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def flush(v):
    """Subnormals to zeros of the same sign."""
    tiny = np.finfo(v.dtype).tiny
    return np.where(np.abs(v) < tiny, np.copysign(v.dtype.type(0), v), v)


def _toward(value, exact_sign, direction):
    """Step each value one float on where the exact result lies beyond it."""
    if direction == "rp":
        return np.where(exact_sign > 0, np.nextafter(value, value.dtype.type(np.inf)), value)
    if direction == "rm":
        return np.where(exact_sign < 0, np.nextafter(value, value.dtype.type(-np.inf)), value)
    return value


def add(a, b, rounding):
    s = a + b
    if rounding == "rn":
        return s
    z = s - a
    error = (a - (s - z)) + (b - z)
    finite = np.isfinite(a) & np.isfinite(b)
    largest = np.finfo(s.dtype).max
    keeps = (s == np.inf) if rounding == "rm" else (s == -np.inf)  # overflows the other way only
    s = np.where(finite & keeps, np.copysign(largest, s), s)
    error = np.where(np.isfinite(error), error, 0)
    result = _toward(s, np.where(finite, np.sign(error), 0), rounding)
    zero = (s == 0) & (error == 0) & (np.signbit(a) != np.signbit(b))
    return np.where(zero, -0.0 if rounding == "rm" else 0.0, result)


def fma(a, b, c, rounding):
    """Return a * b + c rounded once."""
    if a.dtype == np.float32:
        return _fma_float(a, b, c, rounding)
    result, sure = _fma_usual(a, b, c, rounding)
    for i in np.flatnonzero(~sure):  # lane by lane, through fractions: slow and right
        result[i] = _fma_one(float(a[i]), float(b[i]), float(c[i]), rounding)
    return result


def _fma_usual(a, b, c, rounding):
    """Where nothing comes near overflow or underflow, and whether that is so."""
    product = a * b
    high = [(v * 134217729.0) - ((v * 134217729.0) - v) for v in (a, b)]  # Dekker's halves
    low = [a - high[0], b - high[1]]
    error = ((high[0] * high[1] - product) + high[0] * low[1] + low[0] * high[1]) + low[0] * low[1]
    s = product + c
    z = s - product
    rest = ((product - (s - z)) + (c - z)) + error  # its sign is right
    sure = np.ones(a.size, bool)
    for v, largest in ((a, 2.0**450), (b, 2.0**450), (c, 2.0**900)):
        size = np.abs(v)
        sure &= (size < largest) & (size > 1 / largest)
    cancelled = c == -product
    gap = np.spacing(np.abs(s)) / 2  # of the numbers below s, the finer ones
    sure &= cancelled | (np.abs(rest) < 0.99 * gap)
    nearest = np.where(cancelled, error, s)
    if rounding == "rn":
        return nearest, sure & (cancelled | (np.abs(rest) < 0.49 * gap))
    return _toward(nearest, np.where(cancelled, 0, np.sign(rest)), rounding), sure & (
        ~cancelled | (error != 0)
    )


def _fma_float(a, b, c, rounding):
    """A product of floats is a double, so two-sum tells what the sum leaves."""
    p, c = a.astype(np.float64) * b, c.astype(np.float64)
    s = p + c
    z = s - p
    error = (p - (s - z)) + (c - z)
    nearest = s.astype(np.float32)
    beyond = s - nearest  # exact
    sign = np.where(beyond != 0, np.sign(beyond), np.sign(error))
    if rounding == "rn":
        tie = (error != 0) & (beyond != 0)
        if (tie & (np.abs(beyond) * 2 == np.spacing(np.abs(nearest)))).any():
            raise NotImplementedError("a sum that rounds twice")
        return nearest
    return _toward(nearest, np.where(np.isfinite(s), sign, 0), rounding)


def multiply(a, b, rounding):
    if rounding == "rn":
        return a * b
    return fma(a, b, np.copysign(0.0, a * b), rounding)


def _fma_one(a, b, c, rounding):
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        product = a * b if math.isfinite(a) and math.isfinite(b) else None
        if product is not None:  # a finite product never is an infinite term
            product = math.copysign(1.0, a) * math.copysign(1.0, b) if product else product
            return float(np.float64(product) + np.float64(c))
        return float(np.float64(a) * np.float64(b) + np.float64(c))
    if a == 0 or b == 0:
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return -0.0 if rounding == "rm" else 0.0
    sign = 1 if exact > 0 else -1
    try:
        nearest = exact.numerator / exact.denominator
    except OverflowError:
        nearest = math.inf * sign
    if nearest == 0:
        nearest = 0.0 * sign
    if rounding == "rn":
        return nearest
    if math.isinf(nearest):
        low = rounding == ("rp" if exact < 0 else "rm")
        return sign * 1.7976931348623157e308 if low else nearest
    if rounding == "rp" and Fraction(nearest) < exact:
        return math.nextafter(nearest, math.inf)
    if rounding == "rm" and Fraction(nearest) > exact:
        return math.nextafter(nearest, -math.inf)
    return nearest


def to_bf16(v):
    """float32 to the bits of the nearest bfloat16; NaN as the device gives it."""
    u = v.view(np.uint32).astype(np.uint64)
    nearest = ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(v), np.uint16(0x7FFF), nearest)


def to_float_toward_zero(v):
    """float64 to float32, cut."""
    nearest = v.astype(np.float32)
    over = np.abs(nearest.astype(np.float64)) > np.abs(v)
    return np.where(over, np.nextafter(nearest, np.float32(0)), nearest)
