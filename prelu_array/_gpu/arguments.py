"""What the GPU backend takes: checks, alpha's place, and the results' arrays."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import cupy
import numpy as np

from .. import _arguments
from .._cpu import fit_alpha
from .._foreign import kind_of
from .._rounding import rounded
from .memory import as_numpy
from .plan import ALPHA, DDALPHA, DDX, DY, RESULT, Ints, X


class Alpha(NamedTuple):
    """alpha or its direction: an array, or a number and no array."""

    array: Any
    number: float
    dtype: Any
    shape: Ints


class Operands(NamedTuple):
    """What a call reads and writes: arrays in the order of `plan`, and what else alpha is."""

    arrays: tuple[Any, ...]  # None: a call has no use for it, or takes a number
    numbers: tuple[float, float]  # alpha and its direction, where they are no arrays
    dtype: Any  # alpha's
    shape: Ints
    where: Ints  # the axis of x of each axis of alpha, or -1


def refuse(value: Any, name: str) -> NoReturn:
    """Raise the TypeError for what is no CuPy array."""
    raise TypeError(
        f"{name} must be a CuPy array as x is, got {kind_of(value)}; "
        f"nothing is copied to the device implicitly: use cupy.asarray({name})"
    )


def _check_array(a: Any, name: str, x: Any, given: bool = True) -> None:
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


def _as_alpha(value: Any, name: str, x: Any, like: Any, like_name: str) -> Alpha:
    """Check alpha or its direction. A Python number takes the dtype of `like`."""
    dtype, integers = like.dtype, _arguments.is_integer(like.dtype)
    if isinstance(value, cupy.ndarray):
        _check_array(value, name, x)
        if integers:
            _arguments.check_alpha_of_integers(value, dtype)
        return Alpha(value, 0.0, value.dtype, value.shape)
    if integers and isinstance(value, float | int | np.generic):
        if isinstance(value, np.generic):
            _arguments.check_dtype(value.dtype, name, False, True)
        _arguments.check_alpha_of_integers(value, dtype)
        return Alpha(None, int(value), dtype, ())
    if type(value) in (float, int):
        if not -65504 <= value <= 65504:  # what every dtype holds
            value = _arguments.number(value, dtype, name, like_name)
        return Alpha(None, rounded(float(value), dtype.name), dtype, ())
    if isinstance(value, np.generic | bool | complex):
        given = np.asarray(value)
        _arguments.check_dtype(given.dtype, name)
        return Alpha(None, float(given), given.dtype, ())
    refuse(value, name)


def operands(slots: dict[int, Any], axis: Any) -> Operands:
    """Check what a call reads."""
    x = slots[X]
    dot, alpha_dot = ("ddx", "ddalpha") if DY in slots else ("x_dot", "alpha_dot")
    for k, name in ((DDX, dot), (DY, "dy")):
        if k in slots:
            _check_array(slots[k], name, x)
            _arguments.check_like(slots[k], name, x, "x")
    alpha = _as_alpha(slots[ALPHA], "alpha", x, x, "x")
    where = fit_alpha(x.shape, alpha.shape, axis)
    if where is None:
        raise _arguments.misfit(x.shape, alpha.shape, axis)
    direction = Alpha(None, 0.0, None, ())
    if DDALPHA in slots:
        direction = _as_alpha(slots[DDALPHA], alpha_dot, x, alpha, "alpha")
        _arguments.check_like(direction, alpha_dot, alpha, "alpha")
    arrays = None, None, x, slots.get(DY), slots.get(DDX), alpha.array, direction.array, None
    return Operands(arrays, (alpha.number, direction.number), alpha.dtype, alpha.shape, where)


def with_outputs(
    o: Operands, given: dict[int, Any], needs: tuple[bool, bool], form: tuple[Ints, Any]
) -> Operands:
    """Return operands with arrays for the results: those that are given, checked, or new ones.

    `needs` says whether those of x's shape are wanted, and that of alpha's; `form` is the shape
    and dtype of the latter.
    """
    arrays, x = list(o.arrays), o.arrays[X]
    seen: dict[str, Any] = {}
    for k, (slot, a) in enumerate(given.items()):
        of_alpha = slot == RESULT
        if a is not None:
            name = f"out[{k}]" if len(given) > 1 else "out"
            _check_array(a, name, x, given=False)
            there = as_numpy(a)
            like = (*form, "alpha") if of_alpha else (x.shape, x.dtype, "x")
            _arguments.check_out(there, name, *like)
            for before, other in seen.items():
                if np.shares_memory(other, there):
                    raise ValueError(f"{before} and {name} must not share memory")
            seen[name] = there
        elif needs[of_alpha]:
            a = cupy.empty(*form) if of_alpha else cupy.empty_like(x)
        arrays[slot] = a
    return o._replace(arrays=tuple(arrays))
