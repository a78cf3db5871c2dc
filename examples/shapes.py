"""The picture of ReLU, leaky ReLU and PReLU, and of their derivatives.

    python examples/shapes.py                         # the values at zero
    python examples/shapes.py --pictures docs/pictures

All curves and the full circles at zero are computed by prelu_array; an empty circle is the limit
from the other side.
"""

import argparse
from pathlib import Path

import numpy as np

from prelu_array import prelu, prelu_backward

CURVES = {"ReLU, alpha = 0": 0.0, "leaky ReLU, alpha = 0.1": 0.1, "PReLU, alpha = 0.4": 0.4}


def slopes(x: np.ndarray, alpha: float, at_zero: str) -> np.ndarray:
    """Return dy/dx."""
    return prelu_backward(np.ones_like(x), x, alpha, at_zero=at_zero, need_dalpha=False)[0]


def draw(folder: Path) -> None:
    """Draw the curves, a panel for each convention at zero."""
    import pictures

    left, right, zero = np.linspace(-2, -1e-9, 50), np.linspace(1e-9, 2, 50), np.zeros(1)
    fig, axes = pictures.panels(2, 2, width=8, height=6.4)
    same = {"color": "0.45", "lw": 1.8}  # where all are the same
    axes[0, 0].plot(right, prelu(right, 0.4), **same, label="all, x > 0")
    column = np.concatenate([left, zero, right])[:, None]  # and an alpha, so a dalpha, for each x
    _, dalpha = prelu_backward(np.ones_like(column), column, np.full(column.shape, 0.4))
    axes[0, 1].plot(column, dalpha, **same)
    for panel, at_zero in zip(axes[1], ("alpha", "one"), strict=True):
        panel.plot(right, slopes(right, 0.4, at_zero), **same)
    for (label, alpha), style in zip(CURVES.items(), pictures.STYLES, strict=False):
        axes[0, 0].plot(left, prelu(left, alpha), label=label, **style)
        for panel, at_zero in zip(axes[1], ("alpha", "one"), strict=True):
            panel.plot(left, slopes(left, alpha, at_zero), **style)
            (value,) = slopes(zero, alpha, at_zero)
            for height in (alpha, 1):
                colour = style["color"] if height == alpha else same["color"]
                fill = colour if height == value else "white"
                panel.plot(0, height, "o", ms=7, color=colour, mfc=fill, zorder=3)
    titles = "y", "dy/dalpha, the same for all", "dy/dx, at_zero='alpha' (default)"
    for panel, title in zip(axes.flat, (*titles, "dy/dx, at_zero='one'"), strict=True):
        panel.set(title=title, xlabel="x", ylabel=title.split(",")[0], xlim=(-2, 2))
    for panel in axes[1]:
        panel.set_ylim(-0.15, 1.15)
    axes[0, 0].legend()
    pictures.save(fig, folder / "shapes.png")


def main() -> None:
    """Print the derivatives at zero, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw it there: extra `plot`"
    )
    given = parser.parse_args()
    for label, alpha in CURVES.items():
        for at_zero in ("alpha", "one"):
            (value,) = slopes(np.zeros(1), alpha, at_zero)
            print(f"{label:24} at_zero={at_zero!r:8} dy/dx at 0: {value}")
    if given.pictures:
        draw(given.pictures)


if __name__ == "__main__":
    main()
