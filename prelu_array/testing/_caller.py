"""Calls of a kernel: an exception, or a result that is no array, is a failure of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._numbers import bits_of

Array = NDArray[Any]

_BFLOAT16 = (
    "NumPy has no bfloat16: return the bits, `.view(torch.int16).numpy().view(ml_dtypes.bfloat16)`"
)


@dataclass(frozen=True)
class NoArray:
    """Stands for a result that is no array, and says why."""

    reason: str
    missing: bool = False


class Caught:
    """Records any exception of a kernel: it is a failure of the kernel, not of the oracle."""

    def __init__(self, errors: list[str], name: str) -> None:
        self.errors, self.name = errors, name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False  # KeyboardInterrupt and the like are for the user
        self.errors.append(f"{self.name}: {_named(error)}")
        return True


class Caller:
    """Calls a kernel; keeps its exceptions and notices when it writes into its inputs."""

    def __init__(self, as_input: Callable[[Array], Any] | None) -> None:
        self.as_input = as_input
        self.errors: list[str] = []
        self.written: dict[str, int] = {}

    def y(
        self, case: str, forward: Callable[..., Any], x: Array, alpha: Array
    ) -> Array | NoArray | None:
        """Return a copy of y, or None if the kernel raised."""

        def own(result: Any) -> Array | NoArray:
            return to_numpy(result, x.dtype)

        found: Array | NoArray | None = self._call(case, forward, {"x": x, "alpha": alpha}, own)
        return found

    def pair(
        self, case: str, backward: Callable[..., Any], dy: Array, x: Array, alpha: Array
    ) -> tuple[Array | NoArray, Array | NoArray] | None:
        """Return copies of dx and dalpha, or None if the kernel raised or returned no pair."""

        def own(result: Any) -> tuple[Array | NoArray, Array | NoArray] | None:
            if result is None:
                result = None, None
            if not isinstance(result, tuple | list) or len(result) != 2:
                what = type(result).__name__
                if isinstance(result, tuple | list):
                    what += f" of {len(result)}"
                self.errors.append(f"{case}: backward must return (dx, dalpha), got {what}")
                return None
            return to_numpy(result[0], x.dtype), to_numpy(result[1], alpha.dtype)

        found: tuple[Array | NoArray, Array | NoArray] | None
        found = self._call(case, backward, {"dy": dy, "x": x, "alpha": alpha}, own)
        return found

    def _call(
        self,
        case: str,
        kernel: Callable[..., Any],
        arrays: dict[str, Array],
        own: Callable[[Any], Any],
    ) -> Any:
        """Return what `own` makes of the result, or None; undo what is written into the inputs."""
        saved = {name: bits_of(array).copy() for name, array in arrays.items()}
        before = len(self.errors)
        given, found = [], None
        with Caught(self.errors, f"{case}: as_input"):
            given = [self.as_input(a) if self.as_input else a for a in arrays.values()]
        if len(self.errors) > before:
            if any(a.dtype.name == "bfloat16" for a in arrays.values()):
                self.errors[-1] += (
                    "; for bfloat16 hand over the bits: "
                    "torch.from_numpy(a.view(numpy.int16)).view(torch.bfloat16)"
                )
        else:
            with Caught(self.errors, case):
                result = kernel(*given)
                found = own(result)  # a copy: it may be a view of an input
        for name, array in arrays.items():
            if (bits_of(array) != saved[name]).any():
                self.written[name] = self.written.get(name, 0) + 1
                np.copyto(array, saved[name].view(array.dtype))
        return found


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def to_numpy(result: Any, dtype: np.dtype[Any]) -> Array | NoArray:
    """Copy a NumPy, CuPy or DLPack array, or Python numbers, which take the dtype, to NumPy."""
    if result is None:
        return NoArray("is missing: got None", missing=True)
    if isinstance(result, NoArray):
        return result
    what = type(result).__name__
    try:
        array = np.array(_as_array(result))
        if isinstance(result, int | float | list | tuple) and array.dtype in (int, float):
            array = array.astype(dtype)
    except Exception as error:  # a conversion may raise anything
        reason = " ".join(_named(error).split())
        return NoArray(f"must be an array, got {what}: {reason}; {_cure(result)}")
    if array.dtype.kind in "OSU":
        return NoArray(f"must be an array of numbers, got {what} of {array.dtype.type.__name__}")
    return array


def _as_array(result: Any) -> Array:
    if isinstance(result, np.ndarray | np.generic):
        return np.asarray(result)
    if hasattr(result, "get") and not hasattr(result, "keys"):
        return np.asarray(result.get())  # CuPy copies from the device only explicitly
    if hasattr(result, "__array__") or not hasattr(result, "__dlpack__"):
        return np.asarray(result)
    return np.from_dlpack(result)


def _cure(result: Any) -> str:
    if "bfloat16" in str(getattr(result, "dtype", "")):
        return _BFLOAT16
    if getattr(result, "requires_grad", False):
        return "return it without its history: `.detach()`"
    return "return what numpy.asarray or numpy.from_dlpack takes"
