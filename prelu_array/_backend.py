"""The backend of an array: a module with a function for each public one, arguments by place."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from numpy import ndarray

import prelu_array._cpu as _cpu

from . import _in_memory


def backend_of(x: Any) -> ModuleType:
    """Return the backend for x; NumPy's refuses arrays of any other library."""
    if type(x) is ndarray:  # a global: np.ndarray takes as long as the rest of this function
        return _cpu
    dask = sys.modules.get("dask.array")  # whoever has a Dask array has imported Dask
    if dask is not None and isinstance(x, dask.Array):
        from . import _dask

        return _dask
    return _in_memory.backend_of(x)
