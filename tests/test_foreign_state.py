"""What a foreign loss keeps between calls: a resumed training goes on with it, or starts again, said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from losscope.core.spec import Study
from losscope.data import Source, load
from losscope.losses.foreign import sources
from losscope.losses.foreign.state import changed, is_plain, load_plain_state, other_state, plain_state
from losscope.train import train

LOSSES = '''
"""Losses that remember, each in another way; their value depends on how often they were called."""

import collections
import torch


def value(embeddings, labels, seen):
    i, j = torch.triu_indices(len(labels), len(labels), 1)
    d = (embeddings[i] - embeddings[j]).norm(dim=1)
    return torch.where(labels[i] == labels[j], d, (0.5 + 0.1 * seen - d).clamp_min(0)).square().mean()


class Listed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self._seen, self.nested = [], {"sums": [0.0], "last": None}

    def forward(self, embeddings, labels):
        self._seen.append(len(labels))
        self.nested["sums"][0] += 1.0
        self.nested["last"] = embeddings.detach().mean(0)
        return value(embeddings, labels, len(self._seen) + self.nested["sums"][0])


class Queued(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.queue = collections.deque(maxlen=8)

    def forward(self, embeddings, labels):
        self.queue.append(1)
        return value(embeddings, labels, len(self.queue))


class Shared(torch.nn.Module):
    seen = []

    def __init__(self):
        super().__init__()
        self.seen.clear()

    def forward(self, embeddings, labels):
        self.seen.append(1)
        return value(embeddings, labels, len(self.seen))


class Bare:
    def __init__(self):
        self.seen = 0

    def __call__(self, embeddings, labels):
        self.seen += 1
        return value(embeddings, labels, self.seen)


CALLS = []


def counted(embeddings, labels):
    CALLS.append(1)
    return value(embeddings, labels, len(CALLS) % 5)


def steady(embeddings, labels):
    return value(embeddings, labels, 0)
'''


@pytest.fixture
def source() -> Source:
    return load("synthetic", classes=3, points=12)


class Stop(KeyboardInterrupt):
    """An interruption that only this test sends."""


def interrupted_and_resumed(source: Source, runs: list[Any], path: Path) -> tuple[Any, list[int], list[Any]]:
    """The record of a training, the epochs that it saw after an interruption, and its resumed record."""
    splits = [source.splits(run.seed) for run in runs]
    whole = train(runs, splits)

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise Stop

    with pytest.raises(Stop):
        train(runs, splits, checkpoint=path, progress=stop)
    seen: list[int] = []
    resumed = train(runs, splits, checkpoint=path, progress=lambda done, total: seen.append(done))
    return whole[0], seen, resumed


@pytest.mark.parametrize(
    ("name", "epochs", "said"),
    [
        ("Listed", [2, 3], None),
        ("steady", [2, 3], None),
        ("Queued", [1, 2, 3], "loss.queue"),
        ("Shared", [1, 2, 3], "Shared.seen"),
        ("Bare", [1, 2, 3], "loss"),
        ("counted", [1, 2, 3], "loss"),
    ],
)
def test_a_loss_that_remembers_goes_on_or_starts_again(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    epochs: list[int],
    said: str | None,
) -> None:
    monkeypatch.setattr(sources, "_trusted", set())
    file = tmp_path / "remembering.py"
    file.write_text(LOSSES)
    sources.trust([f"{file}:{name}"])
    study = Study.of(
        data="synthetic",
        options={"classes": 3, "points": 12},
        losses=[f"{file}:{name}"],
        seeds=1,
        protocol="paper",
        epochs=3,
        batch_size=16,
    )
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    whole, seen, resumed = interrupted_and_resumed(source, runs, tmp_path / "group.pt")
    assert seen == epochs
    if name != "counted":  # its file counts on from one training to the next: nothing here can mend that
        assert resumed[0].trace == whole.trace
        assert resumed[0].measures.keys() == whole.measures.keys()
    notes = " ".join(resumed[0].provenance["notes"])
    if said is None:
        assert "started again" not in notes
    else:
        assert "the loss changes what no file can hold" in notes
        assert said in notes


def test_lists_are_restored_in_place_where_two_parts_share_one() -> None:
    made, fresh = nn.Module(), nn.Module()
    for module in (made, fresh):
        module.inner = nn.Module()
        module.queue = module.inner.queue = []
    made.queue.append(torch.ones(2))
    load_plain_state(fresh, plain_state(made))
    assert fresh.queue is fresh.inner.queue
    assert torch.equal(fresh.queue[0], torch.ones(2))


def test_what_is_plain_is_what_a_file_holds_without_pickled_code(tmp_path: Path) -> None:
    plain: list[Any] = [
        1,
        0.5,
        "a",
        None,
        True,
        torch.ones(2),
        [1, [2]],
        (1, "b"),
        {"a": [torch.ones(1)], 3: None},
    ]
    for value in plain:
        assert is_plain(value)
        torch.save(value, tmp_path / "value.pt")
        assert repr(torch.load(tmp_path / "value.pt", weights_only=True)) == repr(value)
    for value in ({1}, [object()], {(1, 2): 3}, nn.Parameter(torch.ones(1)), lambda: 1):
        assert not is_plain(value)


def test_what_changed_is_noticed_and_what_did_not_is_not() -> None:
    part = nn.Module()
    part.settings, part.call = {1, 2}, (lambda kept: lambda: kept.append(1))([])  # a closure that counts
    before = other_state(part)
    assert changed(before, other_state(part)) == []
    part.call()
    assert changed(before, other_state(part)) == ["call"]
    part.settings.add(3)
    assert changed(before, other_state(part)) == ["call", "settings"]
