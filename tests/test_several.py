"""One answer over several data sets: the studies on each, their means and the test over them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import losscope
from losscope import cli
from losscope.comparing import several
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study

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


@pytest.fixture
def files(tmp_path):
    """Two files of one name in two folders, as data sets often are."""
    for place in range(2):
        draw = np.random.default_rng(place)
        labels = np.repeat(np.arange(4 + place), 20)
        rows = draw.normal(size=(5, 8))[labels] + draw.normal(size=(len(labels), 8))
        (tmp_path / f"set{place}").mkdir()
        np.savez(tmp_path / f"set{place}" / "features.npz", features=rows.astype(np.float32), labels=labels)
    return [tmp_path / f"set{place}" / "features.npz" for place in range(2)]


def test_files_of_one_name_are_told_apart_by_their_paths(files, tmp_path):
    out = str(tmp_path / "runs")
    result = losscope.compare(files, out=out, **QUICK)
    assert [own.name for own in result.by_data] == [str(path) for path in files]
    assert len({own.page for own in result.by_data}) == 2
    assert losscope.compare(files, out=out, **QUICK, first_seed=5).report_file == result.report_file
    other = losscope.compare(files[::-1], out=out, **QUICK, first_seed=5)
    assert other.report_file != result.report_file  # though no command says a first seed


def test_folds_of_a_data_set_are_described_and_not_tested(files, tmp_path):
    result = losscope.compare(files, out=str(tmp_path / "runs"), **QUICK, options={"folds": 2})
    assert {row.p for own in result.by_data for row in own.rows} == {None}


def test_what_failed_on_one_data_set_is_said_and_ends_with_1(files, tmp_path, capsys):
    code = tmp_path / "narrow.py"
    code.write_text(
        "def narrow(embeddings, labels):\n"
        "    if labels.max() > 3:\n"
        "        raise RuntimeError('too wide')\n"
        "    return embeddings.square().sum()\n"
    )
    told = ["--protocol", "paper", "--seeds", "2", "--epochs", "1", "--engine", "here", "--trust"]
    losses = f"contrastive,triplet,{code}:narrow"
    with pytest.raises(SystemExit) as stop:
        cli.main(
            ["compare", *map(str, files), *told, "--losses", losses, "--out", str(tmp_path / "r"), "--json"]
        )
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["unfinished"]["failed"] == 2 and "too wide" in said.err


@pytest.mark.parametrize(
    ("second", "losses", "said"),
    [
        ("set0/../set0", "contrastive,triplet", "hold the same data; each data set counts once"),
        (
            "set1",
            "triplet",
            "triplet alone is given; several data sets want at least 2 losses",
        ),
    ],
)
def test_no_answer_over_data_sets_is_known_before_one_trains(second, losses, said, files, tmp_path):
    data = [str(files[0]), str(tmp_path / second / "features.npz")]
    with pytest.raises(LosscopeError, match=said):
        losscope.compare(data, losses=losses, out=str(tmp_path / "runs"), **QUICK)
    assert not (tmp_path / "runs").exists()


def test_no_maps_are_made_again_of_an_answer_over_data_sets(result, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["report", str(result.store), "--map", "tsne"])
    assert stop.value.code == 2 and "--study with one of its studies" in capsys.readouterr().err


def test_how_many_data_sets_the_tests_take_is_said_before_any_trains(files, tmp_path, capsys):
    asked = ["compare", *map(str, files), "--losses", "contrastive,triplet", "--seeds", "2"]
    with pytest.raises(SystemExit):
        cli.main([*asked, "--out", str(tmp_path / "runs"), "--dry-run"])
    said = " ".join(capsys.readouterr().err.split())
    # Contrastive, triplet, pca, whitened, lda and raw: five against the reference or it, and all against raw.
    tests = 4 + 5
    least = next(n for n in range(1, 30) if tests * 2 / 2**n <= 0.04)
    assert f"2 data sets are too few for {tests} tests over data sets, which take at least {least}" in said
    assert not (tmp_path / "runs").exists()


def test_the_tests_that_are_foreseen_are_those_that_are_made(result, tmp_path):
    heard: list[str] = []
    files = [str(Path(result.store).parent / f"set{place}.npz") for place in range(6)]
    studies = several.studies_of(Study.of(**QUICK, out=str(tmp_path / "runs")), files)
    several.foresee(studies, heard.append)
    (row, *_) = result.verdicts()
    assert heard == [
        f"6 data sets are too few for {row.tests_in_family} tests over data sets, which take at least 8; "
        "each has its own verdict."
    ]
