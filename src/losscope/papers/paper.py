"""What a paper is, as values: its cells, its claims, its published numbers and its controls.

A paper is one function under ``@register("paper", name)`` that returns a ``Paper``. Nothing here trains,
judges or imports torch; ``engine`` runs any paper, and ``controls`` and ``ledger`` read what it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal

from losscope.core import registry
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.facts import Value

Direction = Literal["higher", "lower"]
CLAIMS = "claims"
"""The role of a cell whose runs claims are judged on."""
GRID = "margins"
"""The role of a cell of losses × margins: for associations, and for curves."""


@dataclass(frozen=True)
class Cell:
    """One study of a paper, and what its runs are for.

    Attributes:
        data: the registered data set. protocol: the registered protocol. losses: the losses as ``losscope
        compare`` takes them. Those that are not registered are left out. role: ``claims`` (claims are judged
        on its runs), ``margins`` (a grid of losses × margins), or a name that
            controls of the paper refer to.
        name: the data's name in the ledger; that of the data set by default.
        options: options of the data set.
        only: the ids of the claims that the cell is for; empty for all.
        size: the paper's own size, where the cell may be a part of it.
        notes: what a reader of the ledger has to know.
        epochs, batch_size, tuples, tune, goal: of the study; None for what the protocol says.
        backbone: a file pattern in the data root. Without such a file the cell is left out.
    """

    data: str
    protocol: str
    losses: tuple[str, ...]
    role: str = CLAIMS
    name: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    size: Size | None = None
    notes: tuple[str, ...] = ()
    epochs: int | None = None
    batch_size: int | None = None
    tuples: str | None = None
    tune: bool | None = None
    goal: str | None = None
    backbone: str | None = None

    @property
    def label(self) -> str:
        """The data's name in the ledger."""
        return self.name or self.data


@dataclass(frozen=True)
class Size:
    """How many images a paper trains on, and in how many updates."""

    images: int
    updates: int


@dataclass(frozen=True)
class Compared:
    """The loss ``a`` is higher (or lower) than ``b`` on the claim's measure.

    ``values``: the published a − b by data set, or a / b where the measure is compared by its ratio.
    ``during``: on the part of training between two shares of its epochs.
    """

    a: str
    direction: Direction
    b: str
    values: Mapping[str, float] = field(default_factory=dict)
    during: tuple[float, float] | None = None


@dataclass(frozen=True)
class AllOf:
    """Every part holds: a claim about a group of losses holds only if it does for each pair of them."""

    parts: tuple[Compared, ...]


@dataclass(frozen=True)
class Rises:
    """The claim's measure rises with another over losses × margins, or over the margins of one loss.

    ``along``: names of the other measure, of which the first that the runs have is taken.
    """

    along: tuple[str, ...]
    loss: str | None = None


@dataclass(frozen=True)
class Asked:
    """A plugin's function ``fn(evidence)``, which returns what ``evidence.claim`` gives, or None."""

    function: Callable[[Any], Any]


def each(
    some: Iterable[str],
    direction: Direction,
    others: Iterable[str],
    during: tuple[float, float] | None = None,
) -> AllOf:
    """Each of some losses is higher (or lower) than each of the others.

    >>> [(part.a, part.b) for part in each(["triplet"], "higher", ["n_pair", "arcface"]).parts]
    [('triplet', 'n_pair'), ('triplet', 'arcface')]
    """
    return AllOf(tuple(Compared(a, direction, b, during=during) for a, b in product(some, others)))


@dataclass(frozen=True)
class Claim:
    """A claim of a paper: what it says in words, where it stands, and what is compared.

    Attributes:
        data: the data sets that the paper makes it on; on any other it is judged and marked as beyond the
        paper. measure: its quantity. For an association, the one that rises. timing: whether it is about how
        fast training is, which reduced data cannot show.
    """

    id: str
    statement: str
    source: str
    measure: str
    asserts: Compared | AllOf | Rises | Asked
    data: tuple[str, ...] = ()
    timing: bool = False


@dataclass(frozen=True)
class PublishedNumber:
    """A published single value of one loss under the paper's own protocol; with ``over``, a ratio of two."""

    data: str
    loss: str
    measure: str
    value: float
    source: str
    over: str | None = None


@dataclass(frozen=True)
class Runs:
    """A loss as trained in the cell of a role, beside the claims' cell of the same data and protocol."""

    loss: str
    role: str = CLAIMS


@dataclass(frozen=True)
class Beside:
    """A control: pairs of losses on some measures, as intervals.

    ``pairs``: what each row is called, and its two sides; a role other than ``claims`` makes rows only where
    the paper has such a cell. ``explains``: ids of claims; None for the claims about the same measure.
    """

    id: str
    title: str
    note: str
    measures: tuple[str, ...]
    pairs: tuple[tuple[str, Runs, Runs], ...]
    explains: tuple[str, ...] | None = None

    @property
    def roles(self) -> set[str]:
        """The roles of its cells other than the claims' own."""
        return {side.role for _, *sides in self.pairs for side in sides} - {CLAIMS}


@dataclass(frozen=True)
class Curves:
    """A control: the quantity of every claim, and ``measures``, over each loss's margin in the grid."""

    measures: tuple[str, ...] = ()
    id: str = "margin-sensitivity"
    title: str = "Margin sensitivity"
    note: str = (
        "Each claim's quantity over each loss's own margin, untuned: the mean over seeds and its 95 % "
        "interval. A verdict at one margin that another margin turns is a statement about margins, not about "
        "losses."
    )


