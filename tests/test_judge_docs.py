"""docs/judge.md is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (DOCS / "judge.md").read_text(encoding="utf-8"), re.S | re.M)


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pytorch_metric_learning", reason="one example is of pytorch-metric-learning")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blocks.py").write_text("\n".join(BLOCKS))  # functions have code that can be read
    names: dict[str, object] = {}
    exec(compile("\n".join(BLOCKS), str(tmp_path / "blocks.py"), "exec"), names)
    said = capsys.readouterr().out
    assert len(re.findall(r"triplet has a higher (?:Recall@1|mAP@10) than contrastive \(better\)", said)) == 3
    assert "data sets like these" in said and "better on 7 of 7" in said
    assert "Use org/large: its main score is higher than that of org/small" in said
    assert "8 tasks are of 7 families, each of which counts once" in said
    assert "these two models" in said and "40 test classes" in said
    assert re.search(r"\['pml:TripletMarginLoss\(margin=0.1\)', \"given:pull\(digest='\w+'\)\"\]", said)
    assert (tmp_path / "page.html").stat().st_size > 20_000
