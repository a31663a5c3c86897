"""Splits, checks and the data sets that come without files."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from losscope.core.errors import LosscopeError
from losscope.core.registry import entries
from losscope.data import Draft, Part, load, present, splits
from losscope.data.base import TEST, TRAIN, fingerprint
from losscope.data.checking import check_finite
from losscope.data.finish import finish
from losscope.data.labels import understood
from losscope.data.sets import synthetic

labels_of = hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 6))


def draft(rows: int = 40, classes: int = 4, **changes) -> Draft:
    rng = np.random.default_rng(0)
    made = Draft("mine", "Mine", "features", rng.normal(size=(rows, 3)), np.arange(rows) % classes)
    return dataclasses.replace(made, **changes)


# Splits


@given(labels_of, st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 5))
def test_stratified_takes_its_share_of_each_class_and_leaves_pairs(labels, share, seed):
    held = splits.hold_out_stratified(labels, share, np.random.default_rng(seed))
    for label in np.unique(labels):
        n, taken = (labels == label).sum(), held[labels == label].sum()
        if n < 4:
            assert taken == 0
        else:
            assert 2 <= taken <= n - 2
            assert abs(taken - share * n) <= 2


@given(labels_of, st.integers(0, 5))
def test_whole_groups_are_never_torn(groups, seed):
    held = splits.hold_out_whole(groups, 0.2, np.random.default_rng(seed))
    assert not set(groups[held]) & set(groups[~held])
    assert held.any()


@given(labels_of, st.integers(0, 9))
def test_label_noise_draws_the_same_rows_whatever_the_labels(labels, seed):
    redrawn = splits.redraw_labels(labels, 0.5, np.random.default_rng(seed))
    moved = splits.redraw_labels(labels + 100, 0.5, np.random.default_rng(seed))
    assert np.array_equal(redrawn + 100, moved)
    assert set(redrawn) <= set(labels)


@given(st.integers(2, 20), st.integers(0, 30), st.data())
def test_tuples_follow_their_rows(rows, count, data):
    pairs = data.draw(hnp.arrays(np.int64, (count, 3), elements=st.integers(0, rows - 1)))
    keep = data.draw(st.lists(st.integers(0, rows - 1), unique=True, min_size=1))
    moved = splits.remap(pairs, np.array(keep), rows, columns=2)
    wanted = [(keep.index(i), keep.index(j), same) for i, j, same in pairs if i in keep and j in keep]
    assert [tuple(row) for row in moved] == wanted


# What every source keeps


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_a_seed_redraws_what_it_should(name):
    source = load(name)
    first, again, other = source.splits(0), source.splits(0), source.splits(1)
    assert np.array_equal(first.train.inputs, again.train.inputs)
    assert not np.array_equal(first.train.inputs[:100], other.train.inputs[:100])
    assert np.array_equal(first.test.inputs, other.test.inputs) == (not source.facts.generated)
    assert first.train.inputs.dtype == np.float32
    assert first.train.labels.dtype == np.int64
    assert source.sizes() == tuple(map(len, (first.train, first.validation, first.test)))
    assert np.isfinite(first.train.inputs).all()


def test_digits_parts_are_stratified_disjoint_and_complete():
    source = load("digits")
    draws = source.splits(3)
    rows = np.concatenate([part.rows for part in (draws.train, draws.validation, draws.test)])
    assert np.array_equal(np.sort(rows), np.arange(1797))
    share = np.bincount(draws.validation.labels) / np.bincount(
        np.concatenate([draws.train.labels, draws.validation.labels])
    )
    assert np.all(np.abs(share - 0.2) < 0.005)
    assert "digits" in source.describe()
    assert "1,797 vectors of 64 in 10 classes (174–183 each)" in source.describe()


def test_a_source_is_read_once_and_cannot_be_changed():
    source = load("digits")
    assert load("digits") is source
    assert load("digits", label_noise=0.2) is not source
    with pytest.raises(ValueError, match="read-only"):
        source.pool.inputs[0] = 0
    # What is handed out may be changed without harm to the next seed's parts.
    source.splits(0).train.inputs[:] = 7
    assert source.splits(0).train.inputs.max() <= 1


def test_digests_name_the_content_and_the_options():
    digests = {
        load("digits").digest,
        load("digits", label_noise=0.2).digest,
        load("synthetic").digest,
        load("synthetic", subclusters=3).digest,
        load("digits", limit=100).digest,
    }
    assert len(digests) == 5
    same, other = finish(draft()), finish(draft(inputs=draft().inputs + 1e-3))
    assert same.digest == finish(draft()).digest != other.digest
    a = np.arange(6, dtype=np.float32)
    assert fingerprint(a) != fingerprint(a.reshape(2, 3)) != fingerprint(a.astype(np.float64))


def test_label_noise_touches_training_labels_only():
    plain, noisy = load("digits").splits(0), load("digits", label_noise=0.3).splits(0)
    differ = (plain.train.labels != noisy.train.labels).mean()
    assert abs(differ - 0.27) < 0.05  # a redrawn label is the old one a tenth of the time
    assert np.array_equal(plain.validation.labels, noisy.validation.labels)
    assert np.array_equal(plain.test.labels, noisy.test.labels)
    assert "30% of the training labels" in load("digits", label_noise=0.3).facts.notes[0]


def test_limit_keeps_the_test_rows_and_says_so():
    source = load("digits", limit=200)
    draws = source.splits(0)
    assert len(draws.test) == len(load("digits").splits(0).test)
    kept = len(draws.train) + len(draws.validation)
    assert abs(kept - 200) <= 5  # each class's share is rounded
    assert f"reduced: {kept} of" in source.facts.notes[0]


def test_limit_test_keeps_the_training_rows_and_changes_the_digest():
    whole, source = load("digits"), load("digits", limit_test=100)
    draws, before = source.splits(0), whole.splits(0)
    assert len(draws.test) == 100 and np.array_equal(np.bincount(draws.test.labels), np.full(10, 10))
    assert np.array_equal(draws.train.inputs, before.train.inputs)
    assert set(map(bytes, draws.test.inputs)) <= set(map(bytes, before.test.inputs))
    assert "100 of" in source.facts.notes[0] and "test rows" in source.facts.notes[0]
    assert source.digest != whole.digest
    with pytest.raises(LosscopeError, match="limit_test is 1;"):
        load("digits", limit_test=1)


# The paper's generator


def test_synthetic_is_the_papers_by_naive_loops():
    seed, each = 5, 4
    source = load("synthetic", points=each, label_noise=0.0, outliers=0.05, dimensions=16, classes=3)
    train = source.splits(seed).train
    centres, _ = synthetic._mixture(seed, 3, 16, 0)
    rng = splits.generator(seed, "synthetic", "classes")
    again = 5.0 * rng.standard_normal((3, 1, 16))
    assert np.array_equal(centres, again)
    noise = splits.generator(seed, "synthetic", "train")
    draws = noise.standard_normal((3, each, 16))
    row = 0
    for c, root in enumerate(rng.standard_normal((3, 16, 16))):
        factor = np.linalg.cholesky(root @ root.T + 1e-3 * np.eye(16))
        for k in range(each):
            point = centres[c, 0] + 1.4 * (factor @ draws[c, k])
            np.testing.assert_allclose(train.inputs[row], point / np.linalg.norm(point), atol=1e-6)
            assert train.labels[row] == c
            row += 1
    assert (train.labels == -1).sum() == round(0.05 * 12)


def test_synthetic_has_the_papers_numbers():
    draws = load("synthetic").splits(0)
    clean = load("synthetic", label_noise=0.0).splits(0)
    assert len(draws.train) == 2100
    assert (draws.train.labels == -1).sum() == 100
    assert np.array_equal(draws.train.inputs, clean.train.inputs)
    changed = (draws.train.labels != clean.train.labels)[:2000].mean()
    assert abs(changed - 0.09) < 0.02
    np.testing.assert_allclose(np.linalg.norm(draws.train.inputs, axis=1), 1, atol=1e-6)
    assert len(draws.validation) == 500
    assert len(draws.test) == 2000
    assert draws.test.labels.min() == 0
    # Fresh points of the same mixture: the nearest class mean of the clean training points finds the class
    # of test points nearly as often as that of other training points.
    means = np.stack([clean.train.inputs[clean.train.labels == c].mean(0) for c in range(10)])
    right = ((draws.test.inputs @ means.T).argmax(1) == draws.test.labels).mean()
    assert right > 0.5


def test_planted_subclusters_give_fine_labels_inside_the_classes():
    draws = load("synthetic", subclusters=4).splits(0)
    assert np.array_equal(draws.test.fine_labels // 4, draws.test.labels)
    assert len(np.unique(draws.test.fine_labels)) == 40
    assert (draws.train.fine_labels == -1).sum() == 100
    assert draws.facts.fine_names[5] == "1.1"
    # The planted structure is there: points are nearer to their own sub-cluster's mean than chance.
    part = draws.test
    inside = part.inputs[part.labels == 0]
    fine = part.fine_labels[part.labels == 0]
    between = np.stack([inside[fine == label].mean(0) for label in np.unique(fine)]).var(0).sum()
    shuffled = np.random.default_rng(0).permutation(fine)
    assert (
        between
        > 1.5 * np.stack([inside[shuffled == label].mean(0) for label in np.unique(fine)]).var(0).sum()
    )


# Checks


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": np.arange(39)}, "40 rows of inputs but 39 labels"),
        ({"labels": np.zeros(40, int)}, "one class only"),
        ({"labels": np.arange(40)}, "no class of mine has two members"),
        ({"labels": np.array([0.5] * 40)}, "40 of 40 labels of mine have a fraction"),
        ({"labels": None, "no_labels": "no labels here"}, "no labels here"),
        ({"inputs": np.zeros((0, 3)), "labels": np.zeros(0, int)}, "has no rows"),
        ({"inputs": np.array([["a"]] * 40)}, "wanted: numbers"),
        ({"groups": np.arange(3)}, "3 rows of groups"),
        ({"role": np.zeros(40, np.int8)}, "says 'train' of every row; wanted: training and test rows"),
        ({"role": np.full(40, TEST, np.int8)}, "says 'test' of every row; wanted: training and test rows"),
        ({"by_group": True}, "no groups to split by"),
        ({"class_names": ("a", "b")}, "2 class names"),
    ],
)
def test_bad_data_is_one_sentence(changes, sentence):
    with pytest.raises(LosscopeError, match=sentence):
        finish(draft(**changes))


def test_nan_and_infinity_are_counted_and_placed():
    inputs = draft().inputs
    inputs[[3, 7], 1] = np.nan
    inputs[9] = np.inf
    with pytest.raises(
        LosscopeError, match=r"5 values that are NaN or infinite, in 3 of 40 rows \(rows 3, 7, 9,"
    ):
        finish(draft(inputs=inputs))
    with pytest.raises(LosscopeError, match="1 values"):
        finish(draft(inputs=np.where(np.arange(120).reshape(40, 3) == 5, 1e300, 0.0)))


def test_large_finite_values_are_not_called_infinite():
    check_finite("x", np.full((10, 10), 3e38, np.float32))


def test_leaks_are_refused():
    role = np.where(np.arange(40) < 20, TRAIN, TEST).astype(np.int8)
    with pytest.raises(LosscopeError, match=r"leaks: 4 classes \(0, 1, 2, …\) in the test split and outside"):
        finish(draft(role=role, disjoint=True))
    names = np.array([f"{row % 30}.png" for row in range(40)])
    with pytest.raises(LosscopeError, match=r"leaks: 10 files \(0\.png"):
        finish(draft(role=role, names=names))
    groups = np.array(["ann", "bob"] * 20)
    with pytest.raises(LosscopeError, match=r"leaks: 2 groups \(ann, bob\)"):
        finish(draft(role=role, groups=groups, by_group=True))


def test_group_disjoint_splits_tear_nobody_apart():
    groups = np.repeat([f"speaker {number}" for number in range(8)], 5)
    source = finish(draft(groups=groups, by_group=True))
    tests = set()
    for seed in range(5):
        draws = source.splits(seed)
        parts = [set(part.groups) for part in (draws.train, draws.validation, draws.test)]
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]
        tests.add(frozenset(parts[2]))
    assert len(tests) == 1
    assert source.facts.group_names[0] == "speaker 0"


def test_too_few_groups_to_hold_out_validation():
    source = finish(draft(groups=np.arange(40) % 2, by_group=True))
    with pytest.raises(LosscopeError, match="fewer than two classes to train on"):
        source.splits(0)


def test_singletons_are_counted_and_kept():
    labels = np.concatenate([np.arange(30) % 3, [7, 8, 9]])
    source = finish(draft(rows=33, labels=labels, inputs=np.zeros((33, 2))))
    assert any("3 of 6 training classes have a single member" in note for note in source.facts.notes)
    assert {3, 4, 5} <= set(source.splits(0).train.labels)


def test_many_tiny_classes_are_split_by_class():
    source = finish(draft(rows=60, labels=np.arange(60) // 2, inputs=np.zeros((60, 2))))
    draws = source.splits(0)
    assert source.facts.disjoint
    sets = [set(part.labels) for part in (draws.train, draws.validation, draws.test)]
    assert all(sets)
    assert not sets[0] & sets[1]
    assert not sets[2] & (sets[0] | sets[1])


def test_given_validation_rows_stay():
    role = (np.arange(40) // 4 % 3).astype(np.int8)
    source = finish(draft(role=role))
    assert np.array_equal(source.splits(0).validation.rows, source.splits(9).validation.rows)
    assert set(source.splits(0).validation.rows) == set(np.flatnonzero(role == 1))


def test_fine_and_coarse_labels():
    fine = np.arange(40) % 8
    both = draft(fine_labels=fine, labels=np.array(["bird", "fish"])[fine % 2], level="fine")
    source = finish(both)
    assert source.facts.classes == 8
    assert source.splits(0).train.fine_labels is None
    coarse = finish(both, train_labels="coarse")
    assert coarse.facts.class_names == ("bird", "fish")
    train = coarse.splits(0).train
    assert np.array_equal(train.fine_labels % 2, train.labels)
    with pytest.raises(LosscopeError, match="one kind of labels only"):
        finish(draft(), train_labels="coarse")
    with pytest.raises(LosscopeError, match="choices: fine, coarse"):
        finish(draft(), train_labels="medium")


def test_labels_of_any_kind_are_numbered_and_background_stays():
    found = understood(np.array(["b", "a", "b"]))
    assert found.numbers.tolist() == [1, 0, 1]
    assert found.names == ("a", "b")
    assert understood(np.array([5.0, -1.0, 9.0])).numbers.tolist() == [0, -1, 1]


def test_parts_check_their_lengths():
    with pytest.raises(LosscopeError, match="2 inputs but 3 labels"):
        Part(np.zeros((2, 2)), np.zeros(3, int))


# Names


def test_a_source_describes_itself_for_results():
    source = load("synthetic", classes=3)
    said = source.description()
    assert (said.name, said.classes, said.generated, said.disjoint) == ("synthetic", 3, True, False)
    assert said.class_names == ("0", "1", "2")
    assert said.described == source.describe()
    assert said.digest == source.digest
    assert said.notes == source.facts.notes != ()


def test_unknown_names_and_options():
    with pytest.raises(LosscopeError, match="did you mean 'digits'"):
        load("digts")
    with pytest.raises(
        LosscopeError, match="unknown option of digits 'lable_noise'; did you mean 'label_noise'"
    ):
        load("digits", lable_noise=0.1)
    with pytest.raises(LosscopeError, match="the data root '/nowhere' is not a folder"):
        load("mnist", "/nowhere")
    with pytest.raises(LosscopeError, match=r"label_noise is 1\.5"):
        load("digits", label_noise=1.5)
    with pytest.raises(LosscopeError, match="classes is 1"):
        load("synthetic", classes=1)
    with pytest.raises(LosscopeError, match="limit is 1;"):
        load("digits", limit=1)


@pytest.mark.parametrize("name", sorted(entries("data")))
def test_every_data_set_says_what_it_is(name):
    facts = entries("data")[name].facts
    assert all(
        (facts.title, facts.n, facts.classes, facts.modality, facts.split, facts.licence, facts.origin)
    )
    assert facts.bundled or facts.files
    assert present(name, "/nowhere") in (True, False)
    assert entries("data")[name].doc


def test_absent_data_say_what_to_fetch_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("losscope.data.download.reachable", lambda url: False)
    for name in sorted(name for name, found in entries("data").items() if not found.facts.bundled):
        assert not present(name, tmp_path)
        with pytest.raises(LosscopeError, match=name) as caught:
            load(name, tmp_path)
        assert str(tmp_path) in str(caught.value)


def test_importing_data_is_light():
    code = (
        "import sys, losscope.data\n"
        "losscope.data.present('mnist')\n"
        "heavy = {'torch', 'PIL', 'pandas', 'h5py', 'pooch', 'soundfile', 'sklearn', 'datasets', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
