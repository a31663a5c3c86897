"""What tuning is judged on: folds of few classes, rows of fewer, and otherwise what any seed holds out."""

from __future__ import annotations

import numpy as np
import pytest

from losscope.comparing.foreseeing import ready
from losscope.comparing.halving import SEEDS
from losscope.core.spec import Study
from losscope.data import load
from losscope.data.trials import for_trials, judged


def unseen(folder, classes, rows=6, tested=4):
    """A file whose test classes no training row has."""
    labels = np.repeat(np.arange(classes + tested), rows)
    values = np.random.default_rng(0).normal(size=(len(labels), 8)) + labels[:, None] / 3
    split = np.where(labels < classes, "train", "test")
    path = folder / "unseen.npz"
    np.savez(path, features=values.astype(np.float32), labels=labels, split=split)
    return str(path)


@pytest.mark.parametrize(
    ("classes", "of"),
    [(8, "rows"), (11, "rows"), (12, "folds"), (97, "folds"), (98, "draws"), (120, "draws")],
)
def test_few_classes_are_folds_and_fewer_are_not_held_out(tmp_path, classes, of):
    source = load(unseen(tmp_path, classes))
    found, sentence = judged(source, "matched")
    assert found == of and bool(sentence) is (of != "draws")
    assert judged(source, "paper") == ("draws", ""), "the paper's protocol stays what it was"
    trials = for_trials(source, "matched")
    assert (trials is source) is (of == "draws") and (trials.digest == source.digest) is (of == "draws")
    assert for_trials(source, "paper") is source


def test_the_seeds_of_tuning_hold_out_other_classes_each(tmp_path):
    source = load(unseen(tmp_path, 23))
    trials = for_trials(source, "matched")
    everything = set(range(23))
    seen: set[int] = set()
    for seed in SEEDS:
        parts = trials.splits(seed)
        held, left = (set(np.unique(part.labels).tolist()) for part in (parts.validation, parts.train))
        assert held | left == everything and not held & left
        assert len(held) in (4, 5) and not held & seen, "each class is validated once at most"
        seen |= held
        assert parts.test is trials.splits(SEEDS[0]).test
        assert trials.undecided_validation(seed) is None
        np.testing.assert_array_equal(trials.training_labels(seed), parts.train.labels)
        again = trials.splits(seed).validation.labels
        np.testing.assert_array_equal(again, parts.validation.labels)
    assert len(seen) >= 18


def test_rows_of_every_class_are_judged_where_too_few_classes_would_be_left(tmp_path):
    trials = for_trials(load(unseen(tmp_path, 8)), "matched")
    for seed in SEEDS:
        parts = trials.splits(seed)
        assert set(parts.train.labels) == set(parts.validation.labels) == set(range(8))
        assert len(parts.validation.labels) == 16, "two of six rows, so that each has a positive"


def test_closed_set_data_given_validation_and_a_users_folds_stay_as_they_are(tmp_path):
    labels = np.repeat(np.arange(12), 8)
    values = np.random.default_rng(0).normal(size=(96, 8)).astype(np.float32)
    np.savez(tmp_path / "closed.npz", features=values, labels=labels)
    split = np.array(["train", "train", "train", "validation"] * 3)[labels].astype("U10")
    split[labels > 8] = "test"
    np.savez(tmp_path / "given.npz", features=values, labels=labels, split=split)
    sources = [load(str(tmp_path / "closed.npz")), load(str(tmp_path / "given.npz"))]
    sources += [load(str(tmp_path / "closed.npz"), folds=3), load("synthetic")]
    for source in sources:
        assert judged(source, "matched") == ("draws", "") and for_trials(source, "matched") is source


@pytest.mark.parametrize(
    ("classes", "said"), [(12, "tuning is judged on 5 folds"), (8, "on a fifth of the rows")]
)
def test_a_study_says_so_and_only_its_trials_are_other_runs(tmp_path, classes, said):
    study = Study.of(data=unseen(tmp_path, classes), losses="triplet", seeds=2, out=str(tmp_path / "runs"))
    made = ready(study, dry=True)
    assert [note for note in made.notes if said in note]
    final = made.runs[0]
    assert made.identify(final) == final.id(made.source.digest)
    trial = final.model_copy(update={"purpose": "trial", "seed": SEEDS[0]})
    assert made.identify(trial) != trial.id(made.source.digest), "an earlier trial had other rows"
    assert made.source.splits(0).validation is not None and made.trials_from.digest != made.source.digest


@pytest.mark.parametrize(("classes", "of"), [(12, "folds"), (8, "rows")])
def test_a_whole_study_is_tuned_on_them(tmp_path, monkeypatch, classes, of):
    """Trials are trained on the folds; final runs and what ranks the sides stay on their seeds' own rows."""
    import losscope
    from losscope.run import working

    drawn: dict[str, set[tuple[int, ...]]] = {"trial": set(), "final": set()}
    kept = working._records

    def records(group, store, progress):
        made = kept(group, store, progress)
        drawn[group.runs[0].purpose] |= {(run.seed,) for run in group.runs}
        return made

    monkeypatch.setattr(working, "_records", records)
    study = Study.of(
        data=unseen(tmp_path, classes),
        losses="triplet(margin=0.1, learning_rate=1e-3, weight_decay=10)",
        **{"seeds": 2, "epochs": 2, "batch_size": 24, "start": "pca", "embedding_size": 4, "engine": "here"},
        out=str(tmp_path / "runs"),
    )
    result = losscope.comparing.run(study)
    (side,) = result.losses
    assert side.tuned is not None and side.tuned.judged == of
    assert drawn["trial"] == {(seed,) for seed in SEEDS} and drawn["final"] == {(0,), (1,)}
    alike = side.validation[side.tuned.measure] == side.tuned.score
    assert alike is (of == "folds"), "rows of known classes are never held against unseen ones"
