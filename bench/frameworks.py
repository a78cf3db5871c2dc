"""Measure `prelu_array.torch` and `prelu_array.jax` against the frameworks' own PReLU.

``python bench/frameworks.py WHAT... [FILE]``  JSON lines are added to FILE (.jsonl)

WHAT: torch and jax (times on the CPU, one thread), error (of torch's gradient of alpha), host
(what the CUDA path costs the host beside its launches, on the device of host memory of the tests:
extra gpu-proof), cuda (times on a GPU). Times are the least of interleaved runs.
"""

from __future__ import annotations

import json
import sys
import timeit
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import prelu_array


def least(calls):
    """Return the microseconds of each call: the least of interleaved runs of 2 ms or more."""
    counts, longest = {}, 0.002
    for name, call in calls.items():
        call()
        once = min(timeit.repeat(call, number=1, repeat=3))
        counts[name] = max(1, int(0.002 / max(once, 1e-7)))
        longest = max(longest, once)
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(max(9, min(150, int(0.5 / longest)))):
        for name, call in calls.items():
            took = timeit.timeit(call, number=counts[name]) / counts[name]
            best[name] = min(best[name], took * 1e6)
    return {name: round(us, 2) for name, us in best.items()}


def _faster(times, theirs, ours):
    """Return how many times as long as ours theirs takes."""
    return round(times[theirs] / times[ours], 2)


SHAPES = ((8, 8), (64, 64, 14, 14), (64, 64, 56, 56))


def _of_torch(torch, shape, dtype, device="cpu"):
    """Return calls of torch's function and layer, and of ours: forward, and forward + backward."""
    from prelu_array.torch import PReLU, prelu

    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(shape, generator=generator).to(device, dtype) for _ in range(2))
    alpha = torch.full((shape[1],), 0.25, dtype=dtype, device=device, requires_grad=True)
    leaf, frozen = x.clone().requires_grad_(), alpha.detach()
    layers = {"torch layer": torch.nn.PReLU(shape[1]), "layer": PReLU(shape[1])}
    functions = {"torch": torch.nn.functional.prelu, "ours": lambda x, a: prelu(x, a, 1)}
    forward = {name: lambda f=f: f(x, frozen) for name, f in functions.items()}
    both = {
        name: lambda f=f: torch.autograd.grad(f(leaf, alpha), (leaf, alpha), dy)
        for name, f in functions.items()
    }
    for name, layer in layers.items():
        layer.to(device, dtype)
        forward[name] = lambda layer=layer: layer(x)
        both[name] = lambda layer=layer: torch.autograd.grad(layer(leaf), (leaf, layer.weight), dy)
    return {"forward": forward, "forward + backward": both}


def of_torch(emit):
    """Measure on the CPU, one thread."""
    import torch

    torch.set_num_threads(1)
    prelu_array.set_num_threads(1)
    emit(what="torch", version=torch.__version__)
    for shape in SHAPES:
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            for name, calls in _of_torch(torch, shape, dtype).items():
                us = least(calls)
                emit(
                    what="torch", call=name, shape=shape, dtype=str(dtype)[6:], us=us,
                    faster=_faster(us, "torch", "ours"),
                    layer=_faster(us, "torch layer", "layer"),
                )  # fmt: skip


def _waited(jax, function, *args):
    jax.block_until_ready(function(*args))


def of_jax(emit):
    """Measure on the CPU, under jit; ours in one thread."""
    import jax
    import jax.numpy as jnp

    from prelu_array.jax import prelu

    prelu_array.set_num_threads(1)
    emit(what="jax", version=jax.__version__)
    functions = {
        "jnp.where": lambda x, a: jnp.where(x > 0, x, a.reshape(-1, *[1] * (x.ndim - 2)) * x),
        "ours": lambda x, a: prelu(x, a, 1),
    }
    for shape in ((8, 8), (64, 64, 8, 8), (64, 64, 64, 64)):
        for dtype in (jnp.float32, jnp.bfloat16):
            rng = np.random.default_rng(0)
            x, dy = (jnp.asarray(rng.standard_normal(shape), dtype) for _ in range(2))
            alpha = jnp.full(shape[1], 0.25, dtype)
            forward, both = {}, {}
            for name, f in functions.items():
                gradients = jax.jit(lambda x, a, dy, f=f: jax.vjp(f, x, a)[1](dy))
                forward[name] = partial(_waited, jax, jax.jit(f), x, alpha)
                both[name] = partial(_waited, jax, gradients, x, alpha, dy)
            for name, calls in (("forward", forward), ("gradients", both)):
                us = least(calls)
                emit(
                    what="jax", call=name, shape=shape, dtype=jnp.dtype(dtype).name, us=us,
                    faster=_faster(us, "jnp.where", "ours"),
                )  # fmt: skip


