"""Contracts that every registered loss keeps, against naive loops and against the peers' same forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import oracles
from losscope.errors import LosscopeError
from losscope.losses import module
from losscope.pairs import Relation, Terms, elsewhere, explicit, kernels, normalise, pair_distances, reduce
from losscope.registry import entries, entry
from oracles import Case

LOSSES = list(entries("loss"))
SOUND = [name for name in LOSSES if not entry("loss", name).facts.get("faulty")]
PROXY = [name for name in LOSSES if entry("loss", name).facts["class_vectors"]]
FREE = [name for name in LOSSES if name not in PROXY]
HINGES = [name for name in LOSSES if entry("loss", name).facts["hinge"]]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("contrastive", {"margin": 0.9}),
    ("contrastive", {"margin": 2.5}),
    ("contrastive_label_blind", {"margin": 0.9}),
    ("triplet", {"margin": 0.2}),
    ("triplet", {"margin": 1.7}),
    ("triplet", {"margin": 0.2, "squared": True}),
    ("n_pair", {"l2_weight": 0.02}),
    ("n_pair", {"l2_weight": 0.0}),
    ("info_nce", {"temperature": 0.5}),
    ("info_nce", {"temperature": 0.05}),
    ("sup_con", {"temperature": 0.5}),
    ("sup_con", {"temperature": 0.05}),
    ("arcface", {"margin": 0.5, "scale": 8.0}),
    ("center_contrastive", {"margin": 0.2, "scale": 8.0}),
]
CLASSES = 4
SIZE = 3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vectors(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return normalise(torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)).to(dtype)


def extra(name: str, *lead: int, seed: int = 9, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    if name not in PROXY:
        return {}
    return {"class_vectors": torch.randn(*lead, CLASSES, SIZE, generator=seeded(seed), dtype=dtype)}


def call(name: str, z: Tensor, relation: Relation, **words: Any) -> Terms:
    return entry("loss", name).load()(z, relation, **words)


def reduced(name: str, z: Tensor, relation: Relation, **words: Any) -> Tensor:
    return reduce(call(name, z, relation, **words), "valid_mean")


def gradient(name: str, z: Tensor, relation: Relation, **words: Any) -> Tensor:
    z = z.detach().clone().requires_grad_()
    return torch.autograd.grad(reduced(name, z, relation, **words).sum(), z)[0]


def check_against_oracle(name: str, z: Tensor, case: Case, relation: Relation, **words: Any) -> None:
    """Value, counts and the gradient under arbitrary weights of the rows equal the loops'."""
    z = z.clone().requires_grad_()
    parameters = [z, *(w.requires_grad_() for w in words.values() if isinstance(w, Tensor) and w.dim() > 1)]
    terms = call(name, z, relation, **words)
    value, active, valid = getattr(oracles, name)(z, case, **words)
    assert terms.value.shape == value.shape
    assert torch.allclose(terms.value, value, rtol=1e-10, atol=1e-10)
    assert terms.valid.tolist() == valid and terms.valid.dtype == torch.int64
    if entry("loss", name).facts["hinge"]:
        assert terms.active is not None and terms.active.dtype == torch.int64
        assert terms.active.tolist() == active
    else:
        assert terms.active is None
    weight = torch.randn(value.shape, generator=seeded(7), dtype=value.dtype)
    found = torch.autograd.grad((terms.value * weight).sum(), parameters)
    expected = torch.autograd.grad((value * weight).sum(), parameters, materialize_grads=True)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_seven_losses_of_the_definitions_and_one_known_fault() -> None:
    seven = {"contrastive", "triplet", "n_pair", "info_nce", "sup_con", "arcface", "center_contrastive"}
    assert set(SOUND) == seven
    assert set(LOSSES) - seven == {"contrastive_label_blind"}


