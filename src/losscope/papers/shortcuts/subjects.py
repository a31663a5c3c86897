"""The studies that shortcuts are tried on, read from their stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from losscope.comparing import reading
from losscope.comparing.stored import StoredStudy
from losscope.core.errors import LosscopeError, require
from losscope.core.results import LossNumbers
from losscope.core.spec import NUMERICS, LossSpec
from losscope.core.wording import shortcuts as wording
from losscope.run.store import Store, Stored

MEASURES = ("recall_at_1", "map_at_r")
"""What shortcuts are measured by: those of a quality curve."""
FOLDER = "shortcuts"
"""The folder of a store with what is measured of its runs once more."""
FEWEST = 6
"""Paired seeds below which no test at 5 % can tell two losses apart."""


@dataclass(frozen=True)
class Subject:
    """A finished study: its losses' final runs at each of their numbers, seed by seed.

    ``sides``: numbers -> loss -> its runs in the order of ``seeds``. Only losses that have all values at all
    numbers are here; ``left_out`` names the others.
    """

    kept: StoredStudy
    root: Path
    seeds: tuple[int, ...]
    sides: Mapping[LossNumbers, Mapping[str, tuple[Stored, ...]]]
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the data."""
        return self.kept.data.name

    def called(self, name: str) -> bool:
        """Whether the data bear this name, or were given by it."""
        return name in (self.name, self.kept.study.data)

    @property
    def tuned(self) -> bool:
        """Whether its losses were tuned, so that they have usual and tuned numbers."""
        return "tuned" in self.sides

    @cached_property
    def losses(self) -> tuple[str, ...]:
        """The losses, in the order of the study."""
        return tuple(next(iter(self.sides.values())))

    @property
    def best(self) -> LossNumbers:
        """The numbers that its verdicts are about: tuned ones, where it has them."""
        return "tuned" if self.tuned else "usual"

    def values(self, numbers: LossNumbers, measure: str) -> np.ndarray:
        """Final test values, (seeds, losses)."""
        sides = self.sides[numbers].values()
        return np.array([[run.measures["test"][measure] for run in runs] for runs in sides], dtype=float).T


def place_of(runs: Sequence[Stored], *more: object) -> str:
    """The file in a store of what was measured of runs once more."""
    text = json.dumps([NUMERICS, MEASURES, [run.id for run in runs], *more])
    return f"{FOLDER}/{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"


def pairs_of(losses: Sequence[str]) -> list[tuple[int, int]]:
    """The places of both losses of every pair."""
    return list(combinations(range(len(losses)), 2))


def differences(values: np.ndarray) -> np.ndarray:
    """a − b of every pair, (seeds, pairs), of values (seeds, losses).

    >>> differences(np.array([[3.0, 2.0, 0.0]])).tolist()
    [[1.0, 3.0, 2.0]]
    """
    first, second = np.triu_indices(values.shape[1], 1)
    return np.asarray(values[:, first] - values[:, second])


def stored(
    folder: str | Path, only: Sequence[str] = (), seeds: int = FEWEST
) -> tuple[list[Subject], list[str]]:
    """The studies of a store that shortcuts can be tried on, and a sentence for each that is left out.

    Args:
        folder: a folder that ``compare`` wrote.
        only: names of data; all otherwise.
        seeds: the fewest.

    Raises:
        LosscopeError: a folder without a finished study.
    """
    store = Store(Path(folder), create=False)
    names = reading.studies_of(store)
    require(bool(names), f"{str(folder)!r} holds no finished study; wanted: a folder that compare wrote")
    found, notes = [], []
    for name in names:
        try:
            subject = subject_of(store, name, seeds)
        except LosscopeError as error:
            notes.append(wording.passed_over(name, str(error)))
            continue
        if not only or any(map(subject.called, only)):
            found.append(subject)
    return found, notes


def subject_of(store: Store, name: str, seeds: int = FEWEST) -> Subject:
    """A study of a store.

    Raises:
        LosscopeError: fewer than two losses with values at that many seeds, or files that cannot be read.
    """
    kept = StoredStudy.read(store, name)
    require(kept is not None, f"the store {str(store.root)!r} has no study {name!r}")
    assert kept is not None
    runs: dict[str, dict[int, Stored]] = {}
    for run in store.many(dict.fromkeys(kept.runs)):
        runs.setdefault(run.run.loss.canonical(), {})[run.run.seed] = run
    drawn = sorted({seed for own in runs.values() for seed in own})
    require(len(drawn) >= seeds, f"it has {wording.seeds(len(drawn))}; wanted: {seeds} or more")
    sides: dict[LossNumbers, dict[str, tuple[Stored, ...]]] = {}
    left_out = []
    for label, specs in _specs(kept):
        found = {numbers: _whole(runs.get(spec.canonical(), {}), drawn) for numbers, spec in specs.items()}
        if any(own is None for own in found.values()):
            left_out.append(label)
            continue
        for numbers, own in found.items():
            sides.setdefault(numbers, {})[label] = own or ()
    whole = {numbers: own for numbers, own in sides.items() if len(own) > 1}
    require(bool(whole), "it has fewer than two losses with a value of Recall@1 and MAP@R at every seed")
    return Subject(kept, store.root, tuple(drawn), whole, tuple(left_out))


def _specs(kept: StoredStudy) -> Iterator[tuple[str, dict[LossNumbers, LossSpec]]]:
    """Each loss with its numbers: a tuned one's are its tuned and its usual ones, which may be the same."""
    tuned = any(choice.tuned is not None for choice in kept.losses)
    for choice in kept.losses:
        usual = choice.spec if choice.default is None else choice.default
        yield choice.label, {"tuned": choice.spec, "usual": usual} if tuned else {"usual": usual}


def _whole(own: Mapping[int, Stored], seeds: Sequence[int]) -> tuple[Stored, ...] | None:
    """The runs of all seeds, None where one is absent, failed, or has no value."""
    found = [own.get(seed) for seed in seeds]
    for run in found:
        values = {} if run is None or run.failed is not None else run.measures.get("test", {})
        if any(values.get(measure) is None for measure in MEASURES):
            return None
    return tuple(run for run in found if run is not None)
