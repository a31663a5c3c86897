"""The parts that rows are given by: words and booleans of a split column, names of split folders."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from losscope.core.errors import require
from losscope.data.base import TEST, TRAIN, VALIDATION, Draft
from losscope.data.plain import unpacked
from losscope.data.searching import WORDS, searched_by_words

ROLES = {
    "train": TRAIN,
    "training": TRAIN,
    "trn": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "eval": TEST,
    "tr": TRAIN,
    "vali": VALIDATION,
    "tst": TEST,
    "te": TEST,
    "evaluation": TEST,
    "holdout": TEST,
    "hold-out": TEST,
    "hold_out": TEST,
    "heldout": TEST,
    "held-out": TEST,
    "publictest": VALIDATION,
    "privatetest": TEST,
    **dict.fromkeys(WORDS, TEST),
}
YES, NO = ("1", "1.0", "true"), ("0", "0.0", "false")
AGREED, DENIED = (*YES, "yes", "y", "t"), (*NO, "no", "n", "f")
"""What a column whose name asks (``is_train``) may answer."""
ASKS = re.compile(r"^i[sn]_")
YEAR = re.compile(r"^([a-z]{2,})[-_ ]?(19|20)\d\d$")


def role_of(word: str) -> int | None:
    """The part that a word names, whatever its case, blanks around it and year; None for none.

    >>> role_of(" Val "), role_of("train2017") == TRAIN, role_of("later")
    (1, True, None)
    """
    word = word.strip().lower()
    year = YEAR.match(word)
    return ROLES.get(year[1] if year else word)


def asked_part(name: str) -> int | None:
    """The part that a column's name asks for, if its cells answer yes or no; None for another name.

    >>> asked_part("is_val"), asked_part("in_train") == asked_part("train") == TRAIN, asked_part("split")
    (1, True, None)
    """
    name = name.lower()
    base = ASKS.sub("", name)
    if base != name or name in ("train", "holdout"):
        return ROLES.get(base, TEST)
    return None


def is_split(column: Any, name: str) -> bool:
    """Whether a column (a pandas series) of a name that may mean something else tells the parts.

    Booleans do where the name says of what (``is_train``); others may be a feature.
    """
    words = {str(word).strip().lower() for word in column.dropna().unique()[:100]}
    named = {role_of(word) for word in words}
    return len(words) > 0 and (
        (asked_part(name) is not None and words <= {*AGREED, *DENIED})
        or (None not in named and len(named) > 1)
    )


def set_role(draft: Draft, split: np.ndarray, column: str = "") -> None:
    """Set a draft's parts from words or from booleans (true is test).

    ``column`` is the name it has: true in ``is_train`` is training, in ``is_val`` validation. Where there are
    validation rows and no test rows, these are the test part, which is noted.

    Raises LosscopeError for words that name no part.
    """
    split = np.asarray(split)
    if split.dtype == object:
        split = unpacked(split, f"words of the split of {draft.name}")
    written = np.char.strip(split.astype(str))
    words = np.char.lower(written)
    asked = asked_part(column)
    asks = asked is not None
    yes, no = (AGREED, DENIED) if asks else (YES, NO)
    if np.isin(words, (*yes, *no)).all():
        true = TEST if asked is None else asked
        draft.role = np.where(np.isin(words, yes), true, TEST if true == TRAIN else TRAIN).astype(np.int8)
        if not asks and split.dtype.kind != "b":
            draft.notes.append(
                f"{column or 'the split'} holds 0 and 1: 0 is read as training and 1 as test; words (train, "
                "validation, test) say it better"
            )
    else:
        parts = {word: role_of(word) for word in np.unique(words).tolist()}
        strange = [word for word in np.unique(written).tolist() if parts[word.lower()] is None]
        require(
            not strange,
            f"{draft.name}: unknown split {', '.join(map(repr, strange[:3]))}; choices: train, validation, "
            "test",
        )
        draft.role = np.array([parts[word] for word in words.tolist()], np.int8)
    if np.any(draft.role == VALIDATION) and np.any(draft.role == TRAIN) and not np.any(draft.role == TEST):
        count = int((draft.role == VALIDATION).sum())
        draft.role = np.where(draft.role == VALIDATION, TEST, draft.role).astype(np.int8)
        draft.notes.append(
            f"the split has no test rows: its {count:,} validation rows are the test part, and validation is "
            "taken from the training rows by seed"
        )
    searched_by_words(draft, words)
    draft.split = "split as given" + ("" if np.any(draft.role == VALIDATION) else ", validation by seed")
    draft.disjoint = None  # whether its classes are is seen when the labels are understood


def refuse_lone_part(draft: Draft) -> None:
    """Raise where a split says the same of every row, which can be inspected and not trained on."""
    if draft.role is None or draft.retrieval is not None:
        return
    parts = set(np.asarray(draft.role).tolist())
    names = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
    require(
        len(parts) != 1,
        f"{draft.name}: the split says {names[min(parts)]!r} of every row; wanted: training and test rows "
        "(words train, validation, test), or no such column: then a test part is made",
    )
