"""Compile a CUDA text as CuPy would, for any architecture, on a machine without a GPU."""

from __future__ import annotations

from functools import cache

from cupy._core import core
from cupy.cuda import compiler

ARCHITECTURES = (75, 80, 86, 90, 100, 120)
CUPY_HEADERS = "".join(f"#include <{name}>\n" for name in core._cupy_header_list)


@cache
def compile_text(text, options, architecture, to="ptx"):
    """PTX as text, or a cubin; `options` as CuPy gets them."""
    machine = f"-arch={'compute' if to == 'ptx' else 'sm'}_{architecture}"
    every = (
        *core.assemble_cupy_compiler_options(tuple(options)),
        "-ftz=true",  # CuPy appends it for every kernel, last
        machine,
        "--device-as-default-execution-space",
    )
    program = compiler._NVRTCProgram(text, "kernel.cu", (), (), method=to)
    result = program.compile(every, None)[0]
    return result.decode() if to == "ptx" else result + b"\0"  # CuPy cuts the last byte
