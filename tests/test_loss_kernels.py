"""The kernels beneath the losses, the losses as modules, and the peers' same forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from loss_cases import (
    CLASSES,
    FREE,
    HINGES,
    LOSSES,
    PROXY,
    SIZE,
    VARIANTS,
    call,
    extra,
    reduced,
    seeded,
    vectors,
)
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.registry import entry
from losscope.losses import loss as drop_in
from losscope.pairs import Relation, normalise, reduce
from losscope.pairs.kernels import aligned, dispatch, torch_backend
from oracles import Case


@pytest.mark.parametrize(("name", "words"), VARIANTS)
def test_other_devices_take_the_same_steps(
    name: str, words: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps for accelerators, in torch, run here on the CPU in place of NumPy's."""
    labels = torch.randint(CLASSES, (2, 12), generator=seeded(6))
    z, more = vectors(2, 12, SIZE), extra(name, 2)
    z[:, 5] = z[:, 4]
    same, valid = torch.rand(2, 6, generator=seeded(8)) > 0.4, torch.rand(2, 6, generator=seeded(9)) > 0.2
    relations = [Relation.from_labels(labels)]
    if name in FREE:
        relations += [
            Relation.from_partners(same),
            Relation.from_partners(same, valid),
            Relation.from_triples(4),
        ]
        relations += [Relation.from_partners(torch.ones(6, dtype=torch.bool))]

    def run() -> list[Tensor]:
        found = []
        for relation in relations:
            inputs = z.clone().requires_grad_()
            terms = call(name, inputs, relation, **more, **words)
            weight = torch.randn(terms.value.shape, generator=seeded(7), dtype=torch.float64)
            slope, even = (
                torch.autograd.grad(loss.sum(), inputs, retain_graph=True)[0]
                for loss in (terms.value * weight, reduced(name, inputs, relation, **more, **words))
            )
            active = terms.valid if terms.active is None else terms.active
            found += [terms.value.detach(), slope, even, active.double(), terms.valid.double()]
        return found

    usual = run()
    monkeypatch.setattr(dispatch, "backend_of", lambda tensor: torch_backend)
    monkeypatch.setattr(aligned, "bare", Tensor.detach)
    for here, there in zip(usual, run(), strict=True):
        assert torch.allclose(here, there, atol=1e-12)


class TestTripletSlopes:
    """The sorted positives and bucketed negatives against all triplets, in the same float32 comparisons."""

    @staticmethod
    def check(reach: Tensor, labels: Tensor, margin: float) -> None:
        positive, negative = Relation.from_labels(labels).masks()
        terms = (reach.unsqueeze(-1) + margin) - reach.unsqueeze(-2)
        known = positive.unsqueeze(-1) & negative.unsqueeze(-2)
        live = (reach.unsqueeze(-1) + margin > reach.unsqueeze(-2)) & known
        slope = reach.clone()
        value, active = dispatch.triplet_slopes(slope, positive, negative, margin)
        assert torch.equal(active, live.sum((-2, -1)))
        assert torch.equal(slope, (live.sum(-1) - live.sum(-2)).to(reach.dtype))
        exact = (terms.double() * live).sum((-2, -1))
        assert torch.allclose(value.double(), exact, rtol=1e-5, atol=1e-5 * reach.max().item())

    @given(
        seed=st.integers(0, 2**31),
        rows=st.integers(2, 70),
        classes=st.integers(1, 9),
        margin=st.sampled_from([1e-6, 0.05, 0.5, 3.0, 100.0]),
        kind=st.sampled_from(["even", "ties", "clusters", "outlier", "tiny", "huge", "equal"]),
    )
    def test_any_spread(self, seed: int, rows: int, classes: int, margin: float, kind: str) -> None:
        generator = seeded(seed)
        reach = torch.rand(rows, rows, generator=generator)
        if kind == "ties":
            reach = (reach * 5).floor() / 4
        elif kind == "clusters":
            reach = reach * 1e-5 + (torch.rand(rows, rows, generator=generator) * 3).floor()
        elif kind == "outlier":
            reach[:, -1] = 1e6
        elif kind == "tiny":
            reach = reach * 1e-30
        elif kind == "huge":
            reach = reach * 1e30
        elif kind == "equal":
            reach = torch.ones(rows, rows)
        labels = torch.randint(classes, (rows,), generator=generator)
        self.check(reach, labels, margin)

    @pytest.mark.parametrize("classes", [1, 2, 30])
    def test_many_blocks_and_long_searches(self, classes: int) -> None:
        """More rows than a block, and a class whose distances crowd into one cell of the grid."""
        rows = 300
        reach = torch.rand(rows, rows, generator=seeded(0)) * 1e-4
        reach[:, ::7] += 1.0
        labels = torch.arange(rows) % classes
        labels[:150] = 0
        self.check(reach, labels, 1e-5)


