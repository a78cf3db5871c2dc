"""Run PReLU and its gradients from Zarr to Zarr on a cluster with less memory than data.

    python bench/dask_cluster.py                  5 GiB in, 5 GiB out, two workers of 512 MiB
    python bench/dask_cluster.py --mib 256        smaller
    python bench/dask_cluster.py --json FILE      one JSON line per row, with machine and versions

Reported are throughput, against the plain Dask expressions of the same results; the peak memory
of a worker (the system's own high-water mark, VmHWM, less the memory of the idle worker before);
whether all bits are those of calls on pieces in memory; and the same with a worker killed halfway.
The comparison with the plain expressions is made twice: from Zarr to Zarr, and from blocks in the
workers' memory to results that are consumed at once, where neither disk nor new memory takes part.
"""

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import distributed
import numpy as np
import zarr
from cpu import machine
from distributed import Client, LocalCluster, wait

from prelu_array import dalpha_from_partial, prelu, prelu_backward, prelu_backward_partial

CHANNELS, SIDE = 64, 32
PATIENCE_S = 900
ALPHA = np.linspace(-0.5, 0.5, CHANNELS, dtype=np.float32)


def ours(x, dy):
    """Return y, dx, dalpha."""
    return prelu(x, ALPHA, axis=1), *prelu_backward(dy, x, ALPHA, axis=1)


def plain(x, dy):
    """Return the same, as one writes it in Dask."""
    alpha = ALPHA[:, None, None]
    y = da.where(x > 0, x, alpha * x)
    dx = da.where(x > 0, dy, alpha * dy)
    return y, dx, da.where(x > 0, 0, x * dy).sum(axis=(0, 2, 3))


def memory_of_worker(reset=False):
    """Return the resident memory of this process now and at most, in bytes. Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return [int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")]


def create(folder, name, shape, chunks):
    """Return a new Zarr array; nothing is compressed."""
    return zarr.create_array(
        folder / name, shape=shape, chunks=chunks, dtype="f4", compressors=None, overwrite=True
    )


def make_inputs(folder, shape, chunks):
    """Write x and dy: normal random numbers, signs random."""
    for k, name in enumerate(("x", "dy")):
        a = da.random.default_rng(k).standard_normal(shape, dtype="f4", chunks=chunks)
        da.store(a, create(folder, name, shape, chunks), lock=False)


def all_done(futures):
    """Whether nothing is left to compute."""
    return all(future.done() for future in futures)


def run(folder, function, client, kill=False):
    """Go from Zarr to Zarr; return seconds and, of workers that lived, memory before and peak."""
    x, dy = (da.from_zarr(str(folder / name)) for name in ("x", "dy"))
    targets = [create(folder, name, x.shape, x.chunksize) for name in ("y", "dx")]
    targets.append(create(folder, "dalpha", ALPHA.shape, ALPHA.shape))
    idle = client.run(memory_of_worker, reset=True)
    start = time.perf_counter()
    stores = da.store(list(function(x, dy)), targets, lock=False, compute=False)
    futures = client.compute(list(stores))
    if kill:
        pid = min(client.run(os.getpid).values())
        written = folder / "dx" / "c"  # the cluster tells of no block before all are done
        half = x.npartitions // 2
        while not all_done(futures) and sum(1 for _ in written.rglob("*")) < half:
            time.sleep(0.01)
        if all_done(futures):
            raise RuntimeError("all was done before a worker could be killed; give it more MiB")
        os.kill(pid, signal.SIGKILL)
    try:
        wait(futures, timeout=PATIENCE_S)
    except TimeoutError:
        used = max(now for now, _ in client.run(memory_of_worker).values()) / 2**20
        raise SystemExit(
            f"not done in {PATIENCE_S} s; a worker uses {used:.0f} MiB, and stops at 80 % of its "
            "limit: is --limit-mib too little?"
        ) from None
    client.gather(futures)
    seconds = time.perf_counter() - start
    peak = client.run(memory_of_worker)
    return seconds, [(idle[w][0], peak[w][1]) for w in peak if w in idle]


def same_bits(folder):
    """Whether y, dx and dalpha are those of calls on pieces in memory."""
    x, dy, y, dx, dalpha = (
        zarr.open_array(folder / name, mode="r") for name in ("x", "dy", "y", "dx", "dalpha")
    )
    state, same = 0, True
    for first in range(0, x.shape[0], x.chunks[0]):
        piece = slice(first, first + x.chunks[0])
        a, b = x[piece], dy[piece]
        right, part = prelu_backward_partial(b, a, ALPHA, axis=1)
        same &= np.array_equal(right.view("u4"), dx[piece].view("u4"))
        same &= np.array_equal(prelu(a, ALPHA, axis=1).view("u4"), y[piece].view("u4"))
        state = state + part
    right = dalpha_from_partial(state, np.float32)
    return bool(same and np.array_equal(right.view("u4"), dalpha[:].view("u4")))


def last(block):
    """Return the last number of a block, so that the block itself can go."""
    return block[-1:, -1:, -1:, -1:].copy()


def from_memory(client, function, x, dy):
    """Return the seconds, and those of the workers' processors, from blocks in their memory."""
    y, dx, dalpha = function(x, dy)
    ends = [
        a.map_blocks(last, dtype=a.dtype, chunks=(1, 1, 1, 1), meta=np.empty((0,) * 4, "f4"))
        for a in (y, dx)
    ]
    start, before = time.perf_counter(), client.run(time.process_time)
    client.gather(client.compute([*ends, dalpha]))
    seconds, after = time.perf_counter() - start, client.run(time.process_time)
    return seconds, sum(after[worker] - before[worker] for worker in before)


