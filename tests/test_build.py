"""The flags that the arithmetic needs come last, whatever the environment asks for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOSTILE = ("-ffast-math", "-Ofast", "-funsafe-math-optimizations")

pytest.importorskip("setuptools")
pytest.importorskip("Cython")
pytestmark = pytest.mark.skipif(
    os.name == "nt" or not (ROOT / "setup.py").exists(), reason="takes a clone, and Unix's flags"
)

# What fast math breaks: a sum's lost part, NaN, the zero's sign, an error by fma; and the process.
SOURCE = """
#include "dtypes.h"
#include "accumulate.h"
#pragma GCC visibility push(default)
double lost(double a, double b) { return two_sum_error(a, b, a + b); }
double error(double a, double b) { return fma(a, b, -(a * b)); }
double no_number(double a) { return isnan(a) ? 1 : 0; }
double plus_zero(double a) { return a + 0.0; }
"""

BUILD = """
import runpy, sys, Cython.Build, setuptools
root, folder = sys.argv[1:]
setup, Cython.Build.cythonize = setuptools.setup, lambda *a, **k: []
setuptools.setup = lambda **k: None
build_ext = runpy.run_path(root + "/setup.py")["BuildWithFlags"]
tiny = setuptools.Extension("tiny", [folder + "/tiny.c"], include_dirs=[root + "/_ext"])
setup(
    name="tiny", ext_modules=[tiny], cmdclass={"build_ext": build_ext}, py_modules=[],
    script_args=["-q", "build_ext", "-b", folder, "-t", folder],
)
"""

CALL = """
import ctypes, glob, sys
tiny = ctypes.CDLL(glob.glob(sys.argv[1] + "/tiny.*so")[0])
for name in ("lost", "error", "no_number", "plus_zero"):
    f = getattr(tiny, name)
    f.restype, f.argtypes = ctypes.c_double, [ctypes.c_double] * 2
small = float(sys.argv[2])
print(tiny.lost(1e16, 1.0), tiny.error(1 + 2.0**-30, 1 + 2.0**-30) == 2.0**-60,
      tiny.no_number(float("nan"), 0), tiny.plus_zero(-0.0, 0), small * 0.5 > 0)
"""


def python(folder, code, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS")} | environment,
    )


@pytest.mark.parametrize("flag", HOSTILE)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_flags_of_the_environment(tmp_path, compiler, flag):
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler}")
    (tmp_path / "tiny.c").write_text(SOURCE)
    flags = {"CC": compiler, "CFLAGS": flag, "LDFLAGS": flag, "LDSHARED": f"{compiler} -shared"}
    done = python(tmp_path, BUILD, str(ROOT), str(tmp_path), **flags)
    assert done.returncode == 0, done.stderr
    done = python(tmp_path, CALL, str(tmp_path), "1e-310")
    assert (done.stdout, done.stderr) == ("1.0 True 1.0 0.0 True\n", "")


@pytest.mark.parametrize("flag", HOSTILE)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_compiler_that_adds_flags_of_its_own(tmp_path, compiler, flag):
    """It is refused with the cure; clang, where it does not tell, is overruled."""
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler}")
    (tmp_path / "tiny.c").write_text(SOURCE)
    done = subprocess.run(
        [compiler, f"-I{ROOT / '_ext'}", "-fsyntax-only", tmp_path / "tiny.c", flag],
        capture_output=True,
        text=True,
    )
    silent = compiler == "clang" and flag == "-funsafe-math-optimizations"
    assert (done.returncode == 0) == silent
    assert silent or "cannot be built with fast math: take -ffast-math" in done.stderr
