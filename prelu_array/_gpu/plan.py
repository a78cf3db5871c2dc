"""Which kernel runs, and how: pure Python, from shapes, strides, dtypes and alignment.

Here are what describes a call, its dense view, and the plan of the kernel without sums; `walk`
plans the one with sums.
"""

from __future__ import annotations

from functools import cache
from math import prod
from struct import pack
from typing import Any, NamedTuple

Ints = tuple[int, ...]

# What a call takes, in the order of prelu_operands: y, dx, y_dot or the cotangent of dy; the
# cotangent of x; x; dy; ddx or x_dot; alpha; its direction; dalpha or states.
OUT, OF_X, X, DY, DDX, ALPHA, DDALPHA, RESULT = range(8)

BLOCK = 256
AXES = 6  # what kernels take after neighbours are joined
SIZES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}


class Case(NamedTuple):
    """All that decides which kernel runs."""

    x: str  # its dtype, as `code` names it
    alpha: str
    shape: Ints  # x's, without a 0
    # Along the axes of x, in bytes, of each operand; None: there is none, or alpha is a number.
    # alpha's are 0 where it is broadcast; its direction has the same; states have dalpha's.
    strides: tuple[Ints | None, ...]
    low_bits: tuple[int, int]  # of addresses, below 16: x's and its like, alpha's and its like
    states: bool = False
    at_one: bool = False  # whether x = 0 takes the identity

    @property
    def second(self) -> bool:
        """Whether there is a direction: y_dot or the double backward."""
        return self.strides[DDX] is not None


class Launch(NamedTuple):
    """One kernel: its name, how its source begins, its grid, and its plan as it gets it."""

    kernel: str
    head: str
    grid: int
    words: bytes


class Plan(NamedTuple):
    """The launches of a call, and the words of its workspace, as `doorway.Call` has them."""

    launches: tuple[Launch, ...]
    zeros: int = 0
    scratch: int = 0


@cache
def code(dtype: Any) -> str:
    """Return the kernels' name of a dtype, NumPy's or torch's."""
    return str(dtype).removeprefix("torch.").replace("loat", "")


def edge(x: str, alpha: str, at_one: bool) -> float:
    """Return the largest x of the alpha branch, as prelu_scalar.h explains."""
    if not at_one:
        return 0.0
    return -(2.0**-1074) if "f64" in (x, alpha) else -(2.0**-149)


@cache
def head(x: str, alpha: str, **others: str | int) -> str:
    """Return the definitions that numbers.cu asks for, and others."""
    real = "double" if "f64" in (x, alpha) else "float"
    sizes = {"X_SIZE": SIZES[x], "A_SIZE": SIZES[alpha]}
    defines: dict[str, str | int] = {"X": x, "A": alpha, "real": real, **sizes, **others}
    return "".join(f"#define {name} {value}\n" for name, value in defines.items())


def canonical(shape: Ints, *strides: Ints) -> tuple[Ints, list[Ints]]:
    """Sort axes by memory, of the first operand first, and join those that are one run for all.

    Return the lengths, outermost first, and the strides of each operand; at least one axis.
    """
    runs: list[tuple[int, Ints]] = []
    axes = [(n, own) for n, *own in zip(shape, *strides, strict=True) if n != 1]
    for n, own in sorted(axes, key=lambda axis: [-abs(s) for s in axis[1]]):
        if runs and all(s == n * t for s, t in zip(runs[-1][1], own, strict=True)):
            n *= runs.pop()[0]
        runs.append((n, tuple(own)))
    lengths, steps = zip(*runs or [(1, (0,) * len(strides))], strict=True)
    return lengths, list(zip(*steps, strict=True))


def is_block(shape: Ints, strides: Ints, item: int) -> bool:
    """Whether an array without a 0 in its shape is one block of memory, in any order of axes."""
    lengths, (s,) = canonical(shape, strides)
    return lengths == (1,) or s == (item,)


