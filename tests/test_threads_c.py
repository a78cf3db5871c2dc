"""threads.c alone: every piece once, whatever threads there are, and all callers share them."""

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "_ext" / "threads.c"
TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)

# Where no thread, or only every third one, can be started.
FAILING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
static int calls;
static int create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *x) {
    return ++calls % %EACH% ? EAGAIN : pthread_create(t, a, f, x);
}
#define pthread_create create
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    compiler = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if os.name == "nt" or compiler is None or not SOURCE.exists():
        pytest.skip("takes a clone and a compiler")
    folder = tmp_path_factory.mktemp("threads")

    def build(name, ahead=""):
        source, library = folder / f"{name}.c", folder / f"{name}.so"
        source.write_text(ahead + SOURCE.read_text())
        command = [compiler, "-shared", "-fPIC", "-O1", "-pthread", f"-I{SOURCE.parent}"]
        subprocess.run([*command, source, "-o", library], check=True)
        loaded = ctypes.CDLL(str(library))
        loaded.prelu_threads_worth.argtypes = [ctypes.c_ssize_t]
        loaded.prelu_set_thread_bytes.argtypes = [ctypes.c_ssize_t]
        loaded.prelu_threads_init()
        return loaded

    return build


@pytest.fixture(scope="module")
def library(build):
    return build("threads")


def ran(library, threads, pieces):
    """Return which pieces were run, and by which workers."""
    done = []
    task = TASK(lambda context, piece, worker: done.append((piece, worker)))
    library.prelu_parallel(threads, pieces, task, None)
    return sorted(piece for piece, _ in done), {worker for _, worker in done}


@pytest.mark.parametrize("threads", [1, 2, 3, 16, 256])
@pytest.mark.parametrize("pieces", [0, 1, 2, 7, 64, 1000])
def test_every_piece_once(library, threads, pieces):
    done, workers = ran(library, threads, pieces)
    assert done == list(range(pieces))
    assert workers <= set(range(threads))


@pytest.mark.parametrize("each", [1 << 30, 3], ids=["none starts", "few start"])
def test_threads_that_cannot_be_started(build, each):
    library = build(f"failing{each}", FAILING.replace("%EACH%", str(each)))
    for _ in range(20):
        done, workers = ran(library, 8, 64)
        assert done == list(range(64))
        assert each == 3 or workers == {0}


def test_many_run_at_once(library):
    """All threads are there: each piece waits for all others."""
    barrier = threading.Barrier(12, timeout=60)
    task = TASK(lambda context, piece, worker: barrier.wait() and None)
    library.prelu_parallel(12, 12, task, None)
    assert not barrier.broken


def test_callers_share(library):
    take, give = library.prelu_take_threads, library.prelu_give_threads
    taken = [take(8, 16) for _ in range(5)]
    assert taken == [8, 8, 1, 1, 1]  # a caller itself always works
    give(taken.pop(0))
    assert take(8, 16) == 5  # of 16, 11 are in use
    give(5)
    for count in taken:
        give(count)
    assert take(16, 16) == 16
    give(16)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_takes_one_thread_along(library):
    library.prelu_take_threads(16, 16)
    child = os.fork()
    if child == 0:
        os._exit(library.prelu_take_threads(16, 16))
    library.prelu_give_threads(16)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 16


@pytest.mark.parametrize(
    ("mib", "worth"),
    [(0, 1), (7.9, 1), (8, 2), (16, 2), (24, 3), (64, 8), (1024, 128), (2**40, 256)],
)
def test_worth(library, mib, worth):
    assert library.prelu_threads_worth(int(mib * 2**20)) == worth
    library.prelu_set_thread_bytes(1 << 20)
    assert library.prelu_threads_worth(int(mib * 2**20)) >= worth
    library.prelu_set_thread_bytes(8 << 20)


def test_nothing_is_left_behind(library):
    """Not one thread after thousands of calls."""
    if not sys.platform.startswith("linux"):
        pytest.skip("counts what /proc lists")
    before = len(os.listdir("/proc/self/task"))
    for _ in range(2000):
        ran(library, 4, 8)
    ended = threading.Event()
    for _ in range(1000):  # late ones end by themselves
        if len(os.listdir("/proc/self/task")) <= before:
            ended.set()
            break
        ended.wait(0.01)
    assert ended.is_set()
