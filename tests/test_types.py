"""What type checkers say of a user's lines: the types that are asserted, and the mistakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {"arrays": (), "lazy": ("dask",), "tensors": ("torch", "jax")}


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # as if it were installed
    )


def mypy(page):
    done = run("mypy", "--strict", "--config-file=", str(page))
    return [(int(n), text) for n, text in re.findall(r":(\d+): error: (.*)", done.stdout)], done


def pyright(page):
    done = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(page))
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [(d["range"]["start"]["line"] + 1, d["message"]) for d in found], done


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda f: f.__name__)
def test_errors_are_where_a_user_is_wrong(checker, page):
    pytest.importorskip(checker.__name__, reason=f"{checker.__name__} is not installed")
    pytest.importorskip("numpy", "2.3", reason="before NumPy 2.3 NDArray says another shape")
    for name in PAGES[page]:
        pytest.importorskip(name, reason=f"{name} is not installed")
    path = Path(__file__).parent / "typed" / f"{page}.py"
    lines = path.read_text("utf-8").splitlines()
    wrong = {n for n, line in enumerate(lines, 1) if line.endswith("# wrong")}
    found, done = checker(path)
    assert {n: text for n, text in found if n not in wrong} == {}, done.stderr
    assert wrong - {n for n, _ in found} == set(), done.stdout + done.stderr
