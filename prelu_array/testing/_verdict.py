"""One output of one call: what was returned, what was expected, where it is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._caller import NoArray, to_numpy
from ._judge import (
    Interval,
    Rules,
    Terms,
    check_accumulator,
    dalpha_interval,
    equal,
    flush,
    is_subnormal,
    make_terms,
    order_keys,
    smallest_normal,
    ulp_distance,
)
from ._numbers import Format, bits_of, take_apart
from ._placement import Axis, alpha_index
from ._reference import above, only_dalpha, only_dx, reference_prelu

Array = NDArray[Any]


@dataclass(frozen=True)
class Inputs:
    """What a kernel was called with."""

    x: Array
    alpha: Array
    axis: Axis
    dy: Array | None = None

    @property
    def gradient(self) -> Array:
        """Return dy, which only a backward has."""
        if self.dy is None:
            raise ValueError("dy must be given to judge a backward, got None")
        return self.dy

    @property
    def index(self) -> Array:
        """For each element of x, the flat index of its alpha."""
        return alpha_index(self.x.shape, self.alpha.shape, self.axis)

    @property
    def alpha_at(self) -> Array:
        """Alpha at each element of x."""
        return self.alpha.reshape(-1)[self.index]

    def terms(self) -> Terms:
        """Return all products x * dy."""
        return make_terms(self.gradient, self.x, self.index, self.alpha.size)

    def interval(
        self, at_zero: str, accumulator: Format | None, order: str, rules: Rules
    ) -> Interval:
        """Return the values that dalpha may have."""
        terms, identity = self.terms(), np.ravel(above(self.x, at_zero))
        flushed = None if rules.subnormals else terms.pick(identity & is_subnormal(terms.x))
        chosen = terms.pick(~identity)
        return dalpha_interval(chosen, self.alpha.dtype, accumulator, order, flushed=flushed)


@dataclass(frozen=True)
class Verdict:
    """The result of checking one output."""

    output: str  # "y", "dx" or "dalpha"
    inputs: Inputs
    got: Array
    expected: Array
    wrong: Array  # bool, the output's shape
    problem: str = ""  # why it cannot be compared: its shape or dtype, or it is missing

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem and not self.wrong.any()

    @property
    def failures(self) -> int:
        """How many elements are wrong; 1 for a problem of the whole output."""
        return 1 if self.problem else int(self.wrong.sum())

    def _distances(self) -> Array:
        """How far off each wrong element is, in C order; NaN is furthest of all."""
        distance = ulp_distance(self.got, self.expected)
        nan = take_apart(self.got).nan | take_apart(self.expected).nan
        return np.where(nan, np.iinfo(np.uint64).max, distance)[self.wrong]

    def worst(self) -> int:
        """Flat index of the wrong element that is furthest off."""
        # among wrong elements only: a wrong sign of zero is 0 ULP off, like right elements
        return int(np.flatnonzero(self.wrong)[np.argmax(self._distances())])

    def worst_distance(self) -> int:
        """How far off that element is."""
        return int(self._distances().max())

    def first(self) -> int:
        """Flat index of the first wrong element."""
        return int(np.argmax(self.wrong))

    def describe(self, flat: int) -> str:
        """Return one failure in decimal, hexadecimal floating point and bits."""
        index = np.unravel_index(flat, self.got.shape)
        where = ", ".join(str(int(i)) for i in index)
        lines = [f"{self.output}[{where}]:"]
        if self.output != "dalpha":
            lines.append(f"    x        {show(self.inputs.x[index])}")
            lines.append(f"    alpha    {show(self.inputs.alpha_at[index])}")
            if self.output == "dx" and self.inputs.dy is not None:
                lines.append(f"    dy       {show(self.inputs.dy[index])}")
        got, expected = self.got[index], self.expected[index]
        lines.append(f"    got      {show(got)}")
        lines.append(f"    expected {show(expected)}")
        if not (take_apart(got).nan or take_apart(expected).nan):
            lines.append(f"    distance {int(ulp_distance(got, expected))} ULP")
        return "\n".join(lines)

    def explain(self) -> str:
        """Say what is wrong with this output."""
        if self.problem:
            return self.problem
        text = f"{self.output} is wrong in {self.failures} of {self.got.size} elements, first "
        text += self.describe(self.first())
        if self.worst() != self.first():
            text += f"\nworst {self.describe(self.worst())}"
        return text


def show(number: Array) -> str:
    """Return a number in decimal, hexadecimal floating point and bits."""
    bits = bits_of(np.asarray(number))
    with np.errstate(invalid="ignore"):  # a signalling NaN raises the flag when it is converted
        value = float(number)
    text = value.hex()
    if math.isfinite(value):
        fraction, exponent = text.split("p")
        text = f"{fraction.rstrip('0').rstrip('.') if '.' in fraction else fraction}p{exponent}"
    return f"{value!r:<24} {text:<24} bits {int(bits):0{bits.dtype.itemsize * 2}x}"


def mismatch(name: str, got: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Say which of shape and dtype is wrong, or return nothing."""
    wrong = []
    if got.shape != shape:
        wrong.append(f"has shape {got.shape}, expected {shape}")
    if got.dtype != dtype:
        wrong.append(f"has dtype {got.dtype}, expected {dtype}")
    return f"{name} {' and '.join(wrong)}" if wrong else ""


