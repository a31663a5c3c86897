"""The site's settings: ``make docs`` builds it with warnings as errors; nothing is fetched."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import generate

import losscope

generate.write(Path(__file__).parent / "generated")

project = "losscope"
author = "the losscope developers"
release = losscope.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "making", "static"]
smartquotes = False  # they would turn --gallery into –gallery
suppress_warnings = ["misc.highlighting_failure"]  # commands with placeholders in angle brackets

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # a field that is described under Attributes is not described twice

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = f"losscope {release}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"


def setup(app: Any) -> None:
    """Links to files beside ``docs`` lead to their copies on the site; on GitHub they lead to the files."""
    app.connect("source-read", lambda _app, _name, text: text.__setitem__(0, generate.inside(text[0])))
