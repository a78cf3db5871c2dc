"""``python -m prelu_array``."""

import sys

import numpy as np
import pytest

import prelu_array
from prelu_array import __main__, prelu, prelu_backward
from prelu_array.testing import reference_prelu


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4))
    np.save("alpha.npy", np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    np.save("integers.npy", np.arange(4))
    np.savez("several.npz", x=np.ones(2))
    (tmp_path / "text.npy").write_text("1.0, 2.0\n")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-4])
    x = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "header.npy").write_bytes(x.replace(b"{", b"(", 1))
    (tmp_path / "huge.npy").write_bytes(x.replace(b"(3, 4)", b"(3, " + b"9" * 14 + b")", 1))
    return tmp_path


def test_check_finds_no_difference(capsys):
    assert __main__.main([]) == 0
    printed = capsys.readouterr().out
    assert "Every bit is right." in printed
    for word in ("forward", "backward", "float16", "float32", "float64", "cupy"):
        assert word in printed


def test_check_names_what_it_leaves_out(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # import raises
    assert __main__.main([]) == 0
    assert "bfloat16: not usable: ml_dtypes is not installed" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["-o", "y.npy"], ["--axis", "1"], ["--dy", "x.npy"]])
def test_options_without_a_file(folder, capsys, options):
    with pytest.raises(SystemExit, match="2"):
        __main__.main(options)
    assert "give x, too" in capsys.readouterr().err


def test_check_goes_on_if_cupy_cannot_be_imported(capsys, monkeypatch):
    monkeypatch.setattr(__main__.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "cupy", None)  # import raises
    for module in [name for name in sys.modules if name.startswith("prelu_array._gpu")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr(prelu_array, "_gpu", raising=False)
    monkeypatch.setattr(__main__, "_dtypes", lambda: [np.dtype("float32")])
    assert __main__.main([]) == 0
    assert "cupy: not usable: import of cupy halted" in capsys.readouterr().out


def test_check_reports_a_difference(capsys, monkeypatch):
    def wrong(x, alpha, **options):
        y = prelu(x, alpha, **options)
        y[0] = np.nextafter(y[0], y[0].dtype.type(1))
        return y

    monkeypatch.setattr(__main__, "prelu", wrong)
    monkeypatch.setattr(__main__, "_dtypes", lambda: [np.dtype("float32")])
    assert __main__.main([]) == 1
    assert "elements differ: please report this." in capsys.readouterr().out


def test_forward_from_file_to_file(folder):
    assert __main__.main(["x.npy", "--alpha", "alpha.npy", "--axis", "1", "-o", "y.out"]) == 0
    x, alpha = np.load("x.npy"), np.load("alpha.npy")
    assert np.load("y.out").tobytes() == reference_prelu(x, alpha, axis=1).tobytes()


def test_backward_from_file_to_file(folder):
    files = ["--dy", "x.npy", "-o", "dx.npy", "--dalpha", "dalpha.npy", "--at-zero", "one"]
    assert __main__.main(["x.npy", "--alpha", "0.5", *files]) == 0
    x = np.load("x.npy")
    dx, dalpha = prelu_backward(x, x, 0.5, at_zero="one")
    assert np.array_equal(np.load("dx.npy"), dx)
    assert np.array_equal(np.load("dalpha.npy"), dalpha)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["missing.npy"], "missing.npy"),
        (["text.npy"], "text.npy is not a .npy file"),
        (["several.npz"], "several.npz is not a .npy file"),
        (["cut.npy"], "cut.npy cannot be read: "),
        (["header.npy"], "header.npy cannot be read: "),
        (["huge.npy"], "huge.npy cannot be read: "),
        (["integers.npy"], "alpha must be a Python int or have x's dtype "),
        (["x.npy", "--axis", "one"], "--axis must be integers separated by commas, got 'one'"),
        (["x.npy", "--alpha", "alpha.npy", "--axis", "0"], "axis=1 would fit"),
        (["x.npy", "--alpha", "0.25", "--axis", "0", "--dy", "alpha.npy"], "dy must have x's"),
    ],
)
def test_errors_are_one_line(folder, capsys, argv, message):
    assert __main__.main([*argv, "-o", "out.npy"]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not (folder / "out.npy").exists()


def test_gradient_options_need_dy(folder, capsys):
    with pytest.raises(SystemExit):
        __main__.main(["x.npy", "--dalpha", "dalpha.npy"])
    assert "give --dy, too" in capsys.readouterr().err


def test_dx_and_dalpha_need_a_file_each(folder, capsys):
    with pytest.raises(SystemExit):
        __main__.main(["x.npy", "--dy", "x.npy", "-o", "d.npy", "--dalpha", "d.npy"])
    assert "a file each" in capsys.readouterr().err


def test_vectors_and_check_are_there(folder, capsys):
    assert __main__.main(["vectors", "--dtype", "float16", "--format", "npz", "-o", "v"]) == 0
    first = sorted((folder / "v").glob("*.npz"))[0]
    assert __main__.main(["check", str(first)]) == 0
