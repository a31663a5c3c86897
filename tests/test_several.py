"""One answer over several data sets: the studies on each, their means and the test over them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import losscope
from losscope import cli
from losscope.core.errors import LosscopeError

QUICK = {
    "protocol": "paper",
    "seeds": 2,
    "epochs": 1,
    "closed_forms": False,
    "engine": "here",
    "keep": "none",
}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Six files of features, from easy to hard, and the answer over them."""
    folder = tmp_path_factory.mktemp("six")
    for place in range(6):
        draw = np.random.default_rng(place)
        labels = np.repeat(np.arange(4), 20)
        means = draw.normal(size=(4, 8))
        rows = means[labels] + draw.normal(size=(80, 8)) * (0.5 + 0.2 * place)
        np.savez(folder / f"set{place}.npz", features=rows.astype(np.float32), labels=labels)
    files = [str(folder / f"set{place}.npz") for place in range(6)]
    return losscope.compare(files, out=str(folder / "runs"), **QUICK)


def test_each_data_set_counts_once_by_its_mean_over_seeds(result):
    assert [own.name for own in result.by_data] == [f"set{place}.npz" for place in range(6)]
    for own in result.by_data:
        alone = losscope.load(result.store, Path(own.page).parent.name)
        for name, mean in own.means.items():
            assert mean == pytest.approx(alone.side(name).mean("recall_at_1"), abs=1e-12)


def test_the_test_over_data_sets_is_the_sign_flip_of_their_differences(result):
    (row,) = [row for row in result.verdicts() if {row.a, row.b} == {"contrastive", "triplet"}]
    found = np.array([own.means[row.a] - own.means[row.b] for own in result.by_data])
    assert row.difference == pytest.approx(found.mean(), abs=1e-12)
    means = [abs(np.mean(found * signs)) for signs in itertools.product((1, -1), repeat=6)]
    assert row.p == pytest.approx(np.mean([mean >= abs(found.mean()) - 1e-12 for mean in means]), abs=1e-12)


def test_the_answer_is_kept_and_its_page_leads_to_each_study(result, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["report", str(result.store), "--study", Path(result.report_file).parent.name, "--json"])
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out)["by_data"] == json.loads(result.json())["by_data"]
    page = Path(result.report_file)
    text = page.read_text(encoding="utf-8")
    for own in result.by_data:
        assert f'href="{own.page}"' in text and (page.parent / own.page).is_file()
    assert result.provenance.command and result.provenance.command.count(".npz") == 6


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (["digits", "digits"], "digits given twice; each data set counts once"),
        (["digits"], "1 data set given; wanted: at least 2"),
        (["digits", "nonsense"], "unknown data set 'nonsense'"),
    ],
)
def test_a_mistake_in_any_data_set_is_found_before_one_trains(data, said, tmp_path):
    with pytest.raises(LosscopeError, match=said):
        losscope.compare(data, out=str(tmp_path / "runs"), **QUICK)
    assert not (tmp_path / "runs" / "runs").exists()
