"""The documentation as a site: python -m sphinx -W -b html docs build/site."""

import re
import sys
from pathlib import Path
from unittest.mock import MagicMock

from docutils import nodes
from sphinx.transforms import SphinxTransform

import prelu_array

project = "prelu_array"
copyright = "2026, the prelu_array developers"
version = release = prelu_array.__version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["pictures", "**sg_execution_times.rst"]
templates_path = ["_templates"]
default_role = "py:obj"  # `prelu` is a link, `axis` is code
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
maximum_signature_line_length = 60
html_theme = "pydata_sphinx_theme"
html_title = "prelu_array"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["tables.js"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": []}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "prelu_array"},
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark",
}
# What a reader copies is the input alone.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/shapes\.py",  # run here; the others show what is stored
    "ignore_pattern": r"(layers|drawing)\.py",  # parts of the others
    "default_thumb_file": str(Path(__file__).with_name("_static") / "logo.svg"),
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
}
autodoc_member_order = "bysource"
autodoc_mock_imports = [  # what the pages of prelu_array.jax and prelu_array.torch do without
    "jax",
    "prelu_array.jax._primitives",
    *(f"prelu_array.torch.{name}" for name in ("_checks", "_derivatives", "_operators")),
]
torch = MagicMock(**{"fx.wrap": lambda function: function, "nn.PReLU": type("PReLU", (), {})})
sys.modules |= dict.fromkeys(("torch", "torch.autograd", "torch.compiler"), torch)
autodoc_typehints = "none"  # the arguments are arrays of any library: the text says it better
numpydoc_show_class_members = False
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


class DarkPictures(SphinxTransform):
    """Beside each picture NAME-light.svg show NAME-dark.svg in dark mode."""

    default_priority = 400  # before Sphinx collects pictures

    def apply(self):
        """Add the second picture."""
        for light in list(self.document.findall(nodes.image)):
            if light["uri"].endswith("-light.svg"):
                dark = light.deepcopy()
                dark["uri"] = light["uri"].replace("-light.svg", "-dark.svg")
                light["classes"].append("only-light")
                dark["classes"].append("only-dark")
                light.parent.insert(light.parent.index(light) + 1, dark)


def link_to_gallery(app, page, source):
    """Let links to the examples' files lead to their pages in the gallery."""
    source[0] = re.sub(
        r"\]\(\.\./examples/((?:frameworks/)?(?!layers|drawing)\w+)\.(py|rst)\)",
        lambda link: f"](gallery/{'index' if link[1] == 'README' else link[1]}.rst)",
        source[0],
    )


def setup(app):
    """Add what is above to Sphinx."""
    app.add_transform(DarkPictures)
    app.connect("source-read", link_to_gallery)
