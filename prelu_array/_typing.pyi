"""What type checkers know of arguments and results; there is no such module at run time.

CuPy's and Dask's arrays are told by what they have, so neither is needed to check code without
them. The functions' overloads begin with theirs: where a checker knows nothing of an array, as of
CuPy's, it then takes the result for unknown and not for NumPy's.
"""

from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from typing_extensions import TypeVar

# ---- NumPy ----

# x's dtype and shape; a list of Python numbers, which has none, becomes float64
T = TypeVar("T", bound=np.generic, default=np.float64)
S = TypeVar("S", bound=tuple[Any, ...], default=tuple[Any, ...])
# alpha's; a Python number takes x's dtype
T2 = TypeVar("T2", bound=np.generic, default=T)
S2 = TypeVar("S2", bound=tuple[Any, ...], default=tuple[Any, ...])
# a dtype by name is one of the floats
Named = TypeVar("Named", bound=np.generic, default=np.floating)
_Item = TypeVar("_Item", covariant=True)

class Nested(Protocol[_Item]):
    """A list or tuple, of lists or tuples too; no str, whose `in` takes nothing but strings."""

    def __len__(self, /) -> int: ...
    def __getitem__(self, index: int, /) -> _Item | Nested[_Item]: ...
    def __contains__(self, item: object, /) -> bool: ...
    def __reversed__(self, /) -> Any: ...

Array: TypeAlias = np.ndarray[S, np.dtype[T]]
AnyArray: TypeAlias = np.ndarray[Any, Any]
_Typed: TypeAlias = np.ndarray[S, np.dtype[T]] | T | Nested[np.ndarray[Any, np.dtype[T]] | T]
# float64 whatever x is; NumPy's scalar is a float for checkers
Float64: TypeAlias = np.float64 | Nested[float]
X: TypeAlias = _Typed[S, T] | float | Float64
Alpha: TypeAlias = _Typed[S, T] | float  # after an overload for Float64
ArrayLike: TypeAlias = AnyArray | np.generic | float | Nested[AnyArray | np.generic | float]

# ---- CuPy and Dask ----

class CupyArray(Protocol):
    @property
    def __cuda_array_interface__(self) -> Any: ...
    def get(self) -> Any: ...

class DaskArray(Protocol):
    @property
    def numblocks(self) -> Any: ...
    def __dask_graph__(self) -> Any: ...

Other = TypeVar("Other", bound=CupyArray | DaskArray)

# ---- options ----

Axis: TypeAlias = int | tuple[int, ...] | None
AtZero: TypeAlias = Literal["alpha", "one"]
Yes: TypeAlias = Literal[True]
No: TypeAlias = Literal[False]
Pair: TypeAlias = tuple[AnyArray | None, AnyArray | None] | None
Triple: TypeAlias = tuple[AnyArray | None, AnyArray | None, AnyArray | None] | None
OtherPair: TypeAlias = tuple[Other | None, Other | None] | None
OtherTriple: TypeAlias = tuple[Other | None, Other | None, Other | None] | None
