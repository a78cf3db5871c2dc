"""The text that docstrings share: written out in each, and the same in all.

`python docs/docstrings.py` copies the first text there is of an argument, or of the references,
over the others; tests/test_docs.py fails where any differs.
"""

import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "prelu_array"
FILES = [
    PACKAGE / name
    for name in (
        "_api.py",
        "_derivatives.py",
        "_partial.py",
        "torch/__init__.py",
        "jax/__init__.py",
    )
]
# How the lines above such a text begin, and the text: all that is indented more, or a section.
SHARED = re.compile(
    r"^(?P<head>    (?P<name>x : array_like|dy :|alpha :|axis : None|at_zero :|References\n).*\n)"
    r"(?P<text>(?:        .+\n)+|(?:    .+\n)+)",
    re.MULTILINE,
)


def alike(sources: list[str]) -> list[str]:
    """Return the sources of modules with every shared text as it first stands."""
    first: dict[str, str] = {}
    return [
        SHARED.sub(lambda m: m["head"] + first.setdefault(m["name"], m["text"]), source)
        for source in sources
    ]


if __name__ == "__main__":
    for file, source in zip(
        FILES, alike([file.read_text("utf-8") for file in FILES]), strict=True
    ):
        file.write_text(source, "utf-8")
