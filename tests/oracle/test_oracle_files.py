"""Golden vectors and dumps."""

import csv
import json

import ml_dtypes
import numpy as np
import pytest

from prelu_array.testing import cases, reference_prelu
from prelu_array.testing._files import main_check, main_vectors

F32 = np.float32


def dump(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_golden_vectors_check_out(tmp_path, capsys, dtype):
    kinds = ["--kind", "alpha", "--kind", "specials", "--kind", "random", "--kind", "empty"]
    assert main_vectors(["-o", str(tmp_path), "--dtype", dtype, *kinds]) == 0
    files = sorted(str(path) for path in tmp_path.glob("*.npz"))
    assert main_check([*files, "--accumulate", "exact"]) == 0
    assert "PReLU kernel: ok" in capsys.readouterr().out
    listed = list(csv.DictReader((tmp_path / "manifest.csv").read_text().splitlines()))
    assert len(listed) == len(files)


def test_every_golden_npz_holds_the_axis(tmp_path):
    assert main_vectors(["-o", str(tmp_path), "--kind", "layout"]) == 0
    for case in cases(kind="layout"):
        with np.load(tmp_path / f"{case.name}.npz") as file:
            assert file["axis"].dtype == np.int64
            axis = tuple(file["axis"].tolist()) or None  # what docs/oracle.md tells a reader
            assert axis == ((case.axis,) if case.axis is not None else None)
            y = reference_prelu(file["x"], file["alpha"], axis=axis)
            np.testing.assert_array_equal(y, file["y"])


@pytest.mark.parametrize("axis", [0, [0], [0, 1], []])
def test_the_axis_of_a_dump_may_be_a_number_or_a_list(tmp_path, axis):
    x = -np.ones((3, 3), F32)
    alpha = np.arange(9, dtype=F32).reshape(3, 3) if axis == [0, 1] else F32([1, 2, 3])
    y = -(np.broadcast_to(alpha, x.shape) if axis in ([], [0, 1]) else alpha[:, None] * -x)
    path = dump(tmp_path / "a.npz", x=x, alpha=alpha, y=y, axis=np.array(axis, dtype=np.int64))
    assert main_check([path]) == 0


def test_vectors_do_not_mix_with_others(tmp_path, capsys):
    assert main_vectors(["-o", str(tmp_path), "--kind", "empty"]) == 0
    before = sorted(tmp_path.iterdir())
    assert main_vectors(["-o", str(tmp_path), "--kind", "alpha"]) == 2
    assert "has vectors: name another folder" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_the_axis_that_would_fit_is_named(tmp_path, capsys):
    x, alpha = -np.ones((2, 3), F32), F32([0.25, 0.5])
    y = alpha[:, np.newaxis] * x
    path = dump(tmp_path / "d.npz", x=x, alpha=alpha, y=y)
    assert main_check([path]) == 2
    assert "; --axis 0 would fit" in capsys.readouterr().err
    assert main_check([path, "--axis", "-2"]) == 0


@pytest.mark.parametrize("below", ["", "below"])
def test_vectors_need_a_folder(tmp_path, capsys, below):
    file = tmp_path / "file"
    file.touch()
    assert main_vectors(["-o", str(file / below), "--kind", "empty"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot write into {file / below}: ")
    assert error.count("\n") == 1


def test_hex_words_are_the_bits(tmp_path):
    options = ["--format", "hex", "--kind", "specials", "--layout", "channel"]
    assert main_vectors(["-o", str(tmp_path), "--dtype", "float16", *options]) == 0
    (case,) = cases(dtype="float16", kind="specials", layouts=["channel"])
    lines = (tmp_path / f"{case.name}.y.hex").read_text().split("\n")
    words = np.array([int(line, 16) for line in lines[:-1]], dtype=np.uint16)
    y = reference_prelu(case.x, case.alpha, axis=1)
    np.testing.assert_array_equal(words, y.view(np.uint16).ravel())
    assert {len(line) for line in lines[:-1]} == {4}


def test_csv_reads_back_to_the_same_bits(tmp_path):
    options = ["--format", "csv", "--kind", "subnormals", "--layout", "element"]
    assert main_vectors(["-o", str(tmp_path), *options]) == 0
    case = cases(kind="subnormals", layouts=["element"])[0]
    rows = list(csv.DictReader((tmp_path / f"{case.name}.csv").read_text().splitlines()))
    read = np.array([float(row["x"]) for row in rows], dtype=F32)
    np.testing.assert_array_equal(read.view(np.uint32), case.x.view(np.uint32).ravel())
    assert list(rows[0]) == ["x", "alpha", "dy", "y", "dx"]


def test_a_wrong_dump_fails_with_a_suspicion(tmp_path, capsys):
    x = np.linspace(-3, 3, 133, dtype=F32)
    y = np.where(x > 0, x, F32(0.25) * x)
    good = dump(tmp_path / "good.npz", x=x, alpha=F32(0.25), y=y)
    assert main_check([good]) == 0
    y[-5:] = 0
    bad = dump(tmp_path / "bad.npz", x=x, alpha=F32(0.25), y=y)
    capsys.readouterr()
    assert main_check([good, bad, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["counts"][0]["wrong"] == 5


def test_wrong_dumps_are_named(tmp_path, capsys):
    paths = []
    for i in range(12):
        y = F32([-0.25, -0.5]) + (i % 4 != 0)
        paths.append(dump(tmp_path / f"{i}.npz", x=F32([-1, -2]), alpha=F32(0.25), y=y))
    assert main_check(paths) == 1
    _, _, names = capsys.readouterr().out.partition("wrong in:\n")
    wrong = [path for i, path in enumerate(paths) if i % 4]
    assert [line.strip() for line in names.splitlines()[:6]] == [*wrong[:5], "and 4 more"]
    assert main_check([*paths, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wrong_in"] == wrong


def test_what_fits_no_fault_is_counted(tmp_path, capsys):
    x = np.full(60, -1, F32)
    x[::6] = np.nan
    y = F32(0.25) * x
    y[::6] = 7  # 10 times
    y[3::12] = -0.7  # 5 times
    assert main_check([dump(tmp_path / "two.npz", x=x, alpha=F32(0.25), y=y), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["suspicions"] == [
        "y: NaN lost (10 of 15 failures looked at)",
        "y: 5 of 15 failures fit no known fault",
    ]


def test_tail_is_told_from_one_long_dump(tmp_path, capsys):
    x = -np.ones(133, F32)
    y = F32(0.25) * x
    y[-5:] = 0
    assert main_check([dump(tmp_path / "tail.npz", x=x, alpha=F32(0.25), y=y)]) == 1
    assert "y: only in the last n % 8 elements" in capsys.readouterr().out


def test_switches_and_axis(tmp_path):
    x = np.array([[-0.0, -1.0], [np.nan, -1e-45]], F32)
    y = np.array([[0.0, -2.0], [7.0, 0.0]], F32)
    path = dump(tmp_path / "d.npz", x=x, alpha=F32([0.25, 2.0]), y=y)
    assert main_check([path, "--axis", "1"]) == 1
    switches = ["--no-signed-zeros", "--no-nans", "--no-subnormals"]
    assert main_check([path, "--axis", "1", *switches]) == 0
    assert main_check([path, "--axis", "0", *switches]) == 1


def test_bfloat16_survives_npz(tmp_path):
    x = np.array([-1.0, 2.0]).astype(ml_dtypes.bfloat16)
    y = np.array([-0.25, 2.0]).astype(ml_dtypes.bfloat16)
    alpha = np.array([0.25]).astype(ml_dtypes.bfloat16)
    assert main_check([dump(tmp_path / "b.npz", x=x, alpha=alpha, y=y)]) == 0


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": F32([1])}, "must hold x, alpha, got y"),
        ({"x": F32([1]), "alpha": F32([1])}, "must hold y, dx or dalpha, got x, alpha"),
        ({"x": F32([1]), "alpha": F32([1]), "dx": F32([1])}, "must hold dy"),
        ({"x": F32([1, 2]), "alpha": F32([1, 2, 3]), "y": F32([1])}, "alpha must broadcast"),
        ({"x": np.arange(2), "alpha": F32([1]), "y": F32([1])}, "x.dtype must be one of"),
        ({"x": F32([1]), "alpha": F32([1]), "dy": np.ones(1), "dx": F32([1])}, "dy must be as x"),
        ({"x": F32([[1]]), "alpha": F32([1]), "y": F32([[1]]), "axis": [1.5]}, "axis must be int"),
        ({"x": F32([[1]]), "alpha": F32([1]), "y": F32([[1]]), "axis": ["a"]}, "axis must be int"),
    ],
)
def test_bad_dumps_are_refused(tmp_path, capsys, arrays, message):
    path = dump(tmp_path / "bad.npz", **arrays)
    assert main_check([path]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "bad.npz" in error


def test_numbers_below_zero_are_refused(tmp_path, capsys):
    for main, arguments in (
        (main_check, ["dump.npz", "--ulps", "-1"]),
        (main_vectors, ["-o", str(tmp_path), "--seed", "-1"]),
    ):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2
        assert "must be at least 0, got -1" in capsys.readouterr().err


def test_files_that_are_no_dumps_are_refused(tmp_path, capsys):
    text = tmp_path / "notes.npz"
    text.write_text("not a dump")
    np.save(tmp_path / "one.npy", np.ones(3))
    for path in (text, tmp_path / "one.npy", tmp_path / "absent.npz"):
        assert main_check([str(path)]) == 2
        assert f"error: {path}: must be an npz file" in capsys.readouterr().err
