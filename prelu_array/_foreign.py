"""Values that are refused: the names of their types, and how to make arrays of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np


def kind_of(value: Any) -> str:
    """Return the name of a value's type, in full unless it is Python's own."""
    kind = type(value)
    return f"{_module(kind)}.{kind.__qualname__}".removeprefix("builtins.").removeprefix(".")


def _module(kind: type) -> str:
    module: object = kind.__module__
    return module if isinstance(module, str) else ""  # ctypes arrays have None


def library_of(value: Any) -> str:
    """Return the name of the package that defines a value's type."""
    return _module(type(value)).partition(".")[0]


def short(value: Any) -> str:
    """Return a value's repr, shortened to a line."""
    if isinstance(value, int) and value.bit_length() > 256:  # repr() refuses very many digits
        return f"an integer of {value.bit_length()} bits"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a repr may raise anything: a list's does for an integer as above
        return kind_of(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_KINDS = "a number, a list or an array of NumPy, CuPy or Dask"


def refuse(value: Any, name: str, kinds: str = _KINDS) -> NoReturn:
    """Raise the TypeError for an array of a kind that this backend does not take."""
    cure = _cure(value, name)
    if kinds == _KINDS and library_of(value) in ("cupy", "dask"):
        kinds = "of the same library as the other arrays"
    got = f"{kind_of(value)}; {cure}" if cure else kind_of(value)
    raise TypeError(f"{name} must be {kinds}, got {got}")


def _cure(value: Any, name: str) -> str:
    """Say how to make an array of it, if that is possible, without imports or calls of it."""
    kind = type(value)
    library = library_of(value)
    if library == "cupy":
        return "use cupy.asnumpy or cupy.asarray"
    if library == "dask":
        return f"use dask.array.asarray, or {name}.compute()"
    if isinstance(value, np.ma.MaskedArray):
        to = ".astype(numpy.float64)" if value.dtype.kind in "biuO" else ""  # no NaN there
        return f"its mask would be lost: use {name}{to}.filled(numpy.nan)"
    if isinstance(value, np.ndarray):
        return f"if its plain elements are meant, use numpy.asarray({name})"
    if library == "torch":
        return _tensor_cure(value, name)
    if library == "jax":  # a traced value; JAX's own arrays are jaxlib's
        return "it is being traced: use prelu_array.jax.prelu"
    if library == "autograd":
        return (
            "it is being traced: wrap prelu in autograd.extend.primitive and prelu_backward in "
            "its defvjp, as the documentation shows under Arrays of other libraries"
        )
    if library == "xarray":
        array = f"{name}.to_dataarray()" if kind.__name__ == "Dataset" else name
        return f"use xarray.apply_ufunc(prelu, x, alpha), or use {array}.to_numpy()"
    if library == "pandas" and hasattr(kind, "__array__"):
        return f"use {_pandas_cure(value, name)}"
    if library == "polars" and kind.__name__ == "LazyFrame":
        return f"use {name}.collect().to_numpy()"
    if library == "openvino" and hasattr(kind, "data"):
        return f"use {name}.data"
    if library == "multiprocessing" and hasattr(kind, "get_obj"):
        return f"use numpy.asarray({name}.get_obj())"
    for method in ("toarray", "todense"):  # SciPy's sparse arrays, and others
        if hasattr(kind, method):
            return f"use {name}.{method}()"
    if hasattr(kind, "__array__") or hasattr(kind, "__array_interface__"):
        return f"use numpy.asarray({name})"
    if hasattr(kind, "__cuda_array_interface__"):
        return f"use cupy.asarray({name})"
    if hasattr(kind, "__dlpack__"):
        return f"use numpy.from_dlpack({name})"
    for method in ("numpy", "asnumpy", "to_numpy"):
        if hasattr(kind, method):
            return f"use {name}.{method}()"
    if isinstance(value, Iterator):
        return f"use list({name})"
    if isinstance(value, str):
        return f"use numpy.load({name}) if it names a .npy file"
    try:
        numbers = memoryview(value).format not in ("B", "b", "c")
    except TypeError:  # it does not show its memory
        numbers = isinstance(value, Sequence)
    return f"use numpy.asarray({name})" if numbers else ""


def _pandas_cure(value: Any, name: str) -> str:
    dtypes = np.ravel(np.asarray(getattr(value, "dtypes", getattr(value, "dtype", None)), object))
    if all(isinstance(dtype, np.dtype) and dtype.kind == "f" for dtype in dtypes):
        return f"{name}.to_numpy()"
    numbers = [getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes]
    if any(numbers) and not all(numbers):  # columns of text among them
        name += ".select_dtypes(['number', 'bool'])"
    return f"{name}.to_numpy(float, na_value=numpy.nan)"


def _tensor_cure(value: Any, name: str) -> str:
    dense = str(getattr(value, "layout", "torch.strided")) == "torch.strided"
    array = name if dense else f"{name}.to_dense()"
    if str(getattr(value, "dtype", None)) == "torch.bfloat16":
        array = f"{array}.view(torch.int16).numpy(force=True).view(ml_dtypes.bfloat16)"
    else:
        array = f"{array}.numpy(force=True)"
    if getattr(value, "requires_grad", False):
        return f"its gradient would be lost: use prelu_array.torch.prelu, or use {array}"
    return f"use {array}"
