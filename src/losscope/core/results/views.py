"""Documents with a table and a page, and what a page draws besides their numbers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from pydantic import PrivateAttr

from losscope.core.results.base import Document
from losscope.core.results.examples import ClassScores, Examples
from losscope.core.results.forces import Force

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Columns: TypeAlias = "Mapping[str, np.ndarray] | pd.DataFrame"
"""Rows in columns of equal lengths."""


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Embeddings in two dimensions.

    Attributes:
        xy: the points, (n, 2).
        labels: their classes, (n,); −1 is the background.
        explained: the share of the variance on each axis, (2,), where it is known.
        items: the row of the test split that each point is, (n,), where it is known: the same item in the
            maps of all sides.
        epochs: the epochs of ``course``, (e,), 0 the start, where the run kept them.
        course: the same points at these epochs, (e, n, 2), on the axes of the last.
        by: how they were placed: on their two leading principal components, or by t-SNE.
    """

    xy: np.ndarray
    labels: np.ndarray
    explained: np.ndarray | None = None
    items: np.ndarray | None = None
    epochs: np.ndarray | None = None
    course: np.ndarray | None = None
    by: Literal["pca", "tsne"] = "pca"


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a page draws besides the numbers of its document.

    Attributes:
        traces: one row per loss, seed, split, epoch and name with its value, in columns of these names:
            arrays by their name, or a pandas frame.
        detail: arrays of each loss by name, such as ``per_class/intra_variance`` (seeds, classes) with
            ``per_class/label`` (classes,).
        maps: a map of the test embeddings of each loss, and of each side without training, of one seed.
        examples: queries with their nearest neighbours under each side.
        classes: how each side does on every class.
        forces: how each loss pulls and pushes by distance, where the study kept it.
    """

    traces: Columns | None = None
    detail: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    maps: Mapping[str, EmbeddingMap] = field(default_factory=dict)
    examples: Examples | None = None
    classes: Mapping[str, ClassScores] = field(default_factory=dict)
    forces: Mapping[str, Force] = field(default_factory=dict)


class Viewed(Document):
    """A document with a table and a page.

    The views are made by ``losscope.reporting``, which stands above this module: it is imported when a view
    is asked for, and here alone.
    """

    _evidence: Evidence | None = PrivateAttr(default=None)

    @property
    def evidence(self) -> Evidence | None:
        """The curves, arrays and maps that the page draws besides the numbers, where there are any."""
        return self._evidence

    def with_evidence(self, evidence: Evidence | None) -> Self:
        """The same document, its page drawn with curves, per-class arrays and maps; the JSON is unchanged."""
        copied = self.model_copy()
        copied._evidence = evidence
        return copied

    def __eq__(self, other: object) -> bool:
        """Whether both have one type and equal fields; what only the page draws does not count."""
        return type(other) is type(self) and self.__dict__ == other.__dict__

    def json(self) -> str:  # type: ignore[override]
        """The JSON text that ``--json`` prints."""
        return self.json_text()

    def table(self, format: str = "rich") -> Any:
        """The summary as a table: ``rich`` (for a terminal), or ``text``, ``md``, ``latex`` or ``csv``.

        Raises:
            LosscopeError: a format that the document does not have; the error names those that there are.
        """
        return _views().table(self, format)

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer, a figure and the table; without a script, everything escaped."""
        return in_notebook(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython prints: the answer, not every field."""
        printer.text(str(self))

    def page(self) -> str:
        """The page as the text of one HTML file."""
        text: str = _views().page(self)
        return text

    def report(self, path: str | Path) -> Path:
        """Write the page to a file, and its folder where there is none; gives the path.

        Raises:
            LosscopeError: the file cannot be written.
        """
        written: Path = _views().report(self, path)
        return written

    def export(self, folder: str | Path, format: str) -> list[Path]:
        """Write files for a paper into a folder; gives their paths.

        ``md`` and ``latex`` are the tables (sides, tested pairs, differences, trials, runs), the method and
        its BibTeX; ``csv`` and ``parquet`` tidy tables; ``json`` the document; ``png``, ``svg`` and ``pdf``
        the figures at paper size.

        Raises:
            LosscopeError: another format; a file in the way that losscope did not write; a folder that
                cannot be written.
        """
        written: list[Path] = _views().export(self, folder, format)
        return written


def in_notebook(document: Document) -> str:
    """A document as Jupyter and marimo show it."""
    shown: str = importlib.import_module("losscope.reporting.notebook").shown(document)
    return shown


def _views() -> Any:
    return importlib.import_module("losscope.reporting.views")
