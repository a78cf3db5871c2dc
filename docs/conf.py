"""The documentation as a site: python -m sphinx -W -b html docs build/site."""

import prelu_array

project = "prelu_array"
copyright = "2026, the prelu_array developers"
version = release = prelu_array.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["pictures"]
myst_heading_anchors = 3
html_theme = "alabaster"
html_theme_options = {
    "description": prelu_array.__doc__.splitlines()[0],
    "page_width": "70em",
    "fixed_sidebar": True,
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the arguments are arrays of any library: the text says it better
numpydoc_show_class_members = False
# A link to a folder, or to a file that is no page, is right on the forge and text in the site;
# tests/test_docs.py checks that each leads somewhere.
suppress_warnings = ["myst.xref_missing"]
numpydoc_validation_checks = {
    "all",  # but for these
    "ES01",  # one line may say it all
    "EX01",  # the functions of the contract have examples; helpers of the oracle need none
    "SA01",  # nor is there always something else to see
    "SS05",  # "Gradients of ..." names what is returned
    "SS06",
    "GL08",  # the fields of a NamedTuple have no docstring
    "PR03",  # arguments that several functions share stand together
    "PR04",  # and have their type where they are first described
    "PR08",  # a description may begin with a letter of the contract: x, dy
    "RT01",  # "Return ..." in one line
    "RT03",  # likewise the description of what is returned
    "RT04",
    "SA04",  # the other of a pair needs no words
    "PR01",  # the fields of a NamedTuple are listed under it
}
