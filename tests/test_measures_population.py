"""What holds of every measure: members alone or together, invariances, background, names, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losscope import measures
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.quantities import QUANTITIES
from losscope.measures import evaluate
from losscope.measures.ranking import quality_fast
from losscope.measures.space import Measured
from losscope.testing import check_measure

ENTRIES = registry.entries("measure")
OF_SPACE = {
    name for found in ENTRIES.values() if isinstance(found.load(), Measured) for name in found.facts.gives
}
"""What is measured of a ``Space``: of normalised embeddings, in float64."""


def needs_of(rows: int, seed: int) -> dict:
    draw = torch.Generator().manual_seed(seed)
    return {
        "reference": (torch.randn(30, 4, generator=draw), torch.arange(30) % 3),
        "fine_labels": torch.randint(3, (rows,), generator=draw),
        "modality": torch.arange(rows) % 2,
        "positive_pairs": (torch.arange(5), torch.arange(5) + 7),
    }


def points_of(rows: int, seed: int, *lead: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % 3
    return torch.randn(3, 4, generator=draw)[labels] + torch.randn(*lead, rows, 4, generator=draw), labels


@pytest.mark.parametrize("name", ENTRIES)
def test_every_measure_keeps_its_contract(name):
    check_measure(name)


@pytest.mark.parametrize("name", [name for name in ENTRIES if "roles" not in ENTRIES[name].facts.needs])
def test_every_measure_can_be_called_by_itself(name):
    """On a population where it is ``@measured``, on one set of embeddings where it is a plain function.

    ``losscope.retrieval`` is the door to those of queries and a gallery.
    """
    facts, function = ENTRIES[name].facts, ENTRIES[name].load()
    points, labels = points_of(36, 1, 2, 3)
    needs = {need: given for need, given in needs_of(36, 2).items() if need in (*facts.needs, *facts.uses)}
    if isinstance(function, Measured):
        values, _ = function(points, labels, **needs)
        assert {value.shape for value in values.values()} == {(2, 3)}
    else:
        given = function(points[0, 0], labels, **needs)
        values = given[0] if isinstance(given, tuple) else given
    assert set(values) == set(facts.gives)


def test_every_measured_quantity_is_given_by_one_measure():
    given_by = [value for entry in ENTRIES.values() for value in entry.facts.gives]
    assert len(given_by) == len(set(given_by))
    elsewhere = {"greediness"}
    assert set(given_by) == {name for name, q in QUANTITIES.items() if q.group not in elsewhere}


@pytest.mark.parametrize("members", [1, 2, 4, 10])
def test_a_member_is_bitwise_the_same_in_every_population(members):
    points, _ = points_of(60, 3, 10)
    labels = torch.stack(
        [torch.randint(-1, 4, (60,), generator=torch.Generator().manual_seed(m)) for m in range(10)]
    )
    needs = needs_of(60, 4)
    needs["reference"] = torch.randn(10, 30, 4), torch.arange(30) % 3
    needs["fine_labels"] = torch.randint(3, (10, 60))

    def cut(need, which):
        return tuple(part[which] if len(part) == 10 else part for part in need)

    some = {**needs, "reference": cut(needs["reference"], slice(members))}
    some["fine_labels"] = needs["fine_labels"][:members]
    values, detail = evaluate(points[:members], labels[:members], **some)
    last = members - 1
    own = {**needs, "reference": cut(needs["reference"], last), "fine_labels": needs["fine_labels"][last]}
    alone, own_detail = evaluate(points[last], labels[last], **own)
    assert set(values) == set(alone)
    for name, value in values.items():
        assert torch.equal(value[last].nan_to_num(-9), alone[name].nan_to_num(-9)), name
    kept = int((labels[last] >= 0).sum())
    assert detail["per_query/label"][last, :kept].tolist() == labels[last][labels[last] >= 0].tolist()
    assert (detail["per_query/label"][last, kept:] == -1).all()
    assert detail["per_query/map_at_r"][last, kept:].isnan().all()
    assert torch.equal(own_detail["per_query/map_at_r"], detail["per_query/map_at_r"][last, :kept])
    fast = quality_fast(points[:members], labels[:members])["map_at_r"]
    assert torch.equal(fast[last], quality_fast(points[last], labels[last])["map_at_r"])


@given(st.integers(0, 10_000), st.integers(6, 30))
@settings(max_examples=15)
def test_rotations_and_scales_change_nothing(seed, rows):
    points, labels = points_of(rows, seed)
    points = points.double()
    draw = np.random.default_rng(seed)
    rotation = torch.from_numpy(np.linalg.qr(draw.standard_normal((4, 4)))[0])
    scales = torch.from_numpy(draw.uniform(0.1, 10, (rows, 1)))
    modality = torch.arange(rows) % 2
    before, _ = evaluate(points, labels, modality=modality, fine_labels=modality)
    after, _ = evaluate(points @ rotation * scales, labels, modality=modality, fine_labels=modality)
    assert OF_SPACE & set(before)
    for name in OF_SPACE & set(before):
        value = before[name]
        torch.testing.assert_close(after[name], value, rtol=1e-6, atol=1e-9, equal_nan=True, msg=name)


@given(st.integers(0, 10_000), st.integers(6, 30))
@settings(max_examples=15)
def test_the_order_of_rows_and_the_names_of_classes_change_nothing(seed, rows):
    points, labels = points_of(rows, seed)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(rows, generator=draw)
    renamed = torch.tensor([70, 5, 12])
    reference = points_of(20, seed + 1)
    modality, fine = torch.arange(rows) % 2, torch.randint(3, (rows,), generator=draw)
    before, detail = evaluate(points, labels, modality=modality, fine_labels=fine, reference=reference)
    after, moved = evaluate(
        points[order],
        renamed[labels[order]],
        modality=modality[order],
        fine_labels=fine[order],
        reference=(reference[0], renamed[reference[1]]),
    )
    assert OF_SPACE & set(before)
    for name in OF_SPACE & set(before):
        value = before[name]
        torch.testing.assert_close(after[name], value, rtol=1e-9, atol=1e-12, equal_nan=True, msg=name)
    assert torch.equal(moved["per_query/label"], renamed[detail["per_query/label"][order]])
    for name in ("per_query/map_at_r", "per_query/knn_accuracy", "per_query/map_audio_to_visual"):
        torch.testing.assert_close(moved[name], detail[name][order], rtol=1e-12, atol=0, equal_nan=True)
    assert moved["per_class/label"].tolist() == [5, 12, 70]
    shuffled = detail["per_class/intra_variance"][torch.tensor([1, 2, 0])]
    torch.testing.assert_close(moved["per_class/intra_variance"], shuffled, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_the_measures_stand_in_their_known_order(seed):
    points, labels = points_of(24, seed)
    values, _ = evaluate(points, labels)
    assert 0 <= values["map_at_r"] <= values["r_precision"] <= 1
    assert values["recall_at_1"] <= values["recall_at_5"] <= values["recall_at_10"] <= 1
    assert 1 <= values["effective_rank"] <= 4
    assert -8 <= values["uniformity"] <= 0
    assert -1 <= values["silhouette"] <= 1
    assert values["intra_variance"] <= 1


def test_background_is_left_out_or_a_class():
    points, labels = points_of(40, 5)
    labels[:7] = -1
    without, detail = evaluate(points, labels)
    expected, _ = evaluate(points[7:], labels[7:])
    assert {name: float(v) for name, v in without.items() if v == v} == {
        name: float(v) for name, v in expected.items() if v == v
    }
    assert detail["count/background"].item() == 7
    assert detail["per_class/label"].tolist() == [0, 1, 2]
    kept, detail = evaluate(points, labels, background="class")
    assert detail["per_class/label"].tolist() == [-1, 0, 1, 2]
    assert "count/background" not in detail
    assert kept["intra_variance"] != without["intra_variance"]


def test_classes_that_only_some_members_have_are_aligned():
    points, _ = points_of(12, 6, 2)
    labels = torch.stack([torch.arange(12) % 3, torch.arange(12) % 3 + 1])
    _, detail = evaluate(points, labels, names=["geometry"])
    assert detail["per_class/label"].tolist() == [0, 1, 2, 3]
    assert detail["per_class/intra_variance"].isnan().tolist() == [[False] * 3 + [True], [True] + [False] * 3]


def test_a_member_that_is_not_finite_has_no_values_and_harms_no_other():
    points, labels = points_of(20, 7, 3)
    points[1, 4, 2] = torch.nan
    values, detail = evaluate(points, labels)
    assert all(value[1].isnan() for value in values.values())
    alone, _ = evaluate(points[2], labels)
    assert torch.equal(values["map_at_r"][2], alone["map_at_r"])
    assert detail["per_query/map_at_r"][1].isnan().all()
    assert quality_fast(points, labels)["map_at_r"].isnan().tolist() == [False, True, False]


def test_names_choose_values_or_whole_measures():
    points, labels = points_of(20, 8)
    one, detail = evaluate(points, labels, names=["map_at_r"])
    assert set(one) == {"map_at_r"}
    counts = {"count/lone_queries", "count/tied_queries", "count/edge_distances", "count/background"}
    assert set(detail) == {"per_query/map_at_r", "per_query/label", *counts}
    assert torch.equal(one["map_at_r"], evaluate(points, labels)[0]["map_at_r"])
    shallow, detail = evaluate(points, labels, names=["hubness", "recall_at_5"])
    assert set(shallow) == {"hubness", "recall_at_5"}
    assert all(torch.equal(value, evaluate(points, labels)[0][name]) for name, value in shallow.items())
    several, _ = evaluate(points, labels, names=["map_at_r", "spectrum"])
    assert set(several) == {"map_at_r", "effective_rank", "spectral_decay"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"names": ["recall_at_2"]}, "did you mean .*'recall_at_1'"),
        ({"names": ["fine_recall_at_1"]}, "'fine_recall_at_1' was asked for without fine_labels"),
        ({"names": ["modality_gap"]}, "'modality_gap' was asked for without modality"),
        ({"labels": torch.arange(5)}, r"labels have shape .*5.*20 embeddings"),
        ({"labels": torch.zeros(20)}, "must be integers"),
        ({"labels": torch.full((20,), -1)}, "every label is -1"),
        ({"fine_labels": torch.arange(3)}, "fine_labels have shape"),
        ({"labels": torch.zeros(4, 20, dtype=torch.int64)}, "leading shapes must agree"),
        ({"background": "drop"}, "unknown background 'drop'"),
    ],
)
def test_mistakes_are_named(wrong, said):
    points, labels = points_of(20, 9, 2)
    with pytest.raises(LosscopeError, match=said):
        evaluate(points, **{"labels": labels, **wrong})


def test_the_plain_functions_refuse_what_is_not_one_finite_set():
    points, labels = points_of(20, 10)
    with pytest.raises(LosscopeError, match="must be \\(N, D\\)"):
        measures.geometry(points[None], labels)
    points[3, 1] = torch.inf
    with pytest.raises(LosscopeError, match="1 of 20 embeddings"):
        measures.retrieval(points, labels)


def test_functions_keep_their_names_beside_the_modules_of_the_same_name():
    for entry in ENTRIES.values():
        entry.load()
    assert callable(measures.geometry)
    assert callable(measures.retrieval)


def test_a_plugin_measure_is_called_by_the_contract(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_plugins", {})
    file = tmp_path / "mine.py"
    file.write_text(
        "from losscope.core.registry import register\n"
        "@register('measure', 'mine', quantities=[{'name': 'mean_norm', 'definition': 'mean length',\n"
        "    'unit': 'length', 'better': 'neither', 'scale': 'log_ratio'}], default=False)\n"
        "def mine(embeddings, labels):\n"
        "    return {'mean_norm': embeddings.norm(dim=-1).mean(-1)}, {}\n"
    )
    registry.load_plugin(file)
    points, labels = points_of(20, 11, 2)
    values, _ = evaluate(points, labels, names=["mine", "map_at_r"])
    torch.testing.assert_close(values["mean_norm"], points.norm(dim=-1).mean(-1).double())
