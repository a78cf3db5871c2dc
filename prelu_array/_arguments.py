"""What may come in: conversions of unusual arguments, and every error message.

Backends recognise usual arguments themselves and call this module for all others.
"""

from __future__ import annotations

import array
import math
import operator
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ._foreign import kind_of, library_of, refuse, short
from ._overlap import overlaps_itself

Shape = tuple[int, ...]

_DTYPES = "float16, bfloat16 (ml_dtypes), float32 or float64"
_DTYPES_OF_FORWARD = _DTYPES.replace(" or", ",") + ", int32, int64, uint32 or uint64"


def is_bfloat16(dtype: Any) -> bool:
    """Whether a dtype is ml_dtypes' bfloat16, without importing ml_dtypes."""
    return bool(dtype.type.__name__ == "bfloat16" and dtype.itemsize == 2)


def is_integer(dtype: Any) -> bool:
    """Whether a dtype is one of the integers that the forward takes."""
    return dtype.kind in "iu" and dtype.itemsize in (4, 8)


def check_dtype(dtype: Any, name: str, is_array: bool = True, integers: bool = False) -> None:
    """Raise TypeError unless the dtype is one of the floats or, if wanted, of the integers."""
    if dtype.kind == "f" and dtype.itemsize in (2, 4, 8):
        return
    if is_bfloat16(dtype) or (integers and is_integer(dtype)):
        return
    to = "float32" if np.can_cast(dtype, np.float32) else "float64"  # loses no digit
    convert = f"{name}.astype(numpy.{to})" if is_array else f"numpy.asarray({name}, {to!r})"
    cure = f"; convert it, for example with {convert}"
    if dtype.kind == "c":
        cure = f"; use numpy.real({name}) if that is meant"
    elif dtype.type is np.void and dtype.itemsize == 2 and not dtype.names:
        cure = (
            "; if it is bfloat16, which NumPy's files do not know, "
            f"use {name}.view(ml_dtypes.bfloat16)"
        )
    elif dtype.kind in "SUMm" or dtype.type is np.void:  # no numbers
        cure = ""
    elif is_integer(dtype) and is_array and "alpha" not in name:
        cure = f"; an integer has no derivative: convert it, for example with {convert}"
    dtypes = _DTYPES_OF_FORWARD if integers else _DTYPES
    raise TypeError(f"{name} must be {dtypes}, got {dtype}{cure}")


def native(dtype: Any) -> Any:
    """Return the dtype in native byte order; float64 also for a long double of the same size."""
    if is_bfloat16(dtype):
        return dtype.newbyteorder("=")
    return np.dtype(f"{dtype.kind}{dtype.itemsize}")


def is_native(a: np.ndarray) -> bool:
    """Whether the loops can read the array without a conversion."""
    same = is_bfloat16(a.dtype) or a.dtype.char == native(a.dtype).char
    return same and a.dtype.isnative and a.flags.aligned


def as_array(value: Any, name: str, integers: bool = False) -> np.ndarray:
    """Return a NumPy array the loops can read: native byte order, aligned, one of the dtypes.

    Python's own integers are numbers, and become float64 as floats do.
    """
    if type(value) in (np.ndarray, np.memmap):
        a = np.asarray(value)
    elif isinstance(value, np.generic | float | int | complex | list | tuple | memoryview):
        a = _regular(value, name)
        if a.dtype.kind in "iuO" and _is_of_python_numbers(value):
            a = _float64(value, name)
    elif isinstance(value, array.array):
        a = np.asarray(value)
    else:
        refuse(value, name)
    check_dtype(a.dtype, name, isinstance(value, np.ndarray), integers)
    return a if is_native(a) else a.astype(native(a.dtype), order="K")


def _regular(value: Any, name: str) -> np.ndarray:
    if isinstance(value, list | tuple):
        _check_items(value, name)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a regular array, got {short(value)}") from error


def _is_of_python_numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_of_python_numbers, value))
    return type(value) in (int, float)


