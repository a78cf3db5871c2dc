"""Known ways to get y or dx wrong: what a faulty kernel would have returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._formulas import BACKWARD, FORWARD, LOOSE
from ._judge import Rules, equal, is_subnormal, largest_number, order_keys, ulp_distance
from ._numbers import take_apart
from ._verdict import Inputs, Verdict, flushed_select

Array = NDArray[Any]

# Vector widths and block sizes, by which a loop may miss its last elements.
WIDTHS = (2, 4, 8, 16, 32, 64, 128, 256)


class Hypothesis(NamedTuple):
    """A known fault, compared with one output."""

    text: str
    agrees: Callable[[], Array]  # bool, where the output has the value of the fault
    predicts: bool = True  # False if it explains wrong elements only
    loose: bool = False  # whether the sign of zero is ignored


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
    for text, step in (("next", 1), ("previous", -1)):
        yield f"channels off by one: alpha of the {text} one", (inputs.index + step) % count
        beside = np.clip(inputs.index + step, 0, count - 1)
        yield f"channels off by one: alpha of the {text} one", beside
    if inputs.alpha.ndim > 1:
        order = np.arange(count).reshape(inputs.alpha.shape[::-1]).T
        yield "alpha taken with its axes transposed", np.broadcast_to(order, shape)


def fixed_slopes(verdicts: Sequence[Verdict]) -> list[Any]:
    """Slopes that a kernel without alpha may have: what it made of powers of two, and round ones.

    A number of the dtype, or a wider one that was rounded with the product.
    """
    found: dict[tuple[float, str], Any] = {}
    for verdict in verdicts:
        v = verdict.inputs.x if verdict.output == "y" else verdict.inputs.gradient
        got, exact = verdict.got.astype(np.float64), v.astype(np.float64)
        telling = verdict.wrong & (np.abs(exact) == 1) & np.isfinite(got)
        telling &= verdict.inputs.x.astype(np.float64) < 0
        if not telling.any():
            continue
        slope = float(got[telling][0] / exact[telling][0])
        for digits in (1, 2, 3, 17):  # round numbers are likelier
            rounded = float(f"{slope:.{digits}g}")
            for dtype in (v.dtype, np.dtype(np.float32), np.dtype(np.float64)):
                number = np.array(rounded, dtype=dtype)
                found.setdefault((rounded, dtype.name), number)
    # a kernel with a wrong alpha has many slopes
    return list(found.values()) if len({value for value, _ in found}) <= 12 else []


def hypotheses(
    verdict: Verdict, rules: Rules, at_zero: str = "alpha", slopes: Sequence[Any] = ()
) -> Iterator[Hypothesis]:
    """Compare y or dx with every known fault."""
    unsigned = replace(rules, signed_zeros=False)
    for text, value in _predictions(verdict, at_zero, slopes):
        yield Hypothesis(text, partial(_agrees, verdict, value, rules))
        if any(word in text for word in LOOSE):
            yield Hypothesis(text, partial(_agrees, verdict, value, unsigned), loose=True)
    for text, mark in _patterns(verdict):
        yield Hypothesis(text, partial(np.logical_and, verdict.wrong, mark), predicts=False)


def _agrees(verdict: Verdict, value: Callable[[], Array], rules: Rules) -> Array:
    with np.errstate(all="ignore"):
        agrees = equal(verdict.got, np.asarray(value()).astype(verdict.got.dtype), rules)
    # results that may be flushed and are flushed are no hint of a fault
    return agrees if rules.subnormals else agrees | (_tiny(verdict) & ~verdict.wrong)


def _tiny(verdict: Verdict) -> Array:
    """Where an input or the result is subnormal."""
    inputs = verdict.inputs
    v = inputs.x if verdict.output == "y" else inputs.gradient
    tiny = is_subnormal(verdict.expected) | is_subnormal(v) | is_subnormal(inputs.x)
    return tiny | is_subnormal(inputs.alpha_at)


def _predictions(
    verdict: Verdict, at_zero: str, slopes: Sequence[Any]
) -> Iterator[tuple[str, Callable[[], Array]]]:
    """What each known fault would have returned."""
    inputs, forward = verdict.inputs, verdict.output == "y"
    x, dtype = inputs.x, inputs.x.dtype
    alpha = inputs.alpha_at
    wide = "float64" in (dtype.name, inputs.alpha.dtype.name)
    compute = np.dtype(np.float64 if wide else np.float32)
    v = x if forward else inputs.gradient
    up = x.astype(compute) > 0
    if not forward and at_zero == "one":
        up |= x.astype(compute) == 0
    for slope in slopes:
        # each step is rounded where the kernel computes in its dtype
        held = compute if slope.dtype == dtype else np.promote_types(compute, slope.dtype)
        below = slope.astype(held) * v.astype(held)
        text = f"alpha has no effect: a fixed slope of {_short(slope)}"
        yield text, partial(_select, up, v.astype(held), below)
    models = FORWARD if forward else BACKWARD
    for held in dict.fromkeys((compute, dtype)):
        parts = *(part.astype(held) for part in (x, alpha, v)), up
        for text, variants in models.items():
            for model in variants:
                yield text, partial(model, *parts)
    ac, vc = (part.astype(compute) for part in (alpha, v))
    for name, narrow in _narrower(compute):

        def cut(part: Array, narrow: Any = narrow) -> Array:
            return part.astype(narrow).astype(compute)

        yield f"alpha rounded to {name} first", partial(_select, up, vc, cut(ac) * vc)
        yield f"product rounded to {name}", partial(_select, up, vc, cut(ac * vc))
        for a in (ac, cut(ac)):
            for side in (up, cut(x.astype(compute)) > 0):
                both = cut(np.where(side, cut(vc), a * cut(vc)))
                yield f"computed in {name}", partial(_select, True, both, both)
        yield f"identity branch rounded to {name}", partial(_select, up, cut(vc), ac * vc)
    for text, index in other_places(inputs):
        other = inputs.alpha.reshape(-1)[index].astype(compute)
        yield text, partial(_select, up, vc, other * vc)


def _select(up: Any, kept: Array, other: Array) -> Array:
    return np.where(up, kept, other)


def _short(slope: Any) -> str:
    return f"{float(slope):.3g}"


# Patterns that are named only if no fault explains as much.
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
    tiny = _tiny(verdict)
    yield "sign of zero lost", g.zero & e.zero
    yield "subnormals flushed to zero", (g.zero | g.nan) & tiny
    v = inputs.x if verdict.output == "y" else inputs.gradient
    sides = [flushed_select(got, v, inputs, side, Rules()) for side in ("alpha", "one")]
    yield (
        "subnormals flushed, in the comparison as well",
        tiny & (sides[0] | sides[1] | g.zero | g.nan),
    )
    yield "NaN lost", e.nan & ~g.nan
    yield "inactive branch leaks: NaN where x > 0", g.nan & ~e.nan & (inputs.x > 0)
    yield "NaN where a number is expected", g.nan & ~e.nan
    yield "overflow: inf where a finite number is expected", g.inf & ~e.inf & ~e.nan
    largest = order_keys(np.abs(got)) == order_keys(largest_number(got.dtype))
    signs_agree = g.negative == e.negative
    yield "infinity turned into the largest number", e.inf & largest & signs_agree
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
    except ImportError:  # then there can be no bfloat16 data either
        return
    yield "bfloat16", ml_dtypes.bfloat16
