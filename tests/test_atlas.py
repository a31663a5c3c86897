"""The atlas: which studies it is made of, that nothing computed is lost, and its table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import losscope
from cli_fixture import call, typed
from losscope.atlases import declared, kept, making, planning
from losscope.atlases.declared import Declared
from losscope.atlases.entries import goals_of
from losscope.atlases.planning import Asked
from losscope.comparing import foreseeing
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.quantities import GOALS, quantity
from losscope.core.results import Atlas, AtlasEntry, AtlasGoal, AtlasSide, DataSketch, LeftOut
from losscope.core.spec import Study
from losscope.core.wording import atlases as wording
from losscope.core.wording import number
from losscope.reporting import atlases as reporting
from losscope.run import cost
from losscope.run.upkeep import check, export_runs, import_runs

LOSSES = ["contrastive", "triplet", "info_nce", "sup_con"]
SMALL = {"classes": 3, "points": 12, "dimensions": 4}
FIRST = Declared("first", "synthetic", "synthetic", SMALL)
SECOND = Declared("second", "synthetic", "synthetic", {**SMALL, "label_noise": 0.0})


def small(out: Path, *entries: Declared, needed: tuple[str, ...] = (), seeds: int = 2) -> Asked:
    """An atlas that takes a second: untuned, one epoch."""
    usual = Study.of(
        losses=LOSSES, seeds=seeds, out=str(out), tune=False, epochs=1, engine="here", closed_forms=False
    )
    return Asked(entries, frozenset(needed), usual)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Atlas]:
    out = tmp_path_factory.mktemp("atlas") / "store"
    return out, making.make(small(out, FIRST, SECOND, seeds=8)).atlas


@pytest.mark.parametrize("data", ["digits", "synthetic", "iris"])
def test_an_entry_is_the_study_of_the_plain_command(data, tmp_path):
    given = planning.asked(only=[data], out=tmp_path / "store")
    (entry,) = given.entries
    own = foreseeing.ready(planning.study_of(entry, given.usual), dry=True)
    plain = Study.of(data=data, losses=list(declared.LOSSES), seeds=10, out=str(tmp_path / "store"))
    ready = foreseeing.ready(plain, dry=True)
    assert own.ids == ready.ids and own.name == ready.name and own.tunes
    trials = [[group.ids for group in plan.trial_groups] for plan in (own, ready)]
    assert trials[0] == trials[1] and trials[0]


def test_what_the_protocol_does_not_tune_by_itself_is_tuned(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (60, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(60) % 3)
    given = planning.asked(add=[str(tmp_path / "images.npz")])
    assert planning.study_of(given.entries[0], given.usual).tune is True


def test_every_declared_data_set_is_told_apart_and_no_name_needs_quoting_in_a_list():
    names = [entry.name for entry in declared.DECLARED]
    assert len(set(names)) == len(names) >= 12
    assert not any("," in name for name in names)
    assert len({entry.family for entry in declared.DECLARED}) >= 8
    assert {entry.data for entry in declared.DECLARED} <= set(registry.entries("data"))


def test_the_table_has_every_goal_that_the_result_has(made):
    out, atlas = made
    assert [entry.name for entry in atlas.entries] == ["first", "second"]
    for entry in atlas.entries:
        retrieval = entry.goal("retrieval")
        assert retrieval is not None and retrieval.tested and retrieval.measure == "recall_at_1"
        assert {goal.goal for goal in entry.goals} >= {"retrieval", "verification", "compactness"}
        assert entry.goal("detail") is None  # no finer labels
        assert entry.sketch.classes == 3 and entry.sketch.dimension == 4 and entry.seeds == 8
        assert not entry.tuned and entry.command.startswith("losscope compare synthetic --losses")
    assert Atlas.from_json((out / kept.FILE).read_text()) == atlas == kept.read(out)
    assert "Retrieval" in (out / kept.PAGE).read_text()
    assert not check(out).problems


def test_described_goals_are_the_results_means_and_their_members_lie_within_the_indifference(made):
    out, _ = made
    result = losscope.load(next(out.glob("studies/*")))
    found = list(goals_of(result))
    assert [goal.tested for goal in found].count(True) == 1
    for goal in found:
        known = quantity(goal.measure)
        means = {side.name: side.mean(goal.measure) for side in result.losses}
        assert goal.measure in GOALS[goal.goal]
        assert {side.name: side.mean for side in goal.sides if side.kind == "loss"} == means
        best = (min if known.better == "lower" else max)(means.values())
        assert means[goal.best] == best
        if goal.tested:
            assert result.group is not None and goal.members == result.group.members
            continue
        log = known.scale == "log_ratio"
        for name, mean in means.items():
            apart = abs(np.log(mean / best)) if log else abs(mean - best)
            assert (name in goal.members) == (apart <= known.delta)
        assert goal.answer is None


def test_what_is_stored_is_not_trained_again(made):
    out, atlas = made
    before = {file: file.stat().st_mtime_ns for file in out.glob("runs/*/run.json")}
    looks = [file.read_text() for file in sorted(out.glob("looks/*.json"))]
    again = making.make(small(out, FIRST, SECOND, seeds=8), expect=lambda groups: pytest.fail("it trains"))
    assert again.atlas == atlas and not again.failed
    assert {file: file.stat().st_mtime_ns for file in out.glob("runs/*/run.json")} == before
    assert [file.read_text() for file in sorted(out.glob("looks/*.json"))] == looks


def test_another_store_that_imports_the_runs_trains_nothing(made, tmp_path):
    out, atlas = made
    assert export_runs(out, tmp_path / "runs.zip") > 0
    import_runs(tmp_path / "other", tmp_path / "runs.zip")
    trained = []
    again = making.make(small(tmp_path / "other", FIRST, SECOND, seeds=8), expect=trained.extend)
    assert trained == [] and [entry.goals for entry in again.atlas.entries] == [
        e.goals for e in atlas.entries
    ]


def test_what_is_finished_stands_in_the_table_when_a_later_entry_is_stopped(tmp_path, monkeypatch):
    called = []

    def stop(groups: object) -> None:
        called.append(groups)
        if len(called) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        making.make(small(tmp_path / "store", FIRST, SECOND), expect=stop)
    monkeypatch.setattr(cost, "_pilot", lambda *_: pytest.fail("what was timed is timed again"))
    assert [entry.name for entry in kept.read(tmp_path / "store").entries] == ["first"]
    done = making.make(small(tmp_path / "store", FIRST, SECOND)).atlas
    assert [entry.name for entry in done.entries] == ["first", "second"]


def test_an_entry_that_fails_is_left_out_with_its_reason_and_the_others_go_on(tmp_path):
    files = [features(tmp_path / f"{name}.npz", seed) for seed, name in enumerate(("gone", "here"))]
    given = small(tmp_path / "store", *(Declared(file.stem, file.stem, str(file)) for file in files))
    given = Asked(given.entries, frozenset({"gone", "here"}), given.usual)

    def say(text: str) -> None:
        if text.startswith("Data set 1 of 2"):
            files[0].unlink()

    found = making.make(given, say=say)
    assert [entry.name for entry in found.atlas.entries] == ["here"]
    assert [own.name for own in found.failed] == ["gone"] == [own.name for own in found.atlas.left_out]
    assert "gone.npz" in found.failed[0].reason
    features(files[0], 0)
    again = making.make(given)
    assert {entry.name for entry in again.atlas.entries} == {"gone", "here"} and not again.atlas.left_out


def features(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    np.savez(path, features=(rng.normal(size=(90, 4)) + labels[:, None]).astype(np.float32), labels=labels)
    return path


def test_absent_data_are_left_out_with_a_reason_unless_they_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("LOSSCOPE_DATA", raising=False)
    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path / "cache"))
    absent = Declared("wiki", "wiki", "wiki")
    found, plan = planning.laid(small(tmp_path / "store", FIRST, absent))
    assert [own.declared.name for own in found] == ["first"]
    assert [own.name for own in plan.left_out] == ["wiki"] and "--data-root" in plan.left_out[0].reason
    with pytest.raises(LosscopeError, match="wiki"):
        planning.laid(small(tmp_path / "store", FIRST, absent, needed=("wiki",)))
    assert not (tmp_path / "store").exists()


def test_a_mistake_in_the_last_entry_is_found_before_the_first_trains(tmp_path, capsys):
    command = f"atlas --make --only iris --add {tmp_path / 'absent.npz'} --out {tmp_path / 'store'}"
    code, said = typed(command, capsys)
    assert code == 2 and "absent.npz" in said
    assert not (tmp_path / "store").exists()


def test_entries_of_the_same_data_or_of_one_name_are_refused(tmp_path):
    twin = Declared("twin", "synthetic", "synthetic", SMALL)
    with pytest.raises(LosscopeError, match="'twin' and 'first' hold the same data"):
        planning.laid(small(tmp_path / "store", FIRST, twin))
    (tmp_path / "other").mkdir()
    files = [features(folder / "x.npz", 0) for folder in (tmp_path, tmp_path / "other")]
    with pytest.raises(LosscopeError, match="two of the added data are called 'x'"):
        planning.asked(add=map(str, files))
    with pytest.raises(LosscopeError, match="'digits' is the name of a declared data set"):
        planning.asked(add=["digits"])
    with pytest.raises(LosscopeError, match="at least 4 losses"):
        planning.asked(losses=["triplet", "contrastive"])
    with pytest.raises(LosscopeError, match="unknown data set of the atlas 'digit'.*digits"):
        planning.asked(only=["digit"])


def goal(
    best: str, members: tuple[str, ...], means: dict[str, float], answer: str | None = None
) -> AtlasGoal:
    sides = tuple(
        AtlasSide(name=name, kind="loss", mean=mean, low=None, high=None) for name, mean in means.items()
    )
    return AtlasGoal(
        goal="retrieval",
        measure="recall_at_1",
        tested=True,
        sides=sides,
        best=best,
        members=members,
        answer=answer,
    )


def atlas_of(*names: str, losses: tuple[str, ...] = ("contrastive", "triplet")) -> Atlas:
    sketch = DataSketch(kind="vectors", classes=3, rows=36, dimension=4, disjoint=False, raw=0.5)
    entries = [
        AtlasEntry(
            name=name,
            family=name,
            described=name,
            sketch=sketch,
            seeds=2,
            tuned=True,
            goals=(goal(losses[0], losses, dict.fromkeys(losses, 0.5)),),
            command="",
        )
        for name in names
    ]
    return Atlas(losses=losses, entries=tuple(entries), losscope="0.1.0", command="losscope atlas --make")


HOSTILE = "<script>alert(1)</script>\x1b[31m|`*\u202e, x"


def test_hostile_names_are_escaped_everywhere(capsys, tmp_path):
    found = atlas_of(HOSTILE)
    page = reporting.page(found)
    assert "<script>alert" not in page and "\x1b" not in page and "\u202e" not in page
    (tmp_path / "atlas.json").write_text(found.json_text())
    assert call("atlas", "--atlas", tmp_path / "atlas.json") == 0
    printed = capsys.readouterr().out
    assert "script" in printed and not re.search("[\x00-\x09\x0b-\x1f\u202e]", printed)
    rows = [line for line in reporting.markdown(found).splitlines() if "script" in line]
    assert all("<script>" not in row and "\\|" in row for row in rows) and rows


def test_it_fits_80_columns_and_prints_without_torch(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for name in GOALS:
        assert call("atlas", "--goal", name) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80 and "digits" in printed


def test_the_shipped_table_is_read_and_written_unchanged(capsys):
    assert call("atlas", "--json") == 0
    text = capsys.readouterr().out.strip()
    assert text == kept.SHIPPED.read_text(encoding="utf-8").strip()
    found = losscope.atlas()
    assert found == Atlas.from_json(text) and found.losses == declared.LOSSES
    known = {entry.name: entry.family for entry in declared.DECLARED}
    assert found.entries and all(known[entry.name] == entry.family for entry in found.entries)
    assert "/" not in "".join(entry.command for entry in found.entries)  # no folder of the machine's
    assert {side.kind for side in found.entries[0].goals[0].sides} == {"loss", "closed form", "raw"}


def test_atlases_of_the_same_losses_are_put_together(tmp_path):
    for name, own in (("a", atlas_of("x", "y")), ("b", atlas_of("y", "z"))):
        (tmp_path / f"{name}.json").write_text(own.json_text())
    found = losscope.atlas(files=[tmp_path / "a.json", tmp_path / "b.json"])
    assert [entry.name for entry in found.entries] == ["x", "y", "z"]
    (tmp_path / "c.json").write_text(atlas_of("x", losses=("arcface", "triplet")).json_text())
    with pytest.raises(LosscopeError, match="cannot be put together"):
        losscope.atlas(files=[tmp_path / "a.json", tmp_path / "c.json"])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("atlas --only digits", "--only is for making an atlas; give --make too"),
        ("atlas digits --make", "--make trains an atlas"),
        ("atlas --atlas absent.json", "there is no atlas at 'absent.json'"),
        ("atlas --goal speed", "unknown goal 'speed'"),
        ("atlas --make --goal speed", "unknown goal 'speed'"),
        ("atlas --make --only nothing", "unknown data set of the atlas 'nothing'"),
        ("atlas --make --only digits --seeds 0", "seeds"),
        ("atlas -o classes=3", "--option is of data"),
    ],
)
def test_mistakes_are_one_sentence(command, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, printed = typed(command, capsys)
    assert code == 2 and said in printed and len(printed.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_atlas_is_one_sentence(tmp_path, capsys):
    for name, text in (("broken", "{"), ("other", json.dumps({"schema": 2})), ("old", '{"schema": 1}')):
        (tmp_path / name).write_text(text)
        code, printed = typed(f"atlas --atlas {tmp_path / name}", capsys)
        assert code == 2 and len(printed.splitlines()) == 1


def test_what_it_shows_counts_recommendations_and_lone_winners():
    found = atlas_of("x", "y", "z")
    losses = dict.fromkeys(found.losses, 0.5)
    goals = [
        goal("triplet", ("triplet",), losses | {"triplet": 0.6}, "triplet"),
        goal("triplet", ("triplet", "contrastive"), losses | {"triplet": 0.6}, None),
        goal("contrastive", ("contrastive",), losses | {"contrastive": 0.6}, "raw"),
    ]
    entries = [e.model_copy(update={"goals": (own,)}) for e, own in zip(found.entries, goals, strict=True)]
    text = wording.shows(found.model_copy(update={"entries": tuple(entries)}), "retrieval")
    assert text == (
        "Retrieval: triplet has the best mean on 2 of 3 data sets; on 2 every other loss is shown worse than "
        "the best. The comparisons recommend a loss on 1, no training on 1, and are undecided on 1."
    )


def test_an_entry_of_before_outlives_a_failure_and_is_replaced_by_a_success():
    found = making.with_left_out(
        atlas_of("x"), [LeftOut(name="x", reason="r"), LeftOut(name="y", reason="s")]
    )
    assert [own.name for own in found.left_out] == ["y"]
    (entry,) = atlas_of("y").entries
    assert making.with_entry(found, entry).left_out == ()


def test_a_loss_of_which_a_run_failed_has_no_mean_and_that_is_said(made):
    out, atlas = made
    result = losscope.load(next(out.glob("studies/*")))
    first, *others = result.losses
    hurt = result.model_copy(update={"losses": (first.model_copy(update={"failed": 3}), *others)})
    assert first.mean("recall_at_1") is not None
    for own in goals_of(hurt):
        assert own.mean(first.name) is None and first.name not in (own.best, *own.members)
        assert own.best in own.members
    entry = atlas.entries[0].model_copy(update={"goals": tuple(goals_of(hurt))})
    text = wording.shows(atlas.model_copy(update={"entries": (entry,)}), "retrieval")
    assert text.endswith(
        f" No mean over all seeds: {first.name} on first; by these data sets nothing is foretold."
    )
    assert "No mean" not in wording.shows(atlas, "retrieval")


def test_raw_in_the_table_is_what_raw_inputs_have_on_test_rows(made):
    _, atlas = made
    for name in ("retrieval", "verification"):
        found = reporting.of_goal(atlas, name)
        texts = [row[reporting.HEADS.index("raw")] for row in reporting.rows(found)]
        assert texts == [number(own.mean("raw")) for _, own in found]


def test_equal_means_are_each_the_best_mean():
    found = atlas_of("x")
    own = goal("b", ("b", "a"), {"a": 0.9684210526315791, "b": 0.968421052631579, "c": 0.5})
    entry = found.entries[0].model_copy(update={"goals": (own,)})
    text = wording.shows(
        found.model_copy(update={"entries": (entry,), "losses": ("a", "b", "c")}), "retrieval"
    )
    assert text.startswith("Retrieval: a and b have the best mean on 1 of 1 data set each; on none every")


def test_the_folder_of_the_table_is_taken_too(made):
    out, atlas = made
    assert kept.read(out / "atlas") == atlas


def test_how_far_a_side_is_behind_is_positive_where_it_is_worse():
    sides = tuple(
        AtlasSide(name=n, kind="loss", mean=m, low=None, high=None) for n, m in (("a", 0.2), ("b", 0.3))
    )
    error = AtlasGoal(goal="verification", measure="eer", tested=False, sides=sides, best="a", members=("a",))
    hits = AtlasGoal(
        goal="retrieval", measure="recall_at_1", tested=False, sides=sides, best="b", members=("b",)
    )
    assert reporting.behind(error, "b") == pytest.approx(0.1) == reporting.behind(hits, "a")
    assert reporting.behind(hits, "none") is None
