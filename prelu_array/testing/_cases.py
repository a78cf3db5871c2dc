"""Inputs that break PReLU kernels, each with a name, a kind and a layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._mode import ieee_mode
from ._numbers import FORMATS, format_of
from ._placement import Axis, place_channel

Array = NDArray[Any]

LAYOUTS = ("shared", "channel", "element")
ALPHAS = (-1.5, -0.0, 0.0, 0.25, 1.0, 3.0)
# Every vector width up to 16 with every tail, and the neighbours of larger block sizes.
_TAIL_LENGTHS = (*range(1, 20), 31, 32, 33, 63, 65, 127, 129, 255, 257)


@dataclass(frozen=True, eq=False)
class Case:
    """One input of a PReLU kernel; `pytest.mark.parametrize` shows its name.

    Attributes
    ----------
    name, kind, layout : str
        What `cases` made it for; the name says all three.
    x, dy : ndarray
        Same shape and dtype; any strides.
    alpha : ndarray
        Of shape ``(1,)``, 1-D along axis, or ``x.shape[1:]``.
    axis : int, tuple of int or None
        The argument that goes with them.
    """

    name: str
    kind: str
    layout: str
    x: Array = field(repr=False)
    alpha: Array = field(repr=False)
    dy: Array = field(repr=False)
    axis: Axis

    @property
    def __name__(self) -> str:  # what pytest reads to make an id
        return self.name

    def __str__(self) -> str:
        return self.name


def dtype_named(dtype: DTypeLike) -> np.dtype[Any]:
    """`numpy.dtype`, where "bfloat16" needs `ml_dtypes`."""
    if isinstance(dtype, str) and dtype == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be one of {', '.join(FORMATS)}, got {dtype!r}") from None
    format_of(found)
    return found


def specials(dtype: DTypeLike) -> Array:
    """Return the values at which a format changes its ways: zeros, edges, infinities and NaN."""
    named = dtype_named(dtype)
    fmt = format_of(named)
    first_normal = 1 << (fmt.precision - 1)
    edges = [0, 1, first_normal - 1, first_normal, fmt.inf_bits - 1, fmt.inf_bits]
    sign = 1 << (fmt.bits - 1)
    bits = [word for edge in edges for word in (edge, edge | sign)]
    bits.append(fmt.inf_bits | first_normal >> 1)
    ordinary = np.array([1.0, -1.0, 1.5, -2.5]).astype(named)
    return np.concatenate([np.array(bits, dtype=fmt.bits_dtype).view(named), ordinary])


@ieee_mode()
def cases(
    *,
    dtype: DTypeLike = "float32",
    alpha_dtype: DTypeLike | None = None,
    kind: str | Iterable[str] | None = None,
    layouts: str | Iterable[str] = LAYOUTS,
    axis: int = 1,
    seed: int = 0,
) -> list[Case]:
    """List the test inputs, always the same for the same arguments.

    Parameters
    ----------
    dtype : dtype
        Dtype of x and dy: float16, "bfloat16", float32 or float64.
    alpha_dtype : dtype, optional
        Dtype of alpha; as `dtype` if not given.
    kind : str or iterable of str, optional
        Only these kinds; `CASE_KINDS` lists them.  All if not given.
    layouts : str or iterable of str
        "shared": alpha has shape ``(1,)``; "channel": alpha is 1-D along `axis`;
        "element": alpha has shape ``x.shape[1:]``.
    axis : int
        The channel axis.
    seed : int
        Seed of the random kinds.

    Returns
    -------
    list of Case
        Each with ``name, kind, layout, x, alpha, dy, axis``; pass ``case.axis`` to the
        functions of `prelu_array`.

    Raises
    ------
    ValueError
        If a kind or a layout is unknown, or none is named.
    TypeError
        If a dtype is none of the four.

    Examples
    --------
    >>> from prelu_array.testing import cases
    >>> [case.name for case in cases(kind="empty", layouts=["channel"])]
    ['empty-channel-batch', 'empty-channel-inner']
    >>> cases(kind="empty", layouts=["channel"])[0].x.shape
    (0, 3, 4, 5)
    """
    wanted = [kind] if isinstance(kind, str) else list(CASE_KINDS if kind is None else kind)
    for each in wanted:
        if each not in _MAKERS:
            raise ValueError(f"kind must be one of {', '.join(_MAKERS)}, got {each!r}")
    chosen = [layouts] if isinstance(layouts, str) else list(layouts)
    for each in chosen:
        if each not in LAYOUTS:
            raise ValueError(f"layouts must be among {', '.join(LAYOUTS)}, got {each!r}")
    for name, given, allowed in (("kind", wanted, _MAKERS), ("layouts", chosen, LAYOUTS)):
        if not given:
            raise ValueError(f"{name} must be among {', '.join(allowed)}, got none")
    named = dtype_named(dtype)
    alpha_named = named if alpha_dtype is None else dtype_named(alpha_dtype)
    found: list[Case] = []
    for each in wanted:
        for layout in chosen:
            maker = _Maker(each, layout, named, alpha_named, axis, seed)
            # 2**16 in a float16 becomes inf on purpose
            with np.errstate(over="ignore"):
                found.extend(_MAKERS[each](maker))
    return found


class _Maker:
    """Builds the cases of one kind and layout."""

    def __init__(
        self,
        kind: str,
        layout: str,
        dtype: np.dtype[Any],
        alpha_dtype: np.dtype[Any],
        axis: int,
        seed: int,
    ) -> None:
        self.kind, self.layout, self.axis = kind, layout, axis
        self.dtype, self.alpha_dtype = dtype, alpha_dtype
        self.rng = np.random.default_rng([seed, sum(map(ord, kind + layout))])

    def shape(self, rest: tuple[int, ...], channels: int) -> tuple[int, ...]:
        """Shape of x from the lengths beside the channels."""
        if self.layout == "channel":
            return place_channel(rest, channels, self.axis)
        return (*rest[:1], channels, *rest[1:])

    def alpha_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return {
            "shared": (1,),
            "channel": (shape[self.axis],) if self.layout == "channel" else (),
            "element": shape[1:],
        }[self.layout]

    def case(self, name: str, x: Any, dy: Any, alpha: Any = None) -> Case:
        x = x if isinstance(x, np.ndarray) else np.array(x)
        dy = dy if isinstance(dy, np.ndarray) else np.array(dy)
        missing = (self.axis + 1 if self.axis >= 0 else -self.axis) - x.ndim
        if missing > 0:  # so that a kernel which always names the channel axis can be called
            x, dy = (part.reshape((1,) * missing + part.shape) for part in (x, dy))
        shape = self.alpha_shape(x.shape)
        if alpha is None:
            alpha = [0.25] if self.layout == "shared" else distinct_alphas(math.prod(shape))
        alpha = np.resize(np.asarray(alpha), shape)
        return Case(
            f"{self.kind}-{self.layout}-{name}",
            self.kind,
            self.layout,
            x if x.dtype == self.dtype else x.astype(self.dtype),
            alpha.astype(self.alpha_dtype),
            dy if dy.dtype == self.dtype else dy.astype(self.dtype),
            # x.shape[1:] is NumPy's trailing alignment
            None if self.layout == "element" else self.axis,
        )

    def columns(self, values: Array) -> Array:
        """Arrange a row of values for each channel; a shared alpha has one row."""
        channels, n = values.shape
        shape = self.shape((n,), channels)
        first = self.layout == "channel" and self.axis % len(shape) == 0
        return np.ascontiguousarray((values if first else values.T).reshape(shape))

    def integers(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Small integers, whose sums are exact in any order; the last x are 0 and -3."""
        x = self.rng.integers(1, 8, shape)
        x[self.rng.random(shape) < 0.7] *= -1
        if x.size:
            x.reshape(-1)[-2:] = [0, -3][-x.size :]
        dy = self.rng.integers(1, 4, shape) * self.rng.choice([-1, 1], shape)
        return x, dy


