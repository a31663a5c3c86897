"""What is said of a study's runs beside its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import losscope
from losscope.comparing import watching
from losscope.core import wording
from losscope.run.store import Stored
from losscope.stats import Measured


def run(loss: str, seed: int, *, status: str = "complete", unseen: bool = True) -> tuple[Stored, Measured]:
    value = 0.5 + 0.2 * (loss == "triplet") + 0.01 * np.random.default_rng(seed).normal()
    names = ("map_at_r", "recall_at_1")
    measures = {"test": dict.fromkeys(names, value)}
    if unseen:
        measures["unseen"] = dict.fromkeys(names, value - 0.1)
    failed = None if status == "complete" else "the gradient was not finite"
    if failed:
        measures = {}
    stored = Stored(
        Path("x"), {"id": f"{loss}{seed}", "status": status, "measures": measures, "reason": failed}
    )
    return stored, Measured(loss=loss, seed=seed, values=dict(measures.get("test", {})), failed=failed)


def said(runs: list[tuple[Stored, Measured]]) -> str | None:
    return watching.without_leaks(runs, 3, goal="retrieval", reference=None, settings=(), looks=1)


def runs_of(**changed: str) -> list[tuple[Stored, Measured]]:
    return [
        run(loss, seed, status="diverged" if changed.get(loss) == str(seed) else "complete")
        for loss in ("contrastive", "triplet")
        for seed in range(8)
    ]


def test_a_run_that_diverged_does_not_silence_the_answer_on_new_items() -> None:
    assert "Without the 3 test items" in (said(runs_of()) or "")
    assert "Without the 3 test items" in (said(runs_of(contrastive="2")) or "")


@pytest.mark.parametrize("missing", [1, 16])
def test_runs_that_did_not_measure_new_items_give_no_such_answer(missing: int) -> None:
    old = [(loss, seed) for loss in ("contrastive", "triplet") for seed in range(8)][:missing]
    runs = [
        run(loss, seed, unseen=(loss, seed) not in old)
        for loss in ("contrastive", "triplet")
        for seed in range(8)
    ]
    assert said(runs) is None


PLUGIN = '''
from math import prod

import numpy as np

from losscope import Protocol, register
from losscope.core.protocols.matched import matched
from losscope.data import Draft
from losscope.models.networks import Architecture


@register("data", "chance", title="Labels by chance", n=240, classes=6, modality="vectors", bundled=True)
def chance(root):
    """Points whose labels say nothing of them."""
    draw = np.random.default_rng(0)
    return Draft("chance", "Labels by chance", "vectors", draw.normal(size=(240, 8)).astype(np.float32),
                 np.arange(240) % 6)


@register("model", "thread", inputs="vectors", hidden=())
def thread(inputs, hidden, embedding_size):
    """Everything goes through one number."""
    size = prod(inputs)

    def forward(parameters, x):
        return (x.flatten(2) @ parameters["first"]) @ parameters["last"] + parameters["bias"][:, None]

    shapes = {"first": (size, 1), "last": (1, embedding_size), "bias": (embedding_size,)}
    return Architecture(shapes, {"first": size, "last": 1, "bias": 1}, forward)


@register("protocol", "still", title="next to no learning rate", tunes=(), like="matched")
def still(kind, data=""):
    """Two epochs that move nothing."""
    return matched(kind, data).model_copy(update={"name": "still", "epochs": 2, "learning_rate": 1e-9})
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("ill") / "ill.py"
    file.write_text(PLUGIN)
    return str(file)


def compared(folder: Path, plugin: str, data: str, **more: object) -> list[str]:
    options = {"seeds": 2, "out": folder / "runs", "protocol": "still", "plugins": [plugin]}
    found = losscope.compare(data, losses=["triplet(margin=1.0)", "info_nce"], **options, **more)
    return [wording.fault(fault) for side in found.losses for fault in side.faults]


def test_a_run_that_stays_at_its_margin_is_named(tmp_path: Path, plugin: str) -> None:
    (said,) = compared(tmp_path, plugin, "chance")
    assert "triplet(margin=1.0" in said and "stayed at its margin in 2 of 2 runs: a loss of 1" in said


def test_runs_that_end_on_a_line_are_named(tmp_path: Path, plugin: str) -> None:
    said = compared(tmp_path, plugin, "digits", model="thread")
    assert len(said) == 2 and all("collapsed to a line in 2 of 2 runs" in text for text in said)


def test_sound_runs_are_not_named(tmp_path: Path, plugin: str) -> None:
    assert compared(tmp_path, plugin, "digits") == []