class TestModule:
    @pytest.mark.parametrize("name", LOSSES)
    def test_is_the_function_reduced(self, name: str) -> None:
        loss = drop_in(name, num_classes=CLASSES, embedding_size=SIZE)
        z, labels = torch.randn(9, SIZE, generator=seeded(3)), torch.arange(9) % CLASSES
        facts = entry("loss", name).facts
        more = {"class_vectors": loss.class_vectors} if name in PROXY else {}
        points = normalise(z) if facts.normalised else z
        expected = reduced(
            name, points, Relation.from_labels(labels), **facts.defaults.get("matched", {}), **more
        )
        assert torch.equal(loss(z, labels), expected)
        assert loss(z, labels).shape == ()
        assert len(list(loss.parameters())) == len(more)

    @pytest.mark.parametrize("name", FREE)
    def test_references_are_the_only_partners(self, name: str) -> None:
        z, labels = vectors(4, SIZE).requires_grad_(), torch.tensor([0, 1, 0, 2])
        ref, ref_labels = vectors(5, SIZE, seed=1).requires_grad_(), torch.tensor([0, 1, 1, 2, 0])
        both = Case(9, labels=[*labels.tolist(), *ref_labels.tolist()], modality=[0] * 4 + [1] * 5)
        one_way = Case(9, pairs=[pair for pair in both.listed() if pair[0] < 4])
        spec = drop_in(name).spec
        if name == "triplet":
            one_way = Case(9, triplets=one_way.all_triplets())
        words = dict(spec.hyperparameters)
        if "in_batch" in words:
            words["in_batch"] = False
        points = torch.cat((z, ref))
        points = normalise(points) if spec.facts.normalised else points
        expected = reduced(name, points, one_way.relation(), **words)
        found = drop_in(name)(z, labels, ref_emb=ref, ref_labels=ref_labels)
        assert torch.allclose(found, expected, atol=1e-9)
        slopes = [torch.autograd.grad(loss, (z, ref)) for loss in (found, expected)]
        assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*slopes, strict=True))

    @pytest.mark.parametrize("tuples", ["random", "hard", "semihard", "distance_weighted"])
    @pytest.mark.parametrize("name", HINGES)
    def test_draws_tuples_by_its_seed(self, name: str, tuples: str) -> None:
        z, labels = torch.randn(12, SIZE, generator=seeded(3)), torch.arange(12) % CLASSES
        first, again = (drop_in(name, tuples=tuples, seed=5)(z, labels) for _ in range(2))
        assert torch.equal(first, again) and torch.isfinite(first)

    def test_the_registry_is_read_when_it_is_made_and_never_after(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loss = drop_in("triplet", tuples="hard")
        z, labels = torch.randn(9, SIZE, generator=seeded(3)), torch.arange(9) % CLASSES
        expected = loss(z, labels)

        def refuse(*_: object) -> None:
            raise AssertionError("the registry was read in a step")

        monkeypatch.setattr(registry, "entry", refuse)
        monkeypatch.setattr(registry, "entries", refuse)
        assert torch.equal(loss(z, labels), expected)
        with pytest.raises(AssertionError, match="in a step"):
            drop_in("triplet")

    def test_mistakes_are_told(self) -> None:
        z = torch.zeros(4, SIZE)
        with pytest.raises(LosscopeError, match=r"labels have shape \(4, 1\)"):
            drop_in("triplet")(z, torch.zeros(4, 1).long())
        with pytest.raises(LosscopeError, match="integers"):
            drop_in("triplet")(z, torch.zeros(4))
        with pytest.raises(LosscopeError, match="without ref_labels"):
            drop_in("triplet")(z, torch.zeros(4).long(), ref_emb=z)
        with pytest.raises(LosscopeError, match="num_classes"):
            drop_in("arcface")
        with pytest.raises(LosscopeError, match="no use for it"):
            drop_in("arcface", num_classes=2, embedding_size=SIZE)(z, torch.zeros(4).long(), ref_emb=z)
        with pytest.raises(LosscopeError, match="did you mean 'triplet'"):
            drop_in("tripet")
        with pytest.raises(LosscopeError, match="margin"):
            drop_in("triplet", margn=0.1)
        with pytest.raises(LosscopeError, match="greater than 0"):
            drop_in("triplet", margin=-1.0)
        with pytest.raises(LosscopeError, match="unknown reduction"):
            drop_in("triplet", reduction="balanced")
        with pytest.raises(LosscopeError, match="not a loss of this package"):
            drop_in("raw")
        with pytest.raises(LosscopeError, match="takes every row"):
            drop_in("sup_con", tuples="hard")
        with pytest.raises(LosscopeError, match="at least 0 is wanted"):
            drop_in("n_pair", l2_weight=-0.1)(z, torch.zeros(4).long())


class TestPeers:
    """The same forms in pytorch-metric-learning and sentence-transformers, value and gradient to 1e-5."""

    @pytest.fixture
    def pml(self) -> Any:
        return pytest.importorskip("pytorch_metric_learning", reason="a peer, installed with losscope[peers]")

    @pytest.mark.parametrize("rows", [24, 160])
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            ("triplet(margin=0.2)", "TripletMarginLoss(margin=0.2, reducer=MeanReducer())"),
            ("triplet(margin=0.2, reduction=active_mean)", "TripletMarginLoss(margin=0.2)"),
            (
                "triplet(margin=0.2, squared=True)",
                "TripletMarginLoss(margin=0.2, distance=LpDistance(power=2), reducer=MeanReducer())",
            ),
            ("info_nce(temperature=0.2)", "NTXentLoss(temperature=0.2)"),
            ("sup_con(temperature=0.2)", "SupConLoss(temperature=0.2)"),
            ("arcface(margin=0.5, scale=16)", f"ArcFaceLoss(10, 16, margin={math.degrees(0.5)}, scale=16)"),
            ("center_contrastive(margin=0.2, scale=16)", "CosFaceLoss(10, 16, margin=0.2, scale=16)"),
            ("multi_similarity", "MultiSimilarityLoss()"),
            (
                "multi_similarity(alpha=1, beta=20, base=0.2)",
                "MultiSimilarityLoss(alpha=1, beta=20, base=0.2)",
            ),
            ("circle", "CircleLoss()"),
            ("circle(margin=0.25, scale=16)", "CircleLoss(m=0.25, gamma=16)"),
            ("proxy_anchor", "ProxyAnchorLoss(10, 16)"),
            ("proxy_anchor(margin=0.2, scale=8)", "ProxyAnchorLoss(10, 16, margin=0.2, alpha=8)"),
            ("proxy_nca", "ProxyNCALoss(10, 16, softmax_scale=9)"),
            ("proxy_nca(temperature=0.5)", "ProxyNCALoss(10, 16, softmax_scale=2)"),
        ],
    )
    def test_pytorch_metric_learning(self, pml: Any, ours: str, theirs: str, rows: int) -> None:
        from pytorch_metric_learning import distances, losses, reducers

        names = {**vars(losses), **vars(reducers), **vars(distances)}
        peer = eval(theirs, names)
        loss = drop_in(ours, num_classes=10, embedding_size=16)
        if hasattr(peer, "W"):
            peer.W.data = loss.class_vectors.data.T.clone()
        if hasattr(peer, "proxies"):
            peer.proxies.data = loss.class_vectors.data.clone()
        z = vectors(rows, 16, dtype=torch.float32).requires_grad_()
        labels = torch.randint(10, (rows,), generator=seeded(1))
        self.same(loss(z, labels), peer(z, labels), z)

    def test_n_pair_of_pytorch_metric_learning_on_pairs(self, pml: Any) -> None:
        from pytorch_metric_learning import distances, losses, reducers

        peer = losses.NPairsLoss(
            distance=distances.DotProductSimilarity(normalize_embeddings=False),
            reducer=reducers.MeanReducer(),
        )
        z = vectors(16, 8, dtype=torch.float32).requires_grad_()
        labels = torch.arange(8).repeat(2)
        relation = Relation.from_partners(torch.ones(8, dtype=torch.bool))
        self.same(reduced("n_pair", z, relation, l2_weight=0.0), peer(z, labels), z)

    @pytest.mark.parametrize("rows", [8, 96])
    def test_sentence_transformers(self, rows: int) -> None:
        losses = pytest.importorskip("sentence_transformers.losses", reason="a peer, losscope[peers]")
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(modules=[torch.nn.Identity()], device="cpu")
        z = vectors(rows, 16, dtype=torch.float32).requires_grad_()
        half = [{"sentence_embedding": part} for part in (z[: rows // 2], z[rows // 2 :])]
        same = torch.rand(rows // 2, generator=seeded(0)) > 0.5
        partners = Relation.from_partners(same)
        contrastive = losses.ContrastiveLoss(
            model, distance_metric=losses.SiameseDistanceMetric.EUCLIDEAN, margin=1.0
        )
        # Theirs has the ½ of the paper's text, and torch's pairwise distance adds 1e-6 to the difference.
        self.same(
            reduced("contrastive", z, partners, margin=1.0) / 2,
            contrastive(half, same.int()),
            z,
            tolerance=2e-5,
        )
        ranking = losses.MultipleNegativesRankingLoss(model, scale=20.0)
        text = Relation.from_partners(torch.ones(rows // 2, dtype=torch.bool))
        # Theirs normalises inside, so its gradient has no part along a vector.
        self.same(reduced("info_nce", normalise(z), text, temperature=0.05), ranking(half, torch.zeros(0)), z)
        labels = torch.randint(5, (rows,), generator=seeded(1))
        batch_all = losses.BatchAllTripletLoss(model, margin=0.3)
        theirs = batch_all([{"sentence_embedding": z}], labels)
        terms = call("triplet", z, Relation.from_labels(labels), margin=0.3)
        self.same(reduce(terms, "active_mean"), theirs, z)

    @staticmethod
    def same(ours: Tensor, theirs: Tensor, z: Tensor, tolerance: float = 1e-5) -> None:
        assert torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)
        first, second = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
        assert first.abs().max() > 1e-4
        assert torch.allclose(first, second, rtol=tolerance, atol=tolerance)
