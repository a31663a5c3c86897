"""What a data set is to the rest: a source that yields train, validation and test parts by seed.

Everything is numpy. A source reads its files once; ``splits(seed)`` redraws what a seed redraws: the
train/validation split of real data, everything of generated data (docs/definitions.md, "Design").
"""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles, Searched
from losscope.core.results import DataDescription
from losscope.data import splits as rules
from losscope.data.health import Health
from losscope.data.splits import Folds
from losscope.data.tags import Tags
from losscope.data.trunks import Trunk

Kind = Literal["vectors", "features", "images", "pair"]
TRAIN, VALIDATION, TEST = rules.TRAIN, rules.VALIDATION, rules.TEST


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a data set, N rows.

    ``inputs`` (N, ...) are ready for a network: float32, or uint8 images (N, channels, height, width),
    which the trainer normalises on the fly with the facts' ``mean`` and ``std``. ``labels`` int64 (N,)
    index ``About.class_names``; -1 is background. ``fine_labels`` (N,) index ``About.fine_names`` and
    each fine class lies inside one class of ``labels`` (noisy training labels aside). ``groups`` (N,)
    number the recordings, speakers, sites that must not be torn apart. ``second`` (N, ...) is the
    other modality, as ``inputs``: row i of both is one pair. ``names`` (N,) are file names where there are
    any. ``rows`` (N,) are positions in the source, None for generated data. ``pairs`` int64 (P, 3) are
    explicit (i, j, same) and ``triplets`` (T, 3) explicit (anchor, positive, negative), as positions in
    this part. ``retrieval`` says which rows are queries and which the gallery; None: each row searches all
    others. ``items`` (N, 2) number the first and the second modality's items where one stands in several
    pairs, None where each stands in one. ``tags`` (N, C) are the labels of rows that have several each, of
    which ``labels`` is the rarest.
    >>> part = Part(np.zeros((3, 2), np.float32), np.array([0, 0, 1]))
    >>> len(part), len(part.take([0, 2]))
    (3, 2)
    """

    inputs: np.ndarray
    labels: np.ndarray
    fine_labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    second: np.ndarray | None = None
    names: np.ndarray | None = None
    rows: np.ndarray | None = None
    pairs: np.ndarray | None = None
    triplets: np.ndarray | None = None
    retrieval: Roles | None = None
    items: np.ndarray | None = None
    tags: np.ndarray | None = None

    def __post_init__(self) -> None:
        others = ("inputs", "fine_labels", "groups", "second", "names", "rows", "retrieval", "items", "tags")
        for name in others:
            value = getattr(self, name)
            if value is not None and len(value) != len(self.labels):
                raise LosscopeError(
                    f"{len(value)} {name} but {len(self.labels)} labels; wanted: one label per row"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | list[int]) -> Part:
        """The given rows in that order, as a part of their own; tuples with a row outside fall away."""
        rows = np.asarray(rows, dtype=np.int64)
        arrays: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows]
            for name in ("inputs", "labels", "fine_labels", "groups", "second", "names", "items", "tags")
        }
        where = rows if self.rows is None else self.rows[rows]
        return Part(
            **arrays,
            rows=where,
            pairs=rules.remap(self.pairs, rows, len(self), columns=2),
            triplets=rules.remap(self.triplets, rows, len(self), columns=3),
            retrieval=None if self.retrieval is None else self.retrieval.take(rows),
        )


@dataclass(frozen=True)
class LeftOut:
    """What a reader did not take: how many, of what (in the plural), and why.

    >>> LeftOut(3, "rows", "without a label").said
    '3 rows without a label'
    """

    count: int
    what: str
    why: str

    @property
    def said(self) -> str:
        """As a person reads it."""
        what = self.what
        if self.count == 1:
            what = what.removesuffix("es") if what.endswith("classes") else what.removesuffix("s")
        return f"{self.count:,} {what} {self.why}"


@dataclass(frozen=True)
class About:
    """What is known of a data set once it is read; what is known of it before stands at its registration.

    ``classes`` counts the classes that are not background; ``rows`` all rows (of one draw, where generated);
    ``shape`` is one input's, ``second_shape`` one second-modality input's. ``mean`` and ``std`` are per
    channel of the training rows of uint8 images, on the scale pixel / 255, ``second_mean`` and ``second_std``
    those of the second modality; empty for all else, where nothing is to be normalised. ``picture``: height
    and width of the grey picture that an input's numbers are, or empty. ``split`` says in words how the parts
    are made. ``pending``: the inputs are features that are not computed yet, so that only their shape is
    known. ``tuples``: explicit pairs or triplets came with the data. ``by_item``: there are no classes,
    ``labels`` number items that belong to their partners in the other modality alone; ``of_pairs``: nor here,
    ``labels`` number rows of one modality that belong together; ``implied``: nor here, ``labels`` number rows
    that explicit positive pairs join. ``joint``: both modalities are embeddings of one space, as the user
    says. ``several``: a row may have several labels. ``folds``: their number, where the test part of a seed
    is one of them; 0 where it is fixed. ``left_out`` counts all that lay in the source and was not taken,
    ``background`` the rows of labels that are no class. ``searched`` counts the test part's queries and
    gallery, where it has them. ``health``: what is wrong with the rows, None where they were not looked at.
    ``notes`` are sentences a user must be told. ``checksum`` is the SHA-256 of the uncompressed bytes of all
    arrays.
    """

    name: str
    title: str
    kind: Kind
    classes: int
    rows: int
    shape: tuple[int, ...]
    split: str
    edition: str = ""
    origin: str = ""
    licence: str = ""
    disjoint: bool = False
    generated: bool = False
    pending: bool = False
    tuples: bool = False
    by_item: bool = False
    of_pairs: bool = False
    implied: bool = False
    joint: bool = False
    several: bool = False
    folds: int = 0
    checksum: str = ""
    class_names: tuple[str, ...] = ()
    fine_names: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    second_shape: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    second_mean: tuple[float, ...] = ()
    second_std: tuple[float, ...] = ()
    picture: tuple[int, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    background: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    searched: Searched | None = None
    health: Health | None = None

    def examined(self, found: Health) -> About:
        """With what was found wrong with the rows, in one line of the notes."""
        said = (found.said,) if found.said else ()
        return dataclasses.replace(self, health=found, notes=(*self.notes, *said))


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of one seed's draw, and the facts of the source.

    ``transform``: what the trainer does to the inputs first, rows to rows. ``trunk``: what made the features.
    """

    train: Part
    validation: Part
    test: Part
    facts: About
    transform: Callable[[Any], Any] | None = None
    trunk: Trunk | None = None


