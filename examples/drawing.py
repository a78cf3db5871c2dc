"""How the examples and bench/pictures.py draw; needs matplotlib.

The colours are Okabe and Ito's, told apart also by the colour-blind; lines differ in their dashes,
too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from prelu_array import prelu

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
DASHES = ("-", (0, (6, 2)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1)), (0, (5, 1, 1, 1, 1, 1)))
STYLES = tuple({"color": c, "ls": d, "lw": 1.8} for c, d in zip(COLOURS, DASHES, strict=True))


THEMES = {  # name: background, text, and a colour for each line
    "light": ("#ffffff", "#1f2328", ("#0072B2", "#C04A00", "#007A5A", "#A64D82", "#8A6D00")),
    "dark": ("#14181e", "#e6edf3", ("#56B4E9", "#F28A3C", "#2CC59B", "#E29BC4", "#E5C34D")),
}


def save_themes(draw: Callable[[], Any], folder: Path, name: str) -> None:
    """Write what `draw` returns as NAME-light.svg and NAME-dark.svg."""
    from matplotlib import cycler, rc_context
    from matplotlib import pyplot as plt

    for theme, (background, ink, colours) in THEMES.items():
        inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        rc = dict.fromkeys(inked, ink) | {
            "figure.facecolor": background,
            "axes.facecolor": background,
            "legend.frameon": False,
            "grid.color": ink,
            "axes.prop_cycle": cycler(color=colours),
            "font.size": 12,
            "svg.hashsalt": name,  # the same file each time
        }
        folder.mkdir(parents=True, exist_ok=True)
        with rc_context(rc):
            fig = draw()
            fig.savefig(folder / f"{name}-{theme}.svg", metadata={"Date": None})
            plt.close(fig)
        print(folder / f"{name}-{theme}.svg")


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> Any:
    """Return a figure and its axes, (rows, columns) of them."""
    from matplotlib import pyplot as plt

    size = {"figsize": (width, height), "layout": "constrained"}
    fig, axes = plt.subplots(rows, columns, squeeze=False, **size, **options)
    for panel in axes.flat:
        panel.grid(alpha=0.3)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return fig, axes


def save(fig: Any, path: Path) -> None:
    """Write the picture, without what would change from run to run."""
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=100, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(fig)
    print(path)


def draw_digits(results: dict, layers: tuple[str, ...], folder: Path) -> None:
    """Draw losses, alphas on their way, and what goes into and out of the activations."""
    fig, ((panel,),) = panels(1, 1, width=7, height=4.2)
    for (name, runs), style in zip(results.items(), STYLES, strict=False):
        losses = np.array([run["losses"] for run in runs])
        epochs = np.arange(1, losses.shape[1] + 1)
        panel.plot(epochs, np.median(losses, axis=0), label=name, **style)
    panel.set(yscale="log", xlabel="epoch", ylabel="cross entropy per training image (nats)")
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_title(f"Training loss, median of {len(runs)} seeds")
    panel.legend()
    save(fig, folder / "digits_loss.png")

    learned = [name for name in results if name.startswith("PReLU")]
    fig, axes = panels(2, len(layers), width=10, height=5.6, sharex=True, sharey=True)
    for row, name in zip(axes, learned, strict=True):
        runs = results[name]
        for k, (panel, layer) in enumerate(zip(row, layers, strict=True)):
            paths = np.array([[alphas[k] for alphas in run["alphas"]] for run in runs])
            shared = paths.shape[2] == 1
            lines = paths[:, :, 0].T if shared else paths[0]
            panel.plot(lines, color="#56B4E9", lw=0.7)
            panel.plot(paths.mean(axis=(0, 2)), color=COLOURS[2], lw=2.2)
            what = "each line a seed" if shared else "each line a channel, first seed"
            panel.set_title(f"{name}, {layer}\n{what}", fontsize=10)
    for panel in axes[-1]:
        panel.set_xlabel("epoch")
    for panel in axes[:, 0]:
        panel.set_ylabel("alpha")
    fig.suptitle("Learned alphas; thick: mean over channels and seeds")
    save(fig, folder / "digits_alpha.png")

    shown = ("ReLU", "PReLU per channel")
    fig, axes = panels(2, len(layers), width=10, height=5.6, sharex="col", sharey=True)
    for name, style in zip(shown, STYLES, strict=False):
        run = results[name][0]
        for k, (x, layer) in enumerate(zip(run["x"], layers, strict=True)):
            y = prelu(x, run["alphas"][-1][k], axis=-1)
            bins = np.linspace(-20, 20, 81)
            for panel, values, when in ((axes[0, k], x, "before"), (axes[1, k], y, "after")):
                counts, _ = np.histogram(values, bins)
                panel.stairs(counts / values.size, bins, baseline=None, label=name, **style)
                panel.set_title(f"{when} the activation of {layer}", fontsize=10)
    axes[0, 0].set(yscale="log")
    for panel in axes[-1]:
        panel.set_xlabel("value")
    for panel in axes[:, 0]:
        panel.set_ylabel("share of values per bin")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    save(fig, folder / "digits_histograms.png")


def draw_xor(results: dict, steps: int, folder: Path) -> None:
    """Draw how many seeds have converged at each step, a panel for each number of units."""
    counts = sorted({units for units, _ in results})
    fig, axes = panels(1, len(counts), width=11, height=3.8, sharey=True)
    names = dict.fromkeys(name for _, name in results)
    for panel, units in zip(axes[0], counts, strict=True):
        for name, style in zip(names, STYLES, strict=True):
            converged = np.sort(results[units, name])
            done = converged[converged < steps]
            share = 100 * np.arange(len(done) + 1) / len(converged)
            at = np.concatenate([[1], done])
            panel.step([*at, steps], [*share, share[-1]], where="post", label=name, **style)
        panel.set(xscale="log", xlabel="steps", xlim=(10, steps))
        panel.set_title(f"{units} hidden unit{'s' * (units > 1)}")
    axes[0, 0].set(ylabel="seeds that have converged (%)", ylim=(-3, 103))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=len(names), fontsize=9)
    save(fig, folder / "xor.png")


def draw_variance(results: dict, folder: Path) -> None:
    """Draw each quantity by layer, relative to the layer that it starts from."""
    fig, axes = panels(1, 3, width=11, height=4.4, sharey=True)
    titles = "mean of x^2", "variance of x between images", "mean square of the gradient"
    for k, (panel, title) in enumerate(zip(axes[0], titles, strict=True)):
        for (name, runs), style in zip(results.items(), STYLES, strict=True):
            path = runs[:, k].mean(axis=0)
            layers = np.arange(1, len(path) + 1)
            panel.plot(layers[::-1] if k == 2 else layers, path, label=name, **style)
        panel.set(yscale="log", xlabel="layer", title=title)
    axes[0, 0].set(ylabel="relative to the first layer\n(gradient: to the last)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    save(fig, folder / "variance.png")
