"""Which kernel runs, and how: pure Python, from shapes, strides, dtypes and alignment.

Strides are in bytes, as arrays have them; kernels get elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

Ints = tuple[int, ...]

BLOCK = 256
# A thread adds at most so many terms into one sum. More would widen the interval around the sum
# and send more alphas to the exact kernel; fewer would make the partial sums heavy.
ROWS_STEPS = 32
COLS_STEPS = 64
BLOCKS_PER_SM = 8  # enough to hide memory latency; fewer, larger blocks add less overhead

SIZES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}
LIMBS = {"f16": 5 + 3, "bf16": 19 + 3, "f32": 20 + 3, "f64": 134 + 3}  # as in numbers.cu


class Launch(NamedTuple):
    """One kernel: its name, what is defined for its compilation, and how it is launched."""

    kernel: str
    defines: tuple[tuple[str, str | int], ...]
    grid: int
    block: int
    scalars: tuple[Any, ...]


class Sums(NamedTuple):
    """The launches behind dalpha."""

    first: Launch | None  # None: CuPy's reduction makes the partial sums
    finish: Launch | None
    exact: Launch | None  # None: each alpha has one term, and its rounding is never in doubt
    partials: int
    alphas: int
    zeros: int  # words at the start of the workspace, before the count of doubts
    dalpha_stride: int
    bound: float
    tiny: float
    terms: np.ndarray[Any, Any]  # the view of x and dy for the exact kernel


def code(dtype: Any) -> str:
    """Return the kernels' name of a dtype."""
    return "bf16" if dtype.name == "bfloat16" else f"f{8 * dtype.itemsize}"


def edge(x: str, alpha: str, at_one: bool) -> float:
    """Return the largest x of the alpha branch, as prelu_scalar.h explains."""
    if not at_one:
        return 0.0
    return -(2.0**-1074) if "f64" in (x, alpha) else -(2.0**-149)


def dtype_defines(x: str, alpha: str) -> tuple[tuple[str, str | int], ...]:
    """Return the definitions of the dtypes that numbers.cu asks for."""
    wide = "f64" in (x, alpha)
    return (
        ("X", x),
        ("A", alpha),
        ("real", "double" if wide else "float"),
        ("X_IS_F64", int(x == "f64")),
        ("A_IS_F64", int(alpha == "f64")),
    )


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


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _vector(x: str, aligned: bool) -> int:
    return 16 // SIZES[x] if aligned else 1


def _packs(strides: Ints, vector: int, alpha: str, aligned: bool) -> bool:
    """Whether vectors of alphas may be loaded where rows of alphas have these strides."""
    size = vector * SIZES[alpha]
    return vector == 1 or (aligned and all(s % min(16, size) == 0 for s in strides))


