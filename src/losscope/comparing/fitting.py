"""A study's batch made to fit its data, before anything is trained, so that the runs' ids say what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from losscope.comparing import tuning
from losscope.core import registry
from losscope.core.errors import require
from losscope.core.quantities import GOALS
from losscope.core.spec import Protocol, ResolvedStudy

if TYPE_CHECKING:
    from losscope.data import Source
    from losscope.data.base import About

SMALLEST = 4
"""Rows of the smallest batch that a study is given: two classes of two rows."""
ACROSS = ("retrieval", "cross-modal")
"""The goals of pairs without classes; the last is of two modalities alone."""


def fitted(study: ResolvedStudy, source: Source) -> tuple[ResolvedStudy, tuple[str, ...]]:
    """The study with a batch that its smallest training part can fill, and what is said of it.

    A protocol's batch that is larger becomes the largest power of two that is at most half of the part, so
    that an epoch has two steps at least; a balanced one holds fewer classes where it must. Explicit tuples
    are not drawn from rows and stay as they are.

    Raises:
        LosscopeError: the user's own batch size is larger than the part, or the part is too small for any.
    """
    shape = study.protocol
    train = source.splits(study.seeds[0]).train if source.facts.tuples else None
    if train is not None:
        found = train.pairs if train.triplets is None else train.triplets
        count = 0 if found is None else len(found)
        few = f"the training part has {count:,} explicit tuples, fewer than the batch of {shape.batch_size}"
        return study, (f"{few}: every batch is all of them",) if count < shape.batch_size else ()
    rows, classes = _smallest(study, source)
    if shape.batch_size <= rows:
        return study, ()
    require(
        study.given.batch_size is None and rows >= SMALLEST,
        f"the batch size is {shape.batch_size} and there are {rows} training rows; "
        f"give --batch-size at most {rows}",
    )
    fits = _fits(shape, rows, classes)
    each = f", of {fits.classes_per_batch} classes each" if _per_batch(fits) < _per_batch(shape) else ""
    sentence = (
        f"the batch is {fits.batch_size} rows{each}, because a training part of {rows} rows cannot fill the "
        f"{shape.batch_size} of the protocol {shape.name!r}; --batch-size gives another"
    )
    return study.model_copy(update={"protocol": fits}), (sentence,)


def _smallest(study: ResolvedStudy, source: Source) -> tuple[int, int]:
    """The fewest rows that any seed of the study draws batches from, and their fewest classes."""
    seeds = (*study.seeds, *(tuning.SEEDS if study.tunes else ())) if source.redrawn else study.seeds[:1]
    rows, classes = [], []
    for seed in seeds:
        labels = source.training_labels(seed)
        if study.protocol.background == "exclude":
            labels = labels[labels != -1]
        rows.append(len(labels))
        classes.append(len(np.unique(labels)))
    return min(rows), min(classes)


def _fits(shape: Protocol, rows: int, classes: int) -> Protocol:
    size = max(SMALLEST, 2 ** int(np.log2(rows // 2)))
    if shape.batching != "balanced":
        return shape.model_copy(update={"batch_size": size})
    several = min(shape.classes_per_batch, classes)
    return shape.model_copy(update={"batch_size": size, "classes_per_batch": max(2, min(several, size // 2))})


def _per_batch(shape: Protocol) -> int:
    return shape.classes_per_batch if shape.batching == "balanced" else 0


def for_overlap(study: ResolvedStudy, facts: About) -> ResolvedStudy:
    """The study for rows with several labels each: partners are drawn inside a batch, by shared labels.

    Raises:
        LosscopeError: a goal or a loss that wants one class for each row.
    """
    if not facts.several:
        return study
    goal, losses = study.given.goal, registry.entries("loss").items()
    require(
        goal in ACROSS,
        f"the goal {goal!r} wants one class for each row, and {facts.name} has several labels in a row; "
        f"choices: {', '.join(ACROSS)}",
    )
    fit = [name for name, found in losses if not (found.facts.class_vectors or found.facts.faulty)]
    for spec in study.losses:
        require(
            spec.facts is not None and not spec.facts.class_vectors,
            f"the loss {spec.name!r} wants one class for each row, and {facts.name} has several labels in a "
            f"row; choices: {', '.join(fit)}",
        )
    return study.model_copy(update={"protocol": study.protocol.model_copy(update={"partners": "batch"})})


def for_pairs(study: ResolvedStudy, facts: About) -> ResolvedStudy:
    """The study for two modalities; where these have no classes, its batches are of random items.

    Raises:
        LosscopeError: a goal or a loss that wants classes where there are none, or two modalities.
    """
    goal, title = study.given.goal, f"the goal {study.given.goal!r}"
    if facts.kind != "pair":
        require(
            goal != ACROSS[-1],
            f"{title} wants two modalities, and {facts.name} has one; choices: "
            f"{', '.join(name for name in GOALS if name != goal)}",
        )
        return study
    require(
        goal != "classification",
        f"{title} compares rows of one modality with training rows, and {facts.name} has two; choices: "
        f"{', '.join(name for name in GOALS if name != goal)}",
    )
    require(
        not facts.by_item or goal in ACROSS,
        f"{title} wants classes, and {facts.name} has pairs without classes; choices: {', '.join(ACROSS)}",
    )
    known = registry.entries("loss").items()
    fit = [name for name, found in known if not (found.facts.class_vectors or found.facts.faulty)]
    for spec in study.losses:
        require(
            not (facts.by_item and spec.facts is not None and spec.facts.class_vectors),
            f"the loss {spec.name!r} learns one vector per class, and {facts.name} has pairs without "
            f"classes; choices: {', '.join(fit)}, or data with labels",
        )
    if not facts.by_item:
        return study
    return study.model_copy(
        update={"protocol": study.protocol.model_copy(update={"batching": "shuffled", "partners": "batch"})}
    )