class Source(ABC):
    """A data set: ``facts``, a ``digest`` of its content for run ids, and ``splits`` by seed."""

    facts: About
    digest: str

    @abstractmethod
    def splits(self, seed: int) -> Splits:
        """The parts that a seed draws."""

    @abstractmethod
    def sizes(self) -> tuple[int, int, int]:
        """Rows of train, validation and test, for seed 0."""

    @abstractmethod
    def class_counts(self) -> np.ndarray:
        """Rows of each class, all parts together, background left out."""

    @property
    def redrawn(self) -> bool:
        """Whether the seeds' training parts differ in their classes or their number of rows."""
        return False

    def training_labels(self, seed: int) -> np.ndarray:
        """The labels (N,) of a seed's training part, before any are redrawn by noise."""
        return self.splits(seed).train.labels

    def undecided_validation(self, seed: int) -> str | None:
        """What the validation part of a seed has, if it can decide nothing; else None."""
        return None

    def description(self) -> DataDescription:
        """What results say of the data.

        >>> from losscope.data import load
        >>> load("digits").description().classes
        10
        """
        facts = self.facts
        return DataDescription(
            name=facts.name,
            title=facts.title,
            kind=facts.kind,
            described=self.describe(),
            edition=facts.edition,
            classes=facts.classes,
            licence=facts.licence,
            origin=facts.origin,
            generated=facts.generated,
            disjoint=facts.disjoint,
            not_new=0 if facts.health is None else len(facts.health.not_new),
            notes=facts.notes,
            class_names=() if facts.by_item else facts.class_names,
            modalities=facts.modalities,
            by_item=facts.by_item,
            folds=facts.folds,
            digest=self.digest,
        )

    def describe(self) -> str:
        """One line for a person: what was understood."""
        facts, counts = self.facts, self.class_counts()
        low, high = int(counts.min()), int(counts.max())
        each = f"{low:,}" if low == high else f"{low:,}–{high:,}"
        what = {"vectors": "vectors", "features": "feature vectors", "images": "images", "pair": "pairs"}
        shape = "×".join(map(str, facts.shape))
        if facts.second_shape:
            first, second = facts.modalities or ("first", "second")
            shape = f"{first} {shape} and {second} {'×'.join(map(str, facts.second_shape))}"
        grouped = f"in {facts.classes:,} classes ({each} each)"
        if facts.several:
            grouped = f"with labels of {facts.classes:,} ({each} each), several in a row"
        if facts.by_item or facts.of_pairs:
            grouped = f"without classes, of {facts.classes:,} items"
        train, validation, test = self.sizes()
        edition = f" ({facts.edition})" if facts.edition else ""
        search = f"; {facts.searched.said}" if facts.searched else ""
        without = "; left out: " + ", ".join(part.said for part in facts.left_out) if facts.left_out else ""
        if facts.background:
            without += "; background: " + ", ".join(part.said for part in facts.background)
        return (
            f"{facts.name}{edition}: {facts.rows:,} {what[facts.kind]} of {shape} {grouped}; "
            f"{train:,} train, {validation:,} validation, {test:,} test: {facts.split}{search}{without}"
        )


