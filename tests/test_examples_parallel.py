"""The examples that start processes or threads of their own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prelu_array import prelu, prelu_backward

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *options):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_exact_states_are_the_same_for_any_number_of_workers():
    """Where a sum of floats is not."""
    rows = [line.split() for line in run("data_parallel").splitlines()[2:]]
    assert [row[:2] for row in rows] == [["1", "0"], ["2", "0"], ["3", "0"], ["4", "0"]]
    assert int(rows[0][2]) == 0
    assert all(int(row[2]) > 0 for row in rows[1:])


def test_out_of_core_has_the_bits_of_one_call(tmp_path):
    pytest.importorskip("dask.array", reason="Dask is not installed")
    zarr = pytest.importorskip("zarr", minversion="3", reason="Zarr is not installed")
    printed = run("out_of_core", "--mib", "17", "--folder", tmp_path)
    assert "100% Completed" in printed
    names = "x", "dy", "y", "dx", "dalpha"
    x, dy, *results = (zarr.open_array(tmp_path / name, mode="r")[...] for name in names)
    alpha = np.full(x.shape[1], 0.25, np.float32)
    right = prelu(x, alpha, axis=1), *prelu_backward(dy, x, alpha, axis=1)
    for got, expected in zip(results, right, strict=True):
        np.testing.assert_array_equal(got.view("u4"), expected.view("u4"))
