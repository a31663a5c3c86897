"""What the audit says first: planted faults by name and severity, and no alarm for correct losses."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import faults
import naive_losses
from losscope.auditing import audit, subject
from losscope.auditing.aims import FLAT, _extremes, self_pairs, value_range
from losscope.auditing.checks import CHECKS
from losscope.auditing.force import AGAINST, force_profile
from losscope.auditing.growth import growth
from losscope.auditing.lines import fill, flaw, line
from losscope.auditing.measured import margin_unit
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.results import ALARMS, AuditResult
from losscope.core.wording.audits import audit_verdict


@pytest.mark.parametrize(
    ("fault", "severity", "first"),
    [
        ("positives_pushed", "wrong", "wrong direction: pushes a positive away"),
        ("negatives_pulled", "wrong", "wrong direction: pulls a negative near"),
        ("blind", "wrong", "label-blind: permuting the labels leaves the gradient as it was; it sees"),
        ("self_positive_softmax", "wrong", "self-pairs counted as positives"),
        ("nan_for_one_class", "unsafe", "no negatives (one class): one class: value nan"),
        ("margin_out_of_reach", "wrong", "margin 5 is a distance beyond any that unit vectors can have (2)"),
        ("flat", "wrong", "temperature 1000: next to nothing: the value moves by 0.0"),
        ("constant", "wrong", "does nothing: the value is 1.5 and the gradient 0 on every batch"),
    ],
)
def test_the_first_line_names_the_planted_fault(fault, severity, first):
    made = audit(getattr(naive_losses, fault))
    assert (made.severity, made.passed) == (severity, False)
    assert made.verdict.startswith(f"{severity.capitalize()}: {first}"), made.verdict
    assert str(made) == f"{fault}: {made.verdict}"


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "info_nce", "pml"])
def test_a_correct_loss_gives_no_alarm_however_slow(loss):
    if loss == "pml":
        losses = pytest.importorskip("pytorch_metric_learning.losses")
    made = audit(losses.TripletMarginLoss() if loss == "pml" else getattr(naive_losses, loss))
    assert made.passed and not made.failed, made.verdict
    assert made.verdict.startswith("Sound.")
    slow = {each.check for each in made.lines if each.severity == "slow"}
    assert ("Slow: " in made.verdict) == bool(slow)  # how slow a loop is depends on the machine
    assert loss != "pml" or "memory growth" in slow  # which is counted, and not timed


def test_other_faults_are_named_where_they_are():
    for fault, severity in (("self_positive_triplet", "wrong"), ("diluted_positives", "caution")):
        found = self_pairs(subject(getattr(naive_losses, fault)))
        assert found.severity == severity and found.finding.startswith("self-pairs counted")
    cut = fill(subject(naive_losses.cut), CHECKS)
    assert "its gradient is 0" in cut[0].finding and "the graph is cut" in cut[0].meaning
    assert all(each.passed is not True for each in cut)


@pytest.mark.parametrize(
    "loss",
    [
        "contrastive(margin=0.9)",
        "contrastive(reduction=balanced)",
        "multi_similarity",
        "circle",
        "info_nce",
        "sup_con",
        "triplet(tuples=hard)",
        "pml:ContrastiveLoss",
        "pml:MultiSimilarityLoss",
        "pml:NTXentLoss",
        "pml:MarginLoss",
        "sentence_transformers:OnlineContrastiveLoss",
    ],
)
def test_no_row_is_its_own_positive_in_sound_losses(loss):
    if loss.startswith("pml"):
        pytest.importorskip("pytorch_metric_learning")
    if loss.startswith("sentence"):
        pytest.importorskip("sentence_transformers")
    found = self_pairs(subject(loss))
    assert found.passed and found.severity == "none"
    assert value_range(subject(loss)).passed


@pytest.mark.slow
def test_sound_losses_are_far_from_the_thresholds():
    """What FLAT and AGAINST leave room to, of every loss that takes our batches."""
    peers = pytest.importorskip("pytorch_metric_learning.losses")
    transformers = pytest.importorskip("sentence_transformers.losses")
    names = [name for name, entry in registry.entries("loss").items() if not entry.facts.faulty]
    names += [f"pml:{name}" for name in dir(peers) if name.endswith("Loss") and name not in NEEDY]
    names += [
        f"sentence_transformers:{name}"
        for name in dir(transformers)
        if name.startswith(("Batch", "OnlineContrastive")) and name.endswith("Loss")
    ]
    moves, turned = {}, {}
    for name in names:
        seen = subject(name)
        values = [float(seen.value(*batch)) for batch in _extremes(seen)]
        finite = [value for value in values if math.isfinite(value)]
        moves[name] = (max(finite) - min(finite)) / max(map(abs, finite))
        _, profile = force_profile(seen)
        for table in () if profile is None else (profile.pull, profile.push):
            force = torch.tensor([[value or 0.0 for value in row] for row in table])
            share = float(force.clamp_max(0).abs().sum() / force.abs().sum().clamp_min(1e-30))
            turned[name] = max(share, turned.get(name, 0.0))
    flattest, against = min(moves, key=moves.__getitem__), max(turned, key=turned.__getitem__)
    print(f"flattest: {flattest} {moves[flattest]:.2f}; against: {against} {turned[against]:.2f}")
    assert moves[flattest] > 20 * FLAT and turned[against] < 0.7 * AGAINST


NEEDY = {
    *("GenericPairLoss", "ManifoldLoss", "RankedListLoss", "SelfSupervisedLoss", "VICRegLoss"),
    *("DynamicSoftMarginLoss", "HistogramLoss", "SmoothAPLoss"),
}
"""Losses that want arguments or other batches, and those that raise where rows coincide or classes differ."""


def test_a_row_alone_may_be_its_own_positive_where_others_do_not_feel_it():
    pytest.importorskip("sentence_transformers")
    found = self_pairs(subject("sentence_transformers:BatchHardTripletLoss"))
    assert found.severity == "caution" and "give every row one" in found.meaning


def test_a_module_is_judged_by_its_own_arguments():
    class Contrastive(nn.Module):
        def __init__(self, margin=0.5):
            super().__init__()
            self.margin = margin

        def forward(self, embeddings, labels):
            return naive_losses.margin_out_of_reach(embeddings, labels, self.margin)

    assert margin_unit(subject(Contrastive())).finding.startswith("margin 0.5 is a distance:")
    far = margin_unit(subject(Contrastive(3.0)))
    assert far.severity == "wrong" and "margin 3 is a distance beyond" in far.finding
    free = margin_unit(subject(lambda z, y, margin=5.0: _unnormalised(z, y, margin)))
    assert free.severity == "caution" and "on unit rows no term is ever solved" in free.meaning


class _ClassVectors(nn.Module):
    """A softmax over cosines with class vectors, under names that say nothing of their number."""

    def __init__(self, shape, frozen=False):
        super().__init__()
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        if frozen:
            self.register_buffer("centres", weight)
        else:
            self.centres = nn.Parameter(weight)
        self.across = shape[0] > shape[1]

    def forward(self, embeddings, labels):
        vectors = self.centres if not self.across else self.centres.T
        cosines = nn.functional.normalize(embeddings, dim=1) @ nn.functional.normalize(vectors, dim=1).T
        return nn.functional.cross_entropy(16 * cosines, labels)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("shape", [(2, 32), (10, 16), (100, 384), (64, 20)])
def test_class_vectors_under_any_name_give_no_alarm(shape, frozen):
    made = _ClassVectors(shape, frozen)
    seen = subject(made)
    assert (seen.classes, seen.dimension) == (min(shape), max(shape))
    lines = fill(seen, CHECKS)
    assert not [each for each in lines if each.severity in ALARMS]


def test_a_learned_number_without_classes_gives_none():
    class Warm(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3, 8))

        def forward(self, embeddings, labels):
            return self.scale.mean() * naive_losses.contrastive(embeddings, labels)

    assert subject(Warm()).classes is None


def test_layers_without_a_size_are_refused_in_one_sentence():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.LazyLinear(10)

        def forward(self, embeddings, labels):
            return nn.functional.cross_entropy(self.layer(embeddings), labels)

    with pytest.raises(LosscopeError, match="'Lazy' has layers that take their size from the first batch"):
        audit(Lazy())


def _unnormalised(z, labels, margin):
    d = ((z[:, None] - z[None]).square().sum(-1) + 1e-12).sqrt()
    same = labels[:, None] == labels[None]
    return torch.where(same, d, (margin - d).clamp_min(0)).square().mean()


def test_a_held_weight_is_a_caution_and_a_false_gradient_is_wrong():
    def held(embeddings, labels):
        d, same, _ = naive_losses._table(embeddings, labels)
        return (d.detach() * torch.where(same, d, (0.5 - d).clamp_min(0))).mean()

    class Turned(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            return -gradient

    check = CHECKS["finite differences"]
    assert check(subject(held)).severity == "caution"
    assert check(subject(faults.wrong_gradient)).severity == "caution"
    assert check(subject(lambda z, y: Turned.apply(faults.sound(z, y)))).severity == "wrong"


def test_a_loop_is_slow_and_fails_nothing():
    lines, _ = growth(subject(naive_losses.contrastive))
    assert [each.passed for each in lines] == [None, True]
    assert "a loop over rows or pairs" in lines[0].meaning


def test_severities_stand_in_the_json_and_only_alarms_fail():
    for severity in ("wrong", "unsafe", "caution", "slow"):
        assert (flaw(severity, "check", "found", "meant").passed is False) == (severity in ALARMS)
    made = audit(faults.mean_over_active)
    read = json.loads(made.json_text())
    assert read["severity"] == "caution" and read["verdict"] == made.verdict
    assert {each["severity"] for each in read["lines"]} == {"none", "caution"}
    assert [each.check for each in made.cautions] == ["reduction"]
    assert AuditResult.from_json(made.json_text()).verdict == made.verdict


def test_the_verdict_says_the_gravest_first():
    lines = [
        flaw("slow", "time growth", "B^3.0", "large batches are dear"),
        flaw("unsafe", "one row", "nan", "it stops"),
        flaw("wrong", "broadcast", "B×B", "shapes"),
        line("order", True, "same", "fine"),
        flaw("wrong", "labels", "label-blind", "nothing is learned"),
    ]
    said = (
        "Wrong: label-blind; nothing is learned. Also wrong: broadcast. Unsafe: one row. Slow: time growth."
    )
    assert audit_verdict(lines) == said
    assert audit_verdict(lines[:1]) == "Sound. Slow: time growth: B^3.0; large batches are dear."
    assert audit_verdict(lines[3:4]) == "Sound: no check found a flaw."


def test_the_page_says_what_the_audit_says(capsys):
    """docs/audit.md: its blocks run, and print what stands below them."""
    page = (Path(__file__).parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")
    names: dict = {"__name__": "audit_page"}
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    for code, text in zip(re.findall(r"```python\n(.*?)```", page, re.DOTALL), shown, strict=True):
        exec(compile(code, "audit.md", "exec"), names)
        assert capsys.readouterr().out == text
