"""What stands in a file of embeddings, and how two files of the same items differ."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from losscope.core.facts import Scale
from losscope.core.results.base import Document, Frozen, Number
from losscope.core.results.views import in_notebook


class Inspected(Frozen):
    """One measure of one file.

    ``low``, ``high``: the 95 % interval that other classes (below 20 classes other queries of these classes,
    without classes other queries) would bring, None for a measure that has none. ``sampled_low``,
    ``sampled_high``: the 95 % interval for the value of all rows, where only a sample of them asked.
    ``rows``: how many rows asked, or were looked at.
    """

    measure: str
    value: Number | None
    low: Number | None = None
    high: Number | None = None
    sampled_low: Number | None = None
    sampled_high: Number | None = None
    rows: int


class Item(Frozen):
    """One row of a file: its place, counted from 0, its id and its label, where there are any.

    Several labels are joined by " + ". ``part``: in which file it is, where queries and gallery are two.
    """

    row: int
    id: str | None = None
    label: str | None = None
    part: Literal["query", "gallery"] | None = None


class Norms(Frozen):
    """The lengths of the vectors as they are in the file: quantiles, and deviation over mean."""

    smallest: Number
    median: Number
    largest: Number
    variation: Number


class Collapse(Frozen):
    """How far the vectors fill their space.

    ``cosine``: the mean cosine of two items. ``rank``: exp of the entropy of the singular values (RankMe),
    ``centred_rank`` the same after the mean is subtracted. ``kind``: ``point`` where the mean cosine is above
    .99, ``few_directions`` where the centred rank is below 2 % of the dimensions or below 2, else None.
    """

    cosine: Number | None
    rank: Number | None
    centred_rank: Number | None
    kind: Literal["point", "few_directions"] | None


class ClassFound(Frozen):
    """One class, or one label of rows that have several: its rows, how many asked, and their means."""

    label: str
    items: int
    asked: int
    recall_at_1: Number
    map_at_r: Number


class Confused(Frozen):
    """Two classes whose items are near each other.

    ``a_to_b``: the share of b among the nearest items of a's items, ``b_to_a`` likewise.
    """

    a: str
    b: str
    a_to_b: Number
    b_to_a: Number


class Suspect(Frozen):
    """A label that is likely wrong: how probable that is, the class that fits the nearest items best instead,
    and the shares of the own class and of that one among them."""

    item: Item
    suggested: str
    probability: Number
    share_own: Number
    share_suggested: Number


class WrongLabels(Frozen):
    """Labels that are likely wrong, by the nearest items.

    ``count`` of ``judged`` rows; ``neighbours``: how many nearest items have a say; ``undecided``: rows whose
    neighbours are equally near in such numbers that they tell nothing; ``worst``: the surest first, at most
    100.
    """

    count: int
    judged: int
    neighbours: int
    undecided: int
    worst: tuple[Suspect, ...]


class Twins(Frozen):
    """Two rows that are equal or nearly so; ``distance``: of the unit vectors, 0 where they are equal."""

    a: Item
    b: Item
    distance: Number


class Duplicates(Frozen):
    """Rows that are the same item.

    ``equal``: rows that equal an earlier one bit for bit. ``two_labels``: items whose equal rows have
    different labels. ``near``: pairs that are not equal and nearer than ``limit``, among the rows that asked,
    ``near_two_labels`` those of different labels; None where near copies were not looked for.
    ``across_equal``, ``across_near``: test rows of which an equal, or only a near, row stands outside of the
    test part; None without a split. ``pairs``: examples, those of two labels first, at most 50.
    """

    equal: int
    two_labels: int
    near: int | None
    near_two_labels: int | None
    limit: Number | None
    across_equal: int | None
    across_near: int | None
    tests: int | None
    pairs: tuple[Twins, ...]


class Inspection(Document):
    """What was found in one file of embeddings. What ``losscope inspect FILE --json`` prints.

    ``rows`` of ``dimensions``; ``classes``: None without labels; ``several``: rows may have several of them.
    ``searched``: who asks whom, where not all rows search all others. ``not_finite``, ``unlabelled``: rows
    without a finite vector or without a class, which nothing else looks at. ``able``: rows that may ask;
    ``asked``: those whose neighbours were searched for, among all; ``sampled`` says that it is a sample.
    ``pair_rows``: rows of which all pairs were measured. ``headline``: the whole in a sentence; ``findings``:
    what to look at first. ``out``, ``page``: the table and the page that were written.
    """

    kind: ClassVar[str] = "inspection"
    name: str
    rows: int
    dimensions: int
    classes: int | None
    not_finite: int
    unlabelled: int
    zeros: int
    asked: int
    able: int
    searched: str | None = None
    several: bool = False
    sampled: bool
    pair_rows: int
    measures: tuple[Inspected, ...]
    norms: Norms
    collapse: Collapse
    worst: tuple[ClassFound, ...]
    confused: tuple[Confused, ...]
    wrong_labels: WrongLabels | None
    duplicates: Duplicates
    headline: str = ""
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: Number = 0.0
    out: str | None = None
    page: str | None = None

    def _repr_html_(self) -> str:
        """What a notebook shows: the headline, what to look at first, a figure and the measures."""
        return in_notebook(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython prints: the headline, not every field."""
        printer.text(self.headline)

    def value(self, measure: str) -> float | None:
        """The value of a measure, None where it has none."""
        return next((found.value for found in self.measures if found.measure == measure), None)


