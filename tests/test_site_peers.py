"""The tables of peers on the site: what they call equal is equal in value and gradient; nothing else is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import losscope
from losscope.core import registry
from losscope.losses.foreign.building import ForeignLoss
from losscope.pairs import Relation, normalise, reduce

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
from making import peers  # noqa: E402

PREFIX = {peers.PML: "pml:", peers.ST: "sentence_transformers:"}
COMPUTED = [peer for peer in peers.PEERS if peer.kind != "read"]
CLASSES, ROWS, SIZE = 10, 40, 16


def named(peer: peers.Peer) -> str:
    return f"{peer.package} {peer.theirs}"


def ours_and_theirs(peer: peers.Peer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both values, with the embeddings that they come from."""
    pytest.importorskip(peer.package.replace("-", "_"), reason="a peer, installed with losscope[peers]")
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(ROWS, SIZE, generator=draw).requires_grad_()
    loss = losscope.loss(peer.ours, num_classes=CLASSES, embedding_size=SIZE)
    other = ForeignLoss(PREFIX[peer.package] + peer.theirs, classes=CLASSES, embedding_size=SIZE)
    for name in ("W", "proxies"):
        if hasattr(other.loss, name):
            vectors = loss.class_vectors.data
            getattr(other.loss, name).data = vectors.T.clone() if name == "W" else vectors.clone()
    unit = z if loss.spec.name == "n_pair" else normalise(z)  # n_pair alone takes rows as they are
    if not peer.pairs:
        labels = torch.randint(CLASSES, (ROWS,), generator=draw)
        return loss(unit, labels), other(unit, labels), z
    half = ROWS // 2
    same = torch.ones(half, dtype=torch.bool)
    if peer.loss == "contrastive":  # two classes of pairs: the same and different
        same = torch.rand(half, generator=draw) > 0.5
        i, j = torch.arange(half), torch.arange(half, ROWS)
        return reduced(loss, unit, same), other(unit, Relation.from_pairs(i, j, same, rows=ROWS)), z
    return reduced(loss, unit, same), other(unit, torch.arange(half).repeat(2)), z


def reduced(loss: losscope.loss, embeddings: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    return reduce(loss.terms(embeddings, Relation.from_partners(same)), "valid_mean")


@pytest.mark.parametrize("peer", [peer for peer in COMPUTED if peer.kind == "equal"], ids=named)
def test_what_is_called_equal_has_the_same_value_and_gradient(peer):
    ours, theirs, z = ours_and_theirs(peer)
    tolerance = 2e-5 if peer.package == peers.ST else 1e-5  # torch's pairwise distance adds 1e-6
    assert torch.allclose(ours * peer.factor, theirs, rtol=tolerance, atol=tolerance)
    first, second = (
        torch.autograd.grad(value, z, retain_graph=True)[0] for value in (ours * peer.factor, theirs)
    )
    assert first.abs().max() > 1e-4
    assert torch.allclose(first, second, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("peer", [peer for peer in COMPUTED if peer.kind == "another form"], ids=named)
def test_what_is_called_another_form_is_no_multiple(peer):
    ours, theirs, z = ours_and_theirs(peer)
    first, second = (
        torch.autograd.grad(value, z, retain_graph=True)[0].flatten() for value in (ours, theirs)
    )
    assert torch.nn.functional.cosine_similarity(first, second, dim=0) < 0.99


def test_a_default_margin_that_is_said_is_the_default():
    import inspect

    losses = pytest.importorskip("pytorch_metric_learning.losses", reason="losscope[peers]")
    others = pytest.importorskip(
        "sentence_transformers.sentence_transformer.losses", reason="losscope[peers]"
    )
    said = [
        (losses.TripletMarginLoss, "margin", 0.05),
        (losses.NTXentLoss, "temperature", 0.07),
        (losses.NCALoss, "softmax_scale", 1),
        (losses.ArcFaceLoss, "margin", 28.6),
        (others.BatchAllTripletLoss, "margin", 5),
        (others.TripletLoss, "triplet_margin", 5),
        (others.ContrastiveLoss, "margin", 0.5),
    ]
    for kind, name, value in said:
        assert inspect.signature(kind).parameters[name].default == value


def test_every_loss_has_a_peer_and_every_read_version_is_named():
    sound = {name for name in registry.entries("loss") if not registry.entry("loss", name).facts.faulty}
    assert {peer.loss for peer in peers.PEERS} == sound
    assert {peer.package for peer in peers.PEERS if peer.kind == "read"} == set(peers.READ)


@pytest.mark.parametrize(
    ("place", "package", "module"),
    [
        (3, peers.PML, "pytorch_metric_learning.losses"),
        (4, peers.ST, "sentence_transformers.sentence_transformer.losses"),
    ],
)
def test_readme_counts_the_losses_of_the_peers_and_ours(place, package, module):
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    cells = [
        cell.strip()
        for line in readme.splitlines()
        if line.startswith("| losses |")
        for cell in line.split("|")
    ]
    ours = [name for name in registry.entries("loss") if not registry.entry("loss", name).facts.faulty]
    assert cells[2].startswith(f"{len(ours)}, ")
    losses = pytest.importorskip(module, reason="losscope[peers]")
    if f"{package} {peers.installed(package)}" not in readme:
        pytest.skip(f"README is about another version of {package}")
    assert int(cells[place]) == sum(name.endswith("Loss") for name in dir(losses))
