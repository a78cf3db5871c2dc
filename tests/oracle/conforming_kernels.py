"""Ways to add dalpha that conform; the oracle must accept each of them."""

from __future__ import annotations

import numpy as np
from wrong_kernels import gradient, products


def rows(dy, x, alpha):
    """Terms of each alpha, one row for each, in C order of x."""
    terms = products(dy, x)
    terms = np.moveaxis(terms, 1, 0) if alpha.size > 1 else terms
    return terms.reshape(alpha.size, -1)


def kernel(add):
    """Make a backward from a way to add rows."""

    def backward(dy, x, alpha):
        total = add(rows(dy, x, alpha))
        return gradient(dy, x, alpha), total.astype(alpha.dtype).reshape(alpha.shape)

    backward.__name__ = add.__name__
    return backward


@kernel
def sequential(terms):
    # cumsum adds from left to right and rounds each time
    return terms.cumsum(axis=1)[:, -1] if terms.shape[1] else np.zeros(len(terms), terms.dtype)


@kernel
def backwards(terms):
    reverse = terms[:, ::-1]
    return reverse.cumsum(axis=1)[:, -1] if terms.shape[1] else np.zeros(len(terms), terms.dtype)


@kernel
def pairwise(terms):
    return terms.sum(axis=1)


@kernel
def blocked_by_8(terms):
    padded = np.pad(terms, ((0, 0), (0, -terms.shape[1] % 8)))
    lanes = padded.reshape(len(terms), -1, 8)
    if lanes.shape[1]:
        lanes = lanes.cumsum(axis=1)[:, -1]
    else:
        lanes = np.zeros((len(terms), 8), terms.dtype)
    return lanes.cumsum(axis=1)[:, -1]


@kernel
def fixed_tree(terms):
    while terms.shape[1] > 1:
        if terms.shape[1] % 2:
            terms = np.pad(terms, ((0, 0), (0, 1)))
        terms = terms[:, ::2] + terms[:, 1::2]
    return terms[:, 0] if terms.shape[1] else np.zeros(len(terms), terms.dtype)


def rows_in_float64(dy, x, alpha):
    """Like rows, but the products are formed in float64 as well."""
    return rows(dy.astype(np.float64), x.astype(np.float64), alpha)


def in_float64(dy, x, alpha):
    total = rows_in_float64(dy, x, alpha).sum(axis=1)
    return gradient(dy, x, alpha), total.astype(alpha.dtype).reshape(alpha.shape)


def fused_multiply_add(dy, x, alpha):
    """float32 or 16-bit data: x * dy is exact in float64, the sum is rounded to float32."""
    terms = rows_in_float64(dy, x, alpha)
    total = np.zeros(alpha.size, np.float32)
    for column in range(terms.shape[1]):
        total = (total + terms[:, column]).astype(np.float32)
    return gradient(dy, x, alpha), total.astype(alpha.dtype).reshape(alpha.shape)


CONFORMING = [
    sequential,
    backwards,
    pairwise,
    blocked_by_8,
    fixed_tree,
    in_float64,
    fused_multiply_add,
]
