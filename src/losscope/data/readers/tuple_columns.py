"""Which columns of a file of pairs or triplets mean what: by their names, else by their order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from losscope.core.errors import LosscopeError, require

Columns = Mapping[str, np.ndarray]
SAME = [
    "same",
    "is_same",
    "same_class",
    "target",
    "targets",
    "label",
    "labels",
    "y",
    "match",
    "is_match",
    "matching",
    "positive",
    "is_positive",
    "similar",
    "is_similar",
    "similarity",
    "duplicate",
    "is_duplicate",
    "relevant",
    "relevance",
    "gold",
    "truth",
    "class",
    "value",
    "score",
]
"""Names of the third column of pairs, where 1 is the same class."""
DIFFERENT = [
    "different",
    "is_different",
    "differs",
    "diff",
    "dissimilar",
    "is_dissimilar",
    "negative",
    "is_negative",
    "distance",
]
"""Names of the third column where 1 is another class."""
ORDERED = (
    ("anchor", "a", "anc", "anchors", "query", "q", "anchor_id", "anchor_idx", "i"),
    ("positive", "p", "pos", "positives", "positive_id", "positive_idx", "pos_id", "j"),
    ("negative", "n", "neg", "negatives", "negative_id", "negative_idx", "neg_id", "k"),
)
"""Names of the columns of triplets."""
ENDS = tuple(
    tuple(pair.split("/"))
    for pair in [
        "i/j",
        "a/b",
        "first/second",
        "left/right",
        "u/v",
        "x1/x2",
        "s1/s2",
        "id1/id2",
        "id_1/id_2",
        "idx1/idx2",
        "idx_1/idx_2",
        "row1/row2",
        "item1/item2",
        "file1/file2",
        "path1/path2",
        "image1/image2",
        "img1/img2",
        "name1/name2",
        "anchor/other",
        "query/item",
        "index1/index2",
        "index_1/index_2",
        "item_1/item_2",
        "image_1/image_2",
        "anchor/positive",
    ]
)
"""Names of the two rows of a pair."""
COUNTER = re.compile(r"^(unnamed: \d+|index|level_0|)$")
YES = {"1", "1.0", "true", "t", "yes", "y", "same", "positive", "pos", "match", "+1", "similar", "duplicate"}
NO = {"0", "0.0", "false", "f", "no", "n", "different", "diff", "negative", "neg", "dissimilar", "-1", "-1.0"}


@dataclass(frozen=True)
class TupleColumns:
    """The columns of a file of tuples: the rows that a tuple names, and for pairs the column that says same.

    ``inverted``: 1 in ``same`` is another class. ``notes`` are sentences on what was chosen.
    """

    rows: tuple[str, ...]
    same: str | None
    inverted: bool
    notes: tuple[str, ...]


def pair_columns(columns: Columns, where: str) -> TupleColumns:
    """The columns of pairs.

    Raises LosscopeError for fewer than two, and where the names leave open which they are.

    >>> pair_columns({"j": np.arange(2), "i": np.arange(2), "target": np.ones(2)}, "pairs.csv").rows
    ('i', 'j')
    """
    kept, notes = _without_counter(columns, 3)
    require(len(kept) >= 2, f"{where} has {len(kept)} columns; wanted: columns i, j, same")
    ends = next((pair for pair in ENDS if set(pair) <= set(kept)), None)
    others = [name for name in kept if ends is None or name not in ends]
    named = [name for name in (*SAME, *DIFFERENT) if name in others]
    if len(named) > 1 and "same" in named:
        named = ["same"]
    require(
        len(named) < 2 or len(kept) == 3,
        f"{where} has several columns that may say same or different: {', '.join(named)}; "
        "wanted: one, called "
        "same",
    )
    third = named[0] if len(named) == 1 else None
    rest = [name for name in others if name != third]
    if ends is None and len(rest) == 2 and third is not None:
        ends = (rest[0], rest[1])
    elif ends is None and third is None and len(kept) in (2, 3):
        ends, third = (kept[0], kept[1]), kept[2] if len(kept) == 3 else None
    elif ends is not None and third is None and len(rest) == 1:
        third = rest[0]
    elif ends is None or (third is None and rest):
        raise LosscopeError(
            f"{where} has columns {', '.join(kept[:8])}, and it is not clear which are the "
            "two rows and which "
            "says same or different; wanted: columns i, j, same"
        )
    assert ends is not None
    unused = [name for name in kept if name not in (*ends, third)]
    if third is None:
        notes.append(f"{where} has no third column: every pair is taken as of one class")
    else:
        notes.append(f"{where}: rows are {ends[0]} and {ends[1]}, same or different is {third}")
    if unused:
        notes.append(f"{where}: not used are the columns {', '.join(unused[:8])}")
    return TupleColumns(ends, third, third in DIFFERENT, tuple(notes))


def triplet_columns(columns: Columns, where: str) -> TupleColumns:
    """The columns of triplets.

    Raises LosscopeError for fewer than three, and for more of unknown names.

    >>> triplet_columns(dict.fromkeys("npa", np.ones(2)), "t.csv").rows
    ('a', 'p', 'n')
    """
    kept, notes = _without_counter(columns, 3)
    wanted = "columns anchor, positive, negative"
    require(len(kept) >= 3, f"{where} has {len(kept)} columns; wanted: {wanted}")
    rows = [next((name for name in names if name in kept), None) for names in ORDERED]
    chosen = tuple(name for name in rows if name is not None)
    if len(chosen) < 3:
        require(
            len(kept) == 3,
            f"{where} has columns {', '.join(kept[:8])}, and it is not clear which are the triplet; wanted: "
            f"{wanted}",
        )
        # Two columns named as a pair's and a third that says same are no triplet.
        require(
            not set(kept) & {"same", "is_same", "target", "label"},
            f"{where} has columns {', '.join(kept)}, which are pairs; wanted: {wanted}, or "
            "give it by --pairs",
        )
        chosen = tuple(kept)
    notes.append(f"{where}: anchor, positive and negative are {', '.join(chosen)}")
    unused = [name for name in kept if name not in chosen]
    if unused:
        notes.append(f"{where}: not used are the columns {', '.join(unused[:8])}")
    return TupleColumns(chosen, None, False, tuple(notes))


def _without_counter(columns: Columns, wanted: int) -> tuple[list[str], list[str]]:
    """The columns but for an index that was written along, and a note of it."""
    kept = list(columns)
    counting = [
        name
        for name in kept
        if (COUNTER.match(name) or name == kept[0])
        and columns[name].dtype.kind in "iu"
        and np.array_equal(columns[name], np.arange(len(columns[name])))
    ]
    # A first column that counts is an index only where its name says so or there is one column too many.
    drop = [name for name in counting if COUNTER.match(name) or len(kept) > wanted][:1]
    return [name for name in kept if name not in drop], [
        f"the column {name or 'without a name'!r} counts the rows and is not used" for name in drop
    ]


def told_same(values: np.ndarray, inverted: bool, column: str, where: str) -> tuple[np.ndarray, list[str]]:
    """1 (same) or 0 (different) for every pair, int64, from numbers, booleans or words; and notes.

    Raises LosscopeError for anything else, with what was found and how to write it.

    >>> told_same(np.array(["yes", "no"]), False, "match", "pairs.csv")[0].tolist()
    [1, 0]
    """
    notes = []
    words = np.char.strip(np.char.lower(values.astype(str)))
    if values.dtype.kind not in "iufbUSO":
        words = np.full(len(values), "?")
    yes, no = np.isin(words, list(YES)), np.isin(words, list(NO))
    strange = ~(yes | no)
    minus = np.isin(words, ["-1", "-1.0"])
    if strange.any() or (minus.any() and np.isin(words, ["0", "0.0"]).any()):
        shown = ", ".join(dict.fromkeys(words[strange if strange.any() else ~yes][:100].tolist()))[:80]
        raise LosscopeError(
            f"{where}: the third column must be 1 (same) or 0 (different) in every row, and {column!r} holds "
            f"{shown}; wanted: 1 or 0; a graded similarity needs a threshold of your own"
        )
    if minus.any():
        notes.append(f"{where}: −1 in {column} is taken as different")
    if inverted:
        yes = no
        notes.append(f"{where}: 1 in {column} means different")
    return yes.astype(np.int64), notes
