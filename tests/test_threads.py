"""Threads, on arrays that are large enough for five: same bits, fork, calls from many threads."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading

import interrupts
import numpy as np
import pytest
from arrays import DTYPES, alphas, assert_same_bits, check_backward, check_forward, name, numbers

import prelu_array
from prelu_array import _cpus, prelu, prelu_backward
from prelu_array.testing import reference_prelu, reference_prelu_backward

COUNTS = (1, 2, 3, 5)
ENOUGH = 21 << 20  # bytes: each thread takes at least 4 MiB


def repeated(dtype, block_shape, axis, times):
    """A large input, made of copies of a block along an axis, with what is right for it.

    Copies along an axis of alpha repeat dalpha; `times` is a power of two, so that copies along
    a summed axis multiply it without rounding.
    """
    rng = np.random.default_rng(1)
    # no subnormals, whose sums do not scale without rounding
    x, dy = (rng.integers(-999, 1000, block_shape).astype(dtype) / dtype(8) for _ in range(2))
    larger = [np.concatenate([a] * times, axis=axis) for a in (x, dy)]
    assert larger[0].nbytes >= ENOUGH
    return x, dy, *larger


def scaled(dalpha, times):
    """Multiply by a power of two, as an array of the same dtype; it may overflow."""
    with np.errstate(over="ignore"):
        return np.asarray(dalpha * dalpha.dtype.type(times), dalpha.dtype)


# block of x, alpha for it, axis, the axis to repeat the block along
LAYOUTS = {
    "shared": ((1 << 14,), (), None, 0),
    "channels of a batch": ((2, 3, 4000), (3,), 1, 0),
    "channels with long runs": ((1, 3, 8000), (3,), 1, 2),
    "NHWC": ((100, 64), (64,), -1, 0),
    "NHWC of 3": ((2000, 3), (3,), -1, 0),
    "per sample": ((3, 8192), (3, 1), None, 1),
    "many channels": ((2, 9000), (9000,), -1, 0),
    "shared in the middle": ((5, 256, 7), (5, 1, 7), None, 1),
    "small images": ((2, 64, 201), (64,), 1, 0),
    "smaller images, more channels": ((2, 300, 36), (300,), 1, 0),
    "images of whole groups": ((2, 65, 64), (65,), 1, 0),
    "many channels of few samples": ((3, 70, 40), (70,), 1, 2),
    "alphas along two axes": ((3, 70, 2, 65, 20), (70, 1, 65, 1), None, 4),
    "the second axis of alphas is the long one": ((3, 5, 2, 65, 20), (5, 1, 65, 1), None, 4),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_number_of_threads_gives_the_same_bits(threads, layout, dtype):
    shape, alpha_shape, axis, along = LAYOUTS[layout]
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    times = 1 << (-(-ENOUGH // size) - 1).bit_length()
    block, dy_block, x, dy = repeated(dtype, shape, along, times)
    alpha = alphas(alpha_shape, dtype)
    y = np.concatenate([reference_prelu(block, alpha, axis=axis)] * times, axis=along)
    dx, dalpha = reference_prelu_backward(dy_block, block, alpha, axis=axis)
    dx = np.concatenate([dx] * times, axis=along)
    wide = reference_prelu_backward(dy_block, block, alpha.astype(np.float64), axis=axis)[1]
    for count in COUNTS:
        threads(count)
        assert_same_bits(prelu(x, alpha, axis=axis), y, f"y, {count} threads")
        got = prelu_backward(dy, x, alpha, axis=axis)
        assert_same_bits(got[0], dx, f"dx, {count} threads")
        assert_same_bits(got[1], scaled(dalpha, times), f"dalpha, {count} threads")
        got = prelu_backward(dy, x, alpha.astype(np.float64), axis=axis, need_dx=False)
        assert_same_bits(got[1], scaled(wide, times), f"float64 dalpha, {count} threads")


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=name)
@pytest.mark.parametrize("layout", ["smaller images, more channels", "images of whole groups"])
@pytest.mark.parametrize("shift", [0, 1, 7])
def test_large_images_at_any_address(threads, layout, dtype, shift):
    """Those that are written by non-temporal stores, which begin with a line."""
    shape, alpha_shape, axis, along = LAYOUTS[layout]
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    times = 1 << (-(-ENOUGH // size) - 1).bit_length()
    block, dy_block, x0, dy0 = repeated(dtype, shape, along, times)
    x, dy, dx = (np.full(x0.size + 16, np.nan, dtype) for _ in range(3))
    views = [a[s : s + x0.size].reshape(x0.shape) for a, s in ((x, 3), (dy, 0), (dx, shift))]
    views[0][...], views[1][...] = x0, dy0
    alpha = alphas(alpha_shape, dtype)
    right = reference_prelu_backward(dy_block, block, alpha, axis=axis)
    threads(1)
    got = prelu_backward(views[1], views[0], alpha, axis=axis, out=(views[2], None))
    assert_same_bits(views[2], np.concatenate([right[0]] * times, axis=along))
    assert_same_bits(got[1], scaled(right[1], times))
    prelu(views[0], alpha, axis=axis, out=views[2])
    y = reference_prelu(block, alpha, axis=axis)
    assert_same_bits(views[2], np.concatenate([y] * times, axis=along))
    assert np.isnan(dx[:shift]).all()
    assert np.isnan(dx[shift + x0.size :]).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_one_alpha_for_each_element_of_a_large_array(threads, dtype):
    rng = np.random.default_rng(4)
    blocks = [numbers(rng, 1 << 12, dtype) for _ in range(3)]
    dx, dalpha = reference_prelu_backward(*blocks)
    times = -(-ENOUGH // blocks[0].nbytes)
    dy, x, alpha = (np.tile(block, times) for block in blocks)
    for count in COUNTS:
        threads(count)
        assert_same_bits(prelu(x, alpha), np.tile(reference_prelu(*blocks[1:]), times), "y")
        got = prelu_backward(dy, x, alpha)
        assert_same_bits(got[0], np.tile(dx, times), f"dx, {count} threads")
        assert_same_bits(got[1], np.tile(dalpha, times), f"dalpha, {count} threads")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("place", ["x", "dy"])
def test_in_place_with_threads(threads, dtype, place):
    block, dy_block, x0, dy0 = repeated(dtype, (4, 8192), 1, 512 if dtype is np.float16 else 256)
    for alpha, axis in ((alphas((4,), dtype), 0), (alphas((), dtype), None)):
        right = reference_prelu_backward(dy_block, block, alpha, axis=axis)
        times = x0.size // block.size
        for count in COUNTS:
            threads(count)
            x, dy = x0.copy(), dy0.copy()
            out = x if place == "x" else dy
            got = prelu_backward(dy, x, alpha, axis=axis, out=(out, None))
            assert_same_bits(out, np.concatenate([right[0]] * times, axis=1))
            assert_same_bits(got[1], scaled(right[1], times))


@pytest.mark.parametrize("memory", ["Fortran", "reversed", "every second", "dy expanded"])
def test_other_memory_with_threads(threads, memory):
    block, dy_block, x, dy = repeated(np.float32, (4, 8192), 1, 256)
    times = x.size // block.size
    look = {
        "Fortran": np.asfortranarray,
        "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
        "every second": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        "dy expanded": lambda a: a,
    }[memory]
    x, dy = look(x), look(dy)
    if memory == "dy expanded":
        dy_block = np.full_like(dy_block, 0.75)
        dy = np.broadcast_to(np.float32(0.75), dy.shape)
    alpha = alphas((4,), np.float32)
    right = reference_prelu_backward(dy_block, block, alpha, axis=0)
    for count in COUNTS:
        threads(count)
        got = prelu_backward(dy, x, alpha, axis=0)
        assert_same_bits(got[0], np.concatenate([right[0]] * times, axis=1))
        assert_same_bits(got[1], scaled(right[1], times))
        assert got[0].strides == np.empty_like(x).strides


def test_hard_sums_over_threads(threads):
    """Each thread's part is huge, and all parts cancel but for one small term."""
    n = 6 << 20
    x = np.full(n, -1e30, np.float32)
    dy = np.full(n, 1e30, np.float32)
    dy[n // 2 :] = -1e30
    x[12345], dy[12345], dy[n - 5] = -3, 0.25, 0
    for count, alpha in itertools.product(COUNTS, (np.float32(1), np.float64(1))):
        threads(count)
        assert_same_bits(prelu_backward(dy, x, alpha)[1], np.array(-0.75, alpha.dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_terms_that_are_not_finite_in_one_thread(threads, value):
    x, dy = np.full((3, 2 << 20), -1, np.float32), np.ones((3, 2 << 20), np.float32)
    dy[1, 77] = value
    expected = np.array([-(2 << 20), -value, -(2 << 20)], np.float32)
    for count in COUNTS:
        threads(count)
        assert_same_bits(prelu_backward(dy, x, np.ones(3, np.float32), axis=0)[1], expected)


@pytest.mark.parametrize("shift", [0, 1, 3, 15, 16])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_large_outputs_at_every_alignment(threads, dtype, shift):
    """They are written by non-temporal stores, in whole lines; the rest stays untouched."""
    threads(1)
    n = ENOUGH // np.dtype(dtype).itemsize + 13
    block = numbers(np.random.default_rng(2), 1 << 12, dtype)
    x = np.resize(block, n)
    right = np.resize(reference_prelu(block, 0.3), n)
    buffer = np.full(n + 64, 7, dtype)
    out = buffer[shift : shift + n]
    prelu(x, 0.3, out=out)
    assert_same_bits(out, right)
    assert (buffer[:shift] == 7).all()
    assert (buffer[shift + n :] == 7).all()
    # x elsewhere in its line than the output
    source = np.empty(n + 64, dtype)
    source[shift : shift + n] = x
    assert_same_bits(prelu(source[shift : shift + n], 0.3), right)
    prelu(source[shift : shift + n], 0.3, out=buffer[5 : n + 5])
    assert_same_bits(buffer[5 : n + 5], right)
    rows = 33
    width = n // rows
    padded = np.full((rows, width + 5), 7, dtype)
    prelu(x[: rows * width].reshape(rows, width), 0.3, out=padded[:, 2:-3])
    assert_same_bits(padded[:, 2:-3], right[: rows * width].reshape(rows, width))
    assert (padded[:, :2] == 7).all()
    assert (padded[:, -3:] == 7).all()


@pytest.mark.parametrize("size", [(4 << 20) - 4, 4 << 20, (8 << 20) - 4, 8 << 20, (8 << 20) + 4])
def test_sizes_around_the_thresholds(threads, size):
    block = numbers(np.random.default_rng(3), 1 << 13, np.float32)
    x = np.resize(block, size // 4)
    right = np.resize(reference_prelu(block, 0.3), size // 4)
    for count in (1, 2):
        threads(count)
        assert_same_bits(prelu(x, 0.3), right)
        assert_same_bits(prelu_backward(x, x, 0.3)[0], right)


def test_calls_from_many_threads(threads):
    """Small and large calls at once, while the number of threads changes."""
    rng = np.random.default_rng(4)
    small, large = rng.standard_normal((5, 33)), np.resize(rng.standard_normal(1 << 12), 1 << 21)
    alpha = np.array([0.25, -1, 2, 0, 0.5])
    right = [
        *(
            reference_prelu(small, alpha, axis=0),
            *reference_prelu_backward(small, small, alpha, axis=0),
        ),
        np.resize(reference_prelu(large[: 1 << 12], 0.3), large.size),
    ]
    wrong = []

    def work(number):
        try:
            for k in range(12):
                if number == 0:
                    threads(COUNTS[k % 4])
                got = [
                    prelu(small, alpha, axis=0),
                    *prelu_backward(small, small, alpha, axis=0),
                    prelu(large, 0.3),
                ]
                for a, b in zip(got, right, strict=True):
                    assert_same_bits(a, b)
        except BaseException as error:
            wrong.append(error)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_an_error_leaves_out_and_threads_as_they_were(threads):
    threads(3)
    x = np.full(4 << 20, -2, np.float32)
    out = np.full_like(x, 7)
    for _ in range(3):
        with pytest.raises(ValueError, match="alpha"):
            prelu(x, np.ones(3, np.float32), out=out)
        assert (out == 7).all()
    assert prelu_backward(x, x, 0.5, need_dx=False)[1] == 16 << 20


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


FORKED = """
import os, numpy as np
from prelu_array import prelu, prelu_backward, set_num_threads
set_num_threads(3)
x = np.full(4 << 20, -2, np.float32)
dy = np.ones_like(x)
assert {before} or prelu_backward(dy, x, 0.5)[1] == -(8 << 20)
child = os.fork()
if child == 0:
    ok = prelu_backward(dy, x, 0.5)[1] == -(8 << 20) and (prelu(x, 0.5) == -1).all()
    os._exit(0 if ok else 1)
assert prelu_backward(dy, x, 0.5)[1] == -(8 << 20)
print("child:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


FORKED_IN_A_CALL = """
import os, threading, numpy as np
from prelu_array import prelu_backward, set_num_threads
set_num_threads(3)
x = np.full(8 << 20, -2, np.float32)
stop, wrong = threading.Event(), []
def work():
    while not stop.is_set():
        if prelu_backward(x, x, 0.5)[1] != 32 << 20:
            wrong.append(1)
workers = [threading.Thread(target=work, daemon={daemon}) for _ in range(8)]
for worker in workers:
    worker.start()
for _ in range({forks}):
    child = os.fork()
    if child == 0:
        os._exit(0 if prelu_backward(x, x, 0.5)[1] == 32 << 20 else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert not wrong
if not {daemon}:
    stop.set()
    for worker in workers:
        worker.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_in_the_middle_of_calls():
    done = run_python(FORKED_IN_A_CALL.format(forks=4, daemon=False))
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n" * 4, "")


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.1])
def test_exit_in_the_middle_of_calls(seconds):
    """The process ends while other threads are in a call, in C."""
    code = FORKED_IN_A_CALL.format(forks=0, daemon=True)
    done = run_python(f"{code}\nimport time\ntime.sleep({seconds})\nprint('ends')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


SIGNALLED = """
import signal, threading, numpy as np
from prelu_array import prelu_backward, set_num_threads
set_num_threads(3)
x = np.full(4 << 20, -2, np.float32)
caught, entered = 0, 0
def handler(number, frame):
    global entered
    entered += 1
    if {raises}:
        raise KeyboardInterrupt
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert prelu_backward(x, x, 0.5)[1] == 16 << 20
    if entered < 60:
        signal.setitimer(signal.ITIMER_REAL, {interval})
signal.signal(signal.SIGALRM, handler)
for _ in range(20):
    try:
        signal.setitimer(signal.ITIMER_REAL, {interval})
        assert prelu_backward(x, x, 0.5)[1] == 16 << 20
        for _ in range(1000):
            pass
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        caught += 1
entered += 60  # no more of them
signal.setitimer(signal.ITIMER_REAL, 0)
assert prelu_backward(x, x, 0.5)[1] == 16 << 20
entered -= 60
print(entered > 0, caught == (entered if {raises} else 0))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("raises", [True, False], ids=["raises", "calls again"])
def test_a_signal_handler_during_a_call(raises):
    """It never hangs, wherever in a call the signal comes."""
    for k in range(10):
        done = run_python(SIGNALLED.format(raises=raises, interval=0.0001 * (k + 1)))
        assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", ""), k


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_interrupts_in_the_middle_of_a_first_call():
    assert {what for _, _, what in interrupts.outcomes(9, seed=1)} == {"whole"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("before", [True, False], ids=["at once", "after a call"])
def test_fork(before):
    done = run_python(FORKED.format(before=before))
    assert (done.returncode, done.stdout, done.stderr) == (0, "child: 0\n", "")


@pytest.mark.parametrize("before", [True, False], ids=["at once", "after a call"])
def test_call_while_the_interpreter_shuts_down(before):
    """Python starts no thread then; C does."""
    done = run_python(
        f"""
import atexit, numpy as np
from prelu_array import prelu_backward, set_num_threads
set_num_threads(3)
x = np.full(4 << 20, -2, np.float32)
def call():
    print(prelu_backward(x, x, 0.5)[1] == 16 << 20)
{before} or call()
atexit.register(call)
"""
    )
    expected = "True\n" if before else "True\nTrue\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(value, 1) for value in ("1", " 1", "1 ", "1,2", "1 ,2", "\t1 , 4")],
        *[(value, None) for value in ("9999", "x", "0", "", " ", "-1", "1.5")],
    ],
)
def test_default_number_of_threads(value, expected):
    """The cores of the process, or less if OMP_NUM_THREADS says so."""
    code = f"""
import os
os.environ["OMP_NUM_THREADS"] = {value!r}
import prelu_array
print(prelu_array.get_num_threads())
"""
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == (expected or _cpus.usable())


def test_number_of_threads_is_kept(threads):
    for count in (1, 7, np.int64(2), 256):
        threads(count)
        assert prelu_array.get_num_threads() == count
        assert type(prelu_array.get_num_threads()) is int


def test_more_threads_than_pieces(threads):
    """256 threads, and arrays whose axes are short."""
    threads(256)
    rng = np.random.default_rng(5)
    for shape, alpha_shape, axis in (((3, 5, 200_000), (5,), 1), ((2, 1_500_000), (2,), 0)):
        block = numbers(rng, (*shape[:-1], 1000), np.float32)
        x = np.concatenate([block] * (shape[-1] // 1000), axis=-1)
        y = prelu(x, alphas(alpha_shape, np.float32), axis=axis)
        right = reference_prelu(block, alphas(alpha_shape, np.float32), axis=axis)
        assert_same_bits(y, np.concatenate([right] * (shape[-1] // 1000), axis=-1))
    small = rng.standard_normal((3, 4))
    check_forward(small, np.float64(0.3))
    check_backward(small, np.float64(0.3), small)
