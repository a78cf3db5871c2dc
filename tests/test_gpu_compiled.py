"""What NVRTC makes of the kernels: every variant, every architecture, and the machine code."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("cupy", reason="the GPU proof needs CuPy: pip install -e '.[gpu-proof]'")
pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
pytest.importorskip("nvidia", reason="no NVRTC: pip install -e '.[gpu-proof]'")

from gpu_proof import nvrtc, variants

from prelu_array import _plan

needs_sass = pytest.mark.skipif(
    variants.cuobjdump() is None, reason="no cuobjdump: pip install -e '.[gpu-proof]'"
)


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_other_variants_compile(architecture):
    """Each variant that test_machine_code does not look at, for one architecture."""
    at = nvrtc.ARCHITECTURES.index(architecture)
    others = [launch for _, layout, launch in variants.every() if layout not in variants.VECTORS]
    for launch in others[at :: len(nvrtc.ARCHITECTURES)]:
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
                text = launch.kernel, launch.head
                if text in seen:
                    continue
                seen.add(text)
                code = variants.Machine(variants.cubin(launch, architecture))
                where = f"{launch.kernel} sm_{architecture}\n{launch.head}"
                assert code.registers <= 64, where
                assert code.local == 0, where
                has_all = re.search("#define (WANT_DX|BACKWARD|SECOND) 1\n", launch.head)
                if not has_all or pair[0] != pair[1]:
                    continue  # reading machine code takes its time
                if variants.defined(launch, "VECTOR") * _plan.SIZES[pair[0]] == 16:
                    assert not code.has("LDL", "STL"), where
                    assert code.has("LDG.E.128"), where
                    assert code.has("STG.E.128"), where


def test_no_flush_to_zero():
    """CuPy's -ftz=true must find no float operation to change."""
    for _, _, launch in variants.every()[::5]:
        ptx = variants.ptx(launch, 80)
        assert not re.search(r"\.ftz\b", ptx), launch
        plain = re.findall(r"^\s*(?:add|sub|fma|div|sqrt|rcp)\.\w*\.?f32", ptx, re.M)
        assert all("fma.rp.f32" in line for line in plain), launch
