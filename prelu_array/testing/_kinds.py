"""The kinds of inputs, each for a way in which kernels are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._kinds_sum import cancellation, overflow, sums
from ._maker import Case, Maker, dtype_named
from ._numbers import format_of

Array = NDArray[Any]

ALPHAS = (-1.5, -0.0, 0.0, 0.25, 1.0, 3.0)
# Every vector width up to 16 with every tail, and the neighbours of larger block sizes.
_TAIL_LENGTHS = (*range(1, 20), 31, 32, 33, 63, 65, 127, 129, 255, 257)


def specials(dtype: DTypeLike) -> Array:
    """Return the special values of a format: zeros, thresholds, infinities and NaN."""
    named = dtype_named(dtype)
    fmt = format_of(named)
    first_normal = 1 << (fmt.precision - 1)
    edges = [0, 1, first_normal - 1, first_normal, fmt.inf_bits - 1, fmt.inf_bits]
    sign = 1 << (fmt.bits - 1)
    bits = [word for edge in edges for word in (edge, edge | sign)]
    bits.append(fmt.inf_bits | first_normal >> 1)
    ordinary = np.array([1.0, -1.0, 1.5, -2.5]).astype(named)
    return np.concatenate([np.array(bits, dtype=fmt.bits_dtype).view(named), ordinary])


def _specials(make: Maker) -> Iterator[Case]:
    values, alphas = specials(make.dtype), specials(make.alpha_dtype)
    if make.layout == "shared":
        x, dy = np.meshgrid(values, values, indexing="ij")
        for i, a in enumerate([*alphas, *np.array(ALPHAS).astype(make.alpha_dtype)]):
            yield make.case(f"pairs-alpha{i}-{float(a):.3g}", x, dy, [a])
        for i, v in enumerate(values):
            ordinary = np.array([-1.0, 2.0, -3.0, 5.0]).astype(make.dtype)
            yield make.case(f"x{i}-{float(v):.3g}", np.append(ordinary, v), np.ones(5))
            yield make.case(f"dy{i}-{float(v):.3g}", -np.ones(5), np.append(ordinary, v))
            # On the identity branch no dy may reach dalpha.
            yield make.case(f"inactive-dy{i}-{float(v):.3g}", [-1, 2, -3, 5, 7], [1, 1, 1, 1, v])
        return
    # One channel (or element) for each pair, three times over: no NaN hides another term, and
    # each x meets each alpha.
    x, dy = (part.reshape(1, -1) for part in np.meshgrid(np.tile(values, 3), values))
    alpha = np.resize(np.append(alphas, [0.25, -0.75]).astype(alphas.dtype), x.size)
    if make.layout == "channel":
        shape = make.shape((1,), x.size)
        x, dy = x.reshape(shape), dy.reshape(shape)
    yield make.case("pairs", x, dy, alpha)


def _alphas(make: Maker) -> Iterator[Case]:
    shape = make.shape((4, 5), 6)
    x, dy = make.integers(shape)
    x.reshape(-1)[3:9] = 0
    x = np.where((x == 0) & (np.arange(x.size).reshape(shape) % 2 == 1), -0.0, x)
    if make.layout == "shared":
        for a in ALPHAS:
            yield make.case(f"{a}", x, dy, [a])
    else:
        yield make.case("mixed", x, dy, ALPHAS)
        yield make.case("distinct", x, dy)


def _tails(make: Maker) -> Iterator[Case]:
    for n in _TAIL_LENGTHS:
        if make.layout == "shared":
            yield make.case(f"{n}", *make.integers((n,)))
            continue
        yield make.case(f"rows-{n}", *make.integers(make.shape((2, n), 3)))
        yield make.case(f"channels-{n}", *make.integers(make.shape((3,), n)))


def _layouts(make: Maker) -> Iterator[Case]:
    for rest, channels in (
        ((2,), 3),
        ((2, 4, 5), 3),
        ((4, 16), 8),
        ((2, 5, 4), 4),
        ((2, 3, 5, 6), 4),
    ):
        shape = make.shape(rest, channels)
        x, dy = make.integers(shape)
        yield make.case("x".join(map(str, shape)), x, dy)
    shape = make.shape((2, 4, 5), 3)
    yield make.case("all-positive", np.abs(make.integers(shape)[0]), np.ones(shape))
    yield make.case("all-negative", -np.abs(make.integers(shape)[0]), np.ones(shape))


def _strides(make: Maker) -> Iterator[Case]:
    shape = make.shape((2, 4, 5), 3)
    x, dy = (part.astype(make.dtype) for part in make.integers(shape))
    yield make.case("x-fortran", np.asfortranarray(x), dy)
    yield make.case("dy-fortran", x, np.asfortranarray(dy))
    yield make.case("both-fortran", np.asfortranarray(x), np.asfortranarray(dy))
    twice = np.repeat(x, 2, axis=-1)
    yield make.case("x-step-2", twice[..., ::2], dy)
    one = np.full(1, 2, dtype=make.dtype)
    # as_strided rather than broadcast_to: a read-only array cannot pass DLPack
    still = np.lib.stride_tricks.as_strided(one, shape, (0,) * len(shape))
    yield make.case("dy-stride-0", x, still)


def _reversed(make: Maker) -> Iterator[Case]:
    shape = make.shape((2, 4, 5), 3)
    x, dy = (part.astype(make.dtype) for part in make.integers(shape))
    yield make.case("last", x[..., ::-1], dy[..., ::-1])
    yield make.case("first", x[::-1], dy)


def _ties(make: Maker) -> Iterator[Case]:
    """Products halfway between two numbers of the format."""
    p = format_of(make.dtype).precision
    half = (p + 1) // 2
    # The product of two odd integers is odd; with p + 1 bits it is a tie.
    a = 2 * make.rng.integers(1 << (half - 2), 1 << (half - 1), 4000) + 1
    b = 2 * make.rng.integers(1 << (p - half - 1), 1 << (p - half), 4000) + 1
    product = a * b
    tie = (product >> p) == 1
    a, b = a[tie][:60], b[tie][:60]
    if make.layout == "shared":
        for i in range(3):
            same = b[a == a[i]]
            yield make.case(f"{i}", -same, same, [a[i]])
    else:
        shape = make.shape((1,), a.size)
        yield make.case("each", -b.reshape(shape), b.reshape(shape), a)


def _subnormals(make: Maker) -> Iterator[Case]:
    fmt = format_of(make.dtype)
    shape = make.shape((3, 7), 5)
    odd = make.rng.integers(1, 1 << (fmt.precision - 1), shape) * 2.0**fmt.last_exponent
    signs = make.rng.choice([-1.0, 1.0], shape)
    yield make.case("x", odd * signs, np.ones(shape))
    yield make.case("dy", -np.ones(shape), odd * signs)
    near = np.ldexp(make.rng.uniform(1, 2, shape), fmt.last_exponent + fmt.precision - 1)
    yield make.case("product", -near, near * signs)


def _large(make: Maker) -> Iterator[Case]:
    shape = make.shape((3, 4099), 5)
    x = make.rng.choice([-1.0, -1.0, -2.0, 1.0], shape)
    yield make.case("integers", x, make.rng.choice([-1.0, 1.0, 3.0], shape))
    if make.layout != "element":
        ones = make.shape((3, 2003), 3)
        # A sum of ones stops growing at 2**p.
        yield make.case("ones", -np.ones(ones), np.ones(ones))
        shape = make.shape((3, 599), 7)
        yield make.case("normal", make.rng.standard_normal(shape), make.rng.standard_normal(shape))


def _size(make: Maker) -> Iterator[Case]:
    """Longer than a 16-bit index, or a grid limit of 65535, and not a multiple of a block."""

    def draw(*shape: int) -> tuple[Array, Array]:
        return make.rng.choice([-2, -1, -1, 1], shape), make.rng.choice([-1, 1, 3], shape)

    channels = 1 if make.layout == "shared" else 3
    x, dy = draw(channels, 98_308 // channels)
    # The second half cancels the first: a part left out shows, although no sum is large.
    middle = -np.ones((channels, 1))
    x = np.concatenate([x, middle, x[:, ::-1]], axis=1)
    dy = np.concatenate([dy, -middle, -dy[:, ::-1]], axis=1)
    yield make.case("rows", make.columns(x), make.columns(dy))
    if make.layout != "shared":
        yield make.case("channels", *map(make.columns, draw(65_541, 2)))


def _random(make: Maker) -> Iterator[Case]:
    for i, (rest, channels) in enumerate(
        (((2,), 5), ((3, 11), 4), ((2, 5, 7), 6), ((13, 17), 3), ((1, 29), 8))
    ):
        shape = make.shape(rest, channels)
        x = make.rng.standard_normal(shape)
        x[make.rng.random(shape) < 0.05] = 0
        alpha = make.rng.standard_normal(math.prod(make.alpha_shape(shape)))
        yield make.case(f"{i}", x, make.rng.standard_normal(shape), alpha)


def _empty(make: Maker) -> Iterator[Case]:
    shape = make.shape((0, 4, 5), 3)
    yield make.case("batch", np.empty(shape), np.empty(shape))
    if make.layout != "element":
        shape = make.shape((2, 0), 3)
        yield make.case("inner", np.empty(shape), np.empty(shape))


def _reported(make: Maker) -> Iterator[Case]:
    """Inputs on which released kernels were wrong."""
    if make.layout == "shared":
        yield make.case("alpha-inf", [1.234, 2.0], [1.0, 1.0], [np.inf])
        yield make.case("float16-sum", np.full(1000, -300), np.tile([300, -300], 500))
        yield make.case("one-element", [-2.0], [3.0], [0.25])
        yield make.case("negative-alpha", [-2.0, -0.0, 0.0, 2.0], [1.0, 2.0, 3.0, 4.0], [-0.5])
        return
    shape = make.shape((1, 2, 3), 3)
    x = -(np.arange(18) + 1.0).reshape(shape)
    alpha = [0.5, 1.5, 2.5] * (1 if make.layout == "channel" else 6)
    yield make.case("axis-1-or-last", x, np.ones(shape), alpha)
    shape = make.shape((1, 3), 2)
    x = np.resize([1.0, -1.0, 2.0, -2.0, 3.0, -3.0], shape)
    yield make.case("inner-broadcast", x, np.ones(shape), [0.1, -0.2])
    shape = make.shape((1,), 4)
    x = np.array([np.inf, -np.inf, 3e4, -2.5]).reshape(shape)
    yield make.case("infinities", x, np.ones(shape), [0.25, 0.5, 0.25, 0.25])


MAKERS: dict[str, Callable[[Maker], Iterator[Case]]] = {
    "specials": _specials,
    "alpha": _alphas,
    "tail": _tails,
    "layout": _layouts,
    "strides": _strides,
    "reversed": _reversed,
    "ties": _ties,
    "cancellation": cancellation,
    "overflow": overflow,
    "sums": sums,
    "subnormals": _subnormals,
    "large": _large,
    "size": _size,
    "random": _random,
    "empty": _empty,
    "reported": _reported,
}
