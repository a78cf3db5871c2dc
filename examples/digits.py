"""ReLU, leaky ReLU and PReLU in a small convolutional net on handwritten digits.

    python examples/digits.py                           # the table, in some minutes
    python examples/digits.py --pictures docs/pictures  # and the pictures
    python examples/digits.py --quick                   # seconds: does it run?

The data are the 1797 digits of 8 by 8 pixels that come with scikit-learn. Training follows He et
al. 2015 (arXiv:1502.01852): weights drawn with gain sqrt(2 / (1 + alpha^2)); alpha starts at 0.25
and moves with momentum, without weight decay. Every activation is prelu_array's: alpha = 0 is
ReLU, a fixed alpha leaky ReLU, alpha = 1 (the last layer) none. For one seed all of them get the
same split into training and test, the same draws and the same batches.

The gradients of alpha are exact, hence the same everywhere. What may differ between machines is
the rest: NumPy's matrix products (the BLAS, its threads), sums and exp.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from prelu_array import prelu, prelu_backward

ACTIVATIONS = {  # name: (alpha at the start, is it learned, one for each channel)
    "ReLU": (0.0, False, False),
    "leaky 0.01": (0.01, False, False),
    "leaky 0.25": (0.25, False, False),
    "PReLU shared": (0.25, True, False),
    "PReLU per channel": (0.25, True, True),
}
LAYERS = ("conv 1", "conv 2", "dense")
BATCH, MOMENTUM, DECAY = 32, 0.9, 5e-4


class Dense:
    """A linear map and its activation."""

    def __init__(self, rng: np.random.Generator, inputs: int, channels: int, activation: tuple):
        alpha, self.learned, per_channel = activation
        std = np.sqrt(2 / (1 + alpha**2) / inputs)
        self.weight = rng.normal(0, std, (inputs, channels)).astype(np.float32)
        self.bias = np.zeros(channels, np.float32)
        self.alpha = np.full(channels if per_channel else 1, alpha, np.float32)
        self.velocity = [np.zeros_like(p) for p in (self.weight, self.bias, self.alpha)]

    def unfold(self, images: Array) -> Array:
        """Return the rows that are multiplied by the weight."""
        return images.reshape(len(images), -1)

    def fold(self, rows: Array) -> Array:
        """Return the transpose of `unfold`: the sum of what the rows say about each pixel."""
        return rows

    def forward(self, images: Array) -> Array:
        """Return the activations; keep what `backward` needs."""
        self.rows = self.unfold(images)
        self.x = self.rows @ self.weight + self.bias
        return prelu(self.x, self.alpha, axis=-1)

    def backward(self, dy: Array, rate: float) -> Array:
        """Take a step with momentum; return the gradient with respect to the images."""
        dy = dy.reshape(self.x.shape)
        dx, dalpha = prelu_backward(dy, self.x, self.alpha, axis=-1, need_dalpha=self.learned)
        dx = dx.reshape(-1, len(self.bias))
        dimages = self.fold(dx @ self.weight.T)
        dweight = self.rows.reshape(-1, len(self.weight)).T @ dx + DECAY * self.weight
        parameters = [(self.weight, dweight), (self.bias, dx.sum(axis=0)), (self.alpha, dalpha)]
        for (p, dp), velocity in zip(parameters, self.velocity, strict=True):
            if dp is not None:
                velocity *= MOMENTUM
                velocity -= rate * dp
                p += velocity
        return dimages


class Conv(Dense):
    """A 3 by 3 convolution of NHWC images, zero outside, at every `stride`-th pixel."""

    def __init__(self, *arguments: Any, stride: int = 1):
        rng, inputs, channels, activation = arguments
        super().__init__(rng, 9 * inputs, channels, activation)
        self.stride = stride

    def unfold(self, images: Array) -> Array:
        """Return each pixel's 3 by 3 neighbourhood."""
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        self.padded, s = padded.shape, self.stride
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::s, ::s]
        return windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)

    def fold(self, rows: Array) -> Array:
        """Add each pixel's 3 by 3 neighbourhood up."""
        images, s = np.zeros(self.padded, np.float32), self.stride
        n, h, w, _ = self.x.shape
        rows = rows.reshape(n, h, w, 3, 3, -1)
        for i, j in np.ndindex(3, 3):
            images[:, i : i + s * h : s, j : j + s * w : s] += rows[:, :, :, i, j]
        return images[:, 1:-1, 1:-1]


