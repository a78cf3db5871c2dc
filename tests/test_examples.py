"""The examples run, draw, and say the same each time."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURES = {
    "xor": ["xor"],
    "variance": ["variance"],
    "digits": ["digits_loss", "digits_alpha", "digits_histograms"],
}

# of the libraries that draw and bring the data
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def run(monkeypatch):
    """Run an example's file, as a script does with its folder on the path; return its names."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return names_of


def names_of(example, run_name=None):
    if example in ("digits", "variance"):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    return runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name=run_name)


@pytest.mark.parametrize("name", [*PICTURES, "out_of_core", "layers", "drawing"])
def test_help_needs_no_extra_and_names_it(run, monkeypatch, capsys, name):
    for absent in ("sklearn", "threadpoolctl", "matplotlib", "dask", "zarr"):
        for module in {absent, *(m for m in sys.modules if m.startswith(f"{absent}."))}:
            monkeypatch.setitem(sys.modules, module, None)  # import raises
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--help"])
    if name in ("layers", "drawing"):  # parts of the others
        runpy.run_path(str(EXAMPLES / f"{name}.py"))
        return
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert caught.value.code == 0
    extra = {"out_of_core": "cluster", "xor": "plot"}.get(name, "examples")
    assert f"extra `{extra}`" in capsys.readouterr().out


@pytest.mark.parametrize("name", PICTURES)
def test_it_runs(run, monkeypatch, capsys, tmp_path, name):
    """As `python examples/NAME.py --quick`; with pictures if matplotlib is there."""
    draws = find_spec("matplotlib") is not None
    options = ["--pictures", str(tmp_path)] if draws else []
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--quick", *options])
    run(name, "__main__")
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) > 5
    drawn = {path.name: path.read_bytes()[:8] for path in tmp_path.iterdir()}
    expected = [f"{picture}.png" for picture in PICTURES[name]] if draws else []
    assert drawn == dict.fromkeys(expected, b"\x89PNG\r\n\x1a\n")


def test_digits_are_the_same_each_time(run):
    digits = run("digits")
    data = pytest.importorskip(
        "sklearn.datasets", reason="scikit-learn is not installed"
    ).load_digits()
    images = (data.images[:200, ..., None] / 16).astype(np.float32)
    for name in ("PReLU shared", "PReLU per channel"):
        with pytest.importorskip(
            "threadpoolctl", reason="scikit-learn is not installed"
        ).threadpool_limits(1):
            first, again = (
                digits["train"](images, data.target[:200], 3, name, epochs=2, rate=0.02)
                for _ in range(2)
            )
        assert first["losses"] == again["losses"]
        assert first["losses"][1] < first["losses"][0]
        for a, b in zip(first["alphas"][-1], again["alphas"][-1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_unit_solves_xor_with_a_negative_alpha_only(run):
    xor = run("xor")
    for name, (_, learned, _, lowest) in xor["ACTIVATIONS"].items():
        converged, alpha = xor["train"](name, 1, seeds=20, steps=200, rate=1.0)
        solved = converged < 200
        assert solved.any() == (learned and lowest < 0)
        assert (alpha[solved] < 0).all()


def test_a_wrong_gain_grows_by_a_factor_in_each_layer(run):
    """A PReLU net without biases is homogeneous: the ratio is exact but for rounding."""
    measure = run("variance")["measure"]
    data = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    labels = np.arange(16) % 10
    right, wrong = (
        measure(data, labels, 0, f"alpha 0.5, {whose} gain", 10, 32) for whose in ("its", "ReLU's")
    )
    for k in range(2):
        np.testing.assert_allclose(wrong[k] / right[k], 1.25 ** np.arange(10), rtol=1e-4)


def test_pictures_of_the_docs_are_drawn_from_the_results(run, monkeypatch, tmp_path):
    """In light and dark; no picture of the docs is left that nothing draws."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.setattr("sys.argv", ["pictures.py", "--folder", str(tmp_path)])
    runpy.run_path(str(EXAMPLES.parent / "bench" / "pictures.py"), run_name="__main__")
    drawn = {path.name for path in tmp_path.iterdir() if b"<svg" in path.read_bytes()}
    names = "shapes", "peers", "layouts", "threads"
    assert drawn == {f"{name}-{theme}.svg" for name in names for theme in ("light", "dark")}
    stored = {path.name: path for path in (EXAMPLES.parent / "docs" / "pictures").iterdir()}
    examples = {f"{picture}.png" for pictures in PICTURES.values() for picture in pictures}
    assert set(stored) == drawn | examples
    assert max(path.stat().st_size for path in stored.values()) < 200_000
