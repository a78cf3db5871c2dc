"""What the documentation shows is what happens."""

import doctest
import inspect
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

import prelu_array

README = Path(__file__).parent.parent / "README.md"
FUNCTIONS = [getattr(prelu_array, name) for name in prelu_array.__all__]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_examples_of_the_docstrings(threads, function):
    tests = doctest.DocTestFinder(recurse=False).find(function, function.__name__)
    runner = doctest.DocTestRunner(verbose=False)
    report = []
    for test in tests:
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_parameter_is_described(function):
    doc = inspect.getdoc(function)
    described = set()
    if match := re.search(r"Parameters\n-+\n(.*?)(\n\n\w|\Z)", doc, re.DOTALL):
        for line in match[1].splitlines():
            if re.match(r"\w[\w, ]*( :|$)", line):
                described.update(re.split(r"[ ,]+", line.split(" :")[0]))
    assert set(inspect.signature(function).parameters) == described


def docstrings():
    return runpy.run_path(str(README.parent / "docs" / "docstrings.py"))


def test_what_docstrings_share_is_the_same_in_all():
    tool = docstrings()
    sources = [file.read_text(encoding="utf-8") for file in tool["FILES"]]
    assert tool["alike"](sources) == sources, "python docs/docstrings.py copies the first over all"


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_help_shows_the_shared_text_whole(function):
    """Nothing but the text of `prelu` and `prelu_backward` itself, no "as in"."""
    doc = "\n".join(line.strip() for line in inspect.getdoc(function).splitlines())
    first = [inspect.getdoc(f) for f in (prelu_array.prelu_backward, prelu_array.prelu)]
    for name in {"dy", "x", "alpha", "axis", "at_zero"} & set(
        inspect.signature(function).parameters
    ):
        entry = next(
            m for text in first if (m := re.search(rf"^{name} : .*\n((?:    .+\n)+)", text, re.M))
        )
        assert "\n".join(line.strip() for line in entry[0].splitlines()) in doc


@pytest.mark.parametrize("function", [prelu_array.prelu, prelu_array.prelu_backward])
def test_gradient_and_forward_have_an_example_and_a_reference(function):
    doc = inspect.getdoc(function)
    for section in ("Parameters", "Returns", "Raises", "See Also", "References", "Examples"):
        assert f"\n{section}\n{'-' * len(section)}\n" in doc


PAGES = [README, *sorted((README.parent / "docs").glob("*.md"))]
TESTED_ELSEWHERE = ("arrays.md", "dask.md", "oracle.md", "partial.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_run(tmp_path, monkeypatch, threads, page):
    """All blocks in one namespace, one after the other; sessions (>>>) as doctests."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if not blocks or page.name in TESTED_ELSEWHERE:
        pytest.skip("no blocks, or run by a test of their own")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        for name in re.findall(r"^import (cupy|torch|jax)\b", block, re.MULTILINE):
            pytest.importorskip(name, reason=f"a block of {page.name} needs {name}")
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, page.name, None, 0)
            report = []
            runner = doctest.DocTestRunner(verbose=False)
            runner.run(test, out=report.append, clear_globs=False)
            assert runner.failures == 0, "".join(report)
            names = test.globs
        else:
            exec(compile(block, page.name, "exec"), names)


def test_skips_are_summed_up(request):
    def skipped(reason):
        return SimpleNamespace(longrepr=("a.py", 1, f"Skipped: {reason}"))

    lines = []
    reasons = ["CuPy is not installed", "jax is not installed; extra frameworks"]
    stats = {"skipped": [skipped(reason) for reason in (*reasons, reasons[1])]}
    reporter = SimpleNamespace(stats=stats, write_line=lines.append)
    for plugin in request.config.pluginmanager.get_plugins():
        if getattr(plugin, "__file__", None) == str(Path(__file__).with_name("conftest.py")):
            plugin.pytest_terminal_summary(reporter)
    assert lines == ["SKIPPED [2] jax is not installed", "SKIPPED [1] CuPy is not installed"]


def anchors(page):
    """Headings as a forge names them in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize(
    "page", [*PAGES, README.with_name("CONTRIBUTING.md")], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", link):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), f"{link}: of a folder the site makes no page"
        assert target.suffix != ".md" or target.resolve() in PAGES, (
            f"{link} is no page of the site"
        )
        assert not heading or heading in anchors(target), link
