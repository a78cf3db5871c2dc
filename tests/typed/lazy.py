"""As arrays.py, with Dask's arrays."""

# pyright: strict

from __future__ import annotations

from typing import assert_type

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from prelu_array import dalpha_from_partial, prelu, prelu_backward, prelu_backward_partial


def lazy(x: da.Array, alpha: NDArray[np.float64]) -> None:
    assert_type(prelu(x, 0.25), da.Array)
    assert_type(prelu(x, alpha, axis=1), da.Array)
    assert_type(prelu_backward(x, x, x), tuple[da.Array, da.Array])
    assert_type(prelu_backward(x, x, alpha, need_dx=False), tuple[None, da.Array])
    _, state = prelu_backward_partial(x, x, alpha)
    assert_type(dalpha_from_partial(state, alpha.dtype), da.Array)
    prelu(alpha, x)  # wrong
    prelu(x, 0.25, axis="1")  # wrong
    prelu_backward(x, x, 0.25, at_zero="zero")  # wrong
