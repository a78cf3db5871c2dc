"""From failures to suspicions: which known faults explain what was seen, and where it was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._faults_select import VAGUE, WIDTHS, hypotheses
from ._faults_sum import OTHER_SIDE, sum_hypotheses
from ._judge import Rules
from ._numbers import Format, take_apart
from ._verdict import Verdict, judge_dx

Array = NDArray[Any]

# Diagnosis looks at this much only; judging always looks at everything.
_MOST_CALLS = 24
_MOST_ELEMENTS = 20_000
UNKNOWN = "failures fit no known fault"
# A few sums always fit some of these, so they count only for nearly all of what is left.
_NARROW_SUMS = ("accumulates in float32", "accumulates in float16", "accumulates in bfloat16")
_BY_CHANCE = ("one element dropped", "one element counted twice", *_NARROW_SUMS)


@dataclass(frozen=True)
class Observation:
    """One judged output and the case it came from."""

    name: str
    kind: str
    verdict: Verdict


def suspicions(
    seen: Sequence[Observation],
    output: str,
    at_zero: str,
    accumulator: Format | None,
    rules: Rules,
) -> list[str]:
    """List the suspicions about one output, the most telling first."""
    judged = [one for one in seen if one.verdict.output == output]
    failed = [one for one in judged if not one.verdict.ok]
    if not failed:
        return []
    found = [f"{output}: {text}" for text in _problems(failed)]
    comparable = [one for one in failed if not one.verdict.problem]
    if comparable:
        places = _places(judged, comparable)
        faults = _faults(_sample(comparable), at_zero, accumulator, rules)
        if places:  # they tell something of each failure
            faults = [text for text in faults if not text.endswith(UNKNOWN)]
        if any(text.startswith(OTHER_SIDE) for text in faults):
            sides = _sides([one.verdict for one in seen], at_zero, rules)
            faults = [text.replace(OTHER_SIDE, sides) for text in faults]
        found += [f"{output}: {text}" for text in places + faults]
    return found


def _sides(verdicts: Iterable[Verdict], at_zero: str, rules: Rules) -> str:
    """Say which side dalpha takes at x == 0, and dx if its values tell that it takes the other."""
    other = "one" if at_zero == "alpha" else "alpha"
    dx = [verdict for verdict in verdicts if verdict.output == "dx" and not verdict.problem]
    held_against_other = [judge_dx(one.got, one.inputs, other, rules) for one in dx]
    if not any(map(_wrong_at_zero, dx)) and any(map(_wrong_at_zero, held_against_other)):
        return (
            f'dx and dalpha take different sides at x == 0: dx as at_zero="{at_zero}", '
            f'dalpha as at_zero="{other}"'
        )
    return f'at x == 0 as at_zero="{other}", not "{at_zero}"'


def _wrong_at_zero(verdict: Verdict) -> bool:
    return bool((verdict.wrong & take_apart(verdict.inputs.x).zero).any())


def _problems(failed: list[Observation]) -> list[str]:
    problems = [one.verdict.problem for one in failed if one.verdict.problem]
    if not problems:
        return []
    head = problems[0].partition(" ")[2]
    return [f"{head} ({len(problems)} of {len(failed)} failed calls)"]


def _places(judged: list[Observation], failed: list[Observation]) -> list[str]:
    """Where the failures lie, if it says something."""
    found = []
    kinds = {one.kind for one in failed}
    if kinds <= {"strides", "reversed"}:
        found.append("only where arrays are not C-contiguous: strides ignored")
    if kinds == {"empty"}:
        found.append("only for empty arrays")
    if kinds == {"large"}:
        found.append("only in large arrays")
    if failed[0].verdict.output == "dalpha":
        return found
    for row in (False, True):
        for width in WIDTHS:
            # a tail that is the whole array says nothing
            telling = [one for one in failed if _length(one.verdict, row) > width]
            enough = len(telling) >= 3 or all(
                _length(one.verdict, row) >= 8 * width for one in judged
            )
            if enough and all(_in_tail(one.verdict, width, row) for one in failed):
                what = "elements of a row" if row else "elements"
                found.append(f"only in the last n % {width} {what}")
                return found
    start = min(one.verdict.first() for one in failed)
    if start >= 64 and any(one.verdict.got.size > start and one not in failed for one in judged):
        found.append(f"only from element {start} on")
    elif start >= 64:
        found.append(f"only from element {start} on: the rest was never computed")
    return found


def _length(verdict: Verdict, row: bool) -> int:
    shape = verdict.got.shape
    return shape[-1] if row and shape else verdict.got.size


def _in_tail(verdict: Verdict, width: int, row: bool) -> bool:
    length = _length(verdict, row)
    position = np.flatnonzero(verdict.wrong) % max(length, 1)
    return bool((position >= length - length % width).all())


def _sample(failed: list[Observation]) -> list[Observation]:
    """Take some failed calls of each kind, small ones first."""
    small = sorted(failed, key=lambda one: one.verdict.inputs.x.size)
    by_kind: dict[str, list[Observation]] = {}
    for one in small:
        by_kind.setdefault(one.kind, []).append(one)
    share = max(2, _MOST_CALLS // len(by_kind))
    sample = []
    for group in by_kind.values():
        # spread over the sizes: the smallest inputs alone tell too little
        picks = np.unique(np.linspace(0, len(group) - 1, share).astype(int))
        sample += [group[i] for i in picks]
    fitting = [one for one in sample if one.verdict.inputs.x.size <= _MOST_ELEMENTS]
    return fitting or sample[:1]


@dataclass
class _Score:
    """How one known fault does over the sample."""

    explained: Array
    against: float = 0  # right elements which the fault would have made wrong


def _faults(
    sample: list[Observation], at_zero: str, accumulator: Format | None, rules: Rules
) -> list[str]:
    """Cover the failures with as few known faults as possible."""
    sums = sample[0].verdict.output == "dalpha"
    left = np.concatenate([np.ravel(one.verdict.wrong) for one in sample])
    total = int(left.sum())
    scores: dict[str, _Score] = {}
    start = 0
    for one in sample:
        verdict = one.verdict
        with np.errstate(all="ignore"):
            held = list(
                sum_hypotheses(verdict, at_zero, accumulator, rules)
                if sums
                else hypotheses(verdict, rules)
            )
        for hypothesis in held:
            text, agrees = hypothesis.text, np.ravel(hypothesis.agrees)
            score = scores.setdefault(text, _Score(np.zeros_like(left)))
            score.explained[start : start + agrees.size] = agrees
            # A mere pattern ranks below a prediction without a miss and above one with misses;
            # but a sum fits predictions by chance, so there the pattern comes first.
            misses = (~agrees & ~np.ravel(verdict.wrong)).sum()
            score.against = score.against + misses if hypothesis.predicts else 0.5 * (not sums)
        start += verdict.wrong.size
    return _cover(scores, left, total, sums)


def _cover(scores: dict[str, _Score], left: Array, total: int, sums: bool) -> list[str]:
    # An element matches a fault bit by bit or not at all; a sum may match one by chance.
    least = 0.2 if sums else 0.02

    def fit(text: str) -> int:
        return int((scores[text].explained & left).sum())

    def rank(text: str) -> tuple[float, bool, float]:
        against, by_chance = scores[text].against, text in _BY_CHANCE
        if by_chance and fit(text) < 0.9 * left.sum():
            return 0, False, -against
        # A fault that right elements speak against, or a vague one, must explain far more.
        doubtful = against >= 1 or text in VAGUE
        return fit(text) * (0.4 if doubtful else 1), not by_chance, -against

    texts: list[str] = []
    fits: dict[str, int] = {}
    while left.any():
        best = max(scores, key=rank)  # the first of equals
        if best in _NARROW_SUMS:  # a narrower format explains what a wider one does, and more
            best = next(text for text in _NARROW_SUMS if text in scores and rank(text)[0])
        covered = fit(best)
        if rank(best)[0] <= least * total * 0.4:
            unknown = int(left.sum())
            if unknown > 0.5 * total:  # some of them fit anything
                texts = [text for text in texts if fits[text] > 0.2 * total]
            texts.append(f"the {UNKNOWN}" if not texts else f"{unknown} of {total} {UNKNOWN}")
            break
        share = "" if covered == total else f" ({covered} of {total} failures looked at)"
        texts.append(best + share)
        fits[texts[-1]] = covered
        left = left & ~scores[best].explained
    return texts
