"""A run that several processes train together is the run of one process, up to rounding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gloo import on_processes
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import DataSpec, LossSpec, Run, Study, protocol
from losscope.features import load
from losscope.pairs import Relation
from losscope.train import Population, train
from losscope.train.together import ALONE, Team, check_rows_alone

LOSSES = [*registry.entries("loss"), "triplet(reduction=active_mean)", "contrastive(reduction=balanced)"]
ROWS = (64, 61, 5, 2, 1)
"""Rows of the batches of ten steps: of the last ones some processes have none."""
CLASSES, WIDTH = 8, 128
LONE = torch.tensor([0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7]).repeat(2, 1)
"""Labels of a batch whose first half has no two of a class."""


def runs(text: str, seeds: int = 2, **changes: Any) -> list[Run]:
    numbers = {"hidden": (12,), "embedding_size": 8, "batch_size": 16, "epochs": 2, "classes_per_batch": 4}
    name = changes.pop("like", "matched")
    shape = protocol(name, "vectors", "synthetic", **{**numbers, **changes})
    data = DataSpec(name="synthetic", options={"classes": CLASSES, "points": 10})
    spec = LossSpec.parse(text).resolved(name)
    return [Run(data=data, loss=spec, protocol=shape, seed=seed) for seed in range(seeds)]


def splits(of: list[Run]) -> list[Any]:
    source = load(of[0].data.name, **of[0].data.options)
    return [source.splits(run.seed) for run in of]


@contextmanager
def numbers_of(kind: torch.dtype) -> Iterator[None]:
    """Within it a population's parameters are of this type."""
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def population(text: str, kind: torch.dtype, team: Team) -> Population:
    own = runs(text)
    with numbers_of(kind):
        return Population(own, splits(own), torch.device("cpu"), team=team)


def batches(kind: torch.dtype, labels: Tensor | None = None) -> Iterator[tuple[Tensor, Relation]]:
    """Inputs and relations of whole batches of both members, by labels (2, rows) where they are given."""
    generator = torch.Generator().manual_seed(0)
    while True:
        for rows in ROWS if labels is None else labels.shape[1:]:
            own = torch.randint(CLASSES, (2, rows), generator=generator) if labels is None else labels
            inputs = torch.randn(2, rows, WIDTH, generator=generator, dtype=torch.float64)
            yield inputs.to(kind), Relation.from_labels(own)


def stepped(own: Population, inputs: Tensor, relation: Relation, half: bool = False) -> dict[str, Tensor]:
    """What a step shows: the loss, the whole gradient, the norms and counts that are read."""
    with numbers_of(own.stack.flat.dtype), torch.autocast("cpu", torch.bfloat16, enabled=half):
        own.step(inputs, relation)
    found = own.instruments.readings.pop(inputs.shape[1])[-1]._asdict()
    return {**found, "gradient": own.stack.grad.clone()}


def everything(rank: int, world: int) -> dict[str, Any]:
    team = Team(rank, world) if world > 1 else ALONE
    found: dict[str, Any] = {}
    for text in LOSSES:
        own = population(text, torch.float64, team)
        for _, batch in zip(range(10), batches(torch.float64)):
            stepped(own, *batch)
        found[f"{text}/ten"] = own.stack.flat
        single = population(text, torch.float32, team)
        for _, batch in zip(range(2), batches(torch.float32)):
            found[f"{text}/{batch[0].shape[1]}/float"] = stepped(single, *batch)
        batch = next(batches(torch.float32))
        found[f"{text}/exact"] = stepped(population(text, torch.float32, team), *batch)
        found[f"{text}/half"] = stepped(population(text, torch.float32, team), *batch, half=True)
        batch = next(batches(torch.float64, LONE))
        found[f"{text}/lone"] = stepped(population(text, torch.float64, team), *batch)
    return found


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return everything(0, 1)


SLOW = pytest.mark.slow


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=SLOW), pytest.param(4, marks=SLOW)])
def apart(request, tmp_path_factory) -> list[dict[str, Any]]:
    return on_processes(request.param, tmp_path_factory.mktemp("gloo"), everything)


