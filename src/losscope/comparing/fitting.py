"""A study's batch made to fit its data, before anything is trained, so that the runs' ids say what ran."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from losscope.comparing import tuning
from losscope.core import registry
from losscope.core.errors import require
from losscope.core.quantities import GOALS
from losscope.core.spec import Protocol, ResolvedStudy
from losscope.core.wording import sizes_that_fit

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
        rows >= SMALLEST,
        f"{source.facts.name} has {rows} training rows in its smallest part; wanted: at least {SMALLEST}, "
        "the rows of the smallest batch",
    )
    least = 2 * max(2, min(shape.classes_per_batch, classes)) if shape.batching == "balanced" else 2
    require(
        study.given.batch_size is None,
        f"the batch size is {shape.batch_size} and there are {rows} training rows; "
        f"{sizes_that_fit(least, rows)}",
    )
    fits = _fits(shape, rows, classes)
    each = f", of {fits.classes_per_batch} classes each" if _per_batch(fits) < _per_batch(shape) else ""
    sentence = (
        f"the batch is {fits.batch_size} rows{each}, because a training part of {rows} rows cannot fill the "
        f"{shape.batch_size} of the protocol {shape.name!r}; --batch-size gives another"
    )
    return study.model_copy(update={"protocol": fits}), (sentence,)


def sized(study: ResolvedStudy, facts: About) -> ResolvedStudy:
    """The study with an embedding no larger than the inputs that a linear head on them starts from.

    Raises:
        LosscopeError: the user's own embedding size is larger, or a transform of what is no vector.
    """
    shape = study.protocol
    require(
        shape.transform == "none" or study.kind in ("vectors", "features"),
        f"the transform {shape.transform!r} is for vectors and features, and {facts.name} has "
        f"{'two modalities' if study.kind == 'pair' else study.kind}; choices: none",
    )
    if shape.start == "random" or facts.pending:
        return study
    size = math.prod(facts.shape)
    require(
        shape.embedding_size <= size or study.given.embedding_size is None,
        f"the embedding size is {shape.embedding_size:,} and the inputs have {size:,} dimensions; a head "
        f"that starts as {shape.start} has no more; give --embedding-size {size:,} or --start random",
    )
    own = shape.model_copy(update={"embedding_size": min(shape.embedding_size, size)})
    return study.model_copy(update={"protocol": own})


def _smallest(study: ResolvedStudy, source: Source) -> tuple[int, int]:
    """The fewest rows that any seed of the study draws batches from, and their fewest classes."""
    from losscope.data.trials import for_trials

    trials = for_trials(source, study.protocol.name)
    drawn = [(source, seed) for seed in (study.seeds if source.redrawn else study.seeds[:1])]
    if study.tunes and source.redrawn:
        drawn += [(trials, seed) for seed in tuning.SEEDS]
    rows, classes = [], []
    for own, seed in drawn:
        labels = own.training_labels(seed)
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

    No head starts at the closed form that is fitted to one class for each row.

    Raises:
        LosscopeError: a goal, a loss or a start that wants one class for each row.
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
    start = study.protocol.start
    require(
        start != "whitened",
        f"the start {start!r} wants one class for each row, and {facts.name} has several labels in a row; "
        "choices: pca, random",
    )
    shape = study.protocol.model_copy(update={"partners": "batch"})
    return study.model_copy(update={"protocol": shape, "starts": ("pca",)})


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
        require(
            not facts.of_pairs or goal == ACROSS[0],
            f"{title} wants classes, and {facts.name} has pairs without classes; choices: {ACROSS[0]}",
        )
        _refuse_class_vectors(study, facts)
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
    _refuse_class_vectors(study, facts)
    study = study.model_copy(update={"joint": facts.joint})
    if not facts.by_item:
        return study
    return study.model_copy(
        update={"protocol": study.protocol.model_copy(update={"batching": "shuffled", "partners": "batch"})}
    )


def _refuse_class_vectors(study: ResolvedStudy, facts: About) -> None:
    """Raise for a loss with one vector per class on pairs without classes."""
    if not (facts.by_item or facts.of_pairs):
        return
    known = registry.entries("loss").items()
    fit = [name for name, found in known if not (found.facts.class_vectors or found.facts.faulty)]
    for spec in study.losses:
        require(
            spec.facts is None or not spec.facts.class_vectors,
            f"the loss {spec.name!r} learns one vector per class, and {facts.name} has pairs without "
            f"classes; choices: {', '.join(fit)}, or data with labels",
        )
