"""Run the oracle on the PReLUs of other libraries and tabulate the conventions they follow.

    python bench/peer_cards.py            # to the terminal
    python bench/peer_cards.py -o docs/peers.md

Each library is optional: one that cannot be imported is left out and named below the table.
All runs are on the CPU, with float32.
"""

from __future__ import annotations

import argparse
import inspect
import os
import platform
import re
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

from prelu_array.testing import Card, check_kernel, identify

Peer = tuple[str, Callable | None, Callable | None]


def this_library() -> Peer:
    """`prelu_array.prelu`, on NumPy arrays."""
    from prelu_array import __version__, prelu, prelu_backward

    def axis(alpha):
        return 1 if alpha.size > 1 else None

    return (
        __version__,
        lambda x, alpha: prelu(x, alpha, axis=axis(alpha)),
        lambda dy, x, alpha: prelu_backward(dy, x, alpha, axis=axis(alpha)),
    )


def pytorch(convert: str = "clone") -> Peer:
    """`torch.prelu` and its gradient."""
    import torch

    def forward(x, alpha):
        x, alpha = (getattr(torch.tensor(a), convert)() for a in (x, alpha))
        y = torch.prelu(x, alpha)
        return (y.to_dense() if y.is_mkldnn else y).numpy()

    def backward(dy, x, alpha):
        x, alpha = (torch.tensor(a, requires_grad=True) for a in (x, alpha))
        y = torch.prelu(getattr(x, convert)(), getattr(alpha, convert)())
        (y.to_dense() if y.is_mkldnn else y).backward(torch.tensor(dy))
        return x.grad.numpy(), alpha.grad.numpy()

    return torch.__version__, forward, backward


def onednn() -> Peer:
    """Reach oneDNN through PyTorch's own tensors of that layout."""
    release, forward, backward = pytorch("to_mkldnn")
    return f"in PyTorch {release}", forward, backward


def onnx_runtime() -> Peer:
    """One PRelu node; there is no gradient."""
    import onnxruntime
    from onnx import TensorProto, helper

    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)

    node = helper.make_node("PRelu", ["x", "alpha"], ["y"])
    graph = helper.make_graph([node], "prelu", [value("x"), value("alpha")], [value("y")])
    # an opset and a format old enough for every release still in use
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return (
        onnxruntime.__version__,
        lambda x, alpha: session.run(None, {"x": x, "alpha": alpha})[0],
        None,
    )


def with_jax(function: Callable) -> tuple[Callable, Callable]:
    """Return the function and its gradient, on NumPy arrays."""
    import jax

    def backward(dy, x, alpha):
        dx, dalpha = jax.vjp(function, x, alpha)[1](dy)
        return np.asarray(dx), np.asarray(dalpha)

    return lambda x, alpha: np.asarray(function(x, alpha)), backward


def jax_leaky_relu() -> Peer:
    """`jax.nn.leaky_relu` with an array as its slope."""
    import jax

    return jax.__version__, *with_jax(jax.nn.leaky_relu)


def flax() -> Peer:
    """`flax.linen.PReLU`."""
    import flax
    from flax import linen

    def function(x, alpha):
        # its only parameter is one number
        return linen.PReLU().apply({"params": {"negative_slope": alpha.reshape(())}}, x)

    return flax.__version__, *with_jax(function)


