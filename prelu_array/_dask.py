"""The Dask backend: a call of a public function for each block, and a tree that adds exact sums.

Everything is lazy. A block of x meets its block of alpha in the public function, which serves
NumPy and CuPy blocks alike. Blocks that share an alpha hand out its sum still exact, as integers
(docs/partial.md); integers add in any order, so dalpha depends neither on the chunks nor on the
workers. Imported by whoever has a Dask array, so it is the only module that imports Dask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

import dask.array as da
import numpy as np

from . import _api, _arguments, _cpu
from ._foreign import kind_of

# So many states are added by one task. A state is 8 to 1096 bytes per alpha.
SPLIT_EVERY = 8


class Alpha(NamedTuple):
    """alpha, or an array like it, as blocks take it."""

    block: Any  # a number, or a Dask array in x's chunks without the axes of length 1
    where: tuple[int, ...]  # the axis of x of each axis of alpha, or -1
    shape: tuple[int, ...]
    dtype: Any
    chunks: Any  # of alpha as it was given, if that was a Dask array

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of x that the block's lie along."""
        return tuple(k for k in self.where if k >= 0)


# ---- arguments ----


def _check_array(a: Any, name: str, x: Any = None, integers: bool = False) -> None:
    """Raise unless `a` is a Dask array of NumPy or CuPy blocks, of the same library as x's."""
    if not isinstance(a, da.Array):
        raise TypeError(
            f"{name} must be a Dask array as x is, got {kind_of(a)}; "
            f"use dask.array.from_array({name}, chunks=x.chunks)"
        )
    _check_blocks(a._meta, name, a if x is None else x, integers)


def _check_blocks(block: Any, name: str, x: Any, integers: bool = False) -> None:
    if _api._backend(x._meta) is _cpu:
        _arguments.as_array(block, name, integers)
        return
    if type(block) is not type(x._meta):
        raise TypeError(
            f"{name} must have CuPy blocks as x has, got {kind_of(block)}; "
            f"use dask.array.asarray({name}).map_blocks(cupy.asarray)"
        )
    _arguments.check_dtype(block.dtype, name, integers=integers)


def _unknown(name: str, axis: int) -> NoReturn:
    raise ValueError(
        f"{name} has chunks of unknown size along axis {axis}; "
        f"call {name}.compute_chunk_sizes() first, which computes them"
    )


def _as_alpha(
    alpha: Any, x: Any, axis: Any, name: str = "alpha", like: Alpha | None = None
) -> Alpha:
    """Check alpha (or an array like it), find its place, and cut it as x is cut."""
    dtype = like.dtype if like else _arguments.native(x.dtype)
    lazy = isinstance(alpha, da.Array)
    integers = _arguments.is_integer(dtype)
    if lazy:
        _check_blocks(alpha._meta, name, x, integers)
        for k, n in enumerate(alpha.shape):
            if math.isnan(n):
                _unknown(name, k)
    elif type(alpha) in (float, int):
        if not integers:
            _arguments.number(alpha, dtype, name, "alpha" if like else "x")
    elif isinstance(alpha, np.generic):
        _arguments.check_dtype(alpha.dtype, name, integers=integers)
    else:
        if _api._backend(x._meta) is _cpu:
            alpha = _arguments.as_array(alpha, name, integers)
        _check_blocks(alpha, name, x, integers)
    if integers:
        _arguments.check_alpha_of_integers(alpha, dtype)
    shape = getattr(alpha, "shape", ())
    dtype = _arguments.native(getattr(alpha, "dtype", dtype))
    chunks = alpha.chunks if lazy else None
    if like:
        _arguments.check_like(Alpha(None, (), shape, dtype, None), name, like, "alpha")
    # a length of -1 is none of alpha's
    lengths = tuple(-1 if math.isnan(n) else n for n in x.shape)
    where = _cpu.fit_alpha(lengths, shape, axis)
    if where is None:
        if -1 in lengths:
            _unknown("x", lengths.index(-1))
        raise _arguments.misfit(x.shape, shape, axis)
    if -1 in where:
        alpha = alpha[tuple(0 if k < 0 else slice(None) for k in where)]
    along = tuple(x.chunks[k] for k in where if k >= 0)
    if lazy:
        alpha = alpha.rechunk(along)
    elif along:
        alpha = da.from_array(alpha.copy(), chunks=along, asarray=False)
    elif isinstance(alpha, np.ndarray):
        alpha = alpha[()]  # a scalar of its dtype
    return Alpha(alpha, where, shape, dtype, chunks)


