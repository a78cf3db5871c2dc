"""What an import loads, what it says where the compiled module is missing, and what is public."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import prelu_array

PACKAGE = Path(prelu_array.__file__).parent
OPTIONAL = ("cupy", "dask", "ml_dtypes", "torch", "jax", "onnx", "hypothesis", "pytest")


def run_python(code, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def test_no_optional_library_is_imported():
    """Not by the import, and not by calls on arrays of the three dtypes of NumPy."""
    code = f"""
import sys, numpy as np, prelu_array
for dtype in (np.float16, np.float32, np.float64):
    x = np.full((2, 3), -2, dtype)
    prelu_array.prelu(x, 0.5)
    prelu_array.prelu_backward(x, x, np.ones(3, np.float32), axis=1)
try:
    prelu_array.prelu(np.ones(3, int), 0.5)
except TypeError:
    pass
print([name for name in {OPTIONAL} if name in sys.modules])
print("prelu_array.testing" in sys.modules)
"""
    done = run_python(code, PACKAGE.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[]\nFalse\n"


def test_threads_of_python_are_not_imported():
    done = run_python(
        "import sys, prelu_array; print('concurrent.futures' in sys.modules)", PACKAGE.parent
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_missing_compiled_module_names_the_cure(tmp_path):
    """Who starts Python in the source folder reads what to do."""
    folder = tmp_path / "prelu_array"
    folder.mkdir()
    for source in PACKAGE.glob("*.py"):
        shutil.copy(source, folder)
    # the finder of an editable install would find the compiled module in the repository
    code = """
import sys
sys.meta_path = [f for f in sys.meta_path if "editable" not in getattr(f, "__module__", "")]
import prelu_array
"""
    done = run_python(code, tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: prelu_array's compiled module is missing")
    assert "`python -m pip install -e .`" in last


def test_another_missing_module_is_not_hidden(tmp_path):
    """The cure above would be wrong for it."""
    folder = tmp_path / "prelu_array"
    folder.mkdir()
    for source in PACKAGE.glob("*.py"):
        shutil.copy(source, folder)
    (folder / "_api.py").write_text("import a_module_that_is_missing\n")
    done = run_python("import prelu_array", tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert last == "ModuleNotFoundError: No module named 'a_module_that_is_missing'"


def test_public_names():
    assert sorted(prelu_array.__all__) == prelu_array.__all__
    for name in prelu_array.__all__:
        function = getattr(prelu_array, name)
        assert callable(function)
        assert function.__doc__
        assert function.__name__ == name


def test_type_checkers_find_the_types():
    package = Path(prelu_array.__file__).parent
    for name in ("py.typed", "_typing.pyi", "_cpu.pyi"):
        assert (package / name).is_file(), name


def test_version_is_that_of_the_metadata():
    metadata = pytest.importorskip("importlib.metadata")
    try:
        installed = metadata.version("prelu_array")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed, only built in place")
    assert prelu_array.__version__ == installed


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("prelu", "(x, alpha, *, axis=None, out=None)"),
        (
            "prelu_backward",
            "(dy, x, alpha, *, axis=None, at_zero='alpha', need_dx=True, need_dalpha=True, "
            "out=None)",
        ),
        ("set_num_threads", "(n)"),
        ("get_num_threads", "()"),
    ],
)
def test_signatures_of_the_contract(name, signature):
    found = inspect.signature(getattr(prelu_array, name))
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    assert str(inspect.Signature(bare)) == signature


# Of the repository; an installed package has none of these.
ELSEWHERE = re.compile(r"\b(docs|bench|examples|tests|_ext)/|\b\w+\.(md|pyx)\b")


def texts(path):
    """Yield what users may read of a module: its strings, but for a private one's docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    private = any(re.match(r"_[^_]", part) for part in path.relative_to(PACKAGE).parts)
    own = tree.body[0].value if private and ast.get_docstring(tree) else None
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node is not own:
            yield node.value


def test_messages_point_to_what_is_installed():
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 40
    for path in modules:
        for text in texts(path):
            assert not ELSEWHERE.search(text), f"{path.name}: {text}"


def test_the_description_points_to_what_is_installed():
    metadata = pytest.importorskip("importlib.metadata")
    try:
        found = metadata.metadata("prelu_array")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed, only built in place")
    description = found["Description"] or found.get_payload()
    assert "# prelu_array" in description
    for target in re.findall(r"\]\(([^)]+)\)", description):
        assert re.match(r"https?://|#", target), target
