"""Claims over a declared space of settings: where each holds, which choices decide it, and its curve."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from losscope.core.results.base import Frozen, Number
from losscope.core.results.comparisons import PairScale
from losscope.core.results.matches import Matches
from losscope.core.results.origins import DataDescription, Provenance
from losscope.core.results.sides import Unfinished
from losscope.core.results.views import Viewed

SettingOutcome = Literal["holds", "reversed", "neither", "failed"]
"""What comes of a claim in one setting: its mean over seeds beyond the indifference in the claimed direction,
beyond it in the other, or neither; ``failed`` where one of its runs has no value."""
FEWEST = 20
"""Cells from which there are intervals, shares of the variance and a rule."""
TooFew = Literal["no_settings", "few_cells"]
"""Why there is no interval: no setting has an effect, or fewer than ``FEWEST`` cells were trained."""


class Share(Frozen):
    """How many settings have an outcome: ``count``, as a ``share``, with the 95 % interval over cells."""

    count: int = 0
    share: Number | None = None
    low: Number | None = None
    high: Number | None = None


class Shares(Frozen):
    """The share of each outcome among ``settings`` that were trained in ``cells``.

    ``no_interval``: why the shares have no intervals, None where they have.
    """

    settings: int
    cells: int
    holds: Share = Share()
    reversed: Share = Share()
    neither: Share = Share()
    failed: Share = Share()
    no_interval: TooFew | None = None


class MedianEffect(Frozen):
    """The median of the settings' effects with its 95 % interval over cells, on the claim's scale."""

    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    no_interval: TooFew | None = None


class JointTest(Frozen):
    """The test of "no effect in any setting", by swapping the names of the losses cell by cell.

    ``statistic``: |median effect| in units of the indifference. ``smallest``: the smallest p that so many
    cells can reach. ``exact``: whether all ways to swap were tried.
    """

    statistic: Number
    p: Number
    smallest: Number
    cells: int
    exact: bool


class ChoiceShare(Frozen):
    """What one choice explains of the variance between settings, the variance of seeds removed.

    ``first``: by itself. ``total``: with all that it does together with others. Each with a 95 % interval by
    drawing cells again.
    """

    name: str
    first: Number
    first_low: Number
    first_high: Number
    total: Number
    total_low: Number
    total_high: Number


class Decomposition(Frozen):
    """Which choices the effect depends on, as Sobol shares; the choice of the greatest total first.

    ``r2``: of predictions of settings whose cells were kept out. ``explained``: the share of the variance
    between settings that these predictions explain, the variance of seeds removed; shares are of the whole
    variance. ``seeds``: the share of the variance of the settings' means that is of seeds. ``reason``: why
    there are no shares, None where there are: ``few_cells``, ``one_seed`` (its variance cannot be removed),
    ``no_variance`` (settings differ no more than seeds do), ``no_choices`` (no axis varies), ``poor_fit``
    (``r2`` below 0.5).
    """

    choices: tuple[ChoiceShare, ...] = ()
    r2: Number | None = None
    explained: Number | None = None
    seeds: Number | None = None
    reason: Literal["few_cells", "one_seed", "no_variance", "no_choices", "poor_fit"] | None = None


class Condition(Frozen):
    """One condition on a choice: ``above`` or ``at_most`` a ``number``, ``is`` or ``is_not`` a ``text``."""

    name: str
    word: Literal["above", "at_most", "is", "is_not"]
    number: Number | None = None
    text: str | None = None


class Branch(Frozen):
    """Conditions that hold together."""

    conditions: tuple[Condition, ...]


class Rule(Frozen):
    """Where the claim holds, in few words: in the settings in which one of the ``branches`` holds.

    It was made from ``fitted`` settings and checked on ``checked`` settings of ``checked_cells`` other cells.
    ``accuracy``: the share of these that it is right about, ``majority``: the same of always saying what is
    more frequent among those it was made from. ``balanced``: the mean of its accuracy where the claim holds
    and where it does not; that of the majority is a half. ``reason``: why there is no rule: ``few_cells``,
    ``one_outcome`` (it holds everywhere or nowhere in one of the parts), ``no_choices``, ``no_simple_rule``
    (``balanced`` is less than 0.1 above a half).
    """

    branches: tuple[Branch, ...] = ()
    fitted: int = 0
    checked: int = 0
    checked_cells: int = 0
    accuracy: Number | None = None
    majority: Number | None = None
    balanced: Number | None = None
    reason: Literal["few_cells", "one_outcome", "no_choices", "no_simple_rule"] | None = None

    @property
    def holds(self) -> bool:
        """Whether it is right more often than always saying the majority: else it tells a tendency."""
        return self.accuracy is not None and self.majority is not None and self.accuracy > self.majority


class PaperSetting(Frozen):
    """The paper's own setting beside those of the space: its effect, what comes of it, and its quantile.

    ``place``: among all settings. ``quantile``: the share of the other settings whose effect is further
    against the claimed direction, those with the same effect counting half. ``typical``: whether it lies
    within the middle 90 %.
    """

    id: str
    place: int
    outcome: SettingOutcome
    effect: Number | None = None
    quantile: Number | None = None
    typical: bool | None = None


class SettingEffect(Frozen):
    """One setting: its mean effect, its smallest and largest seed, and what comes of the claim in it.

    ``competent``: whether each loss is near its best there, None where that is not known.
    """

    id: str
    cell: int
    outcome: SettingOutcome
    effect: Number | None = None
    low: Number | None = None
    high: Number | None = None
    competent: bool | None = None


class Choice(Frozen):
    """One axis of the space, with its value in each setting: ``numbers``, or else ``texts``."""

    name: str
    numbers: tuple[Number, ...] | None = None
    texts: tuple[str, ...] | None = None

    @property
    def varies(self) -> bool:
        """Whether it has more than one value."""
        return len(set(self.numbers if self.numbers is not None else self.texts or ())) > 1


class MultiverseClaim(Frozen):
    """One claim on one data set over a space of settings.

    ``direction``: what is claimed of ``a`` beside ``b``. Effects are a − b, or log(a / b), as ``scale`` says.
    ``everywhere`` and ``competent``: the shares among all settings, and among those in which each loss is
    within its measure's indifference of its best validation measure on the same data, None where too few
    settings share their data to know it; ``null`` and ``null_competent``: the same in a multiverse of one
    loss under both names. The paper's own setting, which nobody drew from the
    space, is among the ``settings`` and counts in nothing but ``paper``. ``summary``: what came out, in
    sentences.
    """

    claim: str
    statement: str
    data: str
    a: str
    b: str
    direction: Literal["higher", "lower"]
    delta: Number
    measure: str = ""
    scale: PairScale = "difference"
    seeds: int
    settings: tuple[SettingEffect, ...]
    choices: tuple[Choice, ...] = ()
    everywhere: Shares
    competent: Shares | None = None
    null: Shares | None = None
    null_competent: Shares | None = None
    median: MedianEffect
    joint: JointTest | None = None
    decomposition: Decomposition
    rule: Rule
    paper: PaperSetting | None = None
    summary: tuple[str, ...] = ()


class SpaceAxis(Frozen):
    """One axis of the declared space: between ``low`` and ``high`` (``log``: evenly by ratio), or ``values``.

    ``data``: the data sets that have it so; empty where all have.
    ``crossed``: whether its values change shapes, so that each is a population of its own. ``why``: why the
    values are defensible.
    """

    name: str
    low: Number | None = None
    high: Number | None = None
    log: bool = False
    values: tuple[str, ...] = ()
    crossed: bool = False
    why: str = ""
    data: tuple[str, ...] = ()


class Multiverse(Viewed):
    """Claims over a declared space of settings. What ``losscope multiverse --json`` prints.

    ``paper``: the paper whose claims they are, None for a comparison of the user's own. ``space``: the axes
    as they were declared, before anything was trained. ``settings`` and ``cells``: how many were drawn, and
    in how many populations of settings; ``seeds_each``: seeds of each setting.
    ``matches``: which settings give the published numbers, where that was asked.
    """

    kind: ClassVar[str] = "multiverse"
    paper: str | None = None
    data: DataDescription
    losses: tuple[str, ...] = ()
    settings: int
    cells: int
    seeds_each: int
    space: tuple[SpaceAxis, ...] = ()
    claims: tuple[MultiverseClaim, ...] = ()
    matches: tuple[Matches, ...] = ()
    summary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    store: str | None = None
    report_file: str | None = Field(default=None, alias="report")
    provenance: Provenance = Provenance()
    unfinished: Unfinished | None = None

    def __str__(self) -> str:
        return " ".join(self.summary)
