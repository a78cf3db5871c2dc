"""
He initialisation through 30 layers
===================================

What it keeps in a deep stack of PReLU layers, and what it does not::

    python examples/variance.py                           # a minute
    python examples/variance.py --pictures docs/pictures  # and the picture
    python examples/variance.py --quick                   # seconds: does it run?

.. image:: /pictures/variance.png
    :alt: Mean of x^2, variance between images and mean square of the gradient against the layer.
        The first stays with PReLU's own gain and grows with that of ReLU; the second shrinks.

It needs the extra `examples`.

He et al. 2015 (arXiv:1502.01852) draw weights with gain sqrt(2 / (1 + alpha^2)), so that the mean
of x^2 stays the same from layer to layer. Here it is measured in untrained dense stacks, fed with
scikit-learn's digits, and so are the variance between the images, which the derivation does not
speak of, and the mean square of the gradient of a softmax loss on the way back.
"""

# sphinx_gallery_thumbnail_path = "pictures/variance.png"

import argparse
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from prelu_array import prelu, prelu_backward

STACKS = {  # name: (alpha, the alpha that the gain is for)
    "ReLU, its gain": (0.0, 0.0),
    "alpha 0.25, its gain": (0.25, 0.25),
    "alpha 0.5, its gain": (0.5, 0.5),
    "alpha 1 (linear), its gain": (1.0, 1.0),
    "alpha 0.25, ReLU's gain": (0.25, 0.0),
    "alpha 0.5, ReLU's gain": (0.5, 0.0),
}


# %%
# One stack: forward, a softmax loss, and back.


def measure(images: Array, labels: Array, seed: int, name: str, depth: int, width: int) -> Array:
    """Return mean x^2, variance between images and mean dx^2, each over its first, per layer."""
    rng = np.random.default_rng(seed)
    alpha, gain_alpha = STACKS[name]
    gain = np.sqrt(2 / (1 + gain_alpha**2))
    y, xs, weights = images, [], []
    for _ in range(depth):
        weight = rng.normal(0, gain / np.sqrt(y.shape[1]), (y.shape[1], width))
        weights.append(weight.astype(np.float32))
        xs.append(y @ weights[-1])
        y = prelu(xs[-1], alpha)
    readout = rng.normal(0, 1 / np.sqrt(width), (width, 10)).astype(np.float32)
    score = y @ readout
    odds = np.exp(score - score.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    dy, back = (odds - np.eye(10, dtype=np.float32)[labels]) @ readout.T, []
    for x, weight in zip(reversed(xs), reversed(weights), strict=True):
        dx, _ = prelu_backward(dy, x, alpha, need_dalpha=False)
        back.append((dx**2).mean())
        dy = dx @ weight.T
    squares = [(x**2).mean() for x in xs]
    between = [x.var(axis=0).mean() for x in xs]
    return np.array([np.array(part) / part[0] for part in (squares, between, back)])


# %%
# The command line.


def main() -> None:
    """Print a table of stacks."""
    parser = argparse.ArgumentParser(
        description="Measure He initialisation in deep stacks.",
        epilog="It needs the extra `examples`.",
    )
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--depth", type=int, default=30)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--quick", action="store_true", help="two seeds, 5 layers of 64")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw it there: extra `plot`"
    )
    given = parser.parse_args()
    from sklearn.datasets import load_digits  # after --help
    from threadpoolctl import threadpool_limits

    seeds, depth, width = given.seeds, given.depth, given.width
    if given.quick:
        seeds, depth, width = 2, 5, 64
    digits = load_digits()
    images, labels = digits.data[:256].astype(np.float32), digits.target[:256]
    images = (images - images.mean()) / images.std()
    print(f"{seeds} seeds, {depth} layers of {width}; the last layer over the first")
    print("(gradient: the first over the last): mean, and 5 % to 95 % of the seeds\n")
    heads = "mean of x^2", "variance between images", "gradient's mean square"
    print(f"{'':27}" + "".join(f"{head:27}" for head in heads))
    results = {}
    for name in STACKS:
        nets = (measure(images, labels, seed, name, depth, width) for seed in range(seeds))
        with threadpool_limits(1):  # faster here, and the same sums whatever the machine is doing
            runs = np.array(list(nets))
        results[name] = runs
        cells = []
        for last in runs[:, :, -1].T:
            low, high = np.quantile(last, [0.05, 0.95])
            cells.append(f"{last.mean():.3g} ({low:.2g} to {high:.2g})")
        print(f"{name:27}" + "".join(f"{cell:27}" for cell in cells))
    if given.pictures:
        import drawing

        drawing.draw_variance(results, given.pictures)


if __name__ == "__main__":
    main()

# %%
# What it printed on an AMD EPYC with Python 3.11.7 and NumPy 2.4.6, 2026-11-22:
#
# .. literalinclude:: /../examples/results/variance.txt
#     :language: text
