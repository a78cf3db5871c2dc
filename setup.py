"""The compiled module; everything else about the package stands in pyproject.toml."""

import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

if sys.platform == "win32":
    flags = ["/O2", "/std:c11", "/fp:precise"]
else:
    flags = [
        "-std=gnu11",
        "-O3",
        # Without it gcc vectorises no select: the lane that is not taken might raise a flag.
        "-fno-trapping-math",
        # fma and ldexp need not set errno.
        "-fno-math-errno",
        # A product and a sum are two roundings everywhere, also where the machine has fma.
        "-ffp-contract=off",
        # A group copied by a loop stays in registers; made a memcpy, it goes through memory.
        "-fno-tree-loop-distribute-patterns",
        # Threaded jumps turn one select into two copies of what follows it, both computed.
        "-fno-thread-jumps",
        "-fvisibility=hidden",
    ]

sources = ["_cpu.pyx", "engine.c", "walk.c", "loops_baseline.c", "loops_avx2.c", "loops_avx512.c"]
cpu = Extension(
    "prelu_array._cpu",
    [f"_ext/{name}" for name in sources],
    # with _cpu.pyx: cythonize puts its C in the place of the source, which an sdist needs
    depends=[
        "_ext/_cpu.pyx",
        "prelu_array/prelu_scalar.h",
        *(str(path) for path in Path("_ext").glob("*.h")),
    ],
    include_dirs=["_ext", "prelu_array", numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    extra_compile_args=flags,
)

setup(ext_modules=cythonize([cpu], build_dir="build"))
