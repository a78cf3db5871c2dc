"""The example of docs/oracle.md says what it prints."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "oracle.md"


def test_the_example_prints_what_the_page_shows(capsys):
    text = PAGE.read_text()
    code, _for_pytorch = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == shown
