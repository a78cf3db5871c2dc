"""Data that exact sums are hard for: edits of random x and dy, in place; alpha is along axis 1."""

import numpy as np

DIGITS = {"float32": 24, "float64": 53, "float16": 11, "bfloat16": 8}


def integers(x, dy):
    """Round to integers of up to 8."""
    for array in (x, dy):
        array[...] = np.rint(array.astype("f4") * 2).clip(-8, 8)


def narrow(x, dy):
    """Round to float32."""
    for array in (x, dy):
        array[...] = array.astype("f4")


def scale(x, dy):
    """Make products that are subnormal or too small in alpha's dtype."""
    factor = {"float64": 1e-161, "float16": 3e-4}.get(x.dtype.name, 1e-21)
    for array in (x, dy):
        array *= np.asarray(factor, array.dtype)


def spread(x, dy):
    """Draw the exponents of the products from the range."""
    most = {"float64": 500, "float16": 7}.get(x.dtype.name, 60)
    rng = np.random.default_rng(0)
    for array in (x, dy):
        for part in array:  # bounded memory
            part *= np.exp2(rng.integers(-most, most + 1, part.shape)).astype(x.dtype)


def cancel(x, dy):
    """Make the later half of the batch cancel the earlier one."""
    half = len(x) // 2
    x[half : 2 * half], dy[half : 2 * half] = x[:half], -dy[:half]
    x[2 * half :] = 1


def ties(x, dy):
    """Leave one term and half a unit in its last place."""
    cancel(x, dy)
    half = len(x) // 2
    for sample, term in ((0, 1), (half, 2.0 ** -DIGITS[x.dtype.name])):
        x[sample], dy[sample] = -1, 0
        dy[sample].reshape(x.shape[1], -1)[:, 0] = term


def positive(every):
    """Return an edit that makes each so manieth channel positive."""
    return lambda x, dy: np.abs(x[:, ::every], out=x[:, ::every])


TERMS = (2, 3, 4, 8, 16)  # an alpha, of random numbers: the same limit as the first
DATA = {  # the edit of x and dy, whose axis 1 is alpha's, and the limit
    "no negative x": (positive(1), 6),
    "no negative x in channels": (positive(8), 6),
    "dy zero": (lambda x, dy: dy.fill(0), 6),
    "float32 values": (narrow, 12),
    "small integers": (integers, 12),
    "products underflow": (scale, 12),
    "products span the range": (spread, 12),
    "sums cancel": (cancel, 12),
    "exact ties": (ties, 12),
}