def _float64(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except OverflowError:
        raise ValueError(f"{name} must fit float64, got {short(value)}") from None


def _check_items(value: Sequence[Any], name: str, depth: int = 64) -> None:
    """Refuse in a list what would be refused outside of it: a mask, say, would be lost there."""
    if set(map(type, value)) <= {float, np.float64, np.float32, np.ndarray}:  # nearly always
        return
    for k, item in enumerate(value):
        if type(item) in (np.ndarray, np.memmap) or isinstance(item, np.generic):
            continue
        if isinstance(item, list | tuple):
            if depth:  # NumPy has no more axes than that
                _check_items(item, f"{name}[{k}]", depth - 1)
        elif hasattr(type(item), "__array__") or hasattr(type(item), "__dlpack__"):
            refuse(item, f"{name}[{k}]")


# The least number that rounds to infinity.
_TOO_LARGE = {
    "float16": 65520.0,
    "bfloat16": 2.0**128 - 2.0**119,
    "float32": 2.0**128 - 2.0**103,
    "float64": math.inf,
}


def number(value: float, dtype: Any, name: str = "alpha", like: str = "x") -> float:
    """Return a Python number that is to become an array of the dtype of another; it must fit."""
    try:
        result = float(value)
    except OverflowError:  # an integer beyond float64
        result = math.nan
    if math.isnan(result) != (value != value) or _TOO_LARGE[dtype.name] <= abs(result) < math.inf:
        raise ValueError(f"{name} must fit {like}'s dtype {dtype.name}, got {short(value)}")
    return result


def check_alpha_of_integers(alpha: Any, dtype: Any) -> None:
    """Raise unless alpha is a Python int that fits an integer x's dtype, or has that dtype."""
    if type(alpha) is int:
        info = np.iinfo(dtype)
        if not info.min <= alpha <= info.max:
            raise ValueError(f"alpha must fit x's dtype {dtype.name}, got {short(alpha)}")
    elif not hasattr(alpha, "dtype") or native(alpha.dtype) != dtype:
        got = alpha.dtype.name if hasattr(alpha, "dtype") else short(alpha)
        raise TypeError(
            f"alpha must be a Python int or have x's dtype {dtype.name}, got {got}: y is of "
            "integers as x is; for a fraction convert x, for example with x.astype(numpy.float64)"
        )


def alpha_of_integers(alpha: Any, dtype: Any) -> np.ndarray:
    """Return alpha as a NumPy array of an integer x's dtype."""
    if not isinstance(alpha, int | float | list | tuple):
        alpha = as_array(alpha, "alpha", True)
    check_alpha_of_integers(alpha, dtype)
    return np.asarray(alpha, dtype)


def _index(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:  # also of an array that is not 0-d
        return None


def axes(axis: Any, ndim: int | None) -> Shape:
    """Return `axis` as a tuple of axes of x, from 0 to ndim - 1; with None, only look at it."""
    result = []
    for k in map(_index, axis if isinstance(axis, tuple) else (axis,)):
        if k is None:
            got = short(axis)
            raise TypeError(f"axis must be None, an integer or a tuple of integers, got {got}")
        if ndim is None:
            continue
        if not -ndim <= k < ndim:
            got = short(axis)
            raise ValueError(
                f"axis must lie between {-ndim} and {ndim - 1} for x with {ndim} dimensions, "
                f"got {got}"
                if ndim
                else f"axis must be None for x with 0 dimensions, got {got}"
            )
        result.append(k % ndim)
    if len(set(result)) < len(result):
        raise ValueError(f"axis must not repeat an axis, got {short(axis)}")
    return tuple(result)


def misfit(x_shape: Shape, alpha_shape: Shape, axis: Any) -> ValueError:
    """Return the error for an alpha that does not fit x, with the axis that would."""
    if axis is None:
        rule = "must broadcast to x.shape without enlarging it"
    elif isinstance(axis, tuple):
        lengths = tuple(x_shape[k] for k in axis)
        rule = f"must be {lengths}, the lengths of axes {axis} of x, or 1 in places"
    else:
        rule = f"must be ({x_shape[axis]},), the length of axis {axis} of x"
    return ValueError(
        f"alpha.shape {rule}, got alpha.shape {alpha_shape}, x.shape {x_shape}, axis={axis}"
        + _hint(x_shape, alpha_shape)
    )


def _hint(x_shape: Shape, alpha_shape: Shape) -> str:
    """Name the axis that fits, if there is exactly one."""
    from ._cpu import fit_alpha  # the rule itself, called once for each candidate

    count = len(alpha_shape)
    found: dict[Any, Any] = {fit_alpha(x_shape, alpha_shape, None): None}  # axes of x: axis
    if len(x_shape) <= 8:
        for k in combinations(range(len(x_shape)), count):
            found[fit_alpha(x_shape, alpha_shape, k)] = k[0] if count == 1 else k
    found.pop(None, None)  # candidates that do not fit
    return f"; axis={found.popitem()[1]} would fit" if len(found) == 1 else ""


def check_like(a: Any, name: str, like: Any, like_name: str) -> None:
    """Raise unless an array has the shape and dtype of another."""
    want = like.dtype.name  # a list, that came as an array, has no astype
    plain = type(a) is np.ndarray
    to = f"numpy.asarray({name}, {want!r})" if plain else f"{name}.astype({want!r})"
    if a.shape != like.shape:
        cure = ""
        if like_name == "x" and _broadcasts(a.shape, like.shape):
            library = {"cupy": "cupy", "dask": "dask.array"}.get(library_of(a), "numpy")
            cure = (
                f"; use {library}.broadcast_to({name if a.dtype == like.dtype else to}, x.shape)"
            )
        raise ValueError(f"{name} must have {like_name}'s shape {like.shape}, got {a.shape}{cure}")
    if a.dtype != like.dtype:
        cure = f"; convert it with {to}" if like_name == "x" else ""
        raise TypeError(
            f"{name} must have {like_name}'s dtype {like.dtype.name}, got {a.dtype.name}{cure}"
        )


def _broadcasts(shape: Shape, to: Shape) -> bool:
    lengths = zip(shape[::-1], to[::-1], strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in lengths)


def as_state(state: Any) -> np.ndarray:
    """Return an exact state as a contiguous array of native int64."""
    if type(state) not in (np.ndarray, np.memmap):
        refuse(state, "state", "an array of NumPy, CuPy or Dask")
    if state.dtype.kind != "i" or state.dtype.itemsize != 8:
        raise TypeError(
            f"state must be int64, as prelu_backward_partial returns it, got {state.dtype.name}"
        )
    return np.asarray(state, np.int64, order="C")  # ascontiguousarray would make 0-d 1-d


def not_a_state(shape: Shape, limbs: Sequence[int]) -> ValueError:
    """Return the error for a state whose last axis has none of these lengths."""
    *most, last = sorted(limbs)
    lengths = f"{', '.join(map(str, most))} or {last}"
    return ValueError(f"state must have {lengths} limbs along its last axis, got shape {shape}")


def too_many_axes_for_a_state(ndim: int) -> ValueError:
    """Return the error for an alpha with so many axes that NumPy has none left for the limbs."""
    return ValueError(
        f"alpha must have fewer than {ndim} axes, because its state has one more, got {ndim}; "
        "join some with reshape, in x, dy and alpha"
    )


def as_dtype(dtype: Any) -> Any:
    """Return a dtype argument as one of the four dtypes, in native byte order."""
    try:
        result = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be {_DTYPES}, got {short(dtype)}") from error
    if (result.kind != "f" and not is_bfloat16(result)) or result.itemsize > 8:
        raise TypeError(f"dtype must be {_DTYPES}, got {result.name}")
    return native(result)


ALPHA = "alpha"  # the usual at_zero, an object known by its identity


def at_one(at_zero: Any) -> bool:
    """Whether x = 0 takes the identity branch."""
    if isinstance(at_zero, str) and at_zero in ("alpha", "one"):
        return at_zero == "one"
    raise ValueError(f"at_zero must be 'alpha' or 'one', got {short(at_zero)}")


def outputs(out: Any, names: Sequence[str], **needs: bool) -> tuple[Any, ...]:
    """Return `out` of a function with several results as a tuple of arrays or None.

    `needs` are the options that say whether the first results are wanted.
    """
    if not isinstance(out, tuple | list) or len(out) != len(names):
        many = f" of {len(out)}" if isinstance(out, tuple | list) else ""
        kind, some = ("pair", "either") if len(names) == 2 else ("triple", "any")
        alone = ", ".join([names[0], *["None"] * (len(names) - 1)])
        raise TypeError(
            f"out must be a {kind} ({', '.join(names)}), {some} may be None, "
            f"got {kind_of(out)}{many}; for {names[0]} alone use out=({alone})"
        )
    for k, (name, needed) in enumerate(needs.items()):
        if out[k] is not None and not needed:
            raise ValueError(f"out[{k}] must be None where {name} is False")
    return tuple(out)


def pair(out: Any, need_dx: bool, need_dalpha: bool) -> tuple[Any, ...]:
    """Return `out` of a backward as (dx or None, dalpha or None)."""
    return outputs(out, ("dx", "dalpha"), need_dx=need_dx, need_dalpha=need_dalpha)


def check_out(out: Any, name: str, shape: Sequence[int], dtype: Any, like: str) -> None:
    """Raise unless a NumPy array can take a result."""
    if type(out) not in (np.ndarray, np.memmap):
        raise TypeError(
            f"{name} must be a NumPy array, got {kind_of(out)}; "
            f"for example numpy.empty({tuple(shape)}, {dtype.name!r})"
        )
    if out.shape != tuple(shape):
        raise ValueError(f"{name} must have {like}'s shape {tuple(shape)}, got {out.shape}")
    if out.dtype.newbyteorder("=") != dtype:
        raise TypeError(f"{name} must have {like}'s dtype {dtype.name}, got {out.dtype.name}")
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")
    if overlaps_itself(out):
        raise ValueError(
            f"{name} must not overlap itself (some elements share memory), got strides "
            f"{out.strides} for shape {out.shape}"
        )
