"""What stands for a test item on the page: its picture, its text or name, or the number of its row."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from losscope.core import wording
from losscope.core.results import Examples
from losscope.reporting.figure import class_name
from losscope.reporting.parts import environment

SHORT = 28
"""Characters of a class on a card; the whole stands where it is hovered and read out."""
LABELS = 3
"""Labels of an item that are named; the rest is counted."""
KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"RIFF": "image/webp"}
"""How the files that are shown begin."""


@dataclass(frozen=True)
class Face:
    """What stands for one row.

    Attributes:
        row: its place in the test part.
        classes: its class in words, or its labels.
        text: its text or its name, empty where it has none.
        picture: a data URI, empty where there is none.
    """

    row: int
    classes: str
    text: str = ""
    picture: str = ""

    @property
    def said(self) -> str:
        """The item in words, for those who do not see it."""
        return (
            f"test row {self.row}, {self.classes}{f': {wording.shorten(self.text, 60)}' if self.text else ''}"
        )

    @property
    def brief(self) -> str:
        """Its class, shortened."""
        return wording.shorten(self.classes, SHORT)


def card(macro: str, *values: Any) -> Markup:
    """Markup from a macro of ``cards.html``; every value is escaped."""
    return Markup(getattr(environment().get_template("cards.html").module, macro)(*values))


def faces(found: Examples, names: Sequence[str] | None) -> dict[int, Face]:
    """What stands for each row that a page shows."""
    out = {}
    for row in found.shown:
        item = found.items.get(row)
        text, picture = ("", b"") if item is None else (item.text, item.picture)
        out[row] = Face(row, classes_of(found.labels[row], names), text, uri(picture))
    return out


def classes_of(label: np.ndarray | np.integer, names: Sequence[str] | None) -> str:
    """The class of a row in words, or its labels.

    >>> classes_of(np.int64(1), ("cat", "dog")), classes_of(np.array([1, 1, 0]), None)
    ('dog', '0, 1')
    """
    if np.ndim(label) == 0:
        return "background" if int(label) < 0 else class_name(label, names)
    places = np.flatnonzero(label)
    told = ", ".join(class_name(place, names) for place in places[:LABELS])
    return f"{told} and {len(places) - LABELS} more" if len(places) > LABELS else told or "no label"


def uri(picture: bytes) -> str:
    """A PNG or WebP file as a data URI; nothing for any other bytes.

    >>> uri(b"<svg>")
    ''
    """
    kind = next((kind for start, kind in KINDS.items() if picture.startswith(start)), None)
    return "" if kind is None else f"data:{kind};base64,{base64.b64encode(picture).decode()}"


def sheet(known: Mapping[int, Face]) -> Markup:
    """Every picture once, as symbols that the page's thumbnails refer to."""
    symbols = Markup("").join(
        Markup(
            '<symbol id="item-{}" viewBox="0 0 1 1"><image width="1" height="1" href="{}"/></symbol>'
        ).format(row, face.picture)
        for row, face in known.items()
        if face.picture
    )
    return Markup('<svg class="sheet" aria-hidden="true">{}</svg>').format(symbols) if symbols else Markup("")
