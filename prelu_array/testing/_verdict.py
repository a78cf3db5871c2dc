"""One output of one call, judged: what was got, what was expected, where it is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._judge import (
    Rules,
    Terms,
    check_accumulator,
    dalpha_interval,
    equal,
    flush,
    make_terms,
    ulp_distance,
    wrong_elements,
)
from ._numbers import bits_of, take_apart
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

    def flushed(self) -> Inputs:
        """Return the inputs as a kernel that flushes subnormals sees them."""
        dy = None if self.dy is None else flush(self.dy)
        return Inputs(flush(self.x), flush(self.alpha), self.axis, dy)

    def terms(self) -> Terms:
        """Return all products x * dy."""
        return make_terms(self.gradient, self.x, self.index, self.alpha.size)


@dataclass(frozen=True)
class Verdict:
    """The judgement of one output."""

    output: str  # "y", "dx" or "dalpha"
    inputs: Inputs
    got: Array
    expected: Array
    wrong: Array  # bool, the output's shape
    problem: str = ""  # a wrong shape or dtype, when nothing can be compared

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem and not self.wrong.any()

    @property
    def failures(self) -> int:
        """How many elements are wrong; 1 for a problem of the whole output."""
        return 1 if self.problem else int(self.wrong.sum())

    def _distances(self) -> Array:
        distance = ulp_distance(self.got, self.expected)
        nan = take_apart(self.got).nan | take_apart(self.expected).nan
        distance = np.where(nan, np.iinfo(np.uint64).max, distance)
        return np.where(self.wrong, distance, 0)

    def worst(self) -> int:
        """Flat index of the wrong element that is furthest off; NaN is furthest of all."""
        return int(np.argmax(self._distances()))

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


def to_numpy(result: Any) -> Array:
    """Bring a NumPy, CuPy or DLPack array to NumPy."""
    if isinstance(result, np.ndarray | np.generic):
        return np.asarray(result)
    if hasattr(result, "get"):  # CuPy copies from the device only when asked
        return np.asarray(result.get())
    if hasattr(result, "__array__"):
        return np.asarray(result)
    if hasattr(result, "__dlpack__"):
        return np.from_dlpack(result)
    return np.asarray(result)


def mismatch(name: str, got: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Say which of shape and dtype is wrong, or return nothing."""
    wrong = []
    if got.shape != shape:
        wrong.append(f"has shape {got.shape}, expected {shape}")
    if got.dtype != dtype:
        wrong.append(f"has dtype {got.dtype}, expected {dtype}")
    return f"{name} {' and '.join(wrong)}" if wrong else ""


def _unjudged(output: str, inputs: Inputs, got: Array, expected: Array, problem: str) -> Verdict:
    return Verdict(output, inputs, got, expected, np.zeros(got.shape, dtype=bool), problem)


def judge_forward(y: Any, inputs: Inputs, rules: Rules) -> Verdict:
    """Judge y element by element."""
    got = to_numpy(y)
    expected = reference_prelu(inputs.x, inputs.alpha, axis=inputs.axis)
    if problem := mismatch("y", got, expected.shape, expected.dtype):
        return _unjudged("y", inputs, got, expected, problem)
    tiny = expected
    if not rules.subnormals:
        seen = inputs.flushed()
        tiny = reference_prelu(seen.x, seen.alpha, axis=seen.axis)
    return Verdict("y", inputs, got, expected, wrong_elements(got, expected, tiny, rules))


def judge_dx(dx: Any, inputs: Inputs, at_zero: str, rules: Rules) -> Verdict:
    """Judge dx element by element; at_zero="any" takes whichever convention fits better."""
    if at_zero == "any":
        both = [judge_dx(dx, inputs, each, rules) for each in ("alpha", "one")]
        return min(both, key=lambda verdict: verdict.failures)
    got = to_numpy(dx)
    expected = _dx(inputs, at_zero)
    if problem := mismatch("dx", got, expected.shape, expected.dtype):
        return _unjudged("dx", inputs, got, expected, problem)
    tiny = expected if rules.subnormals else _dx(inputs.flushed(), at_zero)
    return Verdict("dx", inputs, got, expected, wrong_elements(got, expected, tiny, rules))


def judge_dalpha(
    dalpha: Any,
    inputs: Inputs,
    at_zero: str,
    rules: Rules,
    accumulate: str | None,
    order: str,
) -> Verdict:
    """Judge dalpha against the interval that the data and the accumulator allow."""
    if at_zero == "any":
        both = [
            judge_dalpha(dalpha, inputs, each, rules, accumulate, order)
            for each in ("alpha", "one")
        ]
        return min(both, key=lambda verdict: verdict.failures)
    got = to_numpy(dalpha)
    accumulator = check_accumulator(accumulate, inputs.x.dtype)
    expected = only_dalpha(inputs.gradient, inputs.x, inputs.alpha, inputs.axis, at_zero)
    if problem := mismatch("dalpha", got, expected.shape, expected.dtype):
        return _unjudged("dalpha", inputs, got, expected, problem)
    if equal(got, expected, Rules()).all():  # the interval costs more than all the rest
        wrong = np.zeros(got.shape, dtype=bool)
    else:
        active = inputs.terms().pick(~np.ravel(above(inputs.x, at_zero)))
        interval = dalpha_interval(
            active, inputs.alpha.dtype, accumulator, order, subnormals=rules.subnormals
        )
        wrong = interval.wrong(got, rules, exact=accumulator is None)
    return Verdict("dalpha", inputs, got, expected, wrong)


def _dx(inputs: Inputs, at_zero: str) -> Array:
    return only_dx(inputs.gradient, inputs.x, inputs.alpha, inputs.axis, at_zero)
