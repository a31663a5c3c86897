"""Relations, distances, reductions and tuple sampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from losscope.core.errors import LosscopeError
from losscope.pairs import (
    TUPLES,
    Pairs,
    Partners,
    Relation,
    Terms,
    Triplets,
    normalise,
    pair_distances,
    reduce,
    row_distances,
    sample,
    squared_distances,
)
from losscope.pairs.distances import pull
from losscope.pairs.products import matmul, product
from losscope.pairs.relation import counted
from losscope.pairs.sampling import Kind


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generators(members: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, member]) for member in range(members)]


class TestRelation:
    @given(st.lists(st.integers(-1, 2), min_size=1, max_size=9), st.booleans(), st.data())
    def test_masks_of_labels(self, labels: list[int], two: bool, data: st.DataObject) -> None:
        rows = len(labels)
        modality = data.draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows)) if two else None
        anchors = data.draw(st.none() | st.integers(0, rows))
        given_modality = None if modality is None else torch.tensor(modality)
        relation = Relation.from_labels(torch.tensor(labels), given_modality, anchors=anchors)
        positive, negative = relation.masks()
        for i, j in itertools.product(range(rows), repeat=2):
            known = i != j and (modality is None or modality[i] != modality[j])
            known = known and (anchors is None or i < anchors)
            assert positive[i, j] == (known and labels[i] == labels[j])
            assert negative[i, j] == (known and labels[i] != labels[j])
        counts = relation.counts(positive, negative)
        assert torch.equal(counts[0], positive.sum(-1))
        assert torch.equal(counts[1], negative.sum(-1))

    def test_masks_of_explicit_tuples_have_only_the_valid_ones(self) -> None:
        i, j, same = torch.tensor([[0, 0, 1, 2], [2, 1, 2, 0], [1, 0, 1, 0]])
        valid = torch.tensor([True, True, True, False])
        positive, negative = Relation.from_pairs(i, j, same.bool(), rows=3, valid=valid).masks()
        assert positive.nonzero().tolist() == [[0, 2], [1, 2]]
        assert negative.nonzero().tolist() == [[0, 1]]
        positive, negative = Relation.from_triples(1).masks()
        assert (positive.nonzero().tolist(), negative.nonzero().tolist()) == ([[0, 1]], [[0, 2]])

    def test_aligned_columns(self) -> None:
        assert [c.tolist() for c in Relation.from_partners(torch.tensor([True, False])).columns] == [
            [0, 1],
            [2, 3],
        ]
        assert [c.tolist() for c in Relation.from_triples(2).columns] == [[0, 1], [2, 3], [4, 5]]

    def test_large_ids_stay_distinct(self) -> None:
        for base in (2**24, 2**31, 2**53, -(2**40)):
            positive, _ = Relation.from_labels(torch.tensor([base, base + 1, base])).masks()
            assert positive.nonzero().tolist() == [[0, 2], [2, 0]]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Relation.from_labels(torch.tensor([0.0, 1.0])), "labels have dtype float32"),
            (lambda: Relation.from_labels(torch.tensor([True])), "labels have dtype bool"),
            (lambda: Relation.from_labels(torch.tensor(3)), "single number"),
            (lambda: Relation.from_labels(torch.arange(3), torch.arange(2)), "modality has shape"),
            (lambda: _pairs([0], [3], [1], rows=3), "outside 0..2"),
            (lambda: _pairs([0], [-1], [1], rows=3), "outside 0..2"),
            (lambda: _pairs([0, 1], [1, 0], [1], rows=3), "same has shape"),
            (lambda: _pairs([0.0], [1.0], [1], rows=3), "row numbers"),
            (lambda: Relation.from_labels(torch.zeros(4, 1).long()).check(torch.zeros(4, 2)), "1 rows"),
            (lambda: Relation.from_labels(torch.zeros(2, 4).long()).check(torch.zeros(4, 2)), "leading"),
        ],
    )
    def test_mistakes_are_told(self, make, message: str) -> None:
        with pytest.raises(LosscopeError, match=message):
            make()

    def test_moves_between_devices_whole(self) -> None:
        valid = torch.tensor([True])
        labels = Relation.from_labels(torch.tensor([0, 1]), torch.tensor([0, 1]), anchors=1).to("meta")
        assert labels.anchors == 1
        assert {part.device.type for part in (labels.labels, labels.modality)} == {"meta"}
        pairs = _pairs([0], [1], [1], rows=2).to("meta")
        assert {part.device.type for part in (*pairs.columns, pairs.same)} == {"meta"}
        triplets = Relation.from_triplets(*torch.tensor([[0], [1], [2]]), rows=3, valid=valid).to("meta")
        assert {part.device.type for part in (*triplets.columns, triplets.valid)} == {"meta"}
        partners = Relation.from_partners(valid, valid).to("meta")
        assert partners.aligned
        assert {part.device.type for part in (*partners.columns, partners.valid)} == {"meta"}

    @pytest.mark.parametrize(
        "relation",
        [
            Relation.from_labels(torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])),
            Relation.from_labels(torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]]), torch.tensor([0, 1, 0, 1])),
            Relation.from_labels(torch.arange(8).view(2, 4) // 2, torch.arange(8).view(2, 4) % 2, anchors=2),
            Relation.from_pairs(
                torch.tensor([[0, 1], [2, 3]]),
                torch.tensor([[1, 2], [3, 0]]),
                torch.tensor([[True, False], [False, True]]),
                rows=4,
            ),
            Relation.from_triplets(
                *torch.tensor([[[0], [1]], [[1], [2]], [[2], [3]]]),
                rows=4,
                valid=torch.tensor([[True], [False]]),
            ),
            Relation.from_partners(torch.tensor([[True, False], [False, False]])),
            Relation.from_triples(1, torch.tensor([[True], [False]])),
        ],
        ids=str,
    )
    def test_a_member_is_its_part_of_the_population(self, relation: Relation) -> None:
        whole = relation.masks()
        for member in range(2):
            own = relation.member(member)
            assert type(own) is type(relation) and own.rows == relation.rows
            for mask, part in zip(whole, own.masks(), strict=True):
                assert torch.equal(part, mask[member])
            counts = own.counts(*own.masks())
            assert all(torch.equal(n, mask.sum(-1)) for n, mask in zip(counts, own.masks(), strict=True))

    def test_what_all_members_share_is_each_member_s(self) -> None:
        triplets = Relation.from_triplets(*torch.tensor([[0], [1], [2]]), rows=3)
        assert [column.tolist() for column in triplets.member(4).columns] == [[0], [1], [2]]
        labels = Relation.from_labels(torch.tensor([0, 1, 1]))
        assert labels.member(4).labels.tolist() == [0, 1, 1]

    def test_triplets_as_pairs_know_what_triplets_know(self) -> None:
        valid = torch.tensor([True, False])
        for triplets in (
            Relation.from_triples(2, valid),
            Relation.from_triplets(*torch.arange(6).view(3, 2), rows=6, valid=valid),
        ):
            pairs = triplets.as_pairs()
            for mask, own in zip(triplets.masks(), pairs.masks(), strict=True):
                assert torch.equal(mask, own)

    def test_the_base_is_abstract_and_the_kinds_are_values(self) -> None:
        with pytest.raises(TypeError, match="abstract"):
            Relation(rows=3)
        with pytest.raises(AttributeError):
            Relation.from_triples(1).rows = 4


def _pairs(i, j, same, rows):
    return Relation.from_pairs(torch.tensor(i), torch.tensor(j), torch.tensor(same), rows=rows)


class TestDistances:
    @given(
        st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**31), st.sampled_from([0.0, 1e-5, 1.0, 1e3])
    )
    def test_against_differences(self, rows: int, size: int, seed: int, spread: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        centre = torch.randn(size, generator=generator, dtype=torch.float64)
        z = centre + spread * torch.randn(rows, size, generator=generator, dtype=torch.float64)
        z[rows // 2 :] = z[: rows - rows // 2].clone()
        exact = (z[:, None] - z[None]).square().sum(-1).sqrt()
        found = pair_distances(z)
        assert torch.equal(found.diagonal(), torch.zeros(rows, dtype=torch.float64))
        assert (found == 0)[exact == 0].all()
        assert torch.allclose(found, exact, rtol=1e-9, atol=1e-12)
        single = pair_distances(z.float())
        exact = (z.float().double()[:, None] - z.float().double()[None]).square().sum(-1).sqrt()
        assert torch.allclose(single.double(), exact, rtol=2e-5, atol=1e-12)

    def test_duplicates_of_unit_vectors_are_at_0(self) -> None:
        z = normalise(torch.randn(300, 64, generator=torch.Generator().manual_seed(0)))
        z[100:200] = z[:100]
        squared = squared_distances(z)
        assert torch.equal(squared.diagonal(), torch.zeros(300))
        assert torch.equal(squared[torch.arange(100), torch.arange(100, 200)], torch.zeros(100))

    @pytest.mark.parametrize("rows", [256, 257])
    def test_gradient_of_few_and_of_many_rows(self, rows: int) -> None:
        z = torch.randn(2, rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        weight = torch.randn(2, rows, rows, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        between = z[:, :, None] - z[:, None]
        naive = ((weight + weight.mT)[..., None] * between).sum(2)
        torch.testing.assert_close(pull(weight, z), naive)

    def test_gradient_against_differences_and_finite_at_0(self) -> None:
        z = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        z[4] = z[2]
        z.requires_grad_()
        weight = torch.randn(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        (found,) = torch.autograd.grad((pair_distances(z) * weight).sum(), z)
        naive = sum(
            weight[i, j] * (z[i] - z[j]).norm()
            for i, j in itertools.product(range(7), repeat=2)
            if not torch.equal(z[i], z[j])
        )
        (expected,) = torch.autograd.grad(naive, z)
        assert torch.allclose(found, expected, atol=1e-12)

    def test_row_distances_have_zero_gradient_at_0(self) -> None:
        a = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        d = row_distances(a, torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
        (gradient,) = torch.autograd.grad(d.sum(), a)
        assert d.tolist() == [0.0, 2.0]
        assert gradient.tolist() == [[0.0, 0.0], [0.0, 1.0]]

    def test_half_precision_is_widened(self) -> None:
        z = torch.randn(4, 3).half()
        assert pair_distances(z).dtype == normalise(z).dtype == row_distances(z, z).dtype == torch.float32

    def test_normalise_leaves_zero_rows(self) -> None:
        z = torch.tensor([[0.0, 0.0], [0.0, 2.0]], requires_grad=True)
        unit = normalise(z)
        unit.sum().backward()
        assert unit.tolist() == [[0, 0], [0, 1]]
        assert z.grad is not None and z.grad.tolist() == [[0, 0], [0.5, 0]]

    def test_normalise_gradient(self) -> None:
        z = torch.randn(2, 3, 4, dtype=torch.float64, generator=seeded(0)).requires_grad_()
        assert torch.autograd.gradcheck(normalise, z)

    @pytest.mark.parametrize(("rows", "size"), [(64, 32), (50, 7), (33, 3), (126, 10)])
    def test_products_are_bitwise_those_of_a_member_alone(self, rows: int, size: int) -> None:
        generator = torch.Generator().manual_seed(3)
        a, b = (
            torch.randn(4, rows, rows, generator=generator),
            torch.randn(4, rows, size, generator=generator),
        )
        whole, turned = product(a, b), product(a.mT, b)
        assert torch.allclose(whole, a @ b, atol=1e-4)
        for member in range(4):
            own = slice(member, member + 1)
            assert torch.equal(whole[own], product(a[own].clone(), b[own].clone()))
            assert torch.equal(turned[own], product(a[own].clone().mT, b[own].clone()))

    def test_matmul_gradient(self) -> None:
        a = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
        b = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(matmul, (a, b))


class TestReduce:
    terms = Terms(
        torch.tensor([[6.0, 1.0], [0.0, 3.0]]),
        torch.tensor([[1, 1], [0, 2]]),
        torch.tensor([[2, 4], [1, 4]]),
        True,
    )

    @pytest.mark.parametrize(
        ("reduction", "expected"),
        [("valid_mean", 10 / 11), ("active_mean", 10 / 4), ("balanced", (6 / 3 + 4 / 8) / 2)],
    )
    def test_paired(self, reduction: str, expected: float) -> None:
        assert reduce(self.terms, reduction).item() == pytest.approx(expected)

    def test_members_apart(self) -> None:
        value = torch.arange(6.0).view(2, 3)
        terms = Terms(value, torch.ones(2, 3).long(), torch.full((2, 3), 2))
        assert reduce(terms, "valid_mean").tolist() == [3 / 6, 12 / 6]
        assert [total.tolist() for total in terms.totals()] == [[3, 3], [6, 6]]

    def test_no_term_is_zero_with_zero_gradient(self) -> None:
        value = torch.zeros(2, 3, requires_grad=True)
        terms = Terms(value * 2, torch.zeros(2, 3).long(), torch.zeros(2, 3).long())
        for reduction in ("valid_mean", "active_mean"):
            loss = reduce(terms, reduction)
            (gradient,) = torch.autograd.grad(loss.sum(), value, retain_graph=True)
            assert loss.tolist() == [0, 0]
            assert torch.isfinite(gradient).all()

    def test_mistakes_are_told(self) -> None:
        softmax = Terms(torch.ones(2), None, torch.ones(2).long())
        with pytest.raises(LosscopeError, match="did you mean 'valid_mean'"):
            reduce(softmax, "valid_men")
        with pytest.raises(LosscopeError, match="no active terms"):
            reduce(softmax, "active_mean")
        with pytest.raises(LosscopeError, match="positives and negatives apart"):
            reduce(softmax, "balanced")


def _labelled(seed: int, rows: int = 12, classes: int = 3) -> tuple[Relation, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (rows,), generator=generator)
    z = normalise(torch.randn(rows, 4, generator=generator, dtype=torch.float64))
    relation = Relation.from_labels(labels)
    return relation, pair_distances(z), *relation.masks()


class TestSample:
    @given(st.integers(0, 10**6), st.sampled_from(["random", "hard", "semihard", "distance_weighted"]))
    def test_tuples_are_known_ones(self, seed: int, tuples: str) -> None:
        relation, distances, positive, negative = _labelled(seed)
        triplets = sample(relation, tuples, distances, generators(1, seed), into=Triplets, dimension=4)
        a, p, n = triplets.columns
        assert positive[a, p][triplets.valid].all()
        assert negative[a, n][triplets.valid].all()
        pairs = sample(relation, tuples, distances, generators(1, seed), into=Pairs, dimension=4)
        i, j = pairs.columns
        assert torch.where(pairs.same, positive[i, j], negative[i, j])[pairs.valid].all()
        each = torch.bincount(a[triplets.valid], minlength=12)
        complete = positive.any(-1) & negative.any(-1)
        wanted = complete.long() if tuples in ("random", "hard") else positive.sum(-1) * complete
        assert torch.equal(each, wanted)
        if tuples == "random":
            assert torch.equal(torch.bincount(i[pairs.valid], minlength=12), torch.ones(12).long())

    @given(st.integers(0, 10**6))
    def test_hard_and_semihard_against_loops(self, seed: int) -> None:
        relation, d, positive, negative = _labelled(seed)
        hard, semihard = set(), set()
        for a in range(12):
            ps, ns = positive[a].nonzero().flatten().tolist(), negative[a].nonzero().flatten().tolist()
            if ps and ns:
                hard.add((a, max(ps, key=lambda p: d[a, p]), min(ns, key=lambda n: d[a, n])))
                for p in ps:
                    farther = [n for n in ns if d[a, n] > d[a, p]]
                    choice = (
                        min(farther, key=lambda n: d[a, n]) if farther else max(ns, key=lambda n: d[a, n])
                    )
                    semihard.add((a, p, choice))
        for tuples, expected in (("hard", hard), ("semihard", semihard)):
            found = sample(relation, tuples, d, into=Triplets)
            columns = zip(*(column[found.valid].tolist() for column in found.columns), strict=True)
            assert set(columns) == expected

    def test_random_is_uniform(self) -> None:
        labels = torch.tensor([0, 0, 0, 1, 1]).expand(4000, 5)
        drawn = sample(Relation.from_labels(labels), "random", None, generators(4000), into=Triplets)
        _, p, n = drawn.columns
        assert torch.bincount(p[:, 0], minlength=5)[[1, 2]].float().div(4000).sub(1 / 2).abs().max() < 0.03
        assert torch.bincount(n[:, 3], minlength=5)[[0, 1, 2]].float().div(4000).sub(1 / 3).abs().max() < 0.03
        pairs = sample(Relation.from_labels(labels), "random", None, generators(4000), into=Pairs)
        assert abs(pairs.same[:, 0].float().mean() - 0.5) < 0.03
        other = pairs.columns[1][:, 0][~pairs.same[:, 0]]
        assert (
            torch.bincount(other, minlength=5)[[3, 4]].float().div(len(other)).sub(1 / 2).abs().max() < 0.04
        )

    def test_distance_weighted_follows_the_inverse_density(self) -> None:
        size = 8
        z = normalise(torch.randn(6, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5)))
        labels = torch.tensor([0, 0, 1, 2, 3, 4])
        d = pair_distances(z)
        with_copies = Relation.from_labels(labels.expand(4000, 6))
        drawn = sample(
            with_copies,
            "distance_weighted",
            d.expand(4000, 6, 6),
            generators(4000),
            into=Triplets,
            dimension=size,
        )
        a, _, n = drawn.columns
        first = n[:, a[0] == 0][:, 0]
        reach = d[0, 2:].clamp_min(0.5)
        density = reach ** (size - 2) * (1 - reach**2 / 4) ** ((size - 3) / 2)
        weight = torch.where(d[0, 2:] < 1.4, 1 / density, 0.0)
        share = torch.bincount(first, minlength=6)[2:].double() / 4000
        assert (share - weight / weight.sum()).abs().max() < 0.03

    @pytest.mark.parametrize("tuples", [name for name in TUPLES if name != "all"])
    @pytest.mark.parametrize("into", [Pairs, Triplets])
    def test_a_member_draws_the_same_alone(self, tuples: str, into: Kind) -> None:
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(4, (3, 10), generator=generator)
        d = pair_distances(normalise(torch.randn(3, 10, 4, generator=generator)))
        whole = sample(Relation.from_labels(labels), tuples, d, generators(3), into=into, dimension=4)
        for member in range(3):
            relation = Relation.from_labels(labels[member : member + 1])
            rng = [generators(3)[member]]
            alone = sample(relation, tuples, d[member : member + 1], rng, into=into, dimension=4)
            lists = []
            for drawn, row in ((whole, member), (alone, 0)):
                columns = [*drawn.columns, *([drawn.same] if isinstance(drawn, Pairs) else [])]
                lists.append([column[row][drawn.valid[row]].tolist() for column in columns])
            assert lists[0] == lists[1]

    def test_all_changes_nothing_and_mistakes_are_told(self) -> None:
        relation, d, _, _ = _labelled(0)
        assert sample(relation, "all", None, into=Pairs) is relation
        with pytest.raises(LosscopeError, match="did you mean 'semihard'"):
            sample(relation, "semihrd", d, into=Pairs)
        with pytest.raises(LosscopeError, match="chosen by distances"):
            sample(relation, "hard", None, into=Pairs)
        with pytest.raises(LosscopeError, match="one per member"):
            sample(relation, "random", d, [], into=Pairs)
        with pytest.raises(LosscopeError, match="without a dimension"):
            sample(relation, "distance_weighted", d, generators(1), into=Pairs)

    @pytest.mark.parametrize("tuples", TUPLES)
    @pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [4]])
    def test_without_any_tuple_nothing_is_valid(self, tuples: str, labels: list[int]) -> None:
        relation = Relation.from_labels(torch.tensor(labels))
        d = pair_distances(torch.randn(len(labels), 3))
        drawn = sample(relation, tuples, d, generators(1), into=Triplets, dimension=3)
        positive, negative = drawn.masks()
        assert not (positive.any(-1) & negative.any(-1)).any()


class TestPartners:
    def test_every_partner_of_the_set_is_equally_likely(self) -> None:
        labels = np.array([7, -1, 7, 3, -1, 7])
        steps = (np.arange(600) + 0.5) / 600
        uniforms = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1)
        partners = Partners(labels)
        for anchor in range(6):
            at = np.full((600, 600), anchor)
            partner, same, valid = partners.draw_pairs(at, uniforms)
            assert valid.all() and same.mean() == 0.5
            assert np.array_equal(labels[partner] == labels[anchor], same)
            alike = (labels == labels[anchor]).sum()
            for j in range(6):
                share = 1 / alike if labels[j] == labels[anchor] else 1 / (6 - alike)
                assert (partner == j).mean() == pytest.approx(share / 2, abs=2e-3)
            positive, negative, valid = partners.draw_triplets(at, uniforms)
            assert valid.all()
            assert (labels[positive] == labels[anchor]).all() and (labels[negative] != labels[anchor]).all()
            assert set(positive.ravel()) == set(np.flatnonzero(labels == labels[anchor]))
            assert set(negative.ravel()) == set(np.flatnonzero(labels != labels[anchor]))

    def test_one_class_has_no_negatives(self) -> None:
        partners = Partners(np.zeros(4, int))
        uniforms = np.array([[0.1, 0.5], [0.9, 0.5]])
        partner, same, valid = partners.draw_pairs(np.array([0, 3]), uniforms)
        assert valid.tolist() == [True, False] and same.tolist() == [True, False]
        assert ((partner >= 0) & (partner < 4)).all()
        assert not partners.draw_triplets(np.array([0, 3]), uniforms)[2].any()


@pytest.mark.parametrize("shape", [(3000, 3000), (2, 3, 2001, 1001), (1, 2**22 + 1), (5, 0), (2**22 + 1, 1)])
def test_true_entries_are_counted_in_blocks(shape):
    """Above and below what is counted at once, with a last block that is not full."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.3
    found = counted(mask)
    assert found.dtype == torch.int64
    assert torch.equal(found, mask.sum(-1))
