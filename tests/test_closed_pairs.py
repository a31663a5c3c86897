"""Closed forms without classes: CCA of two modalities and whitening by pairs; oracles and planted studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.cross_decomposition import CCA

import losscope
from losscope.comparing import plan
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.data.splits import positive_pairs
from losscope.models import paired
from losscope.models.closed import SHRINKAGE, Sample, whitened
from losscope.models.paired import EXPONENTS, RIDGES, PairForm, PairSample, PairSetting, cca
from losscope.stats import Measured, Standing, analyse


def pairs(rows: int = 80, sizes: tuple[int, int] = (6, 5), shared: int = 3, seed: int = 0) -> np.ndarray:
    """Rows (N, D₁ + D₂): a few signals in both modalities, mixed, each with noise of its own."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=(rows, shared))
    sides = [
        signal @ random.normal(size=(shared, size))
        + random.normal(size=(rows, size)) @ random.normal(size=(size, size))
        for size in sizes
    ]
    return np.concatenate(sides, axis=1) + 3.0


def of(rows: np.ndarray, width: int, size: int | None = None) -> PairForm:
    return cca(PairSample.of(rows, width), size)


def at(form: PairForm, ridge: float, exponent: float = 0.0) -> PairSetting:
    return next(own for own in form.settings if own.shrinkage == ridge and own.exponent == exponent)


def cosines(form: PairForm, rows: np.ndarray, setting: PairSetting) -> np.ndarray:
    """What decides every neighbour, across the modalities and within them."""
    made = form.apply(setting, form.project(rows))
    made = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-300)
    return made @ made.T


# --------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("ridge", RIDGES)
@pytest.mark.parametrize(("sizes", "size"), [((6, 5), None), ((4, 9), 2), ((7, 7), 7)])
def test_cca_solves_the_generalised_eigenproblem(sizes, size, ridge, exponent):
    """[0 Σ₁₂; Σ₂₁ 0]·w = ρ·[Σ₁₁ + κ₁ 0; 0 Σ₂₂ + κ₂]·w, covariances by naive sums."""
    rows, width = pairs(sizes=sizes), sizes[0]
    mean = [sum(column) / len(rows) for column in rows.T.tolist()]
    covariance = sum(np.outer(row - mean, row - mean) for row in rows) / len(rows)
    left, right = np.zeros_like(covariance), np.zeros_like(covariance)
    left[:width, width:] = covariance[:width, width:]
    left[width:, :width] = covariance[width:, :width]
    for part in (slice(0, width), slice(width, None)):
        own = covariance[part, part]
        right[part, part] = own + ridge * np.trace(own) / len(own) * np.eye(len(own))
    found, vectors = scipy.linalg.eigh(left, right)
    kept = min(sizes) if size is None else size
    found, vectors = found[::-1][:kept], vectors[:, ::-1][:, :kept]
    centred = rows - mean
    z = np.concatenate([centred[:, :width] @ vectors[:width], centred[:, width:] @ vectors[width:]])
    z *= found**exponent
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    form = of(rows, width, size)
    setting = at(form, ridge, exponent)
    assert_allclose(setting.weight, (found / found[0]) ** exponent, atol=1e-9)
    assert_allclose(cosines(form, rows, setting), z @ z.T, atol=1e-7)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_cca_without_a_ridge_is_scikit_learns(size, monkeypatch):
    monkeypatch.setattr(paired, "RIDGES", (0.0,))
    rows = pairs(rows=200, sizes=(5, 4))
    form = of(rows, 5, size)
    setting = form.settings[0]
    made = form.apply(setting, form.project(rows))
    peer = CCA(size, scale=False, max_iter=20_000, tol=1e-14).fit(rows[:, :5], rows[:, 5:])
    theirs = peer.transform(rows[:, :5], rows[:, 5:])
    for own, other in zip(np.split(made, 2), theirs, strict=True):
        # The same subspace: each is a linear map of the other.
        assert_allclose(own @ np.linalg.lstsq(own, other, rcond=None)[0], other, atol=1e-5)
    ours = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(half.T for half in np.split(made, 2)), strict=True)]
    peers = [np.corrcoef(a, b)[0, 1] for a, b in zip(theirs[0].T, theirs[1].T, strict=True)]
    assert_allclose(ours, peers, atol=1e-6)
    assert_allclose(setting.weight, 1.0)
    weighted = at(form, 0.0, 1.0).weight
    assert_allclose(weighted, np.array(ours) / ours[0], atol=1e-6)


