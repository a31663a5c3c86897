"""Members that cannot share every step are trained apart, each as if alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from losscope.core.spec import Study
from losscope.data import load
from losscope.train import train


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
