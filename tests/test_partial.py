"""Exact partial sums add in any order, round once, and are what docs/partial.md says."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from arrays import AT_ZERO, DTYPES, PAIRS, alphas, any_bits, assert_same_bits, drawn, name, numbers

import prelu_array
from prelu_array import dalpha_from_partial, prelu_backward, prelu_backward_partial
from prelu_array.testing import reference_prelu_backward
from prelu_array.testing._numbers import Exact, round_to_dtype

PAGE = (Path(__file__).parent.parent / "docs" / "partial.md").read_text(encoding="utf-8")

# What the page says: n_limbs, limbs and base of each dtype.
FORMATS = {
    dtype: tuple(map(int, rest))
    for dtype, *rest in re.findall(
        r"^\| (\w+) \| (\d+) \| (\d+) \| (-\d+) \|$", PAGE, re.MULTILINE
    )
}


class On:
    """The functions on a library's arrays, from NumPy arrays and back."""

    def __init__(self, backend):
        self.backend = backend

    def there(self, a):
        return a if isinstance(a, float) else self.backend.asarray(a)

    def gradients(self, dy, x, alpha, **options):
        given = map(self.there, (dy, x, alpha))
        dx, state = prelu_backward_partial(*given, **options)
        return dx, self.backend.asnumpy(state)

    def partial(self, dy, x, alpha, **options):
        return self.gradients(dy, x, alpha, need_dx=False, **options)[1]

    def dalpha(self, state, dtype):
        return self.backend.asnumpy(dalpha_from_partial(self.there(state), dtype))


@pytest.fixture
def on(backend):
    return On(backend)


def value(state, dtype):
    """The finite part of one alpha's state, by the page."""
    _, limbs, base = FORMATS[np.dtype(dtype).name]
    digits = enumerate(state[:limbs].tolist())
    return sum(Fraction(digit) * Fraction(2) ** (base + 32 * i) for i, digit in digits)


def rounded(exact, dtype):
    """A fraction with a power of two below it, rounded once."""
    exponent = 1 - exact.denominator.bit_length()
    parts = (exact < 0, abs(exact.numerator), exponent, False, False)
    kinds = (bool, object, np.int64, bool, bool)
    number = Exact(*(np.array(p, kind) for p, kind in zip(parts, kinds, strict=True)))
    return round_to_dtype(number, np.dtype(dtype))


def wide(rng, shape, dtype):
    """From the smallest number to the largest; products as far apart as they can be."""
    info = ml_dtypes.finfo(dtype)
    exponent = rng.integers(int(info.minexp) - int(info.nmant), int(info.maxexp), shape)
    digits = 1 + rng.integers(0, 8, shape) / 8
    return (np.ldexp(digits, exponent) * rng.choice([-1.0, 1.0], shape)).astype(dtype)


