"""The walk through memory: shapes drawn for each of its ways, against the exact reference.

Patterns narrow and wide, with rows that fill lines or not; segments long and short; images, short
runs of one alpha, several axes of alpha; gaps, other orders; on every instruction set.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from arrays import DTYPES, assert_same_bits, check_backward, check_forward, name, numbers

from prelu_array import _cpu, prelu, prelu_backward
from prelu_array.testing import reference_prelu

Drawn = tuple[tuple[int, ...], tuple[int, ...], int | tuple[int, ...] | None]


def between(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def rows(rng: np.random.Generator) -> Drawn:
    n = between(rng, 1, 70)
    return (between(rng, 1, 300), n), (n,), -1


def wide_rows(rng: np.random.Generator) -> Drawn:
    n = between(rng, 1025, 9000)
    return (between(rng, 2, 6), n), (n,), -1


def few_terms(rng: np.random.Generator) -> Drawn:
    n = between(rng, 1, 300)
    return (between(rng, 1, 9), 16 * n), (16 * n,), -1


def small_images(rng: np.random.Generator) -> Drawn:
    c, h, w = between(rng, 2, 90), between(rng, 1, 8), between(rng, 1, 8)
    return (between(rng, 1, 12), c, h, w), (c,), 1


def images(rng: np.random.Generator) -> Drawn:
    c, h, w = between(rng, 1, 9), between(rng, 9, 40), between(rng, 9, 40)
    return (between(rng, 1, 3), c, h, w), (c,), 1


def samples(rng: np.random.Generator) -> Drawn:
    n = between(rng, 2, 200)
    return (n, between(rng, 1, 200)), (n,), 0


def several_axes(rng: np.random.Generator) -> Drawn:
    n, c, h, w = (between(rng, 2, top) for top in (4, 9, 12, 30))
    shapes = [(c, h, 1), (c, 1, w), (1, h, w), (1, h, 1)]
    return (n, c, h, w), shapes[between(rng, 0, 3)], (1, 2, 3)


def long_segment(rng: np.random.Generator) -> Drawn:
    return (between(rng, 4000, 14000),), (1,), None


KINDS = (rows, wide_rows, few_terms, small_images, images, samples, several_axes, long_segment)


def cropped(a: np.ndarray) -> np.ndarray:
    """The same numbers, with gaps after each row."""
    room = np.zeros([n + 2 for n in a.shape], a.dtype)
    view = room[tuple(slice(1, 1 + n) for n in a.shape)]
    view[...] = a
    return view


def every_second(a: np.ndarray) -> np.ndarray:
    """The same numbers, no two of them contiguous."""
    room = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    room[..., ::2] = a
    return room[..., ::2]


MEMORY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "cropped": cropped,
    "every second": every_second,
}


@pytest.fixture(params=["avx512", "avx2", "baseline"])
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _cpu.instruction_set()
    if not _cpu.select_instruction_set(request.param):
        pytest.skip(f"{request.param} cannot run here")
    yield request.param
    _cpu.select_instruction_set(before)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("memory", MEMORY)
def test_drawn_shapes(instruction_set: str, dtype: type, kind: Callable, memory: str) -> None:
    rng = np.random.default_rng([KINDS.index(kind), list(MEMORY).index(memory)])
    shape, alpha_shape, axis = kind(rng)
    alpha_dtype = DTYPES[between(rng, 0, 3)]
    x, dy = (MEMORY[memory](numbers(rng, shape, dtype)) for _ in range(2))
    alpha = numbers(rng, alpha_shape, alpha_dtype)
    what = f"{shape} {alpha_shape} {np.dtype(alpha_dtype)}"
    check_forward(x, alpha, axis, what)
    check_backward(x, alpha, dy, axis, what)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("long", [0, 1, 2], ids=["long first", "long last", "long in the middle"])
@pytest.mark.parametrize("alpha_axis", [0, 1, 2])
def test_x_and_dy_in_other_orders(dtype: type, long: int, alpha_axis: int) -> None:
    """Tiles of both are transposed, squares of them where an axis is long."""
    rng = np.random.default_rng([long, alpha_axis])
    for most in (60, 6000):
        shape = [between(rng, 2, 40), between(rng, 2, 9), between(rng, 2, 9)]
        shape[0], shape[long] = shape[long], between(rng, most // 2, most)
        x = numbers(rng, tuple(shape), dtype)
        dy = numbers(rng, tuple(shape), dtype)
        dy = dy.transpose(order := rng.permutation(3)).copy().transpose(np.argsort(order))
        alpha = numbers(rng, (shape[alpha_axis],), dtype)
        check_backward(x, alpha, dy, alpha_axis, f"{shape} {dy.strides}")
        y = np.empty_like(dy)
        prelu(x, alpha, axis=alpha_axis, out=y)
        assert_same_bits(y, reference_prelu(x, alpha, axis=alpha_axis), f"{shape} {dy.strides}")


@pytest.mark.parametrize("rest", [1, 2, 5, 15, 16, 17, 31])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=name)
def test_long_axis_that_is_no_multiple_of_a_square(instruction_set, dtype, rest):
    """What is left at its end is shorter than a group, and has several alphas."""
    rng = np.random.default_rng(rest)
    for samples, channels in ((2, 3), (5, 2), (9, 1), (33, 1)):
        shape = samples, channels, 4096 + rest
        x, dy = (rng.integers(-99, 99, shape).astype(dtype) for _ in range(2))
        dalpha = np.where(x > 0, 0, x.astype(np.int64) * dy.astype(np.int64)).sum((1, 2))
        for order in ((0, 2, 1), (2, 0, 1), (2, 1, 0)):
            other = dy.transpose(order).copy().transpose(np.argsort(order))
            dx, got = prelu_backward(other, x, np.full(samples, 0.5), axis=0)
            assert got.tolist() == dalpha.tolist(), (shape, order)
            assert dx.tobytes() == np.where(x > 0, dy, dy / 2).tobytes(), (shape, order)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("data", ["integers", "float32", "cancels", "no negative x", "dy is 0"])
def test_undecided_sums(dtype: type, kind: Callable, data: str) -> None:
    """Ties, zeros and sums that cancel, which the first pass cannot round."""
    rng = np.random.default_rng([KINDS.index(kind), 7])
    shape, alpha_shape, axis = kind(rng)
    x, dy = (rng.standard_normal(shape, np.float32).astype(dtype) for _ in range(2))
    if data == "integers":
        x, dy = (rng.integers(-9, 10, shape).astype(dtype) for _ in range(2))
    elif data == "cancels":
        half = shape[-1] // 2
        x[..., half : 2 * half] = x[..., :half]
        dy[..., half : 2 * half] = -dy[..., :half]
    elif data == "no negative x":
        x = abs(x)
    elif data == "dy is 0":
        dy[...] = 0
    check_backward(x, rng.standard_normal(alpha_shape).astype(dtype), dy, axis, data)
