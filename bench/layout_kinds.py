"""Kinds of layout that `layouts.py` measures: shapes, orders and gaps, drawn from a generator.

Each kind is a function of the number of the draw, the generator and the elements x should have
about. The draws go in turns through the variants of a kind, or through three parts of its range.
"""

from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np


class Operand(NamedTuple):
    """An array: the shape of the memory and what is taken of it."""

    memory: tuple
    view: object = np.asarray


class Layout(NamedTuple):
    """Operands of one call; dy and out are like x where they are None."""

    text: str
    x: Operand
    alpha: tuple
    axis: object
    dy: Operand | None = None
    out: Operand | None = None
    row: int = 0  # elements, where it matters whether rows begin with lines
    batch: int = 0  # terms an alpha, of "per feature"


def between(rng, low, high):
    """Return an integer, evenly distributed by its logarithm."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def third(rng, draw, *bounds):
    """Return an integer of the draw's part of a range, half of them multiples of 32 if large."""
    value = between(rng, bounds[draw % 3], bounds[draw % 3 + 1])
    return (value + 31) // 32 * 32 if value > 32 and rng.random() < 0.5 else value


def permuted(shape, order):
    """Return an operand of this shape with its axes in this order in memory."""
    return Operand(tuple(shape[k] for k in order), lambda a: a.transpose(np.argsort(order)))


