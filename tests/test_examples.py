"""The study files in ``examples``: they are read, their names exist, and each says its cost and result."""

from __future__ import annotations

from pathlib import Path

import pytest

from losscope import stats
from losscope.core.spec import Study

FILES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_study_files_are_read_and_say_cost_and_expectation(path):
    head = path.read_text(encoding="utf-8").split("\ndata =")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert f"losscope run examples/{path.name}" in head and "# Cost:" in head and "# Expect:" in head
    study = Study.read(path)
    # Enough seeds for the family of its own comparison.
    assert stats.plan(study.seeds, len(study.losses), 2).enough


def test_the_ablations_are_there():
    assert {path.stem for path in FILES} >= {
        f"ablation-{name}" for name in ("tuples", "reduction", "label-noise", "outliers")
    }