def of_kind(found: dict[str, Any], kind: str) -> dict[str, Any]:
    chosen = {name: value for name, value in found.items() if name.endswith(f"/{kind}")}
    assert len(chosen) >= len(LOSSES)
    return chosen


def test_parameters_after_ten_steps(whole, apart) -> None:
    for name, parameters in of_kind(whole, "ten").items():
        for process in apart:
            assert (process[name] - parameters).abs().max() < 1e-9, name
            assert torch.equal(process[name], apart[0][name]), name


def test_loss_gradient_and_readings_in_float32(whole, apart) -> None:
    for name, step in of_kind(whole, "float").items():
        for process in apart:
            near = process[name]
            for what in ("loss", "gradient", "norm", "rows"):
                assert (near[what] - step[what]).norm() <= 1e-5 * step[what].norm(), (name, what)
            # Adam's first steps are as long as the rate where a gradient is nearly 0, whatever its sign.
            assert torch.allclose(near["update"], step["update"], rtol=1e-3), name
            for what in ("active", "valid"):
                assert torch.equal(near[what], step[what]), (name, what)


def test_half_precision_within_twice_its_own_error(whole, apart) -> None:
    for name, step in of_kind(whole, "half").items():
        exact = whole[name.replace("/half", "/exact")]
        for process in apart:
            for what in ("loss", "gradient"):
                allowed = 2 * (step[what] - exact[what]).norm()
                # A loss may be right by luck, to fewer digits than bfloat16 has.
                least = 2**-8 * exact[what].norm() if what == "loss" else 0.0
                assert (process[name][what] - exact[what]).norm() <= max(allowed, least), (name, what)


def test_a_process_without_positives(whole, apart) -> None:
    for name, step in of_kind(whole, "lone").items():
        for process in apart:
            for what in ("loss", "gradient"):
                assert (process[name][what] - step[what]).norm() <= 1e-12 * step[what].norm(), (name, what)


def test_what_is_compared_is_not_nothing(whole) -> None:
    steps = [value for value in whole.values() if isinstance(value, dict)]
    assert all(step["gradient"].abs().max() > 0 for step in steps)
    shares = [Team(rank, 4).part(2) for rank in range(4)]
    assert [share.stop - share.start for share in shares] == [0, 1, 0, 1]


