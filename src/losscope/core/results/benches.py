"""Time and memory beside the installed peers."""

from __future__ import annotations

from typing import ClassVar, Literal

from losscope.core.results.base import Document, Frozen, Number


class BenchRow(Frozen):
    """One side of a benchmark on one work and size.

    Attributes:
        work: what is measured. ``size``: anchors of the batch, or members of the population.
        side: whose implementation; ``loss``: how it names the loss; ``version``: of its library.
        seconds: the median of a step (training: of an epoch).
        peak_bytes: the most that its process holds; ``step_bytes``: the part of it that the step added.
        ratio: its time over ours (training: over the plain loop, or over one member; retrieval: over the bare
            product of the same sizes in float32); ``ratio_low``,
            ``ratio_high``: a 95 % interval over rounds (training: the quartiles).
        rounds: how often it was measured.
        same: whether its value is ours; None where the forms differ or there is none.
        form: how its form differs from ours.
        status: ``measured``, or why it was not.
    """

    work: str
    size: int
    side: str
    loss: str | None = None
    version: str | None
    seconds: Number | None
    peak_bytes: int | None
    step_bytes: int | None = None
    ratio: Number | None
    ratio_low: Number | None = None
    ratio_high: Number | None = None
    rounds: int | None = None
    same: bool | None = None
    form: str = "the same"
    status: str = "measured"

    @property
    def measured(self) -> bool:
        """Whether there are numbers."""
        return self.status == "measured"


class BenchGrowth(Frozen):
    """The power of the batch size that a side's time grows with; None for fewer than two sizes."""

    work: str
    side: str | None
    loss: str | None
    exponent: Number | None


class BenchProvenance(Frozen):
    """Where a benchmark was run. ``clock``: ``processor`` (the thread's own time) or ``wall``."""

    losscope: str
    torch: str
    python: str
    machine: str
    device: str
    threads: int
    clock: Literal["processor", "wall"]


class BenchResult(Document):
    """Time and memory beside the installed peers. What ``losscope bench --json`` prints."""

    kind: ClassVar[str] = "benchmark"
    what: Literal["losses", "training", "probe", "retrieval"]
    rows: tuple[BenchRow, ...]
    growth: tuple[BenchGrowth, ...] = ()
    provenance: BenchProvenance | None = None
