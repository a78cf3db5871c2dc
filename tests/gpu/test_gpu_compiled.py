"""What NVRTC makes of the kernels: every variant, every architecture, and the machine code."""

from __future__ import annotations

import re

import gpu_proof
import pytest

gpu_proof.needed()

from gpu_proof import nvrtc, variants

from prelu_array._gpu import plan

ARCHITECTURES = [
    pytest.param(a, marks=() if a in (75, 90) else pytest.mark.thorough)
    for a in nvrtc.ARCHITECTURES
]
needs_sass = pytest.mark.skipif(
    variants.cuobjdump() is None, reason="no cuobjdump: pip install -e '.[gpu-proof]'"
)


@needs_sass
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_machine_code(architecture):
    """16-byte accesses on the vector paths, no local memory, 64 registers at most."""
    at = nvrtc.ARCHITECTURES.index(architecture)
    for k, (pair, layout, launch) in enumerate(variants.every()):
        # those of several spans, or that write most, have the fewest registers to spare
        tight = launch.kernel == "walk" and (
            variants.defined(launch, "SPANS") > 1 or "huge" in layout or "odd" in layout
        )
        if (k + 2 * at) % (4 if tight else 12):
            continue
        code = variants.Machine(variants.cubin(launch, architecture))
        where = f"{pair} {layout}: {launch.kernel} sm_{architecture}\n{launch.head}"
        assert code.registers <= 64, where
        assert code.local == 0, where
        if launch.kernel in ("scale", "walk") and layout in variants.VECTORS:
            size = variants.defined(launch, "VECTOR") * plan.SIZES[pair[0]]
            wide = {16: "LDG.E.128", 8: "LDG.E.64"}.get(size, "LDG.E")
            assert code.has(wide), where


def test_no_flush_to_zero():
    """CuPy's -ftz=true must find no float operation to change."""
    for _, _, launch in variants.every()[::9]:
        ptx = variants.ptx(launch, 80)
        assert not re.search(r"\.ftz\b", ptx), launch
        plain = re.findall(r"^\s*(?:add|sub|fma|div|sqrt|rcp)\.\w*\.?f32", ptx, re.M)
        assert all(re.search("fma.r[np].f32", line) for line in plain), launch
