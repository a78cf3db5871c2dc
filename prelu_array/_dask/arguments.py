"""Arguments of a call with a Dask x: checks, and the chunks of x for dy and alpha."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, NoReturn

import dask.array as da
import numpy as np

from .. import _arguments, _cpu
from .._foreign import kind_of
from .._in_memory import backend_of


class Alpha(NamedTuple):
    """alpha, or an array like it, as blocks take it."""

    block: Any  # a number, or a Dask array in x's chunks without the axes of length 1
    dims: tuple[int, ...]  # the axis of x for each axis of alpha, or -1
    shape: tuple[int, ...]
    dtype: Any
    chunks: Any  # of alpha as it was given, if that was a Dask array

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of x for the axes of the block."""
        return tuple(k for k in self.dims if k >= 0)


def check_array(a: Any, name: str, x: Any = None, integers: bool = False) -> None:
    """Raise unless `a` is a Dask array of NumPy or CuPy blocks, of the same library as x's."""
    if not isinstance(a, da.Array):
        raise TypeError(
            f"{name} must be a Dask array as x is, got {kind_of(a)}; "
            f"use dask.array.from_array({name}, chunks=x.chunks)"
        )
    _check_blocks(a._meta, name, a if x is None else x, integers)


def _check_blocks(block: Any, name: str, x: Any, integers: bool = False) -> None:
    if backend_of(x._meta) is _cpu:
        _arguments.as_array(block, name, integers)
        return
    if type(block) is not type(x._meta):
        raise TypeError(
            f"{name} must have CuPy blocks as x has, got {kind_of(block)}; "
            f"use dask.array.asarray({name}).map_blocks(cupy.asarray)"
        )
    _arguments.check_dtype(block.dtype, name, integers=integers)


def unknown(name: str, axis: int) -> NoReturn:
    """Raise for chunks of unknown size."""
    raise ValueError(
        f"{name} has chunks of unknown size along axis {axis}; "
        f"call {name}.compute_chunk_sizes() first, which computes them"
    )


def as_alpha(
    alpha: Any, x: Any, axis: Any, name: str = "alpha", like: Alpha | None = None
) -> Alpha:
    """Check alpha (or an array like it), map its axes to those of x, and rechunk it."""
    dtype = like.dtype if like else _arguments.native(x.dtype)
    lazy = isinstance(alpha, da.Array)
    integers = _arguments.is_integer(dtype)
    if lazy:
        _check_blocks(alpha._meta, name, x, integers)
        for k, n in enumerate(alpha.shape):
            if math.isnan(n):
                unknown(name, k)
    elif type(alpha) in (float, int):
        if not integers:
            _arguments.number(alpha, dtype, name, "alpha" if like else "x")
    elif isinstance(alpha, np.generic):
        _arguments.check_dtype(alpha.dtype, name, integers=integers)
    else:
        if backend_of(x._meta) is _cpu:
            alpha = _arguments.as_array(alpha, name, integers)
        _check_blocks(alpha, name, x, integers)
    if integers:
        _arguments.check_alpha_of_integers(alpha, dtype)
    shape = getattr(alpha, "shape", ())
    dtype = _arguments.native(getattr(alpha, "dtype", dtype))
    chunks = alpha.chunks if lazy else None
    if like:
        _arguments.check_like(Alpha(None, (), shape, dtype, None), name, like, "alpha")
    # alpha has no length of -1
    lengths = tuple(-1 if math.isnan(n) else n for n in x.shape)
    dims = _cpu.fit_alpha(lengths, shape, axis)
    if dims is None:
        if -1 in lengths:
            unknown("x", lengths.index(-1))
        raise _arguments.misfit(x.shape, shape, axis)
    if -1 in dims:
        alpha = alpha[tuple(0 if k < 0 else slice(None) for k in dims)]
    rechunked = tuple(x.chunks[k] for k in dims if k >= 0)
    if lazy:
        alpha = alpha.rechunk(rechunked)
    elif rechunked:
        alpha = da.from_array(alpha.copy(), chunks=rechunked, asarray=False)
    elif isinstance(alpha, np.ndarray):
        alpha = alpha[()]  # a scalar of its dtype
    return Alpha(alpha, dims, shape, dtype, chunks)


def as_rechunked(a: Any, name: str, x: Any) -> Any:
    """Check an array that must have x's shape and dtype, and give it x's chunks."""
    check_array(a, name, x)
    known = []
    for k, lengths in enumerate(zip(a.shape, x.shape, strict=False)):
        missing = [math.isnan(n) for n in lengths]
        if not any(missing):
            known.append(k)
        elif not all(missing) or a.numblocks[k] != x.numblocks[k]:
            unknown("x" if missing[1] else name, k)  # otherwise blocks check their lengths
    if a.ndim != x.ndim or any(a.shape[k] != x.shape[k] for k in known):
        raise ValueError(f"{name} must have x's shape {x.shape}, got {a.shape}")
    if _arguments.native(a.dtype) != _arguments.native(x.dtype):
        raise TypeError(f"{name} must have x's dtype {x.dtype.name}, got {a.dtype.name}")
    return a.rechunk({k: x.chunks[k] for k in known})


def refuse_out(out: Any) -> None:
    """Raise unless `out` is None."""
    if out is not None:
        raise TypeError(
            "out must be None for Dask arrays, which are lazy; "
            "use the result, or dask.array.store(result, target)"
        )
