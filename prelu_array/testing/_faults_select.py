"""Known ways to get y or dx wrong: what a faulty kernel would have returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._judge import Rules, equal, is_subnormal, order_keys, ulp_distance
from ._numbers import take_apart
from ._verdict import Inputs, Verdict

Array = NDArray[Any]

# Vector widths and block sizes, by which a loop may miss its last elements.
WIDTHS = (2, 4, 8, 16, 32, 64, 128, 256)

# (x, alpha, v) -> result, where v is x for y and dy for dx; all in the compute type
Model = Callable[[Array, Array, Array], Array]

_BOTH: dict[str, Model] = {
    "all failures at x == 0: uses >= instead of >": lambda x, a, v: np.where(x >= 0, v, a * v),
    "all failures at x == 0: uses > instead of >=": lambda x, a, v: np.where(x > 0, v, a * v),
    "branches swapped": lambda x, a, v: np.where(x > 0, a * v, v),
    "alpha applied on both branches": lambda x, a, v: a * v,
    "alpha ignored": lambda x, a, v: np.where(x > 0, v, 0),
    "alpha clamped to [0, 1]": lambda x, a, v: np.where(x > 0, v, np.clip(a, 0, 1) * v),
    "negative alpha taken as 0": lambda x, a, v: np.where(x > 0, v, np.maximum(a, 0) * v),
    "abs(alpha) in place of alpha": lambda x, a, v: np.where(x > 0, v, np.abs(a) * v),
    "inactive branch leaks: multiplied by a 0/1 mask": lambda x, a, v: (
        v * (x > 0) + a * v * (x <= 0)
    ),
    "inactive branch leaks: multiplied by a mask and its complement": lambda x, a, v: (
        v * (x > 0) + a * v * (1 - (x > 0))
    ),
    "inactive branch leaks: multiplied by (mask + alpha * (1 - mask))": lambda x, a, v: (
        v * ((x > 0) + a * (1 - (x > 0)))
    ),
    "alpha and value of the other sign: uses x < 0": lambda x, a, v: np.where(x < 0, a * v, v),
}
_FORWARD: dict[str, Model] = {
    "inactive branch leaks: max(x, 0) + alpha * min(x, 0)": lambda x, a, v: (
        np.maximum(x, 0) + a * np.minimum(x, 0)
    ),
    "NaN lost: fmax(x, 0) + alpha * fmin(x, 0)": lambda x, a, v: np.fmax(x, 0) + a * np.fmin(x, 0),
    "relu(x) - alpha * relu(-x): inactive branch leaks": lambda x, a, v: (
        np.maximum(x, 0) - a * np.maximum(-x, 0)
    ),
    "inactive branch leaks: (x + abs(x)) / 2 + alpha * (x - abs(x)) / 2": lambda x, a, v: (
        (x + np.abs(x)) / 2 + a * ((x - np.abs(x)) / 2)
    ),
    "inactive branch leaks: ((1 + alpha) x + (1 - alpha) abs(x)) / 2": lambda x, a, v: (
        ((1 + a) * x + (1 - a) * np.abs(x)) / 2
    ),
    "alpha ignored: max(x, 0)": lambda x, a, v: np.maximum(x, 0),
    "max(x, alpha * x): wrong for alpha > 1 and alpha < 0": lambda x, a, v: np.maximum(x, a * x),
}
_BACKWARD: dict[str, Model] = {
    "at x == 0 dx is 0": lambda x, a, v: np.where(x == 0, 0, np.where(x > 0, v, a * v)),
    "at x == 0 dx is (1 + alpha) * dy": lambda x, a, v: np.where(
        x == 0, v + a * v, np.where(x > 0, v, a * v)
    ),
    "x is NaN: dx is 0": lambda x, a, v: np.where(np.isnan(x), 0, np.where(x > 0, v, a * v)),
    "x is NaN: dx is dy": lambda x, a, v: np.where(np.isnan(x) | (x > 0), v, a * v),
    "branch chosen by the sign of y, not of x": lambda x, a, v: np.where(
        np.where(x > 0, x, a * x) > 0, v, a * v
    ),
    "branch chosen by the sign of dy, not of x": lambda x, a, v: np.where(v > 0, v, a * v),
}


class Hypothesis(NamedTuple):
    """A known fault held against one output."""

    text: str
    agrees: Array  # bool, where the output is as the fault would make it
    predicts: bool = True  # False if only wrong elements can be told to agree


def other_places(inputs: Inputs) -> Iterator[tuple[str, Array]]:
    """Wrong ways to find the alpha of an element, each as an index array."""
    count, shape = inputs.alpha.size, inputs.x.shape
    if count < 2 or not inputs.x.size:
        return
    flat = np.arange(inputs.x.size).reshape(shape)
    if inputs.alpha.ndim == 1:
        for axis in range(len(shape)):
            along = np.arange(shape[axis]).reshape(-1, *[1] * (len(shape) - axis - 1))
            index = np.broadcast_to(along % count, shape)
            yield f"channel axis transposed: alpha taken along axis {axis}", index
    yield "channel axis transposed: alpha taken by flat index modulo its length", flat % count
    blocks = flat * count // inputs.x.size
    yield "channel axis transposed: alpha taken in blocks of the flat index", blocks
    yield "alpha[0] taken for all", np.zeros(shape, dtype=np.int64)
    yield "alpha taken in reverse", count - 1 - inputs.index
    if inputs.alpha.ndim > 1:
        order = np.arange(count).reshape(inputs.alpha.shape[::-1]).T
        yield "alpha taken with its axes transposed", np.broadcast_to(order, shape)


def hypotheses(verdict: Verdict, rules: Rules) -> Iterator[Hypothesis]:
    """Hold every known fault against y or dx."""
    for text, value in _predictions(verdict):
        yield Hypothesis(text, equal(verdict.got, value, rules))
    for text, mark in _patterns(verdict):
        yield Hypothesis(text, verdict.wrong & mark, predicts=False)


def _predictions(verdict: Verdict) -> Iterator[tuple[str, Array]]:
    """What each known fault would have returned."""
    inputs = verdict.inputs
    x, dtype = inputs.x, inputs.x.dtype
    alpha = inputs.alpha_at
    wide = "float64" in (dtype.name, inputs.alpha.dtype.name)
    compute = np.dtype(np.float64 if wide else np.float32)
    v = x if verdict.output == "y" else inputs.gradient
    xc, ac, vc = (part.astype(compute) for part in (x, alpha, v))
    models = dict(_BOTH) | (_FORWARD if verdict.output == "y" else _BACKWARD)
    for text, model in models.items():
        yield text, np.asarray(model(xc, ac, vc)).astype(dtype)
    kept = xc > 0
    for name, narrow in _narrower(compute):
        rounded = ac.astype(narrow).astype(compute)
        yield f"alpha rounded to {name} first", np.where(kept, vc, rounded * vc).astype(dtype)
        product = (ac * vc).astype(narrow).astype(compute)
        yield f"product rounded to {name}", np.where(kept, vc, product).astype(dtype)
        rounded = vc.astype(narrow).astype(compute)
        both = np.where(kept, rounded, ac * rounded).astype(narrow)
        yield f"computed in {name}", both.astype(dtype)
        yield f"identity branch rounded to {name}", np.where(kept, rounded, ac * vc).astype(dtype)
    for text, index in other_places(inputs):
        other = inputs.alpha.reshape(-1)[index].astype(compute)
        yield text, np.where(kept, vc, other * vc).astype(dtype)


# Patterns that say less than any fault which explains as much.
VAGUE = (
    "one ULP off: not rounded to nearest-even",
    "all failures at x == 0",
    "left at 0",
    "left at the value of x",
)


def _patterns(verdict: Verdict) -> Iterator[tuple[str, Array]]:
    """Marks of wrong elements that name a fault without predicting the value."""
    inputs, got, expected = verdict.inputs, verdict.got, verdict.expected
    g, e = take_apart(got), take_apart(expected)
    v = inputs.x if verdict.output == "y" else inputs.gradient
    tiny = is_subnormal(expected) | is_subnormal(v) | is_subnormal(inputs.x)
    tiny |= is_subnormal(inputs.alpha_at)
    yield "sign of zero lost", g.zero & e.zero
    yield "subnormals flushed to zero", (g.zero | g.nan) & tiny
    yield "subnormals flushed, in the comparison as well", tiny
    yield "NaN lost", e.nan & ~g.nan
    yield "inactive branch leaks: NaN where x > 0", g.nan & ~e.nan & (inputs.x > 0)
    yield "NaN where a number is expected", g.nan & ~e.nan
    yield "overflow: inf where a finite number is expected", g.inf & ~e.inf & ~e.nan
    near = (ulp_distance(got, expected) == 1) & ~g.nan & ~e.nan
    inward = order_keys(np.abs(got)) < order_keys(np.abs(expected))
    yield "one ULP towards zero: truncated, not rounded", near & inward
    yield "one ULP off: not rounded to nearest-even", near
    yield "all failures at x == 0", inputs.x == 0
    yield "left at 0", g.zero
    yield "left at the value of x", ulp_distance(got, inputs.x) == 0


def _narrower(compute: np.dtype[Any]) -> Iterator[tuple[str, Any]]:
    if compute.name == "float64":
        yield "float32", np.float32
    yield "float16", np.float16
    try:
        import ml_dtypes
    except ImportError:  # then nobody can have bfloat16 data either
        return
    yield "bfloat16", ml_dtypes.bfloat16