def cluster(options, folder, memory):
    """Start the workers, one thread each, in processes of their own."""
    return LocalCluster(
        n_workers=options.workers, threads_per_worker=1, processes=True, memory_limit=memory,
        dashboard_address=None, local_directory=folder / "spill",
    )  # fmt: skip


def rows(options, folder):
    """Yield a dict for each measurement."""
    per_block = int(options.block_mib * 2**20) // (4 * CHANNELS * SIDE**2)
    shape = (int(options.mib * 2**20) // (4 * CHANNELS * SIDE**2), CHANNELS, SIDE, SIDE)
    chunks = (per_block, *shape[1:])
    block = 4 * int(np.prod(chunks))
    array = 4 * int(np.prod(shape))
    limit = int(options.limit_mib * 2**20)
    about = {
        "array_bytes": array,
        "block_bytes": block,
        "workers": options.workers,
        "memory_limit": limit,
        "data_of_memory": 2 * array / (options.workers * limit),
    }
    with cluster(options, folder, "4GiB") as c, Client(c):
        make_inputs(folder, shape, chunks)
    for what, function, kill in (
        ("ours", ours, False),
        ("plain", plain, False),
        ("ours, a worker killed halfway", ours, True),
    ):
        with cluster(options, folder, limit) as c, Client(c) as client:
            warm = folder / "warm"  # every import done, every path walked once
            make_inputs(warm, (options.workers * 4, *shape[1:]), (1, *shape[1:]))
            run(warm, function, client)
            seconds, memory = run(folder, function, client, kill)
            over = max(peak - idle for idle, peak in memory)
            row = about | {
                "what": f"Zarr to Zarr: {what}",
                "s": seconds,
                "GB/s": 4 * array / seconds / 1e9,
                "idle_MiB": max(idle for idle, _ in memory) / 2**20,
                "peak_MiB": max(peak for _, peak in memory) / 2**20,
                "peak_over_idle_blocks": over / block,
            }
        if function is ours:
            row["same_bits"] = same_bits(folder)
        yield row
    with cluster(options, folder, "4GiB") as c, Client(c) as client:
        images = int(options.memory_block_mib * 2**20) // (4 * CHANNELS * SIDE**2)
        x = da.random.default_rng(0).standard_normal(
            (16 * images, *shape[1:]), dtype="f4", chunks=(images, *shape[1:])
        )
        dy = x.map_blocks(np.roll, 1, dtype=x.dtype, meta=x._meta)
        x, dy = client.persist([x, dy])  # blocks of dy on the workers of those of x
        wait([x, dy])
        medians = {}
        for function in (ours, plain):  # not in turn: one's memory, new from the system, is slow
            times = [from_memory(client, function, x, dy) for _ in range(options.repeats + 2)]
            medians[function] = np.median(times[2:], axis=0)
        for what, function in (("ours", ours), ("plain", plain)):
            seconds, processor_seconds = medians[function].tolist()
            speed, processor_speed = (medians[plain] / medians[function]).tolist()
            yield {
                "what": f"from memory: {what}",
                "array_bytes": x.nbytes,
                "block_bytes": x.nbytes // 16,
                "workers": options.workers,
                "s": seconds,
                "workers_cpu_s": processor_seconds,
                "GB/s": 4 * x.nbytes / seconds / 1e9,
                "times_plain_speed": speed,
                "times_plain_speed_cpu": processor_speed,
            }


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=float, default=2560, help="of x; dy, y and dx are as large")
    parser.add_argument("--block-mib", type=float, default=16)
    parser.add_argument("--memory-block-mib", type=float, default=32, help="of the last rows")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit-mib", type=float, default=512, help="of memory, of a worker")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to put the arrays")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (dask, distributed, zarr)}
    here = machine() | versions
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        for row in rows(options, folder):
            numbers = {k: v for k, v in row.items() if k not in ("what", "array_bytes")}
            print(f"\n{row['what']}, {row['array_bytes'] / 2**20:.0f} MiB an array")
            for key, value in numbers.items():
                print(f"    {key:22} {value:.2f}" if isinstance(value, float) else
                      f"    {key:22} {value}", flush=True)  # fmt: skip
            if options.json:
                with options.json.open("a") as file:
                    file.write(json.dumps(here | row) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
