"""What NVRTC makes of the kernels: every variant, every architecture, and the machine code."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("cupy", reason="the GPU proof needs CuPy: pip install prelu_array[gpu-proof]")
pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
pytest.importorskip("nvidia", reason="no NVRTC: pip install prelu_array[gpu-proof]")

from gpu_proof import nvrtc, variants

needs_sass = pytest.mark.skipif(
    variants.cuobjdump() is None, reason="no cuobjdump: pip install prelu_array[gpu-proof]"
)


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_variants_compile(architecture):
    """Each variant for one architecture, those of float32 for all."""
    at = nvrtc.ARCHITECTURES.index(architecture)
    for k, (pair, _, launch) in enumerate(variants.every()):
        if pair == ("f32", "f32") or k % len(nvrtc.ARCHITECTURES) == at:
            assert variants.cubin(launch, architecture)[:4] == b"\x7fELF"


@needs_sass
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_machine_code(architecture):
    """16-byte accesses on the vector paths, nothing in local memory, 64 registers at most.

    Each pair of dtypes on one architecture, float32 on all; `python bench/gpu.py sass` looks at
    the registers of all.
    """
    at = nvrtc.ARCHITECTURES.index(architecture)
    seen = set()
    for k, pair in enumerate(variants.PAIRS):
        if pair != ("f32", "f32") and k % len(nvrtc.ARCHITECTURES) != at:
            continue
        for layout in variants.VECTORS:
            for launch in variants.launches(*pair, layout):
                text = launch.kernel, launch.defines
                if text in seen:
                    continue
                seen.add(text)
                code = variants.Machine(variants.cubin(launch, architecture))
                where = f"{launch.kernel} {launch.defines} sm_{architecture}"
                assert code.registers <= 64, where
                assert code.local == 0, where
                has_all = ("WANT_DX", 1) in launch.defines or ("BACKWARD", 1) in launch.defines
                if pair[0] == pair[1] and has_all:  # reading machine code takes its time
                    assert not code.has("LDL", "STL"), where
                    assert code.has("LDG.E.128"), where
                    assert code.has("STG.E.128"), where


def test_no_flush_to_zero():
    """CuPy's -ftz=true must find no float operation to change."""
    for _, _, launch in variants.every()[::3]:
        ptx = variants.ptx(launch, 80)
        assert not re.search(r"\.ftz\b", ptx), launch
        plain = re.findall(r"^\s*(?:add|sub|fma|div|sqrt|rcp)\.\w*\.?f32", ptx, re.M)
        assert all("fma.rp.f32" in line for line in plain), launch
