"""The plan: which kernel runs, in pure Python, without CuPy."""

from __future__ import annotations

import re

import pytest

from prelu_array import _plan, _plan_sums


def strides(shape, item, order="C"):
    result, step = [], item
    for n in reversed(shape) if order == "C" else shape:
        result.append(step)
        step *= n
    return tuple(reversed(result) if order == "C" else result)


def scale(shape, alpha, x="f32", aligned=True, layout=None):
    s = layout or strides(shape, _plan.SIZES[x])
    return _plan.scale(x, "f32", shape, (s, s), alpha, aligned, aligned, False)


def value(launch, key):
    found = re.search(rf"#define {key} (.*)", launch.head)[1]
    return int(found) if found.isdigit() else found


@pytest.mark.parametrize(
    ("shape", "alpha", "along"),
    [
        ((4, 3, 8), (0, 0, 0), "ONE"),
        ((4, 3, 8), (0, 4, 0), "RUN"),
        ((4, 3, 7), (0, 4, 0), "EACH"),
        ((4, 3, 8), (0, 0, 4), "ALONG_VECTOR"),
        ((4, 3, 8), (96, 32, 4), "ALONG_VECTOR"),
        ((4, 3, 8), (0, 0, 8), "EACH"),
        ((4, 3, 8), (32, 0, 4), "ALONG_VECTOR"),
        ((4, 3, 6), (0, 0, 4), "EACH"),
    ],
)
def test_how_alpha_goes_along(shape, alpha, along):
    assert value(scale(shape, alpha), "ALONG") == along


@pytest.mark.parametrize(("x", "vector"), [("f16", 8), ("bf16", 8), ("f32", 4), ("f64", 2)])
def test_vectors_are_16_bytes_where_pointers_allow_it(x, vector):
    assert value(scale((64,), (0,), x), "VECTOR") == vector
    assert value(scale((64,), (0,), x, aligned=False), "VECTOR") == 1


@pytest.mark.parametrize(("n", "integer"), [(2**31 - 2048, "int"), (2**31, "long long")])
def test_indices_get_64_bits_in_time(n, integer):
    launch = scale((n,), (0,), x="f64")
    assert value(launch, "I") == integer
    assert {s.dtype.itemsize for s in launch.scalars} == {4 if integer == "int" else 8}


def test_any_memory_order_is_dense_but_gaps_are_not():
    fortran = strides((4, 3, 8), 4, "F")
    assert scale((4, 3, 8), (0, 4, 0), layout=fortran) is not None
    assert scale((4, 3, 8), (0, 4, 0), layout=(192, 64, 8)) is None
    assert scale((4, 3, 8), (0, 4, 0), layout=(-96, 32, 4)) is None
    assert scale((2, 3, 4, 5), (60, 0, 20, 0)) is None  # four runs


def sums(shape, alpha, x="f32", alpha_dtype="f32", dx=True):
    s = strides(shape, _plan.SIZES[x])
    return _plan_sums.sums(
        x, alpha_dtype, shape, (s,) * (2 + dx), alpha, alpha, True, True, dx, 108
    )


def test_which_backward():
    assert sums((64, 32, 49), (0, 4, 0)).first.kernel == "rows"
    assert sums((64, 49, 32), (0, 0, 4)).first.kernel == "cols"
    assert sums((64, 49), (0, 0)).first.kernel == "rows"
    assert sums((64, 49, 32), (128, 0, 4)) is None  # two runs of axes: CuPy's reduction
    alone = sums((64, 32), (128, 4))
    assert alone.first.kernel == "cols"
    assert alone.finish is None
    assert alone.exact is None


@pytest.mark.parametrize("shape", [(1 << 27,), (1 << 33,), (7,), (1,)])
def test_no_thread_adds_too_many_terms(shape):
    plan = sums(shape, (0,))
    channels, _, stream, tail, chunk, chunks, _ = (int(v) for v in plan.first.scalars)
    assert channels == 1
    assert chunk * chunks >= stream > chunk * (chunks - 1) or stream == 0
    assert stream * 4 + tail == shape[0]
    assert chunk <= _plan_sums.ROWS_STEPS * plan.first.block
    assert plan.first.grid == chunks
    assert plan.bound <= (_plan_sums.ROWS_STEPS + 8) * 2.0**-52


@pytest.mark.parametrize(("step", "integer"), [(2**24, "int"), (2**26, "long long")])
def test_alphas_far_apart_get_64_bits(step, integer):
    for shape, alpha in (((2, 64, 8), (0, 4 * step, 0)), ((2, 64), (0, 4 * step))):
        assert value(scale(shape, alpha), "I") == integer
        assert value(sums(shape, alpha).first, "I") == integer


def test_large_columns_are_covered():
    rows, channels = 1 << 22, 96
    plan = sums((rows, channels), (0, 4))
    _, _, chunk, chunks, _ = (int(v) for v in plan.first.scalars)
    assert chunk * chunks >= rows > chunk * (chunks - 1)
    assert plan.first.grid % chunks == 0
    assert plan.partials == chunks * channels


@pytest.mark.parametrize("at_one", [False, True])
def test_edge_is_zero_or_the_number_below_it(at_one):
    assert _plan.edge("f16", "f32", at_one) == (-(2.0**-149) if at_one else 0.0)
    assert _plan.edge("f32", "f64", at_one) == (-(2.0**-1074) if at_one else 0.0)