def pictures(folder: str) -> str:
    """A file of 60 small images of three classes that differ in their colour."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 120, (60, 3, 12, 12)), np.arange(60) % 3
    images[np.arange(60), labels] += 100
    np.savez(f"{folder}/images.npz", images=images.astype(np.uint8), labels=labels)
    return f"{folder}/images.npz"


def pairs(folder: str) -> str:
    """A file of 60 pairs of two modalities."""
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 3
    first, second = (draw.normal(size=(60, width)) + labels[:, None] for width in (6, 9))
    np.savez(f"{folder}/pairs.npz", audio=first, visual=second, labels=labels)
    return f"{folder}/pairs.npz"


STUDIES: dict[str, dict[str, Any]] = {
    "partners from the set": {"losses": ["triplet"], "protocol": "paper"},
    "chosen in the batch": {"losses": ["triplet(tuples=semihard)"]},
    "class vectors": {"losses": ["arcface"], "seeds": 2},
    "images": {"losses": ["contrastive"], "data": "images", "augment": ["flip", "crop2"], "seeds": 1},
    "two modalities": {"losses": ["info_nce"], "data": "pairs", "seeds": 1},
}


def trained(rank: int, world: int, folder: str, purpose: str = "final") -> dict[str, Any]:
    """The records of whole trainings, of batches whose last is smaller."""
    team, found = Team(rank, world) if world > 1 else ALONE, {}
    files = {"images": f"{folder}/images.npz", "pairs": f"{folder}/pairs.npz"}
    for name, words in STUDIES.items():
        data = files.get(words.get("data", ""), "synthetic")
        options = {"classes": 4, "points": 13} if data == "synthetic" else {}
        fixed = {"epochs": 2, "batch_size": 12, "embedding_size": 4, "tune": False, "seeds": 2}
        study = Study.of(**{**fixed, **words, "data": data, "options": options})
        source = load(data, **options)
        own = [run for run in study.expand(source.facts.kind) if not run.loss.baseline]
        own = [run.model_copy(update={"purpose": purpose}) for run in own]
        records = train(own, [source.splits(run.seed) for run in own], team=team)
        found[name] = [(record.status, record.trace, record.measures) for record in records]
    return found


@pytest.mark.parametrize("purpose", ["final", "trial"])
def test_whole_trainings_are_those_of_one_process(tmp_path, purpose) -> None:
    pictures(str(tmp_path)), pairs(str(tmp_path))
    alone = trained(0, 1, str(tmp_path), purpose)
    leading, following = on_processes(2, tmp_path, trained, str(tmp_path), purpose)
    for name, records in alone.items():
        for record, near, other in zip(records, leading[name], following[name], strict=True):
            status, trace, measures = record
            assert status == near[0] == "complete"
            assert [row[:3] for row in near[1]] == [row[:3] for row in trace]
            values, along = ([row[3] for row in rows] for rows in (trace, near[1]))
            np.testing.assert_allclose(along, values, rtol=1e-3, atol=1e-5, err_msg=name)
            np.testing.assert_array_equal([row[3] for row in other[1]], along)
            assert measures.keys() == near[2].keys()
            for split, own in measures.items():
                assert own.keys() == near[2][split].keys()
                # A row may change its rank by rounding: one in some hundred.
                np.testing.assert_allclose(
                    list(near[2][split].values()), list(own.values()), rtol=1e-2, atol=1e-2, err_msg=name
                )


@pytest.mark.slow
def test_the_same_number_of_processes_gives_equal_numbers(tmp_path) -> None:
    pictures(str(tmp_path)), pairs(str(tmp_path))
    first, second = (on_processes(3, tmp_path, trained, str(tmp_path))[0] for _ in range(2))
    assert repr(first) == repr(second)


class Averaging(Team):
    """A planted fault: gradients are averaged over the processes, as DistributedDataParallel does."""

    def add_up(self, gradient: Tensor, network: int) -> None:
        super().add_up(gradient, network)
        gradient /= self.size


class Cut(Team):
    """A planted fault: class vectors' gradients are summed like the network's."""

    def add_up(self, gradient: Tensor, network: int) -> None:
        super().add_up(gradient, gradient.shape[1])


def faulty(rank: int, world: int) -> list[Tensor]:
    batch = next(batches(torch.float64))
    return [
        stepped(population("arcface", torch.float64, kind(rank, world)), *batch)["gradient"]
        for kind in (Team, Averaging, Cut)
    ]


def test_planted_faults_are_found(tmp_path) -> None:
    right = stepped(population("arcface", torch.float64, ALONE), *next(batches(torch.float64)))["gradient"]
    good, half, twice = on_processes(2, tmp_path, faulty)[0]
    assert (good - right).norm() <= 1e-12 * right.norm()
    assert torch.allclose(half * 2, right) and not torch.allclose(half, right)
    assert (twice - right).norm() > 0.01 * right.norm()


@pytest.mark.parametrize("fault", ["batch", "chance", None])
def test_a_network_that_mixes_rows_is_refused(fault) -> None:
    def forward(parameters: Any, inputs: Tensor) -> Tensor:
        x = inputs.flatten(2) @ parameters["weight"]
        if fault == "batch":
            return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
        return torch.nn.functional.dropout(x, 0.5) if fault == "chance" else x

    with torch.random.fork_rng():
        torch.manual_seed(0)
        inputs, parameters = torch.randn(2, 7, 3, 2), {"weight": torch.randn(2, 6, 4)}
        if fault is None:
            check_rows_alone(forward, parameters, inputs, "mine", 2)
            return
        with pytest.raises(LosscopeError, match="the model 'mine' embeds a row otherwise beside other rows"):
            check_rows_alone(forward, parameters, inputs, "mine", 2)
