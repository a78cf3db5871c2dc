"""
The curves of ReLU, leaky ReLU and PReLU
========================================

y and its derivatives, x = 0 included, all computed by prelu_array. It needs matplotlib (extra
`plot`)::

    python examples/shapes.py
"""

import numpy as np
from drawing import panels
from matplotlib import pyplot as plt

from prelu_array import prelu, prelu_backward

CURVES = {"ReLU, alpha = 0": 0.0, "PReLU, alpha = 0.25": 0.25, "PReLU, alpha = 0.6": 0.6}


def gradients(x, alpha, at_zero="alpha"):
    """Return dy/dx, and what each element adds to dalpha for dy = 1."""
    x = x[:, None]  # and an alpha, so a dalpha, for each x
    alphas = np.full(x.shape, alpha)
    dx, dalpha = prelu_backward(np.ones_like(x), x, alphas, at_zero=at_zero)
    return dx[:, 0], dalpha[:, 0]


# %%
# At x = 0 the derivative is a choice between the slopes of both sides: `at_zero="alpha"` takes the
# left one, as PyTorch does, `at_zero="one"` the right one.

for label, alpha in CURVES.items():
    for at_zero in ("alpha", "one"):
        (slope,), _ = gradients(np.zeros(1), alpha, at_zero)
        print(f"{label:19} at_zero={at_zero!r:8} dy/dx at 0: {slope}")

# %%
# The full circles are the default at zero, the empty one is `at_zero="one"`. The last panel has
# one line for all alphas: what an element adds to the gradient of alpha does not depend on alpha.


def draw():
    """Return the figure: y, dy/dx and dy/dalpha against x."""
    left, right = np.linspace(-2, 0, 50), np.linspace(1e-9, 2, 50)
    fig, ((values, slopes, terms),) = panels(1, 3, width=7.2, height=3.3)
    ink, background = plt.rcParams["text.color"], plt.rcParams["axes.facecolor"]
    for k, (label, alpha) in enumerate(CURVES.items()):
        style = {"color": f"C{k}", "lw": 2.4, "ls": ("-", "--", "-.")[k], "label": label}
        values.plot(left, prelu(left, alpha), **style)
        slope = gradients(left, alpha)[0]
        slopes.plot(left, slope, **style)
        slopes.plot(0, slope[-1], "o", ms=7, color=f"C{k}", zorder=3, clip_on=False)
    values.plot(right, prelu(right, 0.25), color=ink, lw=2.4, label="all, x > 0")
    slopes.plot(right, gradients(right, 0.25)[0], color=ink, lw=2.4)
    one = gradients(np.zeros(1), 0.25, "one")[0]
    slopes.plot(0, one, "o", ms=8, color=ink, mfc=background, mew=2, zorder=3)
    slopes.text(0.15, 0.94, "at_zero='one'", va="top", size="small")
    x = np.concatenate([left, right])
    terms.plot(x, gradients(x, 0.25)[1], color=ink, lw=2.4)
    titles = "y", "dy/dx", "dy/dalpha"
    for panel, title in zip((values, slopes, terms), titles, strict=True):
        panel.set(title=title, xlabel="x", xlim=(-2, 2), xticks=(-2, -1, 0, 1, 2))
    values.set_yticks((-1, 0, 1, 2))
    slopes.set_yticks((0, 0.25, 0.6, 1), ("0", "0.25", "0.6", "1"))
    terms.set_yticks((-2, -1, 0))
    fig.legend(*values.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


draw()
plt.show()
