"""
The same gradient for any number of workers
===========================================

Data-parallel training, to the last bit::

    python examples/data_parallel.py

Each worker is a process with a part of the batch, which it finds in shared memory: activations of
a trained layer. One all-reduce adds the workers' exact states, as integers; the other, beside it,
adds the dalphas of their parts, as floats, which is what data-parallel training usually does.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

import prelu_array
from prelu_array import dalpha_from_partial, prelu_backward, prelu_backward_partial

DATA = Path(prelu_array.__file__).parent / "activations.npz"
F32 = np.dtype(np.float32)


def in_memory(block: SharedMemory, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return the array in a block of shared memory."""
    return np.ndarray(shape, dtype, block.buf)


# %%
# Each worker hands out the exact sums of its part as integers, and rounded ones beside them.


def work(rank: int, workers: int, blocks: list[SharedMemory], x_shape: tuple[int, ...]) -> None:
    """Write what a worker's part of the batch adds to dalpha: a state, and a float."""
    x, dy = (in_memory(block, x_shape, F32) for block in blocks[:2])
    alpha = np.load(DATA)["alpha"]
    part = slice(rank * len(x) // workers, (rank + 1) * len(x) // workers)

    _, state = prelu_backward_partial(dy[part], x[part], alpha, axis=1, need_dx=False)
    dalpha = prelu_backward(dy[part], x[part], alpha, axis=1, need_dx=False)[1]

    in_memory(blocks[2], (workers, *state.shape), state.dtype)[rank] = state
    in_memory(blocks[3], (workers, *dalpha.shape), dalpha.dtype)[rank] = dalpha


# %%
# Integers add in any order; `dalpha_from_partial` rounds their sum once.


def all_reduce(workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return dalpha by exact states and by floats, computed by so many processes."""
    x, dy, alpha = (np.load(DATA)[name].astype(F32) for name in ("x", "dy", "alpha"))
    state = prelu_backward_partial(dy[:0], x[:0], alpha, axis=1, need_dx=False)[1]
    sizes = x.nbytes, dy.nbytes, workers * state.nbytes, workers * alpha.nbytes
    blocks = [SharedMemory(create=True, size=size) for size in sizes]
    try:
        for block, a in zip(blocks, (x, dy), strict=False):
            in_memory(block, a.shape, F32)[...] = a
        spawn = multiprocessing.get_context("spawn")
        args = workers, blocks, x.shape
        processes = [spawn.Process(target=work, args=(rank, *args)) for rank in range(workers)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            if process.exitcode:
                raise RuntimeError(f"a worker ended with {process.exitcode}")
        state = in_memory(blocks[2], (workers, *state.shape), state.dtype).sum(axis=0)
        floats = in_memory(blocks[3], (workers, *alpha.shape), F32).sum(axis=0)
    finally:
        for block in blocks:
            block.close()
            block.unlink()
    return dalpha_from_partial(state, alpha.dtype), floats


def main() -> None:
    """Print how many of the dalphas differ from those of one worker."""
    x, dy, alpha = (np.load(DATA)[name].astype(F32) for name in ("x", "dy", "alpha"))
    right = prelu_backward(dy, x, alpha, axis=1)[1]
    print(f"{right.size} alphas, {len(x)} images; dalphas that are not those of one process:")
    print("workers  exact states  floats")
    for workers in (1, 2, 3, 4):
        exact, floats = all_reduce(workers)
        print(f"{workers:7}  {np.sum(exact != right):12}  {np.sum(floats != right):6}")


if __name__ == "__main__":
    main()

# %%
# What it prints:
#
# .. literalinclude:: /../examples/results/data_parallel.txt
#     :language: text
