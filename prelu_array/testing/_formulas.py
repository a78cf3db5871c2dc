"""Formulas of PReLU, and of its gradient, that are wrong somewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# (x, alpha, v, up) -> result, where v is x for y and dy for dx, and up marks the identity branch;
# all in the compute type, or all in x's
Model = Callable[[Array, Array, Array, Array], Array]


def _zero(v: Array) -> Array:
    return np.zeros_like(v)


def _masked(first: Model, second: Model) -> list[Model]:
    """The ways to write v * first + alpha * v * second."""
    return [
        lambda x, a, v, up: v * first(x, a, v, up) + a * v * second(x, a, v, up),
        lambda x, a, v, up: v * first(x, a, v, up) + a * (v * second(x, a, v, up)),
        lambda x, a, v, up: v * (first(x, a, v, up) + a * second(x, a, v, up)),
    ]


def _selected(first: Model, second: Model) -> list[Model]:
    """The ways to write a sum of two selects."""
    return [
        lambda x, a, v, up: (
            np.where(first(x, a, v, up) > 0, v, _zero(v))
            + np.where(second(x, a, v, up) > 0, a * v, _zero(v))
        ),
        lambda x, a, v, up: (
            np.where(first(x, a, v, up) > 0, v, _zero(v))
            + a * np.where(second(x, a, v, up) > 0, v, _zero(v))
        ),
    ]


def _mask(compare: Callable[[Array], Array]) -> Model:
    return lambda x, a, v, up: compare(x).astype(v.dtype)


_ABOVE, _FROM = _mask(lambda x: x > 0), _mask(lambda x: x >= 0)
_BELOW, _UP_TO = _mask(lambda x: x < 0), _mask(lambda x: x <= 0)

# Mistakes of the caller come first, because the first of equals is named.
_EVERYDAY_FORWARD: dict[str, list[Model]] = {
    "inputs swapped: x and alpha": [lambda x, a, v, up: np.where(a > 0, a, x * a)],
}
_EVERYDAY_BACKWARD: dict[str, list[Model]] = {
    "inputs swapped: dy and x": [
        lambda x, a, v, up: np.where(v > 0, x, a * x),
        lambda x, a, v, up: np.where(v >= 0, x, a * x),
    ],
    "inputs swapped: x and alpha": [lambda x, a, v, up: np.where(a > 0, v, x * v)],
    "inputs swapped: dy and alpha": [lambda x, a, v, up: np.where(up, a, v * a)],
    "dy has no effect: the derivative alone": [
        lambda x, a, v, up: np.where(up, np.ones_like(v), a)
    ],
    "returns y in place of dx": [lambda x, a, v, up: np.where(x > 0, x, a * x)],
}
_BOTH: dict[str, list[Model]] = {
    "alpha ignored": [lambda x, a, v, up: np.where(up, v, _zero(v))],
    "branches swapped": [lambda x, a, v, up: np.where(up, a * v, v)],
    "branch chosen by the sign bit of x": [lambda x, a, v, up: np.where(np.signbit(x), a * v, v)],
    "alpha applied on both branches": [lambda x, a, v, up: a * v],
    "alpha clamped to [0, 1]": [
        lambda x, a, v, up: np.where(up, v, np.minimum(np.maximum(a, 0), 1) * v),
        lambda x, a, v, up: np.where(up, v, np.fmin(np.fmax(a, 0), 1) * v),
    ],
    "negative alpha taken as 0": [
        lambda x, a, v, up: np.where(up, v, np.maximum(a, _zero(a)) * v),
        lambda x, a, v, up: np.where(up, v, np.fmax(a, _zero(a)) * v),
    ],
    "abs(alpha) in place of alpha": [lambda x, a, v, up: np.where(up, v, np.abs(a) * v)],
    "-alpha in place of alpha": [lambda x, a, v, up: np.where(up, v, -a * v)],
    "alpha added, not multiplied": [lambda x, a, v, up: np.where(up, v, a + v)],
    "wrong sign": [lambda x, a, v, up: -np.where(up, v, a * v)],
    "inactive branch leaks: multiplied by a 0/1 mask": [
        *_masked(_ABOVE, _UP_TO),
        *_masked(_FROM, _BELOW),
    ],
    "inactive branch leaks: multiplied by a mask and its complement": [
        lambda x, a, v, up: v * up + a * v * ~up,
        lambda x, a, v, up: v * up + a * (v * ~up),
    ],
    "inactive branch leaks: a sum of two selects, the second times alpha": [
        lambda x, a, v, up: np.where(up, v, _zero(v)) + a * np.where(up, _zero(v), v),
        lambda x, a, v, up: np.where(x >= 0, v, _zero(v)) + a * np.where(x >= 0, _zero(v), v),
    ],
    "inactive branch leaks: multiplied by (mask + alpha * (1 - mask))": [
        lambda x, a, v, up: v * (up + a * ~up)
    ],
}
_FORWARD: dict[str, list[Model]] = {
    "inactive branch leaks: max(x, 0) + alpha * min(x, 0)": [
        lambda x, a, v, up: np.maximum(x, _zero(x)) + a * np.minimum(x, _zero(x))
    ],
    "all failures at x == 0: uses >= instead of >": [
        lambda x, a, v, up: np.where(x >= 0, v, a * v)
    ],
    "NaN lost: fmax(x, 0) + alpha * fmin(x, 0)": [
        lambda x, a, v, up: np.fmax(x, _zero(x)) + a * np.fmin(x, _zero(x)),
        lambda x, a, v, up: np.where(x > 0, x, _zero(x)) + a * np.where(x < 0, x, _zero(x)),
    ],
    "relu(x) - alpha * relu(-x): inactive branch leaks": [
        lambda x, a, v, up: np.maximum(x, _zero(x)) - a * np.maximum(-x, _zero(x))
    ],
    "inactive branch leaks: (x + abs(x)) / 2 + alpha * (x - abs(x)) / 2": [
        lambda x, a, v, up: (x + np.abs(x)) / 2 + a * ((x - np.abs(x)) / 2),
        lambda x, a, v, up: (x + np.abs(x)) / 2 + a * (x - np.abs(x)) / 2,
    ],
    "inactive branch leaks: max(x, 0) + alpha * (x - abs(x)) / 2": [
        lambda x, a, v, up: np.maximum(x, _zero(x)) + a * ((x - np.abs(x)) / 2),
        lambda x, a, v, up: np.maximum(x, _zero(x)) + a * (x - np.abs(x)) / 2,
        lambda x, a, v, up: np.maximum(x, _zero(x)) + a / 2 * (x - np.abs(x)),
    ],
    "inactive branch leaks: ((1 + alpha) x + (1 - alpha) abs(x)) / 2": [
        lambda x, a, v, up: ((1 + a) * x + (1 - a) * np.abs(x)) / 2,
        lambda x, a, v, up: (1 + a) / 2 * x + (1 - a) / 2 * np.abs(x),
        lambda x, a, v, up: ((1 + a) * x) / 2 + ((1 - a) * np.abs(x)) / 2,
    ],
    "inactive branch leaks: alpha * x + (1 - alpha) * max(x, 0)": [
        lambda x, a, v, up: a * x + (1 - a) * np.maximum(x, _zero(x))
    ],
    "inactive branch leaks: x - (1 - alpha) * min(x, 0)": [
        lambda x, a, v, up: x - (1 - a) * np.minimum(x, _zero(x)),
        lambda x, a, v, up: x + (a - 1) * np.minimum(x, _zero(x)),
    ],
    "alpha ignored: max(x, 0)": [lambda x, a, v, up: np.maximum(x, _zero(x))],
    "max(x, alpha * x): wrong for alpha > 1": [
        lambda x, a, v, up: np.maximum(x, a * x),
        lambda x, a, v, up: np.where(x > a * x, x, a * x),
        lambda x, a, v, up: np.where(x >= a * x, x, a * x),
        lambda x, a, v, up: np.fmax(x, a * x),
    ],
    "min(x, alpha * x): wrong for alpha < 1": [lambda x, a, v, up: np.minimum(x, a * x)],
}
_BACKWARD: dict[str, list[Model]] = {
    "all failures at x == 0: uses >= instead of >": [
        lambda x, a, v, up: np.where(x >= 0, v, a * v)
    ],
    "all failures at x == 0: uses > instead of >=": [
        lambda x, a, v, up: np.where(x > 0, v, a * v)
    ],
    "at x == 0 dx is 0": [lambda x, a, v, up: np.where(x == 0, _zero(v), np.where(up, v, a * v))],
    "at x == 0 dx is (1 + alpha) * dy": [
        lambda x, a, v, up: np.where(x == 0, v + a * v, np.where(up, v, a * v)),
        lambda x, a, v, up: np.where(x == 0, (1 + a) * v, np.where(up, v, a * v)),
    ],
    "at x == 0 dx is (1 + alpha) / 2 * dy": [
        lambda x, a, v, up: np.where(x == 0, (v + a * v) / 2, np.where(up, v, a * v)),
        lambda x, a, v, up: np.where(x == 0, (1 + a) / 2 * v, np.where(up, v, a * v)),
    ],
    "x is NaN: dx is 0": [
        lambda x, a, v, up: np.where(np.isnan(x), _zero(v), np.where(up, v, a * v))
    ],
    "x is NaN: dx is dy": [
        lambda x, a, v, up: np.where(np.isnan(x) | up, v, a * v),
    ],
    "x is NaN: dx is NaN": [
        lambda x, a, v, up: np.where(np.isnan(x), x, np.where(up, v, a * v)),
    ],
    "at x == 0 and at NaN dx is 0": [
        lambda x, a, v, up: np.where(x > 0, v, np.where(x < 0, a * v, _zero(v)))
    ],
    "branch chosen by the sign of y, not of x": [
        lambda x, a, v, up: np.where(np.where(x > 0, x, a * x) > 0, v, a * v),
        lambda x, a, v, up: np.where(np.where(x > 0, x, a * x) >= 0, v, a * v),
    ],
    "branch chosen by the sign of dy, not of x": [
        lambda x, a, v, up: np.where(v > 0, v, a * v),
        lambda x, a, v, up: np.where(v >= 0, v, a * v),
    ],
    "a sum of two selects, x > 0 and x <= 0: dx is 0 at NaN": [
        *_selected(_ABOVE, _UP_TO),
        *_selected(_FROM, _BELOW),
    ],
    "a sum of two selects, x > 0 and x < 0: dx is 0 at x == 0 and at NaN": _selected(
        _ABOVE, _BELOW
    ),
    "a sum of two selects, x >= 0 and x <= 0: dx is (1 + alpha) * dy at x == 0, 0 at NaN": (
        _selected(_FROM, _UP_TO)
    ),
    "inactive branch leaks: multiplied by masks x > 0 and x < 0, dx is 0 at x == 0 and at NaN": (
        _masked(_ABOVE, _BELOW)
    ),
    "inactive branch leaks: multiplied by masks x >= 0 and x <= 0, "
    "dx is (1 + alpha) * dy at x == 0, 0 at NaN": _masked(_FROM, _UP_TO),
}
# How formulas of arithmetic alone treat the sign of zero depends on the order of operands.
LOOSE = ("leak", "max(", "relu(", "fmax(", "sum of two", "clamped", "taken as 0")

FORWARD = _EVERYDAY_FORWARD | _FORWARD | _BOTH
BACKWARD = _EVERYDAY_BACKWARD | _BOTH | _BACKWARD