def _as_cut(a: Any, name: str, x: Any) -> Any:
    """Check an array that shall have x's shape and dtype, and cut it as x is cut."""
    _check_array(a, name, x)
    known = []
    for k, lengths in enumerate(zip(a.shape, x.shape, strict=False)):
        unknown = [math.isnan(n) for n in lengths]
        if not any(unknown):
            known.append(k)
        elif not all(unknown) or a.numblocks[k] != x.numblocks[k]:
            _unknown("x" if unknown[1] else name, k)  # else the blocks will see
    if a.ndim != x.ndim or any(a.shape[k] != x.shape[k] for k in known):
        raise ValueError(f"{name} must have x's shape {x.shape}, got {a.shape}")
    if _arguments.native(a.dtype) != _arguments.native(x.dtype):
        raise TypeError(f"{name} must have x's dtype {x.dtype.name}, got {a.dtype.name}")
    return a.rechunk({k: x.chunks[k] for k in known})


def _refuse_out(out: Any) -> None:
    if out is not None:
        raise TypeError(
            "out must be None for Dask arrays, which are lazy; "
            "use the result, or dask.array.store(result, target)"
        )


# ---- blocks ----


def _meta(x: Any, ndim: int, dtype: Any) -> Any:
    return np.empty_like(x._meta, dtype=dtype, shape=(0,) * ndim)


def _map(function: Callable[..., Any], x: Any, operands: tuple[Any, ...], **options: Any) -> Any:
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
        function, every, *pairs, axis=axes or None, dtype=dtype, meta=_meta(x, x.ndim, dtype),
        align_arrays=False, **options,
    )  # fmt: skip


def _take(results: Any, k: int) -> Any:
    """Return dx, or another result of x's shape, out of what each block returned."""
    every = tuple(range(results.ndim))
    return da.blockwise(
        itemgetter(k), every, results, every, token="prelu-result", dtype=results.dtype,
        meta=results._meta, align_arrays=False,
    )  # fmt: skip


def _sole(results: Any, k: int) -> Any:
    """Return a result out of nested lists of one block."""
    while isinstance(results, list):
        (results,) = results
    return results[k]


def _take_for_alpha(results: Any, k: int, a: Alpha) -> Any:
    """Return a result of alpha's shape, where no two blocks share an alpha."""
    dalpha = da.blockwise(
        _sole, a.axes, results, tuple(range(results.ndim)), token="prelu-dalpha", k=k,
        dtype=a.dtype, meta=_meta(results, len(a.axes), a.dtype), align_arrays=False,
    )  # fmt: skip
    return _placed(dalpha, a)


def _state(results: Any, k: int, others: int) -> Any:
    return results[k][(None,) * others]


def _sum_of_states(results: Any, k: int, a: Alpha) -> Any:
    """Return the sum of the states of the blocks that share an alpha."""
    every = tuple(range(results.ndim))
    others = tuple(i for i in every if i not in a.axes)
    limbs, int64 = len(every), np.dtype(np.int64)
    states = da.blockwise(
        _state, (*others, *a.axes, limbs), results, every, token="prelu-state", k=k,
        others=len(others), adjust_chunks=dict.fromkeys(others, 1),
        new_axes={limbs: _limbs(results.dtype)}, dtype=int64,
        meta=_meta(results, limbs + 1, int64), align_arrays=False,
    )  # fmt: skip
    if others:
        states = states.sum(axis=tuple(range(len(others))), dtype=int64, split_every=SPLIT_EVERY)
    return _placed(states, a)


def _placed(of_alpha: Any, a: Alpha) -> Any:
    """Return an array in alpha's axes and chunks."""
    of_alpha = of_alpha[tuple(slice(None) if k >= 0 else None for k in a.where)]
    return of_alpha if a.chunks is None else of_alpha.rechunk(dict(enumerate(a.chunks)))


def _blocks_share(x: Any, a: Alpha) -> bool:
    """Whether any alpha is that of several blocks."""
    return any(n > 1 for k, n in enumerate(x.numblocks) if k not in a.axes)


def _limbs(dtype: Any) -> int:
    """How many integers a state has."""
    nothing = np.empty(0, _arguments.native(dtype))
    limbs: int = _api.prelu_backward_partial(nothing, nothing, 0.0)[1].size
    return limbs


# ---- calls ----


def _at_zero(at_one: bool) -> str:
    return "one" if at_one else "alpha"


