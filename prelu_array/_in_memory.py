"""The backend of an array in memory: NumPy's or CuPy's, also as a block of a Dask array."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType
from typing import Any

import prelu_array._cpu as _cpu


@cache
def _of_cupy() -> ModuleType:
    from . import _gpu

    return _gpu


def backend_of(x: Any) -> ModuleType:
    """Return the backend for x; NumPy's refuses arrays of any other library."""
    cupy = sys.modules.get("cupy")  # whoever has a CuPy array has imported CuPy
    if cupy is not None and isinstance(x, cupy.ndarray):
        return _of_cupy()
    return _cpu
