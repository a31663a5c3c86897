"""The manner of figures for papers: sizes, small text, thin lines, and the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from losscope.core import wording

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

COLUMN, PAGE = 3.3, 6.9
"""Widths in inches: of one column, and of two."""
POINTS = 8
"""The size of text, in points."""
DPI = 300
INK, SOFT, RULE, BAND = "#1d1c1a", "#66625b", "#d9d4c9", "#ece7dc"
LETTERS = 28
"""Letters of a name before it is shortened."""
FONTS = (
    "DejaVu Sans",
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Hebrew"),
    *("Noto Sans Devanagari", "Noto Sans", "Noto Emoji"),
)
"""The font that comes with matplotlib, then those that have letters that it lacks, where there are any."""
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def style() -> Iterator[None]:
    """The manner of all figures: small text, thin lines, fonts embedded as outlines that stay text."""
    import matplotlib
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    manner: dict[Any, Any] = {
        "font.family": [name for name in FONTS if name in installed] or ["sans-serif"],
        "font.size": POINTS,
        "axes.titlesize": POINTS,
        "axes.labelsize": POINTS,
        "xtick.labelsize": POINTS,
        "ytick.labelsize": POINTS,
        "legend.fontsize": POINTS,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "text.usetex": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": SOFT,
        "axes.linewidth": 0.6,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": RULE,
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.2,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "axes.axisbelow": True,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "losscope",
        "figure.dpi": 100,
        "savefig.facecolor": "white",
        "path.simplify": True,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(manner)
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def saved(drawing: Drawing, kind: str) -> bytes:
    """A figure as the bytes of a file, without a date or a version in them."""
    out = io.BytesIO()
    drawing.savefig(out, format=kind, dpi=DPI, metadata=_METADATA[kind])
    return out.getvalue()


def blank(height: float, width: float = COLUMN, **grid: Any) -> tuple[Drawing, Any]:
    """A figure of a height in inches and its axes."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    drawing.get_layout_engine().set(w_pad=0.04, h_pad=0.03)  # type: ignore[union-attr, call-arg]
    return drawing, drawing.subplots(**grid)


def name_of(text: str, length: int = LETTERS) -> str:
    """A name as a figure shows it: in one line, short, without marks that steer."""
    return wording.shorten(" ".join(wording.printable(text).split()), length)


def slug(text: str) -> str:
    """A text as part of a file's name.

    >>> slug("Recall@1 of «é»"), slug("…")
    ('recall-1-of', 'figure')
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "figure"
