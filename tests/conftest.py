"""What a test can run on: each array library, each instruction set of the compiled loops."""

from __future__ import annotations

import re
import sys
from collections import Counter
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from prelu_array import _cpu, get_num_threads, set_num_threads

INSTRUCTION_SETS = ("avx512", "avx2", "baseline")


def pytest_addoption(parser):
    parser.addoption(
        "--stand-in",
        action="store_true",
        help="run what runs on CuPy on a device of host memory, which interprets PTX: takes long",
    )


def pytest_configure(config):
    if config.getoption("--stand-in"):
        from gpu_proof import device  # before anybody imports CuPy

        assert device.installed, "there is a GPU"


def pytest_terminal_summary(terminalreporter):
    """Say in a line for each reason, or library that is missing, how much was skipped."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in skipped]
    counts = Counter(re.sub("(is not installed).*", r"\1", reason) for reason in reasons)
    for reason, count in counts.most_common():
        terminalreporter.write_line(f"SKIPPED [{count}] {reason}")


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", ["numpy", "cupy"], indirect=True, scope="session")
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", [*INSTRUCTION_SETS, "cupy"], indirect=True)


class Backend(NamedTuple):
    """An array library."""

    name: str
    module: ModuleType

    def asarray(self, a: Any) -> Any:
        return self.module.asarray(a)

    def asnumpy(self, a: Any) -> np.ndarray:
        return a if self.module is np else self.module.asnumpy(a)


def _cupy(config: Any) -> ModuleType:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    stand_in = sys.modules.get("gpu_proof.device")
    if stand_in is not None and stand_in.installed and not config.getoption("--stand-in"):
        pytest.skip("CuPy finds no device but the one of host memory: pytest --stand-in")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        pytest.skip(f"CuPy finds no device: {error}")
    if count == 0:
        pytest.skip("CuPy finds no device")
    return cupy


def _backend(name: str, request: Any) -> Backend:
    return Backend(name, np if name == "numpy" else _cupy(request.config))


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
    """`set_num_threads`, undone afterwards; smaller arrays than usual are worth threads."""
    before = get_num_threads()
    _cpu.set_thread_bytes(4 << 20)
    yield set_num_threads
    _cpu.set_thread_bytes(8 << 20)
    set_num_threads(before)
