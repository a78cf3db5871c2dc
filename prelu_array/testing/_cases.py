"""Inputs that break PReLU kernels, each with a name, a kind and a layout."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import DTypeLike

from ._kinds import MAKERS, specials
from ._maker import LAYOUTS, Case, Maker, distinct_alphas, dtype_named
from ._mode import ieee_mode

__all__ = ["CASE_KINDS", "LAYOUTS", "Case", "cases", "distinct_alphas", "dtype_named", "specials"]

CASE_KINDS = tuple(MAKERS)


@ieee_mode()
def cases(
    *,
    dtype: DTypeLike = "float32",
    alpha_dtype: DTypeLike | None = None,
    kind: str | Iterable[str] | None = None,
    layouts: str | Iterable[str] = LAYOUTS,
    axis: int = 1,
    seed: int = 0,
) -> list[Case]:
    """List the test inputs, always the same for the same arguments.

    Parameters
    ----------
    dtype : dtype
        Dtype of x and dy: float16, "bfloat16", float32 or float64.
    alpha_dtype : dtype, optional
        Dtype of alpha; as `dtype` if not given.
    kind : str or iterable of str, optional
        Only these kinds; `CASE_KINDS` lists them.  All if not given.
    layouts : str or iterable of str
        "shared": alpha has shape ``(1,)``; "channel": alpha is 1-D along `axis`;
        "element": alpha has shape ``x.shape[1:]``.
    axis : int
        The channel axis.
    seed : int
        Seed of the random kinds.

    Returns
    -------
    list of Case
        Each with ``name, kind, layout, x, alpha, dy, axis``; pass ``case.axis`` to the
        functions of `prelu_array`.

    Raises
    ------
    ValueError
        If a kind or a layout is unknown, or none is named.
    TypeError
        If a dtype is none of the four.

    Examples
    --------
    >>> from prelu_array.testing import cases
    >>> [case.name for case in cases(kind="empty", layouts=["channel"])]
    ['empty-channel-batch', 'empty-channel-inner']
    >>> cases(kind="empty", layouts=["channel"])[0].x.shape
    (0, 3, 4, 5)
    """
    wanted = [kind] if isinstance(kind, str) else list(CASE_KINDS if kind is None else kind)
    for each in wanted:
        if each not in MAKERS:
            raise ValueError(f"kind must be one of {', '.join(MAKERS)}, got {each!r}")
    chosen = [layouts] if isinstance(layouts, str) else list(layouts)
    for each in chosen:
        if each not in LAYOUTS:
            raise ValueError(f"layouts must be among {', '.join(LAYOUTS)}, got {each!r}")
    for name, given, allowed in (("kind", wanted, MAKERS), ("layouts", chosen, LAYOUTS)):
        if not given:
            raise ValueError(f"{name} must be among {', '.join(allowed)}, got none")
    named = dtype_named(dtype)
    alpha_named = named if alpha_dtype is None else dtype_named(alpha_dtype)
    found: list[Case] = []
    for each in wanted:
        for layout in chosen:
            maker = Maker(each, layout, named, alpha_named, axis, seed)
            # 2**16 in a float16 becomes inf on purpose
            with np.errstate(over="ignore"):
                found.extend(MAKERS[each](maker))
    return found
