"""Which rows of a draft are queries and which the gallery, from words, masks and positions."""

from __future__ import annotations

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles
from losscope.data.base import TEST, TRAIN, Draft
from losscope.data.labels import BACKGROUND, NONE, column, understood
from losscope.data.plain import plain_values

QUERY, GALLERY, BOTH, DISTRACTOR, JUNK = "query", "gallery", "both", "distractor", "junk"
WORDS = {
    "query": QUERY,
    "queries": QUERY,
    "probe": QUERY,
    "gallery": GALLERY,
    "index": GALLERY,
    "database": GALLERY,
    "both": BOTH,
    "query+gallery": BOTH,
    "query/gallery": BOTH,
    "distractor": DISTRACTOR,
    "distractors": DISTRACTOR,
    "junk": JUNK,
    "ignore": JUNK,
}
"""Words that give a test row its role in retrieval."""
TRUE = {"true", "yes", "t", "y", "1", "1.0"}
FALSE = {"false", "no", "f", "n", "0", "0.0", "", "nan", "none", "<na>"}
"""What a column of query or gallery marks says; an empty one, as of training rows, is false."""


def searched_by_words(draft: Draft, words: np.ndarray) -> None:
    """Set a draft's queries and gallery from words (N,) in small letters, where these name either."""
    named = np.array([WORDS.get(word, "") for word in words.tolist()])
    if not np.isin(named, (QUERY, GALLERY, BOTH)).any():
        return
    query, gallery = np.isin(named, (QUERY, BOTH)), np.isin(named, (GALLERY, BOTH, DISTRACTOR))
    set_searched(draft, query if query.any() else None, gallery if gallery.any() else None, named == JUNK)
    if (away := named == DISTRACTOR).any():
        make_background(draft, away)


def set_searched(
    draft: Draft, query: np.ndarray | None, gallery: np.ndarray | None, junk: np.ndarray | None = None
) -> None:
    """Set a draft's queries and gallery, boolean (N,); of one alone the other is all other test rows.

    Raises:
        LosscopeError: no row is a query, or none is searched.
    """
    assert draft.role is not None
    tests = draft.role != TRAIN
    others = draft.role == TEST
    if junk is not None:
        others = others & ~junk
    if query is None or gallery is None:
        given, what = (gallery, "gallery") if query is None else (query, "queries")
        assert given is not None
        rest = others & ~given
        missing = "queries" if query is None else "gallery"
        require(
            bool(rest.any()),
            f"{draft.name} has {int(given.sum()):,} rows named as {what} and no {missing}; wanted: rows of "
            "both, or the word test for rows that search each other",
        )
        draft.notes.append(f"no row is named as {missing}: the {int(rest.sum()):,} other test rows are")
        query, gallery = (rest, given) if query is None else (given, rest)
    assert query is not None and gallery is not None
    trained = int(((query | gallery) & ~tests).sum())
    if trained:
        draft.notes.append(f"{trained:,} training rows are marked as query or gallery, which changes nothing")
    query, gallery = query & tests, gallery & tests
    for marked, what in ((query, "a query"), (gallery, "of the gallery")):
        require(
            bool(marked.any()),
            f"{draft.name}: no test or validation row is {what}; wanted: rows of both, or no column of roles",
        )
    draft.retrieval = Roles(query, gallery)


def make_background(draft: Draft, rows: np.ndarray) -> None:
    """Take rows (N,) out of their classes: they are ranked in the gallery, and right for no query."""
    if draft.labels is None or len(draft.labels) != len(rows):
        return
    of = f"labels of {draft.name}"
    values = column(draft.labels, of)
    # Whether -1 is a class is not known yet: as one of the names it can still be either.
    ignore = (NONE,) if plain_values(values, of).whole else ()
    found = understood(values, of, names=draft.class_names, ignore=ignore)
    names, numbers = found.names, found.numbers
    if not draft.class_names and names[:1] == (str(BACKGROUND),):
        names = (*names[1:], names[0])
        numbers = np.where(numbers == 0, len(names) - 1, numbers - 1)
    labels = np.where(rows, BACKGROUND, numbers)
    lacking = found.missing & ~rows
    draft.labels = np.where(lacking, np.nan, labels) if lacking.any() else labels
    draft.class_names = names


def mask(values: np.ndarray, what: str, rows: int, positions: bool = False) -> np.ndarray:
    """A column of marks as boolean (rows,): true and false in words or numbers, or (positions) row numbers.

    Raises:
        LosscopeError: other words, another length, positions outside of the rows.

    >>> mask(np.array(["True", "no", ""]), "is_query", 3).tolist()
    [True, False, False]
    >>> mask(np.array([2, 0]), "query", 3, positions=True).tolist()
    [True, False, True]
    """
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)
    require(values.ndim == 1, f"{what} is of shape {values.shape}; wanted: one mark per row")
    numbers = values.dtype.kind in "iu"
    if positions and numbers and not (len(values) == rows and np.isin(values, (0, 1)).all()):
        outside = int(((values < 0) | (values >= rows)).sum())
        require(not outside, f"{what} names {outside:,} rows outside of 0…{rows - 1:,}; wanted: row numbers")
        found = np.zeros(rows, bool)
        found[values] = True
        return found
    require(len(values) == rows, f"{what} has {len(values):,} marks for {rows:,} rows; wanted: one per row")
    if values.dtype.kind == "b":
        return values
    written = np.char.strip(values.astype(str))
    words = np.char.lower(written)
    strange = sorted(word for word in set(written.tolist()) if word.lower() not in TRUE | FALSE)
    require(
        not strange,
        f"{what} holds {', '.join(map(repr, strange[:3]))}; wanted: true or false, 1 or 0, in every row",
    )
    return np.isin(words, list(TRUE))


def numbered_cameras(values: np.ndarray, used: np.ndarray, what: str) -> np.ndarray:
    """Cameras of any kind as int64 (N,).

    Raises:
        LosscopeError: another length, a row in use (N,) without one.
    """
    values = np.asarray(values)
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)
    require(
        values.shape == used.shape,
        f"{what} is of shape {values.shape} for {len(used):,} rows; wanted: one camera per row",
    )
    words = np.char.strip(values.astype(str))
    empty = int((np.isin(np.char.lower(words), ("", "nan", "none", "<na>")) & used).sum())
    if empty:
        raise LosscopeError(
            f"{what} is empty in {empty:,} of {int(used.sum()):,} query and gallery rows; "
            "wanted: a camera in each"
        )
    return np.unique(words, return_inverse=True)[1].astype(np.int64)
