"""What shortcuts do to a comparison: each number against naive loops, planted cases, and the command."""

from __future__ import annotations

import importlib
import itertools
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from losscope.cli import main
from losscope.comparing import running
from losscope.core.errors import LosscopeError
from losscope.core.results import ShortcutRow, Shortcuts
from losscope.core.spec import Study
from losscope.core.wording import shortcuts as wording
from losscope.papers.shortcuts import command, counting, dropping, looking, subjects
from losscope.run.store import Store
from losscope.stats import shortcuts as stats

DOCS = Path(__file__).parents[1] / "docs"
SEEDS = 6


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return Study(
        data="synthetic",
        losses=["contrastive", "triplet"],
        seeds=SEEDS,
        epochs=3,
        closed_forms=False,
        options={"classes": 4, "points": 20, "dimensions": 8},
        engine="here",
        out=str(tmp_path_factory.mktemp("tiny")),
    )


@pytest.fixture(scope="module")
def tiny(study) -> Path:
    """A store with a small tuned study of two losses."""
    running.run(study)
    return Path(study.out)


@pytest.fixture(scope="module")
def subject(tiny) -> subjects.Subject:
    found, notes = subjects.stored(tiny)
    assert not notes
    return found[0]


@pytest.fixture(scope="module")
def followed(subject, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("followed"))
    found, why = looking.courses(subject, store, None)
    assert why is None
    return found, store


def pick(rows, **fields) -> list[ShortcutRow]:
    return [row for row in rows if all(getattr(row, name) == value for name, value in fields.items())]


# The epoch.


def test_a_course_passes_through_the_stored_runs(subject, followed):
    """At the epoch of a stored run its own test values stand, which another path measured."""
    courses, store = followed
    assert subject.best == "tuned" and set(courses) == {"contrastive", "triplet"}
    usual = subject.sides["usual"]["triplet"]
    sides = [(subject.sides["tuned"][loss], course) for loss, course in courses.items()]
    sides.append((usual, looking.course_of(usual, looking.source_of(subject, None), store)))
    for runs, course in sides:
        assert course.test.shape == course.validation.shape == (SEEDS, 4, 2) and course.whole
        for place, run in enumerate(runs):
            checkpoint = run.run.loss.checkpoint
            epoch = run.run.protocol.epochs if checkpoint is None else checkpoint
            for column, name in enumerate(subjects.MEASURES):
                assert course.test[place, epoch, column] == pytest.approx(
                    run.measures["test"][name], abs=1e-9
                )
                epochs, curve = run.columns.curve("validation", name)
                assert epochs.tolist() == [0, 1, 2, 3]
                assert course.validation[place, :, column] == pytest.approx(curve)


def test_a_kept_course_is_read_and_not_trained_again(subject, followed):
    courses, store = followed
    runs = subject.sides["tuned"]["triplet"]
    path, source = store.root / subjects.place_of(runs), looking.source_of(subject, None)
    kept = path.read_bytes()
    found = store.read_json(subjects.place_of(runs))
    found["test"][0][0][0] = 0.125
    store.write_json(subjects.place_of(runs), found)
    again = looking.course_of(runs, source, store)
    assert again.test[0, 0, 0] == 0.125
    assert again.test[1:].tolist() == courses["triplet"].test[1:].tolist()
    store.write_json(subjects.place_of(runs), {"validation": [], "test": []})
    with pytest.raises(LosscopeError, match="not what was measured"):
        looking.course_of(runs, source, store)
    path.write_bytes(kept)
    assert looking.course_of(runs, source, store).test.tolist() == courses["triplet"].test.tolist()


def naive_epochs(course: looking.Course, column: int) -> dict[str, list[float]]:
    """Each seed's value at the three epochs, by loops."""
    found: dict[str, list[float]] = {"validation": [], "test": [], "last": []}
    for seed in range(len(course.test)):
        best, at = -1.0, 0
        highest = -1.0
        for epoch in range(course.test.shape[1]):
            if course.validation[seed, epoch, column] > best:
                best, at = course.validation[seed, epoch, column], epoch
            highest = max(highest, course.test[seed, epoch, column])
        found["validation"].append(course.test[seed, at, column])
        found["test"].append(highest)
        found["last"].append(course.test[seed, -1, column])
    return found


