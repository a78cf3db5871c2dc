"""`out`: in place, overlapping inputs in every way, and unchanged after an error."""

import itertools

import numpy as np
import pytest
from arrays import (
    AT_ZERO,
    DTYPES,
    alphas,
    assert_same_bits,
    byte_swapped,
    drawn,
    in_memory,
    name,
    numbers,
    read_only,
    unaligned,
)

from prelu_array import (
    dalpha_from_partial,
    prelu,
    prelu_backward,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
)
from prelu_array._overlap import overlaps_itself
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

PLACES = (
    "0-d",
    "axis 1, NCHW",
    "axis 1, long segments",
    "axis -1, NHWC",
    "per element",
    "per sample",
)


@pytest.mark.parametrize("memory", ["C", "Fortran", "reversed", "padded rows"])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("placement", PLACES)
def test_forward_in_place(backend, placement, dtype, memory):
    x, alpha, _, axis = drawn(placement, dtype, dtype)
    y = reference_prelu(x, alpha, axis=axis)
    x_ = in_memory(memory, x, backend.module)
    assert prelu(x_, backend.asarray(alpha), axis=axis, out=x_) is x_
    assert_same_bits(x_, y)


@pytest.mark.parametrize("at_zero", AT_ZERO)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("placement", PLACES)
def test_backward_in_place(backend, placement, dtype, at_zero):
    """dx is dy, dx is x, dy is x, dalpha is alpha, and all of that at once."""
    *arrays, axis = drawn(placement, dtype, dtype)
    right = reference_prelu_backward(arrays[2], arrays[0], arrays[1], axis=axis, at_zero=at_zero)
    for place, alpha_too in itertools.product(("dy", "x", ""), (False, True)):
        x, alpha, dy = (backend.asarray(a.copy()) for a in arrays)
        dx = {"dy": dy, "x": x, "": None}[place]
        out = (dx, alpha if alpha_too else None)
        got = prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero, out=out)
        for k in range(2):
            assert_same_bits(got[k], right[k], f"dx is {place}, dalpha is alpha: {alpha_too}")
            assert out[k] is None or got[k] is out[k]
    x = backend.asarray(arrays[0].copy())
    same = reference_prelu_backward(arrays[0], arrays[0], arrays[1], axis=axis, at_zero=at_zero)
    alpha = backend.asarray(arrays[1])
    got = prelu_backward(x, x, alpha, axis=axis, at_zero=at_zero, out=(x, None))
    for k in range(2):
        assert_same_bits(got[k], same[k], "dx is dy is x")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_backward_in_place_where_sums_are_hard(backend, dtype):
    """The sum cannot look at x and dy a second time."""
    rng = np.random.default_rng(1)
    x = -abs(numbers(rng, (4, 700), dtype))
    dy = numbers(rng, (4, 700), dtype)
    x, dy = np.concatenate([x, x], 1), np.concatenate([dy, -dy], 1)
    dy[:, 5] = dtype(1e-6)
    for alpha, axis in (
        (alphas((4,), dtype), 0),
        (alphas((1400,), dtype), 1),
        (alphas((), dtype), None),
    ):
        right = reference_prelu_backward(dy, x, alpha, axis=axis)
        for place in ("dy", "x"):
            x_, dy_ = backend.asarray(x.copy()), backend.asarray(dy.copy())
            out = (dy_ if place == "dy" else x_, None)
            got = prelu_backward(dy_, x_, backend.asarray(alpha), axis=axis, out=out)
            for k in range(2):
                assert_same_bits(got[k], right[k], f"dx is {place}, axis {axis}")


# ---- partial overlap ----

