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

    Disassembling takes its time: float32 is seen on every architecture, each pair on one.
    `python bench/gpu.py sass` looks at all.
    """
    at = nvrtc.ARCHITECTURES.index(architecture)
    seen = set()
    for k, pair in enumerate(variants.PAIRS):
        if pair != ("f32", "f32") and k % len(nvrtc.ARCHITECTURES) != at:
            continue
        for layout in variants.VECTORS:
            for launch in variants.launches(*pair, layout):
                shape = launch.kernel, launch.defines
                apart = ("WANT_DX", 0) in launch.defines or ("BACKWARD", 0) in launch.defines
                if shape in seen or apart:  # those have less to do
                    continue
                seen.add(shape)
                code = variants.Machine(variants.cubin(launch, architecture))
                where = f"{launch.kernel} {launch.defines} sm_{architecture}"
                assert code.registers <= 64, where
                assert code.stack == 0, where
                assert not code.has("LDL", "STL"), where
                half = pair[0] in ("f16", "bf16") and pair[1] == "f64"
                if launch.kernel in ("scale", "rows") or (launch.kernel == "cols" and not half):
                    assert code.has("LDG.E.128"), where
                    writes = launch.kernel == "scale" or ("WANT_DX", 1) in launch.defines
                    assert code.has("STG.E.128") or not writes, where


def test_no_flush_to_zero():
    """CuPy's -ftz=true must find no float operation to change."""
    for _, _, launch in variants.every()[::3]:
        ptx = variants.ptx(launch, 80)
        assert not re.search(r"\.ftz\b", ptx), launch
        plain = re.findall(r"^\s*(?:add|sub|fma|div|sqrt|rcp)\.\w*\.?f32", ptx, re.M)
        assert all("fma.rp.f32" in line for line in plain), launch