def _compared(output: str, result: Any, inputs: Inputs, like: Array) -> Array | Verdict:
    """Return the result as an array of the shape and dtype that it must have, or the verdict."""
    got = to_numpy(result, like.dtype)
    if isinstance(got, NoArray):
        problem, got = f"{output} {got.reason}", np.empty(0, like.dtype)
    else:
        problem = mismatch(output, got, like.shape, like.dtype)
    if not problem:
        return got
    return Verdict(output, inputs, got, like, np.zeros(got.shape, dtype=bool), problem)


def judge_forward(y: Any, inputs: Inputs, rules: Rules) -> Verdict:
    """Check y element by element."""
    got = _compared("y", y, inputs, inputs.x)
    if isinstance(got, Verdict):
        return got
    expected = reference_prelu(inputs.x, inputs.alpha, axis=inputs.axis)
    right = equal(got, expected, rules)
    if not rules.subnormals:
        right |= flushed_select(got, inputs.x, inputs, "alpha", rules)
    return Verdict("y", inputs, got, expected, ~right)


def judge_dx(dx: Any, inputs: Inputs, at_zero: str, rules: Rules) -> Verdict:
    """Check dx element by element; at_zero="any" takes whichever convention fits better."""
    if at_zero == "any":
        both = [judge_dx(dx, inputs, each, rules) for each in ("alpha", "one")]
        return min(both, key=lambda verdict: verdict.failures)
    got = _compared("dx", dx, inputs, inputs.x)
    if isinstance(got, Verdict):
        return got
    expected = only_dx(inputs.gradient, inputs.x, inputs.alpha, inputs.axis, at_zero)
    right = equal(got, expected, rules)
    if not rules.subnormals:
        right |= flushed_select(got, inputs.gradient, inputs, at_zero, rules)
    return Verdict("dx", inputs, got, expected, ~right)


def flushed_select(got: Array, v: Array, inputs: Inputs, at_zero: str, rules: Rules) -> Array:
    """Where the result is right for a kernel on flushing hardware; v is x for y, dy for dx.

    The comparison and the product may each flush their inputs, and the product its result; a copy
    may keep its bits.
    """
    x, alpha, axis = inputs.x, inputs.alpha, inputs.axis
    zero = take_apart(got).zero
    identity = above(x, at_zero)
    other = above(flush(x), at_zero)
    copied = equal(got, v, rules) | (zero & is_subnormal(v))
    right = (identity | other) & copied
    below = ~identity | ~other
    for a in (alpha, flush(alpha)):
        for each in (v, flush(v)):
            # hardware may test before it rounds: then the smallest normal number may become zero
            product = only_dx(each, np.full_like(x, -1), a, axis, at_zero)
            small = order_keys(np.abs(product)) <= order_keys(smallest_normal(product.dtype))
            small &= ~take_apart(product).zero  # whose sign counts
            right |= below & (equal(got, product, rules) | (zero & small))
    return right


def judge_dalpha(
    dalpha: Any,
    inputs: Inputs,
    at_zero: str,
    rules: Rules,
    accumulate: str | None,
    order: str,
) -> Verdict:
    """Check dalpha against the interval that the data and the accumulator allow."""
    if at_zero == "any":
        both = [
            judge_dalpha(dalpha, inputs, each, rules, accumulate, order)
            for each in ("alpha", "one")
        ]
        return min(both, key=lambda verdict: verdict.failures)
    accumulator = check_accumulator(accumulate, inputs.x.dtype)
    got = _compared("dalpha", dalpha, inputs, inputs.alpha)
    if isinstance(got, Verdict):
        return got
    expected = only_dalpha(inputs.gradient, inputs.x, inputs.alpha, inputs.axis, at_zero)
    if equal(got, expected, Rules()).all():  # the interval costs more than all the rest
        wrong = np.zeros(got.shape, dtype=bool)
    else:
        interval = inputs.interval(at_zero, accumulator, order, rules)
        wrong = interval.wrong(got, rules, exact=accumulator is None)
    return Verdict("dalpha", inputs, got, expected, wrong)
