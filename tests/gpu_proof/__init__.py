"""The proof of the GPU backend without a GPU: see docs/gpu.md."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest


def needed() -> None:
    """Skip the module that asks unless the proof can run; CuPy gets its device."""
    for name in ("cupy", "ml_dtypes", "nvidia"):
        if find_spec(name) is None:
            pytest.skip(f"no {name}: pip install -e '.[gpu-proof]'", allow_module_level=True)
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler", allow_module_level=True)
    from . import device  # noqa: F401  before CuPy