def distinct_alphas(count: int) -> Array:
    """Alphas of all sorts, different among any 96: negative, -0, 0, below and above 1."""
    first = np.array([-1.5, 0.25, 3.0, 1.0, 0.0, 0.5, -0.75, -0.0])
    # Steps of 1/8 stay exact and distinct in every format up to a few hundred channels.
    more = 1.125 + np.arange(max(count - first.size, 0)) % 96 / 8
    return np.concatenate([first, more])[:count]


def _specials(make: _Maker) -> Iterator[Case]:
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


def _alphas(make: _Maker) -> Iterator[Case]:
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


def _tails(make: _Maker) -> Iterator[Case]:
    for n in _TAIL_LENGTHS:
        if make.layout == "shared":
            yield make.case(f"{n}", *make.integers((n,)))
            continue
        yield make.case(f"rows-{n}", *make.integers(make.shape((2, n), 3)))
        yield make.case(f"channels-{n}", *make.integers(make.shape((3,), n)))


def _layouts(make: _Maker) -> Iterator[Case]:
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


def _strides(make: _Maker) -> Iterator[Case]:
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


def _reversed(make: _Maker) -> Iterator[Case]:
    shape = make.shape((2, 4, 5), 3)
    x, dy = (part.astype(make.dtype) for part in make.integers(shape))
    yield make.case("last", x[..., ::-1], dy[..., ::-1])
    yield make.case("first", x[::-1], dy)


