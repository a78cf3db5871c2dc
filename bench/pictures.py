"""Draw the pictures of the README and the docs from the newest lines in bench/results.

    python bench/pictures.py                 to docs/pictures; needs the extra `plot`
    python bench/pictures.py --folder F

Each comes as NAME-light.svg and NAME-dark.svg:

    shapes    PReLU and its derivatives, by examples/shapes.py
    peers     GB/s against bytes beside other libraries, of `python bench/peers.py --json FILE`
    layouts   each kind of layout beside the memory, of `python bench/layouts.py --json FILE`
    threads   what threads bring, of `python bench/threads.py --json FILE`
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PEERS = {  # as bench/peers.py names them: label, marker
    "prelu_array": ("prelu_array", "o"),
    "NumPy": ("np.where(x > 0, x, a * x)", "s"),
    "NumPy maximum": ("np.maximum + a * np.minimum", "v"),
    "PyTorch": ("PyTorch", "D"),
    "JAX": ("JAX, jit", "^"),
}
KINDS = {  # as bench/layouts.py names them
    "flat": "one alpha, or one per element",
    "NCHW": "channels first (NCHW)",
    "small images": "channels first, small images",
    "rows": "channels last (NHWC)",
    "wide rows": "channels last, over 1024 channels",
    "per feature": "one alpha per feature",
    "two axes": "alpha of two axes",
    "long samples": "one alpha per sample, long",
    "short samples": "one alpha per sample, short",
    "heads": "one alpha per attention head",
    "order": "Fortran and permuted order",
    "mixed order": "orders of x and dy differ",
    "gaps": "memory with gaps *",
    "broadcast dy": "broadcast dy",
}


def newest(what):
    """Return the rows of the newest file of results."""
    path = max(RESULTS.glob(f"{what}-*.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


def where(row, more=""):
    """Return the machine, versions and date of a row."""
    return (
        f"{row['machine']}, {row['instruction_set']}, one thread, float32{more}; "
        f"NumPy {row['numpy']}, {row['date']}"
    )


def draw_peers(rows):
    """Draw GB/s against the bytes of x, one alpha per channel (NCHW)."""
    from drawing import panels
    from matplotlib import pyplot as plt

    ink = plt.rcParams["text.color"]
    fig, (axes,) = panels(1, 2, width=7.2, height=4.6, sharey=True)
    rows = [r for r in rows if (r["cpus"], r["dtype"], r["layout"]) == (1, "float32", "NCHW")]
    for panel, op in zip(axes, ("forward", "backward"), strict=True):
        lines = {
            peer: sorted(
                (r["bytes"], r["GB/s"]) for r in rows if (r["op"], r["peer"]) == (op, peer)
            )
            for peer in ("copy", *PEERS)
        }
        copy = {"color": ink, "lw": 1.5, "ls": "--", "label": "np.copyto"}
        panel.plot(*zip(*lines["copy"], strict=True), **copy)
        for k, (peer, (label, marker)) in enumerate(PEERS.items()):
            if lines[peer]:
                style = {"color": f"C{k}", "marker": marker, "ms": 5, "label": label}
                style |= {"lw": 3, "zorder": 3} if k == 0 else {"lw": 1.5}
                panel.plot(*zip(*lines[peer], strict=True), **style)
        largest = max(row["bytes"] for row in rows)
        for name, size in rows[0]["caches"].items():
            if size > largest:
                continue
            panel.axvline(size, color=ink, lw=0.8, ls=":")
            text = {"color": ink, "size": "x-small", "transform": panel.get_xaxis_transform()}
            panel.text(size, 0.01, f" {name}", **text)
        panel.set_xscale("log", base=2)
        ticks = [2**k for k in (12, 16, 20, 24, 28)]
        panel.set_xticks(ticks, ("4 KiB", "64 KiB", "1 MiB", "16 MiB", "256 MiB"), size="x-small")
        panel.set(yscale="log", title=op, xlabel="bytes of x")
    axes[0].set_yticks((0.1, 1, 10, 100), ("0.1", "1", "10", "100"))
    axes[0].set_ylabel("GB/s")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="small")
    fig.suptitle(where(rows[0], ", NCHW"), fontsize="x-small")
    return fig


def draw_layouts(rows):
    """Draw the speed of each shape over NumPy's on as many bytes, a line for each kind."""
    from drawing import panels
    from matplotlib import pyplot as plt

    ink = plt.rcParams["text.color"]
    rows = [r for r in rows if (r["dtype"], r["mib"]) == ("float32", 64) and r["kind"] in KINDS]
    fig, ((panel,),) = panels(1, 1, width=7.2, height=6.4)
    for k, (op, than) in enumerate((("forward", "np.copyto"), ("backward", "np.add"))):
        for line, kind in enumerate(KINDS):
            own = [r for r in rows if (r["op"], r["kind"]) == (op, kind)]
            speeds = [1 / (r["own"] if kind == "gaps" else r["ratio"]) for r in own]
            if speeds:
                at = [line - 0.16 + 0.32 * k] * len(speeds)
                style = {"color": f"C{k}", "marker": "os"[k], "ms": 6, "lw": 2}
                style["label"] = f"{op}, 1 is {than}" if line == 0 else None
                panel.plot(speeds, at, **style)
    panel.axvline(1, color=ink, lw=1.5)
    panel.set_yticks(range(len(KINDS)), KINDS.values(), size="small")
    panel.invert_yaxis()
    panel.set_xscale("log", base=2)
    panel.set_xticks((0.125, 0.25, 0.5, 1, 2), ("1/8", "1/4", "1/2", "1", "2"))
    panel.set_xlabel("speed: 1 is NumPy on as many bytes (*: with the same gaps)", size="small")
    fig.legend(loc="outside lower center", ncols=2, fontsize="small")
    fig.suptitle(where(rows[0], ", 64 MiB"), fontsize="x-small")
    return fig