@pytest.mark.parametrize("rows", [5, 12, 60])
def test_the_last_ridge_is_ledoit_and_wolfs_of_the_modality_that_wants_more(rows):
    both = pairs(rows, seed=rows)
    shares = [
        ledoit_wolf_shrinkage(side - side.mean(axis=0), assume_centered=True)
        for side in (both[:, :6], both[:, 6:])
    ]
    strength = of(both, 6).settings[-1].shrinkage
    assert_allclose(strength, max(np.inf if own >= 1 else own / (1 - own) for own in shares), rtol=1e-8)


# ----------------------------------------------------------------------------- invariances, poor data


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1, 3, 5, None]),
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
)
def test_rotation_scale_and_shift_of_each_modality_change_no_cosine(seed, size, shift, scale):
    rows, random = pairs(seed=seed), np.random.default_rng(seed)
    turns = [np.linalg.qr(random.normal(size=(own, own)))[0] for own in (6, 5)]
    moved = np.concatenate(
        [scale * rows[:, :6] @ turns[0] + shift, rows[:, 6:] @ turns[1] / scale - shift], 1
    )
    a, b = of(rows, 6, size), of(moved, 6, size)
    for ridge in (0.01, 1.0):
        for exponent in (0.0, 2.0):
            first, second = at(a, ridge, exponent), at(b, ridge, exponent)
            assert_allclose(cosines(a, rows, first), cosines(b, moved, second), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_swapping_the_modalities_swaps_the_embeddings(seed):
    rows = pairs(seed=seed)
    a, b = of(rows, 6, 3), of(np.concatenate([rows[:, 6:], rows[:, :6]], 1), 5, 3)
    found = cosines(a, rows, at(a, 0.1, 1.0))
    swapped = cosines(b, np.concatenate([rows[:, 6:], rows[:, :6]], 1), at(b, 0.1, 1.0))
    order = np.r_[80:160, 0:80]
    assert_allclose(found, swapped[np.ix_(order, order)], atol=1e-6)


def poor() -> dict[str, tuple[np.ndarray, int]]:
    random = np.random.default_rng(0)
    rows = pairs(30)
    return {
        "fewer rows than dimensions": (random.normal(size=(5, 60)), 40),
        "two rows": (random.normal(size=(2, 9)), 4),
        "one row": (random.normal(size=(1, 9)), 4),
        "rank one": (np.outer(random.normal(size=30), random.normal(size=9)), 4),
        "a constant modality": (np.c_[rows[:, :6], np.ones((30, 5))], 6),
        "constant": (np.ones((30, 9)), 4),
        "a constant dimension": (np.c_[rows, np.full(30, 7.0)], 6),
        "one dimension each": (random.normal(size=(30, 2)), 1),
        "nothing in common": (random.normal(size=(30, 9)), 4),
        "equal modalities": (np.c_[rows[:, :6], rows[:, :6]], 6),
        "far from 0": (1e4 + random.normal(size=(30, 9)).astype(np.float32), 4),
        "huge and tiny": (random.normal(size=(30, 9)) * np.r_[np.full(4, 1e15), np.full(5, 1e-15)], 4),
    }


@pytest.mark.parametrize("size", [1, 3, 64, None])
@pytest.mark.parametrize("kind", poor())
def test_poor_pairs_give_finite_numbers_and_at_most_the_size_asked_for(kind, size):
    rows, width = poor()[kind]
    form = of(rows, width, size)
    for setting in form.settings:
        made = form.apply(setting, form.project(np.r_[rows, np.zeros((1, rows.shape[1]))]))
        assert np.isfinite(made).all() and len(made) == 2 * len(rows) + 2
        most = min(width, rows.shape[1] - width)
        assert 1 <= made.shape[1] <= (most if size is None else min(most, size))
        assert all(np.isfinite(value).all() for value in form.weights(setting).values())


@pytest.mark.parametrize(
    ("kind", "size", "note"),
    [
        ("one row", 3, "a modality is the same in all training pairs"),
        ("a constant modality", 3, "a modality is the same in all training pairs"),
        ("fewer rows than dimensions", 8, "the two modalities have 4 dimensions in common, fewer than 8"),
        ("rank one", 3, "the two modalities have 1 dimension in common, fewer than 3"),
    ],
)
def test_what_poor_pairs_change_is_one_sentence(kind, size, note):
    assert [said for said in of(*poor()[kind], size).notes if note in said]


# ------------------------------------------------------------------------------------ whitening by pairs


def linked(seed: int = 0, rows: int = 60, size: int = 5) -> Sample:
    """Chains of pairs: rows 0–1, 1–2 belong together and 0–2 does not."""
    random = np.random.default_rng(seed)
    links = np.array([(row, row + 1) for row in range(rows - 1) if row % 3 != 2])
    values = 2 * random.normal(size=(rows // 3, size)).repeat(3, 0) + random.normal(size=(rows, size))
    return Sample(values, np.arange(rows) // 3, links)


def test_whitening_by_pairs_is_half_the_covariance_of_positive_differences():
    sample = linked()
    assert sample.links is not None
    both = [sample.rows[i] - sample.rows[j] for i, j in [*sample.links, *sample.links[:, ::-1]]]
    mean = sum(both) / len(both)
    half = sum(np.outer(own - mean, own - mean) for own in both) / len(both) / 2
    assert_allclose(sample.within, half, atol=1e-12)
    form = whitened(sample, None)
    for ridge in SHRINKAGE:
        root = scipy.linalg.sqrtm(np.linalg.inv(half + ridge * np.trace(half) / 5 * np.eye(5))).real
        z = (sample.rows - sample.rows.mean(0)) @ root
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        setting = next(own for own in form.settings if own.shrinkage == ridge)
        made = form.apply(setting, form.project(sample.rows))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        assert_allclose(made @ made.T, z @ z.T, atol=1e-9)
    share = ledoit_wolf_shrinkage(np.array(both[: len(sample.links)]) / np.sqrt(2), assume_centered=True)
    assert_allclose(sample.ledoit_wolf, share / (1 - share), rtol=1e-8)


def test_pairs_of_two_rows_each_whiten_as_classes_of_two_do():
    random = np.random.default_rng(0)
    rows, labels = random.normal(size=(40, 6)), np.arange(40) // 2
    by_pair, by_class = Sample(rows, labels, np.arange(40).reshape(20, 2)), Sample(rows, labels)
    assert_allclose(by_pair.within, 2 * by_class.within, atol=1e-12)
    for size in (3, None):
        a, b = whitened(by_pair, size), whitened(by_class, size)
        for first, second in zip(a.settings[:-1], b.settings[:-1], strict=True):
            x, y = (form.apply(own, form.project(rows)) for form, own in ((a, first), (b, second)))
            x, y = (made / np.linalg.norm(made, axis=1, keepdims=True) for made in (x, y))
            assert_allclose(x @ x.T, y @ y.T, atol=1e-9)


@pytest.mark.parametrize("links", [np.empty((0, 2), np.int64), np.array([[0, 0]])])
def test_without_a_difference_whitening_is_centring_and_says_so(links):
    sample = Sample(np.random.default_rng(0).normal(size=(8, 3)), np.arange(8), links)
    form = whitened(sample, None)
    assert form.notes == (
        "no positive pair of the training part has two rows that differ, so there is nothing to whiten",
    )
    assert np.isfinite(form.apply(form.settings[0], form.project(sample.rows))).all()


def test_positive_pairs_are_told_once_each():
    found = positive_pairs(
        np.array([[0, 1, 1], [1, 0, 1], [2, 3, 0], [4, 4, 1]]), np.array([[5, 6, 0], [5, 6, 1], [7, 5, 2]])
    )
    assert found.tolist() == [[0, 1], [5, 6], [5, 7]]


# -------------------------------------------------------------------------------------- planted studies


def study(path: Path, **more: object) -> losscope.Result:
    given = {"seeds": 8, "epochs": 3, "tune": False, "keep": "last", "out": str(path.parent / "out")}
    return losscope.compare(str(path), engine="here", **{**given, **more})


def two_modalities(folder: Path, *, noise: float, classes: int = 0, **more: np.ndarray) -> Path:
    """Six signals that both modalities hold, and in each many directions of noise of its own."""
    random = np.random.default_rng(11)
    labels = None
    signal = random.normal(size=(700, 6))
    if classes:
        labels = np.arange(700) % classes
        signal = 2 * random.normal(size=(classes, 6))[labels] + signal
    sides = []
    for size in (32, 40):
        held = signal + 0.2 * random.normal(size=signal.shape)
        drowned = noise * random.normal(size=(700, size - 6))
        sides.append(np.c_[held, drowned] @ np.linalg.qr(random.normal(size=(size, size)))[0])
    arrays = {"image": sides[0].astype(np.float32), "text": sides[1].astype(np.float32), **more}
    if labels is not None:
        arrays["labels"] = labels
    path = folder / "modalities.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def drowned(tmp_path_factory) -> losscope.Result:
    return study(two_modalities(tmp_path_factory.mktemp("drowned"), noise=4.0))


def test_cca_wins_where_noise_of_its_own_drowns_what_two_modalities_share(drowned):
    form = drowned.side("cca")
    assert form.mean("recall_at_1_across") > 0.5
    assert all(side.mean("recall_at_1_across") < 0.2 for side in drowned.losses)
    made = drowned.recommendation
    assert (made.loss, made.ground, made.candidate, made.members) == ("cca", "closed_form", "cca", ("cca",))
    first, second, _ = made.sentences
    assert first.startswith("Use cca, training nothing (") and "is higher than that of" in first
    assert "raw inputs were not run" not in second and "raw" not in {side.name for side in drowned.sides}
    assert "no raw inputs in one space, so whether training is worth it is told by cca alone" in second
    assert [side.name for side in drowned.baselines] == ["untrained", "cca"]


def test_what_was_fitted_stands_in_the_result(drowned):
    form = drowned.side("cca")
    assert set(form.pairs) == {
        len(losscope.read(str(Path(drowned.store).parent / "modalities.npz")).splits(0).train)
    }
    assert set(form.exponent) <= {*EXPONENTS} and 0.0 not in form.exponent
    assert set(form.dimensions) == {32} and len(form.shrinkage) == 8
    assert losscope.load(drowned.store, drowned.study).side("cca") == form


def test_judging_its_store_says_the_same_of_the_same_modalities(drowned):
    again = losscope.judge(drowned.store)
    assert again.recommendation.loss == "cca"
    rows = [row.sentence for row in again.paired]
    assert [said for said in rows if "image→text" in said]
    assert rows == [row.sentence for row in drowned.paired]


def test_weights_embed_each_modality_as_measured(drowned):
    from losscope.run.store import Store

    run = Store(drowned.store).get(drowned.side("cca").runs[0])
    weights, kept = safetensors.numpy.load(run.content("model.safetensors")), run.embeddings()
    test = losscope.read(str(Path(drowned.store).parent / "modalities.npz")).splits(0).test
    for place, (name, rows) in enumerate((("first", test.inputs), ("second", test.second))):
        made = (rows - weights[f"{name}.mean"]) @ weights[f"{name}.matrix"]
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        assert_allclose(made, kept["embeddings"][kept["modality"] == place], atol=1e-4)


def test_a_nonlinear_pairing_is_not_given_to_cca(tmp_path):
    """The second modality holds the squares of the first: linear maps have nothing in common."""
    random = np.random.default_rng(5)
    labels = np.arange(600) % 4
    sign = random.choice([-1.0, 1.0], size=(600, 2))
    where = np.array([(0, 0), (0, 2.0), (2.0, 0), (2.0, 2.0)])[labels]
    first = sign * (where + 0.2 * random.normal(size=(600, 2)))
    second = where + 0.2 * random.normal(size=(600, 2))
    path = tmp_path / "squares.npz"
    np.savez(path, image=first.astype(np.float32), text=second.astype(np.float32), labels=labels)
    result = study(path, epochs=8, seeds=6, embedding_size=8, losses="triplet(learning_rate=0.01)")
    assert result.losses[0].mean("map_audio_to_visual") > result.side("cca").mean("map_audio_to_visual") + 0.2
    assert result.recommendation.loss == result.losses[0].name


def test_left_out_it_changes_no_run_of_a_loss(tmp_path, drowned):
    path = Path(drowned.store).parent / "modalities.npz"
    without = study(path, closed_forms=False, out=str(tmp_path / "out"))
    assert [side.name for side in without.baselines] == ["untrained"]
    assert without.study == drowned.study
    for side in without.losses:
        same = drowned.side(side.name)
        assert (side.runs, side.measures) == (same.runs, same.measures)


def test_pairs_with_classes_have_cca_too(tmp_path):
    result = study(two_modalities(tmp_path, noise=3.0, classes=10), seeds=2)
    assert result.side("cca").mean("map_audio_to_visual") > 0.5 and set(result.side("cca").pairs) == {390}


def test_raw_stands_in_a_declared_joint_space_alone(tmp_path):
    random = np.random.default_rng(0)
    signal = random.normal(size=(120, 12))
    sides = [(signal + 0.3 * random.normal(size=signal.shape)).astype(np.float32) for _ in range(2)]
    path = tmp_path / "clip.npz"
    np.savez(path, image=sides[0], text=sides[1])
    notes = losscope.read(str(path)).facts.notes
    assert any("-o joint=true lets raw stand beside the losses" in note for note in notes)
    result = study(path, options={"joint": True}, losses="triplet", seeds=6, epochs=1)
    assert [side.name for side in result.baselines] == ["raw", "untrained", "cca"]
    test = losscope.read(str(path)).splits(0).test
    first, second = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (test.inputs, test.second)
    )
    cosine = first @ second.T
    ways = [(cosine.argmax(axis) == np.arange(len(test))).mean() for axis in (0, 1)]
    assert result.side("raw").mean("recall_at_1_across") == pytest.approx(np.mean(ways), abs=1e-9)
    row = next(row for row in result.verdicts() if {row.a, row.b} == {"raw", "cca"})
    assert row.unit == "item" and row.n == len(test)
    assert f"{len(test)} test items" in row.sentence


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"image": np.zeros((30, 4)), "text": np.zeros((30, 5))}, "has 4 numbers of image and 5 of text"),
        ({"features": np.zeros((30, 4)), "labels": np.arange(30) % 3}, "has one modality"),
    ],
)
def test_joint_is_refused_in_one_sentence(tmp_path, arrays, sentence):
    random = np.random.default_rng(0)
    drawn = {
        name: own + random.normal(size=own.shape) if own.ndim == 2 else own for name, own in arrays.items()
    }
    np.savez(tmp_path / "rows.npz", **drawn)
    with pytest.raises(LosscopeError, match=sentence):
        losscope.read(str(tmp_path / "rows.npz"), joint=True)


