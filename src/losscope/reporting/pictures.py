"""Pictures to files: a picture format, or a page of its own for .html."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError

STATIC = (".png", ".svg", ".pdf")

Picture = Callable[[], Any]
"""Makes a matplotlib figure."""


def suffix(path: str | Path) -> str:
    """The kind of picture that a path asks for."""
    kind = Path(path).suffix.lower()
    if kind not in (".html", *STATIC):
        raise LosscopeError(f"--plot {str(path)!r} ends in {kind!r}; .html, .png, .svg or .pdf is wanted")
    return kind


def save(picture: Picture, path: str | Path) -> None:
    """Write a picture to a file.

    Raises:
        LosscopeError: another ending, or a file that cannot be written.
    """
    path = Path(path)
    kind = suffix(path)
    try:
        if path.parent != Path():
            path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".html":
            path.write_text(_page(picture()), encoding="utf-8")
        else:
            picture().savefig(path, dpi=150, bbox_inches="tight")
    except OSError as error:
        raise LosscopeError(f"cannot write the plot {str(path)!r}: {error.strerror}") from None


def _page(figure: Any) -> str:
    """A page that holds one figure and loads nothing."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", bbox_inches="tight")
    svg = drawn.getvalue()
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>losscope</title></head>'
    return f'{head}<body style="background:#fff">{svg[svg.index("<svg") :]}</body></html>'
