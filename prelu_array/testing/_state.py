"""Does a kernel keep state: the same inputs again, with other inputs in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._cases import Case
from ._judge import order_keys
from ._suspect import Observation

Array = NDArray[Any]

# (case) -> the judged outputs of one call
Judged = Callable[[Case], list[Observation]]

_MOST_ELEMENTS = 5_000
# Sums of integers, which no honest kernel adds to another value the second time.
_EXACT = ("tail", "alpha", "layout", "strides", "reversed", "empty")


def keeps_state(todo: Sequence[Case], judged: Judged) -> tuple[dict[str, str], list[Observation]]:
    """Call A, B, B, A, C, A for each layout; say for each output what differs, and show it.

    B is larger than A, and C smaller.
    """
    found: dict[str, str] = {}
    failed: list[Observation] = []
    for layout in dict.fromkeys(case.layout for case in todo):
        fitting = [c for c in todo if c.layout == layout and 0 < c.x.size <= _MOST_ELEMENTS]
        exact = [case for case in fitting if case.kind in _EXACT]
        by_size = sorted(exact or fitting, key=lambda case: case.x.size)
        if not by_size:
            continue
        small, middle, large = by_size[0], by_size[len(by_size) // 2], by_size[-1]
        calls: dict[str, list[Observation]] = {}
        for case in (middle, large, large, middle, small, middle):
            for one in judged(case):
                calls.setdefault(one.verdict.output, []).append(one)
        for output, seen in calls.items():
            text = _difference(seen, bool(exact))
            if text and output not in found:
                found[output] = f"{output}: differs from call to call: {text}"
                failed += [one for one in seen if not one.verdict.ok][:1]
    return found, failed


def _difference(seen: list[Observation], exact: bool) -> str:
    """What is kept from earlier calls, if anything is."""
    if any(one.verdict.problem for one in seen) or all(one.verdict.ok for one in seen):
        return ""
    again = [
        [one.verdict.got for one in seen if one.name == name]
        for name in dict.fromkeys(one.name for one in seen)
    ]
    if all(_same(one, group[0]) for group in again for one in group):
        return ""
    if seen[0].verdict.output != "dalpha":
        if any(map(_stale, seen, seen[1:])):
            return "elements of an earlier call are left in the result"
        return "state is kept from earlier calls, or a race"
    if not exact:  # a wrong sum may still be one that an honest kernel adds in any order
        return ""
    if all(map(_added, seen, seen[1:])):
        return "not zeroed before the sum: each call adds to the one before"
    if any(map(_stale, seen, seen[1:])):
        return "an earlier call's result is returned"
    if all(a.name != b.name or b.verdict.ok for a, b in zip(seen, seen[1:], strict=False)):
        return "right when called again: a workspace that fits the call before"
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
    """Whether each wrong element of a call is what the call before left in its place."""
    got, wrong = after.verdict.got.reshape(-1), np.flatnonzero(after.verdict.wrong)
    left = before.verdict.got.reshape(-1)
    if not wrong.size or wrong[-1] >= left.size or before.name == after.name:
        return False
    return _same(got[wrong], left[wrong])
