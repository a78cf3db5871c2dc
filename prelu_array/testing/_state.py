"""Whether a kernel keeps state: the same inputs again, with other inputs in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._judge import order_keys
from ._maker import Case
from ._numbers import take_apart
from ._suspect import Observation
from ._trial import Judge, Result

Array = NDArray[Any]

_MOST_ELEMENTS = 5_000
# Sums of integers: a conforming kernel returns the same value the second time.
_EXACT = ("tail", "alpha", "layout", "strides", "reversed", "empty", "large")


def sequences(todo: Sequence[Case]) -> list[list[Case]]:
    """Return for each layout the calls A, B, B, A, A', C, A.

    B is larger than A, by many blocks where it can be, C smaller, and A' of A's shape with other
    values.
    """
    found = []
    for layout in dict.fromkeys(case.layout for case in todo):
        here = [case for case in todo if case.layout == layout]
        fitting = [case for case in here if 0 < case.x.size <= _MOST_ELEMENTS]
        exact = [case for case in fitting if case.kind in _EXACT]
        by_size = sorted(exact or fitting, key=lambda case: case.x.size)
        if by_size:
            small, middle = by_size[0], by_size[len(by_size) // 2]
            # not a slope that a kernel without alpha may have
            odd = middle.alpha * middle.alpha.dtype.type(2.75)
            middle = replace(middle, name=f"{middle.name}-again", alpha=odd)
            large = next((case for case in here if case.kind == "large"), by_size[-1])
            # by factors whose inverse is not a wrong slope
            parts = {"x": middle.x, "dy": middle.dy, "alpha": middle.alpha}
            factors = zip(parts.items(), (-3, -5, -7), strict=True)
            changed = {name: part * part.dtype.type(by) for (name, part), by in factors}
            other = replace(middle, name=f"{middle.name}-changed", **changed)
            found.append([middle, large, large, middle, other, small, middle])
    return found


def state_of(judge: Judge, sequence: Sequence[Result]) -> tuple[dict[str, str], list[Observation]]:
    """Say for each output what differs within a sequence, and show a failure."""
    calls = [judge.observe(result) for result in sequence]
    found: dict[str, str] = {}
    failed: list[Observation] = []
    for output in dict.fromkeys(one.verdict.output for call in calls for one in call):
        seen = [one for call in calls for one in call if one.verdict.output == output]
        if text := _difference(seen) or _kept(judge, sequence, seen):
            found[output] = f"{output}: differs from call to call: {text}"
            failed += [one for one in seen if not one.verdict.ok][:1]
    return found, failed


def _kept(judge: Judge, sequence: Sequence[Result], seen: Sequence[Observation]) -> str:
    """Name the input whose value in an earlier call of the same shape explains all failures."""

    def right(result: Result) -> bool:
        verdicts = (one.verdict for one in judge.observe(result))
        return all(one.ok for one in verdicts if one.output == seen[0].verdict.output)

    def explained(at: int, name: str) -> bool:
        case = sequence[at].case
        earlier = (result.case for result in sequence[:at])
        swapped = (
            replace(case, **{name: getattr(each, name)})
            for each in earlier
            if each.x.shape == case.x.shape and each.name != case.name
        )
        return any(right(sequence[at]._replace(case=each)) for each in swapped)

    wrong = [at for at, one in enumerate(seen) if not one.verdict.ok]
    names = (name for name in ("alpha", "x", "dy") if all(explained(at, name) for at in wrong))
    name = next(names, "") if len(seen) == len(sequence) and wrong else ""
    return name and f"{name} of an earlier call is used"


def _difference(seen: list[Observation]) -> str:
    """Say what the kernel keeps from earlier calls, if anything."""
    if any(one.verdict.problem for one in seen) or all(one.verdict.ok for one in seen):
        return ""
    again = [
        [one.verdict.got for one in seen if one.name == name]
        for name in dict.fromkeys(one.name for one in seen)
    ]
    stale = any(map(_stale, seen, seen[1:]))
    if not stale and all(_same(one, group[0]) for group in again for one in group):
        return ""
    if seen[0].verdict.output != "dalpha":
        if stale:
            return "elements of an earlier call are left in the result"
        return "state is kept from earlier calls, or a race"
    if not all(
        one.kind in _EXACT for one in seen
    ):  # a wrong sum may still be one that a conforming kernel adds in any order
        return ""
    if all(map(_added, seen, seen[1:])):
        return "not zeroed before the sum: each call adds to the one before"
    if stale:
        return "an earlier call's result is returned"
    sizes = [one.verdict.inputs.x.size for one in seen]
    wrong = [at for at, one in enumerate(seen) if not one.verdict.ok]
    if all(not at or sizes[at] > sizes[at - 1] for at in wrong):
        return "right when called again: a workspace that fits the call before"
    if all(sizes[at] < max(sizes[: at + 1]) for at in wrong):
        return "terms of an earlier, larger call are left in the sum"
    return "not zeroed before the sum, or a race"


def _same(a: Array, b: Array) -> bool:
    return bool((order_keys(a) == order_keys(b)).all())


def _added(before: Observation, after: Observation) -> bool:
    first, then, right = (
        part.astype(np.float64)
        for part in (before.verdict.got, after.verdict.got, after.verdict.expected)
    )
    if first.shape != then.shape:  # with another accumulator
        return True
    return bool((then == first + right).all())


def _stale(before: Observation, after: Observation) -> bool:
    """Whether each wrong element of a call has the right value of the call before."""
    got, wrong = after.verdict.got.reshape(-1), np.flatnonzero(after.verdict.wrong)
    left = before.verdict.got.reshape(-1)
    if wrong.size < 2 or wrong[-1] >= left.size or before.name == after.name:
        return False
    if before.verdict.wrong.reshape(-1)[wrong].any() or take_apart(got[wrong]).zero.all():
        return False  # a zero may come from any call
    return _same(got[wrong], left[wrong])
