"""The oracle: judges a PReLU kernel against exact arithmetic and names what is wrong with it."""

from ._reference import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

__all__ = [
    "reference_prelu",
    "reference_prelu_backward",
    "reference_prelu_double_backward",
    "reference_prelu_jvp",
]
