"""Plans of the sums behind dalpha, and of states: partial sums, their end, the exact kernel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ._plan import (
    BLOCK,
    BLOCKS_PER_SM,
    SIZES,
    Ints,
    Launch,
    canonical,
    canonical_last,
    ceil,
    head,
    index,
    is_dense,
    packs,
    vector_of,
)

# A thread takes at most so many steps: a vector each in rows, a term for each sum in columns. More
# would widen the interval around the sum and send more alphas to the exact kernel; fewer would
# make the partial sums heavy.
ROWS_STEPS = 32
COLS_STEPS = 64

LIMBS = {"f16": 5 + 3, "bf16": 19 + 3, "f32": 20 + 3, "f64": 134 + 3}  # as in numbers.cu


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
    kind: str = "sums",
) -> Sums | None:
    """Plan dalpha, and with `want_dx` dx in the same pass, over dense memory.

    Parameters
    ----------
    strides : tuple of tuple of int
        Those of every operand of x's shape.
    alpha_strides, dalpha_strides : tuple of int
        Along the axes of x; dalpha's are 0 only where alpha is shared.
    aligned, alpha_aligned : bool
        As in `scale`; alpha with dalpha.
    sms : int
        Multiprocessors of the device.
    kind : {"sums", "second", "states"}
        The backward, the double backward, or the backward that makes states.

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
    vector = vector_of(x, aligned)
    n = prod(lengths)
    states = kind == "states"
    if states and n // channels >= 2**31:
        return None  # so many digits might not fit a limb
    if kind == "second" and "f64" in (x, alpha):
        vector = min(vector, 2)  # the text of an exact sum of two products is long
    name, integer = index(max(2 * n + 2**16, channels * abs(a_stride)))
    which = {"STATES": int(states), "SECOND": int(kind == "second"), "WANT_DX": int(want_dx)}
    if alongside:
        rows = n // channels
        # what is kept for each channel must fit the registers
        room = 8 if kind == "sums" else 4
        if alpha == "f64" and (x != "f32" or states):
            room = 2
        vector = next(v for v in (8, 4, 2, 1) if v <= min(vector, room) and channels % v == 0)
        vectors = channels // vector
        columns = BLOCK if rows <= 4 else min(32, 1 << (vectors - 1).bit_length())
        per_step = BLOCK // columns
        blocks = ceil(vectors, columns)
        chunks = min(ceil(BLOCKS_PER_SM * sms, blocks), ceil(rows, 4 * per_step))
        if not states:
            chunks = max(chunks, ceil(rows, COLS_STEPS * per_step))
        chunk = ceil(rows, chunks)
        chunks = ceil(rows, chunk)
        packed = a_stride == 1 and d_stride == 1 and packs((), vector, alpha, alpha_aligned)
        first = Launch(
            "cols",
            head(
                x, alpha, **which, BLOCK=BLOCK, VECTOR=vector, I=name, COLUMNS=columns,
                PACKED=int(packed), LANES=vector, ONE_TERM=int(rows == 1 and not states),
            ),
            blocks * chunks,
            BLOCK,
            tuple(integer(v) for v in (channels, rows, chunk, chunks, a_stride)),
        )  # fmt: skip
        steps, strides_of_partials, joins = ceil(chunk, per_step), (1, channels), 8
    else:
        inner = lengths[-1] if at is not None else n
        outer = n // (channels * inner)
        if at is not None and inner % vector:
            vector = 1
        tail = n % vector if at is None else 0
        stream = outer * (inner // vector)
        block = 32 if stream <= 64 else BLOCK
        chunks = min(ceil(BLOCKS_PER_SM * sms, channels), ceil(stream, 4 * block))
        chunks = max(1, chunks, ceil(stream, ROWS_STEPS * block))
        chunk = max(1, ceil(ceil(stream, chunks), block)) * block
        chunks = max(1, ceil(stream, chunk))
        lanes = min(vector, 4)
        if states:
            lanes = 1
        elif alpha == "f64":  # a lane is larger, and registers are few
            lanes = 1 if vector == 8 else min(vector, 2)
        elif kind == "second":
            lanes = min(vector, 2)
        first = Launch(
            "rows",
            head(
                x, alpha, **which, BLOCK=block, VECTOR=vector, I=name, LANES=lanes, ONE_TERM=0
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
        steps = ceil(chunk, block) * (vector // lanes) + 1
        strides_of_partials, joins = (chunks, 1), lanes + 8
    finish = None
    if chunks > 1:
        finish = finish_launch(x, alpha, channels, chunks, strides_of_partials)
        joins += ceil(chunks, 32) + 8
    one_term = alongside and n == channels
    bound, tiny = error_bound(x, alpha, steps, joins, n // channels)
    terms = exact_terms(lengths, kept, (others[0],) * 3, SIZES[x])
    return Sums(
        first,
        finish,
        None if one_term else exact_launch(x, alpha, len(kept), len(lengths) - len(kept), sms),
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
        head(
            x, alpha, SECOND=0, BLOCK=block, VECTOR=1, I="long long", BLOCK_PER_ALPHA=int(by_block)
        ),
        min(alphas if by_block else ceil(alphas, block), 2**20),
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
    lengths: Sequence[int], kept: Sequence[int], strides: Sequence[Sequence[int]], item: int
) -> np.ndarray[Any, Any]:
    """Return the exact kernel's view of x, of the factor and of dy.

    First the axes that alpha varies along, in order, then the rest.
    """
    summed = [k for k in range(len(lengths)) if k not in kept]
    words = [prod(lengths[k] for k in axes) for axes in (kept, summed)]
    for axes in (kept, summed):
        words += [lengths[k] for k in axes] + [0]
    for axes in (kept, summed):
        words += [s[k] // item for k in axes for s in strides] + [0, 0, 0]
    struct = np.dtype([("words", np.int64, (len(words),))])  # by value, so of size one
    return np.array(words, dtype=np.int64).view(struct)


def exact_launch(
    x: str, alpha: str, kept: int, summed: int, sms: int, states: bool = False
) -> Launch:
    """Plan the exact kernel. It has as many blocks as there are states for alphas in pieces."""
    text = head(x, alpha, BLOCK=BLOCK, KEPT=kept, SUMMED=summed, ALL=int(states))
    return Launch("exact", text, (BLOCKS_PER_SM if states else 2) * sms, BLOCK, ())


def carry_launch(x: str, alphas: int) -> Launch:
    """Plan the kernel that carries states."""
    return Launch(
        "carry", head(x, x, BLOCK=32), min(ceil(alphas, 32), 2**20), 32, (np.int64(alphas),)
    )


def round_launch(x: str, alpha: str, alphas: int) -> Launch:
    """Plan the kernel that rounds states."""
    return Launch("round", head(x, alpha, BLOCK=32), min(alphas, 2**20), 32, (np.int64(alphas),))


def zeros(x: str, sms: int) -> int:
    """Return how many words of the exact kernel must be 0: arrivals, then states."""
    return 2 * sms * (1 + LIMBS[x])


def _any_memory(
    x: str, kept: tuple[Ints, ...], summed: tuple[Ints, ...]
) -> tuple[int, int, np.ndarray[Any, Any]]:
    """Return how many axes alpha varies along, how many others there are, and the view."""
    lengths, strides = canonical(summed[0], summed[1:])
    every = [[*k, *s] for k, s in zip(kept[1:], strides, strict=True)]
    terms = exact_terms([*kept[0], *lengths], range(len(kept[0])), every, SIZES[x])
    return len(kept[0]), len(lengths), terms


@lru_cache(maxsize=1024)
def reduction(
    x: str, alpha: str, kept: tuple[Ints, ...], summed: tuple[Ints, ...], sms: int
) -> Sums:
    """Plan dalpha over any memory, where CuPy's reduction makes one partial sum for each alpha.

    Parameters
    ----------
    kept, summed : (shape, x's strides, the factor's, dy's)
        The axes that alpha lies along, in alpha's order, and the others.
    """
    alphas, each = prod(kept[0]), prod(summed[0])
    n_kept, n_summed, terms = _any_memory(x, kept, summed)
    return Sums(
        None,
        finish_launch(x, alpha, alphas, 1, (1, 1)),
        exact_launch(x, alpha, n_kept, n_summed, sms),
        alphas,
        alphas,
        zeros(x, sms),
        1,
        *error_bound(x, alpha, 1, each, each),  # nobody says how CuPy splits a sum
        terms,
    )


@lru_cache(maxsize=1024)
def all_states(
    x: str, alpha: str, kept: tuple[Ints, ...], summed: tuple[Ints, ...], sms: int
) -> tuple[Launch, np.ndarray[Any, Any]]:
    """Plan states over any memory: the launch and its view. Parameters as in `reduction`."""
    n_kept, n_summed, terms = _any_memory(x, kept, summed)
    return exact_launch(x, alpha, n_kept, n_summed, sms, states=True), terms
