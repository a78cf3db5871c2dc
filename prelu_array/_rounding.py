"""A Python number rounded to a dtype once."""

from __future__ import annotations

import math

# Of a dtype by name: the bits of its significand, and the exponent of its least subnormal.
_FORMATS = {
    "float16": (11, -24),
    "bfloat16": (8, -133),
    "float32": (24, -149),
    "float64": (53, -1074),
}


def rounded(value: float, dtype: str) -> float:
    """Return the nearest number of a dtype, which `value` must fit; ties to even."""
    if value == 0 or not math.isfinite(value):
        return value
    bits, least = _FORMATS[dtype]
    unit = max(math.frexp(value)[1] - bits, least)
    return math.copysign(math.ldexp(round(math.ldexp(value, -unit)), unit), value)
