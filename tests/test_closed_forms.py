"""Closed forms: against naive loops and scikit-learn, invariances, poor data, planted cases, advice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import losscope
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import LossSpec
from losscope.core.spec import DataSpec, Run, Study, protocol
from losscope.models import closed
from losscope.models.closed import SHRINKAGE, ClosedForm, Sample, Setting, lda, pca, whitened
from losscope.stats import Measured, analyse
from losscope.stats.closed import over_items, units_of
from losscope.stats.closed import tested as leading

FORMS = {"pca": pca, "whitened": whitened, "lda": lda}


def drawn(rows: int = 60, size: int = 7, classes: int = 5, seed: int = 0) -> Sample:
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    mix = random.normal(size=(size, size))
    return Sample(
        3 * random.normal(size=(classes, size))[labels] + random.normal(size=(rows, size)) @ mix, labels
    )


def embedded(form: ClosedForm, rows: np.ndarray, setting: Setting | None = None) -> np.ndarray:
    made = (setting or form.settings[0]).apply(form.project(rows))
    return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)


def cosines(form: ClosedForm, rows: np.ndarray, setting: Setting | None = None) -> np.ndarray:
    """What decides every neighbour, whatever the axes and their signs."""
    made = embedded(form, rows, setting)
    return made @ made.T


def naive_within(sample: Sample) -> np.ndarray:
    """Σ_W by loops over classes, rows and both dimensions."""
    total = [[0.0] * sample.size for _ in range(sample.size)]
    for name in set(sample.labels.tolist()):
        own = [
            row
            for row, label in zip(sample.rows.tolist(), sample.labels.tolist(), strict=True)
            if label == name
        ]
        mean = [sum(column) / len(own) for column in zip(*own, strict=True)]
        for row in own:
            for i in range(sample.size):
                for j in range(sample.size):
                    total[i][j] += (row[i] - mean[i]) * (row[j] - mean[j]) / len(sample.rows)
    return np.array(total)


def symmetric_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eig(matrix)
    return np.real(vectors @ np.diag(1 / np.sqrt(values)) @ np.linalg.inv(vectors))


# --------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("place", range(len(SHRINKAGE)))
def test_whitened_is_its_definition(place):
    sample = drawn()
    within, setting = naive_within(sample), whitened(sample, None).settings[place]
    assert_allclose(sample.within, within, atol=1e-12)
    assert setting.shrinkage == SHRINKAGE[place]
    root = symmetric_root(within + setting.shrinkage * np.trace(within) / sample.size * np.eye(sample.size))
    z = np.array([root @ (row - sample.rows.sum(axis=0) / len(sample.rows)) for row in sample.rows])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    assert_allclose(cosines(whitened(sample, None), sample.rows, setting), z @ z.T, atol=1e-9)


def test_whitened_below_the_inputs_size_takes_principal_components_first():
    sample = drawn()
    inner = PCA(3, svd_solver="full").fit(sample.rows).transform(sample.rows)
    own = Sample(inner, sample.labels)
    got, want = whitened(sample, 3), whitened(own, None)
    for a, b in zip(got.settings, want.settings, strict=True):
        assert_allclose(a.shrinkage, b.shrinkage, rtol=1e-9)
        assert_allclose(cosines(got, sample.rows, a), cosines(want, inner, b), atol=1e-9)


@pytest.mark.parametrize("size", [1, 3, 7, None])
def test_pca_is_scikit_learns(size):
    sample = drawn()
    z = PCA(size, svd_solver="full").fit_transform(sample.rows)
    form = pca(sample, size)
    made = form.settings[0].apply(form.project(sample.rows))
    assert made.shape == z.shape
    assert_allclose(made @ made.T, z @ z.T, atol=1e-9)


@pytest.mark.parametrize("place", range(len(SHRINKAGE)))
def test_lda_solves_the_generalised_eigenproblem(place):
    sample = drawn()
    setting, within = lda(sample, None).settings[place], naive_within(sample)
    shrunk = within + setting.shrinkage * np.trace(within) / sample.size * np.eye(sample.size)
    between = sum(
        (sample.labels == c).mean() * np.outer(mean - sample.mean, mean - sample.mean)
        for c, mean in enumerate(sample.means)
    )
    directions = scipy.linalg.eigh(between, shrunk)[1][:, ::-1][:, :4]
    z = (sample.rows - sample.mean) @ directions
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    assert setting.turn.shape == (7, 4)
    assert_allclose(cosines(lda(sample, None), sample.rows, setting), z @ z.T, atol=1e-8)


@pytest.mark.parametrize("size", [2, 4, None])
def test_lda_without_shrinkage_is_scikit_learns(size, monkeypatch):
    monkeypatch.setattr(closed, "SHRINKAGE", (0.0,))
    sample = drawn()
    peer = LinearDiscriminantAnalysis(solver="eigen", n_components=size).fit(sample.rows, sample.labels)
    z = (sample.rows - sample.mean) @ peer.scalings_[:, : size or 4]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    assert_allclose(cosines(lda(sample, size), sample.rows), z @ z.T, atol=1e-8)


@pytest.mark.parametrize("rows", [6, 12, 60, 500])
def test_ledoit_and_wolfs_shrinkage_is_scikit_learns(rows):
    sample = drawn(rows, seed=rows)
    residuals = sample.rows - sample.means[sample.labels]
    share = ledoit_wolf_shrinkage(residuals, assume_centered=True)
    assert_allclose(sample.ledoit_wolf, np.inf if share >= 1 else share / (1 - share), rtol=1e-8)


# ------------------------------------------------------------------------------------ invariances


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([2, 4, 7, None]),
    shift=st.floats(-1e4, 1e4),
    scale=st.floats(1e-3, 1e3),
)
@pytest.mark.parametrize("name", FORMS)
def test_translation_rotation_and_scale_change_no_cosine(name, seed, size, shift, scale):
    sample = drawn(seed=seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(sample.size, sample.size)))[0]
    moved = Sample(scale * (sample.rows @ turn) + shift, sample.labels)
    a, b = FORMS[name](sample, size), FORMS[name](moved, size)
    for first, second in zip(a.settings, b.settings, strict=True):
        assert_allclose(cosines(a, sample.rows, first), cosines(b, moved.rows, second), atol=1e-5)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_whitened_training_rows_have_a_round_within_class_covariance(seed):
    sample = drawn(200, seed=seed)
    form = whitened(sample, None)
    z = Setting(0.0, 1 / np.sqrt(sample.within_axes[0])).apply(form.project(sample.rows))
    assert_allclose(Sample(z, sample.labels).within, np.eye(sample.size), atol=1e-8)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_and_the_names_of_classes_change_nothing(seed):
    sample = drawn(seed=seed)
    random = np.random.default_rng(seed)
    order, names = random.permutation(len(sample.rows)), random.permutation(5)
    other = Sample(sample.rows[order], names[sample.labels][order])
    for name, make in FORMS.items():
        assert_allclose(
            cosines(make(sample, 3), sample.rows),
            cosines(make(other, 3), sample.rows),
            atol=1e-7,
            err_msg=name,
        )


# ------------------------------------------------------------------------------------- poor data


def poor() -> dict[str, Sample]:
    random = np.random.default_rng(0)
    return {
        "fewer rows than dimensions": drawn(6, 40, 3),
        "classes with one row": Sample(random.normal(size=(8, 3)), np.arange(8)),
        "one class of two rows": Sample(random.normal(size=(5, 4)), np.array([0, 0, 1, 2, 3])),
        "singular": Sample(np.repeat(random.normal(size=(20, 1)), 6, axis=1), np.arange(20) % 4),
        "all rows equal": Sample(np.ones((10, 3)), np.arange(10) % 2),
        "a constant dimension": Sample(
            np.c_[random.normal(size=(20, 2)), np.full(20, 7.0)], np.arange(20) % 4
        ),
        "far from 0": Sample(1e4 + random.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3),
        "huge": Sample(1e18 * random.normal(size=(30, 5)), np.arange(30) % 3),
        "tiny": Sample(1e-18 * random.normal(size=(30, 5)), np.arange(30) % 3),
        "two rows": Sample(random.normal(size=(2, 5)), np.array([0, 1])),
    }


@pytest.mark.parametrize("size", [1, 3, 64, None])
@pytest.mark.parametrize("kind", poor())
@pytest.mark.parametrize("name", FORMS)
def test_poor_data_give_finite_numbers_and_at_most_the_size_asked_for(name, kind, size):
    sample = poor()[kind]
    form = FORMS[name](sample, size)
    for setting in form.settings:
        made = embedded(form, np.r_[sample.rows, np.zeros((1, sample.size))], setting)
        assert np.isfinite(made).all()
        assert 1 <= made.shape[1] <= min(sample.size, sample.size if size is None else size)


@pytest.mark.parametrize(
    ("kind", "size", "note"),
    [
        ("fewer rows than dimensions", 20, "the training part spans 5 dimensions, fewer than 20"),
        ("classes with one row", None, "no class has two training rows that differ"),
        ("all rows equal", None, "no class has two training rows that differ"),
    ],
)
def test_what_poor_data_change_is_one_sentence(kind, size, note):
    assert [said for said in whitened(poor()[kind], size).notes if note in said]


def test_without_within_class_variance_whitening_is_centring():
    sample = poor()["classes with one row"]
    assert_allclose(
        cosines(whitened(sample, None), sample.rows), cosines(pca(sample, None), sample.rows), atol=1e-12
    )


# -------------------------------------------------------------------------------- planted studies


def planted(folder: Path, *, noise: float, classes: int = 40, each: int = 20, size: int = 32) -> Path:
    """Unseen classes: 8 useful directions, and 24 that differ within a class by ``noise``."""
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(classes), each)
    spread = np.r_[np.full(8, 0.35), np.full(size - 8, noise)]
    centres = np.c_[random.normal(size=(classes, 8)), np.zeros((classes, size - 8))]
    rows = centres[labels] + spread * random.normal(size=(len(labels), size))
    turn = np.linalg.qr(random.normal(size=(size, size)))[0]
    path = folder / "planted.npz"
    split = np.where(labels < classes // 2, "train", "test")
    np.savez(path, features=(rows @ turn).astype(np.float32), labels=labels, split=split)
    return path


def study(path: Path, **more: object) -> losscope.Result:
    return losscope.compare(
        str(path),
        seeds=10,
        epochs=1,
        tune=False,
        engine="here",
        keep="none",
        out=str(path.parent / "out"),
        **more,
    )


@pytest.fixture(scope="module")
def drowned(tmp_path_factory) -> losscope.Result:
    return study(planted(tmp_path_factory.mktemp("drowned"), noise=3.0))


def test_whitening_wins_where_within_class_noise_drowns_the_classes(drowned):
    raw, form = (drowned.side(name).mean("recall_at_1") for name in ("raw", "whitened"))
    assert form > raw + 0.3
    assert (drowned.recommendation.loss, drowned.recommendation.ground) == ("whitened", "closed_form")
    first = drowned.recommendation.sentences[0]
    assert re.match(
        r"Use whitened, training nothing \(1,056 parameters, [\d.]+ s to train\): its Recall@1 ", first
    )
    assert "is higher than that of " in first and "the raw inputs" in first
    assert (drowned.recommendation.candidate, drowned.recommendation.members) == ("whitened", ("whitened",))
    row = next(row for row in drowned.verdicts() if (row.a, row.b) == ("whitened", "raw"))
    assert (row.unit, row.n, row.verdict, row.better) == ("class", 20, "higher", "a")
    assert "20 test classes" in row.sentence


def test_closed_forms_stand_in_every_view(drowned):
    assert [side.name for side in drowned.baselines] == ["raw", "pca", "whitened"]
    kinds = {side["name"]: side["family"] for side in json.loads(drowned.json())["baselines"]}
    assert kinds == {
        "raw": "baseline",
        "pca": "closed form",
        "whitened": "closed form",
    }
    form = drowned.baselines[-1]
    assert form.dimensions == (32,) * 10 and set(form.shrinkage) <= {*SHRINKAGE, *form.shrinkage}
    assert None not in form.shrinkage
    page = drowned.page()
    assert '<span class="flag quiet">closed form</span>' in page and "Use whitened, training nothing" in page


def test_whitening_is_not_recommended_where_features_are_round_already(tmp_path):
    result = study(planted(tmp_path, noise=0.35))
    assert result.side("raw").mean("recall_at_1") > 0.8
    assert result.recommendation.loss != "whitened"


def test_the_same_study_again_trains_nothing_and_says_the_same(drowned):
    again = losscope.load(drowned.store, drowned.study)
    assert again.recommendation == drowned.recommendation and again.baselines == drowned.baselines


def test_a_smaller_embedding_size_adds_forms_at_full_size_that_are_not_tested(tmp_path):
    result = study(planted(tmp_path, noise=3.0), embedding_size=8)
    names = [side.name for side in result.baselines if side.family == "closed form"]
    assert names == ["pca", "pca_full", "whitened", "whitened_full"]
    assert result.side("whitened_full").mean("recall_at_1") > result.side("whitened").mean("recall_at_1")
    assert not any(name.endswith("_full") for row in result.verdicts() for name in (row.a, row.b))
    assert {side.name for side in result.baselines if side.described} == {"pca_full", "whitened_full"}


def test_they_can_be_left_out_and_a_study_keeps_its_name(tmp_path):
    path = planted(tmp_path, noise=3.0)
    without = study(path, closed_forms=False)
    assert [side.name for side in without.baselines] == ["raw", "untrained"]
    assert without.verdicts()[0].tests_in_family == 2  # the other loss, and raw
    assert study(path).study == without.study


def test_closed_set_data_have_lda_and_unseen_classes_have_not(drowned, tmp_path):
    result = losscope.compare("digits", seeds=2, epochs=1, tune=False, engine="here", out=str(tmp_path))
    assert [side.name for side in result.baselines[2:]] == ["pca", "whitened", "lda"]
    assert result.side("lda").dimensions == (9, 9)
    assert "lda" not in {side.name for side in drowned.baselines}


def test_weights_embed_as_measured(tmp_path):
    losscope.compare("digits", seeds=1, epochs=1, tune=False, engine="here", out=str(tmp_path))
    from losscope.data import load
    from losscope.run.store import Store

    result = losscope.load(tmp_path)
    run = Store(tmp_path).get(result.side("whitened").runs[0])
    weights, kept = safetensors.numpy.load(run.content("model.safetensors")), run.embeddings()
    rows = load("digits").splits(0).test.inputs
    made = (rows - weights["mean"]) @ weights["matrix"]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    assert_allclose(made, kept["embeddings"], atol=1e-4)


def test_a_large_image_has_no_closed_form_and_one_sentence(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, size=(60, 40, 40), dtype=np.uint8)
    path = tmp_path / "big.npz"
    np.savez(path, images=pixels, labels=np.arange(60) % 3)
    from losscope.comparing import plan

    made = plan(Study.of(data=str(path), out=str(tmp_path / "out")))
    assert made.study.closed_forms == ()
    assert made.notes[-1:] == (
        "no closed form stands beside the losses: they are fitted to images of at most 1,024 numbers, and "
        "these have 1,600",
    )


# ------------------------------------------------------------------------------- what is tested


def test_ordinary_runs_keep_their_ids_and_plugins_forms_enter_theirs(tmp_path, monkeypatch):
    shape = protocol("matched", "vectors")
    run = Run(
        data=DataSpec(name="digits"),
        loss=LossSpec.parse("triplet").resolved("matched"),
        protocol=shape,
        seed=0,
    )
    with monkeypatch.context() as before:
        before.setattr("losscope.core.spec.NUMERICS", 4)  # of the commit before there were closed forms
        assert run.id("digest") == "616d8b32c174c3f616b6" and not run.loss.baseline
    assert LossSpec(name="whitened").family == "closed form" and LossSpec(name="raw").family == "baseline"
    with registry.forgetting():
        file = tmp_path / "mine.py"
        file.write_text(
            "from losscope.core.registry import register\n"
            "from losscope.models.closed import pca\n\n\n"
            '@register("closed_form", "mine", title="mine", source="me")\n'
            "def mine(sample, size):\n"
            '    """My own."""\n'
            "    return pca(sample, size)\n"
        )
        registry.load_plugin(file)
        assert registry.sources_of_run("mine", "mlp") == file.read_text()
        data = str(planted(tmp_path, noise=1.0))
        result = losscope.compare(
            data, seeds=1, epochs=1, tune=False, engine="here", plugins=[str(file)], out=str(tmp_path / "out")
        )
        assert result.side("mine").mean("map_at_r") == result.side("pca").mean("map_at_r")


def test_a_closed_form_is_no_loss():
    with pytest.raises(
        LosscopeError, match="'whitened' is a closed form and no loss: closed forms stand beside"
    ):
        LossSpec.parse("whitened")


def test_the_one_that_leads_on_validation_is_tested():
    runs = {"pca": [{"recall_at_1": 0.5}], "whitened": [{"recall_at_1": 0.6}], "lda": [{}]}
    assert leading(runs, "recall_at_1") == "whitened"
    assert leading({"pca": [{}], "lda": [{}]}, "recall_at_1") is None
    assert leading({"pca": [{}]}, "recall_at_1") == "pca"
    assert leading({}, "recall_at_1") is None


@pytest.mark.parametrize(("classes", "unit"), [(25, "class"), (10, "block")])
def test_a_form_and_raw_are_compared_over_items(classes, unit):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), random.integers(5, 30, classes))
    sides = [
        [{"per_query/label": labels, "per_query/recall_at_1": random.random(len(labels))} for _ in range(3)]
        for _ in range(2)
    ]
    found, what = over_items(*sides, "recall_at_1", alpha=0.04)
    means = [np.mean([run["per_query/recall_at_1"] for run in side]) for side in sides]
    assert what == unit and found.difference == pytest.approx(means[0] - means[1])
    place, _ = units_of(labels)
    assert all(len(set(labels[place == unit])) == 1 for unit in range(place.max() + 1))
    assert place.max() < max(classes, 200)


def runs_of(
    name: str, mean: float, family: str = "loss", classes: int = 24, **more: object
) -> list[Measured]:
    random = np.random.default_rng(sum(map(ord, name)))
    found = []
    for seed in range(10):
        value = mean + (0 if family == "baseline" else 0.002 * random.standard_normal())
        detail = {
            "per_query/label": np.repeat(np.arange(classes), 4),
            "per_query/recall_at_1": np.full(classes * 4, value),
        }
        found.append(Measured(name, seed, {"recall_at_1": value}, family=family, detail=detail, **more))
    return found


@pytest.mark.parametrize(
    ("raw", "form", "contrastive", "triplet", "loss", "ground"),
    [
        (0.5, 0.6, 0.4, 0.42, "whitened", "closed_form"),
        (0.5, 0.6, 0.55, 0.57, "whitened", "closed_form"),
        (0.5, 0.6, 0.55, 0.6, "whitened", "closed_form"),
        (0.5, 0.6, 0.55, 0.7, "triplet", "beats_reference"),
        (0.5, 0.6, 0.7, 0.65, "contrastive", "reference_unbeaten"),
        (0.5, 0.4, 0.3, 0.42, "raw", "train_nothing"),
        (0.5, 0.4, 0.55, 0.57, "triplet", "beats_reference"),
        (0.5, 0.5, 0.4, 0.4, "raw", "train_nothing"),
    ],
)
def test_planted_results_give_the_advice_that_is_true(raw, form, contrastive, triplet, loss, ground):
    runs = [
        *runs_of("contrastive", contrastive),
        *runs_of("triplet", triplet),
        *runs_of("raw", raw, "baseline"),
        *runs_of("whitened", form, "closed form", validation={"recall_at_1": 0.6}),
        *runs_of("pca", 0.9, "closed form", validation={"recall_at_1": 0.5}),
        *runs_of("whitened_full", 0.95, "closed form", validation={"recall_at_1": 0.9}, described=True),
    ]
    found = analyse(runs)
    assert (found.recommendation.loss, found.recommendation.ground) == (loss, ground)
    rows = [row for row in found.paired if row.primary]
    assert {row.tests_in_family for row in rows} == {6}
    assert {row.b for row in rows} == {"contrastive", "raw", "whitened"}
    assert all(sentence.endswith(".") for sentence in found.recommendation.sentences)
    if ground == "closed_form":
        assert f"Use {loss}, training nothing: its Recall@1 is higher than that of" in str(
            found.recommendation.sentences
        )


def test_a_loss_that_is_not_told_apart_from_a_closed_form_is_not_recommended():
    runs = [
        *runs_of("contrastive", 0.55),
        *[Measured("triplet", seed, {"recall_at_1": 0.6 + 0.04 * (-1) ** seed}) for seed in range(10)],
        *runs_of("raw", 0.5, "baseline"),
        *runs_of("whitened", 0.6, "closed form", validation={"recall_at_1": 0.6}),
    ]
    made = analyse(runs).recommendation
    assert (made.loss, made.ground, made.rests_on) == (None, "open", ("triplet", "whitened"))
    assert made.sentences[0].startswith("No difference found in Recall@1 between triplet and whitened")


@pytest.mark.parametrize("transform", ["sqrt", "standardise", "l2"])
def test_transformed_inputs_stand_beside_raw_where_they_differ_and_are_never_tested(tmp_path, transform):
    """A naive transform of the test rows has the measured Recall@1; L2 alone is raw."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(16), 8)
    values = draw.normal(size=(16, 6))[labels] + draw.normal(size=(128, 6)) * np.array([9, 3, 1, 1, 1, 0.3])
    np.savez(tmp_path / "rows.npz", features=values.astype(np.float32), labels=labels)
    result = losscope.compare(
        str(tmp_path / "rows.npz"),
        losses="triplet",
        **{"tune": False, "seeds": 2, "epochs": 1, "batch_size": 32, "embedding_size": 4},
        **{"transform": transform, "start": "pca", "out": str(tmp_path / "runs")},
    )
    found = {side.name: side for side in result.baselines}
    assert ("transformed" in found) is (transform != "l2")
    assert not [row for row in result.verdicts() if "transformed" in (row.a, row.b)]
    if transform == "l2":
        return
    side = found["transformed"]
    assert side.described and side.family == "closed form"
    source = losscope.read(str(tmp_path / "rows.npz"))
    for seed, value in enumerate(side.measures["recall_at_1"].values):
        parts = source.splits(seed)
        train, test = (part.inputs.astype(np.float64) for part in (parts.train, parts.test))
        rows = np.sign(test) * np.sqrt(np.abs(test))
        if transform == "standardise":
            rows = (test - train.mean(0)) / train.std(0)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        cosine = rows @ rows.T - 9 * np.eye(len(rows))
        assert value == pytest.approx(
            (parts.test.labels[cosine.argmax(1)] == parts.test.labels).mean(), abs=1e-9
        )
    assert side.mean("recall_at_1") != found["raw"].mean("recall_at_1")


def test_a_transform_that_tuning_chose_has_its_row(tmp_path):
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(16), 8)
    values = 4 * draw.normal(size=(16, 6))[labels] + draw.normal(size=(128, 6))
    values[:, 0] = 300 * draw.normal(size=128)  # one column of noise outweighs all others
    np.savez(tmp_path / "rows.npz", features=values.astype(np.float32), labels=labels)
    loss = "triplet(margin=0.1, learning_rate=1e-4, weight_decay=10)"
    more = {"seeds": 2, "epochs": 1, "batch_size": 32, "embedding_size": 6, "start": "pca"}
    result = losscope.compare(str(tmp_path / "rows.npz"), losses=loss, out=str(tmp_path / "runs"), **more)
    assert result.protocol.transform == "standardise"
    found = {side.name: side for side in result.baselines}
    assert found["transformed"].mean("recall_at_1") > found["raw"].mean("recall_at_1")
    again = losscope.load(tmp_path / "runs")
    assert again.json() == result.json()
