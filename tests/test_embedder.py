"""A side of a finished study as a function: it gives what the run measured, for every side and transform."""

from __future__ import annotations

import numpy as np
import pytest

import losscope
from losscope.comparing.halving import TRANSFORMS
from losscope.core.errors import LosscopeError
from losscope.features.source import load
from losscope.run.store import Store

FORMS = ("raw", "pca", "whitened", "contrastive")


def features(folder, rows=16, classes=12, width=20):
    """Vectors whose numbers have means and sizes of their own, so that every transform changes them."""
    draw = np.random.default_rng(3)
    labels = np.repeat(np.arange(classes), rows)
    centres = draw.normal(size=(classes, width))
    made = (centres[labels] + 0.4 * draw.normal(size=(len(labels), width))) * draw.uniform(0.1, 9, width) + 3
    np.savez(folder / "features.npz", features=made.astype(np.float32), labels=labels)
    return folder / "features.npz"


@pytest.fixture(scope="module", params=TRANSFORMS)
def study(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    data = features(folder)
    result = losscope.compare(
        data, losses="contrastive", seeds=2, epochs=2, tune=False, out=folder / "out", transform=request.param
    )
    return folder, data, result


@pytest.mark.parametrize("side", FORMS)
@pytest.mark.parametrize("seed", [0, 1])
def test_it_embeds_the_test_rows_as_the_run_did(study, side, seed):
    folder, data, _ = study
    embed = losscope.embedder(folder / "out", side, seed=seed)
    kept = Store(folder / "out", create=False).get(embed.run).embeddings()
    rows = load(str(data)).splits(seed).test.inputs
    np.testing.assert_allclose(embed(rows), kept["embeddings"], atol=2e-6)
    assert embed(rows[:0]).shape[0] == 0
    np.testing.assert_allclose(np.linalg.norm(embed(rows), axis=1), 1, atol=1e-5)


def test_it_is_of_the_recommended_side_and_says_what_it_cannot(study, tmp_path):
    folder, _, result = study
    if result.recommendation.loss is not None:
        assert losscope.embedder(folder / "out").side == result.recommendation.loss
    with pytest.raises(LosscopeError, match="unknown side 'nothing'"):
        losscope.embedder(folder / "out", "nothing")
    with pytest.raises(LosscopeError, match="no seed 7; it has 0, 1"):
        losscope.embedder(folder / "out", "whitened", seed=7)
    embed = losscope.embedder(folder / "out", "whitened")
    with pytest.raises(LosscopeError, match=r"shape \(3,\) were given; wanted: \(20,\)"):
        embed(np.zeros((2, 3)))
    with pytest.raises(LosscopeError, match="not finite"):
        embed(np.full((1, 20), np.nan))
