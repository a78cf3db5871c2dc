"""Arrays to test with: dtypes, numbers, placements of alpha, memory layouts; and their comparison.

A result is right if it has the bits of the reference, where one NaN is as good as another.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import ml_dtypes
import numpy as np

from prelu_array import prelu, prelu_backward
from prelu_array.testing import reference_prelu, reference_prelu_backward
from prelu_array.testing._cases import distinct_alphas
from prelu_array.testing._numbers import take_apart

DTYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
PAIRS = tuple(itertools.product(DTYPES, DTYPES))  # of x and of alpha
AT_ZERO = ("alpha", "one")

# x.shape, alpha.shape, axis: the contract's table with lengths that no other axis has.
PLACEMENTS = {
    "0-d": ((3, 5, 4), (), None),
    "size 1": ((3, 5, 4), (1,), 1),
    "size 1 of more axes than x": ((7,), (1, 1, 1), None),
    "trailing": ((2, 3, 5), (5,), None),
    "trailing, several axes": ((2, 3, 4, 5), (3, 4, 5), None),
    "per element": ((6, 19), (6, 19), None),
    "per element, more than a tile": ((1157,), (1157,), None),
    "per sample": ((6, 3, 35), (6, 1, 1), None),
    "shared in the middle": ((3, 5, 4), (3, 1, 4), None),
    "alternating axes": ((2, 7, 3, 5), (1, 7, 1, 5), None),
    "other alternating axes": ((2, 7, 3, 5), (2, 1, 3, 1), None),
    "only in the middle": ((2, 7, 3, 5), (7, 1, 1), None),
    "axis 0": ((5, 3, 4), (5,), 0),
    "axis 1, NCHW": ((2, 3, 5, 7), (3,), 1),
    "axis 1, long segments": ((2, 3, 40, 41), (3,), 1),
    "axis -1, NHWC": ((2, 5, 7, 3), (3,), -1),
    "axis -1, whole groups": ((13, 64), (64,), -1),
    "axis -1, many channels": ((3, 1031), (1031,), -1),
    "axis -2": ((4, 3, 5, 2), (5,), -2),
    "1-d": ((33,), (33,), 0),
    "Keras": ((4, 3, 5, 2), (3, 5, 2), (1, 2, 3)),
    "Keras, some axes shared": ((4, 3, 5, 2), (1, 5, 1), (1, 2, 3)),
    "axes out of order": ((4, 3, 5, 2), (5, 4), (2, 0)),
    "negative axes out of order": ((4, 3, 5, 2), (2, 3, 4), (-1, 1, -4)),
    "axes out of order, some shared": ((4, 3, 5, 2), (2, 1, 4), (3, 1, 0)),
    "lengths of 1": ((1, 3, 1, 5), (1, 3, 1, 1), None),
}

# How the memory differs from C order: the shape of a buffer, and the view to take of it.
MEMORIES = {
    "C": (lambda s: s, lambda b: b),
    "Fortran": (lambda s: s[::-1], lambda b: b.T),
    "last axis first": (lambda s: s[-1:] + s[:-1], lambda b: b.transpose(*range(1, b.ndim), 0)),
    "reversed": (lambda s: s, lambda b: b[tuple(slice(None, None, -1) for _ in b.shape)]),
    "first axis reversed": (lambda s: s, lambda b: b[::-1]),
    "every second": (lambda s: (*s[:-1], 2 * s[-1]), lambda b: b[..., ::2]),
    "every third backwards": (lambda s: (*s[:-1], 3 * s[-1]), lambda b: b[..., ::-3]),
    "padded rows": (lambda s: (*s[:-1], s[-1] + 5), lambda b: b[..., :-5]),
    "after the first": (lambda s: (s[0] + 1, *s[1:]), lambda b: b[1:]),
}


def name(value: Any) -> str:
    """Return what a test's id says for a dtype or a value."""
    return np.dtype(value).name if isinstance(value, type) else str(value)


def word(dtype: Any) -> np.dtype:
    """Unsigned integer of a dtype's width."""
    return np.dtype(f"u{np.dtype(dtype).itemsize}")


def any_bits(rng: np.random.Generator, shape: Any, dtype: Any) -> np.ndarray:
    """Every bit pattern is as likely as any other."""
    largest = np.iinfo(word(dtype)).max
    return rng.integers(0, largest, shape, word(dtype), endpoint=True).view(dtype)


def numbers(rng: np.random.Generator, shape: Any, dtype: Any) -> np.ndarray:
    """Normal numbers, and among them zeros of both signs, subnormals and powers of two."""
    values = rng.standard_normal(shape).astype(dtype)
    tiny = ml_dtypes.finfo(dtype).smallest_subnormal
    some = np.array([0.0, -0.0, 3 * tiny, -5 * tiny, -0.5, 2.0]).astype(dtype)
    return np.where(rng.random(shape) < 0.2, rng.choice(some, shape), values).astype(dtype)


