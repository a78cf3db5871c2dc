"""A right kernel that is called in the wrong way: found by calling it in other ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ._maker import Case
from ._suspect import Observation
from ._trial import Judge, Kernel, Result
from ._verdict import judge_dalpha, judge_dx


def misuse(
    kernel: Kernel,
    judge: Judge,
    results: Sequence[Result],
    seen: Sequence[Observation],
    channel_cases: Callable[[int], list[Case]],
    axis: int,
) -> dict[str, str]:
    """Say for each output which order of results, or which axis, makes all of it right."""
    if all(judge.asked) and _outputs_swapped(results, judge):
        text = "backward: outputs swapped: returns (dalpha, dx)"
        return {"dx": text, "dalpha": text}
    # in alphas along the axis, and nowhere else
    names = [one.name for one in seen if not one.verdict.ok]
    names += [error.partition(":")[0] for error in kernel.caller.errors]
    if not all("-channel-" in name for name in names):
        return {}
    failed = {one.verdict.output for one in seen if not one.verdict.ok}
    if kernel.caller.errors:
        failed |= {"y", "dx", "dalpha"}
    found: dict[str, str] = {}
    for other in (-1, 1, 0, 2):
        if other != axis and failed - set(found):
            trial = Kernel(kernel.forward, kernel.backward, kernel.caller.as_input)
            for output in _passed(trial, judge, channel_cases(other)):
                if output in failed:
                    text = f"{output}: channel axis transposed: passes with axis={other}"
                    found.setdefault(output, text)
    return found


def _outputs_swapped(results: Iterable[Result], judge: Judge) -> bool:
    pairs = [(result.inputs, result.pair) for result in results if result.pair is not None]
    rules, accumulate, order = judge.rules, judge.accumulate, judge.order
    return bool(pairs) and all(
        judge_dx(pair[1], inputs, "any", rules).ok
        and judge_dalpha(pair[0], inputs, "any", rules, accumulate, order).ok
        for inputs, pair in pairs
    )


def _passed(kernel: Kernel, judge: Judge, trial: Sequence[Case]) -> list[str]:
    """Outputs that are right in each case of a trial."""
    seen: dict[str, list[Observation]] = {}
    for case in trial:
        for one in judge.observe(kernel.call(case)):
            seen.setdefault(one.verdict.output, []).append(one)
    return [
        output
        for output, each in seen.items()
        if len(each) == len(trial) and all(one.verdict.ok for one in each)
    ]
