"""Processes interrupted, or entered once more, in the middle of their first large call.

    python tests/interrupts.py [--processes 200] [--seed 0]

Each has 1, 2 or 4 threads and a timer of 0.05 to 2 ms, whose handler raises, or calls the function
once more, or leaves that to a finalizer. Counted are processes that hang and outputs that are
neither as they were nor whole.
"""

import argparse
import collections
import os
import random
import subprocess
import sys
from pathlib import Path

MODES = ("raises", "enters", "finalizer")

CODE = """
import gc, signal, sys, numpy as np
from prelu_array import prelu, prelu_backward, set_num_threads
mode, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
set_num_threads(threads)
x = np.full(8 << 20, -2, np.float32)
small = np.full(2 << 20, -2, np.float32)
entered = []

def enter():
    entered.append((prelu(small, 0.5) == -1).all() and prelu_backward(x, x, 0.5)[1] == 32 << 20)

class Finalizer:
    def __init__(self):
        self.itself = self
    def __del__(self):
        enter()

def handler(number, frame):
    if not armed:
        return
    if mode == "raises":
        raise KeyboardInterrupt
    if mode == "enters":
        enter()
    else:
        Finalizer()
        gc.collect()

signal.signal(signal.SIGALRM, handler)
out, armed = x.copy(), [True]
try:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    prelu(out, 0.5, out=out)
    for _ in range(10_000):
        pass
    armed.clear()
except KeyboardInterrupt:
    armed.clear()
whole = (out == -1).all() or (mode == "raises" and (out == -2).all())
print("whole" if whole and all(entered) and prelu_backward(x, x, 0.5)[1] == 32 << 20 else "half")
"""


def outcome(mode, threads, seconds):
    """Return "whole", "half", "hung", or what else became of a process."""
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE, mode, str(threads), str(seconds)],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        return "hung"
    return done.stdout.strip() if done.returncode == 0 else f"{done.returncode}: {done.stderr}"


def outcomes(processes, seed):
    """Yield mode, threads and outcome of each process."""
    rng = random.Random(seed)
    for k in range(processes):
        mode, threads = MODES[k % 3], (1, 2, 4)[k // 3 % 3]
        yield mode, threads, outcome(mode, threads, rng.uniform(0.00005, 0.002))


def main():
    """Print how many processes had each outcome."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = collections.Counter(outcomes(options.processes, options.seed))
    for (mode, threads, what), count in sorted(counts.items()):
        print(f"{mode:10} {threads} threads  {what:8} {count}")
    return int(any(what != "whole" for _, _, what in counts))


if __name__ == "__main__":
    sys.exit(main())