def hard(kind, rng, n, dtype):
    """X and dy of shape (n, 3) whose sums are hard."""
    shape = (n // 2, 3)
    if kind == "ordinary":
        x, dy = (numbers(rng, (n, 3), dtype) for _ in range(2))
    elif kind == "sizes":
        x, dy = -abs(wide(rng, (n, 3), dtype)), wide(rng, (n, 3), dtype)
    elif kind == "cancellation":  # but for one small term in the first column
        x, dy = -abs(wide(rng, shape, dtype)), wide(rng, shape, dtype)
        x, dy = np.concatenate([x, x]), np.concatenate([dy, -dy])
        order = rng.permutation(x.shape[0])
        x, dy = x[order], dy[order]
        x[0, 0] = dy[0, 0] = -ml_dtypes.finfo(dtype).smallest_subnormal
    else:  # every bit pattern; NaN in the first column, one kind of infinity in the second
        x, dy = any_bits(rng, (n, 3), dtype), any_bits(rng, (n, 3), dtype)
        x[:, 1:], dy[:, 1:] = -abs(wide(rng, (n, 2), dtype)), wide(rng, (n, 2), dtype)
        dy[n // 2, 1] = np.inf
        dy[[0, -1], 2] = np.inf, -np.inf
    return x, dy


KINDS = ("ordinary", "sizes", "cancellation", "not finite")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # abs of a NaN
def test_any_split_in_any_order_gives_the_whole(on, dtype, kind):
    """50 times four kinds of data: split at random, shuffled, added, rounded once."""
    rng = np.random.default_rng(KINDS.index(kind))
    alpha = alphas((3,), np.float64 if kind == "ordinary" else dtype)
    for trial in range(50):
        x, dy = hard(kind, rng, 60, dtype)
        at_zero = AT_ZERO[trial % 2]
        options = {"axis": 1, "at_zero": at_zero}
        right = reference_prelu_backward(dy, x, alpha, **options)
        whole = on.partial(dy, x, alpha, **options)
        assert_same_bits(on.dalpha(whole, alpha.dtype), right[1])
        got = prelu_backward(*map(on.there, (dy, x, alpha)), **options)
        assert_same_bits(got[1], right[1])

        pieces = np.split(rng.permutation(60), np.sort(rng.integers(0, 61, rng.integers(1, 9))))
        state = np.zeros_like(whole)
        for k in rng.permutation(len(pieces)):
            state += on.partial(dy[pieces[k]], x[pieces[k]], alpha, **options)
        assert_same_bits(on.dalpha(state, alpha.dtype), right[1], f"{trial}")


@pytest.mark.parametrize(("dtype", "alpha_dtype"), PAIRS, ids=name)
def test_every_pair_of_dtypes(on, dtype, alpha_dtype):
    for kind in KINDS[:3]:
        x, dy = hard(kind, np.random.default_rng(1), 40, dtype)
        alpha = alphas((3,), alpha_dtype)
        right = reference_prelu_backward(dy, x, alpha, axis=1)
        dx, state = on.gradients(dy, x, alpha, axis=1)
        assert_same_bits(dx, right[0])
        assert_same_bits(on.dalpha(state, alpha_dtype), right[1])


@pytest.mark.parametrize(
    "placement",
    ["0-d", "size 1 of more axes than x", "per element", "Keras, some axes shared",
     "axes out of order, some shared", "axis 1, NCHW"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_shapes(on, dtype, placement):
    x, alpha, dy, axis = drawn(placement, dtype, np.float32)
    for need_dx in (True, False):
        dx, state = on.gradients(dy, x, alpha, axis=axis, need_dx=need_dx)
        right = reference_prelu_backward(dy, x, alpha, axis=axis)
        assert state.shape == (*alpha.shape, FORMATS[np.dtype(dtype).name][0])
        assert state.dtype == np.int64
        assert_same_bits(on.dalpha(state, alpha.dtype), right[1])
        if need_dx:
            assert_same_bits(dx, right[0])
        else:
            assert dx is None


# ---- what docs/partial.md says ----


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("kind", KINDS[:3])
def test_the_limbs_are_the_exact_sum(on, dtype, kind):
    x, dy = hard(kind, np.random.default_rng(2), 50, dtype)
    state = on.partial(dy, x, alphas((3,), dtype), axis=1)
    n_limbs, limbs, _ = FORMATS[np.dtype(dtype).name]
    assert state.shape == (3, n_limbs)
    assert n_limbs == limbs + 3
    for channel in range(3):
        terms = zip(x[:, channel].tolist(), dy[:, channel].tolist(), strict=True)
        exact = sum(Fraction(a) * Fraction(b) for a, b in terms if a <= 0)
        assert value(state[channel], dtype) == exact
        assert_same_bits(on.dalpha(state, dtype)[channel], rounded(exact, dtype))
    assert not state[:, limbs:].any()


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_a_state_is_carried_and_depends_on_the_terms_alone(on, dtype):
    """Shuffled, split along alpha, transposed: the same integers."""
    rng = np.random.default_rng(3)
    limbs = FORMATS[np.dtype(dtype).name][1]
    for kind in KINDS[:3]:
        for n in (1, 10, 3000):
            x, dy = hard(kind, rng, max(n, 2), dtype)
            x, dy = x[:n], dy[:n]
            alpha = alphas((3,), dtype)
            state = on.partial(dy, x, alpha, axis=1)
            assert ((state[:, : limbs - 1] >= 0) & (state[:, : limbs - 1] < 1 << 32)).all()
            order = rng.permutation(n)
            assert np.array_equal(on.partial(dy[order], x[order], alpha, axis=1), state)
            assert np.array_equal(on.partial(dy.T.copy(), x.T.copy(), alpha, axis=0), state)
            for channel in range(3):
                alone = on.partial(dy[:, channel], x[:, channel], 0.5)
                assert np.array_equal(alone, state[channel])


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_an_exact_zero_is_all_zeros(on, dtype):
    for x, dy in (
        ([], []),
        ([1.0, 2.0], [1.0, np.nan]),
        ([-0.0, 0.0], [1.0, -1.0]),
        ([-1.0, -2.0], [-2.0, 1.0]),
        ([-1.0, -2.0] * 500, [-2.0, 1.0] * 500),
    ):
        state = on.partial(np.array(dy, dtype), np.array(x, dtype), 0.25)
        assert not state.any()
        assert_same_bits(on.dalpha(state, dtype), np.zeros((), dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_terms_that_are_not_finite_are_counted(on, dtype):
    inf, nan = np.inf, np.nan
    x = np.array([-1, -1, -1, 0, nan, -inf, -inf, 1, inf, -2], dtype)
    dy = np.array([nan, inf, -inf, inf, 1, 1, 0, nan, -inf, 3], dtype)
    state = on.partial(dy, x, 0.25)
    limbs = FORMATS[np.dtype(dtype).name][1]
    assert state[limbs:].tolist() == [4, 1, 2]
    assert value(state, dtype) == -6
    for counts, expected in (
        ([0, 0, 0], -6), ([0, 5, 0], inf), ([0, 0, 1], -inf), ([0, 2, 2], nan), ([1, 0, 0], nan),
        ([1 << 40, 1 << 40, 0], nan),
    ):  # fmt: skip
        state[limbs:] = counts
        assert_same_bits(on.dalpha(state, dtype), np.array(expected, dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_two_to_the_31_states_add(on, dtype):
    """A state is added to itself 31 times over; the largest terms of both signs are among them."""
    info = ml_dtypes.finfo(dtype)
    rng = np.random.default_rng(4)
    x, dy = -abs(wide(rng, (40, 3), dtype)), abs(wide(rng, (40, 3), dtype))
    x[0], dy[0] = -info.max, info.max
    dy[:, 1] *= -1
    dy[20:, 2] = -dy[20:, 2]
    x[-1, 0], dy[-1, 0] = -info.smallest_subnormal, -info.smallest_subnormal
    once = on.partial(dy, x, alphas((3,), dtype), axis=1)
    state = once.copy()
    for _ in range(31):
        state += state
    for channel in range(3):
        exact = value(once[channel], dtype) * 2**31
        assert value(state[channel], dtype) == exact
        for alpha_dtype in DTYPES:
            got = on.dalpha(state, alpha_dtype)[channel]
            assert_same_bits(got, rounded(exact, alpha_dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_states_that_are_not_carried(on, dtype):
    """Limbs of any size and sign, as sums and differences of states have."""
    rng = np.random.default_rng(5)
    n_limbs, limbs, _ = FORMATS[np.dtype(dtype).name]
    state = rng.integers(-(1 << 62), 1 << 62, (200, n_limbs))
    state[:, limbs - 1] >>= 32  # where the largest sums have their sign
    state[:, limbs:] = 0
    state[::2, limbs // 2 :] = 0  # so that not all are beyond the largest number
    for k in range(1, 200, 4):
        state[k, : rng.integers(limbs)] = 0
        state[k, rng.integers(limbs) :] = 0
    before = state.copy()
    for alpha_dtype in DTYPES:
        got = on.dalpha(state, alpha_dtype)
        right = [rounded(value(one, dtype), alpha_dtype) for one in state]
        assert_same_bits(got, np.array(right))
    assert np.array_equal(state, before)


def test_any_int64_array_is_taken():
    x, dy = (numbers(np.random.default_rng(6), (4, 3, 5), np.float32) for _ in range(2))
    state = prelu_backward_partial(dy, x, alphas((3, 5), np.float32))[1]
    right = dalpha_from_partial(state, np.float32)
    assert_same_bits(right, reference_prelu_backward(dy, x, alphas((3, 5), np.float32))[1])
    strided = np.zeros((5, 46, 6), np.int64)[:, ::2, ::2].transpose(2, 0, 1)
    strided[...] = state
    read_only = state.copy()
    read_only.flags.writeable = False
    swapped = state.astype(">i8")
    for same in (strided, read_only, swapped, state[::-1][::-1], np.asfortranarray(state)):
        assert_same_bits(dalpha_from_partial(same, np.float32), right)
    assert_same_bits(dalpha_from_partial(state[1, 2], "float64"),
                     prelu_backward(dy[:, 1, 2], x[:, 1, 2], np.float64(1))[1])  # fmt: skip
    empty = dalpha_from_partial(np.zeros((0, 2, 23), np.int64), np.float16)
    assert (empty.shape, empty.dtype) == ((0, 2), np.float16)


# ---- errors ----


@pytest.mark.parametrize("dtype", ["int32", "uint64", "float64", "bool", "O"])
def test_dtype_of_a_state(dtype):
    with pytest.raises(TypeError, match=r"^state must be .*int64.*, got "):
        dalpha_from_partial(np.zeros((3, 23), dtype), np.float32)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (23, 3), (3, 24), (2, 3, 1)])
def test_shape_of_a_state(shape):
    with pytest.raises(ValueError, match=rf"^state.* 8, 22, 23 or 137.*{re.escape(str(shape))}"):
        dalpha_from_partial(np.zeros(shape, np.int64), np.float32)


@pytest.mark.parametrize("state", [None, "state", {}, np.ma.zeros((3, 23), dtype=np.int64)])
def test_kind_of_a_state(state):
    with pytest.raises(TypeError, match=r"^state must be .*, got "):
        dalpha_from_partial(state, np.float32)


@pytest.mark.parametrize("dtype", [np.int32, np.complex64, "S3", bool])
def test_dtype_of_dalpha(dtype):
    with pytest.raises(TypeError, match=r"^dtype must be float16, bfloat16 .*, got "):
        dalpha_from_partial(np.zeros((3, 23), np.int64), dtype)


def test_arguments_are_those_of_the_backward():
    x = np.ones((2, 3), np.float32)
    for wrong, error, pattern in (
        (lambda: prelu_backward_partial(x[:1], x, 0.5), ValueError, "^dy must have x's shape"),
        (lambda: prelu_backward_partial(x.astype("f8"), x, 0.5), TypeError, "^dy must have x's"),
        (lambda: prelu_backward_partial(x, x, np.ones(2)), ValueError, r"^alpha\.shape must"),
        (lambda: prelu_backward_partial(x, x, 0.5, at_zero=0), ValueError, "^at_zero must be"),
        (lambda: prelu_backward_partial(x.astype(int), x, 0.5), TypeError, "^dy must be float16"),
    ):
        with pytest.raises(error, match=pattern):
            wrong()


def test_the_page_runs():
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(block, "docs/partial.md", "exec"), {})
    assert set(FORMATS) == {np.dtype(dtype).name for dtype in DTYPES}
    assert "dalpha_from_partial" in prelu_array.__all__


@pytest.mark.parametrize("limbs", [8, 22, 23, 137])
def test_integers_that_no_batch_has_are_a_number_too(limbs):
    """A top limb beyond 32 bits: an infinity or the number it stands for, and no more."""
    base = {8: -48, 22: -266, 23: -298, 137: -2148}[limbs]
    for top in (2**62 + 1, -(2**62) - 1, 2**40, -1):
        state = np.zeros(limbs, np.int64)
        state[limbs - 4] = top
        exact = Fraction(top) * Fraction(2) ** (base + 32 * (limbs - 4))
        largest = Fraction(np.finfo(np.float64).max)
        expected = float(exact) if abs(exact) <= largest else math.copysign(math.inf, top)
        assert dalpha_from_partial(state, np.float64) == expected
