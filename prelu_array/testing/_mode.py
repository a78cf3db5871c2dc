"""The floating-point mode of the thread: IEEE 754's default while the oracle works."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Larger than any system's fenv_t.
_ROOM = 512


def _libm() -> Any:
    """Return the C library's fegetenv and fesetenv, or None if they cannot be reached."""
    if not sys.platform.startswith(("linux", "darwin")):
        return None
    try:
        names = "libm.so.6" if sys.platform == "linux" else "libSystem.dylib"
        library = ctypes.CDLL(None)
        library = library if hasattr(library, "fesetenv") else ctypes.CDLL(names)
        if sys.platform == "darwin":
            return library, ctypes.addressof(ctypes.c_char.in_dll(library, "_FE_DFL_ENV"))
        return library, -1  # FE_DFL_ENV of glibc and musl
    except (OSError, ValueError, AttributeError):
        return None


_FOUND = _libm()


@contextmanager
def ieee_mode() -> Iterator[None]:
    """Keep subnormals and round to nearest even, whatever the process has set; then put it back.

    Another library may have switched subnormals off (`torch.set_flush_denormal(True)`, or any
    library linked with -ffast-math).
    """
    if _FOUND is None:
        yield
        return
    library, default = _FOUND
    before = ctypes.create_string_buffer(_ROOM)
    library.fegetenv(before)
    library.fesetenv(ctypes.c_void_p(default))
    try:
        yield
    finally:
        library.fesetenv(before)
