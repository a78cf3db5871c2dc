"""Whether an array overlaps itself."""

from __future__ import annotations

import math

import numpy as np


def overlaps_itself(a: np.ndarray) -> bool:
    """Whether two elements share memory. If that takes too long to find out, the answer is yes."""
    axes = sorted((abs(s), n) for n, s in zip(a.shape, a.strides, strict=True) if n > 1)
    extent = [a.itemsize]  # of the elements along the axes before each axis
    for stride, n in axes:
        extent.append(extent[-1] + stride * (n - 1))
    while axes and axes[-1][0] >= extent[len(axes) - 1]:  # a step goes past all of these
        axes.pop()
    if not axes or not a.size:
        return False
    # Two elements overlap if some steps along the axes, of any sign and not all 0, end less than
    # an element from where they began.
    longest = max(range(len(axes)), key=lambda k: axes[k][1])
    stride, n = axes.pop(longest)
    if stride < a.itemsize or math.prod(2 * m - 1 for _, m in axes) > 1 << 22:
        return True
    ends = np.zeros(1, np.int64)
    for other, m in axes:
        ends = np.add.outer(ends, other * np.arange(1 - m, m)).ravel()
    moved = np.arange(ends.size) != ends.size // 2
    for steps in (-ends // stride, -(ends // stride)):  # the two that end nearest to 0
        near = abs(ends + steps * stride) < a.itemsize
        if (near & (abs(steps) < n) & (moved | (steps != 0))).any():
            return True
    return False
