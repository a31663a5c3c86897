"""Figures to files: interactive for .html, static otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError

STATIC = (".png", ".svg", ".pdf")

Figures = tuple[Callable[[], Any], Callable[[], Any]]
"""Makers of one picture as plotly's and as matplotlib's figure."""


def suffix(path: str | Path) -> str:
    """The kind of picture that a path asks for."""
    kind = Path(path).suffix.lower()
    if kind not in (".html", *STATIC):
        raise LosscopeError(f"--plot {str(path)!r} ends in {kind!r}; .html, .png, .svg or .pdf is wanted")
    return kind


def save(figures: Figures, path: str | Path) -> None:
    """Write a picture to a file.

    Raises:
        LosscopeError: another ending, or a file that cannot be written.
    """
    interactive, static = figures
    path = Path(path)
    kind = suffix(path)
    try:
        if path.parent != Path():
            path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".html":
            path.write_text(interactive().to_html(include_plotlyjs=True), encoding="utf-8")
        else:
            static().savefig(path, dpi=150, bbox_inches="tight")
    except OSError as error:
        raise LosscopeError(f"cannot write the plot {str(path)!r}: {error.strerror}") from None