@dataclass(frozen=True, eq=False)
class Generated(Source):
    """Data drawn anew, whole, by every seed."""

    facts: About
    digest: str
    draw: Callable[[int], tuple[Part, Part, Part]]
    counts: tuple[int, int, int]
    each: int

    def splits(self, seed: int) -> Splits:
        """Everything redrawn from the seed."""
        train, validation, test = self.draw(seed)
        return Splits(train, validation, test, self.facts)

    def sizes(self) -> tuple[int, int, int]:
        """Rows of train, validation and test, the same for every seed."""
        return self.counts

    def class_counts(self) -> np.ndarray:
        """Training rows of each class, before labels are redrawn by noise."""
        return np.full(self.facts.classes, self.each)


@dataclass(frozen=True, eq=False)
class Table(Source):
    """Data that exist: one pool of rows, each train, (validation or) test.

    The test rows never move, unless there are ``folds``: then a seed has the test rows of its fold.
    ``whole`` (N,): what validation holds out whole (groups, or classes where the test classes are unseen
    too); None: a fifth of each class. ``classwise``: it is classes, of which one alone decides nothing.
    ``before`` (N,): what a backbone made the features of: a ``Picture`` or a text; ``trunk``: the backbone.
    """

    pool: Part
    role: np.ndarray
    facts: About
    digest: str
    label_noise: float = 0.0
    whole: np.ndarray | None = None
    classwise: bool = False
    folds: Folds | None = None
    before: np.ndarray | None = None
    trunk: Trunk | None = None
    _test: dict[int, Part] = field(default_factory=dict)

    def rows(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The positions of the train, validation and test rows of a seed, each ascending."""
        role = self.role if self.folds is None else self.folds.role(seed)
        test, rest = np.flatnonzero(role == TEST), np.flatnonzero(role == TRAIN)
        if np.any(role == VALIDATION):
            return rest, np.flatnonzero(role == VALIDATION), test
        rng = rules.generator(seed, "validation")
        if self.whole is None:
            held = rules.hold_out_stratified(self.pool.labels[rest], rules.VALIDATION_SHARE, rng)
        else:
            least = rules.least_classes(self.pool.labels[rest]) if self.classwise else 1
            held = rules.hold_out_whole(self.whole[rest], rules.VALIDATION_SHARE, rng, least)
        return rest[~held], rest[held], test

    def splits(self, seed: int) -> Splits:
        """The train/validation split of a seed; the test part is the same object every time (of a fold)."""
        train, validation, test = self.rows(seed)
        fold = 0 if self.folds is None else seed % self.folds.count
        if fold not in self._test:
            self._test[fold] = self.pool.take(test)
        part = self.pool.take(train)
        require(
            len(np.unique(part.labels[part.labels >= 0])) > 1,
            f"{self.facts.name}: validation holds out whole groups or classes, and seed {seed} leaves fewer "
            "than two classes to train on; wanted: more groups, or a split of your own with validation rows",
        )
        if self.label_noise:
            noisy = rules.redraw_labels(part.labels, self.label_noise, rules.generator(seed, "label noise"))
            part = dataclasses.replace(part, labels=noisy)
        return Splits(part, self.pool.take(validation), self._test[fold], self.facts, trunk=self.trunk)

    @property
    def redrawn(self) -> bool:
        """Where there are folds, or validation holds out whole classes or groups that are not given."""
        return self.folds is not None or (self.whole is not None and not np.any(self.role == VALIDATION))

    def training_labels(self, seed: int) -> np.ndarray:
        """The labels (N,) of a seed's training part, before any are redrawn by noise."""
        return self.pool.labels[self.rows(seed)[0]]

    def sizes(self) -> tuple[int, int, int]:
        """Rows of train, validation and test, for seed 0."""
        train, validation, test = self.rows(0)
        return len(train), len(validation), len(test)

    def undecided_validation(self, seed: int) -> str | None:
        """What the validation part of a seed has, if it can decide nothing; else None."""
        rows = self.rows(seed)[1]
        if self.pool.retrieval is not None and self.pool.retrieval.take(rows) is not None:
            return None  # what has queries and a gallery is looked at by these
        labels = self.pool.labels[rows]
        return rules.undecidable(labels, self.facts.class_names, paired=self.pool.second is not None)

    def class_counts(self) -> np.ndarray:
        """Rows of each class, or with each label, all parts together."""
        if self.pool.tags is not None:
            return np.asarray(self.pool.tags.sum(axis=0))
        return np.bincount(self.pool.labels[self.pool.labels >= 0], minlength=1)


@dataclass(eq=False)
class Draft:
    """What a reader of files found, before it is checked and split: ``finish`` makes the source of it.

    Fields are as in ``Part`` and ``About``. ``labels`` and ``fine_labels`` may be of any kind that
    ``np.unique`` sorts, unless ``class_names`` and ``fine_names`` say that they are positions in these.
    ``role`` int8 (N,) gives each row's part, or None: a fixed stratified test split is made. ``fold`` (N,) of
    any kind that labels may be of names each row's fold, where folds take the place of a split. ``level``
    says which labels are trained on where there are two and the user does not say. ``disjoint``: the split,
    given by ``role``, is of classes at the finest level; None: find out by the labels. ``by_group``: splits
    tear no group apart. ``by_item``: the labels number the items of pairs without classes. ``left_out``
    counts what the reader did not take; ``notes`` are sentences on how the rest was understood. Without
    labels, ``no_labels`` is the sentence for a user who gives no explicit tuples either.
    """

    name: str
    title: str
    kind: Kind
    inputs: np.ndarray
    labels: np.ndarray | None
    fine_labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    second: np.ndarray | None = None
    names: np.ndarray | None = None
    pairs: np.ndarray | None = None
    triplets: np.ndarray | None = None
    items: np.ndarray | None = None
    role: np.ndarray | None = None
    fold: np.ndarray | None = None
    tags: Tags | None = None
    retrieval: Roles | None = None
    split: str = ""
    level: Literal["fine", "coarse"] = "coarse"
    disjoint: bool | None = False
    by_group: bool = False
    by_item: bool = False
    edition: str = ""
    origin: str = ""
    licence: str = ""
    class_names: tuple[str, ...] = ()
    fine_names: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    picture: tuple[int, ...] = ()
    no_labels: str = ""
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fingerprint(*arrays: np.ndarray | None, more: str = "") -> str:
    """SHA-256 over dtype, shape and bytes of the arrays, whatever compression they lay in.

    >>> fingerprint(np.arange(3)) == fingerprint(np.arange(3)), fingerprint(np.arange(3), more="x")[:8]
    (True, '...')
    """
    seen = hashlib.sha256(more.encode())
    for array in arrays:
        if array is None:
            seen.update(b"none")
            continue
        if array.dtype.kind in "UO":
            array = np.char.encode(array.astype(str), "utf-8")
        seen.update(f"{array.dtype.str}{array.shape}".encode())
        seen.update(np.ascontiguousarray(array).data)
    return seen.hexdigest()
