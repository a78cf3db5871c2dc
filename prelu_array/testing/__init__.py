"""The oracle: checks a PReLU kernel against exact arithmetic and says what is wrong with it."""

from ._assertions import assert_dalpha, assert_dx, assert_forward
from ._cases import CASE_KINDS, Case, cases
from ._check import check_kernel
from ._identify import Card, identify
from ._reference import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)
from ._report import Report
from ._strategy import prelu_inputs

__all__ = [
    "CASE_KINDS",
    "Card",
    "Case",
    "Report",
    "assert_dalpha",
    "assert_dx",
    "assert_forward",
    "cases",
    "check_kernel",
    "identify",
    "prelu_inputs",
    "reference_prelu",
    "reference_prelu_backward",
    "reference_prelu_double_backward",
    "reference_prelu_jvp",
]
