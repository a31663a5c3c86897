"""Atlases that were made up: nothing in them was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from losscope.core.results import Atlas, AtlasEntry, AtlasGoal, AtlasSide, DataSketch

LOSSES = ("contrastive", "triplet", "info_nce", "sup_con", "arcface", "proxy_anchor", "multi_similarity")
INDIFFERENT = 0.01


def sketch(
    classes: int = 10,
    rows: int = 1000,
    dimension: int = 64,
    raw: float | None = 0.9,
    kind: str = "vectors",
    disjoint: bool = False,
) -> DataSketch:
    """What is known of made-up data."""
    return DataSketch(kind=kind, classes=classes, rows=rows, dimension=dimension, disjoint=disjoint, raw=raw)


def entry(
    name: str,
    means: Mapping[str, float],
    *,
    of: DataSketch,
    family: str | None = None,
    still: Mapping[str, float] | None = None,
    measure: str = "recall_at_1",
) -> AtlasEntry:
    """One data set with a mean of each loss, and of sides that train nothing."""
    best = max(means, key=lambda loss: means[loss])
    sides = [
        AtlasSide(name=loss, kind="loss", mean=mean, low=None, high=None) for loss, mean in means.items()
    ]
    sides += [
        AtlasSide(name=side, kind="raw" if side == "raw" else "closed form", mean=mean, low=None, high=None)
        for side, mean in (still or {}).items()
    ]
    goal = AtlasGoal(
        goal="retrieval",
        measure=measure,
        tested=True,
        sides=tuple(sides),
        best=best,
        members=tuple(loss for loss, mean in means.items() if mean >= means[best] - INDIFFERENT),
    )
    return AtlasEntry(
        name=name,
        family=family or name,
        described=f"{name}: made up",
        sketch=of,
        seeds=10,
        tuned=True,
        goals=(goal,),
        command=f"losscope compare {name}",
    )


def atlas(entries: Sequence[AtlasEntry], losses: Sequence[str] = LOSSES) -> Atlas:
    """An atlas of some data sets."""
    return Atlas(losses=tuple(losses), entries=tuple(entries), losscope="0.1.0", command="losscope atlas")


def noise(seed: int, data_sets: int = 14, *, lead: float = 0.0, variants: int = 1) -> Atlas:
    """Data sets on which losses differ by chance alone; the fourth leads everywhere by ``lead``.

    The first ``variants`` are of one family and share most of what their losses differ by.
    """
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.03, len(LOSSES))
    found = []
    for place in range(data_sets):
        shift = rng.normal(0, 0.03, len(LOSSES))
        if place < variants and variants > 1:
            shift = shared + shift / 10
        shift[3] += lead
        found.append(
            entry(
                f"set {place}",
                dict(zip(LOSSES, (0.7 + shift).tolist(), strict=True)),
                of=random_sketch(rng),
                family="variants" if place < variants and variants > 1 else None,
                still={"raw": 0.7 + rng.normal(0, 0.05), "lda": 0.7 + rng.normal(0, 0.05)},
            )
        )
    return atlas(found)


def random_sketch(rng: np.random.Generator) -> DataSketch:
    """Of made-up data as different as real ones are."""
    classes = int(10 ** rng.uniform(0.5, 2.5))
    return sketch(
        classes,
        classes * int(10 ** rng.uniform(1, 3)),
        int(10 ** rng.uniform(1, 3.5)),
        float(rng.uniform(0.3, 0.99)),
        str(rng.choice(["vectors", "features", "images"])),
        bool(rng.random() < 0.3),
    )


def by_classes(seed: int, data_sets: int = 16) -> Atlas:
    """Data sets of few classes, where triplet is the best by .1, and of many, where arcface is."""
    rng = np.random.default_rng(seed)
    found = []
    for place in range(data_sets):
        many = place % 2 == 1
        means = dict.fromkeys(LOSSES, 0.7) | {("arcface" if many else "triplet"): 0.8}
        means = {loss: mean + float(rng.normal(0, 0.005)) for loss, mean in means.items()}
        classes = int(10 ** rng.uniform(2.2, 2.6)) if many else int(10 ** rng.uniform(0.4, 0.8))
        found.append(
            entry(
                f"set {place}",
                means,
                of=sketch(classes, 100 * classes),
                still={"raw": 0.9 if many else 0.5},
            )
        )
    return atlas(found)
