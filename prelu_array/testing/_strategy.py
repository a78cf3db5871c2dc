"""A Hypothesis strategy of PReLU inputs; Hypothesis is imported only when it is called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._maker import LAYOUTS, Case, dtype_named
from ._numbers import format_of
from ._placement import place_channel

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def prelu_inputs(
    *,
    dtype: DTypeLike = "float32",
    alpha_dtype: DTypeLike | None = None,
    layouts: Iterable[str] = LAYOUTS,
    axis: int = 1,
    max_length: int = 6,
) -> SearchStrategy[Case]:
    """Strategy of `Case` for Hypothesis: any bits, small shapes, all layouts.

    Parameters
    ----------
    dtype, alpha_dtype, layouts, axis
        As in `cases`.
    max_length : int
        Longest length of an axis.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Draws `Case` objects of kind "drawn".

    Raises
    ------
    ImportError
        If Hypothesis is not installed.

    Examples
    --------
    >>> from hypothesis import given
    >>> from prelu_array.testing import assert_forward, prelu_inputs, reference_prelu
    >>> @given(prelu_inputs(dtype="float16"))
    ... def test(case):
    ...     y = reference_prelu(case.x, case.alpha, axis=case.axis)
    ...     assert_forward(y, case.x, case.alpha, axis=case.axis)
    >>> test()
    """
    from hypothesis import strategies as st
    from hypothesis.extra.numpy import arrays

    named = dtype_named(dtype)
    alpha_named = named if alpha_dtype is None else dtype_named(alpha_dtype)

    def bits(kind: np.dtype[Any], shape: tuple[int, ...]) -> SearchStrategy[NDArray[Any]]:
        word = format_of(kind).bits_dtype
        return arrays(word, shape).map(lambda drawn: drawn.view(kind))

    @st.composite
    def draw_case(draw: Any) -> Case:
        layout = draw(st.sampled_from(list(layouts)))
        rest = tuple(draw(st.lists(st.integers(0, max_length), min_size=1, max_size=3)))
        channels = draw(st.integers(1, max_length))
        shape = place_channel(rest, channels, axis) if layout != "element" else (*rest, channels)
        alpha_shape = {"shared": (1,), "channel": (channels,), "element": shape[1:]}[layout]
        return Case(
            "drawn",
            "drawn",
            layout,
            draw(bits(named, shape)),
            draw(bits(alpha_named, alpha_shape)),
            draw(bits(named, shape)),
            None if layout == "element" else axis,
        )

    return draw_case()
