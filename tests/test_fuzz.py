"""Hypothesis: any shapes, strides, placements, dtypes and bits, against the reference."""

from __future__ import annotations

import fuzz_calls
import numpy as np
import pytest
from arrays import (
    AT_ZERO,
    DTYPES,
    PAIRS,
    any_bits,
    assert_same_bits,
    check_backward,
    check_forward,
    name,
    numbers,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, basic_indices

from prelu_array import prelu, prelu_backward
from prelu_array.testing import prelu_inputs, reference_prelu, reference_prelu_backward

fuzz = settings(
    derandomize=True,
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the same for all examples
)


@st.composite
def memory(draw, dtype, shape):
    """Cut an array of a shape out of a larger one: any step, any order of axes, any bits.

    What is drawn makes the array of a library.
    """
    steps = draw(
        st.lists(st.integers(-3, 3).filter(bool), min_size=len(shape), max_size=len(shape))
    )
    starts = draw(st.lists(st.integers(0, 2), min_size=len(shape), max_size=len(shape)))
    order = draw(st.permutations(range(len(shape))))
    expanded = draw(
        st.lists(st.sampled_from([False] * 5 + [True]), min_size=len(shape), max_size=len(shape))
    )
    lengths = [
        (1 if one else n) * abs(step) + start
        for n, step, start, one in zip(shape, steps, starts, expanded, strict=True)
    ]
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    make = draw(st.sampled_from([any_bits, numbers, numbers]))
    buffer = make(rng, [lengths[k] for k in order], dtype)

    def cut(module=np):
        view = module.asarray(buffer).transpose(np.argsort(order).tolist())
        view = view[tuple(slice(start, None) for start in starts)]
        view = view[tuple(slice(None, None, step) for step in steps)]
        view = view[tuple(slice(1 if one else n) for n, one in zip(shape, expanded, strict=True))]
        return module.broadcast_to(view, shape)

    return cut


@st.composite
def shapes_and_axis(draw, most=6):
    """x.shape, alpha.shape and axis that fit."""
    shape = tuple(draw(st.lists(st.integers(0, most), max_size=4)))
    kind = draw(st.sampled_from(["one", "trailing", "axis", "axes"] if shape else ["one"]))
    if kind == "one":
        return shape, (1,) * draw(st.integers(0, 3)), None
    if kind == "trailing":
        start = draw(st.integers(0, len(shape)))
        axis, lengths = None, shape[start:]
    elif kind == "axis":
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        return shape, (shape[axis],), axis
    else:
        order = draw(st.permutations(range(len(shape))))
        chosen = order[: draw(st.integers(0, len(shape)))]
        axis = tuple(k - len(shape) if draw(st.booleans()) else k for k in chosen)
        lengths = tuple(shape[k] for k in axis)
    ones = draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    return shape, tuple(1 if one else n for n, one in zip(lengths, ones, strict=True)), axis


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_any_memory_and_any_placement(way, dtype, alpha_dtype):
    @fuzz
    @given(st.data())
    def check(data):
        shape, alpha_shape, axis = data.draw(shapes_and_axis())
        x, dy = (data.draw(memory(dtype, shape))(way.module) for _ in range(2))
        alpha = data.draw(memory(alpha_dtype, alpha_shape))(way.module)
        check_forward(x, alpha, axis)
        check_backward(x, alpha, dy, axis)

    check()


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_larger_shapes(way, dtype):
    """Long enough for whole vectors and for the loops of long runs."""

    @settings(fuzz, max_examples=15)
    @given(st.data())
    def check(data):
        shape = tuple(
            data.draw(st.sampled_from([(3, 700), (700, 3), (2, 65, 33), (33, 64), (2, 3, 257)]))
        )
        axis = data.draw(st.sampled_from([None, *range(len(shape))]))
        alpha_shape = () if axis is None else (shape[axis],)
        x, dy = (data.draw(memory(dtype, shape))(way.module) for _ in range(2))
        alpha = data.draw(memory(data.draw(st.sampled_from(DTYPES)), alpha_shape))(way.module)
        check_forward(x, alpha, axis)
        check_backward(x, alpha, dy, axis)

    check()


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_numbers_that_hypothesis_finds(backend, dtype):
    """Its own values: it shrinks them to the simplest that fails."""

    @fuzz
    @given(st.data())
    def check(data):
        case = data.draw(prelu_inputs(dtype=dtype, alpha_dtype=data.draw(st.sampled_from(DTYPES))))
        axis = None if case.alpha.size == 1 else case.axis
        x, alpha, dy = map(backend.asarray, (case.x, case.alpha, case.dy))
        check_forward(x, alpha, axis)
        check_backward(x, alpha, dy, axis)

    check()


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_views_of_one_buffer(backend, dtype):
    """x, dy, alpha, dx and dalpha overlap in any way; the result is that of no overlap."""

    @settings(fuzz, max_examples=100)
    @given(st.data())
    def check(data):
        rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
        buffer = numbers(rng, 120, dtype)

        def view(shape):
            """Any start and steps that stay inside; rows that do not overlap each other."""
            if len(shape) == 2:
                inner = data.draw(st.integers(1, 2))
                outer = inner * shape[1] + data.draw(st.integers(0, 3))
                steps = (outer, inner)
                if data.draw(st.booleans()):
                    inner = data.draw(st.integers(1, 2))
                    steps = (inner, inner * shape[0] + data.draw(st.integers(0, 3)))
            else:
                steps = (data.draw(st.integers(1, 3)),)
            span = sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
            start = data.draw(st.integers(0, buffer.size - span - 1))
            strides = tuple(s * buffer.itemsize for s in steps)
            flips = tuple(slice(None, None, data.draw(st.sampled_from([1, -1]))) for _ in shape)

            def look(b):
                tricks = (np if type(b) is np.ndarray else backend.module).lib.stride_tricks
                return tricks.as_strided(b[start:], shape, strides)[flips]

            return look

        shape = data.draw(st.sampled_from([(4, 6), (3, 7), (12,)]))
        axis = data.draw(st.sampled_from([0, -1]))
        of_x, of_dy, of_dx, of_y = (view(shape) for _ in range(4))
        of_alpha, of_dalpha = view((shape[axis],)), view((shape[axis],))
        x, dy, alpha = of_x(buffer), of_dy(buffer), of_alpha(buffer)
        there = backend.asarray(buffer.copy())
        y = prelu(of_x(there), of_alpha(there), axis=axis, out=of_y(there))
        assert_same_bits(y, reference_prelu(x, alpha, axis=axis))

        there = backend.asarray(buffer.copy())
        outs = of_dx(there), of_dalpha(there)
        if np.shares_memory(of_dx(buffer), of_dalpha(buffer)):
            outs = data.draw(st.sampled_from([(outs[0], None), (None, outs[1])]))
        at_zero = data.draw(st.sampled_from(AT_ZERO))
        inputs = of_dy(there), of_x(there), of_alpha(there)
        got = prelu_backward(*inputs, axis=axis, at_zero=at_zero, out=outs)
        right = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
        for a, b in zip(got, right, strict=True):
            assert_same_bits(a, b)

    check()


@fuzz
@given(st.data())
def test_a_slice_of_x_gives_the_slice_of_y(data):
    """Forward and dx are element-wise, whatever slice is taken."""
    x = data.draw(
        arrays(np.float32, st.tuples(*[st.integers(1, 9)] * 3), elements=st.floats(width=32))
    )
    index = data.draw(basic_indices(x.shape, allow_ellipsis=True))
    assert_same_bits(prelu(x[index], 0.25), np.asarray(prelu(x, 0.25)[index]))
    dy = np.roll(x, 1)
    dx = prelu_backward(dy, x, 0.25, need_dalpha=False)[0]
    assert_same_bits(prelu_backward(dy[index], x[index], 0.25)[0], np.asarray(dx[index]))


@pytest.mark.parametrize(("most", "cases"), [(60, 150), (600, 100)])
def test_drawn_calls(most, cases):
    """Every function; `fuzz_calls.py` goes on for as long as one likes."""
    assert fuzz_calls.fuzz(0, most, cases=cases) == cases
