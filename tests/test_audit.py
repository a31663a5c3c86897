"""The correctness card: our losses pass it whole, planted faults are found, and findings are measured."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import faults
import losscope
from losscope.auditing import Card, audit, subject
from losscope.auditing.checks import CHECKS, ESSENTIAL
from losscope.auditing.force import force_profile
from losscope.auditing.growth import _exponent, growth
from losscope.auditing.lines import fill
from losscope.auditing.measured import margin_unit, reduction, triple
from losscope.auditing.memory import footprint
from losscope.auditing.precision import precision
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.results import AuditResult, StepCost
from losscope.reporting.pictures import save

FAULTS = Path(faults.__file__)
LOSSES = {name: entry.facts.faulty for name, entry in registry.entries("loss").items()}
"""Our losses, and whether they are wrong on purpose, as controls."""


def card(loss, **more) -> dict:
    """The quick lines of a card, by check: all but the growth and the force profile."""
    checks = {**CHECKS, "reduction": reduction, "margin": margin_unit, **more}
    return {line.check: line for line in fill(subject(loss, trust=True), checks, ESSENTIAL)}


def failed(loss, **more) -> dict[str, str]:
    """The lines that name a flaw, alarms and cautions alike."""
    return {name: line.finding for name, line in card(loss, **more).items() if line.severity != "none"}


@pytest.mark.parametrize("loss", [name for name, faulty in LOSSES.items() if not faulty])
def test_our_losses_pass_the_whole_card(loss):
    made = audit(loss)
    assert not made.failed and not made.cautions, str(made)
    checks = {line.check for line in made.lines}
    assert {
        "labels",
        "order",
        "rotation",
        "scale",
        "finite differences",
        "coincident points",
        "antipodes",
        "no positives (all singletons)",
        "no negatives (one class)",
        "float16",
        "bfloat16",
        "float16 autocast",
        "bfloat16 autocast",
        "float32",
        "broadcast",
        "reduction",
        "margin",
        "time growth",
        "memory growth",
        "force profile",
    } <= checks
    judged = [line for line in made.lines if line.passed]
    assert len(judged) >= len(made.lines) - 3
    assert made.growth.exponents.bytes < 2.2


@pytest.mark.parametrize("loss", [name for name, faulty in LOSSES.items() if faulty])
def test_our_wrong_losses_do_not(loss):
    found = failed(loss)
    assert "label-blind" in found["labels"]
    assert "broadcasts to B×B" in found["broadcast"]


@pytest.mark.parametrize(
    "loss", ["contrastive(reduction=balanced)", "triplet(squared=True)", "triplet(tuples=hard)"]
)
def test_our_losses_pass_in_their_other_forms(loss):
    assert not failed(loss)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("sound", {}),
        (
            "label_blind_broadcast",
            {"labels": "label-blind", "broadcast": r"(B,1) value that meets (B,) labels"},
        ),
        ("sqrt_at_zero", {"coincident points": "sqrt or norm at 0"}),
        ("sqrt_on_the_diagonal", {"ordinary batch": "not finite", "coincident points": "sqrt or norm at 0"}),
        ("unclamped_acos", {"coincident points": "acos at cos = ±1", "antipodes": "acos at cos = ±1"}),
        ("sum_instead_of_mean", {"reduction": "a sum over terms, not a mean"}),
        ("mean_over_active", {"reduction": "mean over active terms"}),
        ("labels_as_numbers", {"class names": "classes renamed"}),
        ("wrong_sign", {"force profile": "wrong direction: pushes a positive away (100%"}),
        ("wrong_gradient", {"finite differences": "differs from the slope"}),
        ("first_row_counts_twice", {"order": "rows in another order"}),
        ("by_axes", {"rotation": "embeddings rotated"}),
        (
            "nan_without_positives",
            {"no positives (all singletons)": "nan", "no negatives (one class)": "nan"},
        ),
        ("overflows_in_half", {"float16": "inf"}),
    ],
)
def test_planted_faults_are_found_and_named(fault, named):
    more = {"force profile": lambda audited: force_profile(audited)[0]} if "force profile" in named else {}
    found = failed(f"{FAULTS}:{fault}", **more)
    for check, words in named.items():
        assert words in found.pop(check)
    # A fault may show elsewhere too, but a sound loss and a wrong reduction show nowhere else.
    if fault in (
        "sound",
        "sqrt_at_zero",
        "sum_instead_of_mean",
        "mean_over_active",
        "wrong_gradient",
        "by_axes",
    ):
        assert not found


def test_a_cubic_loss_is_found_by_its_growth():
    lines, measured = growth(subject(f"{FAULTS}:all_triplets", trust=True))
    assert [line.severity for line in lines] == ["slow", "slow"]
    assert measured.exponents.bytes == pytest.approx(3, abs=0.2)
    costs = [
        StepCost(size=2, seconds=3.0, bytes=1, written=1),
        StepCost(size=8, seconds=48.0, bytes=1, written=1),
    ]
    assert _exponent(costs, "seconds") == pytest.approx(2)
    assert _exponent(costs[:1], "seconds") is None


def test_a_true_card_of_pytorch_metric_learning():
    pytest.importorskip("pytorch_metric_learning")
    for text, margin in (
        ("pml:ContrastiveLoss()", "neg_margin 1 is a distance:"),
        ("pml:TripletMarginLoss()", "margin 0.05 is a distance beyond the positive"),
    ):
        lines = card(text)
        failed = {name for name, line in lines.items() if line.severity != "none"}
        # In bfloat16 rounding decides which of its triplets are active, and so how far its gradient is off.
        assert failed - {"bfloat16"} == {"reduction"}
        assert "mean over active terms" in lines["reduction"].finding
        assert margin in lines["margin"].finding
    assert "mean over valid" in card("pml:TripletMarginLoss(reducer=MeanReducer())")["reduction"].finding
    lines = card("pml:SupConLoss()")
    assert not any(line.severity != "none" for line in lines.values())
    assert "mean over anchors" in lines["reduction"].finding
    lines = card("pml:ArcFaceLoss(num_classes=10, embedding_size=64)")
    # Its acos is clamped at exactly ±1, where the slope is infinite.
    assert {name for name, line in lines.items() if line.severity != "none"} == {
        "coincident points",
        "antipodes",
    }
    assert "margin 28.6 is in degrees" in lines["margin"].finding
    assert lines["class names"].passed is None
    assert "draws at random" in card("pml:TripletMarginLoss(triplets_per_anchor=3)")["order"].finding


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("contrastive(margin=1.0)", "margin 1 is a distance:"),
        ("triplet(margin=0.3, squared=True)", "margin 0.3 is a squared distance beyond the positive"),
        ("arcface(margin=0.3)", "margin 0.3 is in radians"),
        ("pml:CosFaceLoss", "margin 0.35 is in cosine similarity"),
        ("pml:TripletMarginLoss(margin=0.2, distance=CosineSimilarity())", "is a cosine similarity beyond"),
        ("sentence_transformers:ContrastiveLoss", "margin 0.5 is a cosine distance"),
        ("sentence_transformers:BatchAllTripletLoss", "margin 5 is a distance beyond the positive"),
    ],
)
def test_margins_are_told_in_their_unit(loss, said):
    if ":" in loss:
        pytest.importorskip(
            {"pml": "pytorch_metric_learning"}.get(loss.split(":")[0], "sentence_transformers")
        )
    assert said in margin_unit(subject(loss)).finding


def test_margins_towards_other_classes_too_are_told_in_their_unit():
    assert "margin 0.2 is in cosine similarity" in margin_unit(subject("proxy_anchor(margin=0.2)")).finding
    wrong = subject("proxy_anchor(margin=0.2)")
    facts = wrong.facts.model_copy(update={"units": {"margin": "radians"}})
    assert margin_unit(dataclasses.replace(wrong, facts=facts)).passed is False


def test_weights_that_the_gradient_holds_are_declared_or_fail():
    right = subject("circle")
    undeclared = dataclasses.replace(right, facts=right.facts.model_copy(update={"held_weights": False}))
    found = [CHECKS["finite differences"](audited) for audited in (right, undeclared)]
    assert [(line.passed, line.severity) for line in found] == [(None, "none"), (None, "caution")]
    assert "as declared" in found[0].meaning
    # Declared by a loss whose gradient is the slope, it excuses nothing and changes nothing.
    other = subject("sup_con")
    facts = other.facts.model_copy(update={"held_weights": True})
    assert CHECKS["finite differences"](dataclasses.replace(other, facts=facts)).passed


def test_a_declared_unit_that_is_wrong_fails():
    right = subject("contrastive(margin=0.6)")
    wrong = dataclasses.replace(
        right, facts=right.facts.model_copy(update={"units": {"margin": "squared distance"}})
    )
    assert margin_unit(right).passed
    assert "declared as squared distance" in margin_unit(wrong).finding
    assert margin_unit(wrong).passed is False


def test_reductions_are_told_apart():
    for text, words in (
        ("contrastive", "mean over valid pairs or triplets"),
        ("triplet(reduction=active_mean)", "mean over active terms"),
        ("sup_con", "mean over anchors"),
        ("arcface", "mean over rows"),
    ):
        line = reduction(subject(text))
        assert words in line.finding
        assert line.passed
    summed = nn.CrossEntropyLoss(reduction="sum")

    class Proxies(nn.Module):
        def __init__(self, num_classes=8, embedding_size=32):
            super().__init__()
            self.num_classes = num_classes
            self.vectors = nn.Parameter(torch.randn(num_classes, embedding_size))

        def forward(self, embeddings, labels):
            return summed(embeddings @ self.vectors.T, labels)

    line = reduction(subject(Proxies()))
    assert line.severity == "caution"
    assert "a sum over rows" in line.finding


def test_the_force_profile_is_the_contrastive_force():
    """On an anchor with one positive and one negative: 4 d/6 towards it, 4 (m − d)/6 away.

    Both times cos(half the angle), the part of the chord that lies along the sphere.
    """
    line, profile = force_profile(subject("contrastive(margin=1.0)"))
    assert line.passed
    for row, near in enumerate(profile.distance):
        for column, far in enumerate(profile.distance):
            along = [math.sqrt(1 - d * d / 4) for d in (near, far)]
            assert profile.pull[row][column] == pytest.approx(4 * near * along[0] / 6, abs=1e-9)
            assert profile.push[row][column] == pytest.approx(4 * max(0, 1 - far) * along[1] / 6, abs=1e-9)
    rows, labels = triple(subject("contrastive"), 0.3, 1.9)
    assert (rows[0] - rows[1]).norm() == pytest.approx(0.3)
    assert (rows[0] - rows[2]).norm() == pytest.approx(1.9)
    assert labels.tolist() == [0, 0, 1]


def test_the_footprint_counts_what_is_held_and_written():
    x = torch.zeros(1000, requires_grad=True)

    def step():
        y = x * 2
        z = y + 1
        del y
        torch.autograd.grad(z.sum(), [x])

    held, written = footprint(step)
    assert 8000 <= held <= 3 * 4000 + 100
    assert written >= 2001
    assert footprint(lambda: torch.zeros(10, 10).T.contiguous())[0] == 800


def test_a_state_is_held_still_and_random_draws_repeat():
    queue = subject("pml:CrossBatchMemory(loss='ContrastiveLoss', memory_size=64)")
    z = torch.randn(8, 32, dtype=torch.float64)
    labels = torch.arange(8) // 2
    assert queue.value(z, labels) == queue.value(z, labels)
    drawn = subject("pml:TripletMarginLoss(triplets_per_anchor=1)")
    before = torch.random.get_rng_state()
    assert drawn.value(z, labels) == drawn.value(z, labels)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_any_callable_can_be_audited():
    made = losscope.audit(faults.mean_over_active)
    assert isinstance(made, Card)
    assert made.loss == "mean_over_active"
    assert [line.check for line in made.cautions] == ["reduction"]
    assert "mean over active terms" in str(made)


@pytest.mark.parametrize("kind", [RuntimeError, NotImplementedError])
@pytest.mark.parametrize("missing", [True, False])
def test_a_kernel_that_a_device_lacks_is_no_flaw_of_the_loss(kind, missing):
    def loss(embeddings, labels):
        if embeddings.dtype == torch.float16:
            raise kind("\"cdist\" not implemented for 'Half'" if missing else "it broke")
        return faults.sound(embeddings, labels)

    found = next(line for line in precision(subject(loss)) if line.check == "float16")
    unsupported = missing or kind is NotImplementedError
    assert found.severity == ("none" if unsupported else "caution")
    assert ("not supported on this device" in found.finding) == unsupported


def test_the_room_of_audits_has_no_call():
    """``losscope.audit`` is the function whatever was imported before, and no module stands in for it."""
    import losscope.auditing

    assert callable(losscope.audit)
    assert not callable(losscope.auditing)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("raw", "is a baseline that trains nothing"),
        ("triplett", "did you mean 'triplet'"),
        ("triplet(tuples=random)", "drawn at random"),
        ("pml:TripletLoss", "did you mean"),
        (f"{FAULTS}:pairs", "failed on a batch of 12 embeddings|one scalar is wanted|raised"),
        (3, "a int was given"),
    ],
)
def test_what_cannot_be_audited_is_said(loss, said):
    with pytest.raises(LosscopeError, match=said):
        audit(loss, trust=True)


def test_the_cards_json_and_plots(tmp_path):
    made = audit("contrastive", plot=tmp_path / "force.html")
    read = json.loads(made.json_text())
    assert AuditResult.from_json(made.json_text()).model_dump() == made.model_dump()
    assert read["loss"] == "contrastive"
    assert set(read["lines"][0]) == {"check", "passed", "severity", "finding", "meaning"}
    assert len(read["profile"]["pull"]) == len(read["profile"]["distance"])
    shown = (tmp_path / "force.html").read_text()
    assert "<svg" in shown and "<script" not in shown
    save(made.figure(), tmp_path / "force.png")
    assert (tmp_path / "force.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(LosscopeError, match="'contrastive' has no force profile to draw"):
        made.model_copy(update={"profile": None}).figure()
    with pytest.raises(LosscopeError, match=r"\.html, \.png, \.svg or \.pdf is wanted"):
        audit("contrastive", plot=tmp_path / "force.gif")


def test_the_command_prints_one_object_and_is_strict_when_asked(capsys):
    from losscope.cli import app

    with pytest.raises(SystemExit) as end:
        app(["audit", f"{FAULTS}:wrong_sign", "--trust", "--json", "--strict"])
    assert end.value.code == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False