def error(emit):
    """Measure the worst relative error of dalpha, of 64 channels, by the exact sum."""
    import torch

    from prelu_array.torch import prelu

    device = "cuda" if torch.cuda.is_available() else "cpu"
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        generator = torch.Generator().manual_seed(0)
        x, dy = (torch.randn(64, 64, 14, 14, generator=generator).to(dtype) for _ in range(2))
        wide = [t.double().numpy() for t in (dy, x)]
        exact = prelu_array.prelu_backward(*wide, np.full(64, 0.25), axis=1, need_dx=False)[1]
        row = {}
        for name, f in {"torch": torch.prelu, "ours": lambda x, a: prelu(x, a, 1)}.items():
            alpha = torch.full((64,), 0.25, dtype=dtype, device=device, requires_grad=True)
            (dalpha,) = torch.autograd.grad(f(x.to(device), alpha), alpha, dy.to(device))
            row[name] = float(np.max(np.abs(dalpha.double().cpu().numpy() / exact - 1)))
        emit(what="error", dtype=str(dtype)[6:], device=device, **row)


def host(emit):
    """Measure what a call on CUDA costs the host over its launches; kernels do nothing."""
    from gpu_proof import device

    if not device.installed:
        sys.exit("there is a GPU: this is for the device of host memory")
    from contextlib import nullcontext

    import torch

    from prelu_array.torch import _cuda

    torch.set_num_threads(1)
    device._state["proof"].run = lambda *_: None
    for name, value in {
        "_index": lambda t: 0, "_stream": lambda k: 0, "_current_device": lambda: 0,
        "_on_device": lambda d: nullcontext(), "_capturing": lambda: False,
    }.items():  # fmt: skip
        setattr(_cuda, name, value)
    x, dy, alpha = torch.randn(8, 8), torch.randn(8, 8), torch.full((8,), 0.25)
    calls = {
        "forward": lambda: _cuda.prelu(x, alpha, [1], False),
        "backward": lambda: _cuda.backward(dy, x, alpha, [1], False, True, True),
    }
    for call in calls.values():
        call()
    for (name, call), known in zip(calls.items(), list(_cuda._known.values()), strict=True):
        fields = (1,) * 10 + (0.0, 0.0, known.edge)
        stream = _cuda.Stream(0)
        both = {"all": call, "launches": partial(known.run, fields, stream)}
        us = least(both)
        emit(what="host", call=name, us=us, over=round(us["all"] - us["launches"], 2))
        device._state["proof"].ran.clear()


def cuda(emit):
    """Measure on a GPU: as many calls as fill a while, then one wait."""
    import torch

    emit(what="cuda", machine=torch.cuda.get_device_name(), version=torch.__version__)
    shapes = [(64, 64, 112, 112), *((1, 64, 1, n) for n in (1, 32, 1024, 32768))]
    for shape in shapes:
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            for name, calls in _of_torch(torch, shape, dtype, "cuda").items():
                many = {}
                for who, call in calls.items():

                    def run(call=call):
                        for _ in range(20):
                            call()
                        torch.cuda.synchronize()

                    many[who] = run
                us = {who: round(t / 20, 2) for who, t in least(many).items()}
                emit(what="cuda", call=name, shape=shape, dtype=str(dtype)[6:], us=us,
                     faster=_faster(us, "torch", "ours"))  # fmt: skip


WHAT = {"torch": of_torch, "jax": of_jax, "error": error, "host": host, "cuda": cuda}


def main(what, path):
    """Run measurements, and print and keep their rows."""

    def emit(**row):
        print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    from cpu import machine

    emit(**machine(), command=f"python bench/frameworks.py {' '.join(what)}")
    for each in what:
        WHAT[each](emit)


if __name__ == "__main__":
    given = [a for a in sys.argv[1:] if not a.endswith(".jsonl")]
    files = [a for a in sys.argv[1:] if a.endswith(".jsonl")]
    if given and set(given) <= set(WHAT):
        main(given, files[0] if files else None)
    else:
        sys.exit(__doc__)
