"""A comparison: the tested and described pairs, the recommendation, and the whole of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from losscope.core.results.base import Frozen, Number
from losscope.core.results.origins import DataDescription, Provenance
from losscope.core.results.sides import BaselineResult, LossResult, Settings, SideResult, Unfinished
from losscope.core.results.views import Viewed
from losscope.core.spec import Protocol

if TYPE_CHECKING:
    import pandas as pd

PairVerdict = Literal[
    "failed", "not_comparable", "too_few_seeds", "equivalent", "higher", "lower", "unresolved"
]
Undecided = Literal["corrected_p", "corrected_outside", "both_directions", "unclear_order"]
"""Why a test that could reach the level did not: the correction (of a direction, of an equivalence), the
interval, or the order of epochs."""
Ground = Literal[
    "train_nothing",
    "closed_form",
    "leads",
    "undecided",
    "beats_reference",
    "reference_unbeaten",
    "open",
    "single",
    "undirected",
]
"""What a recommendation rests on; ``Recommendation`` describes each."""


Limit = Literal["seeds", "data", "saturated"]
"""Why a pair is open: seeds vary most, test data vary most, or both sides stand at the end of the scale."""
OpenBy = Literal["seeds", "data", "saturated", "measures", "failed", "folds"]
"""What keeps a recommendation open: as ``Limit``, or two measures that disagree, or failed runs, or that the
runs test folds of one data set, over which nothing is tested."""
PairScale = Literal["difference", "log_ratio", "log_error_ratio"]
"""The scale of a pair: the measure's own, or near the ceiling log((1 − b) / (1 − a)), the ratio of errors."""
SPREAD_KNOWN = 4
"""The fewest seeds whose spread tells how many it takes: that of two or three may be off by any factor."""

Unit = Literal["seed", "class", "block", "item"]
"""What a test is over: what pairs the runs, seeds as a rule; or, between sides that no seed changes and with
one run a side, test classes, blocks of test rows or single test items."""
Scope = Literal[
    "these_data", "data_like_these", "these_classes", "these_folds", "these_models", "units_like_these"
]


class NotComparable(Frozen):
    """Why two sides have no verdict on a measure, or no number at all.

    ``why``: ``form`` (raw values of unlike loss forms), ``hinge`` (only hinge losses have the measure),
    ``floor`` (a loss with a positive floor has none), ``no_value`` (of ``names``, or none at all),
    ``no_pair`` (no seed has a value of both), ``splits`` (measured on two parts of the data),
    ``few_pairs`` (``names`` have no value, since ``count`` pairs of different classes are too few for it),
    ``not_positive`` (a value that is not above 0 has no log ratio), ``unreached`` (epochs that not every run
    reached: compared by order), ``no_correlation``, ``folds`` (the runs test ``count`` folds of one data
    set, which share training rows). ``names``: the forms, splits or sides, in this order.
    """

    why: Literal[
        "form",
        "hinge",
        "floor",
        "no_value",
        "few_pairs",
        "no_pair",
        "splits",
        "not_positive",
        "unreached",
        "no_correlation",
        "folds",
    ]
    names: tuple[str, ...] = ()
    count: int | None = None


