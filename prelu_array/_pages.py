"""Huge pages for large outputs in memory that another library allocates.

The system fills each page of new memory with zeros on first touch. With pages of 4 KiB these page
faults take longer than the work; NumPy asks for pages of 2 MiB, other libraries do not.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

FROM = 1 << 22  # bytes, as in NumPy
_ADVICE = getattr(mmap, "MADV_HUGEPAGE", None)


def _madvise() -> Any:
    """Return the C library's function, where the system has such pages."""
    if sys.platform != "linux" or _ADVICE is None:
        return None
    function = getattr(ctypes.CDLL(None), "madvise", None)
    if function is not None:
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function


_function = _madvise()


def ask_for_huge(address: int, size: int) -> None:
    """Ask for huge pages for `size` bytes of memory that has not been written yet.

    It is advice: memory that has been written keeps its pages, and a system may decline.
    """
    if size >= FROM and _function is not None:
        page = mmap.PAGESIZE
        first, end = -(-address // page) * page, (address + size) // page * page
        _function(first, end - first, _ADVICE)
