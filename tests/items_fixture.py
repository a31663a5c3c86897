"""Made-up test items for pages: queries with neighbours, and scores of every class."""

from __future__ import annotations

import numpy as np

from losscope.core.results import ClassScores, Confusion, Examples, Neighbours, Result, ShownItem

TINY = b"\x89PNG\r\n\x1a\n" + bytes(24)
"""What begins as a PNG does; a page never decodes it."""


def examples(result: Result, classes: int = 10, rows: int = 60, text: str = "") -> Examples | None:
    """Eight queries of seed 0 under every side; the losses disagree on the first five."""
    names = [side.name for side in result.losses]
    if not names:
        return None
    rng = np.random.default_rng(19)
    labels = np.arange(rows) % classes
    queries = rng.permutation(rows)[:8]
    found = {}
    for name in (*names, *(side.name for side in result.baselines)):
        near = np.stack([rng.permutation(np.setdiff1d(np.arange(rows), [query]))[:5] for query in queries])
        found[name] = Neighbours(near, labels[near] == labels[queries][:, None])
    items = {row: ShownItem(text, TINY if row % 2 else b"") for row in range(rows)}
    alone = {name: 5 if not place else 0 for place, name in enumerate(names)}
    return Examples(
        seed=0,
        queries=queries,
        found=found,
        losses=len(names),
        labels=labels,
        asked=rows,
        apart=5 if len(names) > 1 else 0,
        beside=3,
        chosen=5 if len(names) > 1 else 0,
        alone=alone,
        items=items,
    )


def scores(result: Result, classes: int = 10) -> dict[str, ClassScores]:
    """Recall@1 of every class by seed, and some confusions, of every side."""
    rng = np.random.default_rng(23)
    out = {}
    for side in (*result.losses, *result.baselines):
        recall = np.clip(rng.normal(0.9, 0.05, size=(max(len(result.seeds), 1), classes)), 0, 1)
        confused = (Confusion(0, 1, 7), Confusion(classes - 1, 0, 2))
        out[side.name] = ClassScores(
            np.arange(classes), recall, np.full(classes, 40.0), confused, 0, len(result.seeds)
        )
    return out