# ------------------------------------------------------------------------------- pairs of one modality


def one_modality(folder: Path, *, noise: float, chain: int = 2, triplets: bool = False) -> dict[str, str]:
    """150 items of rows that belong together; 8 useful directions and 24 that differ within an item."""
    random = np.random.default_rng(7)
    item = np.repeat(np.arange(150), chain)
    centres = np.c_[random.normal(size=(150, 8)), np.zeros((150, 24))]
    rows = centres[item] + np.r_[np.full(8, 0.3), np.full(24, noise)] * random.normal(size=(len(item), 32))
    np.savez(
        folder / "rows.npz", features=(rows @ np.linalg.qr(random.normal(size=(32, 32)))[0]).astype("f4")
    )
    first = np.flatnonzero(np.r_[item[1:] == item[:-1], False])
    unlike = (first + 7 * chain) % len(item)
    if triplets:
        np.savetxt(
            folder / "tuples.csv",
            np.stack([first, first + 1, unlike], 1),
            fmt="%d",
            delimiter=",",
            header="anchor,positive,negative",
            comments="",
        )
        return {"data": str(folder / "rows.npz"), "triplets": str(folder / "tuples.csv")}
    same = np.stack([first, first + 1, np.ones_like(first)], 1)
    different = np.stack([first, unlike, np.zeros_like(first)], 1)
    np.savetxt(
        folder / "tuples.csv", np.r_[same, different], fmt="%d", delimiter=",", header="i,j,same", comments=""
    )
    return {"data": str(folder / "rows.npz"), "pairs": str(folder / "tuples.csv")}


