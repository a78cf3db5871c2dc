"""The Dask backend: a call for each block, and a tree that adds exact sums.

Everything is lazy. `arguments` gives dy and alpha the chunks of x. `blocks` calls the backend of
NumPy or CuPy with a block of x and the block of alpha that belongs to it. Blocks that share an
alpha return its sum before rounding, as integers (docs/partial.md), and `graphs` adds them;
integers add in any order, so dalpha depends neither on the chunks nor on the workers. This package
is imported at the first call with a Dask array, and alone imports Dask.
"""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np

from .. import _arguments, _cpu
from .._in_memory import backend_of
from . import blocks
from .arguments import Alpha, as_alpha, as_rechunked, check_array, refuse_out, unknown
from .graphs import (
    blocks_share,
    map_blocks,
    meta_of,
    sum_of_states,
    take,
    take_for_alpha,
)


def forward(x: Any, alpha: Any, axis: Any, out: Any) -> Any:
    """Y. See `prelu_array.prelu`."""
    refuse_out(out)
    check_array(x, "x", integers=True)
    return map_blocks(blocks.prelu, x, (x, as_alpha(alpha, x, axis)))


def backward(
    dy: Any,
    x: Any,
    alpha: Any,
    axis: Any,
    at_one: bool,
    need_dx: bool,
    need_dalpha: bool,
    out: Any,
) -> tuple[Any, Any]:
    """(dx, dalpha). See `prelu_array.prelu_backward`."""
    refuse_out(out)
    check_array(x, "x")
    dy = as_rechunked(dy, "dy", x)
    a = as_alpha(alpha, x, axis)
    if need_dalpha and blocks_share(x, a):
        dx, state = _partial(dy, x, a, at_one, need_dx)
        return dx, round_partial(state, a.dtype)
    if not (need_dx or need_dalpha):
        return None, None
    results = map_blocks(
        blocks.prelu_backward, x, (dy, x, a), at_one=at_one,
        need_dx=need_dx, need_dalpha=need_dalpha,
    )  # fmt: skip
    return (
        take(results, 0) if need_dx else None,
        take_for_alpha(results, 1, a) if need_dalpha else None,
    )


def _partial(dy: Any, x: Any, a: Alpha, at_one: bool, need_dx: bool) -> tuple[Any, Any]:
    results = map_blocks(
        blocks.prelu_backward_partial, x, (dy, x, a), at_one=at_one, need_dx=need_dx
    )
    return take(results, 0) if need_dx else None, sum_of_states(results, 1, a)


def backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, out: Any
) -> tuple[Any, Any]:
    """(dx, state). See `prelu_array.prelu_backward_partial`."""
    refuse_out(out)
    check_array(x, "x")
    dy = as_rechunked(dy, "dy", x)
    return _partial(dy, x, as_alpha(alpha, x, axis), at_one, need_dx)


def round_partial(state: Any, dtype: Any) -> Any:
    """Dalpha. See `prelu_array.dalpha_from_partial`."""
    dtype = _arguments.as_dtype(dtype)
    block = state._meta
    _arguments.as_state(block if backend_of(block) is _cpu else np.empty(0, block.dtype))
    if math.isnan(sum(state.shape[-1:])):
        unknown("state", state.ndim - 1)
    _cpu.round_partial(np.zeros(state.shape[-1:], np.int64), dtype)  # raises if none is as long
    every = tuple(range(state.ndim))
    return da.blockwise(
        blocks.dalpha_from_partial, every[:-1], state.rechunk({-1: -1}), every, dtype, None,
        concatenate=True, dtype=dtype, meta=meta_of(state, state.ndim - 1, dtype),
        align_arrays=False,
    )  # fmt: skip


def jvp(x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool, out: Any) -> Any:
    """Y_dot. See `prelu_array.prelu_jvp`."""
    refuse_out(out)
    check_array(x, "x")
    x_dot = as_rechunked(x_dot, "x_dot", x)
    a = as_alpha(alpha, x, axis)
    a_dot = as_alpha(alpha_dot, x, axis, "alpha_dot", a)
    return map_blocks(blocks.prelu_jvp, x, (x, a, x_dot, a_dot), at_one=at_one)


def double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, out: Any
) -> tuple[Any, Any, Any]:
    """Cotangents of dy, x and alpha. See `prelu_array.prelu_double_backward`."""
    refuse_out(out)
    check_array(x, "x")
    ddx, dy = as_rechunked(ddx, "ddx", x), as_rechunked(dy, "dy", x)
    a = as_alpha(alpha, x, axis)
    dda = as_alpha(ddalpha, x, axis, "ddalpha", a)
    shared = blocks_share(x, a)
    function = blocks.prelu_double_backward_partial if shared else blocks.prelu_double_backward
    results = map_blocks(function, x, (ddx, dda, dy, x, a), at_one=at_one)
    of_alpha = (
        round_partial(sum_of_states(results, 2, a), a.dtype)
        if shared
        else take_for_alpha(results, 2, a)
    )
    return take(results, 0), take(results, 1), of_alpha
