"""The page of scale: its tables are those of the kept numbers, and the script measures what it says."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))
    return importlib.import_module("making.scale")


def test_the_tables_of_the_page_are_those_of_the_kept_numbers(scale):
    page = scale.PAGE.read_text(encoding="utf-8")
    assert scale.written(page, scale.tables(json.loads(scale.KEPT.read_text()))) == page
    assert len(re.findall(r"<!-- scale: \w+ -->\n[^<]", page)) == len(scale.PARTS) + 2


def test_a_table_that_the_page_lacks_is_an_error(scale):
    with pytest.raises(AssertionError, match="0 places for engines"):
        scale.written("no table", {"engines": "a table"})


def test_every_part_is_measured(scale):
    assert set(scale.FULL) == set(scale.REDUCED) == set(scale.PARTS)
    sizes = {
        "populations": {"members": [1, 2], "steps": 3},
        "batches": {"rows": [64, 128], "repeats": 1},
        "galleries": {"rows": [1000, 2000], "queries": 10, "width": 8},
        "store": {"runs": 3},
    }
    found = {name: scale.PARTS[name](**size) for name, size in sizes.items()}
    found["engines"] = {"runs": 4, "workers": 2, "here": 8.0, "processes": 5.0}
    found["machine"] = {name: {"machine": "one", "time": "today", "reduced": False} for name in scale.PARTS}
    made = scale.tables(found)
    assert "| 1.60 |" in made["engines"] and made["machine"] == "Measured on one, today."
    assert [made[name].count("\n") for name in ("populations", "batches", "galleries", "store")] == [
        3,
        3,
        3,
        6,
    ]
    assert found["batches"][1]["peak"] >= found["batches"][0]["peak"] > 0
    assert "100,000,000 vectors" in made["beyond"] and "nan" not in made["beyond"]


@pytest.mark.slow
def test_the_engines_are_measured_on_the_same_runs(scale):
    found = scale.engines(runs=2, images=160, side=12, epochs=1)
    assert found["runs"] == 2 and found["here"] > 0 and found["processes"] > 0
