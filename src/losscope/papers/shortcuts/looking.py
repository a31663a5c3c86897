"""Runs of a study trained once more, and measured on validation and test after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.wording.numbers import finite
from losscope.papers.shortcuts.subjects import MEASURES, Subject, place_of
from losscope.run.store import Store, Stored

if TYPE_CHECKING:
    from losscope.data import Source
    from losscope.train import Population


@dataclass(frozen=True)
class Course:
    """What runs are worth after each epoch, from the start to the last: (seeds, epochs + 1, measures)."""

    validation: np.ndarray
    test: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether every run has every value."""
        return bool(np.isfinite(self.validation).all() and np.isfinite(self.test).all())


def course_of(runs: Sequence[Stored], source: Source, store: Store) -> Course:
    """The course of one side's runs: from the store where it is kept, else trained now and kept."""
    path = place_of(runs)
    found = store.read_json(path)
    if found is not None:
        shape = len(runs), runs[0].run.protocol.epochs + 1, len(MEASURES)
        arrays = [np.array(found.get(part), dtype=np.float64) for part in ("validation", "test")]
        require(
            all(array.shape == shape for array in arrays),
            f"{str(store.root / path)!r} is not what was measured of these runs; delete it",
        )
        return Course(*arrays)
    made = trained(runs, source)
    kept = {part: _listed(getattr(made, part)) for part in ("validation", "test")}
    store.write_json(path, {"runs": [run.id for run in runs], **kept})
    return made


def _listed(values: np.ndarray) -> list[list[list[float | None]]]:
    """Nested lists, None for a value that there is not."""
    return [[[finite(value) for value in look] for look in run] for run in values.tolist()]


def source_of(subject: Subject, data_root: str | None) -> Source:
    """A study's data, read again.

    Raises:
        LosscopeError: data that are not here, that have changed, or whose runs cannot be measured this way.
    """
    from losscope.data import load

    study, protocol = subject.kept.study, next(iter(subject.sides[subject.best].values()))[0].run.protocol
    require(not study.plugins, "the study was made with plugins")
    require(not protocol.finetunes, "its backbone trains, which is long")
    require(
        not any(choice.spec.foreign for choice in subject.kept.losses), "it has a loss of another library"
    )
    source = load(study.data, root=data_root or study.data_root, **study.data_spec().options)
    facts = source.facts
    known = subject.kept.data.digest
    require(known is None or known == source.digest, "the data are not those that the study was made of")
    other = facts.modalities or facts.searched or facts.several or facts.by_item or facts.of_pairs
    require(not other, "its rows are not one modality with one label each, each asking all others")
    return source


def trained(runs: Sequence[Stored], source: Source) -> Course:
    """Train the runs of one side together, all epochs, and measure each on test after every epoch.

    A run that was stopped at an epoch is trained on: the value at that epoch is the stored one.
    """
    import torch

    from losscope.run.arithmetic import fixed_arithmetic
    from losscope.train import Population
    from losscope.train.population import equal_epochs

    specs = [run.run for run in runs]
    splits = [source.splits(run.split_seed) for run in specs]
    shape = len(runs), specs[0].protocol.epochs + 1, len(MEASURES)
    validation, test = np.full(shape, np.nan), np.full(shape, np.nan)
    with fixed_arithmetic():
        for members in equal_epochs(specs, splits):
            population = Population(
                [specs[member] for member in members],
                [splits[member] for member in members],
                torch.device("cpu"),
                keep="none",
            )
            test[members, 0] = on_test(population)
            for epoch in range(1, shape[1]):
                population.run_epoch()
                test[members, epoch] = on_test(population)
            for place, member in enumerate(members):
                for column, name in enumerate(MEASURES):
                    curve = population.curves.curve(place, name, "validation")
                    validation[member, : len(curve), column] = curve
                if population.reasons[place] is not None:
                    test[member] = np.nan
    return Course(validation, test)


def on_test(population: Population) -> np.ndarray:
    """The measures of every member on its test rows now, (members, measures)."""
    import torch
    from torch import Tensor

    from losscope.measures import evaluate
    from losscope.pairs import normalise
    from losscope.train.measuring import embed_part

    made = []
    for member, split in enumerate(population.splits):
        own = {name: value[member : member + 1] for name, value in population.stack.network.items()}

        def embed(inputs: Tensor, own: dict[str, Tensor] = own) -> Tensor:
            with torch.no_grad():
                return normalise(population.forward(own, inputs[None]))[0]

        embeddings, _ = embed_part(split.test, split, embed, population.device)
        values, _ = evaluate(embeddings, torch.from_numpy(split.test.labels), names=MEASURES)
        made.append([float(values[name]) for name in MEASURES])
    return np.array(made)


def courses(subject: Subject, store: Store, data_root: str | None) -> tuple[dict[str, Course], str | None]:
    """The course of each loss of a study at its best numbers; or none, and why."""
    try:
        source = source_of(subject, data_root)
    except LosscopeError as error:
        return {}, str(error)
    sides = subject.sides[subject.best]
    return {loss: course_of(runs, source, store) for loss, runs in sides.items()}, None
