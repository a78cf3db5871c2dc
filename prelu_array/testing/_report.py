"""The report of a check: printed for people, with fields for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._suspect import Observation


@dataclass(frozen=True)
class Report:
    """What `check_kernel` found.

    Attributes
    ----------
    ok : bool
        True if nothing is wrong.
    suspicions : list of str
        Short lines, each naming an output and what seems wrong with it; empty if ok.
    settings : dict
        What was checked by which rules; ``settings["at_zero"]`` is the convention found.
    counts : dict
        For each output and kind of case: (calls, elements, wrong elements).
    wrong_in : list of str
        The cases, or the files, with a wrong result.
    failures : list of str
        The first and the worst failure of each output, described.
    errors : list of str
        Exceptions that the kernel raised, with the name of the case.
    """

    suspicions: list[str]
    settings: dict[str, str]
    counts: dict[tuple[str, str], tuple[int, int, int]]
    wrong_in: list[str]
    failures: list[str]
    errors: list[str]

    @classmethod
    def of(
        cls,
        seen: Sequence[Observation],
        suspicions: list[str],
        settings: dict[str, str],
        errors: Sequence[str] = (),
    ) -> Report:
        """Sum up what was checked."""
        wrong = list(dict.fromkeys(one.name for one in seen if not one.verdict.ok))
        return cls(suspicions, settings, _count(seen), wrong, _describe(seen), list(errors))

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        wrong = any(wrong for _, _, wrong in self.counts.values())
        return not wrong and not self.errors and not self.suspicions

    def __str__(self) -> str:
        settings = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        lines = [f"PReLU kernel: {'ok' if self.ok else 'WRONG'} ({settings})"]
        for title, entries in (
            ("suspicions", self.suspicions),
            ("judged", self._table()),
            ("wrong in", _first(5, self.wrong_in)),
            ("failures", self.failures),
            ("errors", _first(5, self.errors)),
        ):
            if entries:
                lines += ["", f"{title}:", *(f"  {e}".replace("\n", "\n  ") for e in entries)]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        """A column for each output: totals, and by kind what is wrong."""
        outputs = dict.fromkeys(output for output, _ in self.counts)
        kinds = dict.fromkeys(kind for _, kind in self.counts)
        rows = [(title, i, [*kinds]) for i, title in enumerate(("calls", "elements", "wrong"))]
        if len(kinds) > 1:
            bad = {kind for (_, kind), (_, _, wrong) in self.counts.items() if wrong}
            rows += [(f"  {kind}", 2, [kind]) for kind in kinds if kind in bad]
        lines = [" " * 14 + "".join(f"{output:>10}" for output in outputs)] if outputs else []
        for title, i, among in rows:
            cells = (
                sum(self.counts.get((output, kind), (0, 0, 0))[i] for kind in among)
                for output in outputs
            )
            lines.append(f"{title:<14}" + "".join(f"{cell or '-':>10}" for cell in cells))
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {
            "ok": self.ok,
            "suspicions": self.suspicions,
            "settings": self.settings,
            "counts": [
                {"output": o, "kind": k, "calls": c, "elements": e, "wrong": w}
                for (o, k), (c, e, w) in self.counts.items()
            ],
            "wrong_in": self.wrong_in,
            "failures": self.failures,
            "errors": self.errors,
        }


def _first(most: int, entries: list[str]) -> list[str]:
    more = len(entries) - most
    return entries if more <= 0 else [*entries[:most], f"and {more} more"]


def _count(seen: Sequence[Observation]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Add up calls, elements and wrong elements for each output and kind."""
    counts: dict[tuple[str, str], tuple[int, int, int]] = {}
    for one in seen:
        key = (one.verdict.output, one.kind)
        calls, elements, wrong = counts.get(key, (0, 0, 0))
        verdict = one.verdict
        counts[key] = (calls + 1, elements + verdict.got.size, wrong + verdict.failures)
    return counts


def _describe(seen: Sequence[Observation]) -> list[str]:
    """Describe the first failure of each output, and the worst of all."""
    texts = []
    for output in dict.fromkeys(one.verdict.output for one in seen):
        failed = [one for one in seen if one.verdict.output == output and not one.verdict.ok]
        if not failed:
            continue
        first = failed[0]
        if first.verdict.problem:
            texts.append(f"first, in {first.name}: {first.verdict.problem}")
            continue
        texts.append(f"first, in {first.name}: {first.verdict.describe(first.verdict.first())}")
        comparable = [one for one in failed if not one.verdict.problem]
        worst = max(comparable, key=lambda one: one.verdict.worst_distance())
        text = f"worst, in {worst.name}: {worst.verdict.describe(worst.verdict.worst())}"
        if text.partition(" ")[2] != texts[-1].partition(" ")[2]:
            texts.append(text)
    return texts