def train(images: Array, labels: Array, seed: int, name: str, epochs: int, rate: float) -> dict:
    """Train one net; return what is reported of it."""
    rng = np.random.default_rng(seed)
    test, training = np.split(rng.permutation(len(images)), [len(images) // 5])
    images = (images - images[training].mean()) / images[training].std()
    activation, none = ACTIVATIONS[name], (1.0, False, False)
    hidden = [
        Conv(rng, 1, 16, activation),
        Conv(rng, 16, 32, activation, stride=2),
        Dense(rng, 16 * 32, 64, activation),
    ]
    net = [*hidden, Dense(rng, 64, 10, none)]

    def probabilities(chosen: Array) -> Array:
        y = images[chosen]
        for layer in net:
            y = layer.forward(y)
        odds = np.exp(y - y.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    losses, alphas = [], [[layer.alpha.copy() for layer in hidden]]
    for _ in range(epochs):
        losses.append(0.0)
        for batch in np.split(rng.permutation(training), range(BATCH, len(training), BATCH)):
            dy, truth = probabilities(batch), (np.arange(len(batch)), labels[batch])
            losses[-1] -= np.log(dy[truth] + 1e-30).sum() / len(training)
            dy[truth] -= 1
            dy /= len(batch)
            for layer in reversed(net):
                dy = layer.backward(dy, rate)
        alphas.append([layer.alpha.copy() for layer in hidden])
    accuracy = np.mean(probabilities(test).argmax(axis=1) == labels[test])
    probabilities(training)
    silent = [np.mean((x.x <= 0).all(axis=tuple(range(x.x.ndim - 1)))) for x in hidden]
    x = [layer.x[:200] for layer in hidden]
    return {"accuracy": accuracy, "silent": silent, "losses": losses, "alphas": alphas, "x": x}


def line(label: str, figures: Iterable[float], form: str) -> None:
    """Print one line of a table."""
    print(f"{label:28}" + "".join(f"{figure:{form}}" for figure in figures))


def report(results: dict[str, list[dict]]) -> None:
    """Print the tables."""
    print("\nAccuracy on the test images (%): mean, standard deviation over the seeds; of the")
    print("differences to ReLU and to the shared alpha on the same seed: mean, standard error")
    accuracies = {name: [run["accuracy"] for run in runs] for name, runs in results.items()}
    for name, runs in results.items():
        own = 100 * np.array(accuracies[name])
        figures = [own.mean(), own.std(ddof=1)]
        for other in ("ReLU", "PReLU shared"):
            more = own - 100 * np.array(accuracies[other])
            figures += [more.mean(), more.std(ddof=1) / np.sqrt(len(runs))]
        line(name, figures, "9.2f")
    epochs = len(results["ReLU"][0]["losses"])
    shown = sorted({1, epochs // 4, epochs // 2, 3 * epochs // 4, epochs} - {0})
    print("\nTraining loss per image (nats), median over the seeds, after epoch", *shown)
    for name, runs in results.items():
        losses = np.median([run["losses"] for run in runs], axis=0)
        line(name, losses[np.array(shown) - 1], "9.4f")
    print("\nUnits that are positive on no training image (%):", *LAYERS, sep="  ")
    for name, runs in results.items():
        line(name, 100 * np.mean([run["silent"] for run in runs], axis=0), "9.1f")
    print("\nalpha at the end, over seeds and channels: lowest, 5 %, mean, 95 %, highest")
    for name, runs in results.items():
        for k, layer in enumerate(LAYERS if ACTIVATIONS[name][1] else ()):
            alpha = np.concatenate([run["alphas"][-1][k] for run in runs])
            low, *middle, high = np.quantile(alpha, [0, 0.05, 0.95, 1])
            line(f"{name}, {layer}", (low, middle[0], alpha.mean(), middle[1], high), "9.3f")


def main() -> None:
    """Train every activation with every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.02, help="the learning rate")
    parser.add_argument("--quick", action="store_true", help="two seeds, one epoch")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw them there")
    given = parser.parse_args()
    seeds, epochs = (2, 1) if given.quick else (given.seeds, given.epochs)
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    results: dict[str, list[dict]] = {name: [] for name in ACTIVATIONS}
    # products are too small here for more than one thread; a high rate may diverge
    with threadpool_limits(1), np.errstate(over="ignore", invalid="ignore"):
        for seed in range(seeds):
            for k, name in enumerate(ACTIVATIONS):
                run = train(images, digits.target, seed, name, epochs, given.rate)
                results[name].append(run)
                done = (seed * len(ACTIVATIONS) + k + 1) / (seeds * len(ACTIVATIONS))
                bar = f"\r[{'#' * round(40 * done):40}] {done:4.0%}"
                print(bar, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{seeds} seeds, {epochs} epochs, rate {given.rate}")
    report(results)
    if given.pictures:
        import pictures

        pictures.draw_digits(results, LAYERS, given.pictures)


if __name__ == "__main__":
    main()