def alphas(shape: Any, dtype: Any) -> np.ndarray:
    """Neighbours differ; negative, zero, 1 and above are among them."""
    return np.resize(distinct_alphas(math.prod(shape)), shape).astype(dtype)


def drawn(placement: str, dtype: Any, alpha_dtype: Any, seed: int = 0) -> tuple[Any, ...]:
    """Draw x, alpha, dy and axis for a placement."""
    shape, alpha_shape, axis = PLACEMENTS[placement]
    rng = np.random.default_rng(seed)
    x, dy = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
    return x, alphas(alpha_shape, alpha_dtype), dy, axis


def in_memory(memory: str, a: np.ndarray, module: Any = np) -> Any:
    """Return an array of a library with the values of `a`, and NaN in the memory between them."""
    if a.ndim == 0:
        return module.asarray(a)
    larger, look = MEMORIES[memory]
    view = look(module.full(larger(a.shape), np.nan, a.dtype))
    view[...] = module.asarray(a)
    return view


def unaligned(a: np.ndarray) -> np.ndarray:
    """Copy to an address that is a multiple of nothing."""
    view = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def byte_swapped(a: np.ndarray) -> np.ndarray:
    return a.astype(a.dtype.newbyteorder())


def read_only(a: np.ndarray) -> np.ndarray:
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def to_numpy(a: Any) -> np.ndarray:
    """Return a NumPy array that shares nothing with `a`, in native byte order."""
    a = a.get() if hasattr(a, "get") else np.array(a)
    return a.astype(a.dtype.newbyteorder("="))


def assert_same_bits(got: Any, expected: np.ndarray, what: str = "") -> None:
    """Fail unless shape, dtype and bits agree; a NaN may be any NaN."""
    if isinstance(got, np.ndarray) and not hasattr(got, "get"):  # as CuPy's arrays have it
        assert type(got) is np.ndarray, what
    got, expected = to_numpy(got), np.asarray(expected)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype), what
    bits, expected_bits = (np.ravel(a).view(word(a.dtype)) for a in (got, expected))
    differs = bits != expected_bits
    if differs.any():
        differs &= ~np.ravel(take_apart(got).nan & take_apart(expected).nan)
    at = np.flatnonzero(differs)
    assert at.size == 0, (
        f"{what}: {at.size} of {got.size} differ, first at {at[0]}: {np.ravel(got)[at[0]]!r} "
        f"({bits[at[0]]:#x}), expected {np.ravel(expected)[at[0]]!r} ({expected_bits[at[0]]:#x})"
    )


@functools.lru_cache(1024)
def _reference(function: Any, axis: Any, at_zero: str | None, *operands: Any) -> Any:
    """Answer of the reference; it is slow, and asked once for all instruction sets."""
    arrays = [np.frombuffer(data, dtype).reshape(shape) for data, dtype, shape in operands]
    options = {} if at_zero is None else {"at_zero": at_zero}
    return function(*arrays, axis=axis, **options)


def expected(function: Any, *arrays: np.ndarray, axis: Any, at_zero: str | None = None) -> Any:
    """Return what a function of the reference gives, remembered for a while."""
    operands = [(a.tobytes(), a.dtype, a.shape) for a in arrays]
    return _reference(function, axis, at_zero, *operands)


def check_forward(x: Any, alpha: Any, axis: Any = None, what: str = "") -> None:
    """Fail unless `prelu` agrees with the reference and leaves its inputs alone."""
    before = to_numpy(x), to_numpy(alpha)
    y = prelu(x, alpha, axis=axis)
    assert_same_bits(y, expected(reference_prelu, *before, axis=axis), f"y {what}")
    for a, copy in zip((x, alpha), before, strict=True):
        assert to_numpy(a).tobytes() == copy.tobytes(), f"an input changed {what}"


def check_backward(x: Any, alpha: Any, dy: Any, axis: Any = None, what: str = "") -> None:
    """Fail unless `prelu_backward` agrees with the reference and leaves its inputs alone."""
    before = to_numpy(dy), to_numpy(x), to_numpy(alpha)
    for at_zero in AT_ZERO:
        got = prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
        right = expected(reference_prelu_backward, *before, axis=axis, at_zero=at_zero)
        assert type(got) is tuple
        for result, exact, output in zip(got, right, ("dx", "dalpha"), strict=True):
            assert_same_bits(result, exact, f"{output}, at_zero={at_zero!r} {what}")
    for a, copy in zip((dy, x, alpha), before, strict=True):
        assert to_numpy(a).tobytes() == copy.tobytes(), f"an input changed {what}"
