"""Every function on small arrays in many threads, from several callers: for tests/races."""

import threading

import numpy as np

from prelu_array import (
    _cpu,
    prelu,
    prelu_backward,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
    set_num_threads,
)

LAYOUTS = (
    ((64, 600), (600,), 1),
    ((8, 5, 2000), (5,), 1),
    ((3, 30000), (), None),
    ((9000, 8), (9000,), 0),
    ((40, 900), (40, 900), None),
    ((5000, 9), (9,), 1),
)


def work(seed):
    """Call each function, also on sums that are taken again, and in place."""
    rng = np.random.default_rng(seed)
    for dtype in (np.float16, np.float32, np.float64):
        for shape, alpha_shape, axis in LAYOUTS:
            x, dy, ddx = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
            alpha, dot = (rng.standard_normal(alpha_shape).astype(dtype) for _ in range(2))
            prelu(x, alpha, axis=axis)
            prelu((x * 100).astype(np.int32), 3)
            prelu_backward(dy, x, alpha, axis=axis)
            prelu_jvp(x, alpha, ddx, dot, axis=axis)
            prelu_double_backward(ddx, dot, dy, x, alpha, axis=axis)
            if x.size > 50 * alpha.size:
                prelu_backward_partial(dy, x, alpha, axis=axis)
            prelu_backward(dy, x, alpha, axis=axis, out=(dy, None))
            dy[...] = 0
            prelu_backward(dy, x, alpha, axis=axis)


if __name__ == "__main__":
    assert _cpu.select_instruction_set("baseline")  # which is instrumented
    _cpu.set_thread_bytes(1 << 14)
    set_num_threads(6)
    callers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    print("no race was seen")
