"""From failures to suspicions: which known faults explain the failures, and where they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._faults_select import VAGUE, WIDTHS, fixed_slopes, hypotheses
from ._faults_sum import BY_SIGN_OF_DY, OTHER_SIDE, SINGLE, sum_hypotheses
from ._judge import Rules
from ._kinds_sum import GAPS
from ._numbers import Format, take_apart
from ._verdict import Verdict, judge_dx

Array = NDArray[Any]

# Diagnosis looks only at this much; the check itself looks at everything.
_MOST_CALLS = 24
_MOST_ELEMENTS = 5_000
_MOST_FAULTS = 4
UNKNOWN = "failures fit no known fault"
# The accumulator must hold the gaps of cases that passed.
_NARROW = {f"accumulates in {name}": f"-gap-{gap}" for name, gap in GAPS.items()}
# A few sums always fit some of these by chance, so they must explain nearly all of the rest.
_BY_CHANCE = (*SINGLE, *_NARROW)


@dataclass(frozen=True)
class Observation:
    """One checked output and the case it came from."""

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
    found = _problems(failed)
    comparable = [one for one in failed if not one.verdict.problem]
    if len(comparable) > len(failed) / 2:  # otherwise the problem that most have is enough
        right = [one for one in judged if one.verdict.ok]
        texts = explain(comparable, right, at_zero, accumulator, rules)
        if any(text.startswith(OTHER_SIDE) for text in texts):
            sides = _sides([one.verdict for one in seen], at_zero, rules)
            texts = [text.replace(OTHER_SIDE, sides) for text in texts]
        dx = [one.verdict.ok for one in seen if one.verdict.output == "dx"]
        if dx and all(dx):
            texts = [text.replace(*BY_SIGN_OF_DY) for text in texts]
        found += texts
    return [f"{output}: {text}" for text in found]


def explain(
    failed: list[Observation],
    right: list[Observation],
    at_zero: str,
    accumulator: Format | None,
    rules: Rules,
) -> list[str]:
    """One fault if it explains all; otherwise where the failures are, and what they look like."""
    sample = _sample(failed)
    if not sample:
        return places(right, failed) or [f"the {UNKNOWN}"]
    evidence = _Evidence(sample, _passed(right), right, at_zero, accumulator, rules)
    alone = evidence.one_for_all()
    if alone is not None and not evidence.is_pattern(alone):
        return [alone]
    where = places(right, failed)
    if where:
        return where + ([] if alone is None else [alone])
    if alone is None:
        return evidence.few_for_all() or evidence.some()
    return (alone in VAGUE and evidence.few_for_all()) or [alone]


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
    """Each kind of problem once, with the number of calls that had it; lengths are ignored."""
    kinds: dict[str, list[str]] = {}
    for one in failed:
        if one.verdict.problem:
            kind = re.sub(r"\d+", "", one.verdict.problem).partition("(")[0]
            kinds.setdefault(kind, []).append(one.verdict.problem)
    return [
        f"{texts[0].partition(' ')[2]} ({len(texts)} of {len(failed)} failed calls)"
        for texts in list(kinds.values())[:_MOST_FAULTS]
    ]


def places(right: list[Observation], failed: list[Observation]) -> list[str]:
    """Where the failures are, if that is a hint."""
    found = []
    judged = right + failed
    kinds = {one.kind for one in failed}
    if kinds <= {"strides", "reversed"}:
        found.append("only where arrays are not C-contiguous: strides ignored")
    if kinds == {"empty"}:
        found.append("only for empty arrays")
    large = [_beyond(failed)] if kinds == {"size"} else []
    large = large or (["only in large arrays"] if kinds <= {"large", "size"} else [])
    if found or failed[0].verdict.output == "dalpha":
        return found + large
    for row in (False, True):
        for width in WIDTHS:
            # a tail that is the whole array is no hint
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
    return found or large


def _beyond(failed: list[Observation]) -> str:
    """Say which limit of a 16-bit index all failed cases exceed."""
    common = {one.name.rpartition("-")[2] for one in failed}
    what = {"rows": "elements or rows", "channels": "channels"}
    return (
        f"only in arrays of more than 2**16 {' or '.join(what[each] for each in sorted(common))}"
    )


def _length(verdict: Verdict, row: bool) -> int:
    shape = verdict.got.shape
    return shape[-1] if row and shape else verdict.got.size


def _in_tail(verdict: Verdict, width: int, row: bool) -> bool:
    length = _length(verdict, row)
    position = np.flatnonzero(verdict.wrong) % max(length, 1)
    return bool((position >= length - length % width).all())


def _spread(seen: list[Observation], most: int) -> list[Observation]:
    """Take some calls of each kind, of all sizes: the smallest alone show too little."""
    fitting = [one for one in seen if one.verdict.inputs.x.size <= _MOST_ELEMENTS]
    by_kind: dict[str, list[Observation]] = {}
    for one in sorted(fitting, key=lambda one: one.verdict.inputs.x.size):
        by_kind.setdefault(one.kind, []).append(one)
    share = max(2, most // max(len(by_kind), 1))
    return [
        group[i]
        for group in by_kind.values()
        for i in np.unique(np.linspace(0, len(group) - 1, share).astype(int))
    ]


def _sample(failed: list[Observation]) -> list[Observation]:
    return _spread(failed, _MOST_CALLS)


def _passed(right: list[Observation]) -> list[Observation]:
    """Calls that came out right, which some faults would have made wrong."""
    return _spread([one for one in right if one.kind != "empty"], _MOST_CALLS)


@dataclass
class _Score:
    """How well one known fault explains the sample."""

    explained: Array
    predicts: bool
    loose: bool
    against: int = 0  # right elements which the fault would have made wrong


class _Evidence:
    """What each known fault explains of the failures, and what speaks against it."""

    def __init__(
        self,
        failed: list[Observation],
        passed: list[Observation],
        right: list[Observation],
        at_zero: str,
        accumulator: Format | None,
        rules: Rules,
    ) -> None:
        verdicts = [one.verdict for one in failed]
        self.sums = verdicts[0].output == "dalpha"
        with np.errstate(all="ignore"):
            slopes = [] if self.sums else fixed_slopes(verdicts)
        self.wrong = np.concatenate([np.ravel(verdict.wrong) for verdict in verdicts])
        self.total = int(self.wrong.sum())
        scores: dict[tuple[str, int], _Score] = {}
        # passed calls first: what they refute need not be held against the failed ones
        start = -sum(one.verdict.wrong.size for one in passed)
        for verdict in [*(one.verdict for one in passed), *verdicts]:
            times: dict[str, int] = {}
            with np.errstate(all="ignore"):
                for text, agrees, predicts, loose in (
                    sum_hypotheses(verdict, at_zero, accumulator, rules)
                    if self.sums
                    else hypotheses(verdict, rules, at_zero, slopes)
                ):
                    key = text, times.setdefault(text, 0)
                    times[text] += 1
                    score = scores.setdefault(
                        key, _Score(np.zeros_like(self.wrong), predicts, loose)
                    )
                    if score.against or (not predicts and start < 0):
                        continue
                    flat = np.ravel(agrees())
                    if start >= 0:
                        score.explained[start : start + flat.size] = flat
                    if predicts:
                        score.against += int((~flat & ~np.ravel(verdict.wrong)).sum())
            start += verdict.wrong.size
        names = [one.name for one in right if one.kind == "sums"]
        self.scores: dict[str, _Score] = {}
        for (text, _), score in scores.items():
            score.explained &= self.wrong
            gap = _NARROW.get(text)
            refuted = gap is not None and any(gap in name for name in names)
            best = self.scores.get(text)
            if score.against or refuted or not score.explained.any():
                continue  # no name is better than a wrong one
            if best is None or score.explained.sum() > best.explained.sum():
                self.scores[text] = score

    def is_pattern(self, text: str) -> bool:
        """Whether the fault says which elements are wrong, but not their values."""
        return not self.scores[text].predicts

    def _fit(self, text: str, left: Array) -> int:
        fit = int((self.scores[text].explained & left).sum())
        return 0 if text in _BY_CHANCE and fit < 0.9 * left.sum() else fit

    def _rank(self, text: str) -> int:
        return (
            self.scores[text].loose
            + (text in _BY_CHANCE)
            + 2 * self.is_pattern(text)
            + 4 * (text in VAGUE)
        )

    def one_for_all(self) -> str | None:
        """Return the fault that explains every failure, the most telling if there are several."""
        all_of_it = [text for text in self.scores if self._fit(text, self.wrong) == self.total]
        return min(all_of_it, key=self._rank, default=None)

    def few_for_all(self) -> list[str]:
        """Return two or three faults that together explain every failure."""
        distinct: dict[bytes, str] = {}
        telling = [text for text in self.scores if text not in VAGUE]
        for text in sorted(telling, key=self._rank):
            distinct.setdefault(self.scores[text].explained.tobytes(), text)
        order = sorted(distinct.values(), key=lambda t: -self._fit(t, self.wrong))[:40]
        for several in (2, 3):
            found = [
                texts
                for texts in combinations(order[: 40 // (several - 1)], several)
                if self._together(texts)
            ]
            if found:
                best = min(found, key=lambda texts: sum(map(self._rank, texts)))
                return self._shares(list(best))
        return []

    def _together(self, texts: Sequence[str]) -> bool:
        if sum(text in _BY_CHANCE for text in texts) > 1:
            return False
        explained = [self.scores[text].explained for text in texts]
        if np.logical_or.reduce(explained).sum() != self.total:
            return False
        if not self.sums:
            return True
        # a sum may fit by chance: each fault must explain a share that no other does
        alone = [
            (one & ~np.logical_or.reduce([e for e in explained if e is not one])).sum()
            for one in explained
        ]
        return all(
            part >= max(2, 0.05 * self.total) or self.is_pattern(text)
            for part, text in zip(alone, texts, strict=True)
        )

    def some(self) -> list[str]:
        """Return the faults that explain most, and how much is left."""
        left = self.wrong.copy()
        texts: list[str] = []
        least = 0.2 if self.sums else 0.02
        while left.any() and len(texts) < _MOST_FAULTS:
            best = max(
                self.scores, key=lambda t: (self._fit(t, left), -self._rank(t)), default=None
            )
            if best is None or self._fit(best, left) <= least * self.total:
                break
            texts.append(best)
            left = left & ~self.scores[best].explained
        unknown = int(left.sum())
        if unknown > 0.5 * self.total:  # some faults fit anything, so only marks are named
            large = [t for t in texts if self._fit(t, self.wrong) > 0.2 * self.total]
            texts = [text for text in large if self.is_pattern(text)]
        if not unknown:
            return self._shares(texts)
        rest = f"{unknown} of {self.total} {UNKNOWN}" if texts else f"the {UNKNOWN}"
        return [*self._shares(texts), rest]

    def _shares(self, texts: list[str]) -> list[str]:
        left, found = self.wrong.copy(), []
        for text in sorted(texts, key=lambda t: -self._fit(t, self.wrong)):
            covered = int((self.scores[text].explained & left).sum())
            left = left & ~self.scores[text].explained
            found.append(f"{text} ({covered} of {self.total} failures looked at)")
        return found
