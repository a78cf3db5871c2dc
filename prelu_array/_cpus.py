"""How many CPUs this process may use, as the system says at the time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

# The default is at most these: fewer saturate the memory of one socket.
MOST = 32

_SYSTEM = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def usable() -> int:
    """Return the cores of the CPUs that affinity allows, capped by the cgroup's CPU quota."""
    try:
        allowed = frozenset(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return min(os.cpu_count() or 1, MOST)
    return max(1, min(_cores(allowed), _quota(int(time.monotonic())), MOST))


@lru_cache(maxsize=16)
def _cores(cpus: frozenset[int]) -> int:
    """Count physical cores: two CPUs of one core share its arithmetic units."""
    cores = set()
    for cpu in cpus:
        try:
            cores.add((_SYSTEM / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text())
        except OSError:  # unknown: counted as a core
            cores.add(str(cpu))
    return len(cores)


@lru_cache(maxsize=1)
def _quota(second: int) -> int:
    """Return how many CPUs' time the cgroups grant, rounded up; read once in a second."""
    least = float(MOST)
    for paths in _limits():
        try:
            words = " ".join(_read(path) for path in paths).split()
            least = min(least, int(words[0]) / int(words[1]))
        except (OSError, ValueError, IndexError, ZeroDivisionError):  # "max": no limit
            continue
        if least < 0:  # -1: no limit, in the first version
            least = float(MOST)
    return max(1, -int(-least // 1))


def _read(path: str) -> str:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 64).decode()
    finally:
        os.close(file)


@lru_cache(maxsize=1)
def _limits() -> tuple[tuple[str, ...], ...]:
    """Return the files with quota and period of this process' cgroup and of those around it."""
    found = []
    for group, names in _groups():
        for folder in (group, *group.parents):
            files = tuple(str(folder / name) for name in names)
            if all(map(os.path.exists, files)):
                found.append(files)
            if folder == _CGROUPS:
                break
    return tuple(dict.fromkeys(found))


def _groups() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield this process' cgroup, in each version, with the names of its files."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # in a container the path may be the host's, of which only the root exists
        for own in (path.strip("/"), ""):
            if not controllers:
                yield _CGROUPS / own, ("cpu.max",)
            elif "cpu" in controllers.split(","):
                for mount in (controllers, "cpu"):
                    yield _CGROUPS / mount / own, ("cpu.cfs_quota_us", "cpu.cfs_period_us")
