"""Reproducing a tiny paper: planted claims, controls, resuming, the ledger, the page."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from losscope import cli
from losscope.comparing import exporting, foreseeing, looking, planning
from losscope.comparing.listing import items
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.results import Reproduction
from losscope.core.spec import Study
from losscope.papers import controls, engine
from losscope.papers.evidence import sides_of
from losscope.papers.paper import paper
from losscope.papers.planning import foresee, prepare
from losscope.papers.zeng2025 import IMAGES, PAIR
from losscope.run import cost as costing
from losscope.run import launch
from losscope.run.store import Store, Stored

SMALL = {"classes": 4, "points": 24, "dimensions": 8, "subclusters": 2}
TINY = '''
"""A tiny paper: planted claims, one true and one false, and every control."""

from losscope.core.registry import register
from losscope.papers.paper import (
    Baselines, Beside, Cell, Claim, Compared, Curves, Paper, RestingPoints, Rises, Runs, scale_free
)

PAIR = ("contrastive", "triplet")
BLIND = "contrastive_label_blind"
GRID = tuple(f"{loss}(margin={margin})" for loss in PAIR for margin in (0.3, 1.0))
SMALL = {"classes": 4, "points": 24, "dimensions": 8, "subclusters": 2}


def cell(protocol, losses, role="claims", epochs=3):
    return Cell("synthetic", protocol, losses, role, options=SMALL, epochs=epochs, batch_size=32, tune=False)


@register("paper", "tiny", title="A tiny paper")
def tiny():
    """Planted claims on a tiny study."""
    here = ("synthetic",)
    true, false = Compared("triplet", "higher", "contrastive"), Compared("contrastive", "higher", "triplet")
    late = Compared("triplet", "higher", "contrastive", during=(0.5, 1.0))
    larger = "has the larger intra-class variance"
    return Paper(
        losses=PAIR,
        cells=(
            cell("paper", PAIR),
            cell("matched", PAIR),
            cell("paper", GRID, "margins"),
            cell("paper", ("contrastive",), "images", epochs=4),
            cell("paper", (BLIND,), "blind"),
        ),
        claims=(
            Claim("planted-true", f"triplet {larger}", "planted", "intra_variance", true, here),
            Claim("planted-false", f"contrastive {larger} on synthetic data", "planted", "intra_variance",
                  false, here),
            Claim("planted-late", "late", "planted", "hard_share", late, here),
            Claim("planted-detail", "detail", "planted", "fine_recall_at_1", Rises(("intra_variance",))),
        ),
        controls=(
            scale_free("triplet", "contrastive", ("planted-true",)),
            Curves(("intra_inter_ratio",)),
            Beside(
                "equal-images", "Equal images", "As many images.", ("intra_variance", "recall_at_1"),
                (
                    ("equal updates", Runs("triplet"), Runs("contrastive")),
                    ("equal images", Runs("triplet"), Runs("contrastive", "images")),
                ),
            ),
            RestingPoints(("contrastive",)),
            Baselines(),
            Beside(
                "label-blind", "The fault in the scripts", "Blind to labels.", ("recall_at_1",),
                (
                    ("the claim", Runs("triplet"), Runs("contrastive")),
                    ("the table", Runs("triplet"), Runs(BLIND, "blind")),
                    ("the fault", Runs(BLIND, "blind"), Runs("contrastive")),
                ),
            ),
        ),
    )
'''
TOY = '''
"""A whole paper in one file: a cell, a true claim and a false one."""

from losscope.core.registry import register
from losscope.papers.paper import Cell, Claim, Compared, Paper


@register("paper", "toy", title="A toy paper")
def toy():
    """Which loss keeps more variance?"""
    options = {"classes": 4, "points": 24, "dimensions": 8}
    losses = ("contrastive", "triplet")
    return Paper(
        losses=losses,
        cells=(Cell("synthetic", "paper", losses, options=options, epochs=3, batch_size=32),),
        claims=(
            Claim("toy-true", "triplet keeps more variance", "made up", "intra_variance",
                  Compared("triplet", "higher", "contrastive"), ("synthetic",)),
            Claim("toy-false", "contrastive keeps more variance", "made up", "intra_variance",
                  Compared("contrastive", "higher", "triplet"), ("synthetic",)),
        ),
        protocols=("paper",),
    )
'''


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The file of the tiny paper, which is registered while this module's tests run."""
    file = tmp_path_factory.mktemp("plugin") / "tiny.py"
    file.write_text(TINY)
    with registry.forgetting():
        yield str(file)


