"""``losscope.inspect``: one file of embeddings, or two of the same items, looked at without training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from losscope.core import wording
from losscope.core.errors import LosscopeError, require
from losscope.core.results import InspectedPair, Inspection
from losscope.data.readers.given import is_frame
from losscope.inspecting import pairs
from losscope.inspecting.reading import PARTS, Rows, is_place, joined, read_rows
from losscope.inspecting.relevance import matched
from losscope.inspecting.searching import Progress
from losscope.inspecting.single import look
from losscope.inspecting.writing import write, write_page


@overload
def inspect(
    embeddings: Any = None,
    labels: Any = None,
    *,
    query: Any = None,
    gallery: Any = None,
    relevance: Any = None,
    against: None = None,
    ids: Any = None,
    split: Any = None,
    exact: bool = False,
    queries: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    report: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Inspection: ...


@overload
def inspect(
    embeddings: Any = None,
    labels: Any = None,
    *,
    query: Any = None,
    gallery: Any = None,
    relevance: Any = None,
    against: Any,
    ids: Any = None,
    split: Any = None,
    exact: bool = False,
    queries: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    report: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> InspectedPair: ...


def inspect(
    embeddings: Any = None,
    labels: Any = None,
    *,
    query: Any = None,
    gallery: Any = None,
    relevance: Any = None,
    against: Any = None,
    ids: Any = None,
    split: Any = None,
    exact: bool = False,
    queries: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    report: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Inspection | InspectedPair:
    """What stands in embeddings of any model, and with ``against`` how two models of the same items differ.

    All is measured of the L2-normalised vectors (docs/inspect.md says what, and on how many rows).

    Args:
        embeddings: (N, D), an array, a tensor or nested lists; or a file or data set, as ``losscope.read``
            takes it.
            It may also be a data frame (pandas, polars, pyarrow), and anything that DLPack exports.
        labels: (N,) of any kind, or None; of a file the name of its array or column, if it is an unusual one.
            Several labels of a row are (N, C) of 0 and 1, or lists: right is what shares one with the query.
        query, gallery: instead of ``embeddings``: those that ask and those that are searched, each as
            ``embeddings`` may be; beside arrays ``labels`` and ``ids`` are then pairs of these, the queries'
            first.
        relevance: pairs of a query and an item that is right for it, by their ids, or by their places from 0
            where there are none: (P, 2), a data frame, or a file with columns query and gallery. They take
            the place of the labels in retrieval.
        against: a second model's embeddings of the same items, likewise: arrays in the same order; files are
            paired by id, or row by row if they have equal labels.
        ids: (N,) what tells the items apart; of a file the name of its array or column.
        split: (N,) words train, validation and test, or booleans (true is test); of a file likewise a name.
        exact: every row asks for its neighbours, and NMI is measured whatever its clustering takes. Otherwise
            all of 20,000 rows ask, and of more a sample, 5,000 at least.
        queries: so many rows ask.
        seed: of the samples, and of k-means.
        out: a parquet file to write: id, label, embedding, x, y, neighbours. Of one file only.
        report: a page to write, FILE.html: all tables, and a map.
        options: further options of the reader of files, as ``--option`` of the command line.
        progress: called with the rows that have asked and their number.

    Raises:
        LosscopeError: a file that cannot be read, embeddings that are no matrix, files of different items.

    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(40, 8)) + np.repeat(6 * np.eye(4, 8), 10, axis=0)
    >>> found = inspect(points, np.repeat(["a", "b", "c", "d"], 10))
    >>> found.classes, found.value("recall_at_1")
    (4, 1.0)
    >>> change = inspect(points, np.repeat([0, 1, 2, 3], 10), against=2 * points).change("recall_at_1")
    >>> change.difference, change.verdict  # 40 equal queries do not show that others differ by less than .01
    (0.0, 'unresolved')
    """
    require(queries is None or queries >= 2, f"queries is {queries}; wanted: at least 2")
    require(out is None or against is None, "out is written of one file; wanted: one file, or no out")
    if out is not None:
        require(
            Path(out).suffix == ".parquet",
            f"the file {str(out)!r} is no .parquet; wanted: a name FILE.parquet",
        )
    if report is not None:
        require(
            Path(report).suffix.lower() in (".html", ".htm"),
            f"the page {str(report)!r} is no .html; wanted: a name FILE.html",
        )
    given = dict(options or {})
    began = time.perf_counter()
    pair = query is not None or gallery is not None
    name = "a" if against is not None else "the embeddings"
    if pair:
        require(
            query is not None and gallery is not None and embeddings is None and against is None,
            "query and gallery are two parts of one model's embeddings; wanted: both of them, and no other "
            "embeddings",
        )
        first = _query_in_gallery(query, gallery, labels, ids, split, given)
    else:
        require(embeddings is not None, "there are no embeddings; wanted: a file, an array or a data frame")
        first = read_rows(embeddings, labels, ids, split, name, given)
    if against is None:
        if relevance is not None:
            first = matched(first, relevance)
        looked = look(first, exact=exact, queries=queries, seed=seed, progress=progress)
        written = None if out is None else str(write(looked, Path(out)))
        told = looked.told.model_copy(update={"seconds": time.perf_counter() - began, "out": written})
        return told if report is None else write_page(told, (looked,), Path(report))
    second = read_rows(against, labels, ids, split, "b", given)
    arrays = not (is_place(embeddings) or is_place(against))
    first, second, how = pairs.paired(first, second, in_order=arrays)
    if relevance is not None:
        first = matched(first, relevance)
        second = replace(second, matches=first.matches, roles=first.roles)

    def part_of_two(side: int) -> Progress | None:
        if progress is None:
            return None
        return lambda done, total: progress(side * total + done, 2 * total)

    a, b = (
        look(rows, exact=exact, queries=queries, seed=seed, progress=part_of_two(side))
        for side, rows in enumerate((first, second))
    )
    found = pairs.contrast(a, b, how, seed)
    told_of_both = found.model_copy(
        update={
            "headline": wording.inspected_pair(found),
            "findings": wording.inspected_pair_findings(found),
            "notes": (*wording.inspected_pair_notes(found), *wording.inspection_sample(found.a)),
            "seconds": time.perf_counter() - began,
        }
    )
    return told_of_both if report is None else write_page(told_of_both, (a, b), Path(report))


def _query_in_gallery(
    query: Any, gallery: Any, labels: Any, ids: Any, split: Any, options: dict[str, Any]
) -> Rows:
    """The queries and the gallery as the rows of one file; names of columns hold for both."""
    require(split is None, "split is given beside a query and a gallery; wanted: one file that has a split")
    sides = []
    for side, given in enumerate((query, gallery)):
        named = is_place(given) or is_frame(given)
        own = []
        for what, value in (("labels", labels), ("ids", ids)):
            two = isinstance(value, tuple | list) and len(value) == 2
            if value is not None and not named and not two:
                raise LosscopeError(
                    f"{what} beside arrays of query and gallery; wanted: a pair, ({what} of both)"
                )
            own.append(value[side] if two else value)
        sides.append(read_rows(given, own[0], own[1], None, PARTS[side], options))
    return joined(*sides)
