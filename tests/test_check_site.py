"""The check of the built site finds what is wrong with a page, and nothing else."""

import check_site
import pytest

LONG = "x" * 200
SVG = "src='data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22/>'"
PAGES = {  # name: body, and what is found, if anything
    "good": (
        '<p id="here">Text</p><pre>code</pre><table><tr><td>1</td></tr></table>'
        '<a href="wide.html#place">there</a><a href="#here">here</a><a href="https://a.b/">out</a>',
        None,
    ),
    "wide": (f'<p id="place">{LONG}</p>', "the page is"),
    "code": (f'<pre style="overflow: auto">{LONG}</pre>', "<pre"),
    "high": ('<pre style="height: 1em; overflow: hidden">1\n2\n3</pre>', "high in"),
    "table": (
        f'<div style="overflow: auto"><table><tr><td>{LONG}</td></tr></table></div>',
        "<div",
    ),
    "hidden": (f'<p style="overflow: hidden">{LONG}</p>', "<p"),
    "spilt": (f'<div style="overflow: clip">{LONG}</div>', "<div"),
    "picture": ('<img src="none.png">', "none.png"),
    "image": (f'<div style="overflow: clip"><img {SVG} width="2000"></div>', "outside its place"),
    "link": ('<a href="none.html">there</a>', "no file none.html"),
    "drawing": ('<svg width="20" height="20"><a href="none.html"></a></svg>', "no file none.html"),
    "lazy": (
        '<p style="height: 9999px"></p><img loading="lazy" src="none.png">',
        "no file none.png",
    ),
    "anchor": ('<a href="good.html#there">there</a>', "no anchor good.html#there"),
    "error": ("<script>throw Error('of the script')</script>", "of the script"),
    "network": ('<script src="https://example.org/a.js"></script>', "example.org"),
}


def test_it_finds_every_kind_of_fault(tmp_path):
    if missing := check_site.why_not():
        pytest.skip(f"{missing}: it opens pages in Chromium")
    for name, (body, _) in PAGES.items():
        page = f"<!doctype html><link rel=icon href=data:,><article>{body}</article>"
        (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
    faults = check_site.check(tmp_path)
    found = {name: [f for f in faults if f.startswith(f"{name}.html")] for name in PAGES}
    assert found.pop("good") == []
    for name, lines in found.items():
        assert any(PAGES[name][1] in line for line in lines), (name, lines)
