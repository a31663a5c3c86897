"""The data that scikit-learn ships, and those that its generators draw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sklearn.datasets

from losscope.comparing.halving import TRANSFORMS
from losscope.core.errors import LosscopeError
from losscope.core.protocols.matched import matched
from losscope.data import load, splits
from losscope.data.sets import generated
from losscope.testing import check_data

SHIPPED = ("iris", "wine", "breast_cancer")
GENERATED = ("gaussian_blobs", "hypercube", "shells")


@pytest.mark.parametrize("name", [*SHIPPED, *GENERATED])
def test_they_keep_the_contract(name):
    check_data(name)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_rows_are_those_that_scikit_learn_loads(name):
    rows, labels = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    source = load(name)
    assert np.array_equal(source.pool.inputs, rows.astype(np.float32))
    assert np.array_equal(source.pool.labels, labels)
    names = getattr(sklearn.datasets, f"load_{name}")().target_names
    assert source.facts.class_names == tuple(names)


@pytest.mark.parametrize("name", SHIPPED)
def test_standardising_the_columns_is_among_what_validation_chooses(name):
    # The search tries the transforms wherever the protocol has one at all, which it has for features.
    assert matched(load(name).facts.kind).transform != "none"
    assert "standardise" in TRANSFORMS


def test_iris_is_split_as_its_registration_says():
    draws = load("iris").splits(0)
    assert np.bincount(draws.test.labels).tolist() == [15, 15, 15]
    assert (len(draws.train), len(draws.validation)) == (84, 21)


# --- generated -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATED)
def test_every_part_has_as_many_points_of_each_class(name):
    source = load(name, classes=3, points=33, dimensions=7, **more(name))
    draws = source.splits(5)
    for part, each in ((draws.train, 33), (draws.validation, 50), (draws.test, 200)):
        assert np.bincount(part.labels).tolist() == [each] * 3
    assert source.sizes() == (99, 150, 600)
    assert draws.train.inputs.shape == (99, 7)


def more(name: str) -> dict[str, int]:
    return {"informative": 5, "clusters": 3} if name == "hypercube" else {}


@pytest.mark.parametrize("name", GENERATED)
def test_a_seed_redraws_classes_and_points_and_gives_the_same_again(name):
    source = load(name)
    first, again, other = source.splits(0), source.splits(0), source.splits(1)
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part).inputs, getattr(again, part).inputs)
        mine, others = (set(map(tuple, getattr(draws, part).inputs.tolist())) for draws in (first, other))
        assert not mine & others


def test_blobs_are_scikit_learns_around_the_same_centres_in_every_part():
    source = load("gaussian_blobs", classes=4, points=150, dimensions=3, spread=2.5)
    draws = source.splits(7)
    state = int(splits.generator(7, "gaussian_blobs", "rows").integers(2**32))
    rows, labels, centres = sklearn.datasets.make_blobs(
        4 * 400, 3, centers=4, cluster_std=2.5, random_state=state, return_centers=True
    )
    drawn = np.concatenate([part.inputs for part in (draws.train, draws.validation, draws.test)])
    given = np.concatenate([part.labels for part in (draws.train, draws.validation, draws.test)])
    wanted = {(*row, label) for row, label in zip(rows.astype(np.float32).tolist(), labels, strict=True)}
    assert {(*row, label) for row, label in zip(drawn.tolist(), given, strict=True)} == wanted
    for part in (draws.train, draws.validation, draws.test):
        for label, centre in enumerate(centres):
            own = part.inputs[part.labels == label]
            assert np.all(np.abs(own.mean(0) - centre) < 5 * 2.5 / np.sqrt(len(own)))
            assert np.all(np.abs(own.std(0) / 2.5 - 1) < 5 / np.sqrt(2 * len(own)))


def test_the_hypercubes_corners_are_those_of_training_in_validation_and_test():
    # One cluster each, far apart: a point is nearest to its class's training mean, in every part.
    source = load("hypercube", classes=4, dimensions=6, informative=6, clusters=1, separation=8.0)
    for seed in range(3):
        draws = source.splits(seed)
        means = np.stack([draws.train.inputs[draws.train.labels == label].mean(0) for label in range(4)])
        for part in (draws.validation, draws.test):
            nearest = np.square(part.inputs[:, None] - means).sum(-1).argmin(1)
            assert (nearest == part.labels).mean() > 0.97
        # Another seed has other corners.
        elsewhere = source.splits(seed + 1).test
        nearest = np.square(elsewhere.inputs[:, None] - means).sum(-1).argmin(1)
        assert (nearest == elsewhere.labels).mean() < 0.97


def test_dimensions_that_are_not_informative_tell_nothing():
    source = load("hypercube", classes=2, points=1000, dimensions=10, informative=3, separation=3.0)
    part = source.splits(0).train
    # Standard normal whatever the class: means within five standard errors, and a deviation near 1.
    means = np.stack([part.inputs[part.labels == label].mean(0) for label in range(2)])
    noise = (np.abs(means) < 5 / np.sqrt(1000)).all(0) & (np.abs(part.inputs.std(0) - 1) < 5 / np.sqrt(4000))
    assert noise.sum() >= 7


def test_shells_are_told_apart_by_radius_with_the_same_borders_in_every_part():
    draws = load("shells", classes=4, dimensions=5).splits(2)
    radius = [np.linalg.norm(part.inputs, axis=1) for part in (draws.train, draws.validation, draws.test)]
    labels = [part.labels for part in (draws.train, draws.validation, draws.test)]
    every, given = np.concatenate(radius), np.concatenate(labels)
    for inner in range(3):
        border = every[given == inner].max()
        assert border <= every[given == inner + 1].min()
        for own, of in zip(radius, labels, strict=True):
            assert own[of == inner].max() <= border < own[of == inner + 1].min()
    # Directions are the same of all: points of a class lie around 0.
    assert all(np.linalg.norm(draws.test.inputs[labels[2] == label].mean(0)) < 0.6 for label in range(4))


@pytest.mark.parametrize("name", GENERATED)
def test_the_parts_of_a_class_are_of_one_distribution(name):
    # A class's rows are dealt in the order of the draw: a sorted one would give the parts other radii.
    draws = load(name, points=200).splits(3)
    for label in range(load(name).facts.classes):
        train = np.linalg.norm(draws.train.inputs[draws.train.labels == label], axis=1)
        test = np.linalg.norm(draws.test.inputs[draws.test.labels == label], axis=1)
        error = np.sqrt(train.var() / len(train) + test.var() / len(test))
        assert abs(train.mean() - test.mean()) < 5 * error


@pytest.mark.parametrize("name", GENERATED)
def test_label_noise_touches_training_labels_alone(name):
    clean, noisy = load(name).splits(0), load(name, label_noise=0.4).splits(0)
    classes = load(name).facts.classes
    assert np.array_equal(clean.train.inputs, noisy.train.inputs)
    differ = (clean.train.labels != noisy.train.labels).mean()
    assert abs(differ - 0.4 * (1 - 1 / classes)) < 0.07
    for part in ("validation", "test"):
        assert np.array_equal(getattr(clean, part).labels, getattr(noisy, part).labels)
    assert "40 % of the training labels are redrawn" in noisy.facts.notes[0].replace("40%", "40 %")


def test_digests_name_the_options_and_the_draw():
    made = [load("shells"), load("shells", points=301), load("shells", label_noise=0.1), load("hypercube")]
    assert len({source.digest for source in made}) == 4
    assert load("shells").digest == generated.shells(None).digest


def test_a_draw_that_only_rounds_otherwise_has_the_same_digest():
    parts = load("gaussian_blobs").draw(0)
    rounded = tuple(
        dataclasses.replace(part, inputs=part.inputs.astype(np.float64) * (1 + 1e-12)) for part in parts
    )
    other = tuple(dataclasses.replace(part, inputs=part.inputs * np.float32(1.01)) for part in parts)
    said = [generated._said_by(each) for each in (parts, rounded, other)]
    assert all(np.array_equal(a, b) for a, b in zip(said[0], said[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(said[0], said[2], strict=True))


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("gaussian_blobs", "spread", 0, "spread is 0; it is a standard deviation"),
        ("gaussian_blobs", "spread", "wide", "spread is 'wide'"),
        ("gaussian_blobs", "spread", float("nan"), "spread is nan"),
        ("gaussian_blobs", "classes", 1, "classes is 1; it must be a whole number of at least 2"),
        ("gaussian_blobs", "classes", True, "classes is True"),
        ("gaussian_blobs", "dimensions", 0, "dimensions is 0"),
        ("shells", "points", 1, r"points \(per class\) is 1"),
        ("shells", "points", 2.5, r"points \(per class\) is 2\.5"),
        ("shells", "points", 10**9, "at most 50,000,000 are drawn"),
        ("shells", "label_noise", 1, "label_noise is 1; it is a share"),
        ("shells", "label_noise", "x", "label_noise is 'x'"),
        ("synthetic", "label_noise", "x", "label_noise is 'x'"),
        ("hypercube", "informative", 40, "informative is 40 and dimensions is 32"),
        ("hypercube", "informative", 2.0, r"informative is 2\.0"),
        ("hypercube", "clusters", 0, r"clusters \(per class\) is 0"),
        (
            "hypercube",
            "clusters",
            100,
            "want 500 corners, and a hypercube of informative=8 dimensions has 256",
        ),
        ("hypercube", "separation", -1, "separation is -1"),
        ("hypercube", "separation", 0, "separation is 0; it is half a side's length, above 0"),
        ("hypercube", "clusters", 201, "clusters is 201 and points is 200"),
        ("shells", "dimensions", 1001, "dimensions is 1001; shells have at most 1,000"),
    ],
)
def test_an_option_that_makes_no_sense_is_one_sentence(name, option, value, said):
    with pytest.raises(LosscopeError, match=said) as caught:
        load(name, **{option: value})
    assert "\n" not in str(caught.value)


def test_matrices_that_mix_clusters_count_towards_what_a_draw_may_have():
    with pytest.raises(LosscopeError, match="informative=3000 dimensions are mixed by 90,000,000 numbers"):
        load("hypercube", dimensions=3000, informative=3000)


def test_hypercubes_and_shells_are_scikit_learns():
    made = {
        "hypercube": sklearn.datasets.make_classification(
            5 * 450,
            32,
            n_informative=8,
            n_redundant=0,
            n_classes=5,
            n_clusters_per_class=2,
            flip_y=0,
            random_state=_state("hypercube"),
        ),
        "shells": sklearn.datasets.make_gaussian_quantiles(
            n_samples=3 * 550, n_features=4, n_classes=3, random_state=_state("shells")
        ),
    }
    for name, (rows, labels) in made.items():
        draws = load(name).splits(3)
        drawn = np.concatenate([part.inputs for part in (draws.train, draws.validation, draws.test)])
        given = np.concatenate([part.labels for part in (draws.train, draws.validation, draws.test)])
        mine = np.column_stack([drawn, given])
        theirs = np.column_stack([rows.astype(np.float32), labels])
        assert np.array_equal(mine[np.lexsort(mine.T)], theirs[np.lexsort(theirs.T)]), name


def _state(name: str) -> int:
    return int(splits.generator(3, name, "rows").integers(2**32))
