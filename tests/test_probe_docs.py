"""docs/probe.md is run as it stands, and names what is recorded and what the doctor's rules are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import losscope
from losscope.probe.doctor import Doctor
from losscope.probe.findings import Subject

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "probe.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.S | re.M)


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pytorch_metric_learning")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for block in BLOCKS:
            exec(compile(block, "probe.md", "exec"), names)
    said = capsys.readouterr().out
    assert "\n[]\n" in said
    assert re.search(r"chose \d+ triplets at first, \d+ at the end", said)
    assert "learning rate too high: in 20 steps" in said
    written = {
        row.name for name in ("digits", "digits, mined") for row in losscope.load_probe("runs", name).rows
    }
    defined = (DOCS / "definitions.md").read_text(encoding="utf-8")
    assert not {name for name in written - {"loss", "rows", "tuples"} if f"`{name}`" not in defined}


def test_every_rule_is_in_the_table():
    rules = Doctor(Subject(loss="any", unit_rows=True)).rules
    assert not {rule.name for rule in rules if rule.name not in TEXT}
