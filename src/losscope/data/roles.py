"""The parts that rows are given by: words and booleans of a split column, names of split folders."""

from __future__ import annotations

import numpy as np

from losscope.core.errors import require
from losscope.data.base import TEST, TRAIN, VALIDATION, Draft

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
    "query": TEST,
}


def set_role(draft: Draft, split: np.ndarray) -> None:
    """Set a draft's parts from words or from booleans (true is test); detect a class-disjoint split."""
    split = np.asarray(split)
    if split.dtype.kind in "iuf" and np.isin(split, (0, 1)).all():
        split = split.astype(bool)
    if split.dtype.kind == "b":
        draft.role = np.where(split, TEST, TRAIN).astype(np.int8)
    else:
        words = np.char.lower(split.astype(str))
        strange = sorted(set(words.tolist()) - ROLES.keys())
        require(
            not strange,
            f"{draft.name}: unknown split {', '.join(map(repr, strange[:3]))}; choices: train, validation, "
            "test",
        )
        draft.role = np.array([ROLES[word] for word in words], np.int8)
    draft.split = "split as given" + ("" if np.any(draft.role == VALIDATION) else ", validation by seed")
    if draft.labels is not None and len(draft.labels) == len(draft.role):
        test, rest = np.unique(draft.labels[draft.role == TEST]), np.unique(draft.labels[draft.role != TEST])
        draft.disjoint = len(test) > 0 and np.isin(test, rest).mean() < 0.5
