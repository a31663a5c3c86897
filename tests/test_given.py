"""``compare`` on arrays and data frames, with losses that are Python objects."""

from __future__ import annotations

import functools
import importlib
import linecache
import sys

import numpy as np
import pandas as pd
import polars
import pytest
import torch
from torch import nn

import losscope
from losscope.comparing.given import data_of
from losscope.core.errors import LosscopeError
from losscope.losses.foreign import given, objects

losses = pytest.importorskip("pytorch_metric_learning.losses", reason="pytorch-metric-learning is an extra")
from pytorch_metric_learning import distances, miners, reducers  # noqa: E402

LABELS = np.repeat(["a", "b", "c", "d"], 30)
DRAW = np.random.default_rng(0)
POINTS = DRAW.normal(size=(120, 8)) + 2 * np.eye(4, 8)[np.repeat(np.arange(4), 30)]
SHORT = {"seeds": 2, "epochs": 1, "tune": False}


def pull(embeddings, labels):
    """All pairs of one class are drawn together."""
    same = labels[:, None] == labels[None]
    return (embeddings[:, None] - embeddings[None]).square().sum(-1)[same].mean()


def scaled(embeddings, labels, by=1.0):
    return by * pull(embeddings, labels)


class Bent(nn.Module):
    def __init__(self, power=2.0, table=None):
        super().__init__()
        self.power = power
        self.register_buffer("table", torch.ones(3) if table is None else table)
        self.calls = 0

    def forward(self, embeddings, labels):
        self.calls += 1
        return pull(embeddings, labels) ** self.power * self.table.sum()


class Proxied(nn.Module):
    def __init__(self):
        super().__init__()
        self.proxies = nn.Parameter(torch.eye(4, 8))

    def forward(self, embeddings, labels):
        return nn.functional.cross_entropy(embeddings @ self.proxies.T, labels)


# --- arrays --------------------------------------------------------------------------------------------


def test_arrays_frames_and_a_file_are_one_study(tmp_path):
    np.savez(tmp_path / "data.npz", features=POINTS, labels=LABELS)
    wanted = losscope.compare(tmp_path / "data.npz", losses="triplet", out=str(tmp_path / "file"), **SHORT)
    names = [f"f{column}" for column in range(8)]
    frame = pd.DataFrame(POINTS, columns=names)
    ways = {
        "arrays": (POINTS, LABELS),
        "lists": (POINTS.tolist(), LABELS.tolist()),
        "tensors": (torch.from_numpy(POINTS), list(LABELS)),
        "pandas": (frame, pd.Series(LABELS)),
        "polars": (polars.from_pandas(frame), polars.Series(LABELS)),
    }
    places = {data_of(data, labels, tmp_path / "given") for data, labels in ways.values()}
    assert len(places) == 1 and places == set((tmp_path / "given" / "arrays").iterdir())
    data, labels = ways["polars"]
    found = losscope.compare(data, labels, losses="triplet", out=str(tmp_path / "given"), **SHORT)
    assert found.losses[0].measures == wanted.losses[0].measures
    assert found.data.classes == 4
    assert losscope.load(tmp_path / "given").losses[0].measures == wanted.losses[0].measures


@pytest.mark.parametrize(
    ("data", "labels", "words"),
    [
        (POINTS, None, "arrays are given without labels; wanted: compare(X, y)"),
        ("digits", LABELS, "labels are given beside the data 'digits'"),
        (POINTS, LABELS[:-1], "y has shape (119,) for 120 rows of X"),
        (POINTS[0], LABELS, "X has shape (8,)"),
        (np.array(["x"] * 120), LABELS, "wanted: numbers (N, D), or a path"),
        (pd.DataFrame({"a": range(120), "b": ["x"] * 120}), LABELS, "the columns b of X are no numbers"),
    ],
)
def test_arrays_that_are_no_data_are_refused(data, labels, words, tmp_path):
    with pytest.raises(LosscopeError) as caught:
        losscope.compare(data, labels, out=str(tmp_path / "out"), **SHORT)
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


# --- losses as objects -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (losses.TripletMarginLoss(), "pml:TripletMarginLoss()"),
        (losses.TripletMarginLoss(margin=0.1, swap=True), "pml:TripletMarginLoss(margin=0.1, swap=True)"),
        (
            losses.TripletMarginLoss(distance=distances.CosineSimilarity()),
            "pml:TripletMarginLoss(distance=CosineSimilarity())",
        ),
        (
            losses.NTXentLoss(0.2, reducer=reducers.ThresholdReducer(low=0.1)),
            "pml:NTXentLoss(temperature=0.2, reducer=ThresholdReducer(low=0.1))",
        ),
        (losses.ArcFaceLoss(10, 64, margin=30), "pml:ArcFaceLoss(margin=30.0)"),
        (losses.ProxyAnchorLoss(10, 64), "pml:ProxyAnchorLoss()"),
        (
            (losses.TripletMarginLoss(), miners.MultiSimilarityMiner(0.2)),
            "pml:TripletMarginLoss()+MultiSimilarityMiner(epsilon=0.2)",
        ),
        (losscope.loss("triplet(margin=0.3)"), "triplet(margin=0.3, squared=False, reduction='valid_mean')"),
    ],
    ids=str,
)
def test_a_library_s_instance_becomes_the_text_of_its_equal(loss, text):
    assert given.text_of(loss) == text


