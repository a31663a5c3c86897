"""What the page of a study draws besides the numbers, read from its runs; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from losscope.comparing.examples import class_scores, examples_of, label_scores
from losscope.comparing.kept import Kept
from losscope.core.planes import Plane
from losscope.core.results import ClassScores, Columns, EmbeddingMap, Evidence, ShownItem
from losscope.run.store import Stored
from losscope.run.trace import COLUMNS

Arrays = Mapping[str, np.ndarray]
Runs = Sequence[tuple[Stored, Arrays]]
"""The runs of one side, in the order of their seeds, each with its arrays (none where it failed)."""
POINTS = 1500
"""Of a map, at most."""


def evidence_of(
    losses: Mapping[str, Runs],
    beside: Mapping[str, Runs],
    *,
    by_item: bool = False,
    items: Mapping[int, ShownItem] | None = None,
) -> Evidence:
    """What the page draws besides the numbers.

    Args:
        losses: the runs of each loss, as it was chosen.
        beside: those of the sides that train nothing.
        by_item: each item is its own class, so that classes have no scores.
        items: what stands for the test rows of the first seed.
    """
    there = {loss: own for loss, own in losses.items() if own}
    others = {name: own for name, own in beside.items() if own}
    seed, kept = first_kept(there, others)
    arrays = {
        name: next((found for run, found in own if run.run.seed == seed), {})
        for name, own in {**there, **others}.items()
    }
    trained = {name: own for name, own in kept.items() if name in there}
    untrained = {name: own for name, own in kept.items() if name in others}
    examples = examples_of(trained, untrained, arrays, seed)
    if examples is not None and items:
        examples = replace(examples, items=items)
    return Evidence(
        _traces(there),
        _detail(there),
        _maps(kept, {name: _course(own, seed) for name, own in there.items()}),
        examples,
        {} if by_item else _classes({**there, **others}, any(own.several for own in kept.values())),
    )


def _classes(sides: Mapping[str, Runs], several: bool) -> dict[str, ClassScores]:
    """How each side does on every class, or label of rows that have several, by its complete runs."""
    whole = {name: [pair for pair in own if pair[0].failed is None] for name, own in sides.items()}
    if not several:
        return class_scores({name: [found for _, found in own] for name, own in whole.items() if own})
    tables = {
        name: [(run.embeddings()["labels"], found) for run, found in own if run.keeps("test.npz")]
        for name, own in whole.items()
    }
    return label_scores(tables)


def first_kept(losses: Mapping[str, Runs], beside: Mapping[str, Runs]) -> tuple[int, dict[str, Kept]]:
    """The first seed of which a loss keeps its test embeddings, and what every side keeps of it."""
    seeds = sorted({run.run.seed for own in losses.values() for run, _ in own if run.keeps("test.npz")})
    if not seeds:
        return 0, {}
    found = {}
    for name, own in {**losses, **beside}.items():
        run = next((run for run, _ in own if run.run.seed == seeds[0]), None)
        kept = None if run is None else Kept.of(run)
        if kept is not None:
            found[name] = kept
    return seeds[0], found


def _traces(losses: Mapping[str, Runs]) -> Columns:
    """All epoch traces in columns: loss, seed, split, epoch, name, value."""
    runs = [(loss, run) for loss, own in losses.items() for run, _ in own if run.has_trace]
    lengths = [len(run.columns.value) for _, run in runs]
    names = np.array([loss for loss, _ in runs], dtype=object)
    seeds = np.array([run.run.seed for _, run in runs], dtype=np.int64)
    found = {"loss": names.repeat(lengths), "seed": seeds.repeat(lengths)}
    for column in COLUMNS:
        parts = [getattr(run.columns, column) for _, run in runs]
        found[column] = np.concatenate(parts) if parts else np.empty(0, dtype=object)
    return found


def _detail(losses: Mapping[str, Runs]) -> dict[str, dict[str, np.ndarray]]:
    """Per-class arrays over seeds, (S, C); labels once, (C,). Of the training set where geometry is."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for loss, own in losses.items():
        arrays = [table for run, table in own if run.failed is None]
        if not arrays:
            continue
        prefix = "train/" if "train/per_class/label" in arrays[0] else ""
        labels = arrays[0].get(f"{prefix}per_class/label")
        kept: dict[str, np.ndarray] = {}
        for name in arrays[0]:
            if name.startswith(f"{prefix}per_class/") and not name.endswith("/label"):
                rows = [table[name] for table in arrays if table[name].shape == arrays[0][name].shape]
                kept[name.removeprefix(prefix)] = np.stack(rows)
        if labels is not None:
            kept["per_class/label"] = labels
        found[loss] = kept
    return found


def _course(runs: Runs, seed: int) -> Arrays:
    """Where a loss's test embeddings were at earlier epochs; empty where its run did not keep it."""
    return next((run.npz("course.npz") for run, _ in runs if run.run.seed == seed), {})


def _maps(kept: Mapping[str, Kept], courses: Mapping[str, Arrays]) -> dict[str, EmbeddingMap]:
    """A map of the test embeddings of each side, of the same rows where they are as many."""
    counts = {len(own) for own in kept.values()}
    told = {name: course for name, course in courses.items() if course and name in kept}
    rows = next((course["rows"] for course in told.values()), None)
    if rows is None or len(counts) > 1 or rows.max(initial=0) >= min(counts):
        told, rows = {}, None
    return {name: _map(own, rows, told.get(name)) for name, own in kept.items()}


def _map(kept: Kept, rows: np.ndarray | None, course: Arrays | None) -> EmbeddingMap:
    """The map of one side, at those rows; without any a draw that is the same for all as many."""
    if rows is None:
        rows = np.arange(len(kept))
        if len(rows) > POINTS:
            rows = np.sort(np.random.default_rng(0).choice(len(rows), POINTS, replace=False))
    # Of rows with several labels a map shows the first.
    labels = kept.labels.argmax(1) if kept.several else kept.labels
    own = labels[rows].astype(np.int64)
    if course is None or not np.array_equal(course["rows"], rows):
        plane = Plane.of(kept.embeddings)
        return EmbeddingMap(plane.place(kept.embeddings[rows]), own, plane.explained, rows)
    # The axes are kept: another machine may find the same plane turned or mirrored.
    plane = Plane(course["mean"], course["axes"], course["explained"])
    placed, epochs = course["xy"].astype(np.float64), course["epochs"].astype(np.int64)
    return EmbeddingMap(plane.place(kept.embeddings[rows]), own, plane.explained, rows, epochs, placed)