def same_strides(shape: Ints, a: Ints, b: Ints) -> bool:
    """Whether two arrays of a shape lie in memory alike."""
    return all(n == 1 or s == t for n, s, t in zip(shape, a, b, strict=True))


class Dense(NamedTuple):
    """A case in memory order, each operand of x's shape one block; strides are of elements."""

    lengths: Ints
    alpha: Ints  # strides
    dalpha: Ints
    vector: int  # how many elements move at a time


def dense(case: Case) -> Dense | None:
    """Return the dense view, or None where memory has gaps or lies in several orders."""
    shape, size, item = case.shape, SIZES[case.x], SIZES[case.alpha]
    along_x = [s for s in case.strides[:ALPHA] if s is not None]
    x, *others = along_x
    if not is_block(shape, x, size) or not all(same_strides(shape, x, s) for s in others):
        return None
    alphas = [case.strides[k] or (0,) * len(shape) for k in (ALPHA, RESULT)]
    lengths, (_, *alphas) = canonical(shape, x, *alphas)
    if any(s % item for steps in alphas for s in steps):
        return None
    low_bits = case.low_bits[0]
    vector = max(1, min(16, low_bits & -low_bits or 16) // size)
    if case.second and "f64" in (case.x, case.alpha):
        vector = min(vector, 2)  # the text of an exact sum of two products is long
    a, d = (tuple([s // item for s in steps]) for steps in alphas)
    return Dense(lengths, a, d, vector)


def packs(case: Case, vector: int, *steps: int) -> bool:
    """Whether vectors of alphas may be loaded where rows of alphas are so many alphas apart."""
    item = SIZES[case.alpha]
    size = min(16, vector * item)
    return case.low_bits[1] % size == 0 and all(s * item % size == 0 for s in steps)


def ceil(a: int, b: int) -> int:
    """Return a / b, rounded upwards."""
    return -(-a // b)


def index(largest: int) -> str:
    """Return CUDA's integer that holds every index."""
    return "int" if largest < 2**31 else "long long"


def placed(array_strides: Ints, where: Ints, ndim: int) -> Ints:
    """Return alpha's strides along the axes of x; `where` is `_cpu.fit_alpha`'s answer."""
    result = [0] * ndim
    for s, k in zip(array_strides, where, strict=True):
        if k >= 0:
            result[k] = s
    return tuple(result)


def scale(case: Case) -> Plan | None:
    """Plan y, dx or y_dot over dense memory; None where memory is not, or has too many runs."""
    view = dense(case)
    if view is None or len(view.lengths) > AXES:
        return None
    lengths, a, _, vector = view
    n, last, axes = prod(lengths), lengths[-1], len(lengths)
    if not any(a):
        along = "ONE"
    elif a[-1] == 0 and last >= vector:
        along = "RUNS"
    elif a[-1] == 1 and last % vector == 0 and packs(case, vector, *a[:-1]):
        along = "VECTORS"
    else:
        along = "EACH"
    grid = min(max(1, ceil(n // vector, BLOCK)), 2**30)
    reach = max(n, sum(abs(s) * m for s, m in zip(a, lengths, strict=True)))
    bits = [(m - 1).bit_length() for m in lengths]  # of 2^31 / m, rounded upwards, there are 32
    factors = [min(ceil(2 ** (31 + b), m), 2**32 - 1) for b, m in zip(bits, lengths, strict=True)]
    own = head(
        case.x, case.alpha, BLOCK=BLOCK, VECTOR=vector,
        I=index(max(reach, n // vector + grid * BLOCK)),
        BACKWARD=int(case.strides[DY] is not None), SECOND=int(case.second), ALONG=along,
        AXES=axes, CUT=int(last % vector > 0),
    )  # fmt: skip
    shifts = [max(0, b - 1) for b in bits]
    words = pack(f"{1 + 2 * axes}q{2 * axes}I", n, *lengths, *a, *factors, *shifts)
    return Plan((Launch("scale", own, grid, words),))
