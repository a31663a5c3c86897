"""Members that cannot share every step are trained apart, each as if alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from losscope.core import registry
from losscope.core.spec import Study
from losscope.data import Part, load
from losscope.train import starting, train
from losscope.train.population import equal_epochs


def test_members_of_unlike_size_have_the_numbers_of_each_alone(tmp_path):
    source = load("synthetic", classes=4, points=24, dimensions=8)
    study = Study.of(data="synthetic", losses=["triplet"], seeds=3, protocol="paper", epochs=2, batch_size=16)
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    splits = [source.splits(run.seed) for run in runs]
    part = splits[1].train
    shorter = part.take(np.arange(len(part) - 20))
    splits[1] = dataclasses.replace(splits[1], train=shorter)
    seen = []
    together = train(
        runs, splits, checkpoint=tmp_path / "group.pt", progress=lambda *at: seen.append(at), keep="none"
    )
    alone = [train([run], [split], keep="none")[0] for run, split in zip(runs, splits, strict=True)]
    assert [record.run for record in together] == runs
    assert [record.measures for record in together] == [record.measures for record in alone]
    assert [record.trace for record in together] == [record.trace for record in alone]
    assert seen[-1] == (2, 2) and seen == sorted(seen)
    assert not list(tmp_path.iterdir())


def test_members_with_fewer_classes_than_a_batch_asks_for_have_the_numbers_of_each_alone():
    source = load("synthetic", classes=5, points=24, dimensions=8)
    study = Study.of(data="synthetic", losses=["triplet"], seeds=3, epochs=2, batch_size=16, tune=False)
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    assert runs[0].protocol.batching == "balanced" and runs[0].protocol.classes_per_batch >= 5
    splits = [source.splits(run.seed) for run in runs]
    part = splits[1].train  # batches of five classes cannot be made of it
    splits[1] = dataclasses.replace(splits[1], train=part.take(np.flatnonzero(part.labels != 0)))
    together = train(runs, splits, keep="none")
    alone = [train([run], [split], keep="none")[0] for run, split in zip(runs, splits, strict=True)]
    assert [record.run for record in together] == runs
    assert [record.measures for record in together] == [record.measures for record in alone]
    assert [record.trace for record in together] == [record.trace for record in alone]


@pytest.mark.parametrize("loss", ["triplet", "info_nce", "contrastive(tuples='random')"])
def test_nothing_of_a_balanced_run_depends_on_who_trains_beside_it(loss):
    """Training parts of unlike size have other numbers of batches; validation parts have other rows."""
    source = load("synthetic", classes=6, points=40, dimensions=8)
    study = Study.of(data="synthetic", losses=[loss], seeds=4, epochs=3, batch_size=16, tune=False)
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    splits = [source.splits(run.seed) for run in runs]
    for seed, (fewer, less) in {0: (0, 5), 1: (3, 11), 2: (40, 0)}.items():
        own = splits[seed]
        parts = [
            dataclasses.replace(part.take(np.arange(len(part) - cut)), rows=None)  # seeds share no row
            for part, cut in ((own.train, fewer), (own.validation, less))
        ]
        splits[seed] = dataclasses.replace(own, train=parts[0], validation=parts[1])
    assert equal_epochs(runs, splits) == [[0, 1, 3], [2]], "one has fewer batches"
    together = train(runs, splits, keep="none")
    alone = [train([run], [split], keep="none")[0] for run, split in zip(runs, splits, strict=True)]
    assert [record.measures for record in together] == [record.measures for record in alone]
    assert [record.trace for record in together] == [record.trace for record in alone]
    quality = [value for split, _, _, value in together[0].trace if split == "validation"]
    assert len(set(quality)) > 1


def test_explicit_tuples_of_unlike_number_are_trained_apart():
    values = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    pairs = np.stack([np.arange(60), np.arange(60) + 60, np.arange(60) % 2], 1)
    source = load("synthetic", classes=4, points=40, dimensions=8)
    study = Study.of(data="synthetic", losses=["contrastive"], seeds=3, epochs=2, batch_size=16, tune=False)
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    splits = [
        dataclasses.replace(source.splits(run.seed), train=Part(values, np.arange(120) % 4, pairs=given))
        for run, given in zip(runs, (pairs, pairs[:41], pairs), strict=True)
    ]
    assert equal_epochs(runs, splits) == [[0, 2], [1]]
    together = train(runs, splits, keep="none")
    alone = [train([run], [split], keep="none")[0] for run, split in zip(runs, splits, strict=True)]
    assert [record.measures for record in together] == [record.measures for record in alone]
    assert [record.trace for record in together] == [record.trace for record in alone]


@pytest.mark.parametrize("loss", ["arcface", "pml:ProxyAnchorLoss"])
def test_members_with_other_numbers_of_class_vectors_have_the_numbers_of_each_alone(loss):
    if ":" in loss:
        pytest.importorskip("pytorch_metric_learning", reason="wants pytorch-metric-learning")
    source = load("synthetic", classes=6, points=24, dimensions=8)
    changes = {"protocol": "paper", "epochs": 2, "batch_size": 16, "tune": False}
    study = Study.of(data="synthetic", losses=[loss], seeds=3, **changes)
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    splits = [source.splits(run.seed) for run in runs]
    part = splits[1].train
    merged = np.where(part.labels == 0, 1, part.labels)  # as many rows of one class fewer
    splits[1] = dataclasses.replace(splits[1], train=dataclasses.replace(part, labels=merged))
    assert equal_epochs(runs, splits) == [[0, 2], [1]]
    together = train(runs, splits, keep="none")
    alone = [train([run], [split], keep="none")[0] for run, split in zip(runs, splits, strict=True)]
    assert [record.measures for record in together] == [record.measures for record in alone]
    assert [record.trace for record in together] == [record.trace for record in alone]


def test_a_start_at_a_closed_form_is_that_of_the_runs_own_split():
    """Runs of one seed may have data of unlike seeds, and starts are kept for later populations."""
    source = load("synthetic", classes=6, points=24, dimensions=8)
    study = Study.of(data="synthetic", losses=["triplet"], seeds=1, epochs=1, batch_size=16, tune=False)
    (run,) = (run for run in study.expand("vectors") if not run.loss.baseline)
    linear = run.protocol.model_copy(update={"hidden": (), "start": "pca"})
    first, second = (run.model_copy(update={"protocol": linear, "data_seed": seed}) for seed in (3, 5))
    beside = train([first], [source.splits(3)], keep="none")[0]
    after = train([second], [source.splits(5)], keep="none")[0]
    starting._kept.clear()
    alone = train([second], [source.splits(5)], keep="none")[0]
    assert beside.trace != alone.trace
    assert after.trace == alone.trace


@pytest.mark.parametrize("loss", sorted(registry.entries("loss")))
def test_no_loss_rounds_a_member_by_its_place(loss):
    """Vector instructions round the last values of a tensor otherwise, in softplus for one."""
    source = load("synthetic", classes=10, points=16, dimensions=8)
    study = Study.of(data="synthetic", losses=[loss], seeds=5, epochs=1, batch_size=30, tune=False)
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    splits = [source.splits(run.seed) for run in runs]
    together = train(runs, splits, keep="none")
    for run, split, record in zip(runs, splits, together, strict=True):
        (alone,) = train([run], [split], keep="none")
        assert alone.measures == record.measures and alone.trace == record.trace