def planned(plugin, out, seeds=8, **more):
    return prepare("tiny", seeds=seeds, out=out, plugins=[plugin], engine="here", **more)


@pytest.fixture(scope="module")
def done(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("store")
    said = []
    return engine.run(planned(tiny, out), say=said.append), out, said


def first_cell(plugin, out, **more):
    """The first cell of the tiny paper alone."""
    made = planned(plugin, out, **more)
    made.pieces = made.pieces[:1]
    return made


def find(result, name, protocol="paper", together=False):
    found = [
        row for row in result.claims if (row.id, row.protocol, row.together) == (name, protocol, together)
    ]
    assert len(found) == 1
    return found[0]


def test_planted_claims_come_out_as_they_are(done):
    result, _, said = done
    true, false = find(result, "planted-true"), find(result, "planted-false")
    assert (true.verdict, false.verdict) == ("reproduced", "contradicted")
    assert true.measured == pytest.approx(1 / false.measured) and true.n == 8
    assert any("runs in" in one for one in said) and any("smallest corrected p" in one for one in said)
    assert find(result, "planted-true", together=True).verdict == "reproduced"


def test_the_json_object_is_the_result(done):
    keys = [
        "id",
        "statement",
        "source",
        "data",
        "protocol",
        "expected",
        "measured",
        "low",
        "high",
        "verdict",
        "seeds_needed",
        "reason",
    ]
    result, _, _ = done
    shown = json.loads(result.json_text())
    assert shown["schema"] == 2 and {row["protocol"] for row in shown["claims"]} == {"paper", "matched"}
    assert all(key in row for row in shown["claims"] for key in keys)
    assert Reproduction.from_json(result.json_text()) == result


def test_values_are_the_stored_runs_and_differences_pair_by_seed(done, tiny):
    result, out, _ = done
    piece = planned(tiny, out).pieces[0]
    sides = {side.loss: side for side in sides_of(piece)}
    for loss, side in sides.items():
        for run, run_id in zip(piece.plan.runs, piece.plan.ids, strict=True):
            if run.loss.name == loss:
                stored = piece.plan.store.get(run_id)
                assert side.of("intra_variance")[run.seed] == stored.measures["train"]["intra_variance"]
                assert side.of("intra_variance@test")[run.seed] == stored.measures["test"]["intra_variance"]
                rows = stored.trace()
                rows = rows[(rows["name"] == "hard_share") & (rows["epoch"] > 0)].sort_values("epoch")
                curve = side.curves["hard_share"][run.seed]
                assert np.array_equal(curve[np.isfinite(curve)], rows["value"].to_numpy())
    a, b = (np.log(np.array(sides[loss].of("intra_variance"))) for loss in ("triplet", "contrastive"))
    assert find(result, "planted-true").measured == pytest.approx(np.exp((a - b).mean()))


def test_controls_explain_without_verdicts(done):
    result, _, _ = done
    rows = result.controls
    by = {name: [row for row in rows if row.id == name] for name in {row.id for row in rows}}
    assert {
        "scale-free-variance",
        "margin-sensitivity",
        "equal-images",
        "fixed-points",
        "label-blind",
    } <= set(by)
    assert not any(hasattr(row, "verdict") for row in rows)
    margins = {(row.loss, row.margin) for row in by["margin-sensitivity"] if row.measure == "intra_variance"}
    assert margins == {(loss, margin) for loss in PAIR for margin in (0.3, 1.0)}
    assert any(row.measure == "fine_recall_at_1" for row in by["margin-sensitivity"])
    labels = {row.label for row in by["equal-images"]}
    assert labels == {"equal updates", "equal images, contrastive for 4 epochs"}
    same = [
        row for row in by["equal-images"] if row.label == "equal updates" and row.measure == "intra_variance"
    ]
    assert same[0].measured == pytest.approx(find(result, "planted-true").measured)
    # 4 classes and the background lie at most a simplex of 5 apart; contrastive rests at its margin.
    triplet = next(row for row in by["fixed-points"] if row.loss == "triplet" and row.protocol == "paper")
    assert triplet.expected == pytest.approx(np.sqrt(10 / 4))
    contrastive = next(row for row in by["fixed-points"] if row.loss == "contrastive")
    assert contrastive.expected == contrastive.margin == 1.0
    blind = [row for row in by["label-blind"] if row.measure == "recall_at_1"]
    assert len(blind) == 3 and blind[0].measured == pytest.approx(blind[1].measured + blind[2].measured)


def test_a_second_call_trains_nothing_and_says_the_same(done, tiny, monkeypatch):
    result, out, _ = done
    again = planned(tiny, out)
    foreseen = foresee(again).plan
    assert foreseen.runs_left == 0 and foreseen.seconds == 0
    monkeypatch.setattr(launch, "run_group", lambda *_: pytest.fail("something was trained again"))
    real, checked = Stored.check, Counter()

    def check(self):
        checked[self.id] += 1
        real(self)

    monkeypatch.setattr(Stored, "check", check)
    assert engine.run(again).claims == result.claims
    assert set(checked.values()) == {1}, "every file of the store is read whole, once"


def test_a_damaged_count_of_looks_is_said_before_anything_is_trained(tiny, tmp_path, monkeypatch):
    made = first_cell(tiny, tmp_path)
    looking.count(made.judged()[0].plan)
    (history,) = (tmp_path / "looks").glob("[!.]*.json")
    history.write_text("{")
    monkeypatch.setattr(launch, "run_group", lambda *_: pytest.fail("something was trained"))
    with pytest.raises(LosscopeError, match="damaged"):
        engine.run(made)


def test_a_damaged_run_is_set_aside_and_run_again(tiny, tmp_path):
    """Foreseeing reads every file, and what it found whole is not read again: the others are."""
    made = first_cell(tiny, tmp_path, seeds=2)
    first = engine.run(made)
    victim = next(run for run in Store(tmp_path).runs() if run.has_trace)
    (victim.path / "arrays.npz").write_bytes(b"")
    said = []
    again = engine.run(first_cell(tiny, tmp_path, seeds=2), say=said.append)
    assert any("was set aside and is run again" in sentence for sentence in said)
    assert again.claims == first.claims
    Store(tmp_path).get(victim.id).check()


def test_runs_are_shared_with_compare(done):
    _, out, _ = done
    study = Study.of(
        data="synthetic",
        options=SMALL,
        epochs=3,
        batch_size=32,
        tune=False,
        protocol="paper",
        seeds=8,
        out=str(out),
    )
    made = planning.plan(study)
    assert foreseeing.dry_run(made).stored == len(made.runs) == 32


def test_dry_run_says_cost_and_attainable_p_and_trains_nothing(tiny, tmp_path):
    made = planned(tiny, tmp_path, seeds=2)
    foreseen = foresee(made).plan
    assert not list(Store(tmp_path).runs())
    # The margin 1.0 of the grid is the paper's own: these runs are counted once.
    assert foreseen.runs == foreseen.runs_left == 2 * (4 + 4 + 2 + 1 + 1)
    assert foreseen.seconds > 0 and foreseen.tests_in_family == 4
    assert foreseen.p_attainable == 1.0 and "too few" in foreseen.sentence
    assert {cell.role for cell in foreseen.cells} == {"claims", "margins", "images", "blind"}
    # The speeds are kept: a second look measures nothing.
    assert costing.kind_of(made.pieces[0].plan.runs[0]) in Store(tmp_path).read_json(costing.SPEEDS)


def test_stopped_and_started_again_it_ends_as_if_it_had_not_been(done, tiny, tmp_path, monkeypatch):
    whole, _, _ = done
    real, count = launch.run_group, []

    def until_the_second(group, progress=None):
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(group)
        return real(group, progress)

    monkeypatch.setattr(launch, "run_group", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        engine.run(first_cell(tiny, tmp_path))
    stored = len(list(Store(tmp_path).runs()))
    assert stored == 16
    monkeypatch.setattr(launch, "run_group", real)
    again = first_cell(tiny, tmp_path)
    assert foresee(again).plan.runs_left == 16
    resumed, uninterrupted = (find(one, "planted-true") for one in (engine.run(again), whole))
    family = {"tests_in_family": 4, "p_holm": uninterrupted.p_holm}  # no grid here
    assert resumed.model_copy(update=family) == uninterrupted
    sessions = Store(tmp_path).read_json("reproductions/tiny/sessions.json")["sessions"]
    assert [one["runs_left"] for one in sessions] == [16]


def test_the_ledger_as_table_markdown_and_page(done):
    from rich.console import Console

    result, out, _ = done
    written = io.StringIO()
    Console(width=100, file=written).print(result.table())
    text = written.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "planted-false" in text and "contradicted" in text
    folder = out / "reproductions" / "tiny"
    ledger = (folder / "ledger.md").read_text()
    assert ledger == result.table("md")
    assert "contrastive has the larger intra-class variance on synthetic data" in ledger
    for title in ("Variance without scale", "Margin sensitivity", "Equal images", "The fault in the scripts"):
        assert f"### {title}" in ledger
    page = (folder / "report.html").read_text()
    for words in (
        "The claims",
        "Margin sensitivity",
        "The fault in the scripts",
        "planted-false",
        "The studies",
    ):
        assert words in page
    assert Reproduction.from_json((folder / "result.json").read_text()) == result
    assert '"sha256"' in (folder / "result.json").read_text(), "it is sealed"
    assert (out / "studies" / str(result.studies[0].study) / "report.html").is_file()


def test_adding_seeds_is_another_look(done, tiny):
    _, out, _ = done
    later = find(engine.run(first_cell(tiny, out, seeds=9)), "planted-true")
    assert later.look == 2 and later.alpha == pytest.approx(0.008)


def printed(arguments, capsys):
    """The JSON object that a command prints."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_a_whole_paper_is_one_plugin_file(tmp_path, capsys):
    """Listed, foreseen and reproduced by the command line, from one file."""
    file, out = tmp_path / "toy.py", tmp_path / "runs"
    file.write_text(TOY)
    run = ["reproduce", "toy", "--plugin", str(file), "--seeds", "7", "--engine", "here", "--out", str(out)]
    with registry.forgetting():
        assert printed([*run, "--dry-run", "--json"], capsys)["runs"] == 7 * 4
        shown = printed([*run, "--json"], capsys)
        found = {row["id"]: row["verdict"] for row in shown["claims"] if not row["together"]}
        assert found == {"toy-true": "reproduced", "toy-false": "contradicted"}
        assert shown["data"]["title"] == "A toy paper" and "toy-true" in shown["summary"][1]
        assert [claim.paper for claim in items("claims").claims].count("toy") == 2
        page = out / "reproductions" / "toy" / "report.html"
        assert page.is_file()

        moved = tmp_path / "moved"
        out.rename(moved)
        page = moved / page.relative_to(out)
        page.unlink()
        for folder, study in ((moved, []), (page.parent, []), (moved, ["--study", "toy"])):
            again = printed(["report", str(folder), *study, "--json", "--plugin", str(file)], capsys)
            assert again["claims"] == shown["claims"] and page.is_file()
            page.unlink()
        kept = page.with_name("result.json")
        kept.write_text(kept.read_text().replace("A toy paper", "A top paper"))
        with pytest.raises(SystemExit):
            cli.main(["report", str(moved)])
        assert "result.json' has been altered" in capsys.readouterr().err


def test_a_study_made_after_a_reproduction_is_the_newest(tmp_path):
    """Which of the two ``report`` shows: the one written last."""
    kept = tmp_path / "reproductions" / "toy" / "result.json"
    study = tmp_path / "studies" / "digits" / "study.json"
    for file, time in ((kept, 100), (study, 200)):
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (time, time))
    assert exporting._whole(tmp_path, None) is None
    os.utime(kept, (300, 300))
    assert exporting._whole(tmp_path, None) == kept


def test_a_paper_as_a_value_needs_a_name(tmp_path):
    with pytest.raises(LosscopeError, match="the paper has no name; give it one"):
        prepare(replace(paper("zeng2025"), name=""), out=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zeng2024"], "unknown paper 'zeng2024'; did you mean"),
        (["nope"], "shortcuts, "),
        (["zeng2025", "--only", "synthetik"], "did you mean 'synthetic'"),
        (["zeng2025", "--only", "synthetic", "--seeds", "0"], "seeds"),
    ],
)
def test_mistakes_are_one_sentence(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["reproduce", *arguments, "--out", str(tmp_path)])
    assert stop.value.code == 2 and said in capsys.readouterr().err


def test_data_that_are_not_here_are_named(tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("LOSSCOPE_DATA", raising=False)
    monkeypatch.setattr("losscope.data.loading.cache_folder", lambda: tmp_path / "cache")
    with pytest.raises(
        LosscopeError, match="none of the data of zeng2026 is on this machine: cub200, cars196"
    ):
        prepare("zeng2026", out=tmp_path)


def test_reduced_images_say_the_papers_updates(data_root, tmp_path):
    made = prepare("zeng2025", only=["mnist"], seeds=2, out=tmp_path, data_root=str(data_root))
    paper = next(piece for piece in made.pieces if piece.cell.protocol == "paper")
    assert paper.reduced == "2,000 of 60,000 images and 96 updates, the paper's own run has 4,700"
    assert len(paper.plan.source.splits(0).train) == len(paper.plan.source.splits(0).test) == 2000


def test_the_papers_cells():
    found = paper("zeng2025")
    cells = found.chosen()
    assert {cell.protocol for cell in cells if cell.role == "claims"} == {"paper", "matched"}
    for claim in found.claims:
        assert set(claim.data) <= {cell.label for cell in cells}
    assert all("limit" in cell.options for cell in cells if cell.data in IMAGES)
    whole = [cell for cell in found.chosen(full=True) if cell.data in IMAGES]
    assert whole and not any("limit" in cell.options for cell in whole)
    assert all(len(cell.losses) == 7 for cell in paper("zeng2026").chosen())


def test_the_tuning_risk_is_a_kept_measurement():
    kept = controls.tuning_risk()
    assert kept is not None and kept.command == "losscope reproduce aa"
    assert [row.label for row in kept.rows] == ["tuned values shared", "each name tuned on its own"]
    for row in kept.rows:
        assert row.studies == 200 and row.rate == row.directional / 200
        assert row.low <= row.rate <= row.high
    assert kept.rows[0].directional <= 18


def test_the_meter_goes_by_cost_and_speaks_now_and_then(done, tiny, monkeypatch):
    _, out, _ = done
    groups = [one for one, _ in planned(tiny, out).groups("finals")][:2]
    costs = {groups[0].name: 30.0, groups[1].name: 10.0}
    now, said, shown = [0.0], [], []
    monkeypatch.setattr(costing.time, "monotonic", lambda: now[0])
    meter = costing.Meter(40.0, lambda group: costs[group.name], said.append, lambda *at: shown.append(at))
    meter(groups[1], 3, 3)
    assert not said and shown[-1][:2] == (10.0, 40.0)
    now[0] = 100.0
    meter(groups[0], 1, 3)
    assert said == ["50% of the work is done, about 2 min left."]
    meter(groups[0], 3, 3)
    assert len(said) == 1 and shown[-1][:2] == (40.0, 40.0)


def test_wall_time_is_the_work_over_the_cores_but_never_below_the_longest():
    cores = costing.cores("processes")
    assert costing.wall([10.0, 10.0], "here") == 20.0
    assert costing.wall([], "processes") == costing.wall([0.0], "processes") == 0.0
    if cores > 1:
        assert costing.wall([100.0] * cores, "processes") == 100.0 * costing.SHARED
        assert costing.wall([100.0, 1.0], "processes") == 100.0 * costing.SHARED
