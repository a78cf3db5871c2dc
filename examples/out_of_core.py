"""
Arrays larger than memory: Zarr to Zarr
=======================================

PReLU and its gradients, a block at a time, with a progress bar::

    python examples/out_of_core.py                          # 64 MiB of random numbers
    python examples/out_of_core.py --mib 100000             # more than the memory
    python examples/out_of_core.py --folder F               # F/x and F/dy, where they are there

It needs the extra `cluster`.

x and dy are Zarr arrays of shape (images, channels, height, width); y, dx and dalpha are written
beside them. One pass: each block is read once, and dalpha is the exact sum over all blocks,
whatever their size, rounded once.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from prelu_array import prelu, prelu_backward


def create(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Any:
    """Return a new Zarr array of float32."""
    import zarr

    return zarr.create_array(path, shape=shape, chunks=chunks, dtype="f4", overwrite=True)


def make(path: Path, seed: int, mib: float) -> None:
    """Write random numbers in blocks of 8 MiB, 64 channels of 32 x 32."""
    import dask.array as da

    shape = (max(int(mib * 4), 1), 64, 32, 32)
    chunks = (min(32, shape[0]), *shape[1:])
    a = da.random.default_rng(seed).standard_normal(shape, dtype="f4", chunks=chunks)
    da.store(a, create(path, shape, chunks), lock=False)


# %%
# The pass itself: three lazy results, stored together.


def convert(folder: Path, alpha: np.ndarray) -> np.ndarray:
    """Go from x and dy to y, dx and dalpha; return dalpha."""
    import dask.array as da
    from dask.diagnostics import ProgressBar

    x, dy = (da.from_zarr(str(folder / name)) for name in ("x", "dy"))
    y = prelu(x, alpha, axis=1)
    dx, dalpha = prelu_backward(dy, x, alpha, axis=1)
    targets = [create(folder / name, x.shape, x.chunksize) for name in ("y", "dx")]
    targets.append(create(folder / "dalpha", alpha.shape, alpha.shape))
    with ProgressBar():
        da.store([y, dx, dalpha], targets, lock=False)  # together, so that each block is read once
    return targets[-1][:]


# %%
# The command line.


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description="PReLU from Zarr to Zarr.", epilog="It needs the extra `cluster`."
    )
    parser.add_argument("--mib", type=float, default=64, help="of x, if it is made")
    parser.add_argument("--folder", type=Path, help="where the arrays are, and stay")
    options = parser.parse_args()
    import zarr  # after --help

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for seed, name in enumerate(("x", "dy")):
            if not (folder / name).exists():
                make(folder / name, seed, options.mib)
        x = zarr.open_array(folder / "x", mode="r")
        alpha = np.full(x.shape[1], 0.25, np.float32)
        print(f"x {x.shape} in {x.nchunks} blocks, {x.nbytes / 2**20:.0f} MiB")
        dalpha = convert(folder, alpha)
        print(f"dalpha from {dalpha.min():.6g} to {dalpha.max():.6g}")


if __name__ == "__main__":
    main()