@pytest.mark.parametrize("name", LOSSES)
def test_declared_facts(name: str) -> None:
    found = entry("loss", name)
    facts, parameters = found.facts, found.parameters
    assert facts["form"] in ("pairs", "triplets", "anchors")
    assert facts["shape"] in ("squared hinge", "linear hinge", "softmax")
    assert facts["hinge"] == (facts["shape"] != "softmax")
    assert set(facts["reductions"]) <= {"valid_mean", "active_mean", "balanced"}
    assert facts["reductions"][0] == "valid_mean"
    assert "active_mean" not in facts["reductions"] or facts["hinge"]
    assert set(facts["units"]) | set(facts["positive"]) <= set(parameters)
    assert set(facts["defaults"]) == {"paper", "matched"}
    assert len(facts["space"]) == 6 and len({str(point) for point in facts["space"]}) == 6
    for point in [*facts["space"], *facts["defaults"].values()]:
        assert set(point) - {"reduction"} <= set(parameters)
        assert point.get("reduction", "valid_mean") in facts["reductions"]
        assert all(point[word] > 0 for word in facts["positive"] if word in point)
    assert "Source:" in found.doc and ">>>" in found.doc


@pytest.mark.parametrize("name", SOUND)
def test_defaults_lie_in_the_space(name: str) -> None:
    facts = entry("loss", name).facts
    matched = facts["defaults"]["matched"]
    assert any(
        all(matched[word] == point[word] for word in point if word in matched) for point in facts["space"]
    )


@pytest.mark.parametrize(("name", "words"), VARIANTS)
@pytest.mark.parametrize(
    "labels",
    [[0, 1, 0, 2, 1, 0, 3, 2], [0, 0, 0], [0, 1, 2, 3], [2], [0, 0, 1, 1, 2, 2, 3, 3], [1, 1, 1, 1, 0]],
    ids=lambda labels: "".join(map(str, labels)),
)
def test_on_labels(name: str, words: dict[str, Any], labels: list[int]) -> None:
    case = Case(len(labels), labels=labels)
    check_against_oracle(name, vectors(len(labels), SIZE), case, case.relation(), **extra(name), **words)


