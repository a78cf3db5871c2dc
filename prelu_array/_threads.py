"""How many threads a call on a large array may use."""

from __future__ import annotations

import operator
import os
from typing import SupportsIndex

from . import _cpus
from ._foreign import short

_MOST = 256  # THREADS_MOST of threads.h

_count: int | None = None  # as it was set


def get_num_threads() -> int:
    """Return how many threads a call on a large CPU array may use.

    Returns
    -------
    int
        What was set, else the cores this process may use at the time: by its affinity and its
        cgroup's CPU quota, ``OMP_NUM_THREADS`` if that is less, and 32 at most.

    See Also
    --------
    set_num_threads
    """
    if _count is not None:
        return _count
    count = _cpus.usable()
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if limit.isdecimal() and int(limit) > 0:  # Dask sets it in its workers
        count = min(count, int(limit))
    return count


def set_num_threads(n: SupportsIndex) -> None:
    """Set how many threads a call on a large CPU array may use.

    Results never depend on it. Arrays of less than 8 MiB use one thread, larger ones two, or one
    for each 8 MiB. Calls from several threads at once share them.

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
