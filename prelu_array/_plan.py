"""Which kernel runs, and how: pure Python, from shapes, strides, dtypes and alignment.

Here are the canonical view and the kernel without sums; those with sums are in `_plan_sums`.
Strides are in bytes, as arrays have them; kernels get elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

Ints = tuple[int, ...]

BLOCK = 256
BLOCKS_PER_SM = 8  # enough to hide memory latency; fewer, larger blocks add less overhead

SIZES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}


class Launch(NamedTuple):
    """One kernel: its name, how its source begins, and how it is launched."""

    kernel: str
    head: str
    grid: int
    block: int
    scalars: tuple[Any, ...]


@cache
def code(dtype: Any) -> str:
    """Return the kernels' name of a dtype."""
    return "bf16" if dtype.name == "bfloat16" else f"f{8 * dtype.itemsize}"


def edge(x: str, alpha: str, at_one: bool) -> float:
    """Return the largest x of the alpha branch, as prelu_scalar.h explains."""
    if not at_one:
        return 0.0
    return -(2.0**-1074) if "f64" in (x, alpha) else -(2.0**-149)


@cache
def head(x: str, alpha: str, **others: str | int) -> str:
    """Return the definitions that numbers.cu asks for, and others."""
    defines: dict[str, str | int] = {
        "X": x,
        "A": alpha,
        "real": "double" if "f64" in (x, alpha) else "float",
        "X_IS_F64": int(x == "f64"),
        "A_IS_F64": int(alpha == "f64"),
        **others,
    }
    return "".join(f"#define {name} {value}\n" for name, value in defines.items())


def canonical(shape: Ints, strides: Sequence[Ints]) -> tuple[list[int], list[list[int]]]:
    """Sort axes by memory and join neighbours that are one run for every operand.

    Parameters
    ----------
    shape : tuple of int
        x's shape, without a 0.
    strides : sequence of tuple of int
        Those of each operand along the axes of x, the one to sort by first.

    Returns
    -------
    tuple
        The lengths, outermost first, and the strides of each operand; at least one axis.
    """
    order = sorted(
        (k for k, n in enumerate(shape) if n != 1),
        key=lambda k: tuple(-abs(s[k]) for s in strides),
    )
    lengths: list[int] = []
    result: list[list[int]] = [[] for _ in strides]
    for k in order:
        joins = bool(lengths) and all(
            r[-1] == shape[k] * s[k] for r, s in zip(result, strides, strict=True)
        )
        if joins:
            lengths[-1] *= shape[k]
        else:
            lengths.append(shape[k])
        for r, s in zip(result, strides, strict=True):
            if joins:
                r[-1] = s[k]
            else:
                r.append(s[k])
    return (lengths, result) if lengths else ([1], [[0] for _ in strides])


def is_dense(shape: Sequence[int], strides: Sequence[int], item: int) -> bool:
    """Whether canonical strides are those of one block of memory."""
    expected = item
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n > 1 and s != expected:
            return False
        expected *= n
    return True


def is_block(shape: Ints, strides: Ints, item: int) -> bool:
    """Whether an array without a 0 in its shape is one block of memory, in any order of axes."""
    lengths, (s,) = canonical(shape, (strides,))
    return is_dense(lengths, s, item)


def same_strides(shape: Ints, a: Ints, b: Ints) -> bool:
    """Whether two arrays of a shape lie in memory alike."""
    return all(n == 1 or s == t for n, s, t in zip(shape, a, b, strict=True))


def ceil(a: int, b: int) -> int:
    """Return a / b, rounded upwards."""
    return -(-a // b)


def vector_of(x: str, aligned: bool) -> int:
    """Return how many elements move at a time."""
    return 16 // SIZES[x] if aligned else 1


def packs(strides: Ints, vector: int, alpha: str, aligned: bool) -> bool:
    """Whether vectors of alphas may be loaded where rows of alphas have these strides."""
    size = vector * SIZES[alpha]
    return vector == 1 or (aligned and all(s % min(16, size) == 0 for s in strides))


def index(largest: int) -> tuple[str, Any]:
    """Return the integer that holds every index, for CUDA and for NumPy."""
    return ("int", np.int32) if largest < 2**31 else ("long long", np.int64)


@lru_cache(maxsize=1024)
def scale(
    x: str,
    alpha: str,
    shape: Ints,
    strides: tuple[Ints, ...],
    alpha_strides: Ints,
    aligned: bool,
    alpha_aligned: bool,
    backward: bool,
    second: bool = False,
) -> Launch | None:
    """Plan y, dx or with `second` y_dot over dense memory; None where memory is not.

    Parameters
    ----------
    x, alpha : str
        dtypes, as `code` names them.
    shape : tuple of int
        x's.
    strides : tuple of tuple of int
        Those of the output, of x and of dy or x_dot, if they are given.
    alpha_strides : tuple of int
        alpha's along the axes of x, 0 where it is broadcast.
    aligned, alpha_aligned : bool
        Whether the output, x and dy, and alpha, begin at multiples of 16 bytes.
    backward : bool
        Whether dy is scaled instead of x.
    second : bool
        Whether alpha_dot * x is added to alpha * x_dot.
    """
    lengths, (a, *others) = canonical_last(shape, strides, (alpha_strides,))
    if len(lengths) > 3 or not all(is_dense(lengths, s, SIZES[x]) for s in others):
        return None
    if any(s % SIZES[alpha] for s in a):
        return None
    pad = 3 - len(lengths)
    n0, n1, n2 = [1] * pad + lengths
    s0, s1, s2 = ([0] * pad + a)[:3]
    n = n0 * n1 * n2
    vector = vector_of(x, aligned)
    if second and "f64" in (x, alpha):
        vector = min(vector, 2)  # the text of an exact sum of two products is long
    if (s0, s1, s2) == (0, 0, 0):
        along = "ONE"
    elif s2 == 0 and n2 % vector == 0:
        along = "RUN"
    elif s2 == SIZES[alpha] and n2 % vector == 0 and packs((s0, s1), vector, alpha, alpha_aligned):
        along = "ALONG_VECTOR"
    else:
        along = "EACH"
    grid = min(max(1, ceil(n // vector, BLOCK)), 2**30)
    item = SIZES[alpha]
    reach = sum(abs(s) // item * m for s, m in ((s0, n0), (s1, n1), (s2, n2)))
    name, integer = index(max(n, n // vector + grid * BLOCK, reach))
    return Launch(
        "scale",
        head(
            x, alpha, BLOCK=BLOCK, VECTOR=vector, I=name, BACKWARD=int(backward),
            SECOND=int(second), ALONG=along,
        ),
        grid,
        BLOCK,
        tuple(integer(v) for v in (n, n1, n2, s0 // item, s1 // item, s2 // item)),
    )  # fmt: skip


def canonical_last(
    shape: Ints, strides: tuple[Ints, ...], last: tuple[Ints, ...]
) -> tuple[list[int], list[list[int]]]:
    """Canonical axes sorted by `strides`; those of `last` come first in the answer."""
    lengths, result = canonical(shape, (*strides, *last))
    return lengths, result[len(strides) :] + result[: len(strides)]


def placed(array_strides: Ints, where: Sequence[int], ndim: int) -> Ints:
    """Return alpha's strides along the axes of x; `where` is `_cpu.fit_alpha`'s answer."""
    result = [0] * ndim
    for s, k in zip(array_strides, where, strict=True):
        if k >= 0:
            result[k] = s
    return tuple(result)
