"""Parametric ReLU and its gradients on whole arrays, exact to the last bit."""

try:
    from ._api import prelu, prelu_backward
    from ._derivatives import prelu_double_backward, prelu_jvp
    from ._partial import dalpha_from_partial, prelu_backward_partial
except ModuleNotFoundError as error:
    if error.name != "prelu_array._cpu":
        raise
    raise ImportError(
        "prelu_array's compiled module is missing: this is its source folder. Build it here with "
        "`python -m pip install -e .`, or start Python elsewhere."
    ) from error
from ._threads import get_num_threads, set_num_threads

__all__ = [
    "dalpha_from_partial",
    "get_num_threads",
    "prelu",
    "prelu_backward",
    "prelu_backward_partial",
    "prelu_double_backward",
    "prelu_jvp",
    "set_num_threads",
]
__version__ = "0.1.0"
