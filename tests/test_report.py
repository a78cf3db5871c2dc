"""``python -m prelu_array --report``: what a bug report says of the machine."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import prelu_array
from prelu_array import __main__, _cpu, _report

NAMES = [
    "prelu_array", "Python", "NumPy", "ml_dtypes", "cupy", "dask", "torch", "jax", "system",
    "processor", "instruction set", "CPUs", "threads", "compiler",
]  # fmt: skip


def printed(capsys):
    assert __main__.main(["--report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return dict(line.split(":", 1) for line in lines)


def test_every_line_says_something(capsys):
    lines = printed(capsys)
    assert [name for name in lines if name != "GPU"] == NAMES
    assert all(value.strip() for value in lines.values())
    assert lines["prelu_array"].strip() == prelu_array.__version__
    assert lines["NumPy"].strip() == np.__version__
    assert lines["instruction set"].strip() == _cpu.instruction_set()
    assert lines["threads"].split()[0] == str(prelu_array.get_num_threads())


def test_libraries_are_named_and_not_imported():
    code = """
import sys
from prelu_array import __main__
__main__.main(["--report"])
print([name for name in ("ml_dtypes", "dask", "torch", "jax") if name in sys.modules])
"""
    root = str(Path(prelu_array.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("ml_dtypes", "dask"):
        try:
            version = f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            version = "not installed"
        assert f"{name}: ".ljust(17) + version in done.stdout


def test_threads_that_the_environment_limits(capsys, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "(OMP_NUM_THREADS=1)" in printed(capsys)["threads"]


class Runtime(ModuleType):
    """Stands in for cupy.cuda.runtime."""

    def getDeviceCount(self):
        return 2

    def getDeviceProperties(self, device):
        return {"name": b"Card %d" % device}

    def driverGetVersion(self):
        return 13000

    def runtimeGetVersion(self):
        return 12090


def with_cupy(monkeypatch, runtime):
    cupy, cuda = ModuleType("cupy"), ModuleType("cupy.cuda")
    cuda.runtime = runtime
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    monkeypatch.setattr(
        _report.metadata, "packages_distributions", lambda: {"cupy": ["cupy-cuda13x"]}
    )
    monkeypatch.setattr(_report.metadata, "version", lambda name: "14.2.0")


def test_devices(capsys, monkeypatch):
    with_cupy(monkeypatch, Runtime("cupy.cuda.runtime"))
    lines = printed(capsys)
    assert lines["cupy"].strip() == "cupy-cuda13x 14.2.0"
    assert lines["GPU"].strip() == "Card 0, Card 1; CUDA 13.0 (driver), 12.9 (runtime)"


@pytest.mark.parametrize("error", [ImportError("no libcuda\n.so"), RuntimeError("no driver")])
def test_a_gpu_that_fails_is_a_line(capsys, monkeypatch, error):
    def fail():
        raise error

    runtime = Runtime("cupy.cuda.runtime")
    runtime.getDeviceCount = fail
    with_cupy(monkeypatch, runtime)
    assert printed(capsys)["GPU"].strip().startswith("not usable: no ")


def test_report_takes_nothing_else(capsys):
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["--report", "--axis", "1"])
    assert "--report stands alone" in capsys.readouterr().err
