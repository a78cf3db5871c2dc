"""Threads for large arrays: how many, and a pool that outlives a call but not a fork."""

from __future__ import annotations

import operator
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ._arguments import short

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_count: int | None = None


def _default() -> int:
    """The CPUs this process may use, capped by OMP_NUM_THREADS, which Dask sets in its workers."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        count = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(count, int(limit)) if limit.isdecimal() and int(limit) > 0 else count


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
        At least 1.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1.

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
    if count < 1:
        raise ValueError(f"n must be at least 1, got {short(count)}")
    with _lock:
        _count = count
        _forget()


def _forget() -> None:
    global _pool
    _pool = None  # its idle threads end when it is collected


def _after_fork() -> None:
    """The child has the pool object but none of its threads, and perhaps a lock that is held."""
    global _lock
    _lock = threading.Lock()
    _forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _executor() -> ThreadPoolExecutor:
    global _pool
    from concurrent.futures import ThreadPoolExecutor  # 6 ms to import, and few processes need it

    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(get_num_threads() - 1, 1), "prelu_array")
        return _pool


def run(tasks: Sequence[Callable[[], None]]) -> None:
    """Call all tasks; a free thread takes the next, so a late one delays its own only.

    Whatever happens, also Ctrl-C at any place, no thread is in a task afterwards: tasks write to
    memory of the caller's.
    """
    left = deque(tasks)
    failures: list[BaseException] = []

    def work(turn: threading.RLock) -> None:
        if not turn.acquire(blocking=False):  # the caller has gone on
            return
        try:
            while left:
                try:
                    task = left.popleft()
                except IndexError:  # another thread was faster
                    break
                task()
        except BaseException as error:
            left.clear()
            failures.append(error)
        finally:
            turn.release()

    # a turn is there before a thread can have it, so none is forgotten
    turns = [threading.RLock() for _ in range(min(get_num_threads(), len(tasks)) - 1)]
    try:
        try:
            for turn in turns:
                _executor().submit(work, turn)
        except RuntimeError:  # no thread can be started, but one of the pool may still come
            pass
        work(threading.RLock())
    except BaseException as error:
        left.clear()
        failures.append(error)
    for turn in turns:
        while True:
            try:
                turn.acquire()
                break
            except BaseException as error:
                left.clear()
                failures.append(error)
    if failures:
        raise failures[0]
