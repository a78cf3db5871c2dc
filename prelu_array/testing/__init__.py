"""The oracle: judges a PReLU kernel against exact arithmetic and names what is wrong with it."""

from ._assertions import assert_dalpha, assert_dx, assert_forward
from ._cases import CASE_KINDS, Case, cases
from ._reference import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

__all__ = [
    "CASE_KINDS",
    "Case",
    "assert_dalpha",
    "assert_dx",
    "assert_forward",
    "cases",
    "reference_prelu",
    "reference_prelu_backward",
    "reference_prelu_double_backward",
    "reference_prelu_jvp",
]
