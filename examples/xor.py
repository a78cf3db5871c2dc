"""
XOR: ReLU against PReLU
=======================

How many seeds converge, and how fast::

    python examples/xor.py                           # seconds
    python examples/xor.py --pictures docs/pictures  # and the picture: extra `plot`
    python examples/xor.py --quick                   # fewer steps: does it run?

.. image:: /pictures/xor.png
    :alt: Seeds that have converged against steps, for 1, 2, 4 and 8 hidden units. With one unit
        only the PReLUs whose alpha may become negative converge.

The net has two inputs, one hidden layer and one output; its loss is the mean logistic loss over
the four cases, minimised by gradient descent without momentum. A seed has converged once the loss
is below 0.1: then each case is right with a probability of more than 2/3. All seeds run at once:
x has shape (seeds, cases, units), and alpha (seeds, 1, 1) or (seeds, 1, units) broadcasts to it.
"""

# sphinx_gallery_thumbnail_path = "pictures/xor.png"

import argparse
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from prelu_array import prelu, prelu_backward

ACTIVATIONS = {  # name: (alpha at the start, is it learned, one for each unit, its lowest value)
    "ReLU": (0.0, False, False, 0.0),
    "leaky 0.01": (0.01, False, False, 0.0),
    "leaky 0.25": (0.25, False, False, 0.0),
    "PReLU shared": (0.25, True, False, -np.inf),
    "PReLU per unit": (0.25, True, True, -np.inf),
    "PReLU shared, >= 0": (0.25, True, False, 0.0),
}
CASES = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TRUTH = np.array([[0.0], [1.0], [1.0], [0.0]])


# %%
# All seeds of one activation are trained at once.


def train(name: str, units: int, seeds: int, steps: int, rate: float) -> tuple[Array, Array]:
    """Return for each seed the step at which it converged (`steps` if never), and its alphas."""
    alpha0, learned, per_unit, lowest = ACTIVATIONS[name]
    draws = np.stack(
        [np.random.default_rng(seed).normal(size=(3, units)) for seed in range(seeds)]
    )
    gain = np.sqrt(2 / (1 + alpha0**2))
    weight1, bias1 = draws[:, :2] * gain / np.sqrt(2), np.zeros((seeds, 1, units))
    weight2, bias2 = draws[:, 2, :, None] / np.sqrt(units), np.zeros((seeds, 1, 1))
    alpha = np.full((seeds, 1, units if per_unit else 1), alpha0)
    converged = np.full(seeds, steps)
    for step in range(steps):
        x = CASES @ weight1 + bias1
        y = prelu(x, alpha)
        score = y @ weight2 + bias2
        loss = (np.logaddexp(0, score) - TRUTH * score).mean(axis=(1, 2))
        converged = np.minimum(converged, np.where(loss < 0.1, step, steps))
        dscore = (1 / (1 + np.exp(-score)) - TRUTH) / len(CASES)
        dx, dalpha = prelu_backward(
            dscore @ weight2.transpose(0, 2, 1), x, alpha, need_dalpha=learned
        )
        weight2 -= rate * (y.transpose(0, 2, 1) @ dscore)
        bias2 -= rate * dscore.sum(axis=1, keepdims=True)
        weight1 -= rate * (CASES.T @ dx)
        bias1 -= rate * dx.sum(axis=1, keepdims=True)
        if learned:
            np.maximum(alpha - rate * dalpha, lowest, out=alpha)
    return converged, alpha


# %%
# The command line.


def main() -> None:
    """Print a table of units and activations."""
    parser = argparse.ArgumentParser(description="Train ReLU, leaky ReLU and PReLU on XOR.")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=0.1, help="the learning rate")
    parser.add_argument("--quick", action="store_true", help="200 steps at rate 1")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw it there: extra `plot`"
    )
    given = parser.parse_args()
    steps, rate = (200, 1.0) if given.quick else (given.steps, given.rate)
    print(f"{given.seeds} seeds, at most {steps} steps, rate {rate}\n")
    print("units  activation          converged  steps: median  slowest tenth  alpha: 5 %, 95 %")
    results = {}
    for units in (1, 2, 4, 8):
        for name in ACTIVATIONS:
            converged, alpha = train(name, units, given.seeds, steps, rate)
            results[units, name] = converged
            done = converged[converged < steps]
            speed = np.quantile(done, [0.5, 0.9]) if len(done) else (np.nan, np.nan)
            low, high = np.quantile(alpha, [0.05, 0.95])
            print(
                f"{units:5}  {name:19} {len(done):9}  {speed[0]:13.0f}  {speed[1]:13.0f}"
                f"  {low:10.2f} {high:6.2f}"
            )
    if given.pictures:
        import drawing

        drawing.draw_xor(results, steps, given.pictures)


if __name__ == "__main__":
    main()

# %%
# What it printed on an AMD EPYC with Python 3.11.7 and NumPy 2.4.6, 2026-11-22:
#
# .. literalinclude:: /../examples/results/xor.txt
#     :language: text
