"""Every kernel that a plan can ask for, by the real plans, and their machine code."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import tempfile
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from prelu_array import _gpu_kernels, _plan, _plan_sums

from . import nvrtc

CODES = ("f16", "bf16", "f32", "f64")
PAIRS = tuple(itertools.product(CODES, CODES))
SMS = 132
BIG = 2**31


def _dense(shape, item):
    return tuple(item * int(np.prod(shape[k + 1 :], dtype=np.int64)) for k in range(len(shape)))


def _along(shape, kept, item):
    """Strides of an alpha that lies along some axes, contiguous."""
    result, step = [0] * len(shape), item
    for k in reversed(kept):
        result[k] = step
        step *= shape[k]
    return tuple(result)


# name: (shape, axes of alpha, whether pointers are at multiples of 16 bytes)
_LAYOUTS = {
    "shared": ((1 << 22,), (), True),
    "shared, misaligned": ((1 << 22,), (), False),
    "shared, huge": ((BIG + 64,), (), True),
    "nchw": ((16, 64, 3136), (1,), True),
    "nchw, odd": ((16, 64, 49), (1,), True),
    "nchw, misaligned": ((16, 64, 3136), (1,), False),
    "nchw, huge": ((1024, 64, 1 << 16), (1,), True),
    "per sample": ((4096, 64), (0,), True),
    "nhwc": ((50176, 256), (1,), True),
    "nhwc, few": ((50176, 16), (1,), True),
    "nhwc, odd": ((50176, 3), (1,), True),
    "nhwc, misaligned": ((50176, 256), (1,), False),
    "nhwc, huge": ((1 << 24, 256), (1,), True),
    "per element": ((1 << 20,), (0,), True),
    "per element, misaligned": ((1 << 20,), (0,), False),
    "per feature": ((8, 1 << 16), (1,), True),
}
VECTORS = ("shared", "nchw", "nhwc", "per element")  # move 16 bytes at a time


def launches(x, alpha, layout, further=True):
    """Every kernel of a layout: forward, derivatives, the fused backwards, what follows them.

    `further`: also those of the second order and of states.
    """
    shape, kept, aligned = _LAYOUTS[layout]
    strides, a = _dense(shape, _plan.SIZES[x]), _along(shape, kept, _plan.SIZES[alpha])
    found = [
        _plan.scale(x, alpha, shape, (strides,) * n, a, aligned, aligned, back, second)
        for n, back, second in ((2, False, False), (3, True, False), (3, False, True))
        if further or not second
    ]
    passes = (3, True, "sums"), (2, False, "sums"), (5, True, "second"), (3, True, "states")
    for n, dx, kind in passes if further else passes[:2]:
        sums = _plan_sums.sums(
            x, alpha, shape, (strides,) * n, a, a, aligned, aligned, dx, SMS, kind
        )
        if kind != "states":
            found += [sums.first, sums.finish, sums.exact]
        elif sums is not None:
            found.append(sums.first)
    if further:
        found.append(_plan_sums.exact_launch(x, alpha, 1, 2, SMS, states=True))
        found += [_plan_sums.carry_launch(x, 1), _plan_sums.round_launch(x, alpha, 1)]
    return [launch for launch in found if launch is not None]


@lru_cache(maxsize=1)
def every():
    """(pair, layout, launch) once for each text; mixed pairs have the vector paths."""
    found = {}
    for pair in PAIRS:
        for layout in _LAYOUTS if pair[0] == pair[1] else VECTORS:
            for launch in launches(*pair, layout, layout in VECTORS or pair == ("f32", "f32")):
                found[launch.kernel, launch.head] = (pair, layout, launch)
    return list(found.values())


def defined(launch, name):
    """Return a definition at the head of a kernel's source."""
    found = re.search(rf"^#define {name} (.*)$", launch.head, re.M)[1]
    return int(found) if found.isdigit() else found


def cubin(launch, architecture):
    text = _gpu_kernels.source(launch.kernel, launch.head)
    return nvrtc.compile_text(text, _gpu_kernels.OPTIONS, architecture, "cubin")


def ptx(launch, architecture):
    text = _gpu_kernels.source(launch.kernel, launch.head)
    return nvrtc.compile_text(text, _gpu_kernels.OPTIONS, architecture)


def cuobjdump():
    """Where the disassembler is, or None."""
    try:
        import nvidia
    except ImportError:
        return shutil.which("cuobjdump")
    for folder in nvidia.__path__:
        for found in Path(folder).glob("*/bin/cuobjdump"):
            return str(found)
    return shutil.which("cuobjdump")


class Machine:
    """Machine code: its registers, its local memory in bytes, its instructions in order."""

    def __init__(self, code):
        self.code = code
        usage = re.search(
            r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", self._dump("-res-usage")
        )
        self.registers = int(usage[1])
        self.local = int(usage[2]) + int(usage[3])

    def _dump(self, what):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.cubin"
            path.write_bytes(self.code)
            command = [cuobjdump(), what, path]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @cached_property
    def instructions(self):
        """(address, opcode, the rest); the disassembler takes its time."""
        return re.findall(
            r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);",
            self._dump("-sass"),
        )

    @property
    def opcodes(self):
        return [name for _, name, _ in self.instructions]

    def has(self, *starts):
        return any(name.startswith(starts) for name in self.opcodes)

    def loop_of(self, *needed):
        """Return the opcodes of the smallest loop that has each of these."""
        places = [int(address, 16) for address, _, _ in self.instructions]
        best = None
        for k, (_, name, rest) in enumerate(self.instructions):
            target = re.search(r"0x([0-9a-f]+)", rest)
            if not name.startswith("BRA") or not target or int(target[1], 16) > places[k]:
                continue
            start = places.index(int(target[1], 16))
            body = self.opcodes[start : k + 1]
            if all(any(o.startswith(n) for o in body) for n in needed) and (
                best is None or len(body) < len(best)
            ):
                best = body
        return best