def of_tuples(given: dict[str, str], **more: object) -> losscope.Result:
    given = dict(given)
    path = Path(given.pop("data"))
    loss = "triplet" if "triplets" in given else "contrastive"
    return study(path, options=given, epochs=1, losses=loss, **more)


@pytest.mark.parametrize("triplets", [False, True])
def test_whitening_by_pairs_wins_where_their_noise_drowns_the_useful_directions(tmp_path, triplets):
    result = of_tuples(one_modality(tmp_path, noise=2.0, triplets=triplets))
    assert result.side("whitened").mean("recall_at_1") > result.side("raw").mean("recall_at_1") + 0.3
    assert (result.recommendation.loss, result.recommendation.ground) == ("whitened", "closed_form")
    count = result.side("whitened").pairs[0]
    said = f"whitening is fitted to the differences of {count} positive pairs in the training part of a seed"
    assert said in result.notes and 40 < count < 100
    assert "lda" not in {side.name for side in result.baselines}


def test_whitening_by_pairs_is_not_recommended_where_they_differ_alike_in_all_directions(tmp_path):
    result = of_tuples(one_modality(tmp_path, noise=0.3))
    assert result.side("raw").mean("recall_at_1") > 0.7
    assert result.recommendation.loss != "whitened"


@pytest.mark.parametrize("chain", [2, 5])
@pytest.mark.parametrize("linked", [True, False])
def test_parts_hold_whole_items(tmp_path, chain, linked):
    """Also where negatives join all rows to one piece, and items of four rows or more could be torn."""
    given = one_modality(tmp_path, noise=1.0, chain=chain)
    table = np.loadtxt(given["pairs"], delimiter=",", skiprows=1, dtype=int)
    if not linked:
        np.savetxt(
            given["pairs"], table[table[:, 2] == 1], fmt="%d", delimiter=",", header="i,j,same", comments=""
        )
    source = losscope.read(given["data"], pairs=given["pairs"])
    assert source.facts.implied
    for seed in range(3):
        parts = source.splits(seed)
        items = [set((part.rows // chain).tolist()) for part in (parts.train, parts.validation, parts.test)]
        assert all(items) and not (items[0] & items[1] or items[0] & items[2] or items[1] & items[2])


def test_a_given_split_keeps_whole_items_out_of_validation(tmp_path):
    given = one_modality(tmp_path, noise=1.0, chain=5)
    rows = np.load(given["data"])["features"]
    np.savez(given["data"], features=rows, split=np.where(np.arange(len(rows)) < 500, "train", "test"))
    parts = losscope.read(given["data"], pairs=given["pairs"]).splits(0)
    train, validation = (set((part.rows // 5).tolist()) for part in (parts.train, parts.validation))
    assert len(validation) == 20 and not train & validation


def test_without_a_positive_pair_there_is_one_sentence(tmp_path):
    given = one_modality(tmp_path, noise=1.0)
    np.savetxt(
        given["pairs"], [[0, 5, 0], [1, 7, 0]], fmt="%d", delimiter=",", header="i,j,same", comments=""
    )
    with pytest.raises(
        LosscopeError, match="none of the 2 explicit tuples joins two rows that belong together"
    ):
        losscope.read(given["data"], pairs=given["pairs"])


def test_labels_beside_pairs_stay_the_classes(tmp_path):
    given = one_modality(tmp_path, noise=1.0)
    rows = np.load(given["data"])["features"]
    np.savez(given["data"], features=rows, labels=np.arange(len(rows)) % 10)
    source = losscope.read(given["data"], pairs=given["pairs"])
    assert source.facts.tuples and not source.facts.implied


def test_the_goal_chooses_the_ridge_by_its_own_measure(tmp_path):
    path = two_modalities(tmp_path, noise=3.0, classes=10)
    found = [
        study(path, seeds=2, goal=goal, losses="triplet", epochs=1) for goal in ("retrieval", "cross-modal")
    ]
    runs = [result.side("cca").runs for result in found]
    assert not {*runs[0]} & {*runs[1]}, "a run for one goal stands for the other"
    assert found[0].losses[0].runs == found[1].losses[0].runs
    assert [result.side("cca").name for result in found] == ["cca", "cca"]
    scores = [result.side("cca").validation for result in found]
    assert scores[0]["map_at_r"] >= scores[1]["map_at_r"] - 0.002
    assert scores[1]["recall_at_1"] >= scores[0]["recall_at_1"] - 0.002
    assert losscope.load(found[1].store, found[1].study).side("cca") == found[1].side("cca")


def test_a_modality_that_is_too_large_and_a_joint_that_is_no_switch_are_one_sentence(tmp_path):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", image=random.normal(size=(40, 3500)), text=random.normal(size=(40, 4)))
    made = plan(Study.of(data=str(tmp_path / "wide.npz"), out=str(tmp_path / "out")))
    assert made.study.closed_forms == ()
    assert (
        "no closed form stands beside the losses: they are fitted to modalities of at most 3,072 numbers, "
        "and image has 3,500"
    ) in made.notes
    with pytest.raises(LosscopeError, match="joint is 'maybe'; choices: true, false"):
        losscope.read(str(tmp_path / "wide.npz"), joint="maybe")


@pytest.mark.parametrize(("back", "said"), [(0.8, True), (0.6, False)])
def test_an_answer_says_where_the_other_way_another_side_is_better(back, said):
    """cca leads from the first modality into the second; the way back is planted."""
    random = np.random.default_rng(0)
    means = {"cca": (0.7, 0.6), "triplet": (0.5, back), "contrastive": (0.4, 0.3)}
    runs = [
        Measured(
            name,
            seed,
            {"map_audio_to_visual": there, "map_visual_to_audio": home + 0.002 * random.standard_normal()},
            family="closed form" if name == "cca" else "loss",
        )
        for name, (there, home) in means.items()
        for seed in range(8)
    ]
    ranks = [Standing(name, {"map_at_r": there}) for name, (there, _) in means.items()]
    made = analyse(runs, standings=ranks).recommendation
    assert (made.loss, made.measure) == ("cca", "map_audio_to_visual")
    assert (made.second_on == ("triplet", "cca")) is said
    assert ("triplet is better than cca" in made.sentences[0]) is said
