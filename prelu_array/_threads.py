"""How many threads a call on a large array may use."""

from __future__ import annotations

import operator
import os

from ._foreign import short

_MOST = 256  # THREADS_MOST of threads.h

_count: int | None = None


def _default() -> int:
    """The CPUs this process may use, capped by OMP_NUM_THREADS, which Dask sets in its workers."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        count = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if limit.isdecimal() and int(limit) > 0:
        count = min(count, int(limit))
    return min(count, _MOST)


def get_num_threads() -> int:
    """Return how many threads a call on a large CPU array may use.

    Returns
    -------
    int
        By default the CPUs this process may use, or ``OMP_NUM_THREADS`` if that is less.

    See Also
    --------
    set_num_threads
    """
    global _count
    if _count is None:
        _count = _default()
    return _count


def set_num_threads(n: int) -> None:
    """Set how many threads a call on a large CPU array may use.

    Results never depend on it. Arrays of less than some megabytes always use one thread.

    Parameters
    ----------
    n : int
        From 1 to 256.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1 or more than 256.

    Examples
    --------
    >>> import prelu_array
    >>> prelu_array.set_num_threads(1)
    >>> prelu_array.get_num_threads()
    1
    """
    global _count
    try:
        count = operator.index(n)
    except TypeError:
        count = None
    if count is None or isinstance(n, bool):
        raise TypeError(f"n must be an integer, got {short(n)}")
    if not 1 <= count <= _MOST:
        raise ValueError(f"n must be from 1 to {_MOST}, got {short(count)}")
    _count = count