def flat(draw, rng, n):
    """One alpha for all of x, or one an element."""
    if draw % 3 == 1:
        return Layout("per element", Operand((n,)), (n,), None)
    shape = (n,) if draw % 3 == 0 else (n // 1001, 13, 77)
    return Layout("shared", Operand(shape), (1,), None)


def rows(draw, rng, n):
    """One alpha a channel, channels last, up to 1024."""
    c = third(rng, draw, 1, 16, 128, 1023)
    shape = (n // c, c, 1, 1) if rng.random() < 0.2 else (n // c, c)
    return Layout("", Operand(shape), (c,), 1)


def wide_rows(draw, rng, n):
    """Rows of 1025 to 60000 channels."""
    c = min(third(rng, draw, 1025, 4096, 16384, 60000), max(n // 32, 1025))
    return Layout("", Operand((n // c, c)), (c,), -1, row=c)


def images(low, high, few, many, draw, rng, n):
    """One alpha a channel, channels first."""
    h, w = between(rng, low, high), between(rng, low, high)
    c = max(min(third(rng, draw, few, 16, 128, many), n // (2 * h * w)), 1)
    return Layout("", Operand((max(n // (c * h * w), 1), c, h, w)), (c,), 1)


def per_feature(draw, rng, n):
    """One alpha for each number of a sample."""
    batch = between(rng, *((1, 4), (5, 32), (33, 128))[draw % 3])
    features = n // batch // 2048 * 2048
    features = features if rng.random() < 0.5 and features else n // batch | 1
    if draw % 2 and features % 64 == 0:
        shape = (batch, features // 64, 4, 16)
    else:
        shape = (batch, features)
    axis = tuple(range(1, len(shape)))
    return Layout("", Operand(shape), shape[1:], axis, row=features, batch=batch)


def two_axes(draw, rng, n):
    """One alpha for two of three axes."""
    h, w, c = between(rng, 7, 64), between(rng, 7, 64), between(rng, 3, 128)
    if draw % 3 == 0:
        shape, alpha, text = (h, w, c), (h, 1, c), "(H, 1, C)"
    elif draw % 3 == 1:
        shape, alpha, text = (c, h, w), (c, h, 1), "(C, H, 1)"
    else:
        shape, alpha, text = (c, h, w), (c, 1, w), "(C, 1, W)"
    shape = (max(n // prod(shape), 1), *shape)
    return Layout(text, Operand(shape), alpha, (1, 2, 3))


def samples(low, high, draw, rng, n):
    """One alpha a sample."""
    length = min(between(rng, low, high), n // 2)
    return Layout("", Operand((n // length, length)), (n // length,), 0)


def heads(draw, rng, n):
    """One alpha for each head of (B, H, T, D)."""
    h, d = between(rng, 2, 32), (32, 64, 80, 128)[rng.integers(4)]
    t = max(min(between(rng, 32, 2048), n // (h * d)), 1)
    return Layout("", Operand((max(n // (h * t * d), 1), h, t, d)), (h,), 1)


def order(draw, rng, n):
    """Every operand in the same order, other than C's."""
    if draw % 3 == 0:
        c = between(rng, 3, 1024)
        return Layout("Fortran", permuted((n // c, c), (1, 0)), (c,), 1)
    h, w, c = between(rng, 5, 64), between(rng, 5, 64), between(rng, 3, 512)
    shape = (max(n // (h * w * c), 1), c, h, w)
    if draw % 3 == 1:
        return Layout("channels last", permuted(shape, (0, 2, 3, 1)), (c,), 1)
    how = ((3, 2, 1, 0), (2, 3, 0, 1), (0, 3, 1, 2), (1, 3, 0, 2))[rng.integers(4)]
    return Layout(f"transposed {how}", permuted(shape, how), (c,), 1)


def mixed_order(draw, rng, n):
    """The order of dy (forward: of y) is another than x's."""
    h, w, c = between(rng, 5, 64), between(rng, 5, 64), between(rng, 3, 512)
    if draw % 3 == 2:
        shape, how, text = (n // (2 * c), 2 * c), (1, 0), "C, Fortran"
    else:
        shape, how = (max(n // (h * w * c), 1), c, h, w), (0, 2, 3, 1)
        text = ("NCHW, NHWC", "NHWC, NCHW")[draw % 3]
    pair = [Operand(shape), permuted(shape, how)]
    x, other = pair[::-1] if draw % 3 == 1 else pair
    return Layout(text, x, (shape[1],), 1, dy=other)


def gaps(draw, rng, n):
    """Views with memory between their elements, for the inputs or for out, too."""
    c = between(rng, 8, 256)
    if draw % 3 == 0:
        h, w = between(rng, 8, 128), between(rng, 8, 128)
        c = max(min(c, n // (h * w)), 1)
        memory = (max(n // (c * h * w), 1), c, h, w)
        x, text = Operand(memory, lambda a: a[:, :, 1:-1, 1:-1]), "crop"
        shape = (*memory[:2], h - 2, w - 2)
    elif draw % 3 == 1:
        wide, start = c + between(rng, 1, c), between(rng, 1, 8) - 1
        shape = (n // wide, min(c, wide - start))
        x = Operand((n // wide, wide), lambda a: a[:, start : start + shape[1]])
        text = f"columns of {wide}"
    else:
        shape, text = (n // 2 // c, c), "every second"
        x = Operand((n // 2 // c, 2 * c), lambda a: a[:, ::2])
    out = None if rng.random() < 0.5 else Operand(shape)
    return Layout(text + (", also out" if out is None else ""), x, shape[1:2], 1, out=out)


def broadcast_dy(draw, rng, n):
    """The gradient of a sum or of a mean: strides of zero."""
    h, w, c = between(rng, 5, 64), between(rng, 5, 64), between(rng, 3, 256)
    shape = (max(n // (h * w * c), 1), c, h, w)
    small = ((1, 1, 1, 1), (*shape[:2], 1, 1), (1, *shape[1:]))[draw % 3]
    text = ("of ()", "of (N, C, 1, 1)", "of (1, C, H, W)")[draw % 3]
    dy = Operand(small, lambda a: np.broadcast_to(a, shape))
    return Layout(text, Operand(shape), (c,), 1, dy=dy)


KINDS = {
    "flat": flat,
    "rows": rows,
    "wide rows": wide_rows,
    "NCHW": partial(images, 13, 224, 1, 1024),
    "small images": partial(images, 2, 12, 3, 2048),
    "per feature": per_feature,
    "two axes": two_axes,
    "long samples": partial(samples, 512, 2**20),
    "short samples": partial(samples, 8, 256),
    "heads": heads,
    "order": order,
    "mixed order": mixed_order,
    "gaps": gaps,
    "broadcast dy": broadcast_dy,
}
