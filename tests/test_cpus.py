"""The default number of threads, on machines that are made up."""

import os

import pytest

import prelu_array
from prelu_array import _cpu, _cpus

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system has no affinity"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make one: the CPUs allowed, the siblings of each, the cgroups and files with limits."""

    def make(cpus, siblings=None, own="0::/\n", files=None):
        for cpu, text in (siblings or {}).items():
            folder = tmp_path / "cpu" / f"cpu{cpu}" / "topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(text)
        for name, text in (files or {}).items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "own").write_text(own)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(cpus))
        monkeypatch.setattr(_cpus, "_SYSTEM", tmp_path / "cpu")
        monkeypatch.setattr(_cpus, "_CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(_cpus, "_OWN_CGROUPS", tmp_path / "own")
        monkeypatch.setattr(prelu_array._threads, "_count", None)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        return prelu_array.get_num_threads

    caches = (_cpus._cores, _cpus._limits, _cpus._quota)
    for cache in caches:
        cache.cache_clear()
    yield make
    for cache in caches:
        cache.cache_clear()


def test_affinity_at_the_time_of_the_call(machine, monkeypatch):
    count = machine(range(6))
    assert count() == 6
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5})
    assert count() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert count() == 1


def test_cores_are_counted_once(machine):
    siblings = {cpu: f"{cpu % 4},{cpu % 4 + 4}\n" for cpu in range(8)}
    assert machine(range(8), siblings)() == 4
    os.sched_getaffinity = lambda _: {0, 4, 1}
    assert prelu_array.get_num_threads() == 2


def test_no_more_than_the_memory_feeds(machine):
    assert machine(range(128))() == 32


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "\n"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/of/the/host\n", {"cpu.max": "300000 100000\n"}, 3),
        (
            "3:cpu,cpuacct:/job\n1:name=systemd:/job\n",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            "3:cpu,cpuacct:/docker/1\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("4:memory:/\n", {"memory/cpu.max": "100000 100000\n"}, 8),
    ],
)
def test_quota(machine, own, files, expected):
    assert machine(range(8), own=own, files=files)() == expected


def test_quota_at_the_time_of_the_call(machine, tmp_path, monkeypatch):
    """But for the second in which it was read."""
    count = machine(range(8), files={"cpu.max": "200000 100000\n"})
    monkeypatch.setattr(_cpus.time, "monotonic", lambda: 100.2)
    assert count() == 2
    (tmp_path / "cgroup" / "cpu.max").write_text("500000 100000\n")
    assert count() == 2
    monkeypatch.setattr(_cpus.time, "monotonic", lambda: 101.1)
    assert count() == 5


def test_what_was_set_stays(machine, threads, monkeypatch):
    count = machine({0})
    prelu_array.set_num_threads(7)
    assert count() == 7


@pytest.mark.parametrize(
    ("mib", "least", "most"), [(0, 1, 1), (1, 1, 1), (7.99, 1, 1), (8, 1, 2), (64, 2, 8)]
)
def test_threads_of_a_call(mib, least, most):
    """As many as the work pays for, the caller among them."""
    assert least <= _cpu.threads_worth(int(mib * 2**20)) <= most


def test_threads_of_a_very_large_call():
    assert _cpu.threads_worth(1 << 30) >= 16
    assert _cpu.threads_worth(1 << 62) == 256
