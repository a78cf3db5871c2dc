"""The calls of a kernel and the checks of their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ._caller import Caller, NoArray
from ._judge import Rules
from ._maker import Case
from ._numbers import take_apart
from ._suspect import Observation
from ._verdict import Inputs, judge_dalpha, judge_dx, judge_forward

Array = NDArray[Any]
Got = Array | NoArray
Forward = Callable[[Any, Any], Any]
Backward = Callable[[Any, Any, Any], Any]


class Result(NamedTuple):
    """What a kernel returned for one case; None if it raised or was not called."""

    case: Case
    y: Got | None
    pair: tuple[Got, Got] | None

    @property
    def inputs(self) -> Inputs:
        """Return the inputs of the case."""
        return Inputs(self.case.x, self.case.alpha, self.case.axis, self.case.dy)


class Kernel:
    """The functions of the kernel, and the exceptions of their calls."""

    def __init__(
        self,
        forward: Forward | None,
        backward: Backward | None,
        as_input: Callable[[Array], Any] | None,
    ) -> None:
        self.forward, self.backward = forward, backward
        self.caller = Caller(as_input)

    def call(self, case: Case) -> Result:
        """Call both functions on one case."""
        y, pair = None, None
        if self.forward is not None:
            y = self.caller.y(case.name, self.forward, case.x, case.alpha)
        if self.backward is not None:
            pair = self.caller.pair(case.name, self.backward, case.dy, case.x, case.alpha)
        return Result(case, y, pair)


@dataclass(frozen=True)
class Judge:
    """The rules by which results are checked."""

    at_zero: str
    rules: Rules
    accumulate: str | None
    order: str
    asked: tuple[bool, bool]  # which of dx and dalpha the kernel must give

    def observe(self, result: Result) -> list[Observation]:
        """Check what a call returned."""
        inputs, verdicts = result.inputs, []
        if result.y is not None:
            verdicts.append(judge_forward(result.y, inputs, self.rules))
        if result.pair is not None:
            dx, dalpha = result.pair
            if self.asked[0]:
                verdicts.append(judge_dx(dx, inputs, self.at_zero, self.rules))
            if self.asked[1]:
                verdicts.append(
                    judge_dalpha(
                        dalpha, inputs, self.at_zero, self.rules, self.accumulate, self.order
                    )
                )
        return [Observation(result.case.name, result.case.kind, one) for one in verdicts]


def asked_for(results: Iterable[Result]) -> tuple[bool, bool]:
    """Which of dx and dalpha was returned at least once; both if neither was."""
    pairs = [result.pair for result in results if result.pair is not None]

    def given(at: int) -> bool:
        results = (pair[at] for pair in pairs)
        return any(not (isinstance(one, NoArray) and one.missing) for one in results)

    both = given(0), given(1)
    return both if any(both) else (True, True)


def convention(pairs: Iterable[tuple[Inputs, Got | None]], rules: Rules) -> str:
    """Return the derivative at 0 in most of the dx that distinguish the two."""
    votes = {"alpha": 0, "one": 0, "neither": 0}
    for inputs, dx in pairs:
        zero = take_apart(inputs.x).zero
        if dx is None or isinstance(dx, NoArray) or dx.shape != zero.shape or not zero.any():
            continue
        if dx.dtype != inputs.x.dtype:
            continue
        only = Inputs(inputs.x[zero], inputs.alpha_at[zero], None, inputs.gradient[zero])
        wrong = {each: judge_dx(dx[zero], only, each, rules).wrong for each in ("alpha", "one")}
        for each, other in (("alpha", "one"), ("one", "alpha")):
            votes[each] += int((~wrong[each] & wrong[other]).sum())
        votes["neither"] += int((wrong["alpha"] & wrong["one"]).sum())
    return "one" if votes["one"] > votes["alpha"] + votes["neither"] else "alpha"
