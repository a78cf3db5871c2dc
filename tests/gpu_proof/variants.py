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

from prelu_array._gpu import launches as _launches
from prelu_array._gpu import plan as _plan
from prelu_array._gpu import walk as _walk

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


# name: (shape, axes of alpha, the bits below 16 of addresses)
LAYOUTS = {
    "shared": ((1 << 22,), (), 0),
    "shared, misaligned": ((1 << 22,), (), 8),
    "shared, huge": ((BIG + 64,), (), 0),
    "nchw": ((64, 64, 3136), (1,), 0),
    "nchw, small": ((1337, 256, 196), (1,), 0),
    "nchw, odd": ((2674, 512, 49), (1,), 0),
    "nchw, huge": ((1024, 64, 1 << 16), (1,), 0),
    "nhwc": ((262144, 256), (1,), 0),
    "nhwc, wide": ((32768, 2048), (1,), 0),
    "nhwc, odd": ((500000, 3), (1,), 0),
    "nhwc, misaligned": ((50176, 256), (1,), 4),
    "nhwc, huge": ((1 << 24, 256), (1,), 0),
    "per element": ((1 << 20,), (0,), 0),
    "per element, misaligned": ((1 << 20,), (0,), 8),
    "per feature": ((64, 1 << 20), (1,), 0),
    "64 terms": ((1 << 20, 64), (0,), 0),
    "10 terms": ((6710880, 10), (0,), 0),
    "two runs": ((64, 16384, 64), (0, 2), 0),
    "small": ((20, 64, 196), (1,), 0),
}
VECTORS = (  # those that move 16 bytes at a time
    "shared", "nchw", "nchw, small", "nchw, odd", "nhwc", "nhwc, odd", "per element",
    "per feature", "64 terms", "two runs", "small",
)  # fmt: skip


SLOTS = {  # the operands that there are; those of x's shape are before alpha
    "forward": (_plan.OUT, _plan.X, _plan.ALPHA),
    "dx": (_plan.OUT, _plan.X, _plan.DY, _plan.ALPHA),
    "jvp": (_plan.OUT, _plan.X, _plan.DDX, _plan.ALPHA, _plan.DDALPHA),
    "dalpha": (_plan.X, _plan.DY, _plan.ALPHA, _plan.RESULT),
    "sums": (_plan.OUT, _plan.X, _plan.DY, _plan.ALPHA, _plan.RESULT),
    "second": range(_plan.RESULT + 1),
    "states": (_plan.OUT, _plan.X, _plan.DY, _plan.ALPHA, _plan.RESULT),
}


def case(x, alpha, layout, kind):
    """Return what a layout is to the plans."""
    shape, kept, bits = LAYOUTS[layout]
    strides, a = _dense(shape, _plan.SIZES[x]), _along(shape, kept, _plan.SIZES[alpha])
    along = (strides,) * _plan.ALPHA + (a,) * (_plan.RESULT + 1 - _plan.ALPHA)
    there = tuple(s if k in SLOTS[kind] else None for k, s in enumerate(along))
    return _plan.Case(x, alpha, shape, there, (bits, bits), kind == "states")


def walk(x, alpha, layout, kind, scarce=False):
    """Plan the sums of a layout; the first launch is the walk's."""
    return _walk.walk(case(x, alpha, layout, kind), _walk.Device(SMS, scarce)).launches


def launches(x, alpha, layout):
    """Every kernel of a layout: forward, derivatives, the fused backwards, what follows them."""
    found = []
    for kind in ("forward", "dx", "jvp"):
        found += _plan.scale(case(x, alpha, layout, kind)).launches
    for kind in ("sums", "dalpha", "second", "states"):
        found += walk(x, alpha, layout, kind)
    found.append(walk(x, alpha, layout, "sums", scarce=True)[0])
    found.append(_walk.rounding(x, alpha, 1))
    return found


@lru_cache(maxsize=1)
def every():
    """(pair, layout, launch) once for each text; mixed pairs have a few layouts."""
    found = {}
    for pair in PAIRS:
        for layout in LAYOUTS if pair[0] == pair[1] else ("nchw", "nhwc, odd"):
            for launch in launches(*pair, layout):
                found.setdefault((launch.kernel, launch.head), (pair, layout, launch))
    return list(found.values())


def defined(launch, name):
    """Return a definition at the head of a kernel's source."""
    found = re.search(rf"^#define {name} (.*)$", launch.head, re.M)[1]
    return int(found) if found.isdigit() else found


def cubin(launch, architecture):
    text = _launches.source(launch.kernel, launch.head)
    return nvrtc.compile_text(text, _launches.OPTIONS, architecture, "cubin")


def ptx(launch, architecture):
    text = _launches.source(launch.kernel, launch.head)
    return nvrtc.compile_text(text, _launches.OPTIONS, architecture)


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
