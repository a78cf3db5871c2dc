"""Calls of every function drawn at random, against the exact reference.

    PYTHONPATH=. python tests/fuzz_calls.py --seconds 600 --most 4000

draws dtypes, shapes, placements, numbers and memory, and runs each call on every instruction set.
It stops at the first result with other bits, or other memory changed, and says which case it was.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from arrays import DTYPES, assert_same_bits, word

import prelu_array as pa
from prelu_array import _cpu
from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

Rng = np.random.Generator

LENGTHS = [
    1,
    2,
    3,
    5,
    8,
    15,
    16,
    17,
    31,
    33,
    48,
    63,
    64,
    65,
    100,
    127,
    128,
    129,
    200,
    256,
    257,
    512,
]
LENGTHS += [768, 1000, 1024, 1025, 2048, 3000, 4095, 4096, 4097, 5000, 9000]


def shape_and_axes(rng: Rng, most: int) -> tuple[list[int], list[int]]:
    """x.shape, and the axes along which alpha varies."""
    size = int(most ** rng.random())
    shape: list[int] = []
    for _ in range(rng.integers(1, 6)):
        left = size // math.prod(shape)
        some = (
            [n for n in LENGTHS if n <= left]
            if rng.random() < 0.5
            else [int(left ** rng.random())]
        )
        shape.append(int(rng.choice(some)))
    k, n = int(rng.integers(len(shape))), len(shape)
    if rng.random() < 0.8:  # as large as was drawn
        shape[k] *= size // math.prod(shape)
    elif rng.random() < 0.05:
        shape[k] = 0
    usual = [[], [0], [n - 1], [min(1, n - 1)], list(range(n)), [*range(n - 2), n - 1][-n:]]
    some = [k for k in range(n) if rng.random() < 0.5]
    return shape, usual[rng.integers(6)] if rng.random() < 0.7 else some


def between(rng: Rng, shape: Any, dtype: type, low: float, high: float) -> np.ndarray:
    """Finite numbers of both signs, whose logarithms are uniform."""
    a = np.ldexp(rng.uniform(1, 2, shape), rng.integers(int(low), int(high), shape)).astype(dtype)
    return np.where(rng.random(shape) < 0.5, a, -a).astype(dtype)


def numbers(rng: Rng, shape: Any, dtype: type, kind: str) -> np.ndarray:
    info = ml_dtypes.finfo(dtype)
    tiny, top = math.frexp(float(info.smallest_subnormal))[1] - 1, int(info.maxexp)
    ranges = {
        "subnormal": (tiny, tiny + info.nmant + 3),
        "underflow": (tiny / 2 - 9, tiny / 2 + 9),
        "overflow": (top / 2 - 4, top / 2 + 3),
        "largest": (top - 2, top - 1),
        "span": (tiny, top - 1),
        "powers": (-9, 9),
    }
    if kind in ranges:
        a = between(rng, shape, dtype, *ranges[kind])
        return (
            np.copysign(np.exp2(np.floor(np.log2(abs(a)))), a).astype(dtype)
            if kind == "powers"
            else a
        )
    a = rng.standard_normal(shape)
    if kind == "integers":
        a = rng.integers(-9, 10, shape)
    elif kind == "few bits":
        a = a.astype(np.float16)
    elif kind == "zeros":
        a = a * rng.choice([0.0, -0.0, 1.0], shape, p=[0.6, 0.3, 0.1])
    elif kind == "special":
        some = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], shape)
        a = np.where(rng.random(shape) < rng.choice([1e-3, 0.2]), some, a)
    return np.asarray(a, dtype)


KINDS = ["normal", "integers", "few bits", "zeros", "cancels", "special", "subnormal", "underflow"]
KINDS += ["overflow", "largest", "span", "powers"]


def cancel(x: np.ndarray, axes: list[int], sign: int) -> None:
    """Among the elements of an alpha the second half is the first one, with a sign."""
    for k in set(range(x.ndim)) - set(axes):
        a, half = np.moveaxis(x, k, 0), x.shape[k] // 2
        a[half : 2 * half] = sign * a[:half]
        return


class Call(NamedTuple):
    run: Callable[[list, tuple], tuple]  # with arguments and `out`
    arguments: list[np.ndarray]
    results: tuple[np.ndarray | None, ...]
    in_place: list[tuple[int, int]]  # outputs that may have the memory of an argument


def one(function: Callable, **how: Any) -> Callable[[list, tuple], tuple]:
    return lambda a, out: (function(*a, **how, out=out[0]),)


def several(function: Callable, **how: Any) -> Callable[[list, tuple], tuple]:
    return lambda a, out: function(*a, **how, out=out)


def by_way_of_a_state(dy: Any, x: Any, alpha: Any, *, out: tuple, **how: Any) -> tuple:
    dx, state = pa.prelu_backward_partial(dy, x, alpha, **how, out=(out[0], None))
    dalpha = pa.dalpha_from_partial(state, alpha.dtype)
    if out[1] is not None:
        out[1][...] = dalpha
    return dx, dalpha if out[1] is None else out[1]


def drawn_calls(rng: Rng, most: int) -> tuple[str, dict[str, Call]]:
    """What was drawn, in words, and a call of each function."""
    (shape, axes), kind = shape_and_axes(rng, most), str(rng.choice(KINDS))
    dtype = DTYPES[rng.integers(4)]
    alpha_dtype = dtype if rng.random() < 0.6 else DTYPES[rng.integers(4)]
    other = kind if rng.random() < 0.7 else "normal"
    x, x_dot, dy, ddx = (numbers(rng, shape, dtype, k) for k in (kind, kind, other, other))
    if kind == "cancels":
        for a, sign in ((x, 1), (dy, -1), (ddx, -1)):
            cancel(a, axes, sign)
    if rng.random() < 0.3:
        x = -abs(x)
    if dy.size and rng.random() < 0.2:
        dy = np.repeat(dy[:1], len(dy), axis=0)
    axis = None if rng.random() < 0.5 else tuple(rng.permutation(axes).tolist())
    lies = [n if k in axes else 1 for k, n in enumerate(shape)]
    lies = lies if axis is None else [shape[k] for k in axis]
    lies = [n if rng.random() < 0.95 else 1 for n in lies]
    of_alpha = (
        "special" if kind == "special" else str(rng.choice(["normal", "powers", "few bits"]))
    )
    alpha, alpha_dot = (numbers(rng, lies, alpha_dtype, of_alpha) for _ in range(2))
    how: dict[str, Any] = {"axis": axis, "at_zero": str(rng.choice(["alpha", "one"]))}
    first, jvp, second = (
        [dy, x, alpha],
        [x, alpha, x_dot, alpha_dot],
        [ddx, alpha_dot, dy, x, alpha],
    )
    y = reference_prelu(x, alpha, axis=axis)
    dx, dalpha = reference_prelu_backward(*first, **how)
    backward, places = pa.prelu_backward, [(0, 0), (0, 1)]
    calls = {
        "y": Call(one(pa.prelu, axis=axis), [x, alpha], (y,), [(0, 0)]),
        "both": Call(several(backward, **how), first, (dx, dalpha), [*places, (1, 2)]),
        "dx": Call(several(backward, **how, need_dalpha=False), first, (dx, None), places),
        "dalpha": Call(several(backward, **how, need_dx=False), first, (None, dalpha), [(1, 2)]),
        "state": Call(several(by_way_of_a_state, **how), first, (dx, dalpha), places),
        "jvp": Call(
            one(pa.prelu_jvp, **how), jvp, (reference_prelu_jvp(*jvp, **how),), [(0, 0), (0, 2)]
        ),
        "double": Call(
            several(pa.prelu_double_backward, **how),
            second,
            reference_prelu_double_backward(*second, **how),
            [(0, 0), (1, 2), (2, 4)],
        ),
    }
    what = f"{np.dtype(dtype)} {np.dtype(alpha_dtype)}, {kind}/{other}, {shape} {lies} {how}"
    return what, calls


class Placed:
    """An array somewhere in a block of memory, with NaN around it and in its gaps."""

    def __init__(self, rng: Rng, a: np.ndarray, plain: bool, out: bool) -> None:
        same = [
            (a.view(word(a.dtype)) == a.view(word(a.dtype)).take([0], k)).all()
            if a.size
            else False
            for k in range(a.ndim)
        ]
        wide = [bool(s) and not out and n > 1 for s, n in zip(same, a.shape, strict=True)]
        some = [not plain and not w and rng.random() < 0.4 for w in wide]
        step = [int(rng.choice([-1, 2, -2, 3])) if s and rng.random() < 0.5 else 1 for s in some]
        gap = [int(rng.integers(4)) if s else 0 for s in some]
        order = (
            rng.permutation(a.ndim).tolist()
            if not plain or rng.random() < 0.2
            else list(range(a.ndim))
        )
        inner = [1 if w else n * abs(s) for w, n, s in zip(wide, a.shape, step, strict=True)]
        lengths = [n + g for n, g in zip(inner, gap, strict=True)]
        start, size = int(rng.integers(40)), math.prod(lengths)
        self.memory = np.full(start + size + 40, np.nan).astype(a.dtype)
        block = self.memory[start : start + size].reshape([lengths[k] for k in order])
        block = block.transpose(np.argsort(order).tolist())
        first = [int(rng.integers(g + 1)) for g in gap]
        view = block[(..., *(slice(f, f + n) for f, n in zip(first, inner, strict=True)))]
        view = view[(..., *(slice(None, None, s) for s in step))]
        view[...] = (
            np.ones_like(view) if out else a[(..., *(slice(1 if w else None) for w in wide))]
        )
        self.array = np.broadcast_to(view, a.shape) if any(wide) else view
        self.before, self.own = self.memory.copy(), view.copy()
        self.view = view

    def check(self, written: bool) -> None:
        if written:
            self.view[...] = self.own
        assert self.memory.tobytes() == self.before.tobytes(), "memory changed that is no output"


def check(rng: Rng, call: Call) -> None:
    """Run a call somewhere in memory."""
    seed, plain, alike = int(rng.integers(1 << 30)), rng.random() < 0.5, rng.random() < 0.7

    def place(a: np.ndarray, out: bool = False) -> Placed:
        return Placed(np.random.default_rng(seed) if alike else rng, a, plain, out)

    inputs = [place(a) for a in call.arguments]
    outputs = [None if a is None or rng.random() < 0.5 else place(a, True) for a in call.results]
    o, i = call.in_place[rng.integers(len(call.in_place))]
    if rng.random() < 0.3 and inputs[i].array is inputs[i].view:
        outputs[o] = inputs[i]
    out = tuple(None if p is None else p.array for p in outputs)
    got = call.run([p.array for p in inputs], out)
    for k, right in enumerate(call.results):
        assert out[k] is None or got[k] is out[k]
        assert (got[k] is None) == (right is None)
        if right is not None:
            assert_same_bits(got[k], right, f"result {k}")
    for p in [*inputs, *outputs]:
        if p is not None:
            p.check(any(p is q for q in outputs))


def fuzz(
    seed: int, most: int, first: int = 0, cases: int = 1 << 60, seconds: float = math.inf
) -> int:
    """Draw cases until the time is over; returns how many there were."""
    best, threads, end = _cpu.instruction_set(), pa.get_num_threads(), time.monotonic() + seconds
    case = first
    try:
        while case < first + cases and time.monotonic() < end:
            rng = np.random.default_rng([seed, case])
            with np.errstate(all="ignore"):
                what, calls = drawn_calls(rng, most)
            for isa in filter(_cpu.select_instruction_set, ("avx512", "avx2", "baseline")):
                for name, call in calls.items():
                    pa.set_num_threads(int(rng.integers(1, 4)))
                    try:
                        check(rng, call)
                    except Exception as error:
                        where = f"seed {seed}, case {case}, {isa}"
                        raise AssertionError(f"{name}, {what}, {where}") from error
            case += 1
    finally:
        _cpu.select_instruction_set(best)
        pa.set_num_threads(threads)
    return case - first


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option, default in (
        ("seed", int(time.time())),
        ("most", 4000),
        ("first", 0),
        ("cases", 1 << 60),
    ):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=600)
    given = parser.parse_args()
    print(f"seed {given.seed}: {fuzz(**vars(given))} cases")
