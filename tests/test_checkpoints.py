"""An interrupted population ends with the numbers of an uninterrupted one, or starts again; never others."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from losscope.core.spec import Study
from losscope.data import Source, load
from losscope.losses.foreign.state import load_plain_state, plain_state
from losscope.run import files
from losscope.run.store import Record
from losscope.train import Population, checkpoints, train


@pytest.fixture(scope="module")
def source() -> Source:
    return load("synthetic", classes=3, points=12)


def runs_of(seeds: int = 2, epochs: int = 4, loss: str = "triplet") -> list[Any]:
    study = Study.of(
        data="synthetic",
        options={"classes": 3, "points": 12},
        losses=[loss],
        seeds=seeds,
        protocol="paper",
        epochs=epochs,
        batch_size=16,
    )
    return [run for run in study.expand("vectors") if not run.loss.baseline]


def splits_of(source: Source, runs: list[Any]) -> list[Any]:
    return [source.splits(run.seed) for run in runs]


def population(source: Source, runs: list[Any]) -> Population:
    return Population(runs, splits_of(source, runs), torch.device("cpu"))


def numbers(records: list[Record]) -> list[Any]:
    return [(repr(record.measures), repr(record.trace), record.status, record.reason) for record in records]


class Stop(KeyboardInterrupt):
    """An interruption that only this test sends."""


def interrupted(source: Source, runs: list[Any], path: Path, after: int) -> bytes:
    """The checkpoint of a training that is interrupted after so many epochs."""

    def stop(done: int, total: int) -> None:
        if done == after:
            raise Stop

    with pytest.raises(Stop):
        train(runs, splits_of(source, runs), checkpoint=path, progress=stop)
    return path.read_bytes()


def epochs_seen(source: Source, runs: list[Any], path: Path) -> tuple[list[Record], list[int]]:
    seen: list[int] = []
    records = train(
        runs, splits_of(source, runs), checkpoint=path, progress=lambda done, total: seen.append(done)
    )
    return records, seen


def test_a_resumed_training_ends_as_an_uninterrupted_one(source: Source, tmp_path: Path) -> None:
    runs = runs_of()
    whole = train(runs, splits_of(source, runs))
    interrupted(source, runs, tmp_path / "group.pt", 1)
    records, seen = epochs_seen(source, runs, tmp_path / "group.pt")
    assert seen == [2, 3, 4]
    assert numbers(records) == numbers(whole)
    assert not (tmp_path / "group.pt").exists()


def test_an_interruption_within_an_epoch_keeps_the_state_before_it(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of()
    whole = train(runs, splits_of(source, runs))
    steps = 0
    real = Population.step

    def step(self: Population, *batch: Any) -> None:
        nonlocal steps
        steps += 1
        real(self, *batch)
        if self.epoch == 2:
            raise Stop

    monkeypatch.setattr(Population, "step", step)
    monkeypatch.setattr(checkpoints, "TAKEN_EVERY", 0)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    with pytest.raises(Stop):
        train(runs, splits_of(source, runs), checkpoint=tmp_path / "group.pt")
    monkeypatch.undo()
    records, seen = epochs_seen(source, runs, tmp_path / "group.pt")
    assert seen == [3, 4], "the epoch that was half done is done again, whole"
    assert numbers(records) == numbers(whole)


@pytest.mark.parametrize("flips", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_no_flipped_bit_of_a_checkpoint_gives_other_numbers(
    source: Source, tmp_path: Path, flips: int
) -> None:
    runs = runs_of(epochs=2)
    whole = numbers(train(runs, splits_of(source, runs)))
    path = tmp_path / "group.pt"
    content = interrupted(source, runs, path, 1)
    draw = random.Random(0)
    header = content.index(b"\n") + 1
    places = [draw.randrange(header) for _ in range(flips // 4)]
    places += [draw.randrange(len(content)) for _ in range(flips - len(places))]
    refused = 0
    for place in places:
        altered = bytearray(content)
        altered[place] ^= 1 << draw.randrange(8)
        path.write_bytes(altered)
        records, seen = epochs_seen(source, runs, path)
        assert numbers(records) == whole, place
        refused += seen == [1, 2]
        assert any("started again" in note for note in records[0].provenance["notes"])
    assert refused == flips


@pytest.mark.parametrize("what", ["cut", "emptied", "other runs", "other name", "old form", "other torch"])
def test_a_checkpoint_that_does_not_belong_starts_again_and_says_so(
    source: Source, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(epochs=2)
    path = tmp_path / "group.pt"
    content = interrupted(source, runs, path, 1)
    if what == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif what == "emptied":
        path.write_bytes(b"")
    elif what == "other runs":
        runs = runs_of(epochs=2, loss="triplet(margin=0.3)")
    elif what == "other name":
        path = path.rename(tmp_path / "other.pt")
    elif what == "old form":
        path.write_bytes(content.partition(b"\n")[2])
    else:
        monkeypatch.setattr(torch, "__version__", "0.1")
    records, seen = epochs_seen(source, runs, path)
    assert seen == [1, 2]
    assert numbers(records) == numbers(train(runs, splits_of(source, runs)))
    assert any("started again" in note for note in records[0].provenance["notes"])


def test_nothing_of_a_state_that_does_not_fit_is_taken_over(source: Source) -> None:
    runs = runs_of()
    trained = population(source, runs)
    trained.run_epoch()
    fresh = population(source, runs)
    before = checkpoints.payload(fresh)
    state = trained.state()
    one_less = {**state, "reasons": [None]}
    wide = {**state, "adam": {**state["adam"], "square": state["adam"]["square"][:, :-1]}}
    double = {**state, "flat": state["flat"].double()}
    late = {**state, "epoch": 5}
    generators = {**state, "generators": [[{"bit_generator": "MT19937"} for _ in runs]] * 3}
    foreign = {**state, "objective": {"steps": 3}}
    for altered in (one_less, wide, double, late, generators, foreign, {}, None):
        with pytest.raises((ValueError, KeyError, TypeError)):
            fresh.load(altered)  # type: ignore[arg-type]
        assert checkpoints.payload(fresh) == before


def test_a_state_that_is_refused_half_way_starts_again_on_a_fresh_population(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of()
    whole = train(runs, splits_of(source, runs))
    path = tmp_path / "group.pt"
    interrupted(source, runs, path, 2)
    load_state = Population.load

    def refuse(self: Population, state: dict[str, Any]) -> None:
        load_state(self, state)
        raise KeyError("tail")

    monkeypatch.setattr(Population, "load", refuse)
    records, seen = epochs_seen(source, runs, path)
    assert seen == [1, 2, 3, 4] and numbers(records) == numbers(whole)
    assert any("tail" in note and "started again" in note for note in records[0].provenance["notes"])


def test_a_part_that_a_loss_made_while_it_trained_is_refused_before_anything_is_loaded() -> None:
    made, fresh = torch.nn.Module(), torch.nn.Module()
    made.count, made.tail = 3, torch.nn.BatchNorm1d(2)
    fresh.count = 0
    with pytest.raises(ValueError, match="made parts"):
        load_plain_state(fresh, plain_state(made))
    assert fresh.count == 0


def test_a_disk_that_refuses_a_checkpoint_does_not_stop_the_training(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of()
    whole = train(runs, splits_of(source, runs))

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    monkeypatch.setattr(checkpoints, "WRITTEN_EVERY", -1)
    records = train(runs, splits_of(source, runs), checkpoint=tmp_path / "group.pt")
    assert numbers(records) == numbers(whole)
    assert any("could not be kept" in note for note in records[0].provenance["notes"])
    assert list(tmp_path.iterdir()) == []
