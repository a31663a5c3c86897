"""What a study or a reproduction would cost, and what its number of seeds can show."""

from __future__ import annotations

from typing import ClassVar

from losscope.core.results.base import Document, Frozen, Number
from losscope.core.results.priors import AtlasPrior


class DesignPlan(Frozen):
    """What a number of seeds can show: the tests of the family and the smallest corrected p within reach."""

    tests_in_family: int
    look: int
    alpha: Number
    seeds: int
    p_attainable: Number
    minimal_seeds: int | None
    enough: bool
    sentence: str


class StudyPlan(DesignPlan, Document):
    """What a study would cost and could show. What ``losscope compare --dry-run --json`` prints.

    ``notes``: the sentences that the study itself says before it trains. ``seconds``: on this machine, None
    where features are to be computed first. ``core_seconds``: of processors. ``steps``: gradient steps of all
    runs that are left, the search of tuning widened. ``curve_runs``: of curves, beside those of tuning.
    ``look``: which look at the study's results its end would be. ``prior``: what the atlas foretells of the
    data, where it can.
    """

    kind: ClassVar[str] = "plan"
    data: str
    notes: tuple[str, ...] = ()
    runs: int
    stored: int
    populations: int
    epochs_left: int
    tuning_runs: int
    tuning_stored: int = 0
    curve_runs: int = 0
    curve_stored: int = 0
    seconds: Number | None = None
    core_seconds: Number | None = None
    steps: int | None = None
    prior: AtlasPrior | None = None


class CellPlan(Frozen):
    """What one cell of a reproduction will cost, and how many claims it tests at most."""

    data: str
    protocol: str
    role: str
    runs: int
    seconds: Number
    tests_in_family: int | None = None
    reduced: str | None = None


class ReproductionPlan(DesignPlan, Document):
    """What a reproduction will cost and can show. What ``losscope reproduce --dry-run --json`` prints."""

    kind: ClassVar[str] = "reproduction plan"
    paper: str
    full: bool
    cells: tuple[CellPlan, ...]
    runs: int
    runs_left: int
    seconds: Number
    core_seconds: Number
    cores: int
    notes: tuple[str, ...] = ()
    said: str


class WorldPlan(Frozen):
    """What one data set of a multiverse will cost: its settings, cells, populations and runs."""

    data: str
    claims: tuple[str, ...]
    settings: int
    cells: int
    populations: int
    runs: int
    runs_left: int
    seconds: Number


class MultiversePlan(Document):
    """What a multiverse will cost. What ``losscope multiverse --dry-run --json`` prints.

    ``seconds``: on this machine; ``core_seconds``: of its ``cores`` together. The ``seconds`` of a data set
    are of one core.
    """

    kind: ClassVar[str] = "multiverse plan"
    paper: str
    worlds: tuple[WorldPlan, ...]
    seeds: int
    runs: int
    runs_left: int
    seconds: Number
    core_seconds: Number
    cores: int
    said: str
