"""What a test can run on: each array library, each instruction set of the compiled loops."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from prelu_array import _cpu, get_num_threads, set_num_threads


class Backend(NamedTuple):
    """An array library."""

    name: str
    module: ModuleType

    def asarray(self, a: Any) -> Any:
        return self.module.asarray(a)

    def asnumpy(self, a: Any) -> np.ndarray:
        return a if self.module is np else self.module.asnumpy(a)


def _cupy() -> ModuleType:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        pytest.skip(f"CuPy finds no device: {error}")
    if count == 0:
        pytest.skip("CuPy finds no device")
    return cupy


@pytest.fixture(scope="session", params=["numpy", "cupy"])
def backend(request):
    return Backend(request.param, np if request.param == "numpy" else _cupy())


@pytest.fixture(params=["avx512", "avx2", "baseline"])
def instruction_set(request):
    best = _cpu.instruction_set()
    if not _cpu.select_instruction_set(request.param):
        pytest.skip(f"this machine or build has no {request.param} loops")
    yield request.param
    assert _cpu.select_instruction_set(best)


@pytest.fixture
def threads():
    """`set_num_threads`, undone afterwards."""
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)