def test_the_rows_of_the_epoch_are_those_of_loops(subject, followed):
    courses, _ = followed
    rows = [row for shift in counting.epochs(subject, courses) for row in counting.rows_of(shift)]
    for column, measure in enumerate(subjects.MEASURES):
        sides = {loss: naive_epochs(course, column) for loss, course in courses.items()}
        for name, key in (("test_epoch", "test"), ("last_epoch", "last")):
            shared = {"numbers": "tuned", "measure": measure, "shortcut": name}
            for loss, own in sides.items():
                (row,) = pick(rows, quantity="inflation", losses=(loss,), **shared)
                moved = [x - y for x, y in zip(own[key], own["validation"], strict=True)]
                assert row.value == pytest.approx(sum(moved) / SEEDS, abs=1e-6)
                assert row.low <= row.value <= row.high
            turned = 0
            for seed in range(SEEDS):
                shown = sides["contrastive"][key][seed] - sides["triplet"][key][seed]
                proper = sides["contrastive"]["validation"][seed] - sides["triplet"]["validation"][seed]
                turned += shown * proper < 0
            (row,) = pick(rows, quantity="reversed", **shared)
            assert (row.count, row.of) == (turned, SEEDS)
            assert row.value == pytest.approx(turned / SEEDS, abs=1e-6)
    assert all(row.value >= 0 for row in pick(rows, shortcut="test_epoch", quantity="inflation"))


def test_a_loss_that_overfits_is_inflated_by_the_best_epoch_on_test(subject):
    """Test falls from a peak while validation still rises: the inflation is the fall, and turns the order."""
    epochs = np.arange(5.0)
    noise = np.linspace(0, 0.001, SEEDS)[:, None]
    falling = 0.9 - 0.05 * np.abs(epochs - 1) + noise
    steady = np.broadcast_to(np.full(5, 0.8) + noise, (SEEDS, 5))
    validation = np.broadcast_to(epochs / 10, (SEEDS, 5))
    courses = {
        loss: looking.Course(np.stack([validation] * 2, axis=-1), np.stack([test] * 2, axis=-1))
        for loss, test in (("contrastive", falling), ("triplet", steady))
    }
    rows = [row for shift in counting.epochs(subject, courses) for row in counting.rows_of(shift)]
    first = {"numbers": "tuned", "measure": "recall_at_1", "shortcut": "test_epoch"}
    (overfits,) = pick(rows, quantity="inflation", losses=("contrastive",), **first)
    (steady_row,) = pick(rows, quantity="inflation", losses=("triplet",), **first)
    assert overfits.value == pytest.approx(0.15) and steady_row.value == 0
    (pair,) = pick(rows, quantity="change", **first)
    assert pair.value == pytest.approx(0.15) and pair.difference == pytest.approx(-0.05)
    assert pair.count == pair.of == SEEDS
    for quantity in ("reversed", "reordered", "opposed"):
        (row,) = pick(rows, quantity=quantity, **first)
        assert row.value == 1 and row.count == row.of
    last = {**first, "shortcut": "last_epoch"}
    assert [row.value for row in pick(rows, quantity="reversed", **last)] == [0]


# The last batch.


def naive_retrieval(embeddings, labels, queries, gallery) -> tuple[float, float]:
    """Recall@1 and MAP@R of these queries in this gallery, themselves left out, by loops."""
    recalls, precisions = [], []
    for query in queries:
        others = [row for row in gallery if row != query]
        right = [row for row in others if labels[row] == labels[query]]
        if not right:
            continue
        order = sorted(others, key=lambda row: -float(embeddings[row] @ embeddings[query]))
        hits = [labels[row] == labels[query] for row in order]
        recalls.append(float(hits[0]))
        depth = len(right)
        gained = sum(sum(hits[: rank + 1]) / (rank + 1) for rank in range(depth) if hits[rank])
        precisions.append(gained / depth)
    return float(np.mean(recalls)), float(np.mean(precisions))


