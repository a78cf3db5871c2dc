"""The plan: which kernel runs, in pure Python, without CuPy."""

from __future__ import annotations

import re
import struct
import sys
from importlib.util import module_from_spec, spec_from_file_location
from math import prod
from pathlib import Path
from types import ModuleType

import pytest

import prelu_array


def _load(name):
    """Import a module of the package prelu_array._gpu, whose __init__ imports CuPy."""
    package = sys.modules.setdefault("planned", ModuleType("planned"))
    folder = Path(prelu_array.__file__).parent / "_gpu"
    package.__path__ = [str(folder)]
    spec = spec_from_file_location(f"planned.{name}", folder / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


plan, walk = _load("plan"), _load("walk")
DEVICE = walk.Device(132, False)


def strides(shape, item, order="C"):
    result, step = [], item
    for n in reversed(shape) if order == "C" else shape:
        result.append(step)
        step *= n
    return tuple(reversed(result) if order == "C" else result)


def scale(shape, alpha, x="f32", low_bits=0, layout=None):
    s = layout or strides(shape, plan.SIZES[x])
    along = s, None, s, None, None, alpha, None, None
    found = plan.scale(plan.Case(x, "f32", shape, along, (low_bits, low_bits)))
    return None if found is None else found.launches[0]


def value(launch, key):
    found = re.search(rf"#define {key} (.*)", launch.head)[1]
    return int(found) if found.isdigit() else found


@pytest.mark.parametrize(
    ("shape", "alpha", "along", "cut"),
    [
        ((4, 3, 8), (0, 0, 0), "ONE", 0),
        ((4, 3, 8), (0, 4, 0), "RUNS", 0),
        ((4, 3, 7), (0, 4, 0), "RUNS", 1),
        ((4, 3, 3), (0, 4, 0), "EACH", 1),
        ((4, 3, 8), (0, 0, 4), "VECTORS", 0),
        ((4, 3, 8), (96, 32, 4), "VECTORS", 0),
        ((4, 3, 8), (0, 0, 8), "EACH", 0),
        ((4, 3, 8), (32, 0, 4), "VECTORS", 0),
        ((4, 3, 6), (0, 0, 4), "EACH", 1),
        ((2, 3, 4, 8), (60, 0, 20, 0), "RUNS", 0),
    ],
)
def test_how_alpha_goes_along(shape, alpha, along, cut):
    launch = scale(shape, alpha)
    assert value(launch, "ALONG") == along
    assert value(launch, "CUT") == cut


@pytest.mark.parametrize(
    ("x", "low_bits", "vector"),
    [
        ("f16", 0, 8), ("bf16", 0, 8), ("f32", 0, 4), ("f64", 0, 2),
        ("f16", 8, 4), ("f16", 4, 2), ("f16", 2, 1), ("f32", 8, 2), ("f32", 12, 1), ("f64", 8, 1),
    ],
)  # fmt: skip
def test_vectors_are_as_long_as_addresses_allow(x, low_bits, vector):
    assert value(scale((64,), (0,), x, low_bits), "VECTOR") == vector


@pytest.mark.parametrize(("n", "integer"), [(2**31 - 2048, "int"), (2**31, "long long")])
def test_indices_get_64_bits_in_time(n, integer):
    assert value(scale((n,), (0,), x="f64"), "I") == integer


@pytest.mark.parametrize(("step", "integer"), [(2**24, "int"), (2**26, "long long")])
def test_alphas_far_apart_get_64_bits(step, integer):
    for shape, alpha in (((2, 64, 8), (0, 4 * step, 0)), ((2, 64), (0, 4 * step))):
        assert value(scale(shape, alpha), "I") == integer


def test_division_by_multiplication():
    """What the kernel divides by, below 2^31."""
    for n in (2, 3, 5, 7, 49, 64, 196, 1000, 4096, 65537, 2**20 - 1, 2**30 + 1):
        launch = scale((2, n), (4, 0))
        factor, shift = (struct.unpack("5q4I", launch.words)[k] for k in (6, 8))
        for e in (0, 1, n - 1, n, n + 1, 2**31 - 1, (2**31 - 1) // n * n - 1):
            assert (e * factor >> 32) >> shift == e // n


def test_any_memory_order_is_dense_but_gaps_are_not():
    fortran = strides((4, 3, 8), 4, "F")
    assert scale((4, 3, 8), (0, 4, 0), layout=fortran) is not None
    assert scale((4, 3, 8), (0, 4, 0), layout=(192, 64, 8)) is None
    assert scale((4, 3, 8), (0, 4, 0), layout=(-96, 32, 4)) is None
    assert scale((2,) * 8, tuple(4 * (k % 2) for k in range(8))) is None  # too many runs


def sums(shape, kept, x="f32", kind="sums", device=DEVICE, order="C"):
    """Plan for an alpha along some axes of x."""
    alpha, step = [0] * len(shape), plan.SIZES[x]
    for k in reversed(kept):
        alpha[k], step = step, step * shape[k]
    s = strides(shape, plan.SIZES[x], order)
    more = (s, tuple(alpha)) if kind == "second" else (None, None)
    along = s, more[0], s, s, more[0], tuple(alpha), more[1], tuple(alpha)
    return walk.walk(plan.Case(x, x, shape, along, (0, 0), kind == "states"), device)


FIELDS = [
    "far", "jump", "slab", "total", "skip", "end", "whole", "step", "stride", "beside", "period",
    "a_far", "a_near", "d_far", "d_near", "terms", "inner", "alphas", "periods_of_slab", "slabs",
    "spans", "groups", "width", "rows", "count", "entries", "periods", "steps", "chunk",
    "chunks", "fan", "fans", "tail", "counters", "bound",
]  # fmt: skip


def fields(launch):
    return dict(zip(FIELDS, struct.unpack("19q15id", launch.words), strict=True))


LAYOUTS = {
    "one alpha": ((1 << 26,), ()),
    "one alpha, odd": ((1234567,), ()),
    "small": ((1000,), ()),
    "NCHW": ((256, 64, 4096), (1,)),
    "NCHW 14x14": ((1337, 256, 196), (1,)),
    "NCHW 7x7": ((2674, 512, 49), (1,)),
    "NHWC": ((262144, 256), (1,)),
    "NHWC 3": ((22369621, 3), (1,)),
    "NHWC, wide": ((32768, 2048), (1,)),
    "per feature": ((64, 1048576), (1,)),
    "64 terms": ((1048576, 64), (0,)),
    "two runs": ((64, 16384, 64), (0, 2)),
    "two runs in a batch": ((32, 56, 585, 64), (1, 3)),
    "odd runs": ((1047, 64, 1001), (1,)),
}


@pytest.mark.parametrize("x", plan.SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_a_plan(layout, x):
    """Blocks cover all steps, none is empty, and the last ones do not keep others waiting."""
    shape, kept = LAYOUTS[layout]
    for kind in ("sums", "second", "states"):
        found = sums(shape, kept, x, kind)
        f = fields(found.launches[0])
        assert f["chunk"] * f["chunks"] >= f["steps"] > f["chunk"] * (f["chunks"] - 1)
        assert f["fan"] * f["fans"] >= f["chunks"] > f["fan"] * (f["fans"] - 1)
        assert found.launches[0].grid == f["slabs"] * f["groups"] * f["chunks"]
        assert f["groups"] * value(found.launches[0], "SPANS") >= f["spans"]
        assert f["terms"] * f["slabs"] * f["alphas"] == prod(shape)
        if layout not in ("odd runs", "small") and kind == "sums":
            assert value(found.launches[0], "VECTOR") * plan.SIZES[x] == 16
            if prod(shape) >= 1 << 24:
                assert found.launches[0].grid >= 0.9 * 4 * 132


def test_launches():
    """One where no doubt can be left, or the block that finds it can settle it; else two."""
    assert len(sums((1 << 19,), ()).launches) == 1
    assert len(sums((1 << 20,), ()).launches) == 2
    assert len(sums((64, 1 << 20), (1,)).launches) == 1
    each = sums((1 << 24,), (0,))
    assert value(each.launches[0], "ONE_TERM") == 1
    assert len(each.launches) == 1
    assert each.scratch == 0


def test_three_runs_have_no_plan():
    assert sums((3, 4, 3, 4, 3), (0, 2, 4)) is None
    assert sums((3, 4, 3, 4), (0, 2)) is not None
    assert sums((4, 3, 4, 3, 4), (1, 3)) is not None


def test_scarce_doubles_sum_sizes():
    few = walk.Device(128, True)
    for x, rich, scarce in (("f16", 1, 1), ("f32", 0, 1), ("f64", 0, 0)):
        assert value(sums((1 << 20,), (), x).launches[0], "SIZES") == rich
        assert value(sums((1 << 20,), (), x, device=few).launches[0], "SIZES") == scarce


@pytest.mark.parametrize("at_one", [False, True])
def test_edge_is_zero_or_the_number_below_it(at_one):
    assert plan.edge("f16", "f32", at_one) == (-(2.0**-149) if at_one else 0.0)
    assert plan.edge("f32", "f64", at_one) == (-(2.0**-1074) if at_one else 0.0)
