"""The atlas: many data sets, each a comparison of the same losses, and what they foretell of another."""

from __future__ import annotations

from typing import ClassVar, Literal

from losscope.core.results.base import Document, Frozen, Number

SideKind = Literal["loss", "closed form", "raw"]


class DataSketch(Frozen):
    """What is known of data before anything trains on them: by this, data are like other data.

    Attributes:
        kind: vectors, features, images or pair.
        classes: classes of the training rows.
        rows: training rows.
        dimension: numbers in a row; of two modalities, in the larger of the two rows.
        disjoint: whether the test classes are others than those trained on.
        raw: the goal's measure of the raw inputs on validation rows, averaged over seeds; None where raw
            inputs have none, as those of two modalities.
    """

    kind: str
    classes: int
    rows: int
    dimension: int
    disjoint: bool
    raw: Number | None

    @property
    def rows_per_class(self) -> float:
        """Training rows for each class, on average."""
        return self.rows / max(self.classes, 1)


class AtlasSide(Frozen):
    """A side of one data set by one goal's measure on test rows: its mean over seeds and 95 % interval."""

    name: str
    kind: SideKind
    mean: Number
    low: Number | None
    high: Number | None


class AtlasGoal(Frozen):
    """One goal on one data set.

    Attributes:
        tested: whether this is what the tests were for, with seeds enough to put a loss out; else described.
        sides: those that have a mean over all seeds; a loss of which a run failed is not among them.
        best: the loss of the best mean; of equal ones one.
        members: the losses that cannot be told from the best, it among them (``BestGroup``, where tested);
            where described, those whose mean is within the measure's margin of indifference of the best.
        answer: what the comparison recommends, where tested: a loss, a closed form or ``raw``; else None.
    """

    goal: str
    measure: str
    tested: bool
    sides: tuple[AtlasSide, ...]
    best: str
    members: tuple[str, ...]
    answer: str | None = None

    def mean(self, name: str) -> float | None:
        """The mean of a side, None where it is none."""
        return next((side.mean for side in self.sides if side.name == name), None)


class AtlasEntry(Frozen):
    """One data set of the atlas.

    Attributes:
        name: what it is called here, such as ``synthetic, clean``; no two entries share a name.
        family: what it is left out with when the atlas is tried on data that it has not seen: variants of one
            generator, or two labellings of the same rows, are one family.
        described: the data as they were read, in a sentence.
        seeds: paired seeds.
        command: makes the entry's study again.
        digest: of the data's content and of how they are labelled and cut: data asked about are known again.
        seconds: that its final runs took to train, on one core.
        machine: where its runs were made.
    """

    name: str
    family: str
    described: str
    sketch: DataSketch
    seeds: int
    tuned: bool
    goals: tuple[AtlasGoal, ...]
    command: str
    digest: str | None = None
    seconds: Number | None = None
    machine: str = ""

    def goal(self, name: str) -> AtlasGoal | None:
        """A goal of the entry, None where it has none of this name."""
        return next((goal for goal in self.goals if goal.goal == name), None)


class LeftOut(Frozen):
    """A declared data set that the atlas does not have, and why."""

    name: str
    reason: str


class Atlas(Document):
    """Many data sets, the same losses on each. What ``losscope atlas --json`` prints, and what is shipped.

    Attributes:
        left_out: declared data sets that it lacks: their files were absent, or their runs failed.
        losscope: the version that made it.
        command: makes it again.
    """

    kind: ClassVar[str] = "atlas"
    losses: tuple[str, ...]
    entries: tuple[AtlasEntry, ...]
    left_out: tuple[LeftOut, ...] = ()
    losscope: str
    command: str

    def entry(self, name: str) -> AtlasEntry | None:
        """An entry by its name, None where there is none."""
        return next((entry for entry in self.entries if entry.name == name), None)


class EntryPlan(Frozen):
    """What one data set of an atlas would cost: of its ``runs``, tuning's too, ``runs_left`` are not stored.

    ``seconds``: on this machine, None where it is not known before features are computed.
    """

    name: str
    family: str
    data: str
    runs: int
    runs_left: int
    seconds: Number | None
    command: str


class AtlasPlan(Document):
    """What an atlas would cost. What ``losscope atlas --make --dry-run --json`` prints.

    ``seconds``: of all entries, one after the other.
    """

    kind: ClassVar[str] = "atlas plan"
    losses: tuple[str, ...]
    entries: tuple[EntryPlan, ...]
    left_out: tuple[LeftOut, ...] = ()
    runs: int
    runs_left: int
    seconds: Number
    said: str
