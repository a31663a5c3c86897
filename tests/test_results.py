"""The typed results: strict to write, tolerant to read, and their JSON Schema as ``docs`` holds it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import losscope
from losscope.core import results
from losscope.core.errors import LosscopeError

SCHEMAS = Path(__file__).parent.parent / "docs" / "schemas"
HERE = Path(__file__).parent / "golden" / "scores.csv"


@pytest.fixture(scope="module")
def judged() -> results.Result:
    return losscope.judge(str(HERE))


def test_the_documented_schemas_are_current() -> None:
    """``python -m losscope.core.schemas docs/schemas`` writes them again."""
    for kind, schema in results.schemas().items():
        path = SCHEMAS / f"{kind.replace(' ', '-')}.json"
        assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(schema)), path


def test_json_is_the_serialisation_and_reads_back_equal(judged: results.Result) -> None:
    text = judged.json()
    assert json.loads(text)["schema"] == results.SCHEMA
    back = results.Result.from_json(text)
    assert back == judged
    assert back.json() == text


def test_results_are_equal_by_their_fields(judged: results.Result) -> None:
    """What a page draws besides the numbers is no part of the value."""
    assert judged.evidence is not None
    assert judged.with_evidence(None) == judged
    assert judged.model_copy(update={"goal": "another"}) != judged


def test_no_number_is_nan_and_no_field_is_unknown() -> None:
    with pytest.raises(ValidationError):
        results.MeasureValue(mean=math.nan, low=None, high=None, values=())
    with pytest.raises(ValidationError):
        results.Failure(seed=0, reason="", colour="red")  # type: ignore[call-arg]
    found = results.Failure(seed=0, reason="x")
    with pytest.raises(ValidationError):
        found.seed = 1  # type: ignore[misc]


def test_a_newer_field_of_the_same_schema_is_passed_over(judged: results.Result) -> None:
    newer = json.loads(judged.json())
    newer["colour"] = "red"
    newer["paired"][0]["colour"] = "red"
    assert results.Result.from_json(json.dumps(newer)) == judged


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 1}, "schema 1; this losscope reads schema 2: make it again with losscope report"),
        ({"schema": 99}, "schema 99"),
        ({"losses": 3}, "is not a comparison of losscope: losses"),
    ],
)
def test_another_schema_is_one_sentence(judged: results.Result, change: dict, said: str) -> None:
    with pytest.raises(LosscopeError, match=said):
        results.Result.from_json(json.dumps({**json.loads(judged.json()), **change}), "old.json")
    with pytest.raises(LosscopeError, match="not valid JSON"):
        results.Result.from_json("{", "old.json")


def test_results_and_wording_import_no_torch() -> None:
    code = "import sys, losscope.core.results, losscope.core.wording; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