def draw_threads(rows):
    """Draw the speed of several threads over that of one, against the bytes of x."""
    from drawing import panels
    from matplotlib import pyplot as plt

    fig, (axes,) = panels(1, 2, width=7.2, height=3.8, sharey=True)
    for panel, op in zip(axes, ("forward", "backward"), strict=True):
        own = [r for r in rows if (r["op"], r["dtype"]) == (op, "float32")]
        for k, name in enumerate(name for name in own[0]["us"] if name != "1"):
            label = name if name == "default" else f"{name} threads allowed"
            speeds = [r["us"]["1"] / r["us"][name] for r in own]
            style = {"color": f"C{k}", "marker": "osv^D"[k % 5], "ms": 5, "label": label}
            panel.plot([r["mib"] for r in own], speeds, **style)
        panel.axhline(1, color=plt.rcParams["text.color"], lw=1)
        panel.set_xscale("log", base=2)
        panel.set_xticks((0.25, 1, 8, 64, 256), ("1/4", "1", "8", "64", "256"))
        panel.set(title=op, xlabel="MiB of x")
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("speed: 1 is one thread")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    row = own[0]
    text = (
        f"{row['machine']}, {row['cpus']} CPUs, float32, NCHW; NumPy {row['numpy']}, {row['date']}"
    )
    fig.suptitle(text, fontsize="x-small")
    return fig


def main():
    """Draw all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "pictures")
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("agg")
    sys.path.insert(0, str(ROOT / "examples"))
    import shapes
    from drawing import save_themes

    save_themes(shapes.draw, options.folder, "shapes")
    save_themes(partial(draw_peers, newest("peers")), options.folder, "peers")
    save_themes(partial(draw_layouts, newest("layouts")), options.folder, "layouts")
    save_themes(partial(draw_threads, newest("threads")), options.folder, "threads")


if __name__ == "__main__":
    main()
