"""Looks belong to data: what is another look at them, what is the same, and where it is said."""

from __future__ import annotations

from pathlib import Path

from losscope import stats
from losscope.comparing import foreseeing, judge, running
from losscope.core.results import Result
from losscope.core.spec import Study


def made(out: Path, **given) -> Study:
    usual = {"losses": "triplet,contrastive", "seeds": 2, "epochs": 1, "protocol": "paper"}
    options = {"classes": 3, "points": 12}
    return Study.of(
        **{"data": "synthetic", "options": options, "out": str(out), "engine": "here"} | usual | given
    )


def look(result: Result) -> int:
    (found,) = {row.look for row in result.paired}
    return found


def test_what_is_another_look_at_data(tmp_path):
    first = running.run(made(tmp_path))
    assert look(first) == 1 and not any(note.startswith("Look") for note in first.notes)
    for same in ({"note": "again"}, {"losses": "triplet(margin=1.0),contrastive"}, {}):
        assert look(running.run(made(tmp_path, **same))) == 1, same
    more = {
        "a goal": {"goal": "compactness"},
        "a loss": {"losses": "triplet,contrastive,n_pair"},
        "a seed": {"seeds": 3},
        "a setting": {"losses": "triplet(margin=0.5),contrastive"},
        "a reference": {"reference": "triplet"},
    }
    for place, given in enumerate(more.values(), 2):
        foreseen = foreseeing.foresee(made(tmp_path, **given))
        result = running.run(made(tmp_path, **given))
        assert foreseen.look == look(result) == place, list(more)[place - 2]
        assert {row.alpha for row in result.paired} == {stats.alpha_of(place)}
        assert any(note.startswith(f"Look {place} at these data") for note in result.notes)
    assert look(running.run(made(tmp_path))) == 1, "the first test again is the first look"
    other = running.run(made(tmp_path, options={"classes": 3, "points": 13}))
    assert look(other) == 1, "other data have a history of their own"


def test_a_stored_study_is_judged_at_the_look_that_it_is(tmp_path):
    running.run(made(tmp_path))
    assert look(judge(str(tmp_path))) == 1
    assert look(judge(str(tmp_path), measure="map_at_r")) == 2
    assert look(judge(str(tmp_path), measure="map_at_r")) == 2
    assert look(judge(str(tmp_path), goal="compactness")) == 3
    assert look(judge(str(tmp_path))) == 1
    assert look(judge(str(tmp_path), look=4)) == 4


def test_runs_that_no_store_counts_are_taken_as_seen_first_and_that_is_said(tmp_path):
    table = tmp_path / "scores.csv"
    rows = [f"{loss},{seed},0.{9 - place}{seed}" for place, loss in enumerate("ab") for seed in range(8)]
    table.write_text("loss,seed,recall_at_1\n" + "\n".join(rows))
    taken = judge(str(table))
    assert look(taken) == 1
    assert any("--look 2" in note for note in taken.notes)
    for given in (1, 2):
        found = judge(str(table), look=given)
        assert look(found) == given and not any("--look" in note for note in found.notes)
