"""The compiled module and the description; everything else is in pyproject.toml."""

import re
import subprocess
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

MSVC = ["/O2", "/std:c11", "/fp:precise"]
# They undo what CFLAGS and LDFLAGS may ask for, for they come last: compilers and linkers are
# called with the environment's flags first. Linked with fast math, gcc and clang add code that
# switches subnormals off for the whole process.
STRICT = [
    "-O3",
    "-fno-fast-math",
    "-fno-unsafe-math-optimizations",
    "-fno-finite-math-only",
    "-fsigned-zeros",
    "-fno-associative-math",
    "-fno-reciprocal-math",
]
STRICT_WHERE_KNOWN = [
    "-mno-daz-ftz",
    "-fno-single-precision-constant",
    "-fno-approx-func",
    "-fhonor-nans",
    "-fhonor-infinities",
    "-fdenormal-fp-math=ieee",
]
GCC_AND_CLANG = [
    "-std=gnu11",
    # Without it gcc vectorises no select: the branch that is not taken might raise a flag.
    "-fno-trapping-math",
    # fma and ldexp need not set errno.
    "-fno-math-errno",
    # A product and a sum are two roundings everywhere, also where the machine has fma.
    "-ffp-contract=off",
    "-fvisibility=hidden",
    # Python's own flags may ask for debugging symbols: four fifths of the file.
    "-g0",
]
GCC = [  # for speed alone; clang knows neither the flags nor what they prevent
    # A group copied by a loop stays in registers; a memcpy of it goes through memory.
    "-fno-tree-loop-distribute-patterns",
    # Threaded jumps turn one select into two copies of what follows it, both computed.
    "-fno-thread-jumps",
]


class BuildWithFlags(build_ext):
    """Choose the flags by the compiler that is there, whatever the system or its name."""

    def build_extensions(self):
        """Build, with one set of flags for all extensions."""
        if self.compiler.compiler_type == "msvc":
            compile_flags, link_flags = MSVC, []
        else:
            link_flags = STRICT + [flag for flag in STRICT_WHERE_KNOWN if self.knows(flag)]
            compile_flags = link_flags + GCC_AND_CLANG + [flag for flag in GCC if self.knows(flag)]
        for extension in self.extensions:
            extension.extra_compile_args = compile_flags
            extension.extra_link_args = link_flags
        super().build_extensions()

    def build_extension(self, extension):
        """Build, unless an earlier editable install made the module of these files."""
        made = Path(self.get_ext_filename(extension.name))
        # Cython adds NumPy's headers, which are new in each environment that pip builds in
        own = [path for path in map(Path, extension.depends) if not path.is_absolute()]
        files = [Path(__file__), *own]
        newest = max(file.stat().st_mtime for file in files)
        if self.editable_mode and made.exists() and made.stat().st_mtime > newest:
            to = Path(self.get_ext_fullpath(extension.name))
            to.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(made), str(to))
        else:
            super().build_extension(extension)

    def knows(self, flag):
        """Return whether the compiler takes a flag."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "empty.c")
            source.write_text("int nothing;\n")
            command = [*self.compiler.compiler_so, "-Werror", flag, "-c", str(source)]
            return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


sources = ["_cpu.pyx", "dalpha.c", "settle.c", "parallel.c", "threads.c", "walk.c", "tile.c"]
sources += ["lanes.c", "gather.c", "dispatch.c"]
sources += ["loops_baseline.c", "loops_avx2.c", "loops_avx512.c"]
cpu = Extension(
    "prelu_array._cpu",
    [f"_ext/{name}" for name in sources],
    # with _cpu.pyx: cythonize replaces it by its C in the sources, and an sdist needs it
    depends=[
        "_ext/_cpu.pyx",
        *(str(path) for path in Path("_ext").glob("*.pxi")),
        "prelu_array/prelu_scalar.h",
        *(str(path) for path in Path("_ext").glob("*.[ch]")),
    ],
    include_dirs=["_ext", "prelu_array", numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
)

# Where the package is listed a picture, or a link to a file of the repository, leads nowhere.
description = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
description = re.sub(r"!\[[^\]]*\]\([^)]*\)\n\n", "", description)
description = re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", description)

setup(
    long_description=description,
    long_description_content_type="text/markdown",
    ext_modules=cythonize([cpu], build_dir="build"),
    cmdclass={"build_ext": BuildWithFlags},
    # So an editable install puts the clone itself on the path. Otherwise it installs a finder,
    # which comes after the path: in the folder above a clone called prelu_array, Python would
    # import the clone's folder in place of the package.
    package_dir={"": "."},
)