def test_an_instance_trains_as_its_text_does(tmp_path):
    out = str(tmp_path)
    named = losscope.compare(POINTS, LABELS, losses=["pml:TripletMarginLoss(margin=0.1)"], out=out, **SHORT)
    made = losscope.compare(POINTS, LABELS, losses=losses.TripletMarginLoss(margin=0.1), out=out, **SHORT)
    assert made.losses[0].runs == named.losses[0].runs


def test_what_an_object_is_stands_in_its_text():
    one = Bent(2.0)
    texts = {
        given.text_of(loss)
        for loss in (
            pull,
            one,
            Bent(3.0),
            Bent(2.0, torch.zeros(3)),
            functools.partial(scaled, by=2.0),
            functools.partial(scaled, by=3.0),
            Proxied(),
            lambda embeddings, labels: pull(embeddings, labels),
            lambda embeddings, labels: 2 * pull(embeddings, labels),
        )
    }
    assert len(texts) == 9
    assert given.text_of(Bent(2.0)) == given.text_of(one)
    one.calls += 1
    assert given.text_of(one) not in texts


def closed(by):
    return lambda embeddings, labels: by * pull(embeddings, labels)


def test_what_a_function_closes_over_stands_in_its_text():
    assert given.text_of(closed(1.0)) == given.text_of(closed(1.0)) != given.text_of(closed(2.0))


MODULE = """
import types
import torch
import losscope_test_numbers as numbers
BY = {value}
HELD = types.SimpleNamespace(by={value})
class Held:
    by = {value}
class Base(torch.nn.Module):
    def forward(self, embeddings, labels):
        return embeddings.sum() * BY
class Derived(Base):
    pass
def inside(embeddings, labels):
    return sum(row.sum() * BY for row in embeddings)
def by_name(embeddings, labels):
    return embeddings.sum() * HELD.by
def by_class(embeddings, labels):
    return embeddings.sum() * Held.by
def of_module(embeddings, labels):
    return embeddings.sum() * numbers.BY
def unset(embeddings, labels):
    def value():
        return later
    result = value
    if False:
        later = BY
    return result
closed = unset(None, None)
derived = Derived()
"""


@pytest.mark.parametrize("name", ["inside", "by_name", "by_class", "of_module", "derived"])
def test_what_a_loss_names_stands_in_its_text(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def text(value):
        for module in ("losscope_test_numbers", "losscope_test_loss"):
            sys.modules.pop(module, None)
        linecache.clearcache()
        importlib.invalidate_caches()
        (tmp_path / "losscope_test_numbers.py").write_text(f"BY = {value}\n")
        (tmp_path / "losscope_test_loss.py").write_text(MODULE.format(value=value))
        return given.text_of(getattr(importlib.import_module("losscope_test_loss"), name))

    assert text(0.1) == text(0.1) != text(0.5)


def test_a_function_may_close_over_a_name_without_a_value(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "losscope_test_numbers.py").write_text("BY = 1\n")
    (tmp_path / "losscope_test_unset.py").write_text(MODULE.format(value=1))
    assert given.text_of(importlib.import_module("losscope_test_unset").closed).startswith("given:value(")


def test_objects_train_beside_names_and_are_not_trained_again(tmp_path):
    bent = Bent()
    sides = [pull, bent, "triplet"]
    first = losscope.compare(POINTS, LABELS, losses=sides, out=str(tmp_path), **SHORT)
    assert bent.calls == 0  # members train on copies
    assert [loss.failed for loss in first.losses] == [0, 0, 0]
    assert first.losses[0].name.startswith("given:pull(digest=")
    again = losscope.compare(POINTS, LABELS, losses=sides, out=str(tmp_path), **SHORT)
    assert [loss.runs for loss in again.losses] == [loss.runs for loss in first.losses]
    assert losscope.load(tmp_path).losses[1].measures == first.losses[1].measures


def test_parameters_of_an_object_are_said(tmp_path):
    result = losscope.compare(
        POINTS, LABELS, losses=[Proxied(), "triplet"], out=str(tmp_path), embedding_size=8, **SHORT
    )
    assert any("brings parameters of its own, from which every seed starts." in note for note in result.notes)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (losses.TripletMarginLoss, "is a class; wanted: its instance"),
        (3, "a loss is a int; wanted: a text such as"),
        ((pull, miners.MultiSimilarityMiner()), "goes with no miner"),
        (eval("lambda embeddings, labels: embeddings.sum()"), "the code of <lambda> cannot be read"),
        (lambda embeddings, labels: embeddings, "gave a value of shape"),
    ],
)
def test_what_is_no_loss_is_refused_before_anything_is_trained(loss, words, tmp_path):
    with pytest.raises(LosscopeError) as caught:
        losscope.compare(POINTS, LABELS, losses=[loss], out=str(tmp_path), **SHORT)
    assert words in str(caught.value)
    assert not list(tmp_path.glob("runs/*"))


def test_an_object_stays_in_its_process(tmp_path):
    with pytest.raises(LosscopeError, match="known to this process alone"):
        losscope.compare(POINTS, LABELS, losses=[pull], engine="processes", out=str(tmp_path), **SHORT)
    with pytest.raises(LosscopeError, match="give it again"):
        losscope.compare(
            POINTS, LABELS, losses=["given:pull(digest='0')"], trust=True, out=str(tmp_path), **SHORT
        )
    text = given.text_of(pull)
    with pytest.raises(LosscopeError, match="one object for each setting"):
        objects.built(losscope.core.calls.parse(text.replace("(", "(margin=1, ")))