class Comparison(Frozen):
    """Side a against side b on one measure; the numbers are a minus b, on the log-ratio scale log(a/b).

    On the scale of errors, ``log_error_ratio``, they are log((1 − b) / (1 − a)): above 0 where a is higher.

    Attributes:
        primary: whether this is a test of the goal's family, ``family`` its name. Others are described.
        unit: what is paired. A closed form against ``raw`` is compared over test classes, below 20 of them
            over blocks of test rows of one class: no seed is a replicate of what draws nothing. One run a
            side is compared over test classes, below 20 of them over test items.
        paired_by: what pairs the runs, in the singular: seed, speaker, task, data set, or a column's name.
        n: pairs with both values (unpaired: the smaller group); ``runs``, ``failed``: of a and of b.
        missing: pairs whose runs ended without a value.
        low, high: the interval for these data at level 1 − alpha.
        low_data, high_data: the interval for data like these.
        p_holm: p corrected for ``tests_in_family``.
        p_outside: one-sided p of a difference outside ±delta, corrected among themselves likewise.
        p_attainable: the smallest corrected p that so many runs can reach.
        order: of epochs that not every run reached: pairs in which a is later, b is later, and ties.
        verdict: None for a described row.
        better: which side is better, where the measure has a better direction and the verdict is one.
        scope: ``these_data``; ``data_like_these`` where the data are redrawn with each seed;
            ``these_classes`` where blocks of rows of few classes are compared; ``these_folds`` where each
            seed tests a fold of the data: described, without p and verdict; ``these_models`` where each
            side is one run, so that nothing is said of another training; ``units_like_these`` where each
            value is a mean over runs, and what pairs them is no seed.
        seeds_needed: seeds in all that would resolve a difference of ``delta``, at the next look; of seeds
            whose spread is not known yet (``spread_known``) the fewest that can be tested. ``seeds_seen``:
            those for the difference that was seen.
        limit: what keeps an open pair open: seeds, where they vary more than other test data would; else
            data; or both sides stand within ``delta`` of the end of the scale.
        queries: test items that ask, ``classes`` theirs, where the runs keep values of each.
        low_items, high_items: of one run a side, the 95 % interval were the test items others of their
            classes.
        by_seed: the smallest and the largest difference of a single seed, where seeds are no replicates.
        seeds_testable: the fewest seeds that could be tested at the next look, for too few seeds.
        reason: why there is no verdict or no number, if so; ``no_difference``: why there is no number.
        undecided: why a test that could reach the level did not, for an unresolved row.
        sentence: the row in words, made from the fields.
    """

    a: str
    b: str
    measure: str
    scale: PairScale
    primary: bool
    family: str | None
    n: int
    difference: Number | None
    low: Number | None
    high: Number | None
    low_data: Number | None
    high_data: Number | None
    p: Number | None
    p_holm: Number | None
    p_attainable: Number | None
    tests_in_family: int | None
    look: int
    alpha: Number
    delta: Number
    verdict: PairVerdict | None
    better: Literal["a", "b"] | None
    scope: Scope
    seeds_needed: int | None
    seeds_seen: int | None = None
    limit: Limit | None = None
    queries: int | None = None
    classes: int | None = None
    low_items: Number | None = None
    high_items: Number | None = None
    by_seed: tuple[Number, Number] | None = None
    unit: Unit = "seed"
    paired_by: str = "seed"
    paired: bool = True
    runs: tuple[int, int] = (0, 0)
    failed: tuple[int, int] = (0, 0)
    missing: int = 0
    mean_a: Number | None = None
    mean_b: Number | None = None
    sd: Number | None = None
    smallest_p: Number = 1.0
    p_outside: Number | None = None
    order: tuple[int, int, int] | None = None
    seeds_testable: int | None = None
    reason: NotComparable | None = None
    no_difference: NotComparable | None = None
    undecided: Undecided | None = None
    sentence: str = ""

    @property
    def spread_known(self) -> bool:
        """Whether so many seeds tell how far seeds spread, and so how many it takes."""
        return self.sd is not None and self.n >= SPREAD_KNOWN


class Recommendation(Frozen):
    """What to use for a goal: a loss, a closed form, ``raw`` (train nothing), or None; why, in sentences.

    Attributes:
        measure: what decides.
        ground: what the answer rests on. ``train_nothing``: the raw inputs are the answer;
            ``closed_form``: a closed form is the answer; ``leads``: a loss is; ``undecided``: several
            ``members`` are left that were not shown equivalent. Without validation, when no side is named
            beforehand: ``beats_reference``: the best of the losses shown better than the reference;
            ``reference_unbeaten``: every other loss is shown worse; ``open``: neither holds. ``single``: one
            loss, held against the baselines; ``undirected``: neither more nor less of the measure is better.
        reference: the loss that the others were tested against.
        ranking: the losses from the best mean to the worst, those without one last.
        rests_on: the pair (a, b) of the family that the first sentence rests on.
        candidate: the side that led on validation, named before the test split was measured; None where no
            validation ranks the sides. ``candidate_by``: the measure that it led in.
        members: the sides that were not shown worse than the candidate, the answer among them.
        second: the measure beside the one that decides, such as MAP@R beside Recall@1.
        second_on: (x, y): the side x that is better than the answer y in the second measure, by its 95 %
            interval, where there is one. Its row is among the comparisons, described.
        open_by: what keeps an undecided one open.
    """

    goal: str | None
    loss: str | None
    sentences: tuple[str, ...] = ()
    measure: str | None = None
    ground: Ground | None = None
    reference: str | None = None
    ranking: tuple[str, ...] = ()
    rests_on: tuple[str, str] | None = None
    candidate: str | None = None
    candidate_by: str | None = None
    members: tuple[str, ...] = ()
    second: str | None = None
    second_on: tuple[str, str] | None = None
    open_by: OpenBy | None = None


class PairSize(Frozen):
    """Two losses on the measure that decides, described: a minus b, or on the scale of ratios log(a/b).

    ``low``, ``high``: the interval, not corrected for the number of pairs. ``tested``: whether the pair is
    one of the family, whose verdict stands among the comparisons.
    """

    a: str
    b: str
    difference: Number | None
    low: Number | None
    high: Number | None
    n: int
    scale: PairScale
    tested: bool = False


