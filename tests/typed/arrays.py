"""A user's lines, for type checkers: NumPy's arrays, and what else is no extra. It is never run.

A checker must find an error in each line that ends with `# wrong`, and in no other.
"""

# pyright: strict

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from prelu_array import (
    dalpha_from_partial,
    get_num_threads,
    prelu,
    prelu_backward,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
    set_num_threads,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Vector = np.ndarray[tuple[int], np.dtype[np.float64]]


def forward(x: F32, matrix: Matrix, integers: I64, scalar: np.float32, double: np.float64) -> None:
    assert_type(prelu(x, 0.25), F32)
    assert_type(prelu(x, 1, axis=None, out=x), F32)
    assert_type(prelu(x, np.ones(3), axis=1), F32)
    assert_type(prelu(x, [0.25, 0.5], axis=(0,)), F32)
    assert_type(prelu(x, double), F32)
    assert_type(prelu(matrix, x), Matrix)
    assert_type(prelu(integers, 2), I64)
    assert_type(prelu([[1.0, 2.0], [3.0, 4.0]], 0.25), F64)
    assert_type(prelu((1, 2, 3), 0.25), F64)
    assert_type(prelu(-1.0, 0.25), F64)
    assert_type(prelu(double, 0.25), F64)
    assert_type(prelu(scalar, 0.25), F32)
    assert_type(prelu([scalar, scalar], 0.25), F32)
    assert_type(prelu([x, x], 0.25), F32)


def backward(dy: F32, x: F32, alpha: F64, vector: Vector, double: np.float64, need: bool) -> None:
    assert_type(prelu_backward(dy, x, 0.25), tuple[F32, F32])
    assert_type(prelu_backward(dy, x, alpha, axis=0, at_zero="one"), tuple[F32, F64])
    assert_type(prelu_backward(dy, x, vector, axis=0), tuple[F32, Vector])
    assert_type(prelu_backward(dy, x, double), tuple[F32, F64])
    assert_type(prelu_backward(dy, x, [0.5, 0.25], axis=0), tuple[F32, F64])
    assert_type(prelu_backward([1.0], [-1.0], 0.25), tuple[F64, F64])
    assert_type(prelu_backward(dy, x, alpha, need_dx=False), tuple[None, F64])
    assert_type(prelu_backward(dy, x, alpha, need_dalpha=False), tuple[F32, None])
    assert_type(prelu_backward(dy, x, 0.25, need_dalpha=False, out=(x, None)), tuple[F32, None])
    assert_type(prelu_backward(dy, x, alpha, need_dx=need), tuple[F32 | None, F64 | None])
    assert_type(prelu_backward(dy, x, [0.5], need_dx=False), tuple[F32 | None, F64 | None])


def either(x: F32, alpha: float | F64) -> None:
    assert_type(prelu(x, alpha), F32)
    dx, _ = prelu_backward(x, x, alpha)
    assert_type(dx, F32)


def more(x: F32, alpha: F64) -> None:
    assert_type(prelu_jvp(x, alpha, x, alpha, axis=1), F32)
    assert_type(prelu_jvp(x, 0.25, x, 1.0, out=x), F32)
    assert_type(prelu_double_backward(x, 1.0, x, x, 0.25), tuple[F32, F32, F32])
    assert_type(prelu_double_backward(x, alpha, x, x, alpha, axis=1), tuple[F32, F32, F64])
    assert_type(prelu_double_backward(x, [1.0], x, x, [0.5]), tuple[F32, F32, F64])


def parts(x: F32, need: bool) -> None:
    assert_type(prelu_backward_partial(x, x, 0.25), tuple[F32, I64])
    assert_type(prelu_backward_partial(x, x, 0.25, need_dx=False), tuple[None, I64])
    assert_type(prelu_backward_partial(x, x, 0.25, need_dx=need), tuple[F32 | None, I64])
    _, state = prelu_backward_partial(x, x, 0.25)
    assert_type(dalpha_from_partial(state + state, np.float32), F32)
    assert_type(dalpha_from_partial(state, x.dtype), F32)
    assert_type(dalpha_from_partial(state, "float32"), NDArray[np.floating])


def threads() -> None:
    assert_type(get_num_threads(), int)
    set_num_threads(np.int64(2))
    set_num_threads(2.0)  # wrong


class OnDevice:
    """Has what CuPy's arrays are told by."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {}

    def get(self) -> F32:
        return np.empty(0, np.float32)


def on_device(x: OnDevice, host: F32, need: bool) -> None:
    assert_type(prelu(x, 0.25), OnDevice)
    assert_type(prelu(x, x, axis=1, out=x), OnDevice)
    assert_type(prelu_backward(x, x, x), tuple[OnDevice, OnDevice])
    assert_type(prelu_backward(x, x, x, need_dx=False), tuple[None, OnDevice])
    assert_type(prelu_backward(x, x, x, need_dalpha=False), tuple[OnDevice, None])
    assert_type(prelu_jvp(x, x, x, x), OnDevice)
    assert_type(prelu_double_backward(x, x, x, x, x), tuple[OnDevice, OnDevice, OnDevice])
    assert_type(prelu_backward_partial(x, x, 0.25), tuple[OnDevice, OnDevice])
    assert_type(dalpha_from_partial(x, np.float32), OnDevice)
    prelu(host, x)  # wrong
    prelu_backward(host, x, 0.25)  # wrong


def unknown(x: Any) -> None:
    """Of what a checker knows nothing, as CuPy has no types, it knows no result."""
    prelu(x, 0.25).get()
    prelu_backward(x, x, 0.25)[1].get()


def mistakes(x: F32, dtype: str) -> None:
    prelu("x.npy", 0.25)  # wrong
    prelu(["1.0"], 0.25)  # wrong
    prelu(None, 0.25)  # wrong
    prelu([1j], 0.25)  # wrong
    prelu(x, None)  # wrong
    prelu(x, "0.25")  # wrong
    prelu(x, 1j)  # wrong
    prelu(x)  # wrong
    prelu(x, 0.25, 1)  # wrong
    prelu(x, 0.25, axis="1")  # wrong
    prelu(x, 0.25, axis=1.0)  # wrong
    prelu(x, 0.25, axis=[0, 1])  # wrong
    prelu(x, 0.25, out=[0.0])  # wrong
    prelu_backward(x, x)  # wrong
    prelu_backward(x, x, 0.25, at_zero="zero")  # wrong
    prelu_backward(x, x, 0.25, at_zero=dtype)  # wrong
    prelu_backward(x, x, 0.25, out=x)  # wrong
    prelu_backward(x, x, 0.25, need_dx=None)  # wrong
    prelu_backward(x, x, 0.25, need_dx=False)[0].sum()  # wrong
    prelu_jvp(x, 0.25, x)  # wrong
    prelu_double_backward(x, 1.0, x, x, 0.25, at_zero=0)  # wrong
    prelu_double_backward(x, 1.0, x, x, 0.25, out=(x, x))  # wrong
    prelu_backward_partial(x, x, 0.25, need_dalpha=False)  # wrong
    dalpha_from_partial(x, 32)  # wrong