def _ties(make: _Maker) -> Iterator[Case]:
    """Products that lie halfway between two numbers of the format."""
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


def _cancellation(make: _Maker) -> Iterator[Case]:
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


def _overflow(make: _Maker) -> Iterator[Case]:
    fmt = format_of(make.dtype)
    high = np.ldexp(1.5, (fmt.field_max >> 1) - 1)
    shape = make.shape((4, 3), 5)
    signs = make.rng.choice([-1.0, 1.0], shape)
    yield make.case("identity-branch", np.full(shape, high), high * signs)
    yield make.case("y", high * signs, np.full(shape, high), [3.0] * 60)
    # Each product fits no 16-bit format, yet each sum has an accumulator that holds it.
    root = np.ldexp(1.0, (fmt.field_max >> 1) // 2 + 2)
    yield make.case("terms", np.full(shape, -root), root * signs)


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


def _sums(make: _Maker) -> Iterator[Case]:
    """Sums that tell one accumulator from the next, in whatever order it adds."""
    fmt, final = format_of(make.dtype), format_of(make.alpha_dtype)
    for gap in sorted(set(GAPS.values())):
        yield from _shuffled(make, f"gap-{gap}", [gap_terms(gap)] * 3)
    # Levels 60 bits apart, which no expansion of a few float64 holds together.
    top = {11: 30, 24: 240, 8: 240, 53: 600}[fmt.precision]
    apart = 54 if fmt.precision == 11 else 60
    levels = np.arange(top, -60, -apart)
    exponents = np.append(np.repeat(levels, 2), levels[-1])
    yield from _shuffled(make, "levels", [(exponents, np.resize([1, -1], exponents.size))] * 3)
    # Beside a tie of alpha's dtype, so near that only an exact sum sees on which side.
    high, low = 12, final.precision
    near = max(high - low - 64, 2 * fmt.last_exponent)
    ties = np.array([high, high - low + 1, high - low, near])
    signs = [np.array([1, odd, 1, 1 - 2 * odd]) for odd in (0, 1)]
    yield from _shuffled(make, "tie", [(ties, sign * up) for sign in signs for up in (1, -1)])
    # (1 + e)**2 is no number of the format: e**2 is left when the rest has gone.
    e = 2.0 ** (1 - fmt.precision)
    x = make.columns(np.array([[-1 - e, -1.0]] * (1 if make.layout == "shared" else 3)))
    yield make.case("products", x, np.where(x == -1, -1 - 2 * e, 1 + e))


def _shuffled(
    make: _Maker, name: str, sums: list[tuple[Array, Array]]
) -> Iterator[Case]:
    """One case with a sum for each channel, or a case for each sum; terms in random order."""
    rows = [powers(*(part[order] for part in one)) for one in sums
            for order in [make.rng.permutation(one[0].size)]]
    for i, group in enumerate([[row] for row in rows] if make.layout == "shared" else [rows]):
        dy, x = (make.columns(np.array(part)) for part in zip(*group, strict=True))
        yield make.case(f"{name}-{i}" if make.layout == "shared" else name, x, dy)


def _subnormals(make: _Maker) -> Iterator[Case]:
    fmt = format_of(make.dtype)
    shape = make.shape((3, 7), 5)
    odd = make.rng.integers(1, 1 << (fmt.precision - 1), shape) * 2.0**fmt.last_exponent
    signs = make.rng.choice([-1.0, 1.0], shape)
    yield make.case("x", odd * signs, np.ones(shape))
    yield make.case("dy", -np.ones(shape), odd * signs)
    near = np.ldexp(make.rng.uniform(1, 2, shape), fmt.last_exponent + fmt.precision - 1)
    yield make.case("product", -near, near * signs)


def _large(make: _Maker) -> Iterator[Case]:
    shape = make.shape((3, 4099), 5)
    x = make.rng.choice([-1.0, -1.0, -2.0, 1.0], shape)
    yield make.case("integers", x, make.rng.choice([-1.0, 1.0, 3.0], shape))
    if make.layout != "element":
        ones = make.shape((3, 2003), 3)
        # A sum of ones stands still at 2**p.
        yield make.case("ones", -np.ones(ones), np.ones(ones))
        shape = make.shape((3, 599), 7)
        yield make.case("normal", make.rng.standard_normal(shape), make.rng.standard_normal(shape))


def _size(make: _Maker) -> Iterator[Case]:
    """Longer than an index of 16 bits, or a grid limit of 65535, and no multiple of a block."""
    def draw(*shape: int) -> tuple[Array, Array]:
        return make.rng.choice([-2, -1, -1, 1], shape), make.rng.choice([-1, 1, 3], shape)

    channels = 1 if make.layout == "shared" else 3
    x, dy = draw(channels, 98_308 // channels)
    # The second half takes the first away: any part left out shows, though no sum is large.
    middle = -np.ones((channels, 1))
    x = np.concatenate([x, middle, x[:, ::-1]], axis=1)
    dy = np.concatenate([dy, -middle, -dy[:, ::-1]], axis=1)
    yield make.case("rows", make.columns(x), make.columns(dy))
    if make.layout != "shared":
        yield make.case("channels", *map(make.columns, draw(65_541, 2)))


def _random(make: _Maker) -> Iterator[Case]:
    for i, (rest, channels) in enumerate(
        (((2,), 5), ((3, 11), 4), ((2, 5, 7), 6), ((13, 17), 3), ((1, 29), 8))
    ):
        shape = make.shape(rest, channels)
        x = make.rng.standard_normal(shape)
        x[make.rng.random(shape) < 0.05] = 0
        alpha = make.rng.standard_normal(math.prod(make.alpha_shape(shape)))
        yield make.case(f"{i}", x, make.rng.standard_normal(shape), alpha)


def _empty(make: _Maker) -> Iterator[Case]:
    shape = make.shape((0, 4, 5), 3)
    yield make.case("batch", np.empty(shape), np.empty(shape))
    if make.layout != "element":
        shape = make.shape((2, 0), 3)
        yield make.case("inner", np.empty(shape), np.empty(shape))


def _reported(make: _Maker) -> Iterator[Case]:
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


_MAKERS: dict[str, Callable[[_Maker], Iterator[Case]]] = {
    "specials": _specials,
    "alpha": _alphas,
    "tail": _tails,
    "layout": _layouts,
    "strides": _strides,
    "reversed": _reversed,
    "ties": _ties,
    "cancellation": _cancellation,
    "overflow": _overflow,
    "sums": _sums,
    "subnormals": _subnormals,
    "large": _large,
    "size": _size,
    "random": _random,
    "empty": _empty,
    "reported": _reported,
}
CASE_KINDS = tuple(_MAKERS)