class Changed(Frozen):
    """One measure of two files of the same items; the numbers are b minus a, or log(b / a).

    ``query_low``, ``query_high``: the 95 % interval over queries; ``class_low``, ``class_high``: over classes
    (``unit`` says "class"; below 20 classes over queries within these classes, "query"). None where a measure
    is no mean over these. ``verdict``: of the primary measure alone, by the interval over classes: ``higher``
    or ``lower`` where it excludes 0, ``equivalent`` where it lies within ``delta``, else ``unresolved``.
    """

    measure: str
    scale: Scale
    a: Number | None
    b: Number | None
    difference: Number | None
    query_low: Number | None = None
    query_high: Number | None = None
    class_low: Number | None = None
    class_high: Number | None = None
    unit: Literal["class", "query"] | None = None
    delta: Number
    primary: bool = False
    verdict: Literal["higher", "lower", "equivalent", "unresolved"] | None = None
    better: Literal["a", "b"] | None = None


class ClassChanged(Frozen):
    """MAP@R of one class in both files; ``sure``: the interval over its queries, corrected for the number of
    classes, excludes 0."""

    label: str
    asked: int
    a: Number
    b: Number
    sure: bool


class Moved(Frozen):
    """An item whose neighbours changed: the share of its nearest items in a that are so in b too."""

    item: Item
    overlap: Number
    map_at_r_a: Number | None
    map_at_r_b: Number | None


class NewlyConfused(Frozen):
    """Two classes whose items are nearer each other in b: the mean of both shares, in a and in b."""

    first: str
    second: str
    a: Number
    b: Number


class InspectedPair(Document):
    """Two files of the same items. What ``losscope inspect A B --json`` prints.

    ``paired_by``: ``id``, or ``order`` (equal length and equal labels, in the order of the rows).
    ``left_out``: items that are not finite, or without a class, in one of the files. ``scope``: what the
    verdict speaks of: one run a side cannot speak for another training. ``gained``, ``lost``: classes that b
    finds better or worse, the largest change first; ``sure_gained`` and ``sure_lost`` count those beyond
    doubt. ``overlap``: the mean share of an item's ``neighbours`` nearest items in a that are so in b too,
    ``overlap_by_chance`` what two unrelated models would have. ``cka``: linear centred kernel alignment.
    ``page``: the page that was written.
    """

    kind: ClassVar[str] = "inspected pair"
    a: Inspection
    b: Inspection
    paired_by: Literal["id", "order"]
    items: int
    left_out: int = 0
    scope: Literal["these_models", "these_classes"]
    changes: tuple[Changed, ...]
    gained: tuple[ClassChanged, ...]
    lost: tuple[ClassChanged, ...]
    sure_gained: int
    sure_lost: int
    moved: tuple[Moved, ...]
    confused: tuple[NewlyConfused, ...]
    neighbours: int
    overlap: Number | None
    overlap_by_chance: Number | None
    cka: Number | None
    headline: str = ""
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: Number = 0.0
    page: str | None = None

    def _repr_html_(self) -> str:
        """What a notebook shows: the headline, what else differs, a figure and the measures."""
        return in_notebook(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython prints: the headline, not every field."""
        printer.text(self.headline)

    def change(self, measure: str) -> Changed | None:
        """The row of a measure, None where it was not compared."""
        return next((row for row in self.changes if row.measure == measure), None)