@pytest.mark.parametrize("order", dropping.ORDERS)
@pytest.mark.parametrize("size", [4, 7, 32, 64])
def test_the_last_batch_is_that_of_loops(order, size):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 30)
    embeddings = rng.normal(size=(30, 5)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    ranked = {
        "stored": list(range(30)),
        "by_class": sorted(range(30), key=lambda row: labels[row]),
        "shuffled": list(np.argsort(np.random.default_rng(5).permutation(30))),
    }[order]
    full = 30 // size * size or 30
    kept = sorted(ranked[:full])
    (found,) = dropping.of_rows(embeddings, labels, [(order, size)], 5)
    whole, alone, asked, rows, dropped, classes = found
    every = range(30)
    assert whole == pytest.approx(naive_retrieval(embeddings, labels, every, every))
    assert alone == pytest.approx(naive_retrieval(embeddings, labels, kept, kept))
    assert asked == pytest.approx(naive_retrieval(embeddings, labels, kept, every))
    assert (rows, dropped, classes) == (30, 30 - full, 4 - len(set(labels[kept])))


def test_rows_sorted_by_class_lose_their_worst_class():
    """Eight rows of the last class lie at random among others: sorted by class they are the last batch."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [12, 12, 8])
    embeddings = np.eye(3, dtype=np.float32)[labels] + rng.normal(0, 0.01, (32, 3)).astype(np.float32)
    embeddings[labels == 2] = np.eye(3, dtype=np.float32)[[0, 1] * 4] + rng.normal(0, 0.01, (8, 3))
    mixed = rng.permutation(32)
    cells = [("by_class", 24), ("stored", 24), ("by_class", 16), ("by_class", 64)]
    sorted_, stored, even, none = dropping.of_rows(embeddings[mixed], labels[mixed], cells, 0)
    assert sorted_[1].tolist() == [1.0, 1.0] and sorted_[0][0] < 0.9
    assert int(sorted_[5]) == 1 and int(stored[5]) == 0
    for untouched in (even, none):
        assert int(untouched[4]) == 0 and untouched[1].tolist() == untouched[0].tolist()


def test_the_rows_of_the_last_batch_say_what_was_dropped(subject, tmp_path):
    store = Store(tmp_path)
    cells = (("by_class", 48), ("shuffled", 48))
    found = {loss: dropping.dropped(runs, cells, store) for loss, runs in subject.sides["tuned"].items()}
    rows = list(counting.last_batches(subject, found))
    labels = subject.sides["tuned"]["triplet"][0].embeddings()["labels"]
    for row in rows:
        assert row.batch.rows == SEEDS * len(labels) and row.batch.dropped == SEEDS * (len(labels) % 48) > 0
    again = dropping.dropped(subject.sides["tuned"]["triplet"], cells, store)
    assert again[cells[1]].kept.tolist() == found["triplet"][cells[1]].kept.tolist()
    own = [found[loss][cells[0]] for loss in ("contrastive", "triplet")]
    (row,) = [
        row for row in pick(rows, quantity="inflation", measure="map_at_r") if row.batch.order == "by_class"
    ]
    assert row.value == pytest.approx(np.mean([each.kept[:, 1] - each.whole[:, 1] for each in own]), abs=1e-6)


def test_a_batch_size_that_drops_nothing_is_not_spoken_of(subject, tmp_path):
    labels = subject.sides["tuned"]["triplet"][0].embeddings()["labels"]
    assert len(labels) % 7 and len(labels) < 5000

    def rows_at(*sizes):
        cells = [("stored", size) for size in sizes]
        sides = subject.sides["tuned"].items()
        found = {loss: dropping.dropped(runs, cells, Store(tmp_path)) for loss, runs in sides}
        return list(counting.last_batches(subject, found))

    assert not rows_at(len(labels), 5000)
    rows = rows_at(7, 5000)
    assert {row.batch.batch_size for row in rows} == {7}
    (said,) = wording._batches("synthetic", [row for row in rows if row.measure == "recall_at_1"])
    assert "incomplete last batch of 7 test rows" in said
    assert "batches of 32 and 128 test rows" in wording.whole_batches(dropping.BATCHES)


# Usual numbers.


def test_the_order_at_usual_numbers_is_that_of_loops(subject):
    rows = list(counting.usual_numbers(subject))
    for measure in subjects.MEASURES:
        means = {
            numbers: [
                np.mean([run.measures["test"][measure] for run in runs])
                for runs in subject.sides[numbers].values()
            ]
            for numbers in ("usual", "tuned")
        }
        turned = (means["usual"][0] - means["usual"][1]) * (means["tuned"][0] - means["tuned"][1]) < 0
        (row,) = pick(rows, measure=measure, quantity="reordered")
        assert row.count == int(turned) and row.of == 1 and row.low <= row.value <= row.high
        (gain,) = pick(rows, measure=measure, quantity="inflation", losses=("triplet",))
        assert gain.value == pytest.approx(means["usual"][1] - means["tuned"][1], abs=1e-6)


def test_drawn_seeds_give_an_interval_of_reordered_pairs():
    rng = np.random.default_rng(1)
    proper = 1.0 + rng.normal(0, 0.1, (10, 4))
    far = 1 - 0.025 ** (1 / 10)  # of none in ten seeds, exactly
    assert stats.reversed_means(proper, proper) == (0.0, 0.0, pytest.approx(far))
    assert stats.reversed_means(-proper, proper) == (1.0, pytest.approx(1 - far), 1.0)
    unsure = proper.copy()
    unsure[:, 0] = np.linspace(-1, 1.02, 10)
    found = stats.reversed_means(unsure, proper)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.25)
    seldom = np.linspace(-0.6, 1.6, 10)[:, None]  # under zero in fewer than a fortieth of draws, but in some
    draws = rng.choice(seldom[:, 0], (2000, 10)).mean(axis=1)
    assert 0 < (draws < 0).mean() < 0.02
    assert stats.reversed_means(seldom, np.ones((10, 1))) == (0.0, 0.0, pytest.approx(far))


# A few seeds.


def naive_wrong(differences: np.ndarray, size: int) -> tuple[float, list[float]]:
    """The share of wrong signs, and that without each seed, by loops over subsets and pairs."""
    seeds, pairs = differences.shape

    def of(left: list[int]) -> float:
        wrong = []
        for subset in itertools.combinations(left, size):
            for pair in range(pairs):
                at, truth = np.mean([differences[s, pair] for s in subset]), differences[:, pair].mean()
                wrong.append(0.5 if abs(at) < 1e-12 else float((at > 0) != (truth > 0)))
        return float(np.mean(wrong))

    every = list(range(seeds))
    return of(every), [of([seed for seed in every if seed != out]) for out in every]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_wrong_signs_are_those_of_loops(size):
    differences = np.random.default_rng(size).normal(0.5, 1, (7, 3)).round(1)
    differences[2, 1] = 0.0
    share, without = naive_wrong(differences, size)
    found = stats.wrong_signs(differences, size)
    assert found.value == pytest.approx(share)
    half = 2.446912 * np.sqrt(6 / 7 * np.square(np.array(without) - np.mean(without)).sum())
    assert found.low == pytest.approx(max(0, share - half), abs=1e-6)
    assert found.high == pytest.approx(min(1, share + half), abs=1e-6)


def test_a_tie_of_means_is_a_tie_however_their_sums_are_rounded():
    """Seeds one and two of three cancel: 0.3 − 0.2 and −0.1 sum to 3e-17."""
    differences = np.array([[0.3 - 0.2], [-0.1], [5.0]])
    assert differences[:2].mean() != 0
    assert stats.wrong_signs(differences, 2).value == pytest.approx(0.5 / 3)
    assert not stats.reversals(-differences[:2].mean(axis=0), differences.mean(axis=0)).any()


def test_more_seeds_have_fewer_wrong_signs_and_none_has_a_certain_interval():
    differences = np.random.default_rng(0).normal(1, 1, (10, 40))
    one, two, three = (stats.wrong_signs(differences, size).value for size in (1, 2, 3))
    assert one > two > three > 0
    sure = stats.wrong_signs(np.ones((10, 2)), 1)
    assert sure.value == 0 and sure.low == 0 and sure.high == pytest.approx(1 - 0.025**0.1)
    assert stats.wrong_signs(np.ones((2, 2)), 2) == (0.0, None, None)
    assert len(stats.subsets(60, 3)) == stats.SUBSETS
    assert all(len(set(row)) == 3 for row in stats.subsets(60, 3).tolist())


def test_equal_losses_have_no_true_sign():
    """Half of the seeds show either: no pair is told apart, and no share of wrong signs is given."""
    signs = np.array([1, -1] * 5)[:, None] * np.linspace(0.01, 0.03, 3)
    rows = list(counting.few_seeds("planted", "recall_at_1", "tuned", signs, by_size=True))
    (row,) = rows
    assert row.quantity == "told_apart" and row.count == 0 and row.of == 3
    assert wording.sentences([], [row.model_copy(update={"data": "all"})]) == (
        "Over all data sets, at tuned numbers, 10 paired seeds tell 0 of 3 pairs of losses apart.",
    )
    certain = np.full((10, 1), 0.02)
    rows = list(counting.few_seeds("planted", "recall_at_1", "tuned", np.hstack([signs, certain])))
    assert [(row.pairs, row.value) for row in rows if row.quantity == "wrong_sign"] == [(1, 0.0)] * 3


def test_pairs_are_counted_by_the_size_of_their_difference():
    spread = np.array([0.9, 1.1] * 5)[:, None]
    found = spread * [0.004, 0.008, 0.03, 0.2]
    rows = counting.few_seeds("planted", "recall_at_1", "usual", found, by_size=True)
    sizes = [(row.few.above, row.few.up_to, row.pairs) for row in rows if row.few and row.few.seeds == 1]
    assert sizes == [
        (None, None, 4),
        (None, 0.005, 1),
        (0.005, 0.01, 1),
        (0.02, 0.05, 1),
        (0.05, None, 1),
    ]


# Shares.


def test_shares_stay_between_0_and_1_and_are_t_intervals_inside():
    found = stats.share_over_seeds(np.array([0.4, 0.5, 0.6, 0.5]))
    assert found.value - found.low == pytest.approx(3.182446 * np.std([0.4, 0.5, 0.6, 0.5], ddof=1) / 2)
    wide = stats.share_over_seeds(np.array([0.0, 1.0, 0.0]))
    assert (wide.low, wide.high) == (0.0, 1.0)


# The command.


def run(*words: str) -> int:
    try:
        main(["reproduce", *words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_command_reads_a_store_and_leaves_it_as_it_was(tiny, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    code = run("shortcuts", "--from", str(tiny), "--out", str(tmp_path), "--json")
    out = capsys.readouterr().out
    assert code == 0 and before == {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    found = Shortcuts.from_json(out)
    assert Shortcuts.from_json((tmp_path / "shortcuts.json").read_text()) == found
    assert [(each.name, each.losses, each.seeds) for each in found.data] == [
        ("synthetic", ("contrastive", "triplet"), SEEDS)
    ]
    assert found.said == wording.sentences(found.data, found.rows) and len(found.said) == 6
    assert {row.shortcut for row in found.rows} == {
        "test_epoch",
        "last_epoch",
        "drop_last",
        "usual_numbers",
        "few_seeds",
    }
    assert found.found("few_seeds", "told_apart", "synthetic")
    assert run("shortcuts", "--from", str(tiny), "--out", str(tmp_path)) == 0
    assert capsys.readouterr().out == "\n".join(found.said) + "\n"


def test_the_price_of_a_finished_study_is_what_is_trained_once_more(tiny, study, subject, followed):
    plan = command.foresee([study])
    assert plan.studies[0].runs == plan.studies[0].stored
    assert plan.again == plan.again_left == 2 * SEEDS and plan.losses == ("contrastive", "triplet")
    assert "0 runs to train for the studies themselves" in plan.said and "12 runs to train once" in plan.said
    _, store = followed
    place = subjects.place_of(subject.sides["tuned"]["triplet"])
    (tiny / subjects.FOLDER).mkdir()
    (tiny / place).write_bytes((store.root / place).read_bytes())
    assert command.foresee([study]).again_left == SEEDS
    (tiny / place).unlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "digitz"], "unknown data set 'digitz'"),
        (["--seeds", "1"], "1 paired seed cannot tell two losses apart; wanted: --seeds 6 or more"),
        (["--losses", "triplet"], "two different --losses or more"),
        (["--losses", "triplet,triplett"], "triplett"),
        (["--from", "absent"], "absent"),
        (["--from", "absent", "--dry-run"], "leave out --losses, --seeds and --dry-run"),
        (["--from", "absent", "--seeds", "20"], "leave out --losses, --seeds and --dry-run"),
        (["--full"], "reproduce shortcuts takes --only"),
        (["--format", "md"], "reproduce shortcuts takes --only"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_trains(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("shortcuts", *words) == 2
    told = capsys.readouterr()
    assert said in told.err and "Traceback" not in told.err and not told.out


def test_a_paper_has_no_losses_or_stores_of_its_own(capsys):
    assert run("zeng2025", "--losses", "triplet") == 2
    assert "--losses and --from are for reproduce shortcuts" in capsys.readouterr().err


def test_a_store_without_the_data_that_are_asked_for(tiny, tmp_path):
    for only in (["digits"], ["synthetic", "digits"]):
        with pytest.raises(LosscopeError, match="no study of these stores can be used.*on digits$"):
            command.of_stores([tiny], only=only, out=tmp_path)


def test_a_second_study_of_the_same_data_is_named(tiny, subject, tmp_path):
    said: list[str] = []
    found = command.of_stores([tiny, tiny], out=tmp_path, say=said.append)
    assert len(found.data) == 1
    (sentence,) = [each for each in said if "passed over" in each]
    assert sentence.startswith(f"The study {subject.kept.name} is passed over: one study of each data set")


def test_a_study_that_is_made_gives_the_rows_of_one_that_is_read(tiny, study, tmp_path):
    made = command.measure([study])
    assert made.rows == command.of_stores([tiny], out=tmp_path).rows
    assert made.command == (
        "losscope reproduce shortcuts --only synthetic --losses contrastive,triplet --seeds 6"
    )
    assert (tiny / "shortcuts.json").is_file()


# What comes with the package.


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))
    return importlib.import_module("making.shortcuts")


def test_the_kept_numbers_are_whole_and_say_what_they_say():
    kept = command.kept()
    names = [each.name for each in kept.data]
    assert "digits" in names and kept.command.startswith("losscope reproduce shortcuts")
    assert set(names) <= {row.data for row in kept.rows} <= {*names, "all"}
    assert kept.said == wording.sentences(kept.data, kept.rows)
    for row in kept.rows:
        assert row.low is None or row.high is None or row.low - 1e-6 <= row.value <= row.high + 1e-6
        if row.shortcut == "test_epoch" and row.quantity == "inflation":
            assert row.value >= 0
        assert row.quantity != "reordered" or row.low < row.high
    for name in names:
        own = {row.shortcut for row in kept.rows if row.data == name}
        assert own == {"test_epoch", "last_epoch", "drop_last", "usual_numbers", "few_seeds"}


def test_the_tables_of_the_page_are_those_of_the_kept_numbers(tables):
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.written(page, tables.tables(command.kept())) == page
    assert len(re.findall(r"<!-- shortcuts: \w+ -->\n[^<]", page)) == len(tables.tables(command.kept()))
