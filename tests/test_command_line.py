"""``python -m prelu_array``."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import prelu_array
from prelu_array import __main__, _self_check, prelu, prelu_backward
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
    for word in ("forward", "backward", "float16", "float32", "float64", "cupy", "baseline"):
        assert word in printed


@pytest.mark.parametrize("wrong", ["NaN", "subnormals", "a sum that cancels"])
def test_check_sees_what_fast_math_breaks(capsys, monkeypatch, wrong):
    """On one instruction set alone."""

    def broken(dy, x, alpha, **options):
        dx, dalpha = prelu_backward(dy, x, alpha, **options)
        if prelu_array._cpu.instruction_set() != "baseline":
            return dx, dalpha
        if wrong == "NaN":
            return np.nan_to_num(dx, nan=0), dalpha
        if wrong == "subnormals":
            return np.where(abs(dx) < np.finfo(dx.dtype).tiny, dx.dtype.type(0), dx), dalpha
        terms = np.where(x > 0, 0, x * dy).sum(axis=(0, *range(2, x.ndim)))
        return dx, dalpha if dalpha.shape != terms.shape else terms

    monkeypatch.setattr(_self_check, "prelu_backward", broken)
    monkeypatch.setattr(_self_check, "_dtypes", lambda: [np.dtype("float64")])
    with np.errstate(all="ignore"):
        assert __main__.main([]) == 1
    printed = capsys.readouterr().out
    assert "elements differ: please report this" in printed
    assert re.search(r"baseline +[1-9]", printed)
    assert not re.search(r"avx\d+ +[1-9]", printed)


def test_check_sees_a_module_that_changes_the_mode(capsys, monkeypatch):
    monkeypatch.setattr(_self_check, "_dtypes", lambda: [np.dtype("float32")])
    monkeypatch.setattr(_self_check, "_MODE", "\nprint(1)")
    assert __main__.main([]) == 1
    assert "it was linked with fast math" in capsys.readouterr().out


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
    monkeypatch.setattr(_self_check.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "cupy", None)  # import raises
    for module in [name for name in sys.modules if name.startswith("prelu_array._gpu")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr(prelu_array, "_gpu", raising=False)
    monkeypatch.setattr(_self_check, "_dtypes", lambda: [np.dtype("float32")])
    assert __main__.main([]) == 0
    assert "cupy: not usable: import of cupy halted" in capsys.readouterr().out


def test_check_reports_a_difference(capsys, monkeypatch):
    def wrong(x, alpha, **options):
        y = prelu(x, alpha, **options)
        y[0] = np.nextafter(y[0], y[0].dtype.type(1))
        return y

    monkeypatch.setattr(_self_check, "prelu", wrong)
    monkeypatch.setattr(_self_check, "_dtypes", lambda: [np.dtype("float32")])
    assert __main__.main([]) == 1
    assert "elements differ: please report this" in capsys.readouterr().out


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
        (["missing.npy"], "missing.npy is neither a file nor a command"),
        (["chek", "d.npz"], "chek is neither a file nor a command; check is"),
        (["x.npy", "--alpha", "0.2.5"], "--alpha must be a number or a .npy file, got '0.2.5'"),
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


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
@pytest.mark.parametrize("other", ["d.npy", "./d.npy", "sub/../d.npy", "{}/d.npy", "soft", "hard"])
def test_dx_and_dalpha_need_a_file_each(folder, capsys, other, there):
    (folder / "sub").mkdir()
    if there or other == "hard":
        (folder / "d.npy").write_bytes(b"as it was")
    if other in ("soft", "hard"):
        link = os.symlink if other == "soft" else os.link
        try:
            link("d.npy", other)
        except OSError:
            pytest.skip(f"no {other} links here")
    outputs = ["-o", "d.npy", "--dalpha", other.format(folder)]
    with pytest.raises(SystemExit):
        __main__.main(["x.npy", "--dy", "x.npy", *outputs])
    assert "a file each" in capsys.readouterr().err
    assert not (folder / "d.npy").exists() or (folder / "d.npy").read_bytes() == b"as it was"


def test_files_are_written_whole_or_not_at_all(folder, capsys, monkeypatch):
    (folder / "dx.npy").write_bytes(b"as it was")
    before = sorted(os.listdir())
    gradients = ["x.npy", "--dy", "x.npy", "-o", "dx.npy", "--dalpha"]
    for wrong in ("missing/dalpha.npy", ".", "x.npy/dalpha.npy", "new/"):
        assert __main__.main([*gradients, wrong]) == 2
        assert wrong in capsys.readouterr().err

    def full(writer, array, **options):
        writer.write(b"the first bytes")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    assert __main__.main([*gradients, "dalpha.npy"]) == 2
    assert "No space left on device: 'dx.npy'" in capsys.readouterr().err
    assert (folder / "dx.npy").read_bytes() == b"as it was"
    assert sorted(os.listdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="modes and links are Unix's")
def test_a_file_that_is_written_over_keeps_its_mode_and_its_links(folder):
    (folder / "y.npy").write_bytes(b"")
    (folder / "y.npy").chmod(0o640)
    os.symlink("y.npy", "link")
    assert __main__.main(["x.npy", "-o", "link"]) == 0
    assert os.path.islink("link")
    assert (folder / "y.npy").stat().st_mode & 0o777 == 0o640
    assert np.load("y.npy").shape == (3, 4)
    assert __main__.main(["x.npy", "-o", "x.npy"]) == 0
    assert np.array_equal(np.load("x.npy"), np.load("y.npy"))


def run(*arguments, **options):
    root = str(Path(prelu_array.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root} | options.pop("env", {})
    command = [sys.executable, "-m", "prelu_array", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, **options)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_encoding_of_the_output(folder, encoding):
    names = "dx\N{SNOWMAN}.npy", "dalpha\N{GREEK SMALL LETTER ALPHA}.npy"
    arguments = "x.npy", "--dy", "x.npy", "-o", names[0], "--dalpha", names[1]
    done = run(*arguments, env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert names[0] in done.stdout.decode("utf-8" if encoding == "utf-8" else "unicode_escape")
    assert all((folder / name).exists() for name in names)


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="this system has no /dev/stdin")
def test_standard_input_and_output(folder):
    x = (folder / "x.npy").read_bytes()
    right = reference_prelu(np.load("x.npy"), 0.25)
    done = run("/dev/stdin", "-o", "/dev/stdout", input=x)
    assert (done.returncode, done.stderr) == (0, b"")
    assert np.load(io.BytesIO(done.stdout)).tobytes() == right.tobytes()
    assert done.stdout.endswith(right.tobytes())
    with open("x.npy", "rb") as file:
        done = run("/dev/stdin", "-o", "y.npy", stdin=file)
    assert (done.returncode, done.stderr) == (0, b"")
    assert np.load("y.npy").tobytes() == right.tobytes()
    done = run("/dev/stdin", "-o", "y.npy", input=x[:-3])
    assert (done.returncode, b"/dev/stdin cannot be read: " in done.stderr) == (2, True)


def test_without_any_standard_output(folder):
    if os.name == "nt":
        pytest.skip("takes a Unix shell")
    root = str(Path(prelu_array.__file__).parents[1])
    command = f'"{sys.executable}" -m prelu_array x.npy -o y.npy >&-'
    done = subprocess.run(
        command, shell=True, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert np.load("y.npy").tobytes() == reference_prelu(np.load("x.npy"), 0.25).tobytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_standard_output_that_is_full(folder):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "prelu_array", "x.npy"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(prelu_array.__file__).parents[1])},
        )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"No space left on device" in done.stderr


def test_vectors_and_check_are_there(folder, capsys):
    assert __main__.main(["vectors", "--dtype", "float16", "--format", "npz", "-o", "v"]) == 0
    first = sorted((folder / "v").glob("*.npz"))[0]
    assert __main__.main(["check", str(first)]) == 0


@pytest.mark.parametrize("alpha", ["-1e-3", "-.5", "-inf", "-2"])
def test_alpha_may_be_negative(folder, alpha):
    assert __main__.main(["x.npy", "--alpha", alpha, "-o", "y.npy"]) == 0
    x = np.load("x.npy")
    assert np.load("y.npy").tobytes() == reference_prelu(x, float(alpha)).tobytes()


def test_axes_may_be_negative(folder):
    alpha = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save("alphas.npy", alpha)
    axes = ["--axis", "-2,-1"]
    assert __main__.main(["x.npy", "--alpha", "alphas.npy", *axes, "-o", "y.npy"]) == 0
    assert np.load("y.npy").tobytes() == reference_prelu(np.load("x.npy"), alpha).tobytes()


def test_bfloat16_files_are_read(folder, capsys):
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    x = np.load("x.npy").astype(bfloat16)
    np.save("b.npy", x)
    assert __main__.main(["b.npy", "--alpha", "0.5", "-o", "y.npy"]) == 0
    assert "y: bfloat16 (3, 4) -> y.npy" in capsys.readouterr().out
    assert np.load("y.npy").tobytes() == reference_prelu(x, 0.5).tobytes()


@pytest.mark.parametrize("arguments", [[], ["check", "d.npz", "--axis", "1"]])
def test_a_closed_pipe_ends_in_silence(folder, arguments):
    x = np.load("x.npy")
    alpha = np.load("alpha.npy")
    np.savez("d.npz", x=x, alpha=alpha, y=reference_prelu(x, alpha, axis=1))
    reader, writer = os.pipe()
    os.close(reader)
    root = str(Path(prelu_array.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "prelu_array", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": root},
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