def keras() -> Peer:
    """`keras.layers.PReLU`, by default on JAX."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    def function(x, alpha):
        if alpha.size > 1:  # one alpha for each feature, or along axis 1 with the others shared
            shared = [axis for axis in range(1, x.ndim) if axis != 1]
        else:
            shared = list(range(1, x.ndim))
        layer = keras.layers.PReLU(shared_axes=shared)
        layer.build(x.shape)
        values = alpha.reshape(layer.alpha.shape)
        return layer.stateless_call([values], [], x)[0]

    return keras.__version__, *with_jax(function)


def mlx() -> Peer:
    """`mlx.nn.prelu`."""
    import mlx.core as mx
    from mlx import nn

    def backward(dy, x, alpha):
        inputs = [mx.array(x), mx.array(alpha)]
        _, (dx, dalpha) = mx.vjp(nn.prelu, inputs, [mx.array(dy)])
        return np.array(dx), np.array(dalpha)

    return (
        version("mlx"),
        lambda x, alpha: np.array(nn.prelu(mx.array(x), mx.array(alpha))),
        backward,
    )


def paddle() -> Peer:
    """`paddle.nn.functional.prelu`."""
    import paddle

    def forward(x, alpha):
        return paddle.nn.functional.prelu(paddle.to_tensor(x), paddle.to_tensor(alpha)).numpy()

    def backward(dy, x, alpha):
        x, alpha = (paddle.to_tensor(a, stop_gradient=False) for a in (x, alpha))
        paddle.nn.functional.prelu(x, alpha).backward(paddle.to_tensor(dy))
        return x.grad.numpy(), alpha.grad.numpy()

    return paddle.__version__, forward, backward


PEERS: dict[str, Callable[[], Peer]] = {
    "prelu_array": this_library,
    "PyTorch": pytorch,
    "oneDNN": onednn,
    "ONNX Runtime": onnx_runtime,
    "jax.nn.leaky_relu": jax_leaky_relu,
    "Flax": flax,
    "Keras": keras,
    "MLX": mlx,
    "Paddle": paddle,
}


def main() -> None:
    """Print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="write Markdown here")
    parser.add_argument("--only", choices=PEERS, action="append", help="repeatable (all)")
    args = parser.parse_args()
    text = page(args.only or list(PEERS))
    if args.output:
        args.output.write_text(text)
    else:
        print(text)


def page(names: list[str]) -> str:
    """Make the page, from the libraries that can be imported."""
    cards, releases, findings, absent = {}, {}, {}, []
    for name in names:
        try:
            release, forward, backward = PEERS[name]()
        except ImportError as error:
            absent.append(f"{name} ({error.name or 'import failed'})")
            continue
        releases[name] = release
        cards[name] = identify(forward, backward).as_dict()
        findings[name] = verdict(forward, backward)
    lines = [
        "# Conventions of other PReLUs",
        "",
        "Made by `python bench/peer_cards.py -o docs/peers.md` with `prelu_array.testing.identify`"
        f" on the CPU ({platform.machine()}), float32, {date.today()}.",
        "[The words](#the-words) are explained below.",
        "",
        "| | " + " | ".join(f"{name} {releases[name]}" for name in cards) + " |",
        "|---" * (len(cards) + 1) + "|",
    ]
    for field in next(iter(cards.values()), {}):
        row = " | ".join(card[field] for card in cards.values())
        lines.append(f"| {field.replace('_', ' ')} | {row} |")
    lines += [
        "",
        "## The words",
        "",
        *meanings(),
        "",
        "## Held against the contract of this library",
        "",
        "`check_kernel` with one shared alpha, whatever dx at zero the peer has. A different "
        "convention is not a bug of the peer; a dropped or leaked element is.",
        "",
    ]
    for name, found in findings.items():
        lines += [f"* **{name}**: {'; '.join(found) if found else 'nothing to report'}"]
    if absent:
        lines += ["", f"Not installed where this page was made: {', '.join(absent)}."]
    return "\n".join(lines) + "\n"


def meanings() -> list[str]:
    """Return what `Card` says of its fields, a line each."""
    _, _, fields = inspect.getdoc(Card).partition("Attributes\n----------\n")
    found = re.findall(r"^(\w.*) : str\n((?:    .*\n?)+)", fields, re.MULTILINE)
    lines = [f"* {names.replace('_', ' ')}: {' '.join(text.split())}" for names, text in found]
    return [*lines, '* "-": no answer. "by channel": so with one alpha for each channel.']


def verdict(forward: Callable | None, backward: Callable | None) -> list[str]:
    """Short lines only: an exception text belongs to the terminal, not to a page."""
    report = check_kernel(forward, backward, layouts=["shared"])
    errors = [line.partition(": ")[0] for line in report.errors]
    found = [line for line in report.suspicions if not line.startswith("raises")]
    return found + ([f"raises in {len(errors)} calls, first in {errors[0]}"] if errors else [])


if __name__ == "__main__":
    main()
