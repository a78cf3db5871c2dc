"""`identify`: which conventions a PReLU kernel follows, found with a few small inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._caller import Caller, NoArray
from ._kinds_sum import gap_terms, powers
from ._maker import dtype_named
from ._mode import ieee_mode
from ._numbers import FORMATS, format_of
from ._reference import reference_prelu, reference_prelu_backward

Array = NDArray[Any]

UNKNOWN = "-"
_TIMES = 20


@dataclass(frozen=True)
class Card:
    """The conventions of one kernel, as short words; "-" if there is no answer.

    If the answer differs with one alpha per channel, the field holds both, as in "alpha, by
    channel zero".

    Attributes
    ----------
    dx_at_zero : str
        dx at x = 0 for dy = 1: "alpha", "one", "zero", "1 + alpha" or "other".
    y_at_minus_zero : str
        y at x = -0: "-0" or "+0".
    y_at_nan, dx_at_nan, dalpha_at_nan : str
        The results at x = NaN: "NaN", "alpha", "one", "zero" or "other".
    y_at_minus_inf : str
        y at x = -inf, alpha = 0.25: "-inf", "NaN" or "other".
    inactive_y, inactive_dx, inactive_dalpha : str
        "kept" if nothing leaks from the branch that was not taken, else "NaN" or "other".
    subnormals : str
        "kept", "flushed" (to zero) or "other"; two words, as in "flushed/kept", where a subnormal
        alpha * x and a positive subnormal x fare differently, in this order.
    alpha_axis : str
        The axis of x for a 1-D alpha.
    accumulator : str
        The accumulator of dalpha, found by small terms that are lost next to large ones: "float16"
        (or narrower), "float32", "float64", or "exact" if none gets lost.
    products : str
        "exact", or "rounded" if x * dy is rounded to x's dtype before the sum.
    repeats : str
        Whether dalpha has the same bits in each of 20 calls: "same" or "differ".
    permutations : str
        Whether dalpha has the same bits for 20 orders of the elements: "same" or "differ".
    errors : tuple of str
        Why there is no answer: what the kernel raised, or returned in place of an array.
    """

    dx_at_zero: str = UNKNOWN
    y_at_minus_zero: str = UNKNOWN
    y_at_nan: str = UNKNOWN
    dx_at_nan: str = UNKNOWN
    dalpha_at_nan: str = UNKNOWN
    y_at_minus_inf: str = UNKNOWN
    inactive_y: str = UNKNOWN
    inactive_dx: str = UNKNOWN
    inactive_dalpha: str = UNKNOWN
    subnormals: str = UNKNOWN
    alpha_axis: str = UNKNOWN
    accumulator: str = UNKNOWN
    products: str = UNKNOWN
    repeats: str = UNKNOWN
    permutations: str = UNKNOWN
    errors: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, str]:
        """Return the conventions as a dict."""
        return {name: value for name, value in asdict(self).items() if name != "errors"}

    def __str__(self) -> str:
        lines = [f"{name:<18}{value}" for name, value in self.as_dict().items()]
        return "\n".join([*lines, *(f"no answer: {error}" for error in self.errors[:3])])


@ieee_mode()
def identify(
    forward: Callable[[Any, Any], Any] | None = None,
    backward: Callable[[Any, Any, Any], Any] | None = None,
    *,
    dtype: DTypeLike = "float32",
    as_input: Callable[[Array], Any] | None = None,
) -> Card:
    """Find out which conventions a PReLU kernel follows; nothing is right or wrong here.

    Parameters
    ----------
    forward, backward, as_input
        As in `check_kernel`.
    dtype : dtype
        Dtype of x, alpha and dy.

    Returns
    -------
    Card
        One short word for each convention; ``print(card)`` for people.

    Raises
    ------
    ValueError
        If neither callable is given.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import identify
    >>> card = identify(lambda x, alpha: np.where(x >= 0, x, alpha * x))
    >>> card.alpha_axis, card.subnormals, card.inactive_y
    ('-1', 'kept', 'kept')
    """
    if forward is None and backward is None:
        raise ValueError("forward and backward must not both be None")
    probe = _Probe(forward, backward, dtype_named(dtype), as_input)
    with np.errstate(all="ignore"):
        card = _forward_card(probe, 1) | _backward_card(probe, 1)
        by_channel = _forward_card(probe, 4) | _backward_card(probe, 4)
        for name, word in by_channel.items():
            if word not in (card[name], UNKNOWN):
                card[name] += f", by channel {word}"
        card |= _axis_card(probe) | _sum_card(probe)
    return Card(**card, errors=tuple(dict.fromkeys(probe.caller.errors)))


class _Probe:
    """Calls the kernel on small inputs; an exception or a result that is no array is no answer."""

    def __init__(
        self,
        forward: Callable[..., Any] | None,
        backward: Callable[..., Any] | None,
        dtype: np.dtype[Any],
        as_input: Callable[[Array], Any] | None,
    ) -> None:
        self.forward, self.backward = forward, backward
        self.dtype, self.caller = dtype, Caller(as_input)

    def array(self, values: Any) -> Array:
        # a copy, as a kernel may write into its input
        return np.array(values).astype(self.dtype)

    def _answer(self, output: str, result: Array | NoArray) -> Array | None:
        if isinstance(result, NoArray):
            if not result.missing:
                self.caller.errors.append(f"{output} {result.reason}")
            return None
        return result if result.dtype.name in FORMATS else None

    def y(self, x: Any, alpha: Any) -> Array | None:
        if self.forward is None:
            return None
        result = self.caller.y("y", self.forward, self.array(x), self.array(alpha))
        return None if result is None else self._answer("y", result)

    def pair(self, dy: Any, x: Any, alpha: Any) -> tuple[Array | None, Array | None]:
        if self.backward is None:
            return None, None
        arrays = (self.array(part) for part in (dy, x, alpha))
        result = self.caller.pair("backward", self.backward, *arrays)
        if result is None:
            return None, None
        return self._answer("dx", result[0]), self._answer("dalpha", result[1])


def _word(result: Array | None, words: dict[str, float], at: int = 0) -> str:
    """Name the word whose value one element has; zeros compare with their sign."""
    if result is None or result.size <= at:
        return UNKNOWN
    value = float(result.reshape(-1)[at])
    if np.isnan(value):
        return "NaN"
    for word, wanted in words.items():
        if value == wanted and np.signbit(value) == np.signbit(wanted):
            return word
    return "other"


def _forward_card(probe: _Probe, alphas: int) -> dict[str, str]:
    if probe.forward is None:
        return {}
    nan, inf = np.nan, np.inf
    # 2-D and of ordinary length, because some frameworks take nothing else
    y = probe.y([[-0.0, nan, -inf, 1.0]], [0.25] * alphas)
    card = {
        "y_at_minus_zero": _word(y, {"-0": -0.0, "+0": 0.0}),
        "y_at_nan": _word(y, {"zero": 0.0}, 1),
        "y_at_minus_inf": _word(y, {"-inf": -inf}, 2),
    }
    leak = probe.y([[1.0, 2.0, -1.0, 3.0]], [nan] * alphas)
    infinite = probe.y([[1.0, 2.0, inf, 3.0]], [inf] * alphas)
    card["inactive_y"] = _worst({_word(y, {"kept": 1.0}) for y in (leak, infinite)})
    tiny = np.ldexp(2.0, format_of(probe.dtype).last_exponent)
    small = probe.y([[-2 * tiny, tiny, -1.0, 1.0]], [0.5] * alphas)
    words = (
        _word(small, {"kept": -tiny, "flushed": -0.0, "flushed ": 0.0}).strip(),
        _word(small, {"kept": tiny, "flushed": 0.0}, 1),
    )
    card["subnormals"] = "/".join(dict.fromkeys(words))  # one word if they agree
    return card


def _worst(words: set[str]) -> str:
    return "kept" if words == {"kept"} else max(words - {"kept"})


def _axis_card(probe: _Probe) -> dict[str, str]:
    return {} if probe.forward is None else {"alpha_axis": _alpha_axis(probe)}


def _alpha_axis(probe: _Probe) -> str:
    """Find the axis with a cube, where alpha fits every axis."""
    x = probe.array(-(np.arange(81.0) % 16 + 1).reshape(3, 3, 3, 3))
    alpha = probe.array([0.25, 0.5, 2.0])
    y = probe.y(x, alpha)
    if y is None or y.shape != x.shape:
        return UNKNOWN
    fits = [axis for axis in range(4) if (y == reference_prelu(x, alpha, axis=axis)).all()]
    return {0: "0", 1: "1", 2: "2", 3: "-1"}[fits[0]] if fits else "other"


def _backward_card(probe: _Probe, alphas: int) -> dict[str, str]:
    if probe.backward is None:
        return {}
    nan, inf = np.nan, np.inf
    ones, quarter = np.ones((1, 4)), [0.25] * alphas
    words = {"alpha": 0.25, "one": 1.0, "zero": 0.0, "1 + alpha": 1.25}
    dx, dalpha = probe.pair(ones, [[nan, 1.0, -1.0, 0.0]], quarter)
    card = {
        "dx_at_zero": _word(dx, words, 3),
        "dx_at_nan": _word(dx, words),
        "dalpha_at_nan": _word(_total(dalpha), {"zero": -1.0}),
    }
    dx, _ = probe.pair(ones, [[1.0, 2.0, -1.0, 3.0]], [nan] * alphas)
    card["inactive_dx"] = _word(dx, {"kept": 1.0})
    leaks = set()
    for dy, x in ((inf, 1.0), (nan, 1.0), (1.0, inf)):
        _, dalpha = probe.pair([[dy, 1.0, 1.0, 1.0]], [[x, 2.0, -1.0, 3.0]], quarter)
        leaks.add(_word(_total(dalpha), {"kept": -1.0}))
    card["inactive_dalpha"] = _worst(leaks)
    return card


def _total(dalpha: Array | None) -> Array | None:
    """Sum over the channels."""
    return None if dalpha is None else dalpha.astype(np.float64).sum(keepdims=True)


def _flat(array: Array | None) -> Array | None:
    return None if array is None else array.reshape(-1)


def _sum_card(probe: _Probe) -> dict[str, str]:
    """How dalpha is added."""
    if probe.backward is None:
        return {}
    card = {"accumulator": _accumulator(probe)}
    fmt = format_of(probe.dtype)
    step = 2.0 ** (1 - fmt.precision)
    # (1 + step)**2 = 1 + 2 step + step**2; the rest after 1 + 2 step is subtracted
    x, dy = [[-1 - step, -1.0]], [[1 + step, -1 - 2 * step]]
    _, dalpha = probe.pair(dy, x, [0.25])
    lost = {"exact": -(step**2), "rounded": 0.0, "rounded ": -0.0}
    card["products"] = _word(dalpha, lost).strip()
    rng = np.random.default_rng(0)
    many, gradient = -np.abs(rng.standard_normal((4, 1000))), rng.standard_normal((4, 1000))
    results = [_flat(probe.pair(gradient, many, [0.25])[1]) for _ in range(_TIMES)]
    card["repeats"] = _same(results)
    for _ in range(_TIMES):
        order = rng.permutation(many.size)
        shuffled = gradient.ravel()[order].reshape(4, -1), many.ravel()[order].reshape(4, -1)
        results.append(_flat(probe.pair(shuffled[0], shuffled[1], [0.25])[1]))
    card["permutations"] = _same(results)
    return card


def _same(results: list[Array | None]) -> str:
    first = results[0]
    if first is None or any(one is None for one in results):
        return UNKNOWN
    return (
        "same"
        if all(np.array_equal(one, first) for one in results if one is not None)
        else "differ"
    )


def _accumulator(probe: _Probe) -> str:
    """Add small terms among large ones that cancel, in a random order."""
    rng = np.random.default_rng(0)
    for gap, name in ((15, "float16"), (28, "float32"), (58, "float64")):
        exponents, signs = gap_terms(gap)
        order = rng.permutation(exponents.size)
        dy, x = (part.reshape(4, -1) for part in powers(exponents[order], signs[order]))
        _, expected = reference_prelu_backward(
            probe.array(dy), probe.array(x), probe.array([0.25])
        )
        _, dalpha = probe.pair(dy, x, [0.25])
        if dalpha is None:
            return UNKNOWN
        if not np.array_equal(dalpha.reshape(-1), expected):
            return name
    return "exact"
