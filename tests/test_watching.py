"""What is said of a study's runs beside its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from losscope.comparing import watching
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