@given(st.data())
def test_any_labels_any_points(data: st.DataObject) -> None:
    """Small integers make ties, duplicates and terms exactly at the margin common."""
    labels = data.draw(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=7))
    rows = len(labels)
    point = st.lists(st.integers(-2, 2), min_size=SIZE, max_size=SIZE)
    z = torch.tensor(data.draw(st.lists(point, min_size=rows, max_size=rows)), dtype=torch.float64)
    modality = data.draw(st.none() | st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    margin = data.draw(st.sampled_from([0.25, 1.0, 2.0]))
    case = Case(rows, labels=labels, modality=modality)
    for name, words in VARIANTS:
        if name not in PROXY:  # their cosines want unit vectors
            words = {word: margin if word == "margin" else value for word, value in words.items()}
            check_against_oracle(name, z, case, case.relation(), **words)


PAIRS = [(0, 3, True), (1, 2, False), (0, 1, False), (2, 4, True), (0, 3, True), (4, 4, True), (3, 1, False)]
TRIPLETS = [(0, 1, 2), (0, 2, 1), (3, 4, 0), (0, 1, 2), (4, 3, 1)]


@pytest.mark.parametrize(("name", "words"), [one for one in VARIANTS if one[0] in FREE])
@pytest.mark.parametrize(
    "case", [Case(5, pairs=PAIRS), Case(5, triplets=TRIPLETS)], ids=["pairs", "triplets"]
)
def test_on_explicit_tuples(name: str, words: dict[str, Any], case: Case) -> None:
    if name == "contrastive_label_blind":
        ends = dict.fromkeys((i, j) for i, j, _ in case.listed())
        case = Case(case.rows, pairs=[(i, j, j in case.partners(i, True)) for i, j in ends])
    check_against_oracle(name, vectors(case.rows, SIZE), case, case.relation(), **words)


@pytest.mark.parametrize(("name", "words"), [one for one in VARIANTS if one[0] in FREE])
def test_aligned_rows_are_the_same_tuples(name: str, words: dict[str, Any]) -> None:
    pairs = Case(8, pairs=[(k, 4 + k, k != 2) for k in range(4)])
    triplets = Case(9, triplets=[(k, 3 + k, 6 + k) for k in range(3)])
    for case in (pairs, triplets):
        z = vectors(case.rows, SIZE)
        z[case.rows // 2] = z[0]
        check_against_oracle(name, z, case, case.aligned(), **words)


@pytest.mark.parametrize("name", FREE)
def test_tuples_that_are_not_valid_have_no_term(name: str) -> None:
    valid = torch.tensor([True, False, True, True])
    same = torch.tensor([True, True, False, True])
    keep = [k for k in range(4) if valid[k]]
    for whole, fewer, parts in (
        (Relation.from_partners(same, valid), Relation.from_partners(same[valid]), 2),
        (Relation.from_triples(4, valid), Relation.from_triples(3), 3),
        (_listed(Relation.from_partners(same), valid), Relation.from_partners(same[valid]), 2),
        (_listed(Relation.from_triples(4), valid), Relation.from_triples(3), 3),
    ):
        z = vectors(4 * parts, SIZE)
        rows = [4 * part + k for part in range(parts) for k in keep]
        first, second = call(name, z, whole), call(name, z[rows], fewer)
        assert torch.allclose(first.value[rows], second.value, atol=1e-12)
        assert torch.equal(first.valid[rows], second.valid)
        assert first.valid[1].sum() == 0 and first.value[1].sum() == 0
        found = gradient(name, z, whole)
        assert torch.allclose(found[rows], gradient(name, z[rows], fewer), atol=1e-12)
        left_out = [4 * part + 1 for part in range(parts)]
        if not entry("loss", name).facts.get("faulty"):
            assert (found[left_out] == 0).all()


def _listed(relation: Relation, valid: Tensor) -> Relation:
    if relation.form == "pairs":
        return Relation.from_pairs(*relation.columns, relation.same, rows=relation.rows, valid=valid)
    return Relation.from_triplets(*relation.columns, rows=relation.rows, valid=valid)


@pytest.mark.parametrize(("name", "words"), VARIANTS)
@pytest.mark.parametrize("lead", [(3,), (2, 2)])
def test_members_are_treated_alone(name: str, words: dict[str, Any], lead: tuple[int, ...]) -> None:
    labels = torch.randint(CLASSES, (*lead, 9), generator=seeded(4))
    z = vectors(*lead, 9, SIZE)
    more = extra(name, *lead)
    factors = torch.linspace(0.5, 1.5, math.prod(lead)).view(lead)
    swept = {
        word: value if isinstance(value, bool) else value * factors.double() for word, value in words.items()
    }
    whole = call(name, z, Relation.from_labels(labels), **more, **swept)
    slopes = gradient(name, z, Relation.from_labels(labels), **more, **swept)
    for member in np.ndindex(*lead):
        own = {
            word: value if isinstance(value, bool) else swept[word][member].item()
            for word, value in words.items()
        }
        vectors_ = {word: value[member] for word, value in more.items()}
        alone = call(name, z[member], Relation.from_labels(labels[member]), **vectors_, **own)
        assert torch.allclose(whole.value[member], alone.value, atol=1e-12)
        assert torch.equal(whole.valid[member], alone.valid)
        assert alone.active is None or torch.equal(whole.active[member], alone.active)
        slope = gradient(name, z[member], Relation.from_labels(labels[member]), **vectors_, **own)
        assert torch.allclose(slopes[member], slope, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [12, 50])
def test_members_are_bitwise_the_same_alone(name: str, rows: int) -> None:
    """Float32 on one thread; 50 rows do not start on a cache line of memory."""
    z = vectors(4, rows, SIZE, dtype=torch.float32)
    z[:, 3] = z[:, 4]
    labels = torch.randint(CLASSES, (4, rows), generator=seeded(2))
    same = torch.rand(4, rows // 2, generator=seeded(2)) > 0.5
    more = extra(name, 4, dtype=torch.float32)

    def run(members: slice, relation: Relation, reduction: str) -> list[Tensor]:
        inputs = [
            z[members].clone().requires_grad_(),
            *(v[members].clone().requires_grad_() for v in more.values()),
        ]
        terms = call(name, inputs[0], relation, **dict(zip(more, inputs[1:], strict=True)))
        loss = reduce(terms, reduction)
        return [loss.detach(), *torch.autograd.grad(loss.sum(), inputs), terms.value.detach()]

    makers = [lambda m: Relation.from_labels(labels[m])]
    if name not in PROXY:
        makers.append(lambda m: Relation.from_partners(same[m]))
    for make in makers:
        for reduction in entry("loss", name).facts["reductions"]:
            whole = run(slice(None), make(slice(None)), reduction)
            for member in range(4):
                one = slice(member, member + 1)
                for ours, alone in zip(whole, run(one, make(one), reduction), strict=True):
                    assert torch.equal(ours[one], alone)


@pytest.mark.parametrize("name", LOSSES)
def test_permuting_the_labels_changes_the_gradient(name: str) -> None:
    """What the broadcast of (B, 1) against (B,) loses."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 3])
    shuffled = labels[[2, 5, 0, 8, 1, 3, 7, 4, 6]]
    z, more = vectors(9, SIZE), extra(name)
    first, second = (gradient(name, z, Relation.from_labels(y), **more) for y in (labels, shuffled))
    blind = torch.allclose(first, second, atol=1e-9)
    assert first.abs().max() > 1e-3
    assert blind == bool(entry("loss", name).facts.get("faulty"))


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_batch_and_a_rotation_change_nothing(name: str, seed: int) -> None:
    generator = seeded(seed)
    labels = torch.randint(CLASSES, (10,), generator=generator)
    z, more = vectors(10, SIZE, seed=seed), extra(name, seed=seed)
    loss = reduced(name, z, Relation.from_labels(labels), **more)
    order = torch.randperm(10, generator=generator)
    assert torch.allclose(
        reduced(name, z[order], Relation.from_labels(labels[order]), **more), loss, atol=1e-12
    )
    turn = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64))[0]
    turned = {word: value @ turn for word, value in more.items()}
    assert torch.allclose(reduced(name, z @ turn, Relation.from_labels(labels), **turned), loss, atol=1e-10)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "labels", [[1, 1, 1, 1], [0, 1, 2, 3], [2], []], ids=["one class", "singletons", "one row", "no row"]
)
def test_without_a_pair_the_loss_is_finite_and_where_undefined_0(name: str, labels: list[int]) -> None:
    relation = Relation.from_labels(torch.tensor(labels, dtype=torch.int64))
    z, more = vectors(len(labels), SIZE, dtype=torch.float32), extra(name, dtype=torch.float32)
    for reduction in entry("loss", name).facts["reductions"]:
        inputs = z.clone().requires_grad_()
        terms = call(name, inputs, relation, **more)
        loss = reduce(terms, reduction)
        (slope,) = torch.autograd.grad(loss, inputs)
        assert torch.isfinite(loss) and torch.isfinite(slope).all()
        if not terms.valid.any():
            assert loss == 0 and (slope == 0).all()


def test_positives_nearer_than_a_thousandth_are_not_active() -> None:
    z = vectors(1, SIZE) + torch.tensor([0.0, 4e-4, 1.6e-3])[:, None] * torch.eye(SIZE)[0]
    terms = call("contrastive", z, Relation.from_labels(torch.zeros(3, dtype=torch.int64)))
    assert terms.active is not None and terms.active.tolist() == [[1, 0], [1, 0], [2, 0]]
    assert terms.valid.tolist() == [[2, 0]] * 3


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_coincident_points_and_antipodes_have_finite_gradients(name: str, dtype: torch.dtype) -> None:
    z = vectors(8, SIZE).to(dtype)
    z[1], z[2], z[3], z[4] = z[0], z[0], -z[0], -z[0]
    more = extra(name)
    if more:
        more["class_vectors"][0], more["class_vectors"][1] = z[0].double(), -z[0].double()
    relation = Relation.from_labels(torch.tensor([0, 0, 1, 0, 1, 2, 2, 3]))
    for reduction in entry("loss", name).facts["reductions"]:
        inputs = z.clone().requires_grad_()
        more = {word: value.clone().to(dtype).requires_grad_() for word, value in more.items()}
        loss = reduce(call(name, inputs, relation, **more), reduction)
        slopes = torch.autograd.grad(loss, [inputs, *more.values()])
        assert torch.isfinite(loss)
        assert all(torch.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("name", LOSSES)
def test_all_points_in_one_place(name: str) -> None:
    z = vectors(1, SIZE, dtype=torch.float32).expand(8, SIZE).clone().requires_grad_()
    relation = Relation.from_labels(torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]))
    loss = reduced(name, z, relation, **extra(name, dtype=torch.float32))
    (slope,) = torch.autograd.grad(loss, z)
    assert torch.isfinite(loss) and torch.isfinite(slope).all()
    if entry("loss", name).facts["hinge"]:
        assert (slope == 0).all(), "no direction, no force"


@pytest.mark.parametrize(("name", "words"), VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_wider(name: str, words: dict[str, Any], dtype: torch.dtype) -> None:
    labels = torch.randint(CLASSES, (512,), generator=seeded(1))
    z, more = vectors(512, SIZE).to(dtype), {word: value.to(dtype) for word, value in extra(name).items()}
    relation = Relation.from_labels(labels)
    terms = call(name, z, relation, **more, **words)
    assert terms.value.dtype == torch.float32
    exact = call(name, z.double(), relation, **{word: v.double() for word, v in more.items()}, **words)
    error = (reduce(terms, "valid_mean") - reduce(exact, "valid_mean")).abs()
    scale = words.get("margin", words.get("temperature", 1.0))
    assert error <= 1e-2 * (reduce(exact, "valid_mean").abs() + 1e-2 * scale)
    assert torch.equal(terms.valid, exact.valid)
    if terms.active is not None:
        assert (terms.active - exact.active).abs().sum() <= 1e-5 * exact.valid.sum() + 2
    found = gradient(name, z, relation, **more, **words)
    assert found.dtype == dtype and torch.isfinite(found).all()


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
    monkeypatch.setattr(kernels, "blocks", elsewhere)
    monkeypatch.setattr(kernels, "bare", Tensor.detach)
    monkeypatch.setattr(explicit, "bare", Tensor.detach)
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
        value, active = kernels.triplet_slopes(slope, positive, negative, margin)
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


@pytest.mark.parametrize("name", HINGES)
def test_counts_are_exact_where_float32_is_not(name: str) -> None:
    rows = 4200  # more than 2²⁴ pairs, and per anchor more than 2²⁴ / 100 triplets
    labels = torch.arange(rows) % 2
    z = vectors(rows, 2, dtype=torch.float32)
    terms = call(name, z, Relation.from_labels(labels), margin=10.0)
    assert terms.active is not None
    if name == "triplet":
        assert terms.valid[0] == 2099 * 2100
        assert torch.equal(terms.active, terms.valid)
    elif name == "contrastive":
        assert terms.totals()[1].item() == rows * (rows - 1)
        assert torch.equal(terms.active[:, 1], terms.valid[:, 1])


@pytest.mark.parametrize("name", LOSSES)
def test_a_broken_member_is_not_quietly_fine(name: str) -> None:
    z = vectors(3, 8, SIZE, dtype=torch.float32)
    z[1, 2, 0] = torch.nan
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    relation = Relation.from_labels(labels)
    more = extra(name, 3, dtype=torch.float32)
    inputs = z.clone().requires_grad_()
    loss = reduced(name, inputs, relation, **more)
    (slope,) = torch.autograd.grad(loss.sum(), inputs)
    assert torch.isfinite(loss).tolist() == [True, False, True]
    assert not torch.isfinite(slope[1]).all()
    assert torch.isfinite(slope[[0, 2]]).all()


def test_distances_that_overflow_break_the_triplets_of_their_member_only() -> None:
    z = vectors(2, 6, SIZE, dtype=torch.float32)
    z[1, 2] *= 1e25
    loss = reduced("triplet", z, Relation.from_labels(torch.arange(6) % 2))
    slope = gradient("triplet", z, Relation.from_labels(torch.arange(6) % 2))
    assert torch.isfinite(loss).tolist() == [True, False]
    assert torch.isfinite(slope[0]).all() and not torch.isfinite(slope[1]).any()


@pytest.mark.parametrize("name", LOSSES)
def test_mistakes_are_told(name: str) -> None:
    z, more = vectors(4, SIZE), extra(name)
    with pytest.raises(LosscopeError, match="1 rows"):
        call(name, z, Relation.from_labels(torch.tensor([[0], [1], [0], [1]])), **more)
    with pytest.raises(LosscopeError, match="leading"):
        call(name, z, Relation.from_labels(torch.zeros(2, 4).long()), **more)
    if name in PROXY:
        with pytest.raises(LosscopeError, match="wants labels; pairs were given"):
            call(name, z, Relation.from_partners(torch.tensor([True, False])), **more)
        with pytest.raises(LosscopeError, match=r"labels go from -1 to 4; .* wants 0..3"):
            call(name, z, Relation.from_labels(torch.tensor([-1, 0, 4, 1])), **more)
        with pytest.raises(LosscopeError, match="class_vectors have shape"):
            call(name, z, Relation.from_labels(torch.arange(4)), class_vectors=torch.zeros(4, SIZE + 1))


@pytest.mark.parametrize("name", [n for n in LOSSES if entry("loss", n).facts["force"]])
@pytest.mark.parametrize("reduction", ["valid_mean", "balanced"])
def test_forces_are_the_derivatives_by_the_distances(name: str, reduction: str) -> None:
    """With one free distance a pair of (anchor, partner), L(d) from the loops' formulas, differentiated."""
    found = entry("loss", name)
    if reduction not in found.facts["reductions"]:
        pytest.skip("the loss has no such reduction")
    labels = [0, 1, 0, 2, 1, 0, 2]
    z = vectors(7, SIZE)
    d = pair_distances(z).requires_grad_()
    case = Case(7, labels=labels)
    for words in [words for other, words in VARIANTS if other == name]:
        function = getattr(__import__(found.module, fromlist=["_"]), found.facts["force"])
        force = function(d.detach(), case.relation(), **words, reduction=reduction)
        value, valid = _by_distances(name, d, case, **words)
        if reduction == "balanced":
            loss = sum(value[..., side].sum() / valid[..., side].sum() for side in (0, 1))
        else:
            loss = value.sum()
        (slope,) = torch.autograd.grad(loss, d)
        ratio = force.sum() / slope.abs().sum()
        assert torch.allclose(force, ratio * slope.abs(), atol=1e-9)


def _by_distances(name: str, d: Tensor, case: Case, **words: Any) -> tuple[Tensor, Tensor]:
    """A loss as a function of a matrix of distances alone, of unit vectors."""
    values: list[Any] = []
    counts: list[Any] = []
    for a in range(case.rows):
        ps, ns = case.partners(a, True), case.partners(a, False)
        zero, s = d.sum() * 0, (1 - d[a] ** 2 / 2) / words.get("temperature", 1.0)
        if name == "contrastive":
            gaps = [(words["margin"] - d[a, n]).clamp_min(0) ** 2 for n in ns]
            values.append(torch.stack((sum((d[a, p] ** 2 for p in ps), zero), sum(gaps, zero))))
            counts.append([len(ps), len(ns)])
            continue
        counts.append(len(ps) * len(ns))
        if name == "triplet":
            reach = d[a] ** 2 if words.get("squared") else d[a]
            values.append(
                sum(((reach[p] - reach[n] + words["margin"]).clamp_min(0) for p in ps for n in ns), zero)
            )
        elif name == "info_nce":
            values.append(sum((torch.logsumexp(s[[p, *ns]], 0) - s[p] for p in ps), zero))
        else:
            total = torch.logsumexp(s[ps + ns], 0)
            values.append(sum((total - s[p] for p in ps), zero) / max(1, len(ps)))
    return torch.stack(values), torch.tensor(counts)


class TestModule:
    @pytest.mark.parametrize("name", LOSSES)
    def test_is_the_function_reduced(self, name: str) -> None:
        loss = module(name, num_classes=CLASSES, embedding_size=SIZE)
        z, labels = torch.randn(9, SIZE, generator=seeded(3)), torch.arange(9) % CLASSES
        facts = entry("loss", name).facts
        more = {"class_vectors": loss.class_vectors} if name in PROXY else {}
        points = normalise(z) if facts["normalised"] else z
        expected = reduced(name, points, Relation.from_labels(labels), **facts["defaults"]["matched"], **more)
        assert torch.equal(loss(z, labels), expected)
        assert loss(z, labels).shape == ()
        assert len(list(loss.parameters())) == len(more)

    @pytest.mark.parametrize("name", FREE)
    def test_references_are_the_only_partners(self, name: str) -> None:
        z, labels = vectors(4, SIZE).requires_grad_(), torch.tensor([0, 1, 0, 2])
        ref, ref_labels = vectors(5, SIZE, seed=1).requires_grad_(), torch.tensor([0, 1, 1, 2, 0])
        both = Case(9, labels=[*labels.tolist(), *ref_labels.tolist()], modality=[0] * 4 + [1] * 5)
        one_way = Case(9, pairs=[pair for pair in both.listed() if pair[0] < 4])
        spec = module(name).spec
        if name == "triplet":
            one_way = Case(9, triplets=one_way.all_triplets())
        words = dict(spec.hyperparameters)
        if "in_batch" in words:
            words["in_batch"] = False
        points = torch.cat((z, ref))
        points = normalise(points) if spec.facts["normalised"] else points
        expected = reduced(name, points, one_way.relation(), **words)
        found = module(name)(z, labels, ref_emb=ref, ref_labels=ref_labels)
        assert torch.allclose(found, expected, atol=1e-9)
        slopes = [torch.autograd.grad(loss, (z, ref)) for loss in (found, expected)]
        assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*slopes, strict=True))

    @pytest.mark.parametrize("tuples", ["random", "hard", "semihard", "distance_weighted"])
    @pytest.mark.parametrize("name", HINGES)
    def test_draws_tuples_by_its_seed(self, name: str, tuples: str) -> None:
        z, labels = torch.randn(12, SIZE, generator=seeded(3)), torch.arange(12) % CLASSES
        first, again = (module(name, tuples=tuples, seed=5)(z, labels) for _ in range(2))
        assert torch.equal(first, again) and torch.isfinite(first)

    def test_mistakes_are_told(self) -> None:
        z = torch.zeros(4, SIZE)
        with pytest.raises(LosscopeError, match=r"labels have shape \(4, 1\)"):
            module("triplet")(z, torch.zeros(4, 1).long())
        with pytest.raises(LosscopeError, match="integers"):
            module("triplet")(z, torch.zeros(4))
        with pytest.raises(LosscopeError, match="without ref_labels"):
            module("triplet")(z, torch.zeros(4).long(), ref_emb=z)
        with pytest.raises(LosscopeError, match="num_classes"):
            module("arcface")
        with pytest.raises(LosscopeError, match="no use for ref_emb"):
            module("arcface", num_classes=2, embedding_size=SIZE)(z, torch.zeros(4).long(), z, z)
        with pytest.raises(LosscopeError, match="did you mean 'triplet'"):
            module("tripet")
        with pytest.raises(LosscopeError, match="margin"):
            module("triplet", margn=0.1)
        with pytest.raises(LosscopeError, match="greater than 0"):
            module("triplet", margin=-1.0)
        with pytest.raises(LosscopeError, match="unknown reduction"):
            module("triplet", reduction="balanced")
        with pytest.raises(LosscopeError, match="not a loss of this package"):
            module("raw")
        with pytest.raises(LosscopeError, match="takes every row"):
            module("sup_con", tuples="hard")
        with pytest.raises(LosscopeError, match="0 or more"):
            module("n_pair", l2_weight=-0.1)(z, torch.zeros(4).long())


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
        ],
    )
    def test_pytorch_metric_learning(self, pml: Any, ours: str, theirs: str, rows: int) -> None:
        from pytorch_metric_learning import distances, losses, reducers

        names = {**vars(losses), **vars(reducers), **vars(distances)}
        peer = eval(theirs, names)
        loss = module(ours, num_classes=10, embedding_size=16)
        if hasattr(peer, "W"):
            peer.W.data = loss.class_vectors.data.T.clone()
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
