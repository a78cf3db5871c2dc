"""What a test can run on: each array library, each instruction set of the compiled loops."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from prelu_array import _cpu, get_num_threads, set_num_threads

INSTRUCTION_SETS = ("avx512", "avx2", "baseline")


def pytest_addoption(parser):
    parser.addoption(
        "--interpret",
        action="store_true",
        help="run what can run on CuPy also on a device that interprets PTX; choose a few tests",
    )


def pytest_generate_tests(metafunc):
    devices = ["cupy", *["interpreted"] * metafunc.config.getoption("--interpret")]
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", ["numpy", *devices], indirect=True, scope="session")
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", [*INSTRUCTION_SETS, *devices], indirect=True)


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


@pytest.fixture(scope="session")
def interpreted():
    """A library that stands in for CuPy, without a device."""
    pytest.importorskip("cupy", reason="needs CuPy's compiler: pip install -e '.[gpu-proof]'")
    from gpu_proof.device import Proof

    with pytest.MonkeyPatch.context() as patch:
        yield Proof().install(patch)


def _backend(name: str, request: Any) -> Backend:
    if name == "interpreted":
        return Backend(name, request.getfixturevalue("interpreted"))
    return Backend(name, np if name == "numpy" else _cupy())


@pytest.fixture(scope="session")
def backend(request):
    """Each array library."""
    return _backend(request.param, request)


@pytest.fixture
def way(request):
    """Each array library, and NumPy with each instruction set."""
    if request.param in INSTRUCTION_SETS:
        request.getfixturevalue("_instruction_set")(request.param)
        return Backend("numpy", np)
    return _backend(request.param, request)


@pytest.fixture
def _instruction_set():
    """Choose an instruction set, undone afterwards."""
    best = _cpu.instruction_set()

    def select(name):
        if not _cpu.select_instruction_set(name):
            pytest.skip(f"this machine or build has no {name} loops")

    yield select
    assert _cpu.select_instruction_set(best)


@pytest.fixture(params=INSTRUCTION_SETS)
def instruction_set(request, _instruction_set):
    _instruction_set(request.param)
    return request.param


def pytest_collection_modifyitems(items):
    """Order a test's runs on each instruction set side by side, where one reference serves all."""
    first = {}

    def order(item):
        chosen = getattr(item, "callspec", None) and item.callspec.params.get("instruction_set")
        name = item.nodeid.replace(chosen, "") if chosen else item.nodeid
        return first.setdefault(name, len(first))

    items.sort(key=order)


@pytest.fixture
def threads():
    """`set_num_threads`, undone afterwards."""
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)
