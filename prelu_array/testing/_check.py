"""`check_kernel`: all cases through someone's kernel, judged and diagnosed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._caller import Caught
from ._cases import CASE_KINDS, Case, cases, dtype_named
from ._judge import ORDERS, Rules, check_accumulator
from ._numbers import bits_of, take_apart
from ._report import Report, count, describe_failures, wrong_in
from ._suspect import UNKNOWN, Observation, suspicions
from ._verdict import Inputs, judge_dalpha, judge_dx, judge_forward, to_numpy

Array = NDArray[Any]
Forward = Callable[[Any, Any], Any]
Backward = Callable[[Any, Any, Any], Any]


def check_kernel(
    forward: Forward | None = None,
    backward: Backward | None = None,
    *,
    dtype: DTypeLike = "float32",
    alpha_dtype: DTypeLike | None = None,
    accumulate: str | None = None,
    order: str = "any",
    at_zero: str = "any",
    layouts: str | Iterable[str] = ("shared", "channel"),
    axis: int = 1,
    kinds: str | Iterable[str] | None = None,
    ulps: int = 0,
    signed_zeros: bool = True,
    nans: bool = True,
    subnormals: bool = True,
    as_input: Callable[[Array], Any] | None = None,
    seed: int = 0,
) -> Report:
    """Judge a PReLU kernel and say what is wrong with it.

    Parameters
    ----------
    forward : callable, optional
        ``forward(x, alpha) -> y``.
    backward : callable, optional
        ``backward(dy, x, alpha) -> (dx, dalpha)``; either result may be None.
    dtype, alpha_dtype : dtype
        Dtype of x and dy, and of alpha (as x's if not given).
    accumulate : str, optional
        What dalpha is added in, by which its tolerance is set; see `assert_dalpha`.
    order : {"any", "tree", "sequential"}
        The order of the sum; see `assert_dalpha`.
    at_zero : {"any", "alpha", "one"}
        The derivative at 0; "any" takes the one that fits the whole run better.
    layouts : {"shared", "channel", "element"} or iterable of them
        alpha is of size 1, 1-D along `axis`, or of shape ``x.shape[1:]``.
    axis : int
        The channel axis.
    kinds : str or iterable of str, optional
        Kinds of `cases` to run; default all but "reversed" (negative strides).
    ulps, signed_zeros, nans, subnormals
        As in `assert_forward`.
    as_input : callable, optional
        Turns a NumPy array into what the kernel takes, as `cupy.asarray` or
        `torch.from_numpy`.  Results may be NumPy, CuPy or DLPack arrays.
    seed : int
        Seed of the random cases.

    Returns
    -------
    Report
        ``report.ok``, ``report.suspicions``, and a text for people: ``print(report)``.

    Raises
    ------
    ValueError
        If no callable is given, or an option is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from prelu_array.testing import check_kernel
    >>> def forward(x, alpha):
    ...     return np.maximum(x, 0) + alpha * np.minimum(x, 0)
    >>> report = check_kernel(forward, layouts=["shared"])
    >>> report.ok
    False
    >>> report.suspicions[0]
    'y: inactive branch leaks: max(x, 0) + alpha * min(x, 0)'
    """
    if forward is None and backward is None:
        raise ValueError("forward and backward must not both be None")
    named = dtype_named(dtype)
    accumulator = check_accumulator(accumulate, named)
    _require("order", order, ORDERS)
    _require("at_zero", at_zero, ("any", "alpha", "one"))
    rules = Rules(ulps, signed_zeros, nans, subnormals)
    chosen = [k for k in CASE_KINDS if k != "reversed"] if kinds is None else kinds
    todo = cases(
        dtype=named, alpha_dtype=alpha_dtype, kind=chosen, layouts=layouts, axis=axis, seed=seed
    )
    runner = _Runner(as_input)
    seen: list[Observation] = []
    pairs = []
    with np.errstate(all="ignore"):
        for case in todo:
            inputs = Inputs(case.x, case.alpha, case.axis, case.dy)
            if forward is not None:
                result = runner.call(case, forward, "x", "alpha")
                if result is not None:
                    seen.append(_observe(case, judge_forward(result, inputs, rules)))
            if backward is not None:
                pair = runner.pair(case, backward)
                if pair is not None:
                    pairs.append((case, inputs, pair))
        if backward is not None and at_zero == "any":
            at_zero = convention([(inputs, pair[0]) for _, inputs, pair in pairs], rules)
        for case, inputs, (dx, dalpha) in pairs:
            if dx is not None:
                seen.append(_observe(case, judge_dx(dx, inputs, at_zero, rules)))
            if dalpha is not None:
                verdict = judge_dalpha(dalpha, inputs, at_zero, rules, accumulate, order)
                seen.append(_observe(case, verdict))
    stale = []
    if backward is not None:
        stale = _stale(runner, backward, [o for o in seen if o.verdict.output == "dalpha"], todo)
    found = runner.suspicions() + stale
    for output in ("y", "dx", "dalpha"):
        found += suspicions(seen, output, at_zero, accumulator, rules)
    if stale or runner.written:  # which may be the reason for anything
        found = [text for text in found if not text.endswith(UNKNOWN)]
    settings = {"dtype": named.name, "alpha": dtype_named(alpha_dtype or named).name}
    if backward is not None:
        settings["accumulate"] = accumulator.name if accumulator else "exact"
        settings["at_zero"] = at_zero
    failures = describe_failures(seen)
    return Report(found, settings, count(seen), wrong_in(seen), failures, runner.errors)


class _Runner:
    """Calls the kernel; keeps its exceptions and notices when it writes into its inputs."""

    def __init__(self, as_input: Callable[[Array], Any] | None) -> None:
        self.as_input = as_input
        self.errors: list[str] = []
        self.written: dict[str, int] = {}

    def call(self, case: Case, kernel: Callable[..., Any], *names: str) -> Any:
        """Return what the kernel returns, or None if it raised."""
        arrays = [getattr(case, name) for name in names]
        saved = [bits_of(array).copy() for array in arrays]
        given = arrays if self.as_input is None else [self.as_input(a) for a in arrays]
        result = None
        with Caught(self.errors, case.name):
            result = kernel(*given)
        result = _owned(result)
        for name, array, bits in zip(names, arrays, saved, strict=True):
            if (bits_of(array) != bits).any():
                self.written[name] = self.written.get(name, 0) + 1
                np.copyto(array, bits.view(array.dtype))
        return result

    def pair(self, case: Case, backward: Backward) -> tuple[Any, Any] | None:
        """Return (dx, dalpha), or None if the kernel raised or returned no pair."""
        result = self.call(case, backward, "dy", "x", "alpha")
        if result is None:
            return None
        if not isinstance(result, tuple | list) or len(result) != 2:
            self.errors.append(
                f"{case.name}: backward must return (dx, dalpha), got {type(result).__name__}"
            )
            return None
        dx, dalpha = result
        return dx, dalpha

    def suspicions(self) -> list[str]:
        """Say whether the kernel raised or wrote where it must not."""
        found = [f"writes into its input {name} ({n} calls)" for name, n in self.written.items()]
        if self.errors:
            found.insert(0, f"raises: {self.errors[0]}")
        return found


def _owned(result: Any) -> Any:
    """Copy results, which may be views of inputs or of a buffer that is used again."""
    if isinstance(result, tuple | list):
        return [_owned(one) for one in result]
    return None if result is None else np.array(to_numpy(result))


def _observe(case: Case, verdict: Any) -> Observation:
    return Observation(case.name, case.kind, verdict)


def _require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def convention(pairs: Iterable[tuple[Inputs, Array | None]], rules: Rules) -> str:
    """Return the derivative at 0 by which fewer elements of the dx given are wrong."""
    wrong = dict.fromkeys(("alpha", "one"), 0)
    for inputs, dx in pairs:
        zero = take_apart(inputs.x).zero
        if dx is None or dx.shape != zero.shape or not zero.any():
            continue
        alpha, dy = inputs.alpha_at[zero], inputs.gradient[zero]
        only = Inputs(inputs.x[zero], alpha, None, dy)
        for each in wrong:
            wrong[each] += judge_dx(dx[zero], only, each, rules).failures
    return min(wrong, key=lambda each: wrong[each])


def _stale(
    runner: _Runner, backward: Backward, seen: list[Observation], todo: list[Case]
) -> list[str]:
    """Call again on a failed case, to see whether dalpha changes from call to call."""
    failed = {one.name: one for one in seen if not one.verdict.ok and not one.verdict.problem}
    again = next((case for case in todo if case.name in failed and case.kind == "tail"), None)
    if again is None:
        return []
    results = [runner.pair(again, backward) for _ in range(2)]
    if any(pair is None or pair[1] is None for pair in results):
        return []
    first, second = (np.asarray(pair[1], dtype=np.float64) for pair in results if pair)
    # integers: an honest kernel returns the same sum each time
    if (first == second).all():
        return []
    return ["dalpha: differs from call to call: not zeroed before the sum, or a race"]
