"""Which kernel runs, and how: pure Python, from shapes, strides, dtypes and alignment.

Here are the canonical view and the kernel without sums; `walk` plans the one with sums. Strides
are in bytes, as arrays have them; kernels get elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from struct import pack
from typing import Any, NamedTuple

Ints = tuple[int, ...]

BLOCK = 256
AXES = 6  # what kernels take after neighbours are joined
SIZES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}


class Launch(NamedTuple):
    """One kernel: its name, how its source begins, its grid, and its plan as it gets it."""

    kernel: str
    head: str
    grid: int
    words: bytes


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
        "X_SIZE": SIZES[x],
        "A_SIZE": SIZES[alpha],
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


def vector_of(x: str, low_bits: int) -> int:
    """Return how many elements move at a time, where addresses have these bits below 16."""
    return max(1, min(16, low_bits & -low_bits or 16) // SIZES[x])


def packs(strides: Sequence[int], vector: int, alpha: str, low_bits: int) -> bool:
    """Whether vectors of alphas may be loaded where rows of alphas have these strides."""
    size = min(16, vector * SIZES[alpha])
    return low_bits % size == 0 and all(s % size == 0 for s in strides)


def index(largest: int) -> str:
    """Return CUDA's integer that holds every index."""
    return "int" if largest < 2**31 else "long long"


def placed(array_strides: Ints, where: Sequence[int], ndim: int) -> Ints:
    """Return alpha's strides along the axes of x; `where` is `_cpu.fit_alpha`'s answer."""
    result = [0] * ndim
    for s, k in zip(array_strides, where, strict=True):
        if k >= 0:
            result[k] = s
    return tuple(result)


def scale(
    x: str,
    alpha: str,
    shape: Ints,
    strides: tuple[Ints, ...],
    alpha_strides: Ints,
    low_bits: int,
    alpha_low_bits: int,
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
    low_bits, alpha_low_bits : int
        The bits below 16 of the addresses of the output, x and dy; of alpha.
    backward : bool
        Whether dy is scaled instead of x.
    second : bool
        Whether alpha_dot * x is added to alpha * x_dot.
    """
    lengths, result = canonical(shape, (*strides, alpha_strides))
    others, a, item = result[:-1], result[-1], SIZES[alpha]
    if len(lengths) > AXES or not all(is_dense(lengths, s, SIZES[x]) for s in others):
        return None
    if any(s % item for s in a):
        return None
    n, last = prod(lengths), lengths[-1]
    vector = vector_of(x, low_bits)
    if second and "f64" in (x, alpha):
        vector = min(vector, 2)  # the text of an exact sum of two products is long
    if not any(a):
        along = "ONE"
    elif a[-1] == 0 and last >= vector:
        along = "RUNS"
    elif a[-1] == item and last % vector == 0 and packs(a[:-1], vector, alpha, alpha_low_bits):
        along = "VECTORS"
    else:
        along = "EACH"
    grid = min(max(1, ceil(n // vector, BLOCK)), 2**30)
    reach = sum(abs(s) // item * m for s, m in zip(a, lengths, strict=True))
    axes, reach = len(lengths), max(reach, n)
    bits = [(m - 1).bit_length() for m in lengths]  # of 2^31 / m, rounded upwards, there are 32
    factors = [
        min(-(-(2 ** (31 + b)) // m), 2**32 - 1) for b, m in zip(bits, lengths, strict=True)
    ]
    return Launch(
        "scale",
        head(
            x, alpha, BLOCK=BLOCK, VECTOR=vector, I=index(max(reach, n // vector + grid * BLOCK)),
            BACKWARD=int(backward), SECOND=int(second), ALONG=along, AXES=axes,
            CUT=int(last % vector > 0),
        ),
        grid,
        pack(
            f"{1 + 2 * axes}q{2 * axes}I", n, *lengths, *(s // item for s in a), *factors,
            *(max(0, b - 1) for b in bits),
        ),
    )  # fmt: skip