# Views of one buffer of 200 numbers, each of shape (6, 10).
VIEWS = {
    "same place": lambda b: b[:60].reshape(6, 10),
    "one further": lambda b: b[1:61].reshape(6, 10),
    "a row further": lambda b: b[10:70].reshape(6, 10),
    "far further": lambda b: b[47:107].reshape(6, 10),
    "backwards": lambda b: b[59::-1].reshape(6, 10),
    "backwards, one further": lambda b: b[60:0:-1].reshape(6, 10),
    "columns first": lambda b: b[:60].reshape(10, 6).T,
    "every second": lambda b: b[:120:2].reshape(6, 10),
    "every second, odd": lambda b: b[1:121:2].reshape(6, 10),
    "rows apart": lambda b: b[:120].reshape(6, 20)[:, 3:13],
}
WAYS = list(itertools.product(VIEWS, VIEWS))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("alpha_shape", [(), (6, 1), (10,), (6, 10)], ids=str)
def test_forward_into_memory_that_overlaps_x(backend, alpha_shape, dtype):
    rng = np.random.default_rng(2)
    values = numbers(rng, 200, dtype)
    alpha = alphas(alpha_shape, dtype)
    for of_x, of_y in WAYS:
        buffer = backend.asarray(values.copy())
        x, y = VIEWS[of_x](buffer), VIEWS[of_y](buffer)
        right = reference_prelu(VIEWS[of_x](values), alpha)
        assert prelu(x, backend.asarray(alpha), out=y) is y
        assert_same_bits(y, right, f"x {of_x}, y {of_y}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("alpha_shape", [(), (6, 1), (10,), (6, 10)], ids=str)
def test_backward_into_memory_that_overlaps(backend, alpha_shape, dtype):
    """dx over x, over dy, and over both, which overlap each other."""
    rng = np.random.default_rng(3)
    values, apart = numbers(rng, 200, dtype), numbers(rng, (6, 10), dtype)
    alpha = alphas(alpha_shape, dtype)
    for of_input, of_dx in WAYS:
        for over in ("x", "dy", "both"):
            buffer = backend.asarray(values.copy())
            view, there = VIEWS[of_input](buffer), backend.asarray(apart)
            x, dy = {
                "x": (view, there),
                "dy": (there, view),
                "both": (view, VIEWS["one further"](buffer)),
            }[over]
            right = reference_prelu_backward(backend.asnumpy(dy), backend.asnumpy(x), alpha)
            got = prelu_backward(dy, x, backend.asarray(alpha), out=(VIEWS[of_dx](buffer), None))
            for k, output in enumerate(("dx", "dalpha")):
                assert_same_bits(got[k], right[k], f"{output}: {over} {of_input}, dx {of_dx}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_outputs_that_overlap_alpha(backend, dtype):
    rng = np.random.default_rng(4)
    values, x, dy = numbers(rng, 200, dtype), *(numbers(rng, (6, 10), dtype) for _ in range(2))
    x_, dy_ = backend.asarray(x), backend.asarray(dy)
    for of_alpha, of_out in WAYS:
        for alpha_shape in ((6, 10), (6, 1), (10,), (1, 1)):

            def alpha_of(buffer, shape=alpha_shape, view=VIEWS[of_alpha]):
                return view(buffer)[: shape[0] if len(shape) > 1 else 1, : shape[-1]].reshape(
                    shape
                )

            def out_of(buffer, view=VIEWS[of_out]):
                return view(buffer)

            alpha = alpha_of(values)
            buffer = backend.asarray(values.copy())
            y = prelu(x_, alpha_of(buffer), out=out_of(buffer))
            assert_same_bits(y, reference_prelu(x, alpha), f"alpha {of_alpha}, y {of_out}")
            right = reference_prelu_backward(dy, x, alpha)
            buffer = backend.asarray(values.copy())
            got = prelu_backward(dy_, x_, alpha_of(buffer), out=(out_of(buffer), None))
            for k in range(2):
                assert_same_bits(got[k], right[k], f"alpha {of_alpha}, dx {of_out}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_dalpha_that_overlaps_the_inputs(backend, dtype):
    rng = np.random.default_rng(5)
    values, apart = numbers(rng, 200, dtype), numbers(rng, (6, 10), dtype)
    for shape, start in itertools.product(((6, 10), (6, 1), (10,), ()), (0, 1, 7, 58)):
        count = int(np.prod(shape))
        alpha = alphas(shape, dtype)
        for of_input, over in itertools.product(VIEWS, ("x", "dy")):
            buffer = backend.asarray(values.copy())
            view, there = VIEWS[of_input](buffer), backend.asarray(apart)
            x, dy = (view, there) if over == "x" else (there, view)
            right = reference_prelu_backward(backend.asnumpy(dy), backend.asnumpy(x), alpha)
            out = buffer[start : start + count].reshape(shape)
            got = prelu_backward(dy, x, backend.asarray(alpha), out=(None, out))
            for k in range(2):
                assert_same_bits(got[k], right[k], f"{shape} at {start} over {over} {of_input}")


@pytest.mark.parametrize("dx", ["dy", "x", "alpha"])
@pytest.mark.parametrize("dalpha", ["dy", "x"])
@pytest.mark.parametrize(("dtype", "alpha_dtype"), [DTYPES[:2], DTYPES[1::-1]], ids=name)
def test_outputs_of_another_dtype_in_the_memory_of_an_input(dtype, alpha_dtype, dalpha, dx):
    """The 16-bit dtypes fit each other's memory, element for element."""
    x, alpha, dy, _ = drawn("per element", dtype, alpha_dtype)
    right = reference_prelu_backward(dy, x, alpha)
    given = {"dy": dy.copy(), "x": x.copy(), "alpha": alpha.copy()}
    out = given[dx].view(dtype), None if dx == dalpha else given[dalpha].view(alpha_dtype)
    for got, exact in zip(prelu_backward(*given.values(), out=out), right, strict=True):
        assert_same_bits(got, exact)


@pytest.mark.parametrize("prepare", [byte_swapped, unaligned])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_in_place_in_unusual_memory(prepare, dtype):
    *arrays, axis = drawn("axis 1, NCHW", dtype, dtype)
    right = reference_prelu_backward(arrays[2], arrays[0], arrays[1], axis=axis)
    x, alpha, dy = map(prepare, arrays)
    got = prelu_backward(dy, x, alpha, axis=axis, out=(x, alpha))
    for k in range(2):
        assert_same_bits(got[k], right[k])
    x = prepare(arrays[0])
    assert_same_bits(
        prelu(x, arrays[1], axis=axis, out=x), reference_prelu(*arrays[:2], axis=axis)
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_out_of_the_other_byte_order_than_the_x_it_overlaps(dtype):
    """x of one byte order, and y of the other in the same bytes."""
    x = numbers(np.random.default_rng(6), 40, dtype)
    right = reference_prelu(x, 0.5)
    y = x.view(x.dtype.newbyteorder())
    assert prelu(x, 0.5, out=y) is y
    assert_same_bits(y, right)


# ---- the second order, and exact states ----


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("alpha_shape", [(), (6, 1), (10,), (6, 10)], ids=str)
def test_second_order_into_memory_that_overlaps(backend, alpha_shape, dtype):
    """Any output over any input; undecided sums of two products are among them."""
    rng = np.random.default_rng(8)
    values = numbers(rng, 200, dtype)
    alpha, v = alphas(alpha_shape, dtype), -alphas(alpha_shape, dtype)
    alpha_, v_ = backend.asarray(alpha), backend.asarray(v)
    for k, (of_input, of_out) in enumerate(WAYS):
        at_zero = AT_ZERO[k % 2]
        over = rng.permutation(3)[: 1 + k % 3]  # which inputs are in the buffer
        apart = [numbers(rng, (6, 10), dtype) for _ in range(3)]
        apart[1] = apart[0].copy()  # two products that cancel

        def inputs(buffer, there, over=over, apart=apart, view=VIEWS[of_input]):
            views = [view(buffer), VIEWS["one further"](buffer), view(buffer)]
            return [views[i] if i in over else there(a) for i, a in enumerate(apart)]

        x, u, dy = inputs(values, np.copy)
        buffer = backend.asarray(values.copy())
        x_, u_, _ = inputs(buffer, backend.asarray)
        out = VIEWS[of_out](buffer)
        assert prelu_jvp(x_, alpha_, u_, v_, at_zero=at_zero, out=out) is out
        right = reference_prelu_jvp(x, alpha, u, v, at_zero=at_zero)
        assert_same_bits(out, right, f"y_dot: inputs {over} {of_input}, out {of_out}")

        right = reference_prelu_double_backward(u, v, dy, x, alpha, at_zero=at_zero)
        for slot in range(3):
            buffer = backend.asarray(values.copy())
            x_, u_, dy_ = inputs(buffer, backend.asarray)
            shared = VIEWS[of_out](buffer)
            shared = shared if slot < 2 else buffer[3 : 3 + alpha.size].reshape(alpha_shape)
            out = tuple(shared if i == slot else None for i in range(3))
            got = prelu_double_backward(u_, v_, dy_, x_, alpha_, at_zero=at_zero, out=out)
            assert got[slot] is shared
            for a, b in zip(got, right, strict=True):
                assert_same_bits(a, b, f"{slot}: inputs {over} {of_input}, out {of_out}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("placement", PLACES)
def test_second_order_over_all_of_its_inputs(backend, placement, dtype):
    """Each output is an input, those of alpha's shape too."""
    x, alpha, dy, axis = drawn(placement, dtype, dtype)
    u, v = x.copy(), -alphas(alpha.shape, dtype)  # two products that cancel
    right = reference_prelu_double_backward(u, v, dy, x, alpha, axis=axis)
    for roles in itertools.permutations(range(3), 2):
        for of_alpha in (0, 1):
            args = u_, v_, dy_, x_, alpha_ = [
                backend.asarray(a.copy()) for a in (u, v, dy, x, alpha)
            ]
            out = (*((u_, dy_, x_)[k] for k in roles), (v_, alpha_)[of_alpha])
            got = prelu_double_backward(*args, axis=axis, out=out)
            for a, b, c in zip(got, right, out, strict=True):
                assert a is c
                assert_same_bits(a, b)
    right = reference_prelu_jvp(x, alpha, u, v, axis=axis)
    for k in (0, 1):
        x_, u_ = backend.asarray(x.copy()), backend.asarray(u.copy())
        out = (x_, u_)[k]
        prelu_jvp(x_, backend.asarray(alpha), u_, backend.asarray(v), axis=axis, out=out)
        assert_same_bits(out, right)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("placement", PLACES)
def test_partial_in_place(backend, placement, dtype):
    """dx is dy or x; the state has any strides."""
    x, alpha, dy, axis = drawn(placement, dtype, dtype)
    right = reference_prelu_backward(dy, x, alpha, axis=axis)
    plain = prelu_backward_partial(*map(backend.asarray, (dy, x, alpha)), axis=axis)[1]
    limbs = plain.shape[-1]
    states = {
        "none": lambda: None,
        "C": lambda: backend.module.full(plain.shape, 7),
        "Fortran": lambda: backend.module.full(plain.shape[::-1], 7).T,
        "gaps": lambda: backend.module.full((*plain.shape[:-1], 3 * limbs), 7)[..., ::3],
        "padded": lambda: backend.module.full((*plain.shape[:-1], limbs + 5), 7)[..., 2:-3],
    }
    for place, state in itertools.product(("dy", "x", ""), states):
        x_, alpha_, dy_ = (backend.asarray(a.copy()) for a in (x, alpha, dy))
        out = {"dy": dy_, "x": x_, "": None}[place], states[state]()
        got = prelu_backward_partial(dy_, x_, alpha_, axis=axis, out=out)
        assert_same_bits(got[0], right[0], f"dx is {place}, state {state}")
        assert np.array_equal(backend.asnumpy(got[1]), backend.asnumpy(plain)), state
        assert_same_bits(dalpha_from_partial(got[1], dtype), right[1])
        for a, b in zip(got, out, strict=True):
            assert b is None or a is b


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=name)
def test_state_that_overlaps_the_inputs(dtype):
    rng = np.random.default_rng(9)
    values = numbers(rng, 6000, dtype)
    alpha = alphas((10,), dtype)
    right = reference_prelu_backward(
        values[60:120].reshape(6, 10), values[:60].reshape(6, 10), alpha
    )
    limbs = prelu_backward_partial(values[:1], values[:1], 0.5)[1].size
    for start in (0, 1, 20, 50):
        buffer = values.copy()
        state = buffer.view(np.int64)[start : start + 10 * limbs].reshape(10, limbs)
        x, dy = (buffer[k : k + 60].reshape(6, 10) for k in (0, 60))
        got = prelu_backward_partial(dy, x, alpha, out=(None, state))
        assert_same_bits(got[0], right[0])
        assert_same_bits(dalpha_from_partial(state, dtype), right[1])


@pytest.mark.parametrize("prepare", [byte_swapped, unaligned])
def test_new_outputs_in_unusual_memory(prepare):
    x, alpha, dy, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    v = alphas(alpha.shape, np.float32)
    u, v_, dy_, x_, alpha_ = map(prepare, (x, v, dy, x, alpha))
    right = reference_prelu_double_backward(x, v, dy, x, alpha, axis=axis)
    got = prelu_double_backward(u, v_, dy_, x_, alpha_, axis=axis, out=(x_, dy_, v_))
    for a, b, c in zip(got, right, (x_, dy_, v_), strict=True):
        assert a is c
        assert_same_bits(a, b)
    x_ = prepare(x)
    assert prelu_jvp(x_, alpha, x_, v, axis=axis, out=x_) is x_
    assert_same_bits(x_, reference_prelu_jvp(x, alpha, x, v, axis=axis))
    plain = prelu_backward_partial(dy, x, alpha, axis=axis)[1]
    state = prepare(np.zeros_like(plain))
    assert prelu_backward_partial(dy, x, alpha, axis=axis, out=(None, state))[1] is state
    assert np.array_equal(state, plain)


# ---- outputs against each other ----


def test_outputs_that_share_memory_are_refused(backend):
    buffer = backend.asarray(np.ones(20))
    x, alpha = backend.asarray(np.ones((3, 4))), backend.asarray(np.ones(4))
    for start in (0, 7, 11):
        out = buffer[:12].reshape(3, 4), buffer[start : start + 4]
        with pytest.raises(ValueError, match=r"out\[0\] and out\[1\] must not share memory"):
            prelu_backward(x, x, alpha, out=out)
        assert backend.asnumpy(buffer).tolist() == [1] * 20


@pytest.mark.parametrize("prepare", [byte_swapped, unaligned])
def test_unusual_outputs_that_share_memory_are_refused(prepare):
    buffer, x = prepare(np.ones(20)), np.ones((3, 4))
    with pytest.raises(ValueError, match=r"out\[0\] and out\[1\] must not share memory"):
        prelu_backward(x, x, np.ones(4), out=(buffer[:12].reshape(3, 4), buffer[4:8]))
    assert buffer.tolist() == [1] * 20


def test_outputs_side_by_side_share_no_memory(backend):
    """Two columns of one buffer lie between each other's ends, and share nothing."""
    rng = np.random.default_rng(7)
    x, alpha, dy = (rng.standard_normal(30) for _ in range(3))
    buffer = backend.asarray(np.zeros((30, 2)))
    out = buffer[:, 0], buffer[:, 1]
    got = prelu_backward(*map(backend.asarray, (dy, x, alpha)), out=out)
    for a, b in zip(got, reference_prelu_backward(dy, x, alpha), strict=True):
        assert_same_bits(a, b)


def test_empty_output_shares_no_memory(backend):
    buffer = backend.asarray(np.ones(1001, np.float32))
    dx, dalpha = buffer[:0].reshape(1000, 0), buffer[500:501]
    got = prelu_backward(dx, dx, backend.asarray(np.ones(1, np.float32)), out=(dx, dalpha))
    assert got[0] is dx
    assert backend.asnumpy(dalpha).tolist() == [0]


# ---- refused outputs, and every other error, leave `out` as it was ----

REFUSED = {
    "shape": (lambda a: np.full((*a.shape, 1), 7.0, a.dtype), ValueError, "must have .* shape"),
    "dtype": (lambda a: np.full(a.shape, 7, np.float64), TypeError, "must have .* dtype"),
    "read-only": (lambda a: read_only(np.full_like(a, 7)), ValueError, "must be writable"),
    "stride 0": (
        lambda a: np.lib.stride_tricks.as_strided(np.full(1, 7, a.dtype), a.shape, (0,) * a.ndim),
        ValueError,
        "must not overlap itself",
    ),
    "masked": (lambda a: np.ma.masked_array(np.full_like(a, 7)), TypeError, "NumPy array, got"),
    "list": (lambda a: np.full_like(a, 7).tolist(), TypeError, "NumPy array, got list"),
}


@pytest.mark.parametrize("why", REFUSED)
@pytest.mark.parametrize("slot", ["y", "dx", "dalpha"])
def test_refused_out(why, slot):
    make, error, message = REFUSED[why]
    x, alpha = np.ones((3, 4), np.float32), np.ones(4, np.float32)
    out = make(alpha if slot == "dalpha" else x)
    before = np.array(out).tobytes()
    other = np.full(4 if slot == "dx" else (3, 4), 7, np.float32)
    label = {"y": "out", "dx": r"out\[0\]", "dalpha": r"out\[1\]"}[slot]
    call = {
        "y": lambda: prelu(x, alpha, out=out),
        "dx": lambda: prelu_backward(x, x, alpha, out=(out, other)),
        "dalpha": lambda: prelu_backward(x, x, alpha, out=(other, out)),
    }[slot]
    with pytest.raises(error, match=f"^{label} .*{message}"):
        call()
    assert np.array(out).tobytes() == before
    assert (other == 7).all()


def test_out_stays_after_every_other_error(backend):
    module = backend.module
    x, alpha = module.ones((3, 4)), module.ones(4)
    y, dx, dalpha = module.full((3, 4), 7.0), module.full((3, 4), 7.0), module.full(4, 7.0)
    for wrong in (
        lambda: prelu(x, alpha, axis=5, out=y),
        lambda: prelu(x, alpha, axis="1", out=y),
        lambda: prelu(x, module.ones(3), out=y),
        lambda: prelu(x, alpha.astype("int64"), out=y),
        lambda: prelu(x.astype("int64"), alpha, out=y),
        lambda: prelu_backward(x, x, alpha, at_zero="zero", out=(dx, dalpha)),
        lambda: prelu_backward(x[1:], x, alpha, out=(dx, dalpha)),
        lambda: prelu_backward(x.astype("float32"), x, alpha, out=(dx, dalpha)),
        lambda: prelu_backward(x, x, alpha, need_dx=False, out=(dx, dalpha)),
        lambda: prelu_backward(x, x, alpha, need_dalpha=False, out=(dx, dalpha)),
        lambda: prelu_backward(x, x, alpha, out=(dx, dalpha, None)),
        lambda: prelu_backward(x, x, module.ones(3), out=(dx, dalpha)),
        lambda: prelu_backward(x, x, alpha, axis=(0, 0), out=(dx, dalpha)),
        lambda: prelu_jvp(x, alpha, x[1:], alpha, out=y),
        lambda: prelu_jvp(x, alpha, x, alpha[1:], out=y),
        lambda: prelu_double_backward(x, alpha, x, x, alpha, at_zero=0, out=(dx, y, dalpha)),
        lambda: prelu_double_backward(x, alpha, x[1:], x, alpha, out=(dx, y, dalpha)),
        lambda: prelu_double_backward(x, alpha, x, x, alpha, out=(dx, y, y)),
        lambda: prelu_double_backward(x, alpha, x, x, alpha, out=(dx, dx, dalpha)),
        lambda: prelu_double_backward(x, alpha, x, x, alpha, out=(dx, None, dx[0])),
        lambda: prelu_double_backward(x, alpha, x, x, alpha, out=(y, dx, dx[0])),
        lambda: prelu_backward_partial(x, x, alpha, out=(dx, dalpha)),
        lambda: prelu_backward_partial(x, x, alpha, need_dx=False, out=(dx, None)),
        lambda: prelu_backward_partial(x, x, alpha, axis=2, out=(dx, None)),
    ):
        with pytest.raises((ValueError, TypeError)):
            wrong()
        assert all(backend.asnumpy(a == 7).all() for a in (y, dx, dalpha))


@pytest.mark.parametrize("n", [3, 100])
@pytest.mark.parametrize("which", ["y", "dx", "dalpha over x", "dalpha over dy"])
def test_in_place_with_alpha_in_another_order_of_axes(backend, n, which):
    """The same memory, but not element for element."""
    rng = np.random.default_rng(n)
    arrays = rng.standard_normal((3, n, n))
    x, dy, alpha = map(backend.asarray, arrays)
    if which == "y":
        right = reference_prelu(arrays[0], arrays[2], axis=(1, 0))
        assert_same_bits(prelu(x, alpha, axis=(1, 0), out=alpha), right)
        return
    out = {"dx": (alpha, None), "dalpha over x": (None, x), "dalpha over dy": (None, dy)}[which]
    right = reference_prelu_backward(arrays[1], arrays[0], arrays[2], axis=(1, 0))
    got = prelu_backward(dy, x, alpha, axis=(1, 0), out=out)
    for k in range(2):
        assert_same_bits(got[k], right[k])


def test_out_that_overlaps_itself():
    steps = np.lib.stride_tricks.as_strided(np.zeros(12), (4, 3), (8, 8), writeable=True)
    with pytest.raises(ValueError, match="out must not overlap itself"):
        prelu(np.ones((4, 3)), 0.5, out=steps)


def crossed(shape, strides, dtype=np.float32):
    """An array of these strides, in elements, in memory of its own, and that memory."""
    reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    memory = np.full(reach, 7, dtype)
    itemsize = memory.itemsize
    steps = [s * itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(memory, shape, steps), memory


CROSSED = [
    ((3, 2), (2, 3)),
    ((2, 3), (3, 2)),
    ((7, 5), (5, 7)),
    ((3, 2, 4), (8, 12, 1)),
    ((2, 2, 2), (3, 5, 9)),
    ((40, 39), (39, 40)),
    ((4, 1, 3), (3, 100, 4)),
]


@pytest.mark.parametrize(("shape", "strides"), CROSSED)
def test_out_whose_strides_cross(shape, strides):
    """No two elements share memory, though no axis steps over another."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape)).astype(np.float32)
    alpha = rng.standard_normal(shape[1:2]).astype(np.float32)
    out, memory = crossed(shape, strides)
    places = np.unique(
        np.asarray(out.__array_interface__["strides"]) @ np.indices(shape).reshape(len(shape), -1)
    )
    assert places.size == x.size
    assert prelu(x, alpha, axis=1, out=out) is out
    assert_same_bits(out, reference_prelu(x, alpha, axis=1))
    assert (memory == 7).sum() == memory.size - x.size
    out, memory = crossed(shape, strides)
    dalpha = prelu_backward(dy, x, alpha, axis=1, out=(out, None))[1]
    right = reference_prelu_backward(dy, x, alpha, axis=1)
    assert_same_bits(out, right[0])
    assert_same_bits(dalpha, right[1])
    assert (memory == 7).sum() == memory.size - x.size


def test_whether_an_array_overlaps_itself():
    """For all small shapes and strides, against a count of the offsets."""
    for shape in itertools.product((1, 2, 3), repeat=3):
        for strides in itertools.product((0, 1, 2, 3, 5, -4, 7), repeat=3):
            steps = np.abs(strides) @ np.indices(shape).reshape(3, -1)
            expected = np.unique(steps).size < steps.size
            a = np.lib.stride_tricks.as_strided(np.zeros(64), shape, [abs(s) * 8 for s in strides])
            got = overlaps_itself(a)
            assert got == expected, (shape, strides)
    # not of whole elements: 8 bytes each, 6 or 12 apart
    bytes_ = np.zeros(64, np.uint8).data
    assert overlaps_itself(np.ndarray((2,), np.float64, bytes_, 0, (6,)))
    assert not overlaps_itself(np.ndarray((2, 2), np.float64, bytes_, 0, (12, 25)))
    assert overlaps_itself(np.ndarray((2, 2), np.float64, bytes_, 0, (12, 18)))