def _index(largest: int) -> tuple[str, Any]:
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
) -> Launch | None:
    """Plan y or dx over dense memory; None where memory is not.

    Parameters
    ----------
    x, alpha : str
        dtypes, as `code` names them.
    shape : tuple of int
        x's.
    strides : tuple of tuple of int
        Those of the output, of x and in the backward of dy.
    alpha_strides : tuple of int
        alpha's along the axes of x, 0 where it is broadcast.
    aligned, alpha_aligned : bool
        Whether the output, x and dy, and alpha, begin at multiples of 16 bytes.
    backward : bool
        Whether dy is scaled instead of x.
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
    vector = _vector(x, aligned)
    if (s0, s1, s2) == (0, 0, 0):
        along = "ONE"
    elif s2 == 0 and n2 % vector == 0:
        along = "RUN"
    elif (
        s2 == SIZES[alpha] and n2 % vector == 0 and _packs((s0, s1), vector, alpha, alpha_aligned)
    ):
        along = "ALONG_VECTOR"
    else:
        along = "EACH"
    grid = min(max(1, _ceil(n // vector, BLOCK)), 2**30)
    item = SIZES[alpha]
    reach = sum(abs(s) // item * m for s, m in ((s0, n0), (s1, n1), (s2, n2)))
    name, integer = _index(max(n + BLOCK, n // vector + grid * BLOCK, reach))
    return Launch(
        "scale",
        (
            *dtype_defines(x, alpha),
            ("BLOCK", BLOCK),
            ("VECTOR", vector),
            ("I", name),
            ("BACKWARD", int(backward)),
            ("ALONG", along),
        ),
        grid,
        BLOCK,
        tuple(integer(v) for v in (n, n1, n2, s0 // item, s1 // item, s2 // item)),
    )


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


@lru_cache(maxsize=1024)
def sums(
    x: str,
    alpha: str,
    shape: Ints,
    strides: tuple[Ints, ...],
    alpha_strides: Ints,
    dalpha_strides: Ints,
    aligned: bool,
    alpha_aligned: bool,
    want_dx: bool,
    sms: int,
) -> Sums | None:
    """Plan dalpha, and with `want_dx` dx in the same pass, over dense memory.

    Parameters
    ----------
    strides : tuple of tuple of int
        Those of x, of dy and with `want_dx` of dx.
    alpha_strides, dalpha_strides : tuple of int
        Along the axes of x; dalpha's are 0 only where alpha is shared.
    aligned, alpha_aligned : bool
        As in `scale`; alpha with dalpha.
    sms : int
        Multiprocessors of the device.

    Returns
    -------
    Sums or None
        None where memory is not dense, or alpha lies along more than one run of axes.
    """
    lengths, (a, d, *others) = canonical_last(shape, strides, (alpha_strides, dalpha_strides))
    if not all(is_dense(lengths, s, SIZES[x]) for s in others):
        return None
    if any(s % SIZES[alpha] for s in (*a, *d)):
        return None
    kept = [k for k, s in enumerate(d) if s != 0]
    if len(kept) > 1:
        return None
    at = kept[0] if kept else None
    item = SIZES[alpha]
    a_stride, d_stride = (a[at] // item, d[at] // item) if at is not None else (0, 0)
    alongside = at is not None and at == len(lengths) - 1
    channels = lengths[at] if at is not None else 1
    vector = _vector(x, aligned)
    n = prod(lengths)
    name, integer = _index(2 * n + 2**16)
    if alongside:
        rows = n // channels
        if channels % vector or (x in ("f16", "bf16") and alpha == "f64"):
            # float64 pairs for eight channels do not fit the registers
            vector = 4 if vector == 8 and channels % 4 == 0 else 1
        vectors = channels // vector
        columns = BLOCK if rows <= 4 else min(32, 1 << (vectors - 1).bit_length())
        per_step = BLOCK // columns
        blocks = _ceil(vectors, columns)
        chunks = min(_ceil(BLOCKS_PER_SM * sms, blocks), _ceil(rows, 4 * per_step))
        chunks = max(chunks, _ceil(rows, COLS_STEPS * per_step))
        chunk = _ceil(rows, chunks)
        chunks = _ceil(rows, chunk)
        packed = a_stride == 1 and d_stride == 1 and _packs((), vector, alpha, alpha_aligned)
        first = Launch(
            "cols",
            (
                *dtype_defines(x, alpha),
                ("BLOCK", BLOCK),
                ("VECTOR", vector),
                ("I", name),
                ("WANT_DX", int(want_dx)),
                ("COLUMNS", columns),
                ("PACKED", int(packed)),
                ("ONE_TERM", int(rows == 1)),
            ),
            blocks * chunks,
            BLOCK,
            tuple(integer(v) for v in (channels, rows, chunk, chunks, a_stride)),
        )
        steps, strides_of_partials, joins = _ceil(chunk, per_step), (1, channels), 8
    else:
        inner = lengths[-1] if at is not None else n
        outer = n // (channels * inner)
        if at is not None and inner % vector:
            vector = 1
        tail = n % vector if at is None else 0
        stream = outer * (inner // vector)
        block = 32 if stream <= 64 else BLOCK
        chunks = min(_ceil(BLOCKS_PER_SM * sms, channels), _ceil(stream, 4 * block))
        chunks = max(1, chunks, _ceil(stream, ROWS_STEPS * block))
        chunk = max(1, _ceil(_ceil(stream, chunks), block)) * block
        chunks = max(1, _ceil(stream, chunk))
        lanes = min(vector, 4)
        if alpha == "f64":  # a lane is larger, and registers are few
            lanes = 1 if vector == 8 else min(vector, 2)
        first = Launch(
            "rows",
            (
                *dtype_defines(x, alpha),
                ("BLOCK", block),
                ("VECTOR", vector),
                ("I", name),
                ("WANT_DX", int(want_dx)),
                ("LANES", lanes),
            ),
            channels * chunks,
            block,
            tuple(
                integer(v)
                for v in (
                    channels, max(1, inner // vector), stream, tail, chunk, chunks, a_stride,
                )
            ),
        )  # fmt: skip
        steps = _ceil(chunk, block) * (vector // lanes) + 1
        strides_of_partials, joins = (chunks, 1), lanes + 8
    finish = None
    if chunks > 1:
        finish = finish_launch(x, alpha, channels, chunks, strides_of_partials)
        joins += _ceil(chunks, 32) + 8
    one_term = alongside and n == channels
    bound, tiny = error_bound(x, alpha, steps, joins, n // channels)
    terms = exact_terms(lengths, kept, others[0], others[1], SIZES[x])
    return Sums(
        first,
        finish,
        None if one_term else exact_launch(x, alpha, kept, lengths, sms),
        channels * chunks if chunks > 1 else 0,
        channels,
        zeros(x, sms),
        d_stride,
        bound,
        tiny,
        terms,
    )


def finish_launch(x: str, alpha: str, alphas: int, chunks: int, strides: Ints) -> Launch:
    """Plan the kernel that adds partial sums."""
    by_block = chunks > 16
    block = BLOCK if not by_block or chunks > 64 else 32
    return Launch(
        "finish",
        (
            *dtype_defines(x, alpha),
            ("BLOCK", block),
            ("VECTOR", 1),
            ("I", "long long"),
            ("BLOCK_PER_ALPHA", int(by_block)),
        ),
        min(alphas if by_block else _ceil(alphas, block), 2**20),
        block,
        tuple(np.int64(v) for v in (alphas, chunks, *strides)),
    )


def error_bound(x: str, alpha: str, steps: int, joins: int, terms: int) -> tuple[float, float]:
    """Return (bound, tiny): a sum is wrong by at most bound * (sum of |term|) + tiny.

    A chain of m additions of doubles is wrong by less than m * 2^-53 * 1.01 of the sum of |term|,
    a rounded product by 2^-53 of it; both are doubled here. Where the roundings are summed as
    well, at most m + 4 of them, each at most m * 2^-53, are rounded: the square of that.
    """
    unit = 2.0**-52
    tiny = terms * 2.0**-1074 if x == "f64" else 0.0
    if alpha == "f64":
        return ((steps + joins + 4) * unit) ** 2, tiny
    return (steps + 2) * unit, tiny


def exact_terms(
    lengths: Sequence[int], kept: Sequence[int], x: Sequence[int], dy: Sequence[int], item: int
) -> np.ndarray[Any, Any]:
    """Return the exact kernel's view: the axes that alpha varies along, in order, and the rest."""
    summed = [k for k in range(len(lengths)) if k not in kept]
    words = [prod(lengths[k] for k in summed)]
    for axes in (kept, summed):
        for values, divisor in ((lengths, 1), (x, item), (dy, item)):
            words += [values[k] // divisor for k in axes] + [0]
    struct = np.dtype([("words", np.int64, (len(words),))])  # by value, so of size one
    return np.array(words, dtype=np.int64).view(struct)


def exact_launch(
    x: str, alpha: str, kept: Sequence[int], lengths: Sequence[int], sms: int
) -> Launch:
    """Plan the exact kernel. It has as many blocks as there are states for alphas in pieces."""
    defines = (
        *dtype_defines(x, alpha),
        ("BLOCK", BLOCK),
        ("KEPT", len(kept)),
        ("SUMMED", len(lengths) - len(kept)),
    )
    return Launch("exact", defines, 2 * sms, BLOCK, ())


def zeros(x: str, sms: int) -> int:
    """Return how many words of the exact kernel must be 0: arrivals, then states."""
    return 2 * sms * (1 + LIMBS[x])


@lru_cache(maxsize=1024)
def reduction(
    x: str,
    alpha: str,
    kept: tuple[Ints, Ints, Ints],
    summed: tuple[Ints, Ints, Ints],
    sms: int,
) -> Sums:
    """Plan dalpha over any memory, where CuPy's reduction makes one partial sum for each alpha.

    Parameters
    ----------
    kept, summed : (shape, x's strides, dy's strides)
        The axes that alpha lies along, in alpha's order, and the others.
    """
    alphas, each = prod(kept[0]), prod(summed[0])
    lengths, (xs, dys) = canonical(summed[0], summed[1:])
    lengths = [*kept[0], *lengths]
    along = range(len(kept[0]))
    terms = exact_terms(lengths, along, [*kept[1], *xs], [*kept[2], *dys], SIZES[x])
    return Sums(
        None,
        finish_launch(x, alpha, alphas, 1, (1, 1)),
        exact_launch(x, alpha, along, lengths, sms),
        alphas,
        alphas,
        zeros(x, sms),
        1,
        *error_bound(x, alpha, 1, each, each),  # nobody says how CuPy splits a sum
        terms,
    )
