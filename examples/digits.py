"""
Handwritten digits: ReLU, leaky ReLU and PReLU
==============================================

A small convolutional net, written in NumPy, trained with each activation::

    python examples/digits.py                           # the table, in some minutes
    python examples/digits.py --pictures docs/pictures  # and the pictures
    python examples/digits.py --quick                   # seconds: does it run?

.. image:: /pictures/digits_alpha.png
    :alt: Learned alphas against epochs, for each of three layers. Those of single channels stay
        near 0.25; shared ones move more and have not settled after 20 epochs.

It needs the extra `examples`. The layers are in :download:`layers.py </../examples/layers.py>`.

The data are the 1797 digits of 8 by 8 pixels that come with scikit-learn. Training follows He et
al. 2015 (arXiv:1502.01852): weights drawn with gain sqrt(2 / (1 + alpha^2)); alpha starts at 0.25
and moves with momentum, without weight decay. Every activation is prelu_array's: alpha = 0 is
ReLU, a fixed alpha leaky ReLU, alpha = 1 (the last layer) none. For one seed all of them get the
same split into training and test, the same draws and the same batches.

From the same x and dy the gradients of alpha are exact, hence the same everywhere. What may differ
between machines is the rest: NumPy's matrix products (the BLAS, its threads), sums and exp.
"""

# sphinx_gallery_thumbnail_path = "pictures/digits_alpha.png"

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from layers import Conv, Dense
from numpy import ndarray as Array

ACTIVATIONS = {  # name: (alpha at the start, is it learned, one for each channel)
    "ReLU": (0.0, False, False),
    "leaky 0.01": (0.01, False, False),
    "leaky 0.25": (0.25, False, False),
    "PReLU shared": (0.25, True, False),
    "PReLU per channel": (0.25, True, True),
}
LAYERS = ("conv 1", "conv 2", "dense")
BATCH = 32


# %%
# One net, trained and tested.


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


# %%
# The tables and the command line.


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
    parser = argparse.ArgumentParser(
        description="Train a small net on digits with each activation.",
        epilog="It needs the extra `examples`.",
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.02, help="the learning rate")
    parser.add_argument("--quick", action="store_true", help="two seeds, one epoch")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw them there: extra `plot`"
    )
    given = parser.parse_args()
    from sklearn.datasets import load_digits  # after --help
    from threadpoolctl import threadpool_limits

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
        import drawing

        drawing.draw_digits(results, LAYERS, given.pictures)


if __name__ == "__main__":
    main()

# %%
# What it printed on an AMD EPYC with Python 3.11.7, NumPy 2.4.6 and scikit-learn 1.9.1,
# 2026-11-22:
#
# .. literalinclude:: /../examples/results/digits.txt
#     :language: text
#
# .. image:: /pictures/digits_loss.png
#     :alt: Training loss against epochs for five activations.
#
# .. image:: /pictures/digits_histograms.png
#     :alt: Histograms of what goes into and comes out of the activations of three layers.
