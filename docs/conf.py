"""The site's settings: ``make docs`` builds it with warnings as errors; nothing is fetched."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402
import losscope  # noqa: E402
from making import gallery, links  # noqa: E402

GENERATED = HERE / "generated"
BESIDE = GENERATED / "beside"
"""Files that the site has beside its pages: the pages of the gallery."""
BESIDE.mkdir(parents=True, exist_ok=True)
generate.write(GENERATED)

project = "losscope"
author = "the losscope developers"
release = losscope.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "making", "static", "generated/beside", "generated/work"]
smartquotes = False  # they would turn --gallery into –gallery
suppress_warnings = ["misc.highlighting_failure"]  # commands with placeholders in angle brackets

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # a field that is described under Attributes is not described twice

html_theme = "furo"
html_title = f"losscope {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["generated/beside"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"

linkcheck_timeout = 20
linkcheck_anchors = False  # pages that make their anchors by script have none to be found


def setup(app: Any) -> None:
    """Links to files beside ``docs`` lead to their copies on the site, and marked figures are drawn."""
    app.connect("source-read", lambda _app, _name, text: text.__setitem__(0, generate.inside(text[0])))
    app.connect("builder-inited", examples)
    app.connect("build-finished", check)


def examples(app: Any) -> None:
    """The gallery is run for a site that is to be read; for a check of its pages its text is enough."""
    work = GENERATED / "work"
    written = app.builder.format == "html"
    text = gallery.build(work, BESIDE / "gallery") if written else gallery.text(gallery.examples(work))
    generate.keep(GENERATED / "gallery.md", text)


def check(app: Any, failure: Exception | None) -> None:
    """Every link between the files of the site leads to a file and to a place in it."""
    if failure is None and app.builder.format == "html":
        for broken in links.broken(Path(app.outdir)):
            links.LOG.warning("a link that leads nowhere: %s", broken)
