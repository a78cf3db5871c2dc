"""Graphs: a task for each block, and a tree that adds exact sums."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import dask.array as da
import numpy as np

from .. import _arguments, _cpu
from .arguments import Alpha

# The number of states that one task adds. A state is 8 to 1096 bytes per alpha.
SPLIT_EVERY = 8


def meta_of(x: Any, ndim: int, dtype: Any) -> Any:
    """Return an empty block of x's library."""
    return np.empty_like(x._meta, dtype=dtype, shape=(0,) * ndim)


def map_blocks(
    function: Callable[..., Any], x: Any, operands: tuple[Any, ...], **options: Any
) -> Any:
    """Call a function for each block of x. An operand has x's axes, or is an Alpha."""
    every = tuple(range(x.ndim))
    pairs: list[Any] = []
    axes: tuple[int, ...] = ()
    for operand in operands:
        if not isinstance(operand, Alpha):
            pairs += [operand, every]
        elif operand.axes:
            axes = operand.axes
            pairs += [operand.block, axes]
        elif isinstance(operand.block, da.Array):
            pairs += [operand.block, ()]
        else:
            pairs += [operand.block, None]
    dtype = _arguments.native(x.dtype)
    return da.blockwise(
        function, every, *pairs, axis=axes or None, dtype=dtype, meta=meta_of(x, x.ndim, dtype),
        align_arrays=False, **options,
    )  # fmt: skip


def take(results: Any, k: int) -> Any:
    """Return dx, or another result of x's shape, out of what each block returned."""
    every = tuple(range(results.ndim))
    return da.blockwise(
        itemgetter(k), every, results, every, token="prelu-result", dtype=results.dtype,
        meta=results._meta, align_arrays=False,
    )  # fmt: skip


def _sole(results: Any, k: int) -> Any:
    """Return result k of a single block, which Dask passes in nested lists."""
    while isinstance(results, list):
        (results,) = results
    return results[k]


def take_for_alpha(results: Any, k: int, a: Alpha) -> Any:
    """Return a result of alpha's shape; no two blocks share an alpha."""
    dalpha = da.blockwise(
        _sole, a.axes, results, tuple(range(results.ndim)), token="prelu-dalpha", k=k,
        dtype=a.dtype, meta=meta_of(results, len(a.axes), a.dtype), align_arrays=False,
    )  # fmt: skip
    return _like_alpha(dalpha, a)


def _state(results: Any, k: int, others: int) -> Any:
    return results[k][(None,) * others]


def sum_of_states(results: Any, k: int, a: Alpha) -> Any:
    """Return the sum of the states of the blocks that share an alpha."""
    every = tuple(range(results.ndim))
    others = tuple(i for i in every if i not in a.axes)
    limbs, int64 = len(every), np.dtype(np.int64)
    states = da.blockwise(
        _state, (*others, *a.axes, limbs), results, every, token="prelu-state", k=k,
        others=len(others), adjust_chunks=dict.fromkeys(others, 1),
        new_axes={limbs: _limbs(results.dtype)}, dtype=int64,
        meta=meta_of(results, limbs + 1, int64), align_arrays=False,
    )  # fmt: skip
    if others:
        states = states.sum(axis=tuple(range(len(others))), dtype=int64, split_every=SPLIT_EVERY)
    return _like_alpha(states, a)


def _like_alpha(of_alpha: Any, a: Alpha) -> Any:
    """Return an array with alpha's axes and chunks."""
    of_alpha = of_alpha[tuple(slice(None) if k >= 0 else None for k in a.dims)]
    return of_alpha if a.chunks is None else of_alpha.rechunk(dict(enumerate(a.chunks)))


def blocks_share(x: Any, a: Alpha) -> bool:
    """Whether several blocks share an alpha."""
    return any(n > 1 for k, n in enumerate(x.numblocks) if k not in a.axes)


def _limbs(dtype: Any) -> int:
    """How many integers a state has."""
    nothing = np.empty(0, _arguments.native(dtype))
    _, state = _cpu.backward_partial(nothing, nothing, 0.0, None, False, False, None)
    return int(state.size)
