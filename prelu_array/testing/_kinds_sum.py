"""Inputs that show how dalpha is added: gaps, ties, cancellation, overflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._maker import Case, Maker
from ._numbers import format_of

Array = NDArray[Any]


def powers(exponents: Array, signs: Any) -> tuple[Array, Array]:
    """Return (dy, x) with the products signs * 2**exponents and x < 0; a sign may be 0."""
    x = -np.ldexp(1.0, exponents // 2)
    return -np.ldexp(np.asarray(signs, dtype=float), exponents - exponents // 2), x


def gap_terms(gap: int) -> tuple[Array, Array]:
    """Terms that cancel and small ones, 2**gap apart, the last of which are the sum."""
    top = min(gap, 30)  # within float16's range, as is the bottom
    return np.repeat([top, top, top - gap], 64), np.repeat([1, -1, 1], 64)


# Each gap is wider than the format's precision and well within that of the next.
GAPS = {"bfloat16": 15, "float16": 15, "float32": 28, "float64": 58}


def sums(make: Maker) -> Iterator[Case]:
    """Sums that distinguish accumulators, in any order of addition."""
    fmt, final = format_of(make.dtype), format_of(make.alpha_dtype)
    for gap in sorted(set(GAPS.values())):
        yield from _shuffled(make, f"gap-{gap}", [gap_terms(gap)] * 3)
    # Levels 60 bits apart, too far for an expansion of a few float64.
    top = {11: 30, 24: 240, 8: 240, 53: 600}[fmt.precision]
    apart = 54 if fmt.precision == 11 else 60
    levels = np.arange(top, -60, -apart)
    exponents = np.append(np.repeat(levels, 2), levels[-1])
    yield from _shuffled(make, "levels", [(exponents, np.resize([1, -1], exponents.size))] * 3)
    # So near to a tie of alpha's dtype that only an exact sum is on the right side.
    high, low = 12, final.precision
    near = max(high - low - 64, 2 * fmt.last_exponent)
    ties = np.array([high, high - low + 1, high - low, near])
    signs = [np.array([1, odd, 1, 1 - 2 * odd]) for odd in (0, 1)]
    yield from _shuffled(make, "tie", [(ties, sign * up) for sign in signs for up in (1, -1)])
    # (1 + e)**2 is not a number of the format: e**2 is left when the rest cancels.
    e = 2.0 ** (1 - fmt.precision)
    x = make.columns(np.array([[-1 - e, -1.0]] * (1 if make.layout == "shared" else 3)))
    yield make.case("products", x, np.where(x == -1, -1 - 2 * e, 1 + e))


def _shuffled(make: Maker, name: str, sums: list[tuple[Array, Array]]) -> Iterator[Case]:
    """One case with a sum for each channel, or a case for each sum; terms in random order."""
    rows = [
        powers(*(part[order] for part in one))
        for one in sums
        for order in [make.rng.permutation(one[0].size)]
    ]
    for i, group in enumerate([[row] for row in rows] if make.layout == "shared" else [rows]):
        dy, x = (make.columns(np.array(part)) for part in zip(*group, strict=True))
        yield make.case(f"{name}-{i}" if make.layout == "shared" else name, x, dy)


def cancellation(make: Maker) -> Iterator[Case]:
    shape = make.shape((20, 5), 4)
    signs = np.where(np.arange(20) % 2, -1, 1).reshape(-1, *[1] * (len(shape) - 1))
    if shape[0] != 20:  # channels first: the signs alternate along the next axis
        signs = np.moveaxis(signs, 0, 1)
    yield make.case("x-300", np.full(shape, -300), np.broadcast_to(300 * signs, shape))
    for exponent in (6, 10, 14):
        dy = make.rng.choice([-1.0, 1.0], shape) * 2.0**exponent
        small = make.rng.random(shape) < 0.3
        dy = np.where(small, 3.0 * 2.0**-8, dy)
        yield make.case(f"2p{exponent}-beside-2p-8", np.full(shape, -1.0), dy)
    real = make.rng.standard_normal(shape)
    yield make.case("normal", -np.abs(real), np.broadcast_to(signs, shape) * np.abs(real))


def overflow(make: Maker) -> Iterator[Case]:
    fmt = format_of(make.dtype)
    high = np.ldexp(1.5, (fmt.field_max >> 1) - 1)
    shape = make.shape((4, 3), 5)
    signs = make.rng.choice([-1.0, 1.0], shape)
    yield make.case("identity-branch", np.full(shape, high), high * signs)
    yield make.case("y", high * signs, np.full(shape, high), [3.0] * 60)
    # No product fits a 16-bit format, but each sum fits an accumulator.
    root = np.ldexp(1.0, (fmt.field_max >> 1) // 2 + 2)
    yield make.case("terms", np.full(shape, -root), root * signs)