@dataclass(frozen=True)
class RestingPoints:
    """A control: where theory lets the class means rest, beside where they do.

    K class means are at most √(2K/(K−1)) apart in the mean. The losses ``at_margin`` stop pushing at their
    margin.
    """

    at_margin: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    id: str = "fixed-points"
    title: str = "Where theory lets the class means rest"
    note: str = (
        "K class means cannot lie further apart than a simplex, √(2K/(K−1)) in the mean; a loss that stops "
        "pushing at its margin leaves them there. Foreseen beside measured."
    )


@dataclass(frozen=True)
class Baselines:
    """A control: each loss against the raw inputs and the untrained network, from the study's own result."""

    explains: tuple[str, ...] = ()
    id: str = "train-nothing"
    title: str = "Train nothing"
    note: str = (
        "The raw inputs and the untrained network retrieve too. A loss that does not beat them has taught "
        "nothing that the data did not hold; on features of unseen classes a head can well do harm."
    )


def scale_free(a: str, b: str, explains: tuple[str, ...]) -> Beside:
    """A control of claims about raw variance: variance and intra/inter² of a against b, also held out."""
    return Beside(
        "scale-free-variance",
        "Variance without scale",
        "Raw intra-class variance grows with everything that spreads the embeddings; intra/inter² divides "
        "that out. Where the protocol measures its training set, held-out points stand beside.",
        ("intra_variance", "intra_variance@test", "intra_inter_ratio", "intra_inter_ratio@test"),
        ((f"{a} / {b}", Runs(a), Runs(b)),),
        explains,
    )


PaperControl = Beside | Curves | RestingPoints | Baselines


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        losses: those that its claims are about.
        full_cells: the cells at full size, where they differ.
        protocols: in the order of the ledger.
        own_protocol: the one under which published numbers are tested.
        stated: numbers of its text, which the settings of a multiverse are matched with.
        name, title: those of its registration.

    Raises:
        LosscopeError: two claims of one id, or a cell for a claim that does not exist.
    """

    losses: tuple[str, ...]
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...]
    full_cells: tuple[Cell, ...] | None = None
    published: tuple[PublishedNumber, ...] = ()
    stated: tuple[PublishedNumber, ...] = ()
    controls: tuple[PaperControl, ...] = ()
    protocols: tuple[str, ...] = ("paper", "matched")
    own_protocol: str = "paper"
    name: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        ids = [claim.id for claim in self.claims]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        require(
            not twice,
            f"two claims have the id {', '.join(twice)}; give each claim of a paper an id of its own",
        )
        for cell in (*self.cells, *(self.full_cells or ())):
            for name in cell.only:
                if name not in ids:
                    raise unknown("claim of the cell", name, ids)

    def claim(self, name: str) -> Claim:
        """The claim of an id, or an error with the choices."""
        for claim in self.claims:
            if claim.id == name:
                return claim
        raise unknown(f"claim of {self.name}", name, [claim.id for claim in self.claims])

    def about(self, measure: str) -> tuple[str, ...]:
        """The ids of the claims about a measure."""
        return tuple(claim.id for claim in self.claims if claim.measure == measure)

    def chosen(self, only: Iterable[str] = (), full: bool = False) -> list[Cell]:
        """The cells, of some data sets only if ``only`` names any.

        >>> sorted({cell.label for cell in paper("zeng2025").chosen(["synthetic"])})
        ['synthetic', 'synthetic, sub-clusters']
        """
        cells = self.full_cells if full and self.full_cells is not None else self.cells
        wanted, known = list(only), {cell.data for cell in cells}
        for name in wanted:
            if name not in known:
                raise unknown(f"data set of {self.name}", name, known)
        return [cell for cell in cells if not wanted or cell.data in wanted]


def paper(name: str) -> Paper:
    """A registered paper, with the claims that plugins add to it.

    Raises:
        LosscopeError: an unknown name, or a function that returns something else than a Paper.
    """
    entry = registry.entry("paper", name)
    found = entry.load()()
    if not isinstance(found, Paper):
        raise LosscopeError(f"the paper {name!r} returned {type(found).__name__}; it must return a Paper")
    return replace(found, name=name, title=entry.facts.title, claims=(*found.claims, *plugin_claims(name)))


def papers() -> Iterator[Paper]:
    """All registered papers, those of plugins last."""
    return (paper(name) for name in registry.entries("paper"))


def plugin_claims(of: str) -> Iterator[Claim]:
    """The claims on a paper that are registered one by one, as functions of the evidence."""
    for name, entry in registry.entries("claim").items():
        facts = entry.facts
        if facts.paper == of:
            yield Claim(
                id=name,
                statement=facts.statement,
                source=facts.source,
                measure=facts.measure or "",
                asserts=Asked(entry.load()),
                data=facts.data,
                timing=facts.timing,
            )


def published(data: str, protocol: str) -> list[PublishedNumber]:
    """What papers published of a data set under their own protocol.

    >>> [number.value for number in published("mnist", "paper") if number.loss == "triplet"]
    [0.0059, 1.484]
    """
    return [
        number
        for found in papers()
        if found.own_protocol == protocol
        for number in found.published
        if number.data == data
    ]
