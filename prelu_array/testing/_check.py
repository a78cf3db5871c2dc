"""`check_kernel`: runs all cases through a kernel, checks the results and names the faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._cases import CASE_KINDS, Case, cases, dtype_named
from ._judge import ORDERS, Rules, check_accumulator, require
from ._misuse import misuse
from ._mode import ieee_mode
from ._report import Report
from ._state import sequences, state_of
from ._suspect import UNKNOWN, suspicions
from ._trial import Backward, Forward, Judge, Kernel, asked_for, convention

Array = NDArray[Any]

# Kinds that tell one axis from another.
_TRIAL = ("layout", "alpha")


@ieee_mode()
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
    """Check a PReLU kernel and say what is wrong with it.

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
        The derivative at 0; "any" takes the convention that fits all results better.
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
    require("order", order, ORDERS)
    require("at_zero", at_zero, ("any", "alpha", "one"))
    rules = Rules(ulps, signed_zeros, nans, subnormals)

    def make(kinds: Any, layouts: Any, axis: int) -> list[Case]:
        return cases(
            dtype=named, alpha_dtype=alpha_dtype, kind=kinds, layouts=layouts, axis=axis, seed=seed
        )

    chosen = [k for k in CASE_KINDS if k != "reversed"] if kinds is None else kinds
    todo = make(chosen, layouts, axis)
    kernel, again = (Kernel(forward, backward, as_input) for _ in range(2))
    with np.errstate(all="ignore"):
        # first, before any call with NaN can leave something behind
        repeated = [[again.call(case) for case in sequence] for sequence in sequences(todo)]
        results = [kernel.call(case) for case in todo]
        if at_zero == "any":
            at_zero = convention([(r.inputs, r.pair and r.pair[0]) for r in results], rules)
        judge = Judge(at_zero, rules, accumulate, order, asked_for(chain(results, *repeated)))
        seen = [one for result in results for one in judge.observe(result)]
        state: dict[str, str] = {}
        for sequence in repeated:
            texts, failed = state_of(judge, sequence)
            state |= texts
            seen += failed
        errors = kernel.caller.errors = kernel.caller.errors or again.caller.errors
        misused: dict[str, str] = {}
        if errors or not all(one.verdict.ok for one in seen):
            misused = misuse(
                kernel, judge, results, seen, lambda other: make(_TRIAL, "channel", other), axis
            )
    found = [f"raises: {errors[0]}"] if errors and not misused else []
    written = kernel.caller.written
    found += [f"writes into its input {name} ({n} calls)" for name, n in written.items()]
    found += dict.fromkeys(misused.values())
    for output in ("y", "dx", "dalpha"):
        if output in state:
            found.append(state[output])
        elif output not in misused:
            named_faults = suspicions(seen, output, at_zero, accumulator, rules)
            # a kernel that writes into its input may fail anywhere for that reason
            found += [text for text in named_faults if not (written and text.endswith(UNKNOWN))]
    settings = {"dtype": named.name, "alpha": dtype_named(alpha_dtype or named).name}
    if backward is not None:
        settings["accumulate"] = accumulator.name if accumulator else "exact"
        settings["at_zero"] = at_zero
    return Report.of(seen, found, settings, errors)
