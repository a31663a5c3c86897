"""A data set's features as a data set: what every kind of rows has in common."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from losscope.data import health
from losscope.data.base import TEST, Table
from losscope.data.folds import merged
from losscope.features.backbones import Backbone
from losscope.features.passes import Progress, Work, compute
from losscope.features.shards import Counts, Origin, Shards

FORMAT = 1
"""Raised when the features of an unchanged backbone and unchanged data would come out differently."""
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Embedded:
    """A data set's features: ``table`` is the data set, whose inputs are the features, memory-mapped.

    ``key`` names the content: data, weights and preprocessing. ``cached`` says whether nothing had to be
    computed, ``complete`` whether the features are there (they are not where only a plan was asked for).
    """

    table: Table
    key: str
    folder: Path
    backbone: Backbone
    cached: bool
    complete: bool = True


@dataclass(frozen=True)
class Pass:
    """How features are computed: where, so many rows at once, whether now, and whom to tell."""

    device: str
    batch_size: int
    compute: bool
    say: Say | None
    progress: Progress | None


def compute_missing(
    rows: Work, backbone: Backbone, shards: Shards, work: Pass, skip_bad: bool, counts: Counts | None = None
) -> None:
    """Compute what is missing of the features of ``rows``, and tell that this is done and where they lie."""
    done, say, progress = shards.done(), work.say, work.progress
    if say:
        going = f", going on after {done:,}" if done else ""
        say(
            f"computing features of {len(rows):,} {rows.takes} by {backbone.name} "
            f"({backbone.preprocessing}){going}; kept in {shards.folder}"
        )
        for note in backbone.notes:
            say(note)
        progress = progress or _spoken(say, backbone.name, time.monotonic())
    origin = Origin(FORMAT, backbone.name, backbone.settings, backbone.preprocessing, counts)
    compute(
        rows,
        backbone,
        shards,
        origin=origin,
        device=work.device,
        batch_size=work.batch_size,
        skip_bad=skip_bad,
        progress=progress,
    )


def planned(
    table: Table, backbone: Backbone, key: str, shards: Shards, notes: Sequence[str] = ()
) -> Embedded:
    """The data set as it will be with its features, of which only the length is known."""
    left = shards.rows - shards.done()
    to_do = f"features of {left:,} of {shards.rows:,} {backbone.takes} by {backbone.name} are to be computed"
    shape = np.empty((len(table.pool), backbone.width or 0), np.float16)
    made = described(table, shape, backbone, key, [*notes, f"{to_do} first"])
    made = dataclasses.replace(made, facts=dataclasses.replace(made.facts, pending=True))
    return Embedded(made, key, shards.folder, backbone, False, False)


def _spoken(say: Say, name: str, start: float) -> Progress:
    """Progress as a sentence now and then, where there is no bar."""
    told, begun = start, -1

    def progress(done: int, total: int) -> None:
        nonlocal told, begun
        now = time.monotonic()
        begun = done if begun < 0 else begun
        if now - told > 20 and done > begun:
            told = now
            left = (now - start) * (total - done) / (done - begun)
            say(f"{name}: {done:,} of {total:,}, about {left / 60:.0f} min left")

    return progress


def examined(table: Table) -> Table:
    """The table with the health of its features."""
    pool = table.pool
    roles = [table.role] if table.folds is None else table.folds.roles
    items, zero = health.identities(pool.inputs, pool.second)
    found = merged([health.of(pool, role == TEST, items, zero, ()) for role in roles])
    return dataclasses.replace(table, facts=table.facts.examined(found))


def described(
    table: Table, features: np.ndarray, backbone: Backbone, key: str, notes: Sequence[str]
) -> Table:
    """The data set with features (N, D) as its inputs, and what they are of."""
    facts = table.facts
    # What a run depends on: the features by their key, and the rows' labels and parts.
    digest = hashlib.sha256(f"{table.digest} {key}".encode()).hexdigest()
    of = f"features of {backbone.name}"
    return dataclasses.replace(
        table,
        pool=dataclasses.replace(table.pool, inputs=features),
        digest=digest,
        facts=dataclasses.replace(
            facts,
            shape=features.shape[1:],
            title=f"{facts.title}, {of}",
            edition=f"{facts.edition}, {of}" if facts.edition else of,
            checksum=digest,
            notes=(*facts.notes, *notes),
        ),
        _test={},
    )