def forward(x: Any, alpha: Any, axis: Any, out: Any) -> Any:
    """Y. See `prelu_array.prelu`."""
    _refuse_out(out)
    _check_array(x, "x", integers=True)
    return _map(_api.prelu, x, (x, _as_alpha(alpha, x, axis)))


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
    _refuse_out(out)
    _check_array(x, "x")
    dy = _as_cut(dy, "dy", x)
    a = _as_alpha(alpha, x, axis)
    if need_dalpha and _blocks_share(x, a):
        dx, state = _partial(dy, x, a, at_one, need_dx)
        return dx, round_partial(state, a.dtype)
    if not (need_dx or need_dalpha):
        return None, None
    results = _map(
        _api.prelu_backward, x, (dy, x, a), at_zero=_at_zero(at_one),
        need_dx=need_dx, need_dalpha=need_dalpha,
    )  # fmt: skip
    return (
        _take(results, 0) if need_dx else None,
        _take_for_alpha(results, 1, a) if need_dalpha else None,
    )


def _partial(dy: Any, x: Any, a: Alpha, at_one: bool, need_dx: bool) -> tuple[Any, Any]:
    results = _map(
        _api.prelu_backward_partial, x, (dy, x, a), at_zero=_at_zero(at_one), need_dx=need_dx
    )
    return _take(results, 0) if need_dx else None, _sum_of_states(results, 1, a)


def backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, out: Any
) -> tuple[Any, Any]:
    """(dx, state). See `prelu_array.prelu_backward_partial`."""
    _refuse_out(out)
    _check_array(x, "x")
    dy = _as_cut(dy, "dy", x)
    return _partial(dy, x, _as_alpha(alpha, x, axis), at_one, need_dx)


def round_partial(state: Any, dtype: Any) -> Any:
    """Dalpha. See `prelu_array.dalpha_from_partial`."""
    dtype = _arguments.as_dtype(dtype)
    block = state._meta
    _arguments.as_state(block if _api._backend(block) is _cpu else np.empty(0, block.dtype))
    if math.isnan(sum(state.shape[-1:])):
        _unknown("state", state.ndim - 1)
    _cpu.round_partial(np.zeros(state.shape[-1:], np.int64), dtype)  # raises if none is as long
    every = tuple(range(state.ndim))
    return da.blockwise(
        _api.dalpha_from_partial, every[:-1], state.rechunk({-1: -1}), every, dtype, None,
        concatenate=True, dtype=dtype, meta=_meta(state, state.ndim - 1, dtype),
        align_arrays=False,
    )  # fmt: skip


def jvp(x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool, out: Any) -> Any:
    """Y_dot. See `prelu_array.prelu_jvp`."""
    _refuse_out(out)
    _check_array(x, "x")
    x_dot = _as_cut(x_dot, "x_dot", x)
    a = _as_alpha(alpha, x, axis)
    a_dot = _as_alpha(alpha_dot, x, axis, "alpha_dot", a)
    return _map(_api.prelu_jvp, x, (x, a, x_dot, a_dot), at_zero=_at_zero(at_one))


def double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, out: Any
) -> tuple[Any, Any, Any]:
    """Cotangents of dy, x and alpha. See `prelu_array.prelu_double_backward`."""
    _refuse_out(out)
    _check_array(x, "x")
    ddx, dy = _as_cut(ddx, "ddx", x), _as_cut(dy, "dy", x)
    a = _as_alpha(alpha, x, axis)
    dda = _as_alpha(ddalpha, x, axis, "ddalpha", a)
    shared = _blocks_share(x, a)
    function = _double_backward_partial if shared else _api.prelu_double_backward
    results = _map(function, x, (ddx, dda, dy, x, a), at_zero=_at_zero(at_one))
    of_alpha = (
        round_partial(_sum_of_states(results, 2, a), a.dtype)
        if shared
        else _take_for_alpha(results, 2, a)
    )
    return _take(results, 0), _take(results, 1), of_alpha


def _double_backward_partial(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_zero: str
) -> tuple[Any, Any, Any]:
    """Return the cotangents of a block, that of alpha as a state.

    The sum of ddx * dy is that of a backward whose factors have the same products, the first one
    positive just where x is on the identity branch. They are made as integers: of floats, CuPy's
    minus and abs flush subnormals, and its `where` makes float32 of bfloat16.
    """
    options = {"axis": axis, "at_zero": at_zero}
    of_dy, of_x, _ = _api.prelu_double_backward(ddx, ddalpha, dy, x, alpha, **options)
    derivative, _ = _api.prelu_backward(  # 1 or +0
        np.ones_like(x), x, 0.0, at_zero=at_zero, need_dalpha=False
    )
    dtype = derivative.dtype
    word = np.dtype(f"u{dtype.itemsize}")
    sign = word.type(1 << (8 * word.itemsize - 1))
    identity, u, v = (a.astype(dtype, copy=False).view(word) for a in (derivative, ddx, dy))
    first = np.where(identity != 0, identity, u | sign).view(dtype)
    second = (v ^ (~u & sign)).view(dtype)
    _, state = _api.prelu_backward_partial(second, first, alpha, axis=axis, need_dx=False)
    return of_dy, of_x, state