class BestGroup(Frozen):
    """The losses that cannot be told from the best.

    ``best``: the loss of the best mean. ``members``: it, and each loss not shown worse than it, such as one
    that is equivalent to it, from the best mean to the worst; ``out``: those that are, each at a p corrected
    for ``tests`` comparisons with the best (Bonferroni), so that the truly best loss is among the members in
    at least 1 − alpha of studies.
    ``able``: whether so many pairs can put any loss out.
    """

    measure: str
    best: str
    members: tuple[str, ...]
    out: tuple[str, ...]
    tests: int
    alpha: Number
    able: bool


class DataVerdicts(Frozen):
    """The verdicts of one of several data sets, over its own seeds.

    ``rows``: each loss against the reference, corrected together; each data set is a family of tests of its
    own. ``family``: the family of data sets that it counts in. ``means``: of each loss, on the measure that
    decides. ``page``: the relative path of the page of its study, where losscope trained one.
    """

    name: str
    family: str
    seeds: tuple[int, ...]
    rows: tuple[Comparison, ...]
    means: dict[str, Number | None] = Field(default_factory=dict)
    page: str = ""


class PublishedValue(Frozen):
    """A published value beside ours: whether the 95 % prediction interval of one further run holds it."""

    loss: str
    measure: str
    published: Number
    mean: Number | None
    low: Number | None
    high: Number | None
    inside: bool | None
    outside_by: Number | None
    held_out: Number | None
    source: str


class Result(Viewed):
    """A comparison: data, protocol, sides, pairs, recommendation. What ``losscope compare --json`` prints.

    ``headings``: how the measures of two modalities are called, by the names of the data's modalities.
    ``paired_by``: what pairs the runs, ``units`` the names of what ``seeds`` numbers, where it is no seed.
    ``by_data``: of several data sets, the verdicts on each; ``on_each`` the same in sentences. ``group``: the
    losses that cannot be told from the best, ``matrix``: all pairs of losses, described.

    >>> Result.model_fields["losses"].description is None
    True
    """

    kind: ClassVar[str] = "comparison"
    data: DataDescription
    protocol: Protocol | None
    seeds: tuple[int, ...]
    goal: str
    unpaired: bool = False
    losses: tuple[LossResult, ...]
    baselines: tuple[BaselineResult, ...]
    settings: tuple[Settings, ...] = ()
    paired: tuple[Comparison, ...]
    recommendation: Recommendation
    published: tuple[PublishedValue, ...] = ()
    headings: dict[str, str] = Field(default_factory=dict)
    paired_by: str = "seed"
    units: tuple[str, ...] = ()
    by_data: tuple[DataVerdicts, ...] = ()
    on_each: tuple[str, ...] = ()
    group: BestGroup | None = None
    matrix: tuple[PairSize, ...] = ()
    notes: tuple[str, ...] = ()
    store: str | None = None
    study: str | None = None
    report_file: str | None = Field(default=None, alias="report")
    provenance: Provenance = Provenance()
    unfinished: Unfinished | None = None

    def side(self, name: str) -> SideResult:
        """The loss or baseline of a name.

        Raises:
            KeyError: there is none.
        """
        for found in self.sides:
            if found.name == name:
                return found
        raise KeyError(name)

    @property
    def sides(self) -> tuple[SideResult, ...]:
        """The losses, then the baselines."""
        return (*self.losses, *self.baselines)

    def verdicts(self) -> tuple[Comparison, ...]:
        """The tested pairs: the family of the goal's primary measure."""
        return tuple(row for row in self.paired if row.primary)

    def method(self, format: Literal["text", "md", "latex"] = "text") -> str:
        """How the comparison was made, as a paragraph of a paper; ``md`` and ``latex`` have citations.

        Raises:
            LosscopeError: another format.
        """
        text: str = importlib.import_module("losscope.reporting.views").method(self, format)
        return text

    def frame(
        self, of: Literal["values", "means", "verdicts", "trials", "curves", "runs"] = "values"
    ) -> pd.DataFrame:
        """One tidy pandas table: ``values``, a row for each side, measure and seed; or another.

        ``values`` has the columns on, loss, kind, measure, split, unit (the seed, or what else pairs the
        runs) and value, NaN where a run has none. ``means`` has a row for each side and measure, with its
        95 % interval. ``verdicts`` has a row for each comparison, tested or
        described, and for each of every single data set, with the fields of ``Comparison``. ``trials`` has a
        row for each trial of tuning, ``curves`` for each point of a curve over one number of a loss,
        ``runs`` for each run.

        Raises:
            LosscopeError: another kind.
        """
        made: pd.DataFrame = importlib.import_module("losscope.reporting.frames").frame(self, of)
        return made

    def __str__(self) -> str:
        return " ".join(self.recommendation.sentences)
