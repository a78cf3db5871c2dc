"""What the GPU backend takes: checks, alpha's place, and memory that overlaps."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import cupy
import numpy as np

from .. import _arguments
from .._cpu import fit_alpha
from .._foreign import kind_of
from .._rounding import rounded
from . import plan as _plan
from .memory import copied, share_memory


class Alpha(NamedTuple):
    """alpha as kernels take it: an array, or a number and no array."""

    array: Any
    number: float
    dtype: Any
    shape: tuple[int, ...]
    where: tuple[int, ...]  # the axis of x of each axis of alpha, or -1

    def strides(self, array: Any, ndim: int) -> tuple[int, ...]:
        """Return those of alpha, or of an array of its shape, along the axes of x."""
        given = (0,) * len(self.where) if array is None else array.strides
        return _plan.placed(given, self.where, ndim)


def refuse(value: Any, name: str) -> NoReturn:
    """Raise the TypeError for what is no CuPy array."""
    raise TypeError(
        f"{name} must be a CuPy array as x is, got {kind_of(value)}; "
        f"nothing is copied to the device implicitly: use cupy.asarray({name})"
    )


def check_array(a: Any, name: str, x: Any, given: bool = True) -> None:
    """Raise unless it is a CuPy array on x's device, and one that is given of our dtypes."""
    if not isinstance(a, cupy.ndarray):
        refuse(a, name)
    if a.device.id != x.device.id:
        raise ValueError(
            f"{name} must be on x's device {x.device.id}, got device {a.device.id}; copy it "
            f"there: with cupy.cuda.Device({x.device.id}): {name} = cupy.array({name})"
        )
    if given:
        _arguments.check_dtype(a.dtype, name, integers=_arguments.is_integer(x.dtype))


def _number_or_array(
    value: Any, name: str, x: Any, dtype: Any, like: str
) -> tuple[Any, float, Any, tuple[int, ...]]:
    """Return (array, number, dtype, shape). A Python number takes the dtype of `like`."""
    integers = _arguments.is_integer(dtype)
    if isinstance(value, cupy.ndarray):
        check_array(value, name, x)
        if integers:
            _arguments.check_alpha_of_integers(value, dtype)
        return value, 0.0, value.dtype, value.shape
    if integers and isinstance(value, float | int | np.generic):
        if isinstance(value, np.generic):
            _arguments.check_dtype(value.dtype, name, False, True)
        _arguments.check_alpha_of_integers(value, dtype)
        return None, int(value), dtype, ()
    if type(value) in (float, int):
        if not -65504 <= value <= 65504:  # what every dtype holds
            value = _arguments.number(value, dtype, name, like)
        return None, rounded(float(value), dtype.name), dtype, ()
    if isinstance(value, np.generic | bool | complex):
        given = np.asarray(value)
        _arguments.check_dtype(given.dtype, name)
        return None, float(given), given.dtype, ()
    refuse(value, name)


def as_alpha(alpha: Any, x: Any, axis: Any) -> Alpha:
    """Check alpha and find its place."""
    array, number, dtype, shape = _number_or_array(alpha, "alpha", x, x.dtype, "x")
    where = fit_alpha(x.shape, shape, axis)
    if where is None:
        raise _arguments.misfit(x.shape, shape, axis)
    return Alpha(array, number, dtype, shape, where)


def with_direction(alpha: Alpha, direction: Any, name: str, x: Any) -> tuple[Alpha, Alpha]:
    """Return alpha and a direction of its shape and dtype, with the same strides."""
    array, number, dtype, shape = _number_or_array(direction, name, x, alpha.dtype, "alpha")
    given = Alpha(array, number, dtype, shape, alpha.where)
    _arguments.check_like(given, name, alpha, "alpha")
    if alpha.array is None or given.array is None or alpha.array.strides == given.array.strides:
        return alpha, given
    alpha, given = (a._replace(array=copied(a.array, "C")) for a in (alpha, given))
    return alpha, given


def outputs(out: dict[int, Any], x: Any, likes: dict[int, Any]) -> None:
    """Raise unless arrays can take results, each of the form of its like: x or alpha."""
    seen: dict[str, Any] = {}
    for k, (slot, a) in enumerate(out.items()):
        if a is None:
            continue
        name, like = f"out[{k}]" if len(out) > 1 else "out", likes[slot]
        check_array(a, name, x, given=False)
        if a.shape != like.shape or a.dtype != like.dtype or 0 in a.strides:
            # a NumPy array of the same form, of which nothing but the form is looked at
            form = np.lib.stride_tricks.as_strided(np.empty(1, a.dtype), a.shape, a.strides)
            what = "x" if like is x else "alpha"
            _arguments.check_out(form, name, like.shape, like.dtype, what)
        for before, other in seen.items():
            if share_memory(other, a):
                raise ValueError(f"{before} and {name} must not share memory")
        seen[name] = a
